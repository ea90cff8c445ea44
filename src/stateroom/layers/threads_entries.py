"""What a conversation's history looks like in the store: two definitions, and an entry to and from its item.

Rules of this file: no I/O. An item that cannot be read is an error, never an empty history (invariant 7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from stateroom.engines.port import Append, Put, Row
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise
from stateroom.model.content import Content
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import CorruptData, InvalidValue
from stateroom.model.ids import check_id, check_turn_id
from stateroom.model.messages import FORMAT, VERSION, check_format, from_text
from stateroom.model.sealing import check_readable

THREADS: Final = Definition(
    name="sr_threads",
    key="id",
    attributes={
        "id": Attribute("string", required=True),
        "channel": Attribute("slack#/types/channel_id", required=True),
        "thread_ts": Attribute("slack#/types/message_ts", required=True),
        "created_at": Attribute("slack#/types/timestamp", required=True),
    },
    indexes=(Index("created_at", across_teams=True),),
)
# The turn id is part of the row's id and not repeated in the item; the entry's number is the row's version.
ENTRIES: Final = Definition(
    name="sr_entries",
    key="turn_id",
    attributes={
        "turn_id": Attribute("string"),
        "at": Attribute("number", required=True),
        "author": Attribute("slack#/types/user_id", personal=True),
        "ts": Attribute("slack#/types/message_ts"),
        "format": Attribute("string", required=True),
        "version": Attribute("integer", required=True),
        "messages": Attribute("string", personal=True),
        "tombstone": Attribute("boolean"),
    },
    log=True,
    expires=True,  # under a content setting of ttl:…
    on_erase="clear",  # numbers have no gaps, so what goes leaves a tombstone
)
DEFINITIONS: Final = (THREADS, ENTRIES)
WORDS: Final[dict[str, tuple[str, ...]]] = {ENTRIES.name: ("messages",)}  # what `encrypt_content` seals
T = TypeVar("T")
FAR_FUTURE: Final = 1e11  # the year 5138: what is beyond was given in milliseconds


class Entry(NamedTuple):
    """One turn of a thread. `at` in seconds; a tombstone has its place and its times, but no messages."""

    number: int
    turn_id: str
    at: float
    author: str | None
    ts: str | None
    messages: list[dict[str, Any]]
    tombstone: bool


class Place(NamedTuple):
    """Where a thread is: ids that were checked, so that they may be keys (invariant 5)."""

    team: str
    channel: str
    thread_ts: str

    @property
    def stream(self) -> str:
        """The thread's id within its team, and the name of its stream."""
        return f"{self.channel}:{self.thread_ts}"


def place_of(team: object, channel: object, thread_ts: object) -> Place:
    """The place, or InvalidId naming the field."""
    return Place(check_id("team", team), check_id("channel", channel), check_id("ts", thread_ts, "thread_ts"))


def thread_write(place: Place, created_at: float) -> Put:
    """The thread's own row; one that is there stays as it is."""
    channel, thread_ts = place.channel, place.thread_ts
    item = {
        "id": place.stream,
        "channel": channel,
        "thread_ts": thread_ts,
        "created_at": int(_time(created_at, "created_at")),
    }
    return Put(THREADS.name, place.team, place.stream, item, keep=True)


def entry_write(
    place: Place,
    turn_id: str,
    *,
    at: float,
    content: Content,
    text: str | None,
    author: str | None = None,
    ts: str | None = None,
) -> Append:
    """The append of one turn. `text` as of `model.messages.to_text`; None makes a tombstone."""
    item: dict[str, Any] = {"at": normalise(round(_time(at, "at"), 6), "at")}
    if author is not None:
        item["author"] = check_id("user", author, "author")
    if ts is not None:
        item["ts"] = check_id("ts", ts)
    item |= {"format": FORMAT, "version": VERSION}
    item |= {"tombstone": True} if text is None else {"messages": text}
    expires_at = content.expires_at(at)
    return Append(ENTRIES.name, place.team, place.stream, check_turn_id(turn_id), item, expires_at)


def messages_of(row: Row, read: Callable[[object], T]) -> T | None:
    """The messages of an entry's row as `read` gives them, None for a tombstone; CorruptData or FormatTooNew."""
    item = row.item
    if item.get("format") != FORMAT or item.get("version") != VERSION:
        check_format(item.get("format"), item.get("version"), place_in_words(row))
    if item.get("tombstone") is True:
        return None
    try:
        return read(item.get("messages"))
    except InvalidValue as error:
        check_readable(item, "messages", ENTRIES.name)
        raise CorruptData(place_in_words(row), str(error)) from None


def entry_of(row: Row) -> Entry:
    """The entry of a row; CorruptData or FormatTooNew when it cannot be read."""
    messages = messages_of(row, from_text)
    item = row.item
    turn_id = row.id.partition("/")[2]
    at = item.get("at")
    if not turn_id or at is None:
        raise CorruptData(place_in_words(row), "the entry lacks its turn id or its time")
    return Entry(
        row.version, turn_id, float(at), item.get("author"), item.get("ts"), messages or [], tombstone=messages is None
    )


def tombstone_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """What stays of an entry whose words go: its times and its author."""
    kept = {name: item[name] for name in ("at", "author", "ts") if name in item}
    return {**kept, "format": FORMAT, "version": VERSION, "tombstone": True}


def place_in_words(row: Row) -> str:
    """Where a row is, for errors: the thread and the number, no turn id and no words."""
    return f"{ENTRIES.name}/{row.id.partition('/')[0]}/{row.version}"


def _time(value: float, field: str) -> float:
    if not 0 <= value < FAR_FUTURE:
        raise InvalidValue(field, "is no time in seconds since 1970")
    return value
