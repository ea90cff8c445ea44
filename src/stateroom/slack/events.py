"""A signed request body becomes one typed event, or is refused.

Rules of this file: pure; the only error is PayloadRefused; a refusal names the field and never its value; an event
that holds a person's words is never dropped for odd characters in them. Decoding is a projection: what is not read
(blocks, profiles) is skipped, not built. Slack's shapes are those of its Events API reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

import msgspec

from stateroom.model.errors import PayloadRefused
from stateroom.slack.agent_events import AGENT_EVENTS
from stateroom.slack.event_types import (
    Deleted,
    Edited,
    Event,
    FileRef,
    Ignored,
    Message,
    Opened,
    RateLimited,
    Source,
    Stopped,
    TokensRevoked,
    Uninstalled,
    UrlVerification,
)
from stateroom.slack.fields import (
    AUTHOR,
    CHANNEL,
    EVENT_ID,
    PERSON,
    TEAM,
    TIMESTAMP,
    all_shaped,
    as_object,
    channel_type_of,
    checked,
    files_of,
    first_given,
    mentions,
    plain_name,
    refuse,
    storable_text,
    thread_of,
    together,
    users_of,
    whole_number,
)

__all__ = [
    "Deleted",
    "Edited",
    "Event",
    "FileRef",
    "Ignored",
    "Message",
    "Opened",
    "RateLimited",
    "Source",
    "Stopped",
    "TokensRevoked",
    "Uninstalled",
    "UrlVerification",
    "parse",
]

_SPOKEN_IDS: Final = together(CHANNEL, TIMESTAMP, PERSON, EVENT_ID)
_SPOKEN: Final = ("file_share", "thread_broadcast")
# Slack has had `app_home` for a direct message with an app.
_DIRECT: Final = frozenset({"im", "app_home"})
_SYSTEM_USER: Final = "USLACKBOT"


# Every field is Any: a field of one name has other types in other events (`channel` is an object in channel_rename),
# so types are checked where a field is used. Struct fields that are not named here are skipped by the decoder.
class _Inner(msgspec.Struct):
    type: Any = None
    subtype: Any = None
    channel: Any = None
    user: Any = None
    text: Any = None
    ts: Any = None
    thread_ts: Any = None
    channel_type: Any = None
    event_ts: Any = None
    bot_id: Any = None
    app_id: Any = None
    bot_profile: Any = None
    hidden: Any = None
    files: Any = None
    edited: Any = None
    message: Any = None
    previous_message: Any = None
    deleted_ts: Any = None
    tokens: Any = None
    tab: Any = None
    assistant_thread: Any = None


class _Envelope(msgspec.Struct):
    type: Any = None
    team_id: Any = None
    enterprise_id: Any = None
    event: _Inner | None = None
    event_id: Any = None
    event_time: Any = None
    authorizations: Any = None
    challenge: Any = None
    minute_rate_limited: Any = None


class _Place(msgspec.Struct):
    """What the envelope says about any event."""

    team: str
    enterprise: str | None
    own_user: str | None


_decode: Final = msgspec.json.Decoder(_Envelope).decode


def parse(body: bytes) -> Event:
    """Return the event in a request body whose signature was verified. Raise PayloadRefused (status 400)."""
    envelope = _envelope(body)
    if envelope.type == "event_callback":
        return _callback(envelope)
    if envelope.type == "url_verification":
        if not isinstance(envelope.challenge, str):
            refuse("challenge")
        return UrlVerification(envelope.challenge)
    if envelope.type == "app_rate_limited":
        return RateLimited(_place(envelope).team, whole_number(envelope.minute_rate_limited, 0))
    if not isinstance(envelope.type, str):
        refuse("type")
    return Ignored("type", None, plain_name(envelope.type))


# --- from bytes to an envelope


def _envelope(body: bytes) -> _Envelope:
    try:
        # The decoder does not look into strings that it skips; one pass over all bytes keeps the rule without a hole.
        body.decode("utf-8")
        return _decode(body)
    except UnicodeDecodeError:
        raise PayloadRefused(400, "invalid_json", "the body is not UTF-8") from None
    except RecursionError:
        raise PayloadRefused(400, "invalid_json", "the body is nested too deep") from None
    except msgspec.DecodeError:
        # Also a valid body with half a surrogate pair in a string, which JSON's grammar allows and Slack passes on.
        return _lenient_envelope(body)


def _lenient_envelope(body: bytes) -> _Envelope:
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise PayloadRefused(400, "invalid_json", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise PayloadRefused(400, "invalid_payload", "the body is not a JSON object")
    event = value.get("event")
    if event is not None and not isinstance(event, dict):
        refuse("event")
    inner = None if event is None else _Inner(**{name: event.get(name) for name in _Inner.__struct_fields__})
    outer = {name: value.get(name) for name in _Envelope.__struct_fields__}
    return _Envelope(**{**outer, "event": inner})


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


# --- the envelope of one event


def _callback(envelope: _Envelope) -> Event:
    event = envelope.event
    if event is None:
        refuse("event")
    if not isinstance(event.type, str):
        refuse("event.type")
    place = _place(envelope)
    if event.type == "message":
        return _message_event(envelope, event, place)
    if event.type == "app_mention":
        return _spoken(envelope, event, place, "mention")
    if event.type == "app_uninstalled":
        at = whole_number(envelope.event_time, 0)
        return Uninstalled(place.team, _event_id(envelope, event.type), place.enterprise, at)
    if event.type == "tokens_revoked":
        return _tokens_revoked(envelope, event, place)
    if event.type in AGENT_EVENTS:
        return AGENT_EVENTS[event.type](event, place.team, _event_id(envelope, event.type), place.enterprise)
    return Ignored("type", place.team, plain_name(event.type))


def _message_event(envelope: _Envelope, event: _Inner, place: _Place) -> Event:
    subtype = event.subtype
    if _is_spoken(subtype):
        if event.hidden:
            return Ignored("hidden", place.team, "message")
        return _spoken(envelope, event, place, None)
    if subtype == "message_changed":
        return _changed(envelope, event, place)
    if subtype == "message_deleted":
        previous = as_object(event.previous_message, "event.previous_message")
        return _deleted(envelope, event, place, event.deleted_ts, previous)
    if subtype == "bot_message":
        return Ignored("bot", place.team, "message")
    if not isinstance(subtype, str):
        refuse("event.subtype")
    return Ignored("subtype", place.team, plain_name(subtype))


def _place(envelope: _Envelope) -> _Place:
    granted = _authorizations(envelope.authorizations)
    team, enterprise = envelope.team_id, envelope.enterprise_id
    if team is None or enterprise is None:
        first = granted[0] if granted else {}
        if enterprise is None:
            enterprise = first.get("enterprise_id")
        # On Enterprise Grid the envelope's team may be null: then the installation that the event was sent for.
        if team is None:
            team = first_given(first.get("team_id"), enterprise)
    return _Place(
        checked(TEAM, team, "team_id"),
        None if enterprise is None else checked(TEAM, enterprise, "enterprise_id"),
        _own_user(granted),
    )


def _authorizations(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        refuse("authorizations")
    for entry in value:
        if not isinstance(entry, dict):
            refuse("authorizations")
    return value


def _own_user(granted: list[dict[str, Any]]) -> str | None:
    for entry in granted:
        user = entry.get("user_id")
        # A user token's authorization names a person; answering as that person's mention would be wrong.
        if entry.get("is_bot", True) is True and isinstance(user, str) and PERSON.fullmatch(user):
            return user
    return None


def _event_id(envelope: _Envelope, *fallback: str) -> str:
    """Slack always names an event; should it not, the same event still gets the same id on each delivery."""
    if envelope.event_id is None:
        return ":".join(fallback)
    return checked(EVENT_ID, envelope.event_id, "event_id")


# --- one event


def _spoken(envelope: _Envelope, event: _Inner, place: _Place, source: Source | None) -> Message | Ignored:
    program = _program(event.user, bool(event.bot_id or event.bot_profile), place.own_user)
    if program is not None:
        return Ignored(program, place.team, "message")
    channel, ts, user, event_id = event.channel, event.ts, event.user, envelope.event_id
    if not all_shaped(_SPOKEN_IDS, channel, ts, user, event_id):
        checked(CHANNEL, channel, "event.channel")
        checked(TIMESTAMP, ts, "event.ts")
        checked(PERSON, user, "event.user")
        event_id = _event_id(envelope, channel, ts)
    text = storable_text(event.text, "event.text")
    channel_type = channel_type_of(event.channel_type, channel)
    if source is None:
        source = "im" if channel_type in _DIRECT else "channel"
    own = place.own_user
    return Message(
        place.team,
        channel,
        ts,
        None if event.thread_ts is None else thread_of(event.thread_ts, ts, "event.thread_ts"),
        user,
        text,
        source,
        () if event.files is None else files_of(event.files, "event.files"),
        event_id,
        whole_number(envelope.event_time, int(ts[:10])),
        own,
        channel_type,
        source == "mention" or mentions(text, own),
        place.enterprise,
    )


def _changed(envelope: _Envelope, event: _Inner, place: _Place) -> Event:
    message = as_object(event.message, "event.message")
    if message is None:
        refuse("event.message")
    previous = as_object(event.previous_message, "event.previous_message")
    subtype = message.get("subtype")
    if subtype == "tombstone":
        # Slack keeps the place of a deleted message that has replies, and says so as a change.
        return _deleted(envelope, event, place, message.get("ts"), previous)
    marked = bool(message.get("bot_id") or message.get("bot_profile") or subtype == "bot_message")
    program = _program(message.get("user"), marked, place.own_user)
    if program is not None:
        return Ignored(program, place.team, "message_changed")
    if not _is_spoken(subtype):
        return Ignored("subtype", place.team, "message_changed")
    text = storable_text(message.get("text"), "event.message.text")
    previous_text = None if previous is None else storable_text(previous.get("text"), "event.previous_message.text")
    edited = as_object(message.get("edited"), "event.message.edited")
    # Unfurled links, pins and replies change a message too, but not what its author says.
    if edited is None or text == previous_text:
        return Ignored("unchanged", place.team, "message_changed")
    channel = checked(CHANNEL, event.channel, "event.channel")
    ts = checked(TIMESTAMP, message.get("ts"), "event.message.ts")
    edited_at = checked(TIMESTAMP, first_given(edited.get("ts"), event.event_ts), "event.message.edited.ts")
    return Edited(
        team=place.team,
        channel=channel,
        ts=ts,
        thread_ts=thread_of(message.get("thread_ts"), ts, "event.message.thread_ts"),
        user=checked(PERSON, message.get("user"), "event.message.user"),
        text=text,
        files=files_of(message.get("files"), "event.message.files"),
        edited_at=edited_at,
        previous_text=previous_text,
        own_user=place.own_user,
        event_id=_event_id(envelope, channel, ts, edited_at),
        enterprise=place.enterprise,
    )


def _deleted(
    envelope: _Envelope, event: _Inner, place: _Place, deleted_ts: Any, previous: Mapping[str, Any] | None
) -> Deleted:
    channel = checked(CHANNEL, event.channel, "event.channel")
    ts = checked(TIMESTAMP, deleted_ts, "event.deleted_ts")
    known = previous or {}
    user = known.get("user")
    return Deleted(
        team=place.team,
        channel=channel,
        ts=ts,
        thread_ts=thread_of(known.get("thread_ts"), ts, "event.previous_message.thread_ts"),
        user=None if user is None else checked(AUTHOR, user, "event.previous_message.user"),
        own_user=place.own_user,
        event_id=_event_id(envelope, channel, ts, "deleted"),
        enterprise=place.enterprise,
    )


def _tokens_revoked(envelope: _Envelope, event: _Inner, place: _Place) -> TokensRevoked:
    tokens = as_object(event.tokens, "event.tokens") or {}
    return TokensRevoked(
        team=place.team,
        oauth=users_of(tokens.get("oauth"), "event.tokens.oauth"),
        bot=users_of(tokens.get("bot"), "event.tokens.bot"),
        event_id=_event_id(envelope, "tokens_revoked"),
        enterprise=place.enterprise,
        event_time=whole_number(envelope.event_time, 0),
    )


def _program(user: Any, marked: bool, own_user: str | None) -> Literal["own", "bot"] | None:
    """Say whether a program wrote this. Answering programs is how two bots talk to each other for ever."""
    if own_user is not None and user == own_user:
        return "own"
    # `app_id` alone does not tell: Slack also sets it where a person used a shortcut.
    if marked or user == _SYSTEM_USER or (isinstance(user, str) and user[:1] == "B"):
        return "bot"
    return None


def _is_spoken(subtype: Any) -> bool:
    """Say whether a person speaks to everyone in the channel."""
    return subtype is None or subtype in _SPOKEN
