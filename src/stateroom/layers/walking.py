"""Walks over tables of any layer, page by page: what sweep, erase and migrate share.

Rules of this file: a page is all that is ever held, so memory does not grow with the table. Whoever walks hands in the
clock and the wait between two batches; a walk reads ahead of no write of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from stateroom.engines.leases import Lease
from stateroom.engines.port import Delete, Engine, Query, Rewrite, Row, Table, Truncate, Write, Written
from stateroom.engines.steps import AT_ONCE, unit_of
from stateroom.model.errors import ConditionFailed, StoreUnavailable, Unsupported

BATCH: Final = 100  # rows of one page and of one commit: some milliseconds of the writer's time
TRIES: Final = 20  # looks at a row that others keep changing, before it is left for the next run
EVERYWHERE: Final = "-"  # the team of rows that are about the whole store

W = TypeVar("W", bound=Write)
Clock = Callable[[], float]
Wait = Callable[[float], Awaitable[None]]


@dataclass
class Pace:
    """How much of the time a walk may take.

    `share` of the time it works, the rest it waits; `rate` rows a second at most; `ends` on the clock, or None.
    """

    clock: Clock
    share: float = 1.0
    rate: float | None = None
    ends: float | None = None
    wait: Wait = asyncio.sleep
    _since: float | None = None

    def over(self) -> bool:
        """Whether the time that was given is used up."""
        return self.ends is not None and self.clock() >= self.ends

    async def batch(self, rows: int) -> None:
        """Wait as long as the work since the last call, and its rows, ask for."""
        now = self.clock()
        worked = 0.0 if self._since is None else max(0.0, now - self._since)
        pause = worked * (1 / self.share - 1)
        if self.rate is not None:
            pause = max(pause, rows / self.rate - worked)
        if pause > 0:
            await self.wait(pause)
        self._since = self.clock()


class Renewing(Pace):
    """A pace that renews the lease of a walk, for `seconds`, with every page."""

    def __init__(self, pace: Pace, lease: Lease, seconds: float) -> None:
        super().__init__(pace.clock, pace.share, pace.rate, pace.ends, pace.wait)
        self._lease = lease
        self._seconds = seconds

    async def batch(self, rows: int) -> None:
        await super().batch(rows)
        await self._lease.renew(self._seconds)


async def pages(engine: Engine, query: Query) -> AsyncIterator[tuple[list[Row], tuple[Any, ...] | None]]:
    """The pages of a query, each with the position behind it (None: it is the last)."""
    while True:
        page = await engine.query(query)
        if page.rows:
            yield page.rows, page.position
        if page.position is None:
            return
        query = replace(query, after=page.position)


async def pages_if_any(engine: Engine, query: Query) -> AsyncIterator[tuple[list[Row], tuple[Any, ...] | None]]:
    """`pages` of a table that may not be there yet: then there are none."""
    try:
        async for page in pages(engine, query):
            yield page
    except StoreUnavailable as error:
        if error.reason != "missing":
            raise


async def commit_each(engine: Engine, writes: Sequence[W]) -> list[Written | ConditionFailed]:
    """Commit independent writes with few commits: one that is refused says so in its place and holds up no other."""
    size = (unit_of(engine, writes[0].table) if writes else None) or len(writes) or 1
    if size == 1:
        gate = asyncio.Semaphore(AT_ONCE)

        async def alone(write: W) -> Written | ConditionFailed:
            async with gate:
                return (await _part(engine, [write]))[0]

        return list(await asyncio.gather(*(alone(write) for write in writes)))
    results: list[Written | ConditionFailed] = []
    for start in range(0, len(writes), size):
        results += await _part(engine, writes[start : start + size])
    return results


async def _part(engine: Engine, writes: Sequence[W]) -> list[Written | ConditionFailed]:
    try:
        return [*await engine.commit(writes)]
    except ConditionFailed as refused:
        if len(writes) == 1:
            return [refused]
    except Unsupported:  # what stands beside a row (its entry's turn, its place in an index) may count, too
        if len(writes) == 1:
            raise
    # Halves, so that one refusal in a hundred costs a few commits more, not a hundred.
    middle = len(writes) // 2
    return [*await _part(engine, writes[:middle]), *await _part(engine, writes[middle:])]


async def settle(
    engine: Engine, rows: Sequence[Row], write_of: Callable[[Row], Write | None]
) -> tuple[list[tuple[Row, Write]], int]:
    """Make of each row what `write_of` says (None: nothing), which must refuse a row that has changed.

    Such a row is read and asked again, so no concurrent write is lost. Gives the rows with the writes that changed
    something, and how many kept changing until we gave up.
    """
    done: list[tuple[Row, Write]] = []
    todo = list(rows)
    for _ in range(TRIES):
        chosen = [(row, write) for row in todo if (write := write_of(row)) is not None]
        results = await commit_each(engine, [write for _, write in chosen])
        todo = []
        for (row, write), result in zip(chosen, results, strict=True):
            if isinstance(result, ConditionFailed):
                todo += [fresh for fresh in await engine.get(write.table, row.team, [row.id]) if fresh is not None]
            elif result.changed:
                done.append((row, write))
        if not todo:
            break
    return done, len(todo)


def removal(table: Table, row: Row) -> Delete | Rewrite:
    """The write that takes an expired row away, and does nothing to one that was renewed."""
    if table.log:
        return Rewrite(table.name, row.team, stream_of(row), row.version, {}, expires_at=0, expired=True)
    return Delete(table.name, row.team, row.id, expired=True)


async def empty(engine: Engine, clock: Clock, table: Table, team: str | None, told: Callable[[int], None]) -> None:
    """Remove every row of a team (None: of all) from a table, and every stream of a log with its numbering.

    What is written meanwhile goes, too, until a look finds nothing. `told` hears how many went.
    """
    remove = _empty_streams if table.log else _empty_rows
    try:
        while removed := await remove(engine, clock, Query(table.name, team, BATCH, whole=True), table):
            told(removed)
    except StoreUnavailable as error:
        if error.reason != "missing":
            raise


async def _empty_rows(engine: Engine, clock: Clock, query: Query, table: Table) -> int:
    """The first page goes; how many rows it was."""
    rows, now = (await engine.query(query)).rows, clock()
    writes = [
        removal(table, row)
        if row.expires_at is not None and row.expires_at <= now
        else Delete(table.name, row.team, row.id)
        for row in rows
    ]
    return sum(not isinstance(one, ConditionFailed) and one.changed for one in await commit_each(engine, writes))


async def _empty_streams(engine: Engine, _: Clock, query: Query, table: Table) -> int:
    """Each stream goes when its last entry was met, so that the entries are counted; how many they were."""
    met, last = 0, ("", "")
    async for rows, _position in pages(engine, query):
        for row in rows:
            place = (row.team, stream_of(row))
            if place != last and met:
                await engine.commit([Truncate(table.name, *last)])
            met, last = met + 1, place
    if met:
        await engine.commit([Truncate(table.name, *last)])
    return met


def stream_of(row: Row) -> str:
    """The stream of an entry of a log (`port.log_id`)."""
    return row.id.partition("/")[0]
