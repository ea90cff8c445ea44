"""Gathering: rows to keep from callers that are no tasks are what a commit of each would be, where it is declared."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from stateroom.engines.conformance import ITEMS, LOG, OTHER, TEAM, EngineCase, needs
from stateroom.engines.port import Freezing, Gathering, Put
from stateroom.expr.builder import attr
from stateroom.model.errors import InvalidId, StateroomError, StoreUnavailable, WrongUse


async def test_gathering_is_there_exactly_where_it_is_declared(engine_case: EngineCase) -> None:
    assert hasattr(engine_case.engine, "keep") is engine_case.capabilities.gathers


@needs("gathers")
async def test_rows_that_are_gathered_are_kept_once_and_each_caller_hears_of_its_own(engine_case: EngineCase) -> None:
    engine = cast(Gathering, engine_case.engine)
    await engine.commit([Put(ITEMS, TEAM, "there", {"n": 0})])
    keys = [(TEAM, "there"), (TEAM, "a"), (TEAM, "b"), (OTHER, "a"), (TEAM, "a")]
    told = [engine.keep(Put(ITEMS, team, key, {"n": n}, keep=True)) for n, (team, key) in enumerate(keys, 1)]
    done = [(await one)[0] for one in told]
    assert [one.changed for one in done] == [False, True, True, True, False]
    assert [one.row and one.row.item for one in done] == [{"n": 0}, {"n": 2}, {"n": 3}, {"n": 4}, {"n": 2}]
    rows = [*await engine.get(ITEMS, TEAM, ["there", "a", "b"]), *await engine.get(ITEMS, OTHER, ["a"])]
    assert [row and row.item["n"] for row in rows] == [0, 2, 3, 4]


@needs("gathers")
async def test_who_no_longer_waits_for_a_gathered_row_harms_nobody(engine_case: EngineCase) -> None:
    engine = cast(Gathering, engine_case.engine)
    told = [engine.keep(Put(ITEMS, TEAM, f"k{n}", {"n": n}, keep=True)) for n in range(3)]
    told[1].cancel()
    assert [(await told[n])[0].changed for n in (0, 2)] == [True, True]
    await asyncio.wait({told[1]})
    assert told[1].cancelled()


@needs("gathers")
async def test_what_is_wrong_with_a_row_to_gather_is_raised_at_the_door(engine_case: EngineCase) -> None:
    engine = cast(Gathering, engine_case.engine)
    wrong: list[tuple[type[StateroomError], Put]] = [
        (WrongUse, Put(ITEMS, TEAM, "a", {})),
        (WrongUse, Put(ITEMS, TEAM, "a", {}, keep=True, if_version=1)),
        (WrongUse, Put(ITEMS, TEAM, "a", {}, keep=True, condition=attr("n") == 1)),
        (InvalidId, Put(ITEMS, TEAM, "", {}, keep=True)),
        (StateroomError, Put(LOG, TEAM, "a", {}, keep=True)),
        (StoreUnavailable, Put("no_such_table", TEAM, "a", {}, keep=True)),
    ]
    for error, put in wrong:
        with pytest.raises(error):
            engine.keep(put)
    assert await engine.get(ITEMS, TEAM, ["a"]) == [None]


@needs("gathers", "freezes")
async def test_while_it_is_frozen_a_gathered_row_is_refused(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await cast(Freezing, engine).freeze(frozen=True)
    with pytest.raises(StoreUnavailable, match="frozen") as refused:
        await cast(Gathering, engine).keep(Put(ITEMS, TEAM, "a", {}, keep=True))
    assert refused.value.retryable


@needs("gathers")
async def test_a_closed_engine_gathers_nothing_and_has_kept_what_it_took(engine_case: EngineCase) -> None:
    engine = cast(Gathering, engine_case.engine)
    told = engine.keep(Put(ITEMS, TEAM, "a", {}, keep=True))
    await engine.close()
    assert (await told)[0].changed
    with pytest.raises(StoreUnavailable):
        engine.keep(Put(ITEMS, TEAM, "b", {}, keep=True))
