"""Payloads: each kind becomes its event, and nothing that can be sent makes another error than a refusal."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.errors import PayloadRefused
from stateroom.slack import events
from stateroom.slack.events import (
    Deleted,
    Edited,
    FileRef,
    Ignored,
    Message,
    RateLimited,
    TokensRevoked,
    Uninstalled,
    UrlVerification,
    parse,
)
from support.tables import each

TEAM, CHANNEL, USER, OWN = "T00000001", "C00000001", "U00000001", "UB0000001"
TS, ROOT = "1700000000.000200", "1700000000.000100"
SECRET_WORDS = "the merger is on friday"


def envelope(event: dict[str, Any] | None, **outer: Any) -> dict[str, Any]:
    return {
        "token": "legacy",
        "team_id": TEAM,
        "api_app_id": "A00000001",
        "event": event,
        "type": "event_callback",
        "event_id": "Ev0000001",
        "event_time": 1_700_000_000,
        "authorizations": [
            {"enterprise_id": None, "team_id": TEAM, "user_id": OWN, "is_bot": True, "is_enterprise_install": False}
        ],
        **outer,
    }


def spoken(**fields: Any) -> dict[str, Any]:
    event = {"type": "message", "channel": CHANNEL, "user": USER, "text": "hello", "ts": TS, "channel_type": "channel"}
    return {**event, "event_ts": TS, "blocks": [{"type": "rich_text", "elements": []}], **fields}


def mention(**fields: Any) -> dict[str, Any]:
    kept = spoken(type="app_mention", text=f"<@{OWN}> hello")
    del kept["channel_type"]
    return {**kept, **fields}


def changed(*, message: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    nested = {
        "type": "message",
        "user": USER,
        "text": "new",
        "ts": TS,
        "edited": {"user": USER, "ts": "1700000009.000000"},
    }
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "channel": CHANNEL,
        "ts": "1700000009.000900",
        "event_ts": "1700000009.000900",
        "message": {**nested, **(message or {})},
        "previous_message": {"type": "message", "user": USER, "text": "old", "ts": TS},
        **fields,
    }


def deleted(**fields: Any) -> dict[str, Any]:
    event = {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": CHANNEL, "deleted_ts": TS}
    previous = {"type": "message", "user": USER, "text": "old", "ts": TS, "thread_ts": ROOT}
    return {**event, "ts": "1700000009.000900", "previous_message": previous, **fields}


def read(payload: Any) -> events.Event:
    return parse(json.dumps(payload).encode())


def read_message(payload: Any) -> Message:
    event = read(payload)
    assert isinstance(event, Message)
    return event


# --- what is accepted


def test_a_mention_is_a_message_with_all_its_fields() -> None:
    assert read(envelope(mention(thread_ts=ROOT))) == Message(
        team=TEAM,
        channel=CHANNEL,
        ts=TS,
        thread_ts=ROOT,
        user=USER,
        text=f"<@{OWN}> hello",
        source="mention",
        files=(),
        event_id="Ev0000001",
        event_time=1_700_000_000,
        own_user=OWN,
        channel_type="",
        mentions_own=True,
        enterprise=None,
    )


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"channel_type": "im", "channel": "D00000001"}, "im"),
        ({"channel_type": None, "channel": "D00000001"}, "im"),
        ({"channel_type": "app_home", "channel": "D00000001"}, "im"),
        ({"channel_type": "channel"}, "channel"),
        ({"channel_type": "group", "channel": "G00000001"}, "channel"),
        ({"channel_type": "mpim", "channel": "C00000009"}, "channel"),
        ({"channel_type": "something_new"}, "channel"),
    ],
)
def test_the_source_says_where_it_was_said(fields: dict[str, Any], source: str) -> None:
    assert read_message(envelope(spoken(**fields))).source == source


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast", None])
def test_what_people_say_is_accepted_in_its_three_forms(subtype: str | None) -> None:
    files = [{"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 12}, {"id": "F2", "mode": "tombstone"}]
    event = read_message(envelope(spoken(subtype=subtype, files=files, text=None)))
    assert event.files == (FileRef("F1", "a.png", "image/png", 12), FileRef("F2", "", "", 0))
    assert event.text == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [(f"hi <@{OWN}>", True), (f"hi <@{OWN}|bot>", True), ("hi <@U00000002>", False), (f"hi <@{OWN}X>", False)],
)
def test_a_message_knows_whether_it_names_us(text: str, found: bool) -> None:
    assert read_message(envelope(spoken(text=text))).mentions_own is found


def test_the_thread_is_the_root_or_the_message_itself() -> None:
    assert read_message(envelope(spoken())).thread == TS
    assert read_message(envelope(spoken(thread_ts=ROOT))).thread == ROOT
    own_root = read_message(envelope(spoken(thread_ts=TS)))
    assert (own_root.thread_ts, own_root.thread) == (None, TS)


def test_our_user_is_the_bot_of_the_authorizations() -> None:
    person = {"team_id": TEAM, "user_id": "U00000007", "is_bot": False}
    bot = {"team_id": TEAM, "user_id": "UB0000002", "is_bot": True}
    assert read_message(envelope(spoken(), authorizations=[person, bot])).own_user == "UB0000002"
    assert read_message(envelope(spoken(), authorizations=[person])).own_user is None
    assert read_message(envelope(spoken(), authorizations=None)).own_user is None


def test_an_org_wide_event_finds_its_team_or_its_enterprise() -> None:
    granted = {"enterprise_id": "E00000001", "team_id": "T00000009", "user_id": OWN, "is_bot": True}
    event = read_message(envelope(spoken(), team_id=None, authorizations=[granted]))
    assert (event.team, event.enterprise) == ("T00000009", "E00000001")
    event = read_message(envelope(spoken(), team_id=None, authorizations=[{**granted, "team_id": None}]))
    assert (event.team, event.enterprise) == ("E00000001", "E00000001")


def test_an_event_without_an_id_gets_the_same_one_on_each_delivery() -> None:
    payload = envelope(spoken())
    del payload["event_id"]
    assert read_message(payload).event_id == f"{CHANNEL}:{TS}" == read_message(payload).event_id


# --- what is ignored


@each(
    ("event", "reason"),
    [
        (spoken(bot_id="B00000001"), "bot"),
        (mention(bot_id="B00000001"), "bot"),
        (spoken(bot_profile={"id": "B1", "app_id": "A1"}, app_id="A1"), "bot"),
        (spoken(subtype="bot_message", user=None), "bot"),
        (spoken(user="USLACKBOT"), "bot"),
        (spoken(user="B00000001"), "bot"),
        (spoken(user=OWN), "own"),
        (mention(user=OWN), "own"),
        (spoken(hidden=True), "hidden"),
        (spoken(subtype="channel_join"), "subtype"),
        (spoken(subtype="message_replied"), "subtype"),
        ({"type": "reaction_added", "user": USER, "item": {"type": "message"}}, "type"),
        ({"type": "channel_rename", "channel": {"id": CHANNEL, "name": "x", "created": 1}}, "type"),
        ({"type": "team_join", "user": {"id": USER}}, "type"),
        (changed(message={"user": OWN, "bot_id": "B1"}), "own"),
        (changed(message={"bot_id": "B00000001"}), "bot"),
        (changed(message={"subtype": "bot_message"}), "bot"),
        (changed(message={"subtype": "channel_topic"}), "subtype"),
        (changed(message={"edited": None}), "unchanged"),
        (changed(message={"text": "old"}), "unchanged"),
    ],
)
def test_what_is_not_for_us_is_ignored_with_its_reason(event: dict[str, Any], reason: str) -> None:
    found = read(envelope(event))
    assert isinstance(found, Ignored)
    assert (found.reason, found.team) == (reason, TEAM)


def test_a_person_using_a_shortcut_is_not_taken_for_a_bot() -> None:
    assert read_message(envelope(spoken(app_id="A00000002"))).user == USER


def test_an_unknown_outer_type_is_ignored() -> None:
    assert read({"type": "something_new"}) == Ignored("type", None, "something_new")
    assert read({"type": "x y\n"}) == Ignored("type", None, "")


# --- edits, deletions, the app's own life


def test_an_edit_is_its_authors_new_text() -> None:
    assert read(envelope(changed(message={"thread_ts": ROOT}))) == Edited(
        team=TEAM,
        channel=CHANNEL,
        ts=TS,
        thread_ts=ROOT,
        user=USER,
        text="new",
        files=(),
        edited_at="1700000009.000000",
        previous_text="old",
        own_user=OWN,
        event_id="Ev0000001",
    )


def test_an_edit_without_its_former_text_is_still_an_edit() -> None:
    event = read(envelope(changed(previous_message=None, message={"edited": {"user": USER}})))
    assert isinstance(event, Edited)
    assert (event.previous_text, event.edited_at) == (None, "1700000009.000900")


def test_a_deletion_names_the_message_that_is_gone() -> None:
    assert read(envelope(deleted())) == Deleted(TEAM, CHANNEL, TS, ROOT, USER, OWN, "Ev0000001")
    bare = read(envelope(deleted(previous_message=None)))
    assert bare == Deleted(TEAM, CHANNEL, TS, None, None, OWN, "Ev0000001")


def test_a_deleted_root_that_keeps_its_replies_is_a_deletion() -> None:
    tombstone = {"subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted.", "thread_ts": TS}
    assert read(envelope(changed(message=tombstone))) == Deleted(TEAM, CHANNEL, TS, None, USER, OWN, "Ev0000001")


def test_uninstalling_and_revoking_are_told() -> None:
    assert read(envelope({"type": "app_uninstalled"})) == Uninstalled(TEAM, "Ev0000001", event_time=1_700_000_000)
    revoked = {"type": "tokens_revoked", "tokens": {"oauth": ["U00000002"], "bot": [OWN]}}
    assert read(envelope(revoked)) == TokensRevoked(TEAM, ("U00000002",), (OWN,), "Ev0000001", event_time=1_700_000_000)
    only_bot = {"type": "tokens_revoked", "tokens": {"bot": [OWN]}}
    assert read(envelope(only_bot)) == TokensRevoked(TEAM, (), (OWN,), "Ev0000001", event_time=1_700_000_000)


def test_the_two_outer_payloads() -> None:
    assert read({"type": "url_verification", "token": "x", "challenge": "c"}) == UrlVerification("c")
    limited = {"type": "app_rate_limited", "team_id": TEAM, "minute_rate_limited": 1_700_000_040, "api_app_id": "A1"}
    assert read(limited) == RateLimited(TEAM, 1_700_000_040)


# --- what is refused


@each(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"type":"\xff"}',
        b'{"x":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        *[b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"type":NaN}', b'{"a":1}x', b'{"text":"\\ud800", "n":Infinity}'],
        *[b"[]", b"null", b"1", b'"x"', b"true", b"[{}]", b'{"n":' + b"9" * 6000 + b', "s":"\\ud800"}'],
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused_with_400(body: bytes) -> None:
    with pytest.raises(PayloadRefused) as caught:
        parse(body)
    assert caught.value.status == 400


BAD_IDS = ["", "../etc/passwd", "c1", "C1\n", "C 1", "Ｃ１２３", "C" * 200, 7, True, [], {}, "C1\0", "\ud800"]


@each("bad", BAD_IDS)
@pytest.mark.parametrize("field", ["channel", "user", "ts", "thread_ts"])
def test_a_malformed_id_is_refused_by_its_field_and_never_echoed(field: str, bad: Any) -> None:
    with pytest.raises(PayloadRefused) as caught:
        read(envelope(spoken(**{field: bad})))
    assert (caught.value.status, caught.value.detail) == (400, f"event.{field} is missing or malformed")


@pytest.mark.parametrize("bad", BAD_IDS)
def test_a_malformed_team_or_event_id_is_refused(bad: Any) -> None:
    with pytest.raises(PayloadRefused, match="team_id"):
        read(envelope(spoken(), team_id=bad))
    if bad != "c1":
        with pytest.raises(PayloadRefused, match="event_id"):
            read(envelope(spoken(), event_id=bad))


@pytest.mark.parametrize(
    "ts", ["1700000000.00010", "1700000000.0001000", "170000000.000100", "1700000000", "1e9.000100"]
)
def test_a_timestamp_of_another_form_is_refused(ts: str) -> None:
    for event in (spoken(ts=ts), deleted(deleted_ts=ts), changed(message={"ts": ts})):
        with pytest.raises(PayloadRefused):
            read(envelope(event))


@pytest.mark.parametrize("missing", ["channel", "user", "ts"])
def test_a_message_without_an_id_is_refused(missing: str) -> None:
    with pytest.raises(PayloadRefused, match=missing):
        read(envelope(spoken(**{missing: None})))


# --- odd characters, leaks, fuzz


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        (r"a\u0000b", "ab"),
        (r"a\ud83dz", "a\ufffdz"),
        (r"\ude00a\ud83d", "\ufffda\ufffd"),
        (r"\ud83d\ude00 \ud83d", "😀 \ufffd"),
        (r"\u0000\ud800", "\ufffd"),
    ],
)
def test_a_message_is_not_lost_for_characters_that_no_engine_stores(raw: str, stored: str) -> None:
    files = [{"id": "F1", "name": "NAME"}]
    template = json.dumps(envelope(spoken(text="TEXT", files=files)))
    event = parse(template.replace("TEXT", raw).replace("NAME", raw).encode())
    assert isinstance(event, Message)
    assert event.text == event.files[0].name == stored
    event.text.encode()


def test_no_repr_shows_what_was_written() -> None:
    files = [{"id": "F1", "name": SECRET_WORDS}]
    for event in (spoken(text=SECRET_WORDS, files=files), changed(message={"text": SECRET_WORDS})):
        shown = repr(read(envelope(event)))
        assert SECRET_WORDS not in shown
        assert TS in shown
    assert SECRET_WORDS not in repr(read({"type": "url_verification", "challenge": SECRET_WORDS}))


VALID: list[dict[str, Any]] = [
    envelope(spoken(files=[{"id": "F1", "name": "a", "mimetype": "b", "size": 1}])),
    envelope(mention(thread_ts=ROOT)),
    envelope(changed()),
    envelope(deleted()),
    envelope({"type": "tokens_revoked", "tokens": {"oauth": ["U00000002"], "bot": [OWN]}}),
    {"type": "url_verification", "challenge": "c"},
    {"type": "app_rate_limited", "team_id": TEAM, "minute_rate_limited": 1},
]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([OWN, TS, TEAM, "message"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, child in steps for path in paths(child, (*at, key)))]


ALL_PATHS = [(number, path) for number, payload in enumerate(VALID) for path in paths(payload)]


def read_or_refuse(body: bytes) -> None:
    """The only error that parse may raise, and its only status."""
    try:
        event = parse(body)
    except PayloadRefused as refused:
        status = refused.status
    else:
        assert isinstance(event, events.Event)
        assert repr(event)
        return
    assert status == 400


def put(payload: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    payload = copy.copy(payload)
    payload[path[0]] = put(payload[path[0]], path[1:], value)
    return payload


@given(where=st.sampled_from(ALL_PATHS), value=anything)
def test_any_value_anywhere_gives_an_event_or_a_refusal(where: tuple[int, tuple[Any, ...]], value: Any) -> None:
    number, path = where
    read_or_refuse(json.dumps(put(VALID[number], path, value)).encode())


@each("where", ALL_PATHS, ids=str)
def test_each_field_may_have_each_wrong_type(where: tuple[int, tuple[Any, ...]]) -> None:
    number, path = where
    for value in (None, True, -1, 10**400, 1.5, "", "\0", "\ud800", [], {}, [[]], [{}], {"type": {}}, ["x"], [None]):
        read_or_refuse(json.dumps(put(VALID[number], path, value)).encode())


@given(number=st.integers(0, len(VALID) - 1), data=st.data())
def test_broken_bytes_give_an_event_or_a_refusal(number: int, data: st.DataObject) -> None:
    body = bytearray(json.dumps(VALID[number]).encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    read_or_refuse(bytes(body))


def test_the_fast_and_the_lenient_decoder_read_the_same() -> None:
    for payload in VALID:
        body = json.dumps(payload).encode()
        assert events._envelope(body) == events._lenient_envelope(body)
