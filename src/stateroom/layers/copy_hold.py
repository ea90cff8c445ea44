"""What workers would find and do, put aside or let go again: in a copy, and in a backup that took a store's place.

Rules of this file: it knows no layer; which attributes let a worker find a row is handed in (`held`). Put aside, they
are in one attribute that no index knows (docs/format.md), so rows that are held are found by walking all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from stateroom.engines.port import Engine, Query, Row, Update
from stateroom.expr.builder import attr
from stateroom.layers.copy_rows import HELD, Held, carried, release_of
from stateroom.layers.walking import BATCH, pages_if_any, settle

Change = Callable[[str, Row], Update | None]


async def hold(engine: Engine, held: Held) -> int:
    """Put aside what workers would find; how many rows it was."""
    changed = 0
    for name, attributes in held.items():
        query = Query(name, None, BATCH, condition=attr(attributes[-1]).exists(), whole=True)
        changed += await _each(engine, query, partial(_put_aside, attributes))
    return changed


async def release(engine: Engine, held: Held) -> int:
    """Let workers find what was put aside; how many rows it was."""
    changed = 0
    for name in held:
        changed += await _each(engine, _of(name), _let_go)
    return changed


async def waiting(engine: Engine, table: str) -> AsyncIterator[Sequence[Row]]:
    """The rows of a table that are held, by pages."""
    async for rows, _ in pages_if_any(engine, _of(table)):
        yield rows


def _of(table: str) -> Query:
    return Query(table, None, BATCH, condition=attr(HELD).exists(), whole=True)


async def _each(engine: Engine, query: Query, change: Change) -> int:
    changed = 0
    async for rows, _ in pages_if_any(engine, query):
        done, _ = await settle(engine, rows, partial(change, query.table))
        changed += len(done)
    return changed


def _put_aside(attributes: tuple[str, ...], table: str, row: Row) -> Update | None:
    found = carried(row, attributes).item.get(HELD) if HELD not in row.item else None
    if found is None:
        return None
    return Update(table, row.team, row.id, set={HELD: found}, remove=tuple(found), if_version=row.version)


def _let_go(table: str, row: Row) -> Update | None:
    return release_of(table, row) if HELD in row.item else None
