"""Leases over the port: one holder at a time, tokens that only grow, and a check that fences the overtaken."""

from __future__ import annotations

import asyncio

import pytest

from stateroom.engines import leases
from stateroom.engines.conformance import ITEMS, OTHER, TEAM, EngineCase, needs
from stateroom.engines.leases import Lease
from stateroom.engines.port import Put
from stateroom.model.errors import ConditionFailed, LeaseLost


async def acquire(case: EngineCase, holder: str, team: str = TEAM) -> Lease | None:
    return await leases.acquire(case.engine, case.clock, team, "turn", holder=holder, seconds=30)


@needs("conditions")
async def test_of_many_who_race_for_a_lease_one_has_it(engine_case: EngineCase) -> None:
    for round_ in range(5):
        won = [x for x in await asyncio.gather(*(acquire(engine_case, f"h{n}") for n in range(20))) if x]
        assert len(won) == 1, round_
        await won[0].release()


@needs("conditions")
async def test_the_token_grows_with_every_holder(engine_case: EngineCase) -> None:
    tokens = []
    for n in range(5):
        lease = await acquire(engine_case, f"h{n}")
        assert lease
        tokens.append(lease.token)
        if n % 2:
            await lease.release()
        else:
            engine_case.clock.advance(31)
    assert tokens == sorted(set(tokens))


@needs("conditions")
async def test_a_held_lease_is_not_given_away_and_a_team_has_its_own(engine_case: EngineCase) -> None:
    first = await acquire(engine_case, "a")
    assert first
    assert await acquire(engine_case, "b") is None
    assert await acquire(engine_case, "b", OTHER)
    engine_case.clock.advance(20)
    await first.renew(30)
    engine_case.clock.advance(20)
    await first.verify()
    assert await acquire(engine_case, "b") is None


@needs("conditions", "batches")
async def test_an_overtaken_holder_writes_nothing(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    first = await acquire(engine_case, "a")
    assert first
    await engine.commit([first.check(), Put(ITEMS, TEAM, "x", {"by": "a"})])
    engine_case.clock.advance(31)
    second = await acquire(engine_case, "b")
    assert second
    with pytest.raises(ConditionFailed):
        await engine.commit([first.check(), Put(ITEMS, TEAM, "x", {"by": "a, late"})])
    for attempt in (first.renew(30), first.verify()):
        with pytest.raises(LeaseLost):
            await attempt
    await first.release()
    await engine.commit([second.check(), Put(ITEMS, TEAM, "y", {"by": "b"})])
    x, y = await engine.get(ITEMS, TEAM, ["x", "y"])
    assert x
    assert y
    assert (x.item, y.item) == ({"by": "a"}, {"by": "b"})
    await second.verify()


@needs("conditions")
async def test_a_released_lease_can_neither_be_renewed_nor_used_by_its_next_holder_twice(
    engine_case: EngineCase,
) -> None:
    first = await acquire(engine_case, "a")
    assert first
    await first.release()
    with pytest.raises(LeaseLost):
        await first.renew(30)
    second = await acquire(engine_case, "b")
    assert second
    assert second.token > first.token
    with pytest.raises(ConditionFailed):
        await engine_case.engine.commit([first.check()])
