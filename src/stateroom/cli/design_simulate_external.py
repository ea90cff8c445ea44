"""Patterns that an external store serves, run on the chosen engine: how often it is asked, what is found, what is lost.

Rules of this file: the same synthetic items, the indexes of definitions.py, a day of their own. The engine is asked
through Stateroom's verbs, and counted where it is asked. A store that holds something stays as it is, and one that was
empty is empty afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, cast

from stateroom.cli.design_simulate_items import Stock
from stateroom.cli.design_simulate_races import TRIALS
from stateroom.cli.design_simulate_rows import Row
from stateroom.cli.design_simulate_runs import targets
from stateroom.cli.design_simulate_verbs import MOST, Served, Stores, lost, naively, run, safely, taken_by
from stateroom.design.alternatives import index_of
from stateroom.design.outputs import definitions
from stateroom.design.parts import Access, Plan
from stateroom.engines import port
from stateroom.expr.evaluate import evaluate
from stateroom.expr.parser import parse
from stateroom.model.definition import Definition
from stateroom.model.errors import WrongUse
from stateroom.store import Store, engine_of

TEAM: Final = "T0SIMULATED"
KEYS: Final = f"simulated:{'A' * 43}="  # of a store that holds nothing but synthetic items
BATCH: Final = 500
ALIVE: Final = 10 * 86_400  # seconds before the items' day: what is due has not ended yet, and can be asked for
ONE_CALL: Final = frozenset(("get", "list", "top", "put", "update", "transition", "increment", "append", "delete"))
"""Kinds that are one call of the port; the plan prices a run at one, and an app's verbs must keep that."""
RACING: Final = ("transition", "increment", "append", "update")


class Counting:
    """An engine that counts how often it is asked; all else is the engine's."""

    def __init__(self, inner: port.Engine) -> None:
        self.inner, self.asked = inner, 0
        self.capabilities = port.in_front(inner.capabilities)

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def apply(self, tables: Sequence[port.Table], *, dry_run: bool = False) -> list[str]:
        return await self.inner.apply(tables, dry_run=dry_run)

    async def drift(self, tables: Sequence[port.Table]) -> list[str]:
        """Asked only where the engine declares `drifts`."""
        return await cast("port.Drifting", self.inner).drift(tables)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[port.Row | None]:
        self.asked += 1
        return await self.inner.get(table, team, ids)

    async def commit(self, writes: Sequence[port.Write]) -> list[port.Written]:
        self.asked += 1
        return await self.inner.commit(writes)

    async def query(self, query: port.Query) -> port.Page:
        self.asked += 1
        return await self.inner.query(query)


async def external(plan: Plan, stock: Stock, url: str) -> list[Row]:
    """Rows of every pattern that is not Slack's. WrongUse where the store has such items already."""
    away = [one for one in plan.accesses if one.home == "external" and one.pattern not in unreadable(plan)]
    if not away:
        return []

    def clock() -> float:
        return float(stock.now - ALIVE)

    given, engine = needed(plan, away), Counting(engine_of(url, clock))
    _able(plan, away, given, engine.capabilities)
    async with Store(url, engine=engine, clock=clock, keys=KEYS, migrating=True) as store:
        await store.migrate(given, apply=True)
        stores = {one.name: store.team(TEAM).items(one) for one in given}
        for name, handle in stores.items():
            if (await handle.query(limit=1)).items:
                raise WrongUse(f"the store has items in {name} of {TEAM} already; give --store an empty one")
        try:
            await _fill(stock, stores)
            return await _all(plan, stock, stores, engine, away)
        finally:
            await _clear(stores)


def unreadable(plan: Plan) -> dict[str, str]:
    """The patterns that ask for what is encrypted, with what the finding says: no store can run them."""
    said = {one.place.partition(".")[0]: one.reason for one in plan.findings if one.id == "SR-804"}
    places = {f"access_patterns[{number}]": one.name for number, one in enumerate(plan.design.patterns)}
    return {places[place]: reason for place, reason in said.items() if place in places}


