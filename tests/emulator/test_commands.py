"""Slash commands and presses over HTTP, as an app gets them and answers; what a person sees when it does not."""

import asyncio
import json
from urllib.parse import parse_qsl

import pytest
from slack_sdk.signature import SignatureVerifier

from support.local_slack import UNHURRIED, EventApp, Json, LocalSlack, local_slack
from support.sockets import Socket

pytestmark = pytest.mark.service

CHANNEL, DM, ADA, GRACE, BOT = "C00000001", "D00000001", "U00000001", "U00000002", "UB0000001"
MANIFEST: Json = {
    "display_information": {"name": "stateroom"},
    "features": {
        "slash_commands": [
            {
                "command": "/deploy",
                "url": "https://app.example/slack/commands",
                "description": "Deploy",
                "usage_hint": "what",
            },
            {"command": "/quote", "url": "https://app.example/slack/commands", "should_escape": True},
        ]
    },
    "settings": {"interactivity": {"is_enabled": True, "request_url": "https://app.example/slack/interactions"}},
}
BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}, "value": "7"}


@pytest.fixture
async def commanded(slack: LocalSlack, app: EventApp) -> EventApp:
    """The seeded app with its manifest, over HTTP."""
    slack.register(app.url, manifest=MANIFEST)
    return app


async def command(slack: LocalSlack, name: str, text: str = "", **more: str) -> Json:
    return await slack.begin("command", command=name, text=text, **{"channel": CHANNEL, **more})


def notices(slack: LocalSlack) -> list[str]:
    return [one["text"] for one in slack.messages() if one["user"] == "USLACKBOT"]


async def test_a_command_is_a_signed_form_with_slacks_fields(slack: LocalSlack, commanded: EventApp) -> None:
    answer = await command(slack, "/deploy", "api @ada")
    assert (answer["ok"], answer["delivered"]["status"], answer["delivered"]["transport"]) == (True, 200, "http")
    request = commanded.received[0]
    assert SignatureVerifier("local-signing-secret").is_valid_request(request.body, request.headers)
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    assert (fields["command"], fields["text"], fields["user_id"], fields["user_name"]) == (
        "/deploy",
        "api @ada",
        ADA,
        "ada",
    )
    assert (fields["channel_id"], fields["channel_name"], fields["team_id"]) == (CHANNEL, "general", "T00000001")
    assert (fields["api_app_id"], fields["team_domain"], fields["is_enterprise_install"]) == (
        "A00000001",
        "local",
        "false",
    )
    assert fields["trigger_id"]
    assert fields["response_url"].startswith(f"{slack.url}/response/")
    assert commanded.paths == ["/slack/commands"]


async def test_should_escape_turns_names_into_ids(slack: LocalSlack, commanded: EventApp) -> None:
    await command(slack, "/quote", "@grace in #general, not a@b or #none")
    fields = dict(parse_qsl(commanded.received[0].body.decode()))
    assert fields["text"] == f"<@{GRACE}|grace> in <#{CHANNEL}|general>, not a@b or #none"


@pytest.mark.parametrize(
    ("body", "seen_by_all"),
    [
        (b"plain text", False),
        (json.dumps({"text": "plain text"}).encode(), False),
        (json.dumps({"response_type": "in_channel", "text": "plain text"}).encode(), True),
    ],
)
async def test_what_the_acknowledgement_says_is_shown(
    slack: LocalSlack, commanded: EventApp, body: bytes, seen_by_all: bool
) -> None:
    commanded.body = body
    answer = await command(slack, "/deploy")
    shown = slack.messages()
    assert [(one["ts"], one["text"], one["user"]) for one in shown] == [(answer["ts"], "plain text", BOT)]
    assert ("ephemeral_to" not in shown[0]) is seen_by_all
    seen = slack.call("conversations.history", channel=CHANNEL)["messages"]
    assert bool(seen) is seen_by_all


async def test_an_unknown_command_says_so_and_what_to_do(slack: LocalSlack, commanded: EventApp) -> None:
    answer = await command(slack, "/none")
    assert (answer["ok"], answer["error"], answer["delivered"]) == (False, "unknown_command", None)
    assert "features.slash_commands" in answer["detail"]
    assert notices(slack) == ["`/none` is not a valid command."]
    assert commanded.received == []
    answer = await command(slack, "/deploy", thread_ts=slack.say("root"))
    assert answer["error"] == "not_supported_in_threads"


