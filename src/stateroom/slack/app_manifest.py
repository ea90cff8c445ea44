"""The manifest of a Slack app of ours: what to give *Create New App, From a manifest*.

Rules of this file: values in, one plain dict out; equal choices give equal text. Its parts and their names are those of
Slack's app manifest reference; scopes and events come from slack/features.py. A part that a choice does not ask for is
left out, so that a person can read the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from stateroom.model.errors import WrongUse
from stateroom.slack.features import checked, events, scopes
from stateroom.slack.prompts import Prompt, as_json

COMMAND: Final = "/stateroom"
STOP_SHORTCUT: Final = "stateroom_stop"
NAME_LIMIT: Final = 35
DESCRIPTION: Final = "An assistant that remembers the conversation and answers each message once."
_AGENT: Final = "Answers questions and remembers what was said in the thread."
_CREATE: Final = "https://api.slack.com/apps?new_app=1"
_URL_LIMIT: Final = 8000  # browsers and proxies take less than servers do


@dataclass(frozen=True, slots=True)
class Choice:
    """What the app shall be. `base_url`: where Slack reaches it over HTTP; None: Socket Mode."""

    features: tuple[str, ...]
    name: str = "Stateroom"
    base_url: str | None = None
    prompts: tuple[Prompt, ...] = ()


def base_of(url: str) -> str:
    """The address without a slash at its end. WrongUse unless Slack could call it."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise WrongUse("--http takes the public address of the bot, for example https://bot.example.com")
    return url.rstrip("/")


def app_manifest(choice: Choice, datastores: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The manifest. `datastores`: a manifest of hosted datastores, whose `datastores`, `types` and scopes are added.

    WrongUse for features that cannot be together and for a name that Slack would not take.
    """
    if not 0 < len(choice.name) <= NAME_LIMIT:
        raise WrongUse(f"--name: Slack takes names of 1 to {NAME_LIMIT} characters")
    features = checked(choice.features)
    made: dict[str, Any] = {
        "display_information": {"name": choice.name, "description": DESCRIPTION},
        "features": _features(choice, features),
        "oauth_config": _oauth(choice, features),
        "settings": _settings(choice, features),
    }
    return made if datastores is None else _with_datastores(made, datastores)


def create_url(manifest: Mapping[str, Any]) -> str:
    """The page that makes an app of this manifest; without it where an address would be too long for a browser."""
    filled = f"{_CREATE}&manifest_json={quote(json.dumps(manifest, separators=(',', ':')))}"
    return filled if len(filled) <= _URL_LIMIT else _CREATE


def _features(choice: Choice, features: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "app_home": {
            "home_tab_enabled": False,
            "messages_tab_enabled": "direct" in features,
            "messages_tab_read_only_enabled": False,
        },
        "bot_user": {"display_name": choice.name, "always_online": True},
    }
    for view, text in (("agent", "agent_description"), ("assistant", "assistant_description")):
        if view in features:
            made[f"{view}_view"] = {text: _AGENT, "suggested_prompts": as_json(choice.prompts)}
    if "commands" in features:
        made["shortcuts"] = [
            {
                "name": "Stop this answer",
                "type": "message",
                "callback_id": STOP_SHORTCUT,
                "description": "Ends an answer that is being written",
            }
        ]
        made["slash_commands"] = [
            {
                "command": COMMAND,
                "description": "Help, and stopping an answer",
                "usage_hint": "help | stop",
                "should_escape": False,
                **_url(choice, "url", "/slack/commands"),
            }
        ]
    return made


def _oauth(choice: Choice, features: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"scopes": {"bot": list(scopes(features))}}
    if "install" in features:
        # Without an address of its own the page is reached on this machine only, as Slack allows for trials.
        made["redirect_urls"] = [f"{choice.base_url or 'https://localhost:3000'}/slack/oauth_redirect"]
    return made


def _settings(choice: Choice, features: Sequence[str]) -> dict[str, Any]:
    return {
        "event_subscriptions": {**_url(choice, "request_url", "/slack/events"), "bot_events": events(features)},
        # Without it the Continue button below an answer is an error to whoever presses it. It needs no scope.
        "interactivity": {"is_enabled": True, **_url(choice, "request_url", "/slack/interactions")},
        "org_deploy_enabled": "org" in features,
        "socket_mode_enabled": choice.base_url is None,
        "token_rotation_enabled": "rotation" in features,
    }


def _url(choice: Choice, name: str, path: str) -> dict[str, str]:
    """An address, which over Socket Mode nobody needs."""
    return {} if choice.base_url is None else {name: f"{choice.base_url}{path}"}


def _with_datastores(made: dict[str, Any], hosted: Mapping[str, Any]) -> dict[str, Any]:
    bot = [*made["oauth_config"]["scopes"]["bot"], *hosted["oauth_config"]["scopes"]["bot"]]
    return {
        "_metadata": {"major_version": 2},  # datastores are of the second version of the schema
        **made,
        "oauth_config": {**made["oauth_config"], "scopes": {"bot": sorted(set(bot))}},
        "settings": {**made["settings"], "function_runtime": "remote"},
        "types": hosted.get("types", {}),
        "datastores": hosted.get("datastores", {}),
    }
