"""A lone caller's one write of one row, written out: what it costs over raw SQL is our own code, on a fast disk.

Rules of this file: what a write means is `decide.decide`'s, as everywhere; these functions read one row, ask it, and
write one row, without the lists, overlays and many-row statements of a group (sqlite_group.py). None means that nothing
was written and the write is to go the general way. The caller holds our process's turn at the turnstile.
"""

from __future__ import annotations

import sqlite3

from stateroom.engines.decide import decide
from stateroom.engines.port import Append, Delete, Put, Row, Update, Written, log_id
from stateroom.engines.sqlite_group import is_plain, text_of
from stateroom.engines.sqlite_tables import Layout
from stateroom.model.codec import decode


def append(cursor: sqlite3.Cursor, layout: Layout, write: Append, text: str) -> Written | None:
    """One append to a stream that exists, in one statement that is its own transaction.

    None for a new stream, or a turn that is there already.
    """
    values = (write.turn_id, write.expires_at, text, write.team, write.stream)
    found = cursor.execute(layout.append, values).fetchall()
    if not found:
        return None
    return Written(Row(log_id(write.stream, write.turn_id), {}, found[0][0], write.expires_at, write.team), True)


def change(
    cursor: sqlite3.Cursor, layout: Layout, write: Put | Update | Delete, text: str | None, now: float
) -> Written | None:
    """One put, update or delete inside of the caller's transaction; ConditionFailed."""
    found = cursor.execute(layout.lone, (write.team, write.id)).fetchone()
    before = None
    if found is not None:
        before = Row(write.id, {} if is_plain(write) else decode(found[3], write.table), found[1], found[2], write.team)
    done = decide(before, write, now)
    if not done.changed:
        return done
    row = done.row
    if row is None:
        cursor.execute(layout.lone_delete, found[:1])
        return done
    if text is None:
        text = text_of(write.table, row.item)
    if found is None:
        cursor.execute(layout.lone_insert, (write.team, write.id, row.version, row.expires_at, text))
    else:
        cursor.execute(layout.lone_update, (row.version, row.expires_at, text, found[0]))
    return done
