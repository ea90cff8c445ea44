"""What apps are told when a person acts: the shapes of interaction payloads.

Rules of this file: pure; ids and the moment are handed in. Facts: docs.slack.dev/reference/interaction-payloads and
docs.slack.dev/interactivity/implementing-slash-commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stateroom.emulator.elements import Place
from stateroom.emulator.events import VERIFICATION_TOKEN
from stateroom.emulator.records import App, Channel, Install, Json, Message, Team, User


@dataclass(frozen=True, slots=True)
class Scene:
    """Who acts in which team, for which app, with which trigger."""

    app: App
    install: Install
    team: Team
    user: User
    trigger_id: str

    def common(self, kind: str) -> Json:
        user = {"id": self.user.id, "username": self.user.name, "name": self.user.name, "team_id": self.team.id}
        return {
            "type": kind,
            "user": user,
            "api_app_id": self.app.app_id,
            "token": VERIFICATION_TOKEN,
            "trigger_id": self.trigger_id,
            "team": {"id": self.team.id, "domain": self.team.domain},
            "enterprise": self.enterprise,
            "is_enterprise_install": self.install.org_wide,
        }

    @property
    def enterprise(self) -> Json | None:
        enterprise = self.install.enterprise
        return None if enterprise is None else {"id": enterprise, "name": enterprise}


def channel_name(channel: Channel) -> str:
    return "directmessage" if channel.is_im else channel.name


def _channel(channel: Channel) -> Json:
    return {"id": channel.id, "name": channel_name(channel)}


def command(scene: Scene, channel: Channel, name: str, text: str, response_url: str) -> Json:
    """The fields of a slash command; over HTTP they are a form."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": scene.team.id,
        "team_domain": scene.team.domain,
        "channel_id": channel.id,
        "channel_name": channel_name(channel),
        "user_id": scene.user.id,
        "user_name": scene.user.name,
        "command": name,
        "text": text,
        "api_app_id": scene.app.app_id,
        "is_enterprise_install": "true" if scene.install.org_wide else "false",
        **({} if scene.install.enterprise is None else {"enterprise_id": scene.install.enterprise}),
        "response_url": response_url,
        "trigger_id": scene.trigger_id,
    }


def action(place: Place, chosen: Json, at: str) -> Json:
    """One entry of `actions`."""
    kept = {name: value for name, value in place.element.items() if name == "placeholder" or name.startswith("initial")}
    ids = {"type": place.element["type"], "action_id": place.action_id, "block_id": place.block_id}
    return {**ids, **kept, **chosen, "action_ts": at}


def on_message(scene: Scene, message: Message, view: Json, channel: Channel, response_url: str) -> Json:
    """What `block_actions` and `message_action` on a message share."""
    container = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    shown = {} if message.ephemeral_to is not None else {"message": view}
    place = {"container": container, "channel": _channel(channel), **shown}
    return {**scene.common("block_actions"), **place, "response_url": response_url}


def on_view(scene: Scene, view: Json) -> Json:
    """What `block_actions` and `block_suggestion` in a modal or a Home tab share."""
    return {**scene.common("block_actions"), "container": {"type": "view", "view_id": view["id"]}, "view": view}


def suggestion(base: Json, place: Place, value: str) -> Json:
    """A person types into an external select."""
    asked = {"action_id": place.action_id, "block_id": place.block_id, "value": value}
    dropped = ("trigger_id", "response_url")
    return {**{k: v for k, v in base.items() if k not in dropped}, "type": "block_suggestion", **asked}


def shortcut(scene: Scene, callback_id: str, at: str) -> Json:
    return {**scene.common("shortcut"), "callback_id": callback_id, "action_ts": at}


def message_action(base: Json, callback_id: str, ts: str, at: str) -> Json:
    asked = {"callback_id": callback_id, "message_ts": ts, "action_ts": at}
    return {**{k: v for k, v in base.items() if k != "container"}, "type": "message_action", **asked}


def submission(scene: Scene, view: Json, response_urls: list[Json]) -> Json:
    return {**scene.common("view_submission"), "view": view, "response_urls": response_urls}


def closed(scene: Scene, view: Json, *, is_cleared: bool) -> Json:
    base = {k: v for k, v in scene.common("view_closed").items() if k != "trigger_id"}
    return {**base, "view": view, "is_cleared": is_cleared}


def without_secrets(payload: Any) -> Any:
    """A payload as it may be kept: the verification token is gone."""
    return {name: value for name, value in payload.items() if name != "token"} if isinstance(payload, dict) else payload
