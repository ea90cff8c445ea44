"""A lone caller's write of a row or of a few, written out: on a fast disk our own code is what it costs over raw SQL.

Rules of this file: what a write means is `decide.decide`'s, as everywhere; these functions read rows one by one, ask
it, and write, without the overlay of a group (sqlite_group.py). None means that nothing was written and the write is to
go the general way. The caller holds our process's turn at the turnstile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from stateroom.engines.decide import decide
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
) -> list[Written]:
    """One put, update or delete; ends the transaction that was begun for it, but for ConditionFailed."""
    write = writes[0]
    found = cursor.execute(layout.lone, (write.team, write.id)).fetchone()
    before = None
    if found is not None:
        item = decode(found[3], write.table) if asks(write, found[3]) else {}
        before = Row(write.id, item, found[1], found[2], write.team)
    done = decide(before, write, now)
    if done.changed:
        row = done.row
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
    return [done]


def few(writes: Sequence[Write]) -> bool:
    """Whether a batch is a few puts of different rows of one table, as a bulk call makes it."""
    table = writes[0].table
    if len(writes) > FEW or not all([type(write) is Put and write.table == table for write in writes]):  # noqa: C419
        return False
    return len({(write.team, write.id) for write in writes if type(write) is Put}) == len(writes)


def change_few(
    cursor: sqlite3.Cursor, layout: Layout, writes: Sequence[Any], texts: Sequence[str | None], now: float
) -> list[Written]:
    """Puts of different rows; ends the transaction that was begun for them, but for ConditionFailed."""
    results: list[Written] = []
    values: list[object] = []
    for index, (write, text) in enumerate(zip(writes, texts, strict=True)):
        found = cursor.execute(layout.lone, (write.team, write.id)).fetchone()
        before = None
        if found is not None:
            item = decode(found[3], write.table) if asks(write, found[3]) else {}
            before = Row(write.id, item, found[1], found[2], write.team)
        done = decide(before, write, now, index)
        results.append(done)
        if done.changed and done.row is not None:
            values += (write.team, write.id, done.row.version, write.expires_at, text)
    if values:
        cursor.execute(f"{layout.put}{groups(len(values) // 5, 5)}{layout.over}", values)
    cursor.execute("COMMIT")
    return results


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
