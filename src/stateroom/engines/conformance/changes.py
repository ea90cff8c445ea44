"""The log of changes: every committed change once, in the order of commits, and nothing else."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from stateroom.engines.conformance import CHANGED, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.conformance.children import children, run_all
from stateroom.engines.conformance.pages import all_pages
from stateroom.engines.port import (
    CHANGES,
    Append,
    Check,
    Delete,
    Engine,
    Put,
    Query,
    Row,
    Table,
    Truncate,
    Update,
    Write,
    changes_table,
)
from stateroom.expr.builder import attr
from stateroom.model.errors import ConditionFailed

FEED = changes_table(CHANGED)


def put(row_id: str, team: str = TEAM, **item: Any) -> Put:
    return Put(CHANGED, team, row_id, item)


async def changes(engine: Engine, team: str = TEAM) -> list[dict[str, Any]]:
    """The entries' items; their numbers have no gaps."""
    rows = await all_pages(engine, Query(FEED, team, 1000, equals=(CHANGES,)))
    assert [row.version for row in rows] == list(range(1, len(rows) + 1))
    return [row.item for row in rows]


async def check_replay(engine: Engine, team: str = TEAM) -> int:
    """Whoever follows the log has the rows, at every entry the versions in their order; how many entries there are.

    A server may still carry out what a killed process had sent: what is looked at is what stood still meanwhile.
    """
    held: dict[str, tuple[int, Any]] = {}
    told, rows = await changes(engine, team), await all_pages(engine, Query(CHANGED, team, 1000))
    while told != (now := await changes(engine, team)):
        told, rows = now, await all_pages(engine, Query(CHANGED, team, 1000))
    for entry in told:
        before = held.pop(entry["id"], None)
        if entry["kind"] in ("put", "update"):
            assert before is None or entry["version"] == before[0] + 1
            held[entry["id"]] = entry["version"], entry["item"]
        else:
            assert before is not None
            assert entry["version"] == before[0]
    assert {row.id: (row.version, row.item) for row in rows} == held
    return len(told)


