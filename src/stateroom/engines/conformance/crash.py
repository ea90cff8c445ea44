"""kill -9 at any instant: what was acknowledged is there, and no batch is there by half (invariant 1).

Where one row is all that is atomic, the steps of a batch are there from its first to some one of them.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from stateroom.engines.conformance import ITEMS, LOG, TEAM, EngineCase, needs
from stateroom.engines.conformance.children import children
from stateroom.engines.port import Engine, Put, Query


async def check_store(engine: Engine, name: str, tasks: int, acknowledged: list[str]) -> int:
    """Everything that `name` reported is there and every batch is whole; how many batches there are."""
    told = [0] * tasks
    for line in acknowledged:
        _, place, number = line.split()
        told[int(place)] = max(told[int(place)], int(number))
    return sum([await check_task(engine, f"{name}.{task}", told[task]) for task in range(tasks)])


async def counted(engine: Engine, task: str) -> int:
    (row,) = await engine.get(ITEMS, TEAM, [f"count.{task}"])
    return 0 if row is None else int(row.item["n"])


async def check_task(engine: Engine, task: str, told: int) -> int:
    """The same for one task. A server may carry out what the killed one had sent while we look: then we look again."""
    while True:
        count = await counted(engine, task)
        rows = await engine.get(ITEMS, TEAM, [f"a.{task}.{n}" for n in range(1, count + 2)])
        page = await engine.query(Query(LOG, TEAM, 100_000, equals=(task,)))
        if await counted(engine, task) == count:
            break
    assert count >= told, "an acknowledged write is lost"
    assert count <= told + 1, "a task had one write under way at most"
    marks = [f"{task}.{n}" for n in range(1, count + 1)]
    *rows, beyond = rows
    assert [row and row.item["mark"] for row in rows] == marks
    entries = [mark for mark in marks for _ in "12"]
    if engine.capabilities.atomic_rows == 1:  # each write of a batch was a step of its own, in their order
        done = len(page.rows)
        assert 2 * told <= done <= len(entries)
        assert [entry.item["mark"] for entry in page.rows] == entries[:done]
    else:
        assert [entry.item["mark"] for entry in page.rows] == entries
        assert beyond is None, "a batch is there by half"
    return count


async def kill_rounds(case: EngineCase, rounds: int, processes: int, tasks: int) -> None:
    dice = random.Random(20261121)
    for round_ in range(rounds):
        names = [f"r{round_}p{n}" for n in range(processes)]
        options = [{"name": name, "seed": dice.random(), "tasks": tasks} for name in names]
        async with children(case, "endless", options) as workers:
            for worker in workers:
                worker.go()
            await asyncio.sleep(dice.uniform(0.02, 0.4))  # the instant is the point; nothing is waited for
            for worker in workers:
                await worker.killed()
        engine = await case.reopened()
        if case.sound is not None:
            case.sound()
        total = 0
        for name, worker in zip(names, workers, strict=True):
            total += await check_store(engine, name, tasks, worker.lines)
        assert total or not any(worker.lines for worker in workers)
        (done,) = await engine.commit([Put(ITEMS, TEAM, f"after{round_}", {})])
        assert done.changed


@pytest.mark.service
@needs("durable", "append")
async def test_killed_at_any_instant_no_acknowledged_write_is_lost_and_no_batch_is_half(
    engine_case: EngineCase,
) -> None:
    await kill_rounds(engine_case, rounds=max(2, engine_case.times(6)), processes=1, tasks=4)


@pytest.mark.service
@needs("durable", "append", "processes")
async def test_several_processes_killed_at_once_lose_nothing_either(engine_case: EngineCase) -> None:
    await kill_rounds(engine_case, rounds=3, processes=3, tasks=3)


@pytest.mark.soak
@pytest.mark.service
@needs("durable", "append", "processes")
async def test_many_rounds_of_kill_lose_nothing(engine_case: EngineCase) -> None:
    await kill_rounds(engine_case, rounds=100, processes=2, tasks=8)


@pytest.mark.service
@needs("durable", "processes", "own")
async def test_a_killed_process_holds_no_lock(engine_case: EngineCase) -> None:
    options = [{"name": f"k{n}", "seed": n, "tasks": 4} for n in range(2)]
    async with children(engine_case, "endless", options) as workers:
        for worker in workers:
            worker.go()
        for n in range(20):
            await engine_case.engine.commit([Put(ITEMS, TEAM, f"mine{n}", {})])
        for worker in workers:
            await worker.killed()
        async with asyncio.timeout(20):
            await engine_case.engine.commit([Put(ITEMS, TEAM, "mine", {})])
