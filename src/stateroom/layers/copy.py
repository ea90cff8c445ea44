"""Copying a store into another, in steps that may be killed and begun again: pages, then changes, then both compared.

Rules of this file: the source is read, and written by nothing but a freeze (copy_cutover.py). A target is filled from
one source, and not while a bot uses it. The first pass writes what is there; those that follow carry what changed
since: by the source's log of changes where a datastore has one, else by reading the source again, and the target where
the source is not as it was. Nothing here knows a layer: which attributes let a worker find a row is handed in (`held`),
and such rows wait for `release`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stateroom.engines import leases
from stateroom.engines.port import CHANGES, Query, changes_table
from stateroom.layers.copy_hold import release
from stateroom.layers.copy_items import Route, Side, Step, asked, beside, beside_again, changed
from stateroom.layers.copy_logs import streams, streams_again
from stateroom.layers.copy_plan import Plan, Size, Work
from stateroom.layers.copy_rows import Held, alive, size_of
from stateroom.layers.copy_seen import Seen
from stateroom.layers.copy_state import COPIED, COPYING, RELEASING, SWITCHED, Notes, Standing
from stateroom.layers.copy_verify import Verdict, verify
from stateroom.layers.copy_write import Failures, Sink, persist
from stateroom.layers.walking import Pace, pages_if_any
from stateroom.model.errors import StoreUnavailable, WrongUse

PASSES: Final = 5  # over what keeps changing, before a copy says that it has done what it can
PART: Final = 500  # changes of one page
LAST_KEY: Final = "\U0010ffff" * 256
Told = Callable[[Standing], None]


@dataclass
class Copied:
    """What a copy did. `settled`: the last pass found nothing more to do."""

    tables: list[Standing] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    settled: bool = False
    passes: int = 0


class Copier:
    """One copy, from one open engine to another."""

    def __init__(
        self,
        source: Side,
        target: Side,
        plan: Plan,
        notes: Notes,
        pace: Pace,
        *,
        held: Held,
        told: Told = lambda _: None,
    ) -> None:
        self.source = source
        self.target = target
        self.plan = plan
        self.notes = notes
        self._pace = pace
        self._held: Held = held
        self._told = told
        self._sink = Sink(target.engine, target.wait)
        self._standing: dict[str, Standing] = {}
        self._seen: dict[str, Seen] = {}

    async def begin(self, *, cutting: bool = False) -> None:
        """Find out where the copy stands. WrongUse where the target is in use, or somebody else's.

        `cutting`: a cut-over that was letting turns go may go on, whoever answers them by now.
        """
        await self.notes.begin()
        if cutting and self.notes.state == RELEASING:
            return
        await self.check()
        await self.notes.enter(COPYING)

    async def check(self) -> None:
        """WrongUse where `begin` would refuse; nothing is written, and the target may lack tables."""
        await self.notes.begin()
        if self.notes.state == SWITCHED:
            raise WrongUse(
                "the target is in use since a cut-over from this source; a copy would undo what was done there"
            )
        if not self.notes.state and (name := await self._occupied()):
            raise WrongUse(f"the target has rows of {name} already; give an empty one")
        if await self._in_use():
            raise WrongUse("a bot has been working on the target: a copy would undo what it did; give an empty one")

    async def run(self, *, passes: int = PASSES) -> Copied:
        """The first pass, and those behind it until one finds nothing to do, or `passes` are over."""
        done = Copied(failures=self._sink.failures)
        for _ in range(passes):
            done.passes += 1
            moved = await self.one_pass()
            done.settled = not moved
            if done.settled:
                break
        done.tables = list(self._standing.values())
        await self.notes.enter(COPIED)
        return done

    async def one_pass(self) -> int:
        """Each table once; how many rows were written or removed."""
        self._sink.again = False
        moved = 0
        for work in self.plan.to_do:
            moved += await self._table(work)
        return moved + int(self._sink.again)

    async def verify(self) -> list[Verdict]:
        """Each table's teams on both sides."""
        found: list[Verdict] = []
        for work in self.plan.to_do:
            verdicts = await verify(self.source, self.target, work, self._held.get(work.name, ()), self._pace)
            if not all(one.same for one in verdicts):
                self._seen_of(work).forget()
            found += verdicts
        return found

    async def release(self) -> int:
        """Let workers find the rows that wait; how many there were."""
        released = await release(self.target.engine, self._held)
        await self.notes.enter(SWITCHED)
        return released

    async def sizes(self) -> dict[str, Size]:
        """What the source holds, by table; nothing is written."""
        limit = self.target.engine.capabilities.item_limit
        found: dict[str, Size] = {}
        for work in self.plan.works:
            size = found[work.name] = Size()
            async for rows, _ in self.source.pages(work.name):
                now = self.source.clock()
                for row in rows:
                    if alive(row, now) or work.log:
                        bytes_ = size_of(row)
                        size.rows, size.bytes = size.rows + 1, size.bytes + bytes_
                        size.largest = max(size.largest, bytes_)
                        size.too_large += bytes_ > limit
                        size.teams.add(row.team)
        return found

    # One table.

    async def _table(self, work: Work) -> int:
        standing = self._standing.get(work.name) or await self.notes.of(work.name)
        self._standing[work.name] = standing
        if standing.whole and work.source.changes:
            moved = await self._changes(work, standing)
        else:
            moved = await self._walk(work, standing)
        await self.notes.save(standing, now=True)
        return moved

    async def _walk(self, work: Work, standing: Standing) -> int:
        """All of it, from where a walk that was killed stood."""
        if work.source.changes and standing.after is None:
            standing.marks = await self._ends(work, standing.marks)
            await self.notes.save(standing, now=True)
        moved = 0
        async for step in self._steps(work, standing):
            moved += step.written + step.removed
            standing.seen += step.seen
            standing.written += step.written
            standing.removed += step.removed
            standing.after = step.after
            self._told(standing)
            await self.notes.save(standing)
            await self._pace.batch(step.seen)
        standing.after, standing.behind, standing.whole = None, None, True
        if self._sink.again:
            self._seen_of(work).forget()
        return moved

    async def _steps(self, work: Work, standing: Standing) -> AsyncGenerator[Step, None]:
        route, seen = self._route(work), self._seen_of(work)
        if work.log:
            behind: Any = standing.behind
            walk = streams_again(route, seen) if seen else streams(route, standing.after, behind, seen)
            async for step, place in walk:
                standing.behind = place
                yield step
            return
        hosted = self.source.engine.capabilities.hosted or self.target.engine.capabilities.hosted
        ordered = beside_again(route, seen) if seen else beside(route, standing.after, seen)
        async for one in asked(route) if hosted else ordered:
            yield one

    def _seen_of(self, work: Work) -> Seen:
        return self._seen.setdefault(work.name, Seen())

    def _route(self, work: Work) -> Route:
        return Route(self.source, self.target, self._sink, work.name, self._held.get(work.name, ()))

    async def _changes(self, work: Work, standing: Standing) -> int:
        """What the log of changes tells of since the last look."""
        moved = 0
        for team in await self._teams(work.name, standing.marks):
            after = standing.marks.get(team, 0)
            while True:
                query = Query(changes_table(work.name), team, PART, equals=(CHANGES,), low=after + 1)
                page = await persist(lambda query=query: self.source.engine.query(query), self.source.wait)  # type: ignore[misc]
                if not page.rows:
                    break
                ids = list(dict.fromkeys(str(row.item["id"]) for row in page.rows))
                step = await changed(self._route(work), team, ids)
                after = standing.marks[team] = page.rows[-1].version
                moved += step.written + step.removed
                standing.seen += step.seen
                standing.written += step.written
                standing.removed += step.removed
                self._told(standing)
                await self.notes.save(standing)
                await self._pace.batch(step.seen)
        return moved

    async def _ends(self, work: Work, known: Mapping[str, int]) -> dict[str, int]:
        """By team: the number of the newest change."""
        found: dict[str, int] = {}
        for team in await self._teams(work.name, known):
            query = Query(changes_table(work.name), team, 1, equals=(CHANGES,), descending=True)
            rows = (await self.source.engine.query(query)).rows
            found[team] = rows[0].version if rows else 0
        return found

    async def _teams(self, table: str, known: Mapping[str, int]) -> list[str]:
        """The teams that have rows, by one short look each, and those that had some."""
        found = set(known)
        after: tuple[str, str] | None = None
        while True:
            try:
                page = await self.source.engine.query(Query(table, None, 1, whole=True, after=after))
            except StoreUnavailable as error:
                if error.reason != "missing":
                    raise
                break
            if not page.rows:
                break
            found.add(page.rows[0].team)
            after = (page.rows[0].team, LAST_KEY)
        return sorted(found)

    # Before anything is written.

    async def _occupied(self) -> str:
        """A datastore that the target has rows of."""
        for work in self.plan.to_do:
            try:
                page = await self.target.engine.query(Query(work.name, None, 1, whole=True))
            except StoreUnavailable as error:
                if error.reason != "missing":
                    raise
                continue
            if page.rows and not self.target.engine.capabilities.hosted:
                return work.name
        return ""

    async def _in_use(self) -> bool:
        """Whether somebody has held a lease there: none is ever copied."""
        if self.target.engine.capabilities.hosted:
            return False
        query = Query(leases.TABLE.name, None, 100, whole=True)
        async for rows, _ in pages_if_any(self.target.engine, query):
            if any(row.id.startswith("lane:") for row in rows):
                return True
        return False
