"""The manifest of an app: each choice has its part, and no part is there without its choice."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from stateroom.emulator.manifests import problems
from stateroom.model.errors import WrongUse
from stateroom.slack.app_manifest import Choice, app_manifest, base_of, create_url
from stateroom.slack.features import DEFAULT, FEATURES
from stateroom.slack.prompts import Prompt, parse_prompts, write_prompts

WEB = "https://bot.example.com"
ALL = tuple(name for name in FEATURES if name != "assistant")


@pytest.mark.parametrize("features", [DEFAULT, ALL, ("mentions",), ("direct", "assistant")])
@pytest.mark.parametrize("base", [None, WEB])
def test_every_choice_makes_a_manifest_that_slack_would_take(features: tuple[str, ...], base: str | None) -> None:
    assert problems(app_manifest(Choice(features, base_url=base))) == []


def test_over_socket_mode_no_address_is_named() -> None:
    made = app_manifest(Choice(DEFAULT))
    assert made["settings"]["socket_mode_enabled"] is True
    assert "http" not in json.dumps(made)


def test_over_http_each_door_has_its_address() -> None:
    made = app_manifest(Choice((*DEFAULT, "install"), base_url=WEB))
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["event_subscriptions"]["request_url"] == f"{WEB}/slack/events"
    assert made["settings"]["interactivity"] == {"is_enabled": True, "request_url": f"{WEB}/slack/interactions"}
    assert made["features"]["slash_commands"][0]["url"] == f"{WEB}/slack/commands"
    assert made["oauth_config"]["redirect_urls"] == [f"{WEB}/slack/oauth_redirect"]


def test_only_what_is_chosen_is_asked_for() -> None:
    made = app_manifest(Choice(("mentions",)))
    assert made["oauth_config"]["scopes"]["bot"] == [
        "app_mentions:read",
        "channels:history",
        "chat:write",
        "groups:history",
    ]
    assert made["settings"]["event_subscriptions"]["bot_events"] == ["app_mention"]
    assert not {"agent_view", "assistant_view", "slash_commands", "shortcuts"} & set(made["features"])
    assert made["settings"]["interactivity"]["is_enabled"]


def test_an_agent_has_the_view_of_today_and_an_assistant_the_older_one() -> None:
    prompts = (Prompt("Hi", "Say hi"),)
    agent = app_manifest(Choice(("direct", "agent"), prompts=prompts))["features"]
    assert agent["agent_view"]["suggested_prompts"] == [{"title": "Hi", "message": "Say hi"}]
    assert "assistant_view" not in agent
    older = app_manifest(Choice(("direct", "assistant"), prompts=prompts))
    assert "assistant_description" in older["features"]["assistant_view"]
    assert "assistant_thread_started" in older["settings"]["event_subscriptions"]["bot_events"]


def test_rotation_and_org_installs_are_switched_on_by_name() -> None:
    settings = app_manifest(Choice((*DEFAULT, "install", "rotation", "org")))["settings"]
    assert settings["token_rotation_enabled"] is True
    assert settings["org_deploy_enabled"] is True


def test_the_link_carries_the_whole_manifest() -> None:
    made = app_manifest(Choice(DEFAULT, base_url=WEB))
    (carried,) = parse_qs(urlsplit(create_url(made)).query)["manifest_json"]
    assert json.loads(carried) == made


def test_a_manifest_too_long_for_an_address_is_left_to_be_pasted() -> None:
    assert create_url({"x": "y" * 9000}) == "https://api.slack.com/apps?new_app=1"


@pytest.mark.parametrize("name", ["", "x" * 36])
def test_a_name_that_slack_refuses_is_refused(name: str) -> None:
    with pytest.raises(WrongUse, match="--name"):
        app_manifest(Choice(DEFAULT, name=name))


@pytest.mark.parametrize("url", ["bot.example.com", "ftp://x", "https://", "https://x/?a=1"])
def test_an_address_that_slack_cannot_call_is_refused(url: str) -> None:
    with pytest.raises(WrongUse, match="--http"):
        base_of(url)


def test_prompts_are_read_back_as_they_are_written() -> None:
    prompts = parse_prompts("Sum up => Please sum up this thread. | Help")
    assert prompts == (Prompt("Sum up", "Please sum up this thread."), Prompt("Help", "Help"))
    assert parse_prompts(write_prompts(prompts)) == prompts


@pytest.mark.parametrize("text", ["a|b|c|d|e", "=> x", "x =>"])
def test_prompts_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most four"):
        parse_prompts(text)
