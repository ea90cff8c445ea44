"""What a person pressed, chose or typed as a command: form bodies and socket payloads as typed values.

Rules of this file: pure; the only error is PayloadRefused (400), which names a field and never its value. Tolerant: a
kind that Slack invents later, and a part that is missing where we have no use for it, is no error. Nothing that a
person typed is kept, but the words behind a command. Shapes: docs.slack.dev/reference/interaction-payloads,
docs.slack.dev/interactivity/implementing-slash-commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from stateroom.model.errors import PayloadRefused
from stateroom.slack.fields import CHANNEL, PERSON, TEAM, TIMESTAMP, checked, first_given, plain_name, refuse

_COMMAND: Final = re.compile(r"/[^\s]{1,32}")
_BUTTONS: Final = ("button", "feedback_buttons")
_FIELDS: Final = 200  # of a form; Slack sends about twenty


class Acted(msgspec.Struct, frozen=True):
    """An interaction. `kind` is Slack's word for it, `names` the callback id or the ids of the actions.

    `channel`, `thread`, `at` (Slack's time of the click) and `message` are None where it happened on no message.
    `value` is a pressed button's, which our own code gave it.
    """

    kind: str
    team: str
    user: str
    names: tuple[str, ...] = ()
    channel: str | None = None
    thread: str | None = None
    at: str | None = None
    enterprise: str | None = None
    message: str | None = None
    value: str | None = None


class Command(msgspec.Struct, frozen=True):
    """A slash command."""

    team: str
    user: str
    channel: str
    name: str
    text: str = ""
    enterprise: str | None = None

    def __repr__(self) -> str:
        return f"Command(team={self.team!r}, name={self.name!r})"


class Check(msgspec.Struct, frozen=True):
    """Slack tries whether the address answers; 200 is all it wants."""


def parse_interaction(body: bytes) -> Acted:
    """The interaction in a form body, whose signature was verified."""
    return interaction_of(_json(_one(_form(body), "payload")))


def parse_command(body: bytes) -> Command | Check:
    """The command in a form body, whose signature was verified."""
    form = _form(body)
    if form.get("ssl_check") == ["1"]:
        return Check()
    return command_of({name: values[0] for name, values in form.items()})


def interaction_payload(payload: bytes) -> Acted:
    """The interaction of a socket's envelope."""
    return interaction_of(_json(payload))


def command_payload(payload: bytes) -> Command:
    """The command of a socket's envelope."""
    return command_of(_json(payload))


def interaction_of(said: Mapping[str, Any]) -> Acted:
    """One interaction payload."""
    kind, user = said.get("type"), _inner(said, "user")
    if not isinstance(kind, str):
        refuse("payload.type")
    message, container = _inner(said, "message"), _inner(said, "container")
    channel = first_given(_inner(said, "channel").get("id"), container.get("channel_id"))
    ts = first_given(message.get("ts"), container.get("message_ts"))
    thread = first_given(message.get("thread_ts"), container.get("thread_ts"), ts)
    return Acted(
        plain_name(kind),
        checked(TEAM, _team(said, user), "payload.team.id"),
        checked(PERSON, user.get("id"), "payload.user.id"),
        tuple(_names(said)),
        None if channel is None else checked(CHANNEL, channel, "payload.channel.id"),
        None if thread is None else checked(TIMESTAMP, thread, "payload.message.ts"),
        _when(said),
        _enterprise(_inner(said, "enterprise").get("id"), "payload.enterprise.id"),
        None if ts is None else checked(TIMESTAMP, ts, "payload.message.ts"),
        _value(said),
    )


def command_of(said: Mapping[str, Any]) -> Command:
    """The fields of one command."""
    text = said.get("text")
    return Command(
        checked(TEAM, first_given(said.get("team_id") or None, said.get("enterprise_id")), "team_id"),
        checked(PERSON, said.get("user_id"), "user_id"),
        checked(CHANNEL, said.get("channel_id"), "channel_id"),
        checked(_COMMAND, said.get("command"), "command"),
        text if isinstance(text, str) else "",
        _enterprise(said.get("enterprise_id"), "enterprise_id"),
    )


def _enterprise(value: Any, field: str) -> str | None:
    return checked(TEAM, value, field) if value else None


def _team(said: Mapping[str, Any], user: Mapping[str, Any]) -> Any:
    """Org-wide installs have no team, or the one that the person is in."""
    return first_given(_inner(said, "team").get("id"), user.get("team_id"), _inner(said, "enterprise").get("id"))


def _names(said: Mapping[str, Any]) -> list[str]:
    """What our own code gave names to; a modal has its own inside."""
    actions = said.get("actions")
    found = [one.get("action_id") for one in actions if isinstance(one, dict)] if isinstance(actions, list) else []
    found += [said.get("callback_id"), said.get("action_id"), _inner(said, "view").get("callback_id")]
    return [name for name in found if isinstance(name, str) and name]


def _first(said: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = said.get("actions")
    return actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}


def _value(said: Mapping[str, Any]) -> str | None:
    """Of buttons alone: what other elements call their value a person may have typed."""
    first = _first(said)
    value = first.get("value") if first.get("type") in _BUTTONS else None
    return value if isinstance(value, str) else None


def _when(said: Mapping[str, Any]) -> str | None:
    first = _first(said)
    at = first_given(said.get("action_ts"), first.get("action_ts"))
    return at if isinstance(at, str) and TIMESTAMP.fullmatch(at) else None


def _inner(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def _form(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:  # also what is not UTF-8
        raise PayloadRefused(400, "invalid_form", "the body is not a form") from None


def _one(form: Mapping[str, list[str]], name: str) -> bytes:
    values = form.get(name, [])
    if len(values) != 1:
        refuse(name)
    return values[0].encode()


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PayloadRefused(400, "invalid_json", "the payload is not JSON") from None
    if not isinstance(value, dict):
        raise PayloadRefused(400, "invalid_payload", "the payload is not a JSON object")
    return value
