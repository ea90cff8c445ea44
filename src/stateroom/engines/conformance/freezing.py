"""Freezing: every write is refused for a while, by every process, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from stateroom.engines import leases
from stateroom.engines.conformance import ITEMS, LOG, TEAM, EngineCase, needs
from stateroom.engines.port import Append, Check, Delete, Freezing, Put, Query, Rewrite, Truncate, Update, Write
from stateroom.expr.builder import attr
from stateroom.model.errors import StateroomError, StoreUnavailable

BATCHES: Sequence[Sequence[Write]] = (
    [Put(ITEMS, TEAM, "a", {"n": 2})],
    [Put(ITEMS, TEAM, "new", {"n": 2}, keep=True)],
    [Put(ITEMS, TEAM, "new", {"n": 2}, if_version=0)],
    [Update(ITEMS, TEAM, "a", set={"n": 2})],
    [Update(ITEMS, TEAM, "a", add={"n": 1}, condition=attr("n") == 1)],
    [Delete(ITEMS, TEAM, "a")],
    [Append(LOG, TEAM, "s", "t1", {"n": 2})],
    [Append(LOG, TEAM, "new", "t1", {"n": 2})],
    [Rewrite(LOG, TEAM, "s", 1, {"n": 2})],
    [Truncate(LOG, TEAM, "s")],
    [Check(ITEMS, TEAM, "a", condition=attr("n") == 1), Put(ITEMS, TEAM, "b", {"n": 2}), Delete(ITEMS, TEAM, "a")],
    [Put(ITEMS, TEAM, f"b{n}", {"n": n}) for n in range(30)],
)


@needs("freezes", "conditions", "append", "batches")
async def test_while_it_is_frozen_every_write_is_refused_and_may_be_tried_again(engine_case: EngineCase) -> None:
    engine = cast(Freezing, engine_case.engine)
    await engine.commit([Put(ITEMS, TEAM, "a", {"n": 1}), Append(LOG, TEAM, "s", "t0", {"n": 1})])
    assert not await engine.frozen()
    await engine.freeze(frozen=True)
    await engine.freeze(frozen=True)
    assert await engine.frozen()
    for writes in BATCHES:
        with pytest.raises(StoreUnavailable) as refused:
            await engine.commit(writes)
        assert (refused.value.reason, refused.value.retryable, refused.value.maybe_applied) == ("frozen", True, False)
    with pytest.raises(StateroomError):
        await leases.acquire(engine, engine_case.clock, TEAM, "turn", holder="h", seconds=30)
    (row,) = await engine.get(ITEMS, TEAM, ["a"])
    entries = await engine.query(Query(LOG, TEAM, 5, equals=("s",)))
    assert row is not None
    assert (row.item, [entry.item for entry in entries.rows]) == ({"n": 1}, [{"n": 1}])
    await engine.freeze(frozen=False)
    assert not await engine.frozen()
    for writes in BATCHES[:2]:
        await engine.commit(writes)


@needs("freezes", "durable", "processes")
async def test_a_freeze_holds_for_whoever_has_the_store_open_and_outlives_a_restart(engine_case: EngineCase) -> None:
    await engine_case.engine.commit([Put(ITEMS, TEAM, "a", {"n": 1})])
    await cast(Freezing, engine_case.engine).freeze(frozen=True)
    engine = cast(Freezing, await engine_case.reopened())
    with pytest.raises(StoreUnavailable) as refused:
        await engine.commit([Put(ITEMS, TEAM, "a", {"n": 2})])
    assert refused.value.reason == "frozen"
    await engine.freeze(frozen=False)
    await engine.commit([Put(ITEMS, TEAM, "a", {"n": 2})])


@needs("freezes")
async def test_what_was_acknowledged_while_a_freeze_began_is_there_and_nothing_else_is(engine_case: EngineCase) -> None:
    engine = cast(Freezing, engine_case.engine)
    acknowledged: set[str] = set()
    begun = asyncio.Event()

    async def write(name: str) -> None:
        for number in range(engine_case.times(200)):
            try:
                await engine.commit([Put(ITEMS, TEAM, f"{name}{number}", {"n": number})])
            except StoreUnavailable:
                return
            acknowledged.add(f"{name}{number}")
            begun.set()

    writers = [asyncio.create_task(write(name)) for name in "abcdefgh"]
    await begun.wait()
    await engine.freeze(frozen=True)
    await asyncio.gather(*writers)
    page = await engine.query(Query(ITEMS, TEAM, 10_000))
    assert {row.id for row in page.rows} == acknowledged
