"""Workspaces that the app was removed from: whose data is due to go, held by one who erases it.

Rules of this file: whoever erases holds the place's row, and every commit of theirs says that they still do, so an
install that came meanwhile is never erased with the rest. The row goes last: an erase that is killed anywhere is taken
up again from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from stateroom.engines.port import Check, Delete, Engine, Page, Put, Query, Row, Table, Write, Written, in_front
from stateroom.expr.builder import attr
from stateroom.layers.installations_entity import MEMBERS, PEOPLE, PLACES
from stateroom.layers.walking import BATCH, commit_each, pages
from stateroom.model.codec import normalise
from stateroom.model.errors import ConditionFailed, LeaseLost

HELD: Final = 30.0  # seconds without a sign of life until somebody else takes the erase up
UNINSTALLED: Final = "UNINSTALLED"


async def due(engine: Engine, now: float, *, limit: int = BATCH) -> list[Row]:
    """Rows of places whose data is to be erased by now, and that nobody holds."""
    high = normalise(round(now, 6) + 0.000001)
    rows = (await engine.query(Query(PLACES.name, None, limit, index="erase_at", high=high))).rows
    return [row for row in rows if float(row.item.get("erasing_until", 0)) <= now]


async def teams_of(engine: Engine, row: Row) -> list[str]:
    """The workspaces behind a place: itself, or those that an org-wide install has served."""
    if not row.item.get("is_enterprise_install"):
        return [row.team]
    client = row.item["client_id"]
    query = Query(MEMBERS.name, row.team, BATCH, low=f"{client}/", high=f"{client}0")
    return [one.item["member"] async for rows, _ in pages(engine, query) for one in rows]


async def is_used(engine: Engine, team: str, but: Row) -> bool:
    """Whether another install serves the workspace: of another app, or one that spans its organisation."""
    for place in [team, *await _organisations(engine, team)]:
        async for rows, _ in pages(engine, Query(PLACES.name, place, BATCH)):
            if any((one.team, one.id) != (but.team, but.id) and one.item["state"] != UNINSTALLED for one in rows):
                return True
    return False


async def _organisations(engine: Engine, team: str) -> list[str]:
    rows = (await engine.query(Query(MEMBERS.name, None, BATCH, index="member", equals=(team,)))).rows
    return sorted({row.team for row in rows})


class Hold:
    """An engine whose every commit fails with LeaseLost once somebody else holds the place, or it is installed."""

    def __init__(self, engine: Engine, clock: Callable[[], float], row: Row) -> None:
        able = engine.capabilities
        most = None if able.atomic_rows is None else able.atomic_rows - 1
        self.capabilities = in_front(able, atomic_rows=most)
        self.open, self.close = engine.open, engine.close
        self._engine = engine
        self._clock = clock
        self._row = row
        self._until: Any = 0

    async def take(self) -> bool:
        """Hold the place; False when it is installed again, or somebody else was faster."""
        return await self._hold(self._row.version)

    async def renew(self) -> None:
        """Hold it longer. LeaseLost."""
        (row,) = await self._engine.get(PLACES.name, self._row.team, [self._row.id])
        if row is None or row.item.get("erasing_until") != self._until or not await self._hold(row.version):
            raise self._lost()

    async def finish(self) -> None:
        """Nothing is left but the rows about the install: they go, the place's own last."""
        row = self._row
        low, high = f"{row.id}/", f"{row.id}0"
        people = [
            p
            async for rows, _ in pages(self._engine, Query(PEOPLE.name, row.team, BATCH, low=low, high=high))
            for p in rows
        ]
        await commit_each(self, [Delete(PEOPLE.name, row.team, one.id) for one in people])
        if row.item.get("is_enterprise_install"):
            keys = [f"{row.item['client_id']}/{team}" for team in await teams_of(self._engine, row)]
            await commit_each(self, [Delete(MEMBERS.name, row.team, key) for key in keys])
        try:
            await self._engine.commit([Delete(PLACES.name, row.team, row.id, condition=self._mine)])
        except ConditionFailed:
            raise self._lost() from None

    # --- the port

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        return await self._engine.apply(tables, dry_run=dry_run)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        return await self._engine.get(table, team, ids)

    async def query(self, query: Query) -> Page:
        return await self._engine.query(query)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if float(self._until) - self._clock() < HELD / 2:
            await self.renew()
        check = Check(PLACES.name, self._row.team, self._row.id, condition=self._mine)
        try:
            return (await self._engine.commit([check, *writes]))[1:]
        except ConditionFailed as failed:
            if failed.index == 0:
                raise self._lost() from None
            failed.index -= 1
            raise

    @property
    def _mine(self) -> Any:
        return (attr("erasing_until") == self._until) & (attr("state") == UNINSTALLED)

    async def _hold(self, version: int) -> bool:
        row = self._row
        (now,) = await self._engine.get(PLACES.name, row.team, [row.id])
        if now is None or now.version != version or now.item["state"] != UNINSTALLED or "erase_at" not in now.item:
            return False
        until = normalise(round(self._clock() + HELD, 6))
        try:
            item = {**now.item, "erasing_until": until}
            await self._engine.commit([Put(PLACES.name, row.team, row.id, item, if_version=version)])
        except ConditionFailed:
            return False
        self._until = until
        return True

    def _lost(self) -> LeaseLost:
        return LeaseLost(f"erase:{self._row.team}", 0)
