"""Items from one store to another: each page of the source beside the same stretch of the target.

Rules of this file: what differs is written, what the source does not have is removed, what is equal costs a look. So a
first copy, a copy that goes on after a kill, and one that catches up are the same walk. Expired rows are no rows. Both
sides are read by team and id, which every engine has; a platform's order is not known, so there each page is asked for
by its ids, and the other way round for what is gone. A page is all that is held. A walk that is done again in the same
process leaves the target alone where the source is as it was (copy_seen.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from stateroom.engines.port import Delete, Engine, Query, Row, Write
from stateroom.layers.copy_rows import alive, carried, put_of, same, size_of
from stateroom.layers.copy_seen import LAST, Seen, digest_of, stretches
from stateroom.layers.copy_write import Sink, persist
from stateroom.layers.walking import Clock, Wait
from stateroom.model.errors import StoreUnavailable

FIRST: Final = 50  # rows of the first page
MOST: Final = 1000
PAGE_BYTES: Final = 1024 * 1024  # what a page is meant to hold
_SAMPLE: Final = 8

Position = tuple[Any, ...] | None
T = TypeVar("T")
P = TypeVar("P", bound=tuple[Any, ...])  # a place: what a row is ordered by
Key = tuple[str, str]  # team, id


@dataclass(frozen=True)
class Side:
    """One of the two stores, as a table of it is read."""

    engine: Engine
    clock: Clock
    wait: Wait

    async def pages(self, table: str, after: Position = None) -> AsyncGenerator[tuple[list[Row], Position], None]:
        """Every row, expired ones too, in pages of about PAGE_BYTES; none of a table that is not there."""
        limit = FIRST
        while True:
            query = Query(table, None, limit, after=after, whole=True)
            try:
                page = await persist(lambda query=query: self.engine.query(query), self.wait)  # type: ignore[misc]
            except StoreUnavailable as error:
                if error.reason != "missing":
                    raise
                return
            yield page.rows, page.position
            if page.position is None:
                return
            after, limit = page.position, next_limit(limit, page.rows)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        """Rows by id."""
        return await persist(lambda: self.engine.get(table, team, ids), self.wait)


async def ahead(pages: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same, with the next one read while this one is worked on."""
    task = asyncio.ensure_future(anext(pages, None))
    try:
        while (found := await task) is not None:
            task = asyncio.ensure_future(anext(pages, None))
            yield found
    finally:
        task.cancel()
        await asyncio.wait({task})
        await pages.aclose()


def next_limit(limit: int, rows: Sequence[Row]) -> int:
    """How many rows the next page is to have, by the size of some of this one."""
    some = rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]
    each = sum(size_of(row) for row in some) / len(some) if some else 1
    return max(1, min(MOST, 2 * limit, int(PAGE_BYTES / max(1.0, each))))


def key_of(row: Row) -> Key:
    """Where a row is."""
    return row.team, row.id


class Stretches(Generic[P]):
    """The target's rows of a table in order, handed out up to a place; those up to `behind` were dealt with before."""

    def __init__(
        self, pages: AsyncGenerator[tuple[list[Row], Position], None], place_of: Callable[[Row], P], behind: P | None
    ) -> None:
        self._pages = pages
        self._place_of = place_of
        self._behind = behind
        self._rows: list[Row] = []
        self._ended = False

    def skip(self, place: P) -> None:
        """Those up to there are not asked for."""
        self._behind = place

    async def until(self, place: P | None) -> list[Row]:
        """Those not handed out yet, up to there; all, with None."""
        found: list[Row] = []
        while True:
            for number, row in enumerate(self._rows):
                here = self._place_of(row)
                if place is not None and here > place:
                    self._rows = self._rows[number:]
                    return found
                if self._behind is None or here > self._behind:
                    found.append(row)
            self._rows = []
            if self._ended:
                return found
            page = await anext(self._pages, None)
            if page is None:
                self._ended = True
            else:
                self._rows, self._ended = page[0], page[1] is None

    async def close(self) -> None:
        """Let go of the walk."""
        await self._pages.aclose()


