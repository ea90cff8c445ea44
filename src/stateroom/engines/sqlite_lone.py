"""A lone caller's write of a row or of a few, written out: on a fast disk our own code is what it costs over raw SQL.

Rules of this file: what a write means is `decide.decide`'s, as everywhere; these functions read a row, ask it, and
write, without the overlay of a group (sqlite_group.py). Puts that ask for no more than an attribute's absence are one
statement that reads nothing. None means that nothing was written and the write is to go the general way. The caller
holds our process's turn at the turnstile, and rolls back what was begun and not ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from stateroom.engines.decide import decide, next_version
from stateroom.engines.port import Append, Delete, Put, Row, Update, Write, Written, log_id
from stateroom.engines.sqlite_group import text_of
from stateroom.engines.sqlite_tables import Layout, groups
from stateroom.expr.tree import Exists
from stateroom.model.codec import decode, encode

Change = Put | Update | Delete
FEW: Final = 64  # writes of one batch: one statement writes their rows


def append(
    cursor: sqlite3.Cursor, layout: Layout, writes: Sequence[Any], texts: Sequence[str | None], now: float
) -> list[Written] | None:
    """One append to a stream that exists, in one statement that is its own transaction.

    None for a new stream, or a turn that is there already.
    """
    write = writes[0]
    values = (write.turn_id, write.expires_at, texts[0], write.team, write.stream)
    found = cursor.execute(layout.append, values).fetchall()
    if not found:
        return None
    row = Row(log_id(write.stream, write.turn_id), {}, found[0][0], write.expires_at, write.team)
    return [Written(row, True)]


def change(
    cursor: sqlite3.Cursor, layout: Layout, writes: Sequence[Any], texts: Sequence[str | None], now: float
) -> list[Written] | None:
    """One put, update or delete, in a transaction of its own; ConditionFailed."""
    if type(writes[0]) is Put and writes[0].condition is None:
        done = put(cursor, layout, writes, texts, now)
        if done is not None:
            return done
    cursor.execute("BEGIN IMMEDIATE")
    write = writes[0]
    found = cursor.execute(layout.lone, (write.team, write.id)).fetchone()
    before = None
    if found is not None:
        item = decode(found[3], write.table) if asks(write, found[3]) else {}
        before = Row(write.id, item, found[1], found[2], write.team)
    decided = decide(before, write, now)
    if decided.changed:
        row = decided.row
        if row is None:
            cursor.execute(layout.lone_delete, found[:1])
        else:
            text = texts[0]
            if text is None:
                text = text_of(write.table, row.item)
            if found is None:
                cursor.execute(layout.lone_insert, (write.team, write.id, row.version, row.expires_at, text))
            else:
                cursor.execute(layout.lone_update, (row.version, row.expires_at, text, found[0]))
        cursor.execute("COMMIT")
    return [decided]


def put(
    cursor: sqlite3.Cursor, layout: Layout, writes: Sequence[Any], texts: Sequence[str | None], now: float
) -> list[Written] | None:
    """Puts of different rows that ask for no more than the absence of one attribute, in one statement."""
    first = writes[0]
    guard = first.guard
    version = next_version(None, now)
    values: list[object] = []
    for write, text in zip(writes, texts, strict=True):
        if write.condition is not None or write.if_version is not None or write.keep or write.guard is not guard:
            return None
        values += (write.team, write.id, version, write.expires_at, text)
    values.append(now)
    if guard is None:
        statement = layout.bare
    elif type(guard) is Exists and guard.absent:
        statement = layout.lacking
        values.append(quoted(guard.path.parts[0]))
    else:
        return None
    if len(writes) == 1:
        found = cursor.execute(f"{statement[0]}(?,?,?,?,?){statement[1]}", values).fetchall()
        return [_written(first, found[0][2])] if found else None
    cursor.execute("BEGIN IMMEDIATE")
    found = cursor.execute(f"{statement[0]}{groups(len(writes), 5)}{statement[1]}", values).fetchall()
    if len(found) < len(writes):  # a row that has expired, or that a guard stops: who rolls back asks `decide`
        return None
    cursor.execute("COMMIT")
    versions = {(team, id): version for team, id, version in found}
    return [_written(write, versions[write.team, write.id]) for write in writes]


def _written(write: Put, version: int) -> Written:
    return Written(Row(write.id, dict(write.item), version, write.expires_at, write.team), True)


def few(writes: Sequence[Write]) -> bool:
    """Whether a batch is a few puts of different rows of one table, as a bulk call makes it."""
    table = writes[0].table
    if len(writes) > FEW or not all([type(write) is Put and write.table == table for write in writes]):  # noqa: C419
        return False
    return len({(write.team, write.id) for write in writes if type(write) is Put}) == len(writes)


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


Lone = Callable[[sqlite3.Cursor, Layout, Sequence[Any], Sequence["str | None"], float], "list[Written] | None"]
LONE: Final[Mapping[type, Lone]] = {Append: append, Put: change, Update: change, Delete: change}
