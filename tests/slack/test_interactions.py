"""Form bodies and socket payloads of what people do: typed, tolerant, and refused by the field where they must be."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from stateroom.model.errors import PayloadRefused
from stateroom.slack.interactions import (
    Acted,
    Check,
    Command,
    command_payload,
    interaction_payload,
    parse_command,
    parse_interaction,
)
from support.tables import each

BASE: dict[str, Any] = {
    "type": "message_action",
    "team": {"id": "T00000001", "domain": "local"},
    "user": {"id": "U00000001", "name": "ada"},
    "callback_id": "stateroom_stop",
    "channel": {"id": "C00000001", "name": "general"},
    "message": {"ts": "1700000002.000200", "thread_ts": "1700000000.000100", "text": "secret"},
    "action_ts": "1700000003.000000",
}
COMMAND = {
    "team_id": "T00000001",
    "user_id": "U00000001",
    "channel_id": "C00000001",
    "command": "/stateroom",
    "text": "stop it",
    "response_url": "https://hooks.slack.com/x",
}


def form(payload: object) -> bytes:
    return urlencode({"payload": payload if isinstance(payload, str) else json.dumps(payload)}).encode()


def test_a_message_shortcut_names_its_thread() -> None:
    found = parse_interaction(form(BASE))
    assert found == Acted(
        "message_action",
        "T00000001",
        "U00000001",
        ("stateroom_stop",),
        "C00000001",
        "1700000000.000100",
        "1700000003.000000",
        message="1700000002.000200",
    )
    assert interaction_payload(json.dumps(BASE).encode()) == found


def test_a_press_names_its_actions_and_its_place() -> None:
    pressed = {
        **{name: BASE[name] for name in ("team", "user")},
        "type": "block_actions",
        "container": {"channel_id": "D00000001", "message_ts": "1700000005.000500"},
        "actions": [{"action_id": "a", "action_ts": "1700000006.000000"}, {"action_id": "b"}],
    }
    found = parse_interaction(form(pressed))
    assert (found.names, found.channel, found.thread) == (("a", "b"), "D00000001", "1700000005.000500")
    assert found.at == "1700000006.000000"


@pytest.mark.parametrize("kind", ["shortcut", "view_submission", "view_closed", "block_suggestion", "of_next_year"])
def test_what_happens_on_no_message_has_no_place(kind: str) -> None:
    given = {"type": kind, "team": BASE["team"], "user": BASE["user"], "view": {"callback_id": "v"}}
    found = parse_interaction(form(given))
    assert (found.kind, found.channel, found.thread, found.names) == (kind, None, None, ("v",))


def test_an_org_wide_install_without_a_team_is_its_enterprise() -> None:
    given = {**BASE, "team": None, "enterprise": {"id": "E00000001"}}
    found = parse_interaction(form(given))
    assert (found.team, found.enterprise) == ("E00000001", "E00000001")
    assert parse_command(urlencode({**COMMAND, "enterprise_id": "E00000001"}).encode()) == Command(
        "T00000001", "U00000001", "C00000001", "/stateroom", "stop it", "E00000001"
    )


@each(
    ("body", "what"),
    [
        (b"", "payload"),
        (b"payload=", "JSON"),
        (b"payload=%5B%5D", "object"),
        (b"payload={}&payload={}", "payload"),
        (b"\xff\xfe", "form"),
        (b"payload=%ff", "form"),
        (b"&".join(b"a=1" for _ in range(300)), "form"),
        (form("[" * 100_000), "JSON"),
        (form({**BASE, "type": 7}), "payload.type"),
        (form({**BASE, "team": {"id": "../x"}}), "payload.team.id"),
        (form({**BASE, "user": "U1"}), "payload.user.id"),
        (form({**BASE, "channel": {"id": "xoxb-secret"}}), "payload.channel.id"),
        (form({**BASE, "message": {"ts": "now"}}), "payload.message.ts"),
    ],
)
def test_what_is_malformed_is_400_and_never_echoed(body: bytes, what: str) -> None:
    with pytest.raises(PayloadRefused, match=what) as refused:
        parse_interaction(body)
    assert refused.value.status == 400
    assert "xoxb-secret" not in str(refused.value)


def test_a_command_is_read_from_a_form_and_from_a_socket() -> None:
    expected = Command("T00000001", "U00000001", "C00000001", "/stateroom", "stop it")
    assert parse_command(urlencode(COMMAND).encode()) == expected
    assert command_payload(json.dumps(COMMAND).encode()) == expected
    assert "stop it" not in repr(expected)


def test_slacks_check_of_the_address_is_no_command() -> None:
    assert parse_command(b"ssl_check=1&token=x") == Check()


@pytest.mark.parametrize("name", ["team_id", "user_id", "channel_id", "command"])
def test_a_command_without_its_place_is_refused_by_the_field(name: str) -> None:
    with pytest.raises(PayloadRefused, match=name):
        parse_command(urlencode({**COMMAND, name: "?"}).encode())
