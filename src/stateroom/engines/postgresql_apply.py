"""Making tables and indexes in a PostgreSQL schema: what `stateroom migrate apply` does there.

Rules of this file: one process at a time, by an advisory lock; what is new is made in one transaction. An index of a
table that is there is made CONCURRENTLY, so that nobody waits for it, and begun anew when an earlier run was killed;
the catalogue names it when it is ready.
A table whose writers must do more from now on (`changes`) gets another name: code that does not know it yet meets an
error, looks again, and then knows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection, errors

from stateroom.engines.decide import with_changes
from stateroom.engines.port import Table, TableIndex
from stateroom.engines.postgresql_lines import BEGIN, settle
from stateroom.engines.postgresql_tables import (
    LOCK,
    Layout,
    definition_of,
    first_statements,
    identifier,
    index_statement,
    read_catalogue,
    unique_name,
    unique_statement,
)
from stateroom.engines.tables import merged
from stateroom.model.errors import InvalidDefinition, StoreUnavailable

PATIENCE: Final = 60.0  # seconds for another run to end
POLL: Final = 0.1


async def apply(
    connection: AsyncConnection[Any], guard: AsyncConnection[Any], schema: str, tables: Sequence[Table], place: str
) -> None:
    """Make what is missing. `guard` is another connection, which keeps other runs out by a transaction of its own: a
    CONCURRENTLY cannot be in one. psycopg.Error, InvalidDefinition, StoreUnavailable."""
    await _alone(guard, place)
    try:
        for late in await _made(connection, schema, tables, place):
            await _finish(connection, late)
    finally:
        await settle(guard)


class _Late(NamedTuple):
    """A table in use, and what is still to be made of it."""

    layout: Layout
    indexes: tuple[tuple[str, TableIndex], ...]
    expiry: bool


async def _alone(guard: AsyncConnection[Any], place: str) -> None:
    """Take the lock, in a transaction that stays open. CONCURRENTLY waits for the end of every transaction that has a
    snapshot: so nobody waits for the lock in a statement, and who has it asks for something that needs none."""
    ends = time.monotonic() + PATIENCE
    while True:
        await guard.execute(BEGIN)
        found = await (await guard.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,))).fetchone()
        if found == (True,):
            await guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            return
        await guard.execute("ROLLBACK")
        if time.monotonic() > ends:
            detail = "another migration is under way; wait for its end and try again"
            raise StoreUnavailable(place, "busy", detail, retryable=True)
        await asyncio.sleep(POLL)


async def _made(connection: AsyncConnection[Any], schema: str, tables: Sequence[Table], place: str) -> list[_Late]:
    """Make what is new, in one transaction; what is to be made beside the traffic."""
    late: list[_Late] = []
    async with connection.transaction():
        await _first(connection, schema)
        have = await _catalogue(connection, schema, place)
        for wanted in with_changes(tables):
            old = have.get(wanted.name)
            table = merged(None if old is None else old.table, wanted)
            if old is None:
                await _new(connection, Layout(schema, table))
            elif table != old.table:
                layout = await _renamed(connection, schema, old, table)
                new = tuple((n, i) for n, i in layout.indexes.items() if i not in old.table.indexes)
                known = replace(table, indexes=old.table.indexes, expires=old.table.expires)
                await _remember(connection, Layout(schema, known, layout.generation))
                late.append(_Late(layout, new, table.expires and not old.table.expires))
    return late


async def _new(connection: AsyncConnection[Any], layout: Layout) -> None:
    statements = [*layout.create, *([layout.create_expiry] if layout.table.expires else [])]
    for name, index in layout.indexes.items():
        statements += _statements(layout, name, index)
    for statement in statements:
        await _run(connection, statement)
    await _remember(connection, layout)


async def _finish(connection: AsyncConnection[Any], late: _Late) -> None:
    for name, index in late.indexes:
        await _index(connection, late.layout, name, index)
    if late.expiry:
        drop = f"DROP INDEX CONCURRENTLY IF EXISTS {late.layout.schema}.{identifier(late.layout.expiry)}"
        await _run(connection, drop)
        await _run(connection, late.layout.create_expiry.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1))
    await _remember(connection, late.layout)


async def _run(connection: AsyncConnection[Any], statement: str) -> None:
    """A statement without values; the empty ones make psycopg read %% as it does in all others."""
    await connection.execute(statement, ())


async def _first(connection: AsyncConnection[Any], schema: str) -> None:
    name = f"{identifier(schema)}.sr_meta".replace("%%", "%")
    found = await (await connection.execute("SELECT to_regclass(%s)", (name,))).fetchone()
    if found == (None,):
        for statement in first_statements(schema):
            await _run(connection, statement)


async def _catalogue(connection: AsyncConnection[Any], schema: str, place: str) -> dict[str, Layout]:
    cursor = await connection.execute(f"SELECT name, definition, generation FROM {identifier(schema)}.sr_tables", ())
    return read_catalogue(await cursor.fetchall(), schema, place)


async def _renamed(connection: AsyncConnection[Any], schema: str, old: Layout, table: Table) -> Layout:
    """The table under the name that it has from now on."""
    if old.table.changes or not table.changes:
        return Layout(schema, table, old.generation)
    layout = Layout(schema, table, old.generation + 1)
    await _run(connection, f"ALTER TABLE {old.sql} RENAME TO {identifier(layout.name)}")
    new = {index.name: name for name, index in layout.indexes.items()}
    names = [(was, new[index.name]) for was, index in old.indexes.items()]
    names += [(unique_name(was), unique_name(name)) for was, name in names if old.indexes[was].unique]
    names += [(old.expiry, layout.expiry)] if old.table.expires else []
    for was, name in names:
        await _run(connection, f"ALTER INDEX {old.schema}.{identifier(was)} RENAME TO {identifier(name)}")
    return layout


def _statements(layout: Layout, name: str, index: TableIndex, how: str = "") -> list[str]:
    made = [index_statement(layout, name, index, how)]
    return [*made, unique_statement(layout, name, index, how)] if index.unique else made


async def _index(connection: AsyncConnection[Any], layout: Layout, name: str, index: TableIndex) -> None:
    """An index of a table in use. A killed run leaves an invalid one, which is no use to anybody."""
    for title in (name, unique_name(name)) if index.unique else (name,):
        await _run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {layout.schema}.{identifier(title)}")
    try:
        for statement in _statements(layout, name, index, "CONCURRENTLY "):
            await _run(connection, statement)
    except errors.UniqueViolation:
        await _run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {layout.schema}.{identifier(unique_name(name))}")
        words = "cannot become unique: rows share a value"
        raise InvalidDefinition(layout.table.name, index.name, words) from None


async def _remember(connection: AsyncConnection[Any], layout: Layout) -> None:
    await connection.execute(
        f"INSERT INTO {layout.schema}.sr_tables VALUES (%s, %s, %s) ON CONFLICT (name) DO UPDATE SET "
        "definition = excluded.definition, generation = excluded.generation",
        (layout.table.name, definition_of(layout.table), layout.generation),
    )
