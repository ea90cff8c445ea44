"""Making tables and indexes in a PostgreSQL schema: what `stateroom migrate apply` does there.

Rules of this file: one process at a time, by an advisory lock; what is new is made in one transaction. An index of a
table that is there is made CONCURRENTLY, so that nobody waits for it, and begun anew when an earlier run was killed.
A table whose writers must do more from now on (`changes`) gets another name: code that does not know it yet meets an
error, looks again, and then knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, errors

from stateroom.engines.decide import with_changes
from stateroom.engines.port import Table, TableIndex
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
from stateroom.model.errors import InvalidDefinition


async def apply(connection: AsyncConnection[Any], schema: str, tables: Sequence[Table], place: str) -> None:
    """Make what is missing. psycopg.Error, InvalidDefinition."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        await _first(connection, schema)
        have = await _catalogue(connection, schema, place)
        late: list[tuple[Layout, str, TableIndex]] = []
        for wanted in with_changes(tables):
            old = have.get(wanted.name)
            table = merged(None if old is None else old.table, wanted)
            if old is not None and table == old.table:
                continue
            layout = await _table(connection, schema, old, table)
            for name, index in layout.indexes.items():
                if old is None:
                    for statement in _statements(layout, name, index):
                        await connection.execute(statement)
                elif index not in old.table.indexes:
                    late.append((layout, name, index))
            if table.expires:
                await connection.execute(layout.create_expiry)
            if not late or late[-1][0] is not layout:
                await _remember(connection, layout)
    for layout, name, index in late:
        await _late(connection, layout, name, index)
    for layout in dict.fromkeys(layout for layout, _, _ in late):
        await _remember(connection, layout)


async def _first(connection: AsyncConnection[Any], schema: str) -> None:
    name = f"{identifier(schema)}.sr_meta".replace("%%", "%")
    found = await (await connection.execute("SELECT to_regclass(%s)", (name,))).fetchone()
    if found == (None,):
        for statement in first_statements(schema):
            await connection.execute(statement)


async def _catalogue(connection: AsyncConnection[Any], schema: str, place: str) -> dict[str, Layout]:
    cursor = await connection.execute(f"SELECT name, definition, generation FROM {identifier(schema)}.sr_tables")
    return read_catalogue(await cursor.fetchall(), schema, place)


async def _table(connection: AsyncConnection[Any], schema: str, old: Layout | None, table: Table) -> Layout:
    if old is None:
        layout = Layout(schema, table)
        for statement in layout.create:
            await connection.execute(statement)
        return layout
    if table.changes and not old.table.changes:
        layout = Layout(schema, table, old.generation + 1)
        await connection.execute(f"ALTER TABLE {old.sql} RENAME TO {identifier(layout.name)}")
        if old.table.expires:
            await connection.execute(f"DROP INDEX {old.schema}.{identifier(old.expiry)}")
        for was, index in old.indexes.items():
            for name in (was, unique_name(was)) if index.unique else (was,):
                await connection.execute(f"DROP INDEX {old.schema}.{identifier(name)}")
        for name, index in layout.indexes.items():
            if index in old.table.indexes:
                for statement in _statements(layout, name, index):
                    await connection.execute(statement)
        return layout
    return Layout(schema, table, old.generation)


def _statements(layout: Layout, name: str, index: TableIndex, how: str = "") -> list[str]:
    made = [index_statement(layout, name, index, how)]
    return [*made, unique_statement(layout, name, index, how)] if index.unique else made


async def _late(connection: AsyncConnection[Any], layout: Layout, name: str, index: TableIndex) -> None:
    """An index of a table in use. A killed run leaves an invalid one, which is no use to anybody."""
    for title in (name, unique_name(name)) if index.unique else (name,):
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {layout.schema}.{identifier(title)}")
    try:
        for statement in _statements(layout, name, index, "CONCURRENTLY "):
            await connection.execute(statement)
    except errors.UniqueViolation:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {layout.schema}.{identifier(unique_name(name))}")
        words = "cannot become unique: rows share a value"
        raise InvalidDefinition(layout.table.name, index.name, words) from None


async def _remember(connection: AsyncConnection[Any], layout: Layout) -> None:
    await connection.execute(
        f"INSERT INTO {layout.schema}.sr_tables VALUES (%s, %s, %s) ON CONFLICT (name) DO UPDATE SET "
        "definition = excluded.definition, generation = excluded.generation",
        (layout.table.name, definition_of(layout.table), layout.generation),
    )
