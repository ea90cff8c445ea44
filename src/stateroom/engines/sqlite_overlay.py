"""What one transaction reads and is about to write: the rows of a table, the streams of a log.

Rules of this file: it keeps no rule of what a write means (sqlite_group.py does); it loads with one statement a table,
holds what is decided, undoes it for a refused batch, and writes it with few many-row statements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import msgspec

from stateroom.engines.port import Append, Row
from stateroom.engines.sqlite_tables import Layout, groups, rows
from stateroom.model.codec import decode

CHUNK: Final = 64  # rows a statement: each size is compiled once and kept

Key = tuple[str, str]
Undo = list[Callable[[], object]] | None  # none: nothing can fail after the first change
_read_places: Final = msgspec.json.Decoder(list[tuple[int, int, int | None, int | None]]).decode


class Items:
    """The rows of one table that the group touches, as they are now. A plain tuple is a row not yet decoded."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.rows: dict[Key, Any] = {}
        self.texts: dict[Key, str] = {}
        self.dirty: dict[Key, None] = {}
        self.claims: dict[Any, list[Key]] = {}  # who of the group took a unique value; asked again before it counts

    def load(self, connection: sqlite3.Connection, keys: Sequence[Key]) -> None:
        if len(keys) == 1:
            found = connection.execute(self.layout.one, keys[0]).fetchall()
        else:
            found = []
            for part in chunks(keys):
                statement = groups(len(part), 2).join(self.layout.many)
                found += connection.execute(statement, tuple(chain.from_iterable(part))).fetchall()
        self.rows.update(dict.fromkeys(keys))
        self.rows.update({(row[0], row[1]): row for row in found})

    def current(self, key: Key, *, whole: bool) -> Row | None:
        """The row; without `whole` its item may be left empty."""
        found = self.rows[key]
        if found is None or type(found) is Row:
            return found
        if not whole:
            return Row(found[1], {}, found[2], found[3], found[0])
        row = Row(found[1], decode(found[4], self.layout.table.name), found[2], found[3], found[0])
        self.rows[key] = row
        return row

    def change(self, key: Key, row: Row | None, text: str | None, undo: Undo) -> None:
        if undo is not None:
            before, before_text, was_dirty = self.rows.get(key), self.texts.get(key), key in self.dirty

            def back() -> None:
                self.rows[key] = before
                if before_text is not None:
                    self.texts[key] = before_text
                if not was_dirty:
                    del self.dirty[key]

            undo.append(back)
        self.rows[key] = row
        self.dirty[key] = None
        if text is not None:
            self.texts[key] = text

    def flush(self, connection: sqlite3.Connection) -> None:
        gone = [key for key in self.dirty if self.rows[key] is None]
        rows = ((key, self.rows[key]) for key in self.dirty)
        kept = [(*key, row.version, row.expires_at, self.texts[key]) for key, row in rows if row is not None]
        for part in chunks(gone):
            connection.execute(groups(len(part), 2).join(self.layout.drop), tuple(chain.from_iterable(part)))
        _put(connection, self.layout.put, kept, self.layout.over)


@dataclass(slots=True)
class Stream:
    number: int
    last: int
    fresh: bool


class Log:
    """The streams of one table that the group touches, and the entries to be added."""

    def __init__(self, layout: Layout, remembered: dict[Key, Stream]) -> None:
        self.layout = layout
        self.streams: dict[Key, Stream] = {}
        self._remembered = remembered
        self.turns: dict[tuple[str, str, str], int] = {}
        self.entries: list[tuple[int, int, str, float | None, str]] = []
        self.top: int | None = None

    def load(self, connection: sqlite3.Connection, wanted: Sequence[Append]) -> None:
        if len(wanted) == 1:
            write = wanted[0]
            found = connection.execute(self.layout.place, (write.turn_id, write.team, write.stream)).fetchone()
            if found is not None:
                self._place(write, *found)
            return
        unknown = []
        for write in wanted:
            stream = self._remembered.get((write.team, write.stream))
            if stream is None:
                unknown.append(write)
            else:  # a turn that is there already would be met by the insert: rarely enough to begin again then
                self.streams[write.team, write.stream] = stream
        for part in chunks(unknown):
            self._load_places(connection, part)

    def _load_places(self, connection: sqlite3.Connection, part: Sequence[Append]) -> None:
        head, tail = self.layout.places
        values = tuple(chain.from_iterable((i, w.team, w.stream, w.turn_id) for i, w in enumerate(part)))
        (text,) = connection.execute(f"{head}{groups(len(part), 4)}{tail}", values).fetchone()
        for index, number, last, known in _read_places(text):
            self._place(part[index], number, last, known)

    def _place(self, write: Append, number: int, last: int | None, known: int | None) -> None:
        self.streams[write.team, write.stream] = Stream(number, last or 0, fresh=False)
        if known is not None:
            self.turns[write.team, write.stream, write.turn_id] = known

    def stream(self, connection: sqlite3.Connection, key: Key) -> Stream:
        found = self.streams.get(key)
        if found is None:
            if self.top is None:
                (self.top,) = connection.execute(self.layout.top).fetchone()
            self.top += 1
            found = self.streams[key] = Stream(self.top, 0, fresh=True)
        return found

    def resume(self, connection: sqlite3.Connection, key: Key) -> Stream:
        """A stream that nothing was loaded of: the next number of a log of changes."""
        found = self.streams.get(key) or self._remembered.get(key)
        if found is None:
            place = connection.execute(self.layout.place, ("", *key)).fetchone()
            if place is None:
                return self.stream(connection, key)
            found = Stream(place[0], place[1] or 0, fresh=False)
        self.streams[key] = found
        return found

    def forget(self, key: Key) -> None:
        """The stream was erased."""
        self.streams.pop(key, None)
        self._remembered.pop(key, None)
        self.turns = {turn: number for turn, number in self.turns.items() if turn[:2] != key}

    def add(self, stream: Stream, write: Append, text: str, undo: Undo) -> int:
        key = (write.team, write.stream, write.turn_id)
        if undo is not None:

            def back() -> None:
                stream.last -= 1
                del self.turns[key]
                self.entries.pop()

            undo.append(back)
        stream.last += 1
        self.turns[key] = stream.last
        self.entries.append((stream.number, stream.last, write.turn_id, write.expires_at, text))
        return stream.last

    def flush(self, connection: sqlite3.Connection) -> None:
        fresh = [(s.number, *key) for key, s in self.streams.items() if s.fresh and s.last]
        for made in chunks(fresh):
            connection.execute(f"{self.layout.begin}{groups(len(made), 3)}", tuple(chain.from_iterable(made)))
        _put(connection, self.layout.put, self.entries)
        for stream in self.streams.values():
            stream.fresh = stream.fresh and not stream.last
        self.entries.clear()


def _put(connection: sqlite3.Connection, head: str, wanted: Sequence[tuple[Any, ...]], tail: str = "") -> None:
    """Insert rows, whose fourth column is the expiry."""
    ends = any([row[3] is not None for row in wanted])  # noqa: C419, quicker so
    for part in chunks(wanted):
        values = chain.from_iterable(part if ends else [(*row[:3], row[4]) for row in part])
        connection.execute(f"{head}{rows(len(part), ends)}{tail}", tuple(values))


def chunks(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
