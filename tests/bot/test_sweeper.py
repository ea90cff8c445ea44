"""The workers' sweeper: in the background, one at a time, and gone when its worker goes."""

import asyncio
from pathlib import Path

import pytest

from stateroom.bot import server
from stateroom.bot.config import BotConfig
from stateroom.bot.sweeper import NAME, Sweeper
from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.port import Put, Table
from stateroom.layers.walking import EVERYWHERE
from stateroom.store import Store
from support.retention import NOW, TEAM, TICKETS, Clock, rows_of, store_over


async def tables() -> list[Table]:
    return [table_of(TICKETS), leases.TABLE]


async def fill(store: Store, count: int) -> None:
    await store.prepare(await tables())
    await store.engine.commit([Put("tickets", TEAM, f"t{n:03d}", {"id": "t"}, NOW - 1) for n in range(count)])


async def test_of_two_replicas_one_sweeps(tmp_path: Path) -> None:
    clock = Clock()
    async with store_over("sqlite", tmp_path, clock) as store:
        await fill(store, 5)
        sweepers = [Sweeper(store.engine, clock, tables, seconds=1) for _ in range(2)]
        held = await leases.acquire(store.engine, clock, EVERYWHERE, NAME, holder="other", seconds=30)
        assert held is not None
        assert [await one.round() for one in sweepers] == [None, None]
        assert len(await rows_of(store.engine, "tickets")) == 5
        clock.now += 31  # that replica was killed
        done = await asyncio.gather(*(one.round() for one in sweepers))
        assert sorted(sum(t.removed for t in one.tables) if one else -1 for one in done) == [-1, 5]
        again = await sweepers[0].round()
        assert again is not None, "the lease was let go"


async def test_a_worker_that_stops_does_not_wait_for_the_end_of_a_sweep(tmp_path: Path) -> None:
    clock = Clock()
    async with store_over("sqlite", tmp_path, clock) as store:
        await fill(store, 500)
        stop, seen = asyncio.Event(), asyncio.Event()

        async def endless() -> list[Table]:
            seen.set()
            await asyncio.Event().wait()
            return []

        running = asyncio.create_task(Sweeper(store.engine, clock, endless, seconds=0.01).run(stop))
        await asyncio.wait_for(seen.wait(), 30)
        stop.set()
        await asyncio.wait_for(running, 30)
        assert await leases.acquire(store.engine, clock, EVERYWHERE, NAME, holder="next", seconds=1) is not None


@pytest.mark.service
async def test_a_running_worker_sweeps_what_users_keep_without_their_modules(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    async with Store(url) as store:
        await store.team(TEAM).items(TICKETS).get("t1")  # it is remembered from now on
        await fill(store, 300)
    stop, ready = asyncio.Event(), asyncio.Event()
    config = BotConfig(store=url, sweep_seconds=0.05)
    working = asyncio.create_task(
        server.work(config, port=None, host="127.0.0.1", on_ready=lambda _: ready.set(), stop=stop)
    )
    await asyncio.wait_for(ready.wait(), 30)
    async with Store(url) as store, asyncio.timeout(60):
        while await rows_of(store.engine, "tickets"):
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(working, 30)