@dataclass(frozen=True)
class Route:
    """One table's way. `held`: attributes that are put aside."""

    source: Side
    target: Side
    sink: Sink
    table: str
    held: tuple[str, ...] = ()

    def wanted(self, rows: Sequence[Row], now: float) -> dict[Key, Row]:
        """What the target is to have of a page."""
        return {key_of(row): carried(row, self.held) for row in rows if alive(row, now)}


class Step(NamedTuple):
    """What one page came to."""

    seen: int
    written: int
    removed: int
    after: Position


async def beside(route: Route, after: Position, seen: Seen) -> AsyncGenerator[Step, None]:
    """The walk, where both stores have one order; `seen` is filled if it begins at the beginning."""
    source, table = route.source, route.table
    there = Stretches(route.target.pages(table, after), key_of, None)
    noted = after is None
    async for rows, position in ahead(source.pages(table, after)):
        if not rows and position is not None:
            continue  # nothing was looked at up to there
        end = LAST if position is None else key_of(rows[-1])
        now = source.clock()
        moved = await _settle(route, route.wanted(rows, now), await there.until(end or None), now)
        if noted:
            seen.note(end, digest_of(rows))
        yield Step(len(rows), *moved, position)
    if noted:
        seen.ended()
    await there.close()


async def beside_again(route: Route, seen: Seen) -> AsyncGenerator[Step, None]:
    """The walk behind one that has filled `seen`. No step has a place to go on from."""
    source, table, known = route.source, route.table, Seen()
    there: Stretches[Key] | None = None
    start: Position = None
    async for rows, end in stretches(ahead(source.pages(table)), seen.ends, key_of):
        moved = (0, 0)
        digest = digest_of(rows)
        if not seen.same(end, digest):
            now = source.clock()
            there = there or Stretches(route.target.pages(table, start), key_of, None)
            moved = await _settle(route, route.wanted(rows, now), await there.until(end or None), now)
        elif there is not None:
            await there.close()
            there = None
        known.note(end, digest)
        start = end
        yield Step(len(rows), *moved, None)
    seen.become(known)
    if there is not None:
        await there.close()


async def asked(route: Route) -> AsyncGenerator[Step, None]:
    """The walk, where one of the stores is a platform's: each page by its ids. No step has a place to go on from."""
    source, target, table = route.source, route.target, route.table
    async for rows, _ in ahead(source.pages(table)):
        now = source.clock()
        wanted = route.wanted(rows, now)
        yield Step(len(rows), *await _settle(route, wanted, await by_ids(target, table, wanted), now), None)
    async for rows, _ in target.pages(table):
        now = source.clock()
        mine = {key_of(row): row for row in rows}
        kept = {key_of(row) for row in await by_ids(source, table, mine)}
        yield Step(0, *await _settle(route, {}, [row for key, row in mine.items() if key not in kept], now), None)


async def by_ids(side: Side, table: str, keys: Iterable[Key]) -> list[Row]:
    """The rows with those teams and ids that are there."""
    teams: dict[str, list[str]] = {}
    for team, id in keys:
        teams.setdefault(team, []).append(id)
    found: list[Row] = []
    for team, ids in teams.items():
        found += [row._replace(team=team) for row in await side.get(table, team, ids) if row is not None]
    return found


async def changed(route: Route, team: str, ids: Sequence[str]) -> Step:
    """Rows of a team that a log of changes names, made what they are now."""
    rows = await route.source.get(route.table, team, ids)
    writes: list[Write] = [
        Delete(route.table, team, id)
        if row is None
        else put_of(route.table, carried(row._replace(team=team), route.held))
        for id, row in zip(ids, rows, strict=True)
    ]
    await route.sink.write(writes)
    gone = sum(row is None for row in rows)
    return Step(len(ids), len(ids) - gone, gone, None)


async def _settle(route: Route, wanted: dict[Key, Row], there: Sequence[Row], now: float) -> tuple[int, int]:
    """Make `there` what is wanted; how many rows were written, and removed."""
    table, known = route.table, {key_of(row): row for row in there}
    gone = [row for key, row in known.items() if key not in wanted and alive(row, now)]
    puts = [row for key, row in wanted.items() if (old := known.get(key)) is None or not same(row, old)]
    writes: list[Write] = [*(Delete(table, row.team, row.id) for row in gone), *(put_of(table, row) for row in puts)]
    if writes:
        await route.sink.write(writes)
    return len(puts), len(gone)
