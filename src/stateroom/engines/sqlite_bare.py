"""Many puts that ask for nothing, as a copy makes them: what each becomes is known, so no row is read before.

Rules of this file: it runs inside of the caller's transaction. A statement writes up to CHUNK rows of one batch, each
another row, in the order given. What it cannot say (a row in the way that has expired) is for the general way, and
then nothing of it may stay: the caller rolls back. What a put means is `decide.decide`'s, as everywhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from stateroom.engines.decide import next_version, put_done
from stateroom.engines.sqlite_batch import Batch
from stateroom.engines.sqlite_overlay import CHUNK
from stateroom.engines.sqlite_tables import Layout, rows


def one_bare(batches: Sequence[Batch]) -> str:
    """The table of a group that is nothing but such batches; else ""."""
    table = batches[0].bare if batches else ""
    return table if table and all([batch.bare == table for batch in batches]) else ""  # noqa: C419


def write(cursor: sqlite3.Cursor, noted: dict[str, int], layout: Layout, batches: Sequence[Batch], now: float) -> bool:
    """Put them all and fill their results; False: some were not, and the caller rolls back. `noted`: see `NOTED`."""
    version = next_version(None, now)
    for batch in batches:
        for start in range(0, len(batch.writes), CHUNK):
            puts: Sequence[Any] = batch.writes[start : start + CHUNK]
            ends = any([put.expires_at is not None for put in puts])  # noqa: C419
            values: list[object] = []
            for put, text in zip(puts, batch.texts[start : start + CHUNK], strict=True):
                row = (put.team, put.id, version)
                values += (*row, put.expires_at, text) if ends else (*row, text)
            noted.clear()
            cursor.execute(rows(len(puts), ends).join(layout.bare), (*values, now))
            if cursor.rowcount < len(puts):
                return False
            batch.results += [put_done(put, noted.get(put.id, version)) for put in puts]
    return True
