"""Streams from one store to another, with the numbers and turn ids that they have.

Rules of this file: entries are appended in the order of their numbers, and the target's own numbering must give the
same ones, or the stream is begun anew there. What was swept or has expired is appended as well: numbers have no gaps.
An entry that changed is rewritten in its place; a stream that is gone, or was erased and began anew, is erased first.
Both sides are walked by team, stream and number, which every engine with logs has; where a walk is done again in the
same process, the target only from where the source is not as it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from stateroom.engines.port import Append, Rewrite, Row, Truncate, Written
from stateroom.layers.copy_items import Position, Route, Step, Stretches, ahead
from stateroom.layers.copy_rows import same
from stateroom.layers.copy_seen import LAST, Seen, digest_of, stretches
from stateroom.layers.copy_write import persist
from stateroom.layers.walking import stream_of

Place = tuple[str, str, int]  # team, stream, number
Stream = tuple[str, str]


def place_of(row: Row) -> Place:
    """Where an entry is."""
    return row.team, stream_of(row), row.version


async def streams(
    route: Route, after: Position, behind: Place | None, seen: Seen
) -> AsyncGenerator[tuple[Step, Place | None], None]:
    """The walk; each step with the place of its last entry. `after` is the source's position, `behind` its place.

    `seen` is filled if it begins at the beginning.
    """
    source, table = route.source, route.table
    there = Stretches(route.target.pages(table), place_of, behind)
    walk, noted = _Walk(route), after is None
    async for rows, position in ahead(source.pages(table, after)):
        if not rows and position is not None:
            continue
        end = LAST if position is None else place_of(rows[-1])
        step = await walk.page(rows, await there.until(end or None), position)
        if noted:
            seen.note(end, digest_of(rows))
        yield step, place_of(rows[-1]) if rows else None
    if noted:
        seen.ended()
    await there.close()


async def streams_again(route: Route, seen: Seen) -> AsyncGenerator[tuple[Step, None], None]:
    """The walk behind one that has filled `seen`. No step has a place to go on from."""
    known, walk = Seen(), _Walk(route)
    there = Stretches(route.target.pages(route.table), place_of, None)
    start: Any = None
    async for rows, end in stretches(ahead(route.source.pages(route.table)), seen.ends, place_of):
        step = Step(len(rows), 0, 0, None)
        digest = digest_of(rows)
        if not seen.same(end, digest):
            if start is not None:
                there.skip(start)
            step = await walk.page(rows, await there.until(end or None), None)
        known.note(end, digest)
        start = end
        yield step, None
    seen.become(known)
    await there.close()


class _Walk:
    """Makes the target's streams what the source's are, page by page."""

    def __init__(self, route: Route) -> None:
        self._target = route.target
        self._sink = route.sink
        self._table = route.table
        self._erased: set[Stream] = set()  # in this walk: what was known of them is void
        self._left: set[Stream] = set()  # of these, those whose beginning is behind us: the next pass brings them

    async def page(self, rows: Sequence[Row], there: Sequence[Row], after: Position) -> Step:
        """One page of the source beside the target's entries of the same stretch."""
        if not there and not self._left:
            return Step(len(rows), await self._append(rows), 0, after)
        known = {place_of(row): row for row in there}
        mine = {place_of(row) for row in rows}
        removed = changed = 0
        for stream in dict.fromkeys(place[:2] for place in known if place not in mine):
            removed += await self._erase(stream)
        fresh: list[Row] = []
        for row in rows:
            place, stream = place_of(row), place_of(row)[:2]
            old = None if stream in self._erased else known.get(place)
            if old is not None and old.id != row.id:
                removed += await self._erase(stream)
                old = None
            if row.version == 1:
                self._left.discard(stream)
            if stream in self._left:
                continue
            if old is None:
                fresh.append(row)
            elif not same(row, old):
                changed += await self._rewrite(row)
        changed += await self._append(fresh)
        return Step(len(rows), changed, removed, after)

    async def _append(self, rows: Sequence[Row]) -> int:
        """New entries of any streams, each stream's in order."""
        if not rows:
            return 0
        done = await self._sink.in_order([_append_of(self._table, row) for row in rows])
        for row, one in zip(rows, done, strict=True):
            if _number(one) != row.version:
                await self._erase(place_of(row)[:2])  # the target has other turns there
        return len(rows)

    async def _rewrite(self, row: Row) -> int:
        team, stream, number = place_of(row)
        write = Rewrite(self._table, team, stream, number, row.item, expires_at=row.expires_at)
        await persist(lambda: self._target.engine.commit([write]), self._target.wait)
        return 1

    async def _erase(self, stream: Stream) -> int:
        """The stream goes; where the source has it, it comes again whole."""
        self._left.add(stream)
        self._erased.add(stream)
        self._sink.again = True
        write = Truncate(self._table, *stream)
        (done,) = await persist(lambda: self._target.engine.commit([write]), self._target.wait)
        return int(done.changed)


def _append_of(table: str, row: Row) -> Append:
    stream, _, turn_id = row.id.partition("/")
    return Append(table, row.team, stream, turn_id, row.item, row.expires_at)


def _number(done: Written) -> int:
    return 0 if done.row is None else done.row.version