@needs("changes")
async def test_every_committed_change_tells_the_row_as_it_then_was(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    first = await written(engine, put("a", n=1, text="é\n\"'"))
    second = await written(engine, Update(CHANGED, TEAM, "a", add={"n": 1}))
    third = await written(engine, Update(CHANGED, TEAM, "b", set={"x": [1]}, base={"id": "b"}))
    await engine.commit([Delete(CHANGED, TEAM, "a")])
    assert await changes(engine) == [
        {"kind": "put", "id": "a", "version": first.version, "item": {"n": 1, "text": "é\n\"'"}},
        {"kind": "update", "id": "a", "version": second.version, "item": {"n": 2, "text": "é\n\"'"}},
        {"kind": "update", "id": "b", "version": third.version, "item": {"id": "b", "x": [1]}},
        {"kind": "delete", "id": "a", "version": second.version},
    ]


async def written(engine: Engine, write: Write) -> Row:
    (done,) = await engine.commit([write])
    assert done.row is not None
    return done.row


@needs("changes", "conditions", "batches")
async def test_what_changes_nothing_leaves_no_entry(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([put("a", n=1)])
    quiet: list[Write] = [
        Put(CHANGED, TEAM, "a", {"n": 2}, keep=True),
        Delete(CHANGED, TEAM, "none"),
        Check(CHANGED, TEAM, "a", condition=attr("n") == 1),
    ]
    for write in quiet:
        await engine.commit([write])
    await engine.commit(quiet)
    refused: list[list[Write]] = [
        [Put(CHANGED, TEAM, "a", {}, if_version=0)],
        [Put(CHANGED, TEAM, "a", {}, guard=attr("n") == 2)],
        [Update(CHANGED, TEAM, "a", add={"n": 1}, condition=attr("n") == 2)],
        [Delete(CHANGED, TEAM, "a", condition=attr("n") == 2)],
        [put("b"), Delete(CHANGED, TEAM, "a"), Check(CHANGED, TEAM, "a", if_version=7)],
    ]
    for batch in refused:
        with pytest.raises(ConditionFailed):
            await engine.commit(batch)
    assert [entry["id"] for entry in await changes(engine)] == ["a"]


@needs("changes", "batches")
async def test_changes_of_a_batch_are_in_its_order_and_each_team_has_its_own_numbers(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([put("a", n=1), put("a", OTHER, n=9), Update(CHANGED, TEAM, "a", add={"n": 1}), put("b", n=3)])
    await engine.commit([Delete(CHANGED, TEAM, "a"), put("a", n=4), put("c", OTHER)])
    mine, theirs = await changes(engine), await changes(engine, OTHER)
    assert [(e["kind"], e["id"]) for e in mine] == [
        ("put", "a"),
        ("update", "a"),
        ("put", "b"),
        ("delete", "a"),
        ("put", "a"),
    ]
    assert [(e["kind"], e["id"]) for e in theirs] == [("put", "a"), ("put", "c")]


@needs("changes")
async def test_changes_are_read_on_from_a_number(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [put(f"r{n}", n=n) for n in range(10)])
    page = await engine.query(Query(FEED, TEAM, 3, equals=(CHANGES,), after=(4,)))
    assert [row.item["item"]["n"] for row in page.rows] == [4, 5, 6]
    assert page.position == (7,)


@needs("changes")
async def test_a_table_with_rows_logs_changes_from_when_it_declares_it(engine_case: EngineCase) -> None:
    engine, table = engine_case.engine, Table("cf_since", changes=True)
    await engine.apply([Table("cf_since")])
    await fill(engine, [Put("cf_since", TEAM, "a", {"n": 1})])
    assert await engine.apply([table])
    assert await engine.apply([table]) == []
    await engine.commit([Update("cf_since", TEAM, "a", add={"n": 1})])
    await engine.commit([Put("cf_since", TEAM, "b", {"n": 3}, keep=True)])
    await engine.commit([Put("cf_since", TEAM, "c", {"n": 4})])
    page = await engine.query(Query(changes_table("cf_since"), TEAM, 5, equals=(CHANGES,)))
    found = [(row.version, row.item["kind"], row.item["item"]["n"]) for row in page.rows]
    assert found == [(1, "update", 2), (2, "put", 3), (3, "put", 4)]


@needs("changes", "unique", "ttl_hidden")
async def test_an_expired_holder_of_a_unique_value_leaves_a_log_that_still_replays(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [Put(CHANGED, TEAM, "a", {"email": "x"}, engine_case.clock() + 1)])
    engine_case.clock.advance(60)
    await fill(engine, [put("b", email="x"), put("a", email="y")])
    told = [(entry["kind"], entry["id"]) for entry in await changes(engine)]
    assert [entry for entry in told if entry[0] == "put"] == [("put", "a"), ("put", "b"), ("put", "a")]


@needs("changes", "conditions", "unique", "batches")
async def test_changes_raced_by_many_tasks_are_numbered_without_a_gap_and_replay_to_the_rows(
    engine_case: EngineCase,
) -> None:
    engine = engine_case.engine
    count = engine_case.times(25)
    await asyncio.gather(*(churn(engine, random.Random(task), count) for task in range(24)))
    assert await check_replay(engine) > 8 * count


@needs("changes", "append", "batches")
async def test_changes_go_with_appends_and_an_erased_log_begins_anew(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    for n in range(3):
        await engine.commit([put(f"a{n}"), Append("cf_log", TEAM, "s", f"t{n}", {}), put(f"b{n}")])
    assert await check_replay(engine) == 6
    await engine.commit([Truncate(FEED, TEAM, CHANGES), put("c")])
    await engine.commit([put("d")])
    assert [entry["id"] for entry in await changes(engine)] == ["c", "d"]


async def churn(engine: Engine, dice: random.Random, count: int, rows: int = 6) -> None:
    """`count` commits of writes to the same few rows; about a third is refused."""
    for _ in range(count):
        batch: list[Write] = []
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            row = f"r{dice.randrange(rows)}"
            kinds: list[Write] = [
                put(row, n=dice.randrange(4), email=f"e{dice.randrange(rows)}"),
                Put(CHANGED, TEAM, row, {"n": 0}, keep=True),
                Update(CHANGED, TEAM, row, add={"n": 1}, condition=attr("n") < 3),
                Update(CHANGED, TEAM, row, add={"n": 1}),
                Delete(CHANGED, TEAM, row, condition=attr("n") > 1),
                Delete(CHANGED, TEAM, row),
            ]
            batch.append(dice.choice(kinds))
        try:
            await engine.commit(batch)
        except ConditionFailed:
            await asyncio.sleep(0)


@pytest.mark.service
@needs("changes", "processes")
async def test_changes_raced_by_many_processes_are_numbered_without_a_gap_and_replay_to_the_rows(
    engine_case: EngineCase,
) -> None:
    count = engine_case.times(60)
    await run_all(engine_case, "churn", [{"seed": n, "count": count, "tasks": 3} for n in range(4)])
    assert await check_replay(engine_case.engine) > 4 * count


@pytest.mark.service
@needs("changes", "processes", "durable")
async def test_killed_at_any_instant_the_log_of_changes_is_the_rows(engine_case: EngineCase) -> None:
    dice = random.Random(3)
    entries, round_ = 0, 0
    while round_ < 4 or (entries <= 20 * engine_case.share and round_ < 40):  # on a busy machine a round may do little
        round_ += 1
        options = [{"seed": 100 * round_ + n, "count": 10**6, "tasks": 4} for n in range(2)]
        async with children(engine_case, "churn", options) as workers:
            for worker in workers:
                worker.go()
            await asyncio.sleep(dice.uniform(0.05, 0.4))  # the instant is the point; nothing is waited for
            for worker in workers:
                await worker.killed()
        engine = await engine_case.reopened()
        if engine_case.sound is not None:
            engine_case.sound()
        before, entries = entries, await check_replay(engine)
        assert entries >= before
    assert entries > 20 * engine_case.share
