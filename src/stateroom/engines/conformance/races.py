"""Races: many tasks, many processes, and no update lost, no number given twice (invariant 3)."""

from __future__ import annotations

import asyncio

import pytest

from stateroom.engines.conformance import ITEMS, LOG, TEAM, EngineCase, fill, needs
from stateroom.engines.conformance.children import run_all
from stateroom.engines.port import Append, Put, Query, Update
from stateroom.expr.builder import attr
from stateroom.model.errors import ConditionFailed

TASKS = 32


@needs("own")
async def test_adding_from_many_tasks_loses_nothing(engine_case: EngineCase) -> None:
    engine = engine_case.engine

    async def add() -> None:
        for _ in range(5):
            await engine.commit([Update(ITEMS, TEAM, "a", add={"n": 1})])

    await asyncio.gather(*(add() for _ in range(TASKS)))
    (row,) = await engine.get(ITEMS, TEAM, ["a"])
    assert row
    assert row.item == {"n": 5 * TASKS}


@needs("conditions")
async def test_versions_let_one_of_many_tasks_through(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    (first,) = await engine.commit([Put(ITEMS, TEAM, "a", {"n": 0})])
    assert first.row
    version = first.row.version
    writes = [Put(ITEMS, TEAM, "a", {"n": n}, if_version=version) for n in range(1, TASKS)]
    done = await asyncio.gather(*(engine.commit([w]) for w in writes), return_exceptions=True)
    won = [d for d in done if not isinstance(d, BaseException)]
    assert len(won) == 1
    assert all(isinstance(d, ConditionFailed) for d in done if isinstance(d, BaseException))
    (row,) = await engine.get(ITEMS, TEAM, ["a"])
    assert row == won[0][0].row


@needs("conditions", "batches")
async def test_a_refused_batch_harms_none_of_those_written_with_it(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    batches = [
        [
            Put(ITEMS, TEAM, f"a{n}", {"n": n}),
            Put(ITEMS, TEAM, f"b{n}", {"n": n}, condition=attr("never").exists() if n % 3 == 0 else None),
        ]
        for n in range(TASKS)
    ]
    done = await asyncio.gather(*(engine.commit(b) for b in batches), return_exceptions=True)
    assert [isinstance(d, ConditionFailed) for d in done] == [n % 3 == 0 for n in range(TASKS)]
    rows = await engine.get(ITEMS, TEAM, [f"{x}{n}" for n in range(TASKS) for x in "ab"])
    assert [row is None for row in rows] == [n % 3 == 0 for n in range(TASKS) for _ in "ab"]


async def test_a_write_is_seen_by_the_read_that_follows_it(engine_case: EngineCase) -> None:
    engine = engine_case.engine

    async def both(task: int) -> None:
        for n in range(10):
            await engine.commit([Put(ITEMS, TEAM, f"r{task}", {"n": n})])
            (row,) = await engine.get(ITEMS, TEAM, [f"r{task}"])
            assert row
            assert row.item["n"] == n
            page = await engine.query(Query(ITEMS, TEAM, 1, low=f"r{task}", high=f"r{task}\x01"))
            assert page.rows[0].item["n"] == n

    await asyncio.gather(*(both(task) for task in range(8)))


@needs("append")
async def test_appending_from_many_tasks_keeps_every_turn_once_in_each_tasks_order(engine_case: EngineCase) -> None:
    engine = engine_case.engine

    async def add(task: int) -> None:
        for n in range(5):
            write = Append(LOG, TEAM, "s", f"{task}-{n}", {"task": task, "n": n})
            await asyncio.gather(engine.commit([write]), engine.commit([write]))

    await asyncio.gather(*(add(task) for task in range(TASKS)))
    page = await engine.query(Query(LOG, TEAM, 1000, equals=("s",)))
    assert [row.version for row in page.rows] == list(range(1, 5 * TASKS + 1))
    for task in range(TASKS):
        assert [row.item["n"] for row in page.rows if row.item["task"] == task] == list(range(5))


async def test_a_cancelled_caller_does_not_disturb_the_others(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    tasks = [asyncio.create_task(engine.commit([Put(ITEMS, TEAM, f"r{n}", {"n": n})])) for n in range(TASKS)]
    await asyncio.sleep(0)
    for n in range(0, TASKS, 4):
        tasks[n].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    rows = await engine.get(ITEMS, TEAM, [f"r{n}" for n in range(TASKS)])
    for n in range(TASKS):
        if n % 4:
            assert not isinstance(done[n], BaseException)
            assert rows[n] is not None
    (after,) = await engine.commit([Put(ITEMS, TEAM, "after", {})])
    assert after.changed


WRITERS = 16


def transition(by: int, kind: str) -> Update:
    is_open = attr("status") == "open"
    condition, guard = (is_open, None) if kind == "condition" else (None, is_open)
    return Update(ITEMS, TEAM, "a", set={"status": "approved", "by": by}, condition=condition, guard=guard)


@needs("conditions")
async def test_sixteen_tasks_race_one_transition_and_one_of_them_makes_it(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([Put(ITEMS, TEAM, "a", {"status": "open"})])
    for kind in ("condition", "guard"):
        await engine.commit([Put(ITEMS, TEAM, "a", {"status": "open"})])
        writes = [transition(n, kind) for n in range(WRITERS)]
        done = await asyncio.gather(*(engine.commit([w]) for w in writes), return_exceptions=True)
        (won,) = [d for d in done if not isinstance(d, BaseException)]
        assert won[0].row
        refused = [d for d in done if isinstance(d, ConditionFailed)]
        assert len(refused) == WRITERS - 1
        assert all((r.current, r.version) == (won[0].row.item, won[0].row.version) for r in refused)


@needs("unique")
async def test_a_unique_value_raced_by_many_tasks_has_one_holder(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    writes = [Put(ITEMS, TEAM, f"r{n}", {"email": "x", "n": n}) for n in range(TASKS)]
    done = await asyncio.gather(*(engine.commit([w]) for w in writes), return_exceptions=True)
    (won,) = [d for d in done if not isinstance(d, BaseException)]
    assert won[0].row
    refused = [d for d in done if isinstance(d, ConditionFailed)]
    assert len(refused) == TASKS - 1
    assert all(r.current == won[0].row.item for r in refused)
    page = await engine.query(Query(ITEMS, TEAM, 10))
    assert page.rows == [won[0].row]


PROCESSES = 4


@pytest.mark.service
@needs("processes", "conditions")
async def test_sixteen_writers_of_many_processes_race_each_transition_and_one_makes_it(
    engine_case: EngineCase,
) -> None:
    rows = max(5, engine_case.times(20))
    await fill(engine_case.engine, [Put(ITEMS, TEAM, f"ticket{n}", {"status": "open"}) for n in range(rows)])
    options = [{"name": f"p{n}", "tasks": WRITERS // PROCESSES, "rows": rows} for n in range(PROCESSES)]
    told = [line.split() for lines in await run_all(engine_case, "transit", options) for line in lines]
    for n in range(rows):
        outcomes = [line[1:] for line in told if line[0] == f"ticket{n}"]
        assert sorted(how for how, _, _ in outcomes) == ["refused"] * (WRITERS - 1) + ["won"]
        assert len({(status, who) for _, status, who in outcomes}) == 1


async def add_up(case: EngineCase, total: int) -> None:
    processes = 8
    total = case.times(total // 40) * 40  # the same for each task of each process
    options = [{"count": total // processes, "row": "a", "tasks": 5}] * processes
    sums = [int(line) for lines in await run_all(case, "add", options) for line in lines]
    assert sorted(sums) == list(range(1, total + 1))
    (row,) = await case.engine.get(ITEMS, TEAM, ["a"])
    assert row
    assert row.item == {"n": total}


@pytest.mark.service
@needs("processes", "own")
async def test_ten_thousand_additions_of_eight_processes_sum_exactly(engine_case: EngineCase) -> None:
    await add_up(engine_case, 10_000)


@pytest.mark.service
@needs("processes", "unique")
async def test_unique_values_raced_by_many_processes_have_one_holder_each(engine_case: EngineCase) -> None:
    options = [{"name": f"p{n}", "count": 40} for n in range(PROCESSES)]
    held = [int(line) for lines in await run_all(engine_case, "hold_unique", options) for line in lines]
    assert sorted(held) == list(range(40))


@pytest.mark.service
@needs("processes", "append")
async def test_appending_from_many_processes_gives_each_number_once(engine_case: EngineCase) -> None:
    options = [{"name": f"p{n}", "count": 50, "stream": "s"} for n in range(PROCESSES)]
    reported = await run_all(engine_case, "append", options)
    numbers = [int(line) for lines in reported for line in lines]
    assert sorted(numbers) == list(range(1, 50 * PROCESSES + 1))
    page = await engine_case.engine.query(Query(LOG, TEAM, 1000, equals=("s",)))
    assert [row.version for row in page.rows] == list(range(1, 50 * PROCESSES + 1))
    for n in range(PROCESSES):
        assert [row.item["n"] for row in page.rows if row.item["by"] == f"p{n}"] == list(range(50))


@pytest.mark.service
@needs("processes", "conditions")
async def test_read_then_write_by_version_from_many_processes_loses_no_increment(engine_case: EngineCase) -> None:
    reported = await run_all(engine_case, "increment", [{"count": 40, "row": "a"}] * PROCESSES)
    values = [int(line) for lines in reported for line in lines]
    assert sorted(values) == list(range(1, 40 * PROCESSES + 1))


@pytest.mark.service
@needs("processes", "conditions")
async def test_a_conditional_claim_has_one_winner_among_many_processes(engine_case: EngineCase) -> None:
    await fill(engine_case.engine, [Put(ITEMS, TEAM, f"ticket{n}", {"n": n}) for n in range(60)])
    reported = await run_all(engine_case, "claim", [{"name": f"p{n}", "count": 60} for n in range(PROCESSES)])
    won = [int(line) for lines in reported for line in lines]
    assert sorted(won) == list(range(60))


@pytest.mark.service
@needs("processes", "conditions")
async def test_a_lease_guards_among_many_processes(engine_case: EngineCase) -> None:
    reported = await run_all(engine_case, "hold", [{"name": f"p{n}", "count": 15} for n in range(3)])
    tokens = [int(line) for lines in reported for line in lines]
    assert len(set(tokens)) == 45
    (row,) = await engine_case.engine.get(ITEMS, TEAM, ["guarded"])
    assert row
    assert row.item == {"n": 45}
