"""A lone caller's write of a row or of a few, written out: on a fast disk our own code is what it costs over raw SQL.

Rules of this file: what a write means is `decide.decide`'s, as everywhere; these functions read a row, ask it, and
write, without the overlay of a group (sqlite_group.py). Puts that ask for no more than an attribute's absence, or for
what SQL can surely tell, are one statement that reads nothing. None means that nothing was written and the write is to
go the general way. The caller holds our process's turn at the turnstile, and rolls back what was begun and not ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import decide, put_done
from stateroom.engines.port import Append, Delete, Put, Puts, Row, Update, Written
from stateroom.engines.sqlite_conditions import Filter, where
from stateroom.engines.sqlite_errors import is_busy
from stateroom.engines.sqlite_group import text_of
from stateroom.engines.sqlite_tables import NOTED, Layout, anywhere
from stateroom.expr.tree import And, Condition, Exists
from stateroom.model.codec import decode, encode

Change = Put | Update | Delete
_new: Final = tuple.__new__


class Asked(NamedTuple):
    """What the last conditional put asked, and the clause for it, once it was asked twice."""

    condition: Condition | None
    guard: Condition | None
    layout: Layout | None
    clause: Filter | None


class Lone:
    """The writing cursor, and what its statements note (`NOTED`)."""

    def __init__(self, connection: sqlite3.Connection, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self.noted: dict[str, int] = {}
        connection.create_function(NOTED, 2, self.noted.setdefault)
        self._asked = Asked(None, None, None, None)
        self._lacking: tuple[Condition | None, str] = None, ""

    def append(self, layout: Layout, write: Append, text: str, now: float) -> list[Written] | None:
        """One append to a stream that exists, in one statement that is its own transaction.

        None for a new stream, or a turn that is there already.
        """
        team, stream, turn_id, expires = write.team, write.stream, write.turn_id, write.expires_at
        noted = self.noted
        noted.clear()
        try:
            if expires is None:
                self._cursor.execute(layout.append[False], (team, stream, turn_id, text))
            else:
                self._cursor.execute(layout.append[True], (team, stream, turn_id, text, expires))
        except sqlite3.IntegrityError:
            return None
        return [_written((f"{stream}/{turn_id}", {}, noted[turn_id], expires, team))]

    def put(self, layout: Layout, write: Put, text: str, now: float) -> list[Written] | None:
        """One put; in one statement if it asks for no more than the absence of one attribute."""
        if write.if_version is not None or write.keep:
            done = None
        elif write.condition is not None:
            done = self._put_if(layout, write, write.condition, text, now)
        elif write.guard is None or self._lacks(write.guard):
            done = self._put(layout, write, text, now)
        else:
            done = None
        return self.change(layout, write, text, now) if done is None else done

    def _lacks(self, guard: Condition) -> bool:
        """Whether it asks for an attribute's absence; `_lacking` is then which and how it is looked for."""
        if guard is not self._lacking[0]:
            if type(guard) is not Exists or not guard.absent:
                return False
            self._lacking = guard, anywhere(guard.path.parts[0])
        return True

    def _put(self, layout: Layout, write: Put, text: str, now: float) -> list[Written] | None:
        """None: the row has expired, or the guard stops it."""
        team, key, expires, noted = write.team, write.id, write.expires_at, self.noted
        ends, version = expires is not None, int(now * 1_000_000) or 1
        begin = (team, key, version, expires, text, now) if ends else (team, key, version, text, now)
        noted.clear()
        if write.guard is None:
            self._cursor.execute(layout.lone_bare[ends], begin)
        else:
            self._cursor.execute(layout.lone_lacking[ends], (*begin, self._lacking[1]))
        if self._cursor.rowcount != 1:
            return None
        return [put_done(write, noted.get(key, version))]

    def _put_if(self, layout: Layout, write: Put, condition: Condition, text: str, now: float) -> list[Written] | None:
        """A put over a row that surely fulfils what is asked, in one statement; None: `decide` has to say.

        Making the clause costs more than deciding once, so it is made for a condition that was met just before.
        """
        asked = self._asked
        if asked.condition is not condition or asked.guard is not write.guard or asked.layout is not layout:
            self._asked = Asked(condition, write.guard, layout, None)
            return None
        clause = asked.clause
        if clause is None:
            whole = condition if write.guard is None else And((write.guard, condition))
            clause = where(whole)
            self._asked = asked._replace(clause=clause)
        if not clause.exact:
            return None
        team, key, expires = write.team, write.id, write.expires_at
        self.noted.clear()
        values = (text, expires, team, key, now, *clause.values)
        try:
            self._cursor.execute(f"{layout.lone_if}{clause.sql})", values)
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise
            return None  # such as a row that is no JSON: who reads it says so
        if self._cursor.rowcount != 1:
            return None
        return [put_done(write, self.noted[key])]

    def change(self, layout: Layout, write: Change, text: str | None, now: float) -> list[Written] | None:
        """One put, update or delete, in a transaction of its own; ConditionFailed."""
        execute = self._cursor.execute
        execute("BEGIN IMMEDIATE")
        found = execute(layout.lone, (write.team, write.id)).fetchone()
        before = None
        if found is not None:
            item = decode(found[3], write.table) if asks(write, found[3]) else {}
            before = Row(write.id, item, found[1], found[2], write.team)
        decided = decide(before, write, now)
        if decided.changed:
            row = decided.row
            if row is None:
                execute(layout.lone_delete, found[:1])
            else:
                if text is None:
                    text = text_of(write.table, row.item)
                expires = row.expires_at
                ends = () if expires is None else (expires,)
                if found is None:
                    execute(layout.lone_insert[expires is not None], (write.team, write.id, row.version, *ends, text))
                else:
                    execute(layout.lone_update[expires is not None], (row.version, text, *ends, found[0]))
            execute("COMMIT")
        return [decided]

    def puts(self, layout: Layout, puts: Puts, text: None, now: float) -> Sequence[object] | None:
        """Puts that ask for no more than one attribute's absence, in one statement that is its own transaction."""
        guard, ids, expires = puts.guard, puts.ids, puts.expires
        if guard is None or not self._lacks(guard):
            return None
        rows = zip(ids, puts.texts) if expires is None else zip(ids, expires, puts.texts)  # noqa: B905  alike by type
        values = [puts.team, int(now * 1_000_000) or 1, *chain.from_iterable(rows), now, self._lacking[1]]
        try:
            self._cursor.execute(layout.packed(len(ids), expires is not None), values)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_NOTNULL:
                raise
            return None  # a row has expired, or the guard stops it
        return ids


