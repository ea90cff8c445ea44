"""postgresql:// : the port over psycopg.

Rules of this file: it knows no SQL but that of the catalogue. A write that is one statement goes by postgresql_lone.py,
with what else waits, in one round trip (postgresql_door.py); any other by a transaction (postgresql_batch.py). Reads
and writes may meet a restart of the server: a read is asked again once, a write tells what is known of it. Tables are
made by `apply` alone, which `stateroom migrate` calls (invariant 9).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors

from stateroom.engines.decide import check_place, exact, index_key
from stateroom.engines.port import (
    Append,
    Capabilities,
    Page,
    Put,
    Query,
    Rewrite,
    Row,
    Table,
    TableIndex,
    Truncate,
    Write,
    Written,
)
from stateroom.engines.postgresql_apply import apply
from stateroom.engines.postgresql_batch import Batch, Conflict, Taken, text_of
from stateroom.engines.postgresql_conditions import json_of, quoted
from stateroom.engines.postgresql_door import Door
from stateroom.engines.postgresql_errors import Stalled, closed, is_lost, translate
from stateroom.engines.postgresql_freeze import freeze, is_frozen
from stateroom.engines.postgresql_lines import Lines
from stateroom.engines.postgresql_lone import lone_of
from stateroom.engines.postgresql_read import Gathering, read_of, row_of
from stateroom.engines.postgresql_tables import FORMAT, ITEM_LIMIT, Layout, identifier, read_catalogue
from stateroom.engines.postgresql_url import read_url
from stateroom.engines.postgresql_wakes import listen
from stateroom.engines.tables import never_lagging, steps
from stateroom.model.errors import (
    FormatTooNew,
    StoreUnavailable,
    UniqueViolation,
    Unsupported,
)

ATTEMPTS: Final = 30  # at a batch that others come between of
PAUSE: Final = 0.002  # seconds after the first of them, doubled, jittered, at most:
LONGEST: Final = 0.1
PART: Final = 256  # rows asked for at least, when some of them may be passed over


class PostgresEngine:
    """The port over one schema of a PostgreSQL database (14 or later)."""

    capabilities = Capabilities(
        "postgresql",
        durable=True,
        atomic_rows=None,
        item_limit=ITEM_LIMIT,
        processes=True,
        wakes=True,
        embedded=False,
        freezes=True,
        names_in_order=False,  # jsonb keeps the names of a map by their length
    )

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._address = read_url(url)
        self._schema, self._place = self._address.schema, self._address.place
        if self._address.pooled:
            self.capabilities = replace(self.capabilities, wakes=False)  # who is told is whoever has the session then
        self._clock = clock
        self._layouts: dict[str, Layout] | None = None
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

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        try:
            return await self._get(table, team, ids)
        except StoreUnavailable as error:
            if not await self._renamed(error):
                raise
        return await self._get(table, team, ids)

    async def query(self, query: Query) -> Page:
        try:
            return await self._query(query)
        except StoreUnavailable as error:
            if not await self._renamed(error):
                raise
        return await self._query(query)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        try:
            return await self._commit(writes)
        except StoreUnavailable as error:
            if not await self._renamed(error):
                raise
        return await self._commit(writes)

    async def listen(self, table: str, heard: Callable[[], None]) -> None:
        if not self.capabilities.wakes:
            raise Unsupported("postgresql", "listening for work behind a transaction-mode pooler")
        await listen(self._address.conninfo, self._schema, table, heard)

    # The verbs, with the tables that are known of.

    async def _make(self, lines: Lines, tables: Sequence[Table]) -> None:
        try:
            async with lines.line(patient=True) as guard, lines.line(patient=True) as connection:
                await apply(connection, guard, self._schema, tables, self._place)
        except psycopg.Error as error:
            raise translate(error, self._place) from error

    async def _get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        layout = self._ready().get(table) or await self._layout(table)
        now = self._clock()
        if layout.log:
            found = [await self._entry(layout, team, i) for i in ids]
        elif len(ids) == 1:
            found = [next(iter(await self._fetch(layout.one, (team, ids[0]))), None)]
        else:
            by_id = {raw[1]: raw for raw in await self._fetch(layout.many, (team, list(ids)))}
            found = [by_id.get(i) for i in ids]
        return [None if r is None or (r[3] is not None and r[3] <= now) else row_of(r, table) for r in found]

    async def _query(self, query: Query) -> Page:
        layout = self._ready().get(query.table) or await self._layout(query.table)
        gathering = Gathering(read_of(layout, query, self._clock()))
        asked = query.limit + 1
        while True:
            statement, values = gathering.read.statement(gathering.after, asked)
            page = gathering.take(await self._fetch(statement, values), asked)
            if page is not None:
                return page
            asked = max(PART, query.limit + 1)

    async def _commit(self, writes: Sequence[Write]) -> list[Written]:
        layouts = self._ready()
        if not writes:
            return []
        texts = [await self._checked(write) for write in writes]
        if len(writes) == 1:
            write, now = writes[0], self._clock()
            lone = lone_of(layouts[write.table], write, texts[0], now)
            if lone is not None:
                done = await self._alone(lone)
                if done is not None:
                    return [done]
        return await self._together(writes)

    # What the verbs above share.

    def _ready(self) -> dict[str, Layout]:
        if self._layouts is None:
            raise closed(self._place)
        return self._layouts

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

    async def _layout(self, table: str) -> Layout:
        """The table, also one that another process has made since."""
        await self._learn()
        found = self._ready().get(table)
        if found is None:
            detail = f"no table {table}; apply its definition first (`stateroom migrate apply`)"
            raise StoreUnavailable(self._place, "missing", detail, retryable=False)
        return found

    async def _renamed(self, error: StoreUnavailable) -> bool:
        """Whether the store's tables have changed since we looked (postgresql_apply.py): nothing was done, then."""
        if not isinstance(error.__cause__, errors.UndefinedTable):
            return False
        before = {name: layout.generation for name, layout in self._ready().items()}
        await self._learn()
        return before != {name: layout.generation for name, layout in self._ready().items()}

    async def _checked(self, write: Write) -> str | None:
        """Check a write at the door; the JSON of its item."""
        layout = self._ready().get(write.table) or await self._layout(write.table)
        is_log = isinstance(write, (Append, Rewrite, Truncate))
        if layout.log is not is_log:
            what = "item writes to the log" if layout.log else "log writes to the items of"
            raise Unsupported("postgresql", f"{what} {write.table}")
        check_place(write)
        return text_of(layout, write.item) if isinstance(write, (Put, Append, Rewrite)) else None

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

    async def _entry(self, layout: Layout, team: str, row_id: str) -> Any:
        stream, _, turn_id = row_id.partition("/")
        return next(iter(await self._fetch(layout.one, (team, stream, turn_id))), None)

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

    async def _together(self, writes: Sequence[Write]) -> list[Written]:
        """A transaction for the batch, again when somebody came between."""
        lines, _ = self._side()
        removing: list[tuple[str, Row]] = []
        for attempt in range(ATTEMPTS):
            batch: Batch | None = None
            try:
                async with lines.line() as connection:
                    batch = Batch(connection, self._ready(), writes, self._clock())
                    try:
                        return await batch.run(removing)
                    except Taken:
                        removing = await self._in_the_way(connection, batch)
                        if not removing:
                            await self._learn()  # perhaps an index that we do not know of
            except Conflict:
                removing = []  # what was found then may be gone by now
            except psycopg.Error as error:
                raise translate(error, self._place, committing=batch is not None and batch.sending) from error
            await asyncio.sleep(random.uniform(0, min(LONGEST, PAUSE * 2**attempt)))
        detail = "other writers came between too many times; try again"
        raise StoreUnavailable(self._place, "busy", detail, retryable=True)

    async def _in_the_way(self, connection: AsyncConnection[Any], batch: Batch) -> list[tuple[str, Row]]:
        """The rows that hold what the batch wants: those past their expiry, to go first; UniqueViolation for others."""
        gone: list[tuple[str, Row]] = []
        so_far: dict[tuple[str, str, str], Row | None] = {}
        for index, key, row in batch.results:
            so_far[key] = row
            if row is None:
                continue
            layout = self._ready()[key[0]]
            for unique in layout.unique:
                mine = index_key(row.item, unique.attributes)
                if mine is None:
                    continue
                for other in await _holders(connection, layout, unique, key, mine=mine, so_far=so_far):
                    if other.expires_at is None or other.expires_at > batch.now:
                        place, held = f"{key[0]}/{key[2]}", unique.attributes
                        raise UniqueViolation(place, other.item, held, version=other.version, index=index)
                    gone.append((key[0], other))
        return gone

    async def _learn(self) -> None:
        """Read the catalogue. A schema that is not there yet has no tables."""
        schema = identifier(self._schema)
        try:
            found = await self._fetch(f"SELECT value FROM {schema}.sr_meta WHERE name = 'format'", ())
            rows = await self._fetch(f"SELECT name, definition, generation FROM {schema}.sr_tables", ())
        except StoreUnavailable as error:
            if error.reason != "missing" or not isinstance(error.__cause__, _NO_SCHEMA):
                raise
            self._layouts = {}
            return
        if found and int(found[0][0]) > FORMAT:
            raise FormatTooNew(
                self._place, f"the schema has format {found[0][0]}, this version of Stateroom reads up to {FORMAT}"
            )
        self._layouts = read_catalogue(rows, self._schema, self._place)


_NO_SCHEMA: Final = (errors.UndefinedTable, errors.InvalidSchemaName)


async def _holders(
    connection: AsyncConnection[Any],
    layout: Layout,
    unique: TableIndex,
    key: tuple[str, str, str],
    *,
    mine: tuple[Any, ...],
    so_far: Mapping[tuple[str, str, str], Row | None],
) -> list[Row]:
    """Other rows with these values: as the store has them, or as the batch has made them by then."""
    table, team, row_id = key
    same = " AND ".join([f"item->{quoted(a)} = %s::jsonb" for a in unique.attributes])
    sql = f"SELECT {layout.columns} FROM {layout.sql} WHERE team = %s AND id <> %s AND {same}"
    found = await (await connection.execute(sql, (team, row_id, *map(json_of, mine)))).fetchall()
    rows = [row for row in (row_of(raw, table) for raw in found) if (table, team, row.id) not in so_far]
    rows += [row for at, row in so_far.items() if row is not None and at[:2] == key[:2] and at != key]
    keys = [(row, index_key(row.item, unique.attributes)) for row in rows]
    return [row for row, theirs in keys if theirs is not None and exact(theirs) == exact(mine)]