async def test_an_app_that_does_not_answer_is_told_to_the_person_by_slackbot() -> None:
    with local_slack(ack_seconds=0.2) as slack:
        async with EventApp() as app:
            slack.register(app.url, manifest=MANIFEST)
            app.answers = [None]
            silent = await command(slack, "/deploy")
    with local_slack(**UNHURRIED) as slack:
        async with EventApp() as app:
            slack.register(app.url, manifest=MANIFEST)
            app.answers = [500]
            broken = await command(slack, "/deploy")
        offline = await command(slack, "/deploy")
    errors = [(one["error"], one["delivered"]["status"]) for one in (silent, broken, offline)]
    assert errors == [("no_ack", None), ("http_error", 500), ("app_offline", None)]
    assert all(one["detail"] for one in (silent, broken, offline))


async def test_a_fault_makes_an_app_that_answered_look_silent(slack: LocalSlack, commanded: EventApp) -> None:
    slack.fault("drop_ack", event="command")
    first, second = await command(slack, "/deploy"), await command(slack, "/deploy")
    assert (first["error"], second["ok"], len(commanded.received)) == ("no_ack", True, 2)


async def test_slackbot_names_the_errors_as_slack_does() -> None:
    with local_slack(**UNHURRIED) as slack:
        async with EventApp() as app:
            slack.register(app.url, manifest=MANIFEST)
            slack.fault("drop_ack", event="command")
            app.answers = [200, 500]
            await command(slack, "/deploy")
            await command(slack, "/deploy", user=GRACE)
            assert notices(slack) == [
                "`/deploy` failed with the error `operation_timeout`",
                "`/deploy` failed with the error `dispatch_failed`",
            ]
            assert [one["ephemeral_to"] for one in slack.messages()] == [ADA, GRACE]


async def test_over_a_socket_a_command_is_an_envelope_whose_acknowledgement_may_say_something(
    slack: LocalSlack,
) -> None:
    slack.sim("POST", "apps", {"app_id": "A00000001", "manifest": MANIFEST})
    async with Socket(slack) as socket:
        asked = asyncio.create_task(slack.begin("command", channel=CHANNEL, command="/deploy", text="api"))
        envelope = await socket.receive()
        assert (envelope["type"], envelope["accepts_response_payload"]) == ("slash_commands", True)
        assert "retry_attempt" not in envelope
        assert envelope["payload"]["command"] == "/deploy"
        await socket.ack(envelope, {"text": "on it"})
        answer = await asked
        assert (answer["ok"], answer["delivered"]["transport"]) == (True, "socket")
    assert [one["text"] for one in slack.messages()] == ["on it"]


async def test_an_app_in_socket_mode_without_a_socket_is_offline(slack: LocalSlack) -> None:
    said = {**MANIFEST, "settings": {"socket_mode_enabled": True}}
    slack.sim("POST", "apps", {"app_id": "A00000001", "manifest": said})
    answer = await command(slack, "/deploy")
    assert (answer["error"], answer["delivered"]) == ("app_offline", None)


async def test_the_state_lists_what_the_composer_offers(slack: LocalSlack, commanded: EventApp) -> None:
    app = slack.state()["apps"][0]
    assert app["commands"][0] == {"command": "/deploy", "description": "Deploy", "usage_hint": "what"}
    assert app["transport"] == "http"


async def test_commands_and_clicks_are_on_record_without_tokens(slack: LocalSlack, commanded: EventApp) -> None:
    commanded.body = b"done"
    await command(slack, "/deploy", "api")
    ts = slack.call("chat.postMessage", channel=CHANNEL, text="x", blocks=[{"type": "actions", "elements": [BUTTON]}])[
        "ts"
    ]
    await slack.begin("press", channel=CHANNEL, ts=ts, action_id="go")
    first, second = slack.sim("GET", "interactions")["interactions"]
    assert (first["kind"], first["name"], first["answer"], first["status"]) == ("command", "/deploy", "done", 200)
    assert (second["kind"], second["name"]) == ("block_actions", "go")
    assert "token" not in first["payload"]
    assert "token" not in second["payload"]
    assert len(slack.sim("GET", "interactions?kind=command")["interactions"]) == 1