def _written(row: tuple[str, dict[str, Any], int, float | None, str]) -> Written:
    """A row as it was written. (A NamedTuple's own constructor is a function of Python's: twice the time.)"""
    return _new(Written, (_new(Row, row), True))


@lru_cache(maxsize=256)
def quoted(name: object) -> str:
    """A name as it stands in JSON."""
    return encode(name).decode()


def asks(write: Change, text: str) -> bool:
    """Whether the write asks for anything that the row with this JSON holds; if not, the JSON need not be read.

    A guard that an attribute be absent asks for nothing where its name is nowhere in the text. (Names may be written
    with escapes, `\\u0024v`: where there is one, it is read.)
    """
    if type(write) is Update or write.condition is not None or write.if_version is not None:
        return True
    if type(write) is Delete:
        return False
    guard = write.guard  # type: ignore[union-attr]
    if guard is None or write.keep:  # type: ignore[union-attr]
        return write.keep  # type: ignore[union-attr]
    if type(guard) is Exists and guard.absent:
        return quoted(guard.path.parts[0]) in text or "\\u" in text
    return True


LONE: Final[Mapping[type, Callable[[Lone, Layout, Any, Any, float], Sequence[Any] | None]]] = {
    Append: Lone.append,
    Put: Lone.put,
    Puts: Lone.puts,
    Update: Lone.change,
    Delete: Lone.change,
}
