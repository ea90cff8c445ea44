"""Many callers' `Put(keep=True)` in one statement: the inbox's write, and so what every Slack event costs.

Rules of this file: the statement is its own transaction. Rows are not read before; when fewer were inserted than asked
for, those in the way are looked up after, and their callers go the general way. The caller of these functions holds the
turnstile, so no other process of ours has written between, and has seen that `layout` is not old.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from stateroom.engines.decide import next_version, put_done
from stateroom.engines.port import Put, Write
from stateroom.engines.sqlite_batch import Batch
from stateroom.engines.sqlite_overlay import chunks
from stateroom.engines.sqlite_tables import Layout, groups, rows

ROWS = 64  # one statement's; more would have to be a transaction


def one_table(batches: Sequence[Batch]) -> str:
    """The table of a group that is nothing but rows to keep in it, few enough for one statement; else ""."""
    table = batches[0].keep
    return table if table and len(batches) <= ROWS and all([b.keep == table for b in batches]) else ""  # noqa: C419


def insert(cursor: sqlite3.Cursor, layout: Layout, batches: Sequence[Batch], now: float) -> list[Batch]:
    """Insert the rows that are not there, durably; returns the batches whose row was (or is an expired one)."""
    version = next_version(None, now)
    ends = any([b.writes[0].expires_at is not None for b in batches])  # type: ignore[union-attr]  # noqa: C419
    values: list[object] = []
    for batch in batches:
        write = batch.writes[0]
        assert type(write) is Put
        row, text = (write.team, write.id, version), batch.texts[0]
        values += (*row, write.expires_at, text) if ends else (*row, text)
        batch.results = [put_done(write, version)]
    cursor.execute(rows(len(batches), ends).join(layout.keep), values)
    if cursor.rowcount == len(batches):
        return []
    return _in_the_way(cursor, layout, batches)


def _in_the_way(cursor: sqlite3.Cursor, layout: Layout, batches: Sequence[Batch]) -> list[Batch]:
    """The batches whose row was there before, or is a second one of the same key in this group."""
    top = cursor.lastrowid or 0
    ours = set(range(top - cursor.rowcount + 1, top + 1)) if cursor.rowcount > 0 else set()
    keys = [_key(batch.writes[0]) for batch in batches]
    inserted = set()
    for part in chunks(keys):
        statement = groups(len(part), 2).join(layout.rowids)
        found = cursor.execute(statement, tuple(chain.from_iterable(part))).fetchall()
        inserted.update({(team, id) for place, team, id in found if place in ours})
    rest = []
    for key, batch in zip(keys, batches, strict=True):
        if key in inserted:
            inserted.discard(key)
        else:
            batch.results = []
            rest.append(batch)
    return rest


def _key(write: Write) -> tuple[str, str]:
    assert type(write) is Put
    return write.team, write.id
