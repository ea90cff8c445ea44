"""A copy of a store against writing the same items into the target by bulk calls.

Rules of this file: the base is the slower engine's own bulk rate, `bulk_put` of the same items into the same kind of
target, which is empty each time. A copy is timed to its end: the pass that writes, and the one that compares both
stores and finds nothing more to do. Both run in one process, on one loop, against the server that tests use.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

import uvloop
from tests.support import postgres

from bench.cases.items import PLAIN, TEAM, Work, key_of
from bench.frame import Contenders, Must, case
from stateroom.engines.handle import table_of
from stateroom.layers.catalogue import KNOWN, PROGRESS
from stateroom.layers.copy import Copier
from stateroom.layers.copy_items import Side
from stateroom.layers.copy_plan import plan_of
from stateroom.layers.copy_state import Notes
from stateroom.layers.walking import Pace
from stateroom.store import Store, bot_tables, engine_of, held, own_definitions, own_tables

ITEMS: Final = 10_000
CALL: Final = 5_000  # items of one bulk_put
RATE: Final = "items a second"
AT_LEAST: Final = 0.7


class Stores:
    """A filled store of SQLite, and as many empty ones of another kind as are asked for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.folder = tempfile.mkdtemp()
        work = Work(ITEMS)
        self.items = [work.item(key_of(number)) for number in range(ITEMS)]
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.source = f"sqlite:///{self.folder}/source.db"
        self.number = 0
        self.runner.run(self._fill(self.source))

    def close(self) -> None:
        self.runner.close()
        shutil.rmtree(self.folder)

    @contextmanager
    def target(self) -> Iterator[str]:
        """The URL of an empty store with its tables."""
        self.number += 1
        there = self.kind == "postgresql"
        url = postgres.fresh_schema() if there else f"sqlite:///{self.folder}/{self.number}.db"
        self.runner.run(_prepared(url))
        yield url
        if there:
            postgres.drop_schema(url)

    async def _fill(self, url: str) -> float:
        """Seconds that bulk_put takes for all items."""
        async with Store(url) as store:
            items = store.team(TEAM).items(PLAIN)
            await items.get("none")
            began = perf_counter()
            for start in range(0, ITEMS, CALL):
                (await items.bulk_put(self.items[start : start + CALL])).check()
            return perf_counter() - began

    def bulk(self) -> Mapping[str, float]:
        with self.target() as url:
            return {RATE: ITEMS / self.runner.run(self._fill(url))}

    def copied(self) -> Mapping[str, float]:
        with self.target() as url:
            return {RATE: ITEMS / self.runner.run(self._copy(url))}

    async def _copy(self, url: str) -> float:
        source, target = engine_of(self.source, time.time), engine_of(url, time.time)
        await source.open()
        await target.open()
        copier = _copier(source, target)
        began = perf_counter()
        await copier.begin()
        done = await copier.run()
        taken = perf_counter() - began
        assert done.settled
        assert sum(one.written for one in done.tables) == ITEMS
        await source.close()
        await target.close()
        return taken


async def _prepared(url: str) -> None:
    async with Store(url, migrating=True) as store:
        await store.migrate([PLAIN], apply=True)
        await store.engine.apply(own_tables())


def _copier(source: Any, target: Any) -> Copier:
    notes = (PROGRESS.name, KNOWN.name)
    tables = [(one, table_of(one)) for one in (*own_definitions(), PLAIN) if one.name not in notes]
    plan = plan_of(tables, source.capabilities, target.capabilities, bot=bot_tables())
    sides = Side(source, time.time, asyncio.sleep), Side(target, time.time, asyncio.sleep)
    return Copier(*sides, plan, Notes(target, time.time, asyncio.sleep, "bench"), Pace(time.time), held=held())


@contextmanager
def both(kind: str) -> Iterator[Contenders]:
    stores = Stores(kind)
    measured: dict[str, Callable[[], Mapping[str, float]]] = {"bulk_put": stores.bulk, "copy": stores.copied}
    try:
        yield measured
    finally:
        stores.close()


MUST: Final = [Must("copy", over="bulk_put", at_least=AT_LEAST, measure=RATE)]


@case("copy-postgres", "Copying 10,000 items from SQLite to PostgreSQL, to the pass that finds nothing", musts=MUST)
@contextmanager
def copy_postgres() -> Iterator[Contenders]:
    with both("postgresql") as contenders:
        yield contenders


@case("copy-sqlite", "Copying 10,000 items from SQLite to SQLite, to the pass that finds nothing", musts=MUST)
@contextmanager
def copy_sqlite() -> Iterator[Contenders]:
    with both("sqlite") as contenders:
        yield contenders