def _able(plan: Plan, away: Sequence[Access], given: Sequence[Definition], able: port.Capabilities) -> None:
    """WrongUse where patterns need an index and the engine keeps none: the plan's one call would be a walk over all."""
    indexed = {one.name for one in given if one.indexes}
    names = {one.pattern for one in away}
    asking = [p.name for p in plan.design.patterns if p.name in names and p.entity in indexed and index_of(p)]
    if asking and not able.indexes:
        step = "give --store one that does: memory://, sqlite:///, postgresql:// or dynamodb:// (docs/engines.md)"
        raise WrongUse(f"{able.name} keeps no indexes, and {', '.join(asking)} need one; {step}")


def needed(plan: Plan, away: Sequence[Access]) -> list[Definition]:
    """The datastores of definitions.py that these accesses look at.

    Without lifecycles: states are stored as they come, and are asked for by conditions; what a lifecycle refuses is no
    part of a prediction. Without logs of changes, which would be left behind.
    """
    names = {one.entity for one in away} | {n for p in plan.design.patterns for n in p.join}
    moved = tuple(replace(one, home="external") for one in plan.stores if one.role == "entity" and one.name in names)
    return [replace(one, lifecycle=None, changes=False) for one in definitions(replace(plan, stores=moved))]


async def _fill(stock: Stock, stores: Stores) -> None:
    for name, handle in stores.items():
        items = list(stock.items(name))
        for start in range(0, len(items), BATCH):
            (await handle.bulk_put(items[start : start + BATCH])).check()


async def _clear(stores: Stores) -> None:
    for handle in stores.values():
        ids = [one[handle.definition.key] async for one in handle.scan()]
        for start in range(0, len(ids), BATCH):
            await handle.bulk_delete(ids[start : start + BATCH])


async def _all(plan: Plan, stock: Stock, stores: Stores, engine: Counting, away: Sequence[Access]) -> list[Row]:
    rows: list[Row] = []
    patterns = {one.name: one for one in plan.design.patterns}
    for access in away:
        pattern = patterns[access.pattern]
        number = targets(plan, stock, pattern)(0)
        served = Served(pattern, plan.design.by_name[access.entity], stock, stores, number)
        rows += await _measured(served, engine)
        if pattern.kind == "unique":
            rows.append(Row(pattern.name, "runs that did it, of two", 1, await taken_by(served)))
        elif pattern.concurrent and pattern.kind in RACING:
            rows += await _raced(served)
    return rows


async def _measured(served: Served, engine: Counting) -> Iterable[Row]:
    pattern, before = served.pattern, engine.asked
    items = await run(served)
    asked = engine.asked - before
    await served.store.put(served.item)
    rows = [Row(pattern.name, "round trips", 1, asked)] if pattern.kind in ONE_CALL else []
    if pattern.kind in ("list", "top", "count", "search"):
        rows.append(Row(pattern.name, "items", _matching(served), items))
    return rows


def _matching(served: Served) -> int:
    """How many of the items that were loaded the pattern is about, by the meaning of its condition; a list's limit."""
    where, kind = served.pattern.where, served.pattern.kind
    items = (served.stock.item(served.entity.name, number) for number in range(served.count))
    if where is not None:
        asked = parse(where.expression, dict(where.names) or None, served.asked()["values"])
        items = (one for one in items if evaluate(asked, one))
    found = sum(1 for _ in items)
    return found if kind == "count" else min(found, served.pattern.expected_items or MOST)


async def _raced(served: Served) -> Iterable[Row]:
    naive = [await lost(served, naively) for _ in range(TRIALS)]
    cured = [await lost(served, safely) for _ in range(TRIALS)]
    name = served.pattern.name
    return (
        Row(name, "lost updates without the cure", TRIALS, sum(naive)),
        Row(name, "lost updates", 0, sum(cured)),
    )
