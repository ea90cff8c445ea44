"""A store whose conversations are kept elsewhere: some tables on one engine, all others on another.

Rules of this file: it knows tables by the names that it is given, and engines by the port alone. What is written to
both in one commit is written in steps (invariant 6): first the checks of the main engine's, so that whoever was
overtaken writes nothing, then the side's, which a rerun repeats without harm, then all of the main's in one commit.
Where that last one is refused, what the side has taken stays: `maybe_applied` says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from stateroom.engines.port import Check, Drifting, Engine, Page, Query, Row, Table, Waking, Write, Written, in_front
from stateroom.engines.steps import fitting, in_steps, split
from stateroom.model.errors import ConditionFailed, StateroomError

_Commit = Callable[[Sequence[Write]], Awaitable[list[Written]]]


class MixedEngine:
    """`main` for everything but `tables`, which are on `side`. It is what `main` declares."""

    def __init__(self, main: Engine, side: Engine, tables: frozenset[str]) -> None:
        able = main.capabilities
        processes = able.processes and side.capabilities.processes
        expired = able.expired and side.capabilities.expired
        # Freezing would stop one of two.
        self.capabilities = in_front(able, processes=processes, expired=expired, freezes=False)
        self._main = main
        self._side = side
        self._tables = tables
        self._asked: dict[str, Table] = {}  # of the side's, until they are made when one is first used

    def unit(self, table: str) -> int | None:
        """Rows of the table that one commit may hold; None: any number."""
        return (self._side if table in self._tables else self._main).capabilities.atomic_rows

    async def open(self) -> None:
        await self._main.open()
        try:
            await self._side.open()
        except BaseException:
            await self._main.close()
            raise

    async def close(self) -> None:
        try:
            await self._side.close()
        finally:
            await self._main.close()

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        """The side's tables make themselves when they are first used, and are no step of anybody's."""
        aside = [table for table in tables if table.name in self._tables]
        self._asked.update((table.name, table) for table in fitting(aside, self._side.capabilities))
        return await self._main.apply([t for t in tables if t.name not in self._tables], dry_run=dry_run)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        return await (await self._of(table)).get(table, team, ids)

    async def query(self, query: Query) -> Page:
        return await (await self._of(query.table)).query(query)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        aside, rest = split(writes, self._tables)
        if not aside:
            return await self._main.commit(writes)
        side = await self._of(writes[aside[0]].table)
        checks = [index for index in rest if isinstance(writes[index], Check)]
        done: dict[int, Written] = {}
        if checks:
            await self._step(self._main.commit, writes, checks)
        done |= await self._step(lambda some: in_steps(side, some), writes, aside)
        if rest:
            try:
                done |= await self._step(self._main.commit, writes, rest)
            except StateroomError as error:
                error.maybe_applied = True
                raise
        return [done[index] for index in range(len(writes))]

    async def listen(self, table: str, heard: Callable[[], None]) -> None:
        """As the main engine does (`port.Waking`)."""
        await cast("Waking", self._main).listen(table, heard)

    async def drift(self, tables: Sequence[Table]) -> list[str]:
        """As the main engine does (`port.Drifting`)."""
        return await cast("Drifting", self._main).drift([t for t in tables if t.name not in self._tables])

    async def _of(self, table: str) -> Engine:
        if table not in self._tables:
            return self._main
        if self._asked:
            asked = list(self._asked.values())
            await self._side.apply(asked)
            for one in asked:
                self._asked.pop(one.name, None)
        return self._side

    @staticmethod
    async def _step(commit: _Commit, writes: Sequence[Write], chosen: list[int]) -> dict[int, Written]:
        """Commit those of `writes` that are chosen; a refusal names its place among all of them."""
        try:
            done = await commit([writes[index] for index in chosen])
        except ConditionFailed as error:
            error.index = chosen[error.index]
            raise
        return dict(zip(chosen, done, strict=True))
