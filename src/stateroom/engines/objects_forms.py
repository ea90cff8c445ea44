"""Objects to and from their JSON (docs/format.md, "Objects").

Rules of this file: pure. Whatever is read names its format, its version and its place, and all three are checked: what
cannot be read, is of another format, or lies where it does not belong is an error, never nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from stateroom.engines.objects_bucket import mark
from stateroom.engines.objects_names import Stream
from stateroom.engines.port import Row, Table, log_id
from stateroom.model.codec import decode, encode
from stateroom.model.errors import CorruptData, FormatTooNew, ItemTooLarge

VERSION: Final = 1
ITEM_LIMIT: Final = 16 * 1024 * 1024
STORE: Final = "stateroom/store"
ITEM: Final = "stateroom/item"
ENTRY: Final = "stateroom/entry"
ERASED: Final = "stateroom/erased"
SNAPSHOT: Final = "stateroom/snapshot"
TURNS: Final = "stateroom/turns"
ADVICE: Final = "look at who else writes below this prefix, or restore it"


def read(data: bytes, key: str, *formats: str) -> dict[str, Any]:
    """The JSON of an object of one of these formats. CorruptData, FormatTooNew."""
    found = decode(data, key)
    if not isinstance(found, dict) or found.get("format") not in formats:
        raise CorruptData(key, f"the object is none of {', '.join(formats)}", ADVICE)
    version = found.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CorruptData(key, "the object has no version", ADVICE)
    if version > VERSION:
        raise FormatTooNew(key, f"the object has version {version}, this version of Stateroom reads up to {VERSION}")
    return found


def wrong(key: str, what: str) -> CorruptData:
    return CorruptData(key, what, ADVICE)


# The catalogue.


@dataclass(frozen=True)
class Catalogue:
    """Tables by name, and those in which some row has, or had, an expiry."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    expiring: frozenset[str] = frozenset()

    def data(self) -> bytes:
        shown = {
            name: {"log": t.log, "expires": t.expires, "expiring": name in self.expiring}
            for name, t in sorted(self.tables.items())
        }
        return encode({"format": STORE, "version": VERSION, "write": mark(), "tables": shown})

    @staticmethod
    def of(data: bytes, key: str) -> Catalogue:
        found = read(data, key, STORE)
        try:
            shown = found["tables"]
            tables = {name: Table(name, log=one["log"], expires=one["expires"]) for name, one in shown.items()}
            return Catalogue(tables, frozenset(name for name, one in shown.items() if one["expiring"]))
        except (KeyError, TypeError, AttributeError):
            raise wrong(key, "the catalogue lacks what it must have") from None


# Items.


def row_data(table: str, row: Row) -> bytes:
    """The object of a row; ItemTooLarge."""
    item = encode(row.item)
    if len(item) > ITEM_LIMIT:
        raise ItemTooLarge(table, len(item), ITEM_LIMIT)
    return encode({**_row(table, row.team, row.id, row.version), **_expiry(row.expires_at), "item": row.item})


def gone_data(table: str, team: str, row_id: str, version: int) -> bytes:
    """The object of a row that was removed under a condition, where objects cannot be so."""
    return encode({**_row(table, team, row_id, version), "deleted": True})


def read_row(data: bytes, key: str, table: str, team: str, row_id: str | None) -> Row | None:
    """The row of an object, None for one that was removed. `row_id` None: whatever it says."""
    found = read(data, key, ITEM)
    try:
        named = found["table"], found["team"], found["id"]
        if named[:2] != (table, team) or row_id not in (None, named[2]):
            raise wrong(key, "the object says that it belongs elsewhere")
        if found.get("deleted") is True:
            return None
        item, version = found["item"], int(found["revision"])
        if not isinstance(item, dict):
            raise wrong(key, "the object's item is none")
        return Row(named[2], item, version, _expires(found), team)
    except (KeyError, TypeError, ValueError):
        raise wrong(key, "the object lacks what it must have") from None


def _row(table: str, team: str, row_id: str, version: int) -> dict[str, Any]:
    head: dict[str, Any] = {"format": ITEM, "version": VERSION, "table": table, "team": team, "id": row_id}
    return {**head, "revision": version, "write": mark()}


def _expiry(expires_at: float | None) -> dict[str, Any]:
    return {} if expires_at is None else {"expires_at": expires_at}


def _expires(found: Mapping[str, Any]) -> float | None:
    at = found.get("expires_at")
    return None if at is None else float(at)


# Streams.


class Entry(NamedTuple):
    """An entry. `expires_at` 0: an empty place."""

    number: int
    turn_id: str
    item: Mapping[str, Any]
    expires_at: float | None

    def row(self, stream: Stream) -> Row:
        """As the port has it, with an item of the caller's own."""
        item = decode(encode(self.item))
        return Row(log_id(stream.name, self.turn_id), item, self.number, self.expires_at, stream.team)

    def plain(self) -> dict[str, Any]:
        return {"number": self.number, "turn_id": self.turn_id, **_expiry(self.expires_at), "item": self.item}


def entry_data(stream: Stream, entry: Entry) -> bytes:
    """The object of an entry; ItemTooLarge."""
    data = encode({**_head(ENTRY, stream), **entry.plain()})
    if len(data) > ITEM_LIMIT and (size := len(encode(entry.item))) > ITEM_LIMIT:
        raise ItemTooLarge(stream.table, size, ITEM_LIMIT)
    return data


