"""Many callers' lone appends to one log, whose streams are all known: the conversation's write under load.

Rules of this file: nothing is read. Numbers go on from where this process left each stream, which holds only if nobody
else has committed since; who calls has asked that, inside of its transaction. A turn that is there already is refused
by the log's own index, for all of the group, which then goes the general way (sqlite_group.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from stateroom.engines.port import Row, Written
from stateroom.engines.sqlite_batch import Batch
from stateroom.engines.sqlite_overlay import Key, Stream
from stateroom.engines.sqlite_tables import Layout, rows

ROWS = 8  # a statement's: of 1.3 KB each they fit into a processor's first cache (measured: 64 take half as long again)


def one_log(batches: Sequence[Batch]) -> str:
    """The table of a group that is nothing but lone appends to it; else ""."""
    table = batches[0].log
    return table if table and all([b.log == table for b in batches]) else ""  # noqa: C419


def insert(cursor: sqlite3.Cursor, layout: Layout, batches: Sequence[Batch], known: Mapping[Key, Stream]) -> int | None:
    """Insert their entries: bytes written, or None, with nothing done, when a stream is not known.

    IntegrityError: a turn is there already, and `known` is no longer to be believed.
    """
    writes: list[Any] = [b.writes[0] for b in batches]
    streams: list[Any] = [known.get((w.team, w.stream)) for w in writes]
    if None in streams:
        return None
    ends = any([w.expires_at is not None for w in writes])  # noqa: C419, quicker so
    values: list[object] = []
    size = 0
    new = tuple.__new__
    for batch, write, stream in zip(batches, writes, streams, strict=True):
        team, turn_id, expires, text = write.team, write.turn_id, write.expires_at, batch.texts[0]
        stream.last = number = stream.last + 1
        values += (stream.number, number, turn_id, expires, text) if ends else (stream.number, number, turn_id, text)
        size += batch.size
        row = new(Row, (f"{write.stream}/{turn_id}", {}, number, expires, team))
        batch.results = [new(Written, (row, True))]
    width = len(values) // len(batches)
    for start in range(0, len(batches), ROWS):
        part = values[start * width : (start + ROWS) * width]
        cursor.execute(f"{layout.put}{rows(len(part) // width, ends)}", part)
    return size
