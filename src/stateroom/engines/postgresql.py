"""postgresql:// : the port over psycopg.

Rules of this file: it lends connections and says what their loss means; what goes by them is in postgresql_verbs.py. A
write that is one statement goes with what else waits, in one round trip (postgresql_door.py). Reads and writes may meet
a restart of the server: a read is asked again once, a write tells what is known of it. Tables are made by `apply`
alone, which `stateroom migrate` calls (invariant 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final

import psycopg
from psycopg import errors

from stateroom.engines.port import (
    Capabilities,
    Table,
    Written,
)
from stateroom.engines.postgresql_apply import apply
from stateroom.engines.postgresql_door import Door
from stateroom.engines.postgresql_errors import Stalled, is_lost, translate
from stateroom.engines.postgresql_freeze import freeze, is_frozen
from stateroom.engines.postgresql_grants import grants
from stateroom.engines.postgresql_joined import SERVER, Joined
from stateroom.engines.postgresql_joined import Store as Joins
from stateroom.engines.postgresql_lines import Asks, Lines
from stateroom.engines.postgresql_many import Bare
from stateroom.engines.postgresql_tables import ITEM_LIMIT
from stateroom.engines.postgresql_url import read_url
from stateroom.engines.postgresql_verbs import Verbs
from stateroom.engines.postgresql_wakes import listen
from stateroom.engines.tables import never_lagging, steps
from stateroom.model.errors import (
    Unsupported,
)

# Of puts that are one statement; a batch says what is the matter, or begins again.
_FOR_A_BATCH: Final = (
    errors.UniqueViolation,
    errors.ProgramLimitExceeded,
    errors.DeadlockDetected,
    errors.SerializationFailure,
)


class PostgresEngine(Verbs):
    """The port over one schema of a PostgreSQL database (14 or later)."""

    capabilities = Capabilities(
        "postgresql",
        durable=True,
        atomic_rows=None,
        item_limit=ITEM_LIMIT,
        processes=True,
        wakes=True,
        joins=True,
        roles=True,
        embedded=False,
        freezes=True,
        names_in_order=False,  # jsonb keeps the names of a map by their length
    )

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._address = read_url(url)
        super().__init__(self._address.schema, self._address.place, clock)
        if self._address.pooled:
            self.capabilities = replace(self.capabilities, wakes=False)  # who is told is whoever has the session then
        self._sides: dict[asyncio.AbstractEventLoop, tuple[Lines, Door]] = {}
        self._last: tuple[asyncio.AbstractEventLoop, Lines, Door] | None = None

    async def open(self) -> None:
        """Connect, and learn which tables there are. StoreUnavailable, FormatTooNew."""
        if self._layouts is None:
            self._layouts = {}
            try:
                await self._learn()
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Finish what is under way in this loop, then let go of the connections."""
        self._layouts, self._last = None, None
        sides, self._sides = self._sides, {}
        for loop, (lines, door) in sides.items():
            if loop is asyncio.get_running_loop():
                await door.close()
                await lines.close()
            elif loop.is_closed():
                lines.abandon()
            else:
                asyncio.run_coroutine_threadsafe(lines.close(), loop)

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        self._ready()
        await self._learn()
        have = {name: layout.table for name, layout in self._ready().items()}
        tables = never_lagging(tables)
        todo = steps(have, tables)
        if todo and not dry_run:
            lines, _ = self._side()
            async with lines.making:
                await self._make(lines, tables)
                await self._learn()
        return todo

    async def freeze(self, *, frozen: bool) -> None:
        """Refuse every write of every process, or take them again (`Freezing`); who owns the tables may do it."""
        self._ready()
        await self._learn()
        lines, _ = self._side()
        try:
            async with lines.line(patient=True) as connection:
                await freeze(connection, self._schema, self._ready().values(), self._place, frozen=frozen)
        except psycopg.Error as error:
            raise translate(error, self._place) from error

    async def frozen(self) -> bool:
        """Whether writes are refused."""
        self._ready()
        lines, _ = self._side()
        try:
            async with lines.line() as connection:
                return await is_frozen(connection, self._schema)
        except psycopg.Error as error:
            raise translate(error, self._place) from error

    async def listen(self, table: str, heard: Callable[[], None]) -> None:
        if not self.capabilities.wakes:
            raise Unsupported("postgresql", "listening for work behind a transaction-mode pooler")
        await listen(self._address.conninfo, self._schema, table, heard)

    async def grants(self, role: str, team: str | None) -> list[str]:
        await self._learn()
        return grants(self._schema, self._ready().values(), role, team)

    async def joined(self, connection: Any) -> Joined:
        inside = replace(self.capabilities, wakes=False, joins=False)
        address = self._address
        joined = Joined(
            connection, Joins(address.schema, address.place, self._clock, inside, self._ready(), self.apply)
        )
        await joined.check(await self._fetch(SERVER, ()))
        return joined

    # How statements reach the server.

    async def _make(self, lines: Lines, tables: Sequence[Table]) -> None:
        try:
            async with lines.line(patient=True) as guard, lines.line(patient=True) as connection:
                await apply(connection, guard, self._schema, tables, self._place)
        except psycopg.Error as error:
            raise translate(error, self._place) from error

    def _side(self) -> tuple[Lines, Door]:
        """The connections of the running loop, and its door."""
        loop = asyncio.get_running_loop()
        if self._last is not None and self._last[0] is loop:
            return self._last[1], self._last[2]
        side = self._sides.get(loop)
        if side is None:
            for gone in [known for known in self._sides if known.is_closed()]:
                self._sides.pop(gone)[0].abandon()
            lines = Lines(self._address.conninfo, pooled=self._address.pooled, deadline=self._address.timeout)
            side = self._sides[loop] = (lines, Door(lines))
        self._last = (loop, *side)
        return side

    async def _fetch(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of a read; asked once more when the connection was broken."""
        lines, _ = self._side()
        for last in (False, True):
            try:
                return await lines.rows(statement, values)
            except psycopg.Error as error:
                if last or isinstance(error, Stalled) or not is_lost(error):
                    raise translate(error, self._place) from error
                lines.forget()
        raise AssertionError("unreachable")

    async def _alone(self, lone: Any) -> Written | None:
        """The result of a write that is one statement; None: nothing was written, a batch must decide."""
        _, door = self._side()
        try:
            found = await door.join(lone)
        except (errors.UniqueViolation, errors.ProgramLimitExceeded):
            return None
        except psycopg.Error as error:
            raise translate(error, self._place, committing=True) from error
        return None if found is None else lone.read(found)

    async def _bare(self, bare: Bare) -> list[Written] | None:
        """The results of puts that are one statement; None: nothing was written, a batch must decide."""
        lines, _ = self._side()
        try:
            return bare.written(await lines.rows(bare.sql, bare.values))
        except _FOR_A_BATCH:
            return None
        except psycopg.Error as error:
            if is_lost(error):
                lines.forget()
            raise translate(error, self._place, committing=True) from error

    def _lent(self) -> AbstractAsyncContextManager[Asks]:
        lines, _ = self._side()
        return lines.line()