def erased_data(stream: Stream, number: int) -> bytes:
    """The object behind the last entry of a stream that was erased: nothing is appended there any more."""
    return encode({**_head(ERASED, stream), "number": number})


def read_entry(data: bytes, key: str, stream: Stream, number: int) -> Entry | None:
    """The entry of an object; None: here the stream was erased."""
    found = read(data, key, ENTRY, ERASED)
    _check(found, key, stream)
    try:
        if found["number"] != number:
            raise wrong(key, "the object says that it belongs elsewhere")
        return None if found["format"] == ERASED else _entry(found)
    except (KeyError, TypeError, ValueError):
        raise wrong(key, "the object lacks what it must have") from None


class Turn(NamedTuple):
    """What a list of turns tells of one: when it ends, as it was appended."""

    turn_id: str
    expires_at: float | None

    def plain(self) -> Any:
        return self.turn_id if self.expires_at is None else [self.turn_id, self.expires_at]


@dataclass(frozen=True)
class Turns:
    """All turns of a stream up to a number, in order."""

    turns: tuple[Turn, ...] = ()

    def data(self, stream: Stream, generation: int) -> bytes:
        shown = [turn_id if end is None else (turn_id, end) for turn_id, end in self.turns]
        return encode({**_head(TURNS, stream), "generation": generation, "number": len(shown), "turns": shown})


def read_turns(data: bytes, key: str, stream: Stream, generation: int) -> Turns:
    """CorruptData, FormatTooNew."""
    try:
        return Turns(tuple(map(_turn, _read_turns(data, key, stream, generation))))
    except (KeyError, TypeError, ValueError):
        raise wrong(key, "the object lacks what it must have") from None


def count_turns(data: bytes, key: str, stream: Stream, generation: int) -> int:
    """How many `read_turns` would find, without a look at each. CorruptData, FormatTooNew."""
    try:
        return len(_read_turns(data, key, stream, generation))
    except (KeyError, TypeError):
        raise wrong(key, "the object lacks what it must have") from None


def _read_turns(data: bytes, key: str, stream: Stream, generation: int) -> Any:
    found = read(data, key, TURNS)
    _check(found, key, stream)
    turns = found["turns"]
    if found["generation"] != generation or found["number"] != len(turns):
        raise wrong(key, "the list of turns is not what it says")
    return turns


@dataclass(frozen=True)
class Snapshot:
    """What a reader finds first. `base`: the turns up to there are in the list of turns, the others here.

    `entries`: the newest, by number. `loose`: those that were rewritten, or are about to be: no snapshot holds them.
    `settled`: no entry up to there can expire any more.
    """

    generation: int = 0
    number: int = 0
    base: int = 0
    turns: tuple[Turn, ...] = ()
    entries: Mapping[int, Entry] = field(default_factory=dict)
    loose: frozenset[int] = frozenset()
    settled: int = 0

    def data(self, stream: Stream) -> bytes:
        about = {"generation": self.generation, "number": self.number, "base": self.base, "settled": self.settled}
        return encode(
            {
                **_head(SNAPSHOT, stream),
                **about,
                "turns": [turn.plain() for turn in self.turns],
                "loose": sorted(self.loose),
                "entries": [self.entries[number].plain() for number in sorted(self.entries)],
            }
        )

    def without(self, number: int) -> Snapshot:
        """The same, never to hold that entry again."""
        entries = {n: e for n, e in self.entries.items() if n != number}
        return replace(self, entries=entries, loose=self.loose | {number})


def read_snapshot(data: bytes, key: str, stream: Stream) -> Snapshot:
    """CorruptData, FormatTooNew."""
    found = read(data, key, SNAPSHOT)
    _check(found, key, stream)
    try:
        entries = {entry.number: entry for entry in map(_entry, found["entries"])}
        turns = tuple(map(_turn, found["turns"]))
        made = Snapshot(
            int(found["generation"]),
            int(found["number"]),
            int(found["base"]),
            turns,
            entries,
            frozenset(map(int, found["loose"])),
            int(found["settled"]),
        )
    except (KeyError, TypeError, ValueError):
        raise wrong(key, "the object lacks what it must have") from None
    if made.base + len(turns) != made.number or any(not 0 < n <= made.number for n in entries):
        raise wrong(key, "the snapshot is not what it says")
    return made


def _head(kind: str, stream: Stream) -> dict[str, Any]:
    place = {"table": stream.table, "team": stream.team, "stream": stream.name}
    return {"format": kind, "version": VERSION, **place, "write": mark()}


def _check(found: Mapping[str, Any], key: str, stream: Stream) -> None:
    if (found.get("table"), found.get("team"), found.get("stream")) != stream:
        raise wrong(key, "the object says that it belongs elsewhere")


def _entry(found: Mapping[str, Any]) -> Entry:
    number, turn_id, item = found["number"], found["turn_id"], found["item"]
    if not isinstance(item, dict) or not isinstance(turn_id, str) or not isinstance(number, int):
        raise TypeError
    return Entry(number, turn_id, item, _expires(found))


def _turn(found: Any) -> Turn:
    if isinstance(found, str):
        return Turn(found, None)
    turn_id, expires_at = found
    return Turn(str(turn_id), float(expires_at))
