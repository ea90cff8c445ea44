"""Refusing every write to a PostgreSQL schema for a while, while its rows move elsewhere.

Rules of this file: the refusal is in the schema itself, as a trigger on each table, so it holds for every process from
the commit on that makes it; while there is none, nothing is paid for it. Making it waits for the writers that are under
way (a lock of the tables does), so what was committed before is there to be read. Only who owns the tables may do it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

from psycopg import AsyncConnection, errors

from stateroom.engines.postgresql_tables import Layout, identifier
from stateroom.model.errors import StoreUnavailable

STATE: Final = "SRFRZ"  # the SQLSTATE of the refusal; the class SR is nobody's
PATIENCE: Final = 60.0  # seconds for writers that are under way
WAIT: Final = "2s"  # that each try keeps new writers waiting, at most
_NAME: Final = "sr_frozen"


async def freeze(
    connection: AsyncConnection[Any], schema: str, layouts: Iterable[Layout], place: str, *, frozen: bool
) -> None:
    """Make the triggers, or remove them. psycopg.Error, StoreUnavailable."""
    tables = [table for layout in layouts for table in _tables(layout)]
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{WAIT}'")
                await _change(connection, identifier(schema), tables, frozen=frozen)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            if time.monotonic() > ends:
                told = "the tables are in use for too long to be frozen; try again"
                raise StoreUnavailable(place, "busy", told, retryable=True) from None
            await asyncio.sleep(0.05)
        else:
            return


async def is_frozen(connection: AsyncConnection[Any], schema: str) -> bool:
    """Whether writes are refused."""
    asked = (
        "SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND t.tgname = %s"
    )
    found = await (await connection.execute(asked, (schema, _NAME))).fetchone()
    return found is not None and bool(found[0])


def _tables(layout: Layout) -> list[str]:
    return [layout.sql, layout.streams] if layout.log else [layout.sql]


async def _change(connection: AsyncConnection[Any], schema: str, tables: list[str], *, frozen: bool) -> None:
    if tables:
        await _run(connection, f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")
    if frozen:
        await _run(
            connection,
            f"CREATE OR REPLACE FUNCTION {schema}.{_NAME}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'stateroom: frozen' USING ERRCODE = '{STATE}'; END $$",
        )
    for table in tables:
        await _run(connection, f"DROP TRIGGER IF EXISTS {_NAME} ON {table}")
        if frozen:
            await _run(
                connection,
                f"CREATE TRIGGER {_NAME} BEFORE INSERT OR UPDATE OR DELETE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{_NAME}()",
            )
    if not frozen:
        await _run(connection, f"DROP FUNCTION IF EXISTS {schema}.{_NAME}()")


async def _run(connection: AsyncConnection[Any], statement: str) -> None:
    """A statement without values; the empty ones make psycopg read %% as it does in all others."""
    await connection.execute(statement, ())
