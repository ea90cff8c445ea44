"""get, query and commit of the port in PostgreSQL's SQL, whosever connection it is that they go by.

Rules of this file: it opens and keeps no connection. A write that is one statement is made by postgresql_lone.py, any
other by a batch (postgresql_batch.py), which is begun again when somebody came between. The catalogue is read once, and
again when a table is not where it was.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import psycopg
from psycopg import errors

from stateroom.engines.decide import check_place, exact, index_key
from stateroom.engines.port import Append, Page, Put, Query, Rewrite, Row, TableIndex, Truncate, Write, Written
from stateroom.engines.postgresql_batch import Batch, Conflict, Taken, text_of
from stateroom.engines.postgresql_conditions import json_of, quoted
from stateroom.engines.postgresql_errors import closed, translate
from stateroom.engines.postgresql_lines import ALONE, Asks, Frame
from stateroom.engines.postgresql_lone import Lone, lone_of
from stateroom.engines.postgresql_many import Bare, bare_of
from stateroom.engines.postgresql_read import Gathering, read_of, row_of
from stateroom.engines.postgresql_tables import FORMAT, Layout, identifier, read_catalogue
from stateroom.model.errors import ConditionFailed, FormatTooNew, StoreUnavailable, UniqueViolation, Unsupported

ATTEMPTS: Final = 30  # at a batch that others come between of
PAUSE: Final = 0.002  # seconds after the first of them, doubled, jittered, at most:
LONGEST: Final = 0.1
PART: Final = 256  # rows asked for at least, when some of them may be passed over


class Verbs(ABC):
    """Reading and writing a schema. Who derives from it says how statements reach the server."""

    _frame: Frame = ALONE  # around a batch

    def __init__(self, schema: str, place: str, clock: Callable[[], float]) -> None:
        self._schema, self._place, self._clock = schema, place, clock
        self._layouts: dict[str, Layout] | None = None

    @abstractmethod
    async def _fetch(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of a read. Raises our errors."""

    @abstractmethod
    async def _alone(self, lone: Lone) -> Written | None:
        """The result of a write that is one statement; None: nothing was written, a batch must decide."""

    async def _bare(self, bare: Bare) -> list[Written] | None:
        """The results of puts that are one statement; None: nothing was written, a batch must decide."""
        return None

    @abstractmethod
    def _lent(self) -> AbstractAsyncContextManager[Asks]:
        """A connection for a batch."""

    def _check_again(self, conflict: Conflict, writes: Sequence[Write]) -> None:
        """Raise where a batch that is begun again would see no more than before; not in a transaction of its own."""
        return

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

    # The same, with the tables that are known of.

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
        self._ready()
        if not writes:
            return []
        texts = [await self._checked(write) for write in writes]
        if len(writes) == 1:
            write, now = writes[0], self._clock()
            lone = lone_of(self._ready()[write.table], write, texts[0], now)
            if lone is not None:
                done = await self._alone(lone)
                if done is not None:
                    return [done]
                if isinstance(write, Put) and write.passes and write.if_version:
                    (row,) = await self._get(write.table, write.team, [write.id])
                    place, version = f"{write.table}/{write.id}", 0 if row is None else row.version
                    raise ConditionFailed(place, None if row is None else row.item, version=version)
        elif (bare := bare_of(self._ready()[writes[0].table], writes, texts, self._clock())) is not None:
            written = await self._bare(bare)
            if written is not None:
                return written
        return await self._together(writes)

    # What they share.

    def _ready(self) -> dict[str, Layout]:
        if self._layouts is None:
            raise closed(self._place)
        return self._layouts

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

    async def _entry(self, layout: Layout, team: str, row_id: str) -> Any:
        stream, _, turn_id = row_id.partition("/")
        return next(iter(await self._fetch(layout.one, (team, stream, turn_id))), None)

    async def _together(self, writes: Sequence[Write]) -> list[Written]:
        """A batch, begun again when somebody came between."""
        removing: list[tuple[str, Row]] = []
        for attempt in range(ATTEMPTS):
            batch: Batch | None = None
            try:
                async with self._lent() as asks:
                    batch = Batch(asks, self._ready(), writes, self._clock(), self._frame)
                    try:
                        return await batch.run(removing)
                    except Taken:
                        removing = await self._in_the_way(asks, batch)
                        if not removing:
                            await self._learn()  # perhaps an index that we do not know of
            except Conflict as conflict:
                self._check_again(conflict, writes)
                removing = []  # what was found then may be gone by now
            except psycopg.Error as error:
                sent = self._frame.commits and batch is not None and batch.sending
                raise translate(error, self._place, committing=sent) from error
            await asyncio.sleep(random.uniform(0, min(LONGEST, PAUSE * 2**attempt)))
        detail = "other writers came between too many times; try again"
        raise StoreUnavailable(self._place, "busy", detail, retryable=True)

    async def _in_the_way(self, asks: Asks, batch: Batch) -> list[tuple[str, Row]]:
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
                for other in await _holders(asks, layout, unique, key, mine=mine, so_far=so_far):
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
    asks: Asks,
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
    found = await (await asks.execute(sql, (team, row_id, *map(json_of, mine)))).fetchall()
    rows = [row for row in (row_of(raw, table) for raw in found) if (table, team, row.id) not in so_far]
    rows += [row for at, row in so_far.items() if row is not None and at[:2] == key[:2] and at != key]
    keys = [(row, index_key(row.item, unique.attributes)) for row in rows]
    return [row for row, theirs in keys if theirs is not None and exact(theirs) == exact(mine)]
