"""Packing: many puts as one value are what a commit of each would be, all or none, where it is declared."""

from __future__ import annotations

from typing import cast

import pytest

from stateroom.engines.conformance import CHANGED, ITEMS, LOG, TEAM, EngineCase, needs
from stateroom.engines.port import Freezing, Packing, Put, Puts, Query, changes_table
from stateroom.expr.builder import attr
from stateroom.model.codec import encode
from stateroom.model.errors import ConditionFailed, StateroomError, StoreUnavailable


def packed(table: str, numbers: dict[str, int], *, ends: float | None = None) -> Puts:
    """Puts of `{"n": number}` that ask for rows without `held`."""
    items = [{"n": number} for number in numbers.values()]
    texts = [encode(item).decode() for item in items]
    expires = None if ends is None else [ends] * len(items)
    return Puts(table, TEAM, list(numbers), items, texts, expires, ~attr("held").exists())


async def test_packing_is_there_exactly_where_it_is_declared(engine_case: EngineCase) -> None:
    assert hasattr(engine_case.engine, "put_all") is engine_case.capabilities.packs


@needs("packs")
async def test_packed_puts_replace_whole_rows_and_give_each_a_new_version(engine_case: EngineCase) -> None:
    engine, clock = cast(Packing, engine_case.engine), engine_case.clock
    await engine.commit([Put(ITEMS, TEAM, "a", {"old": 1}), Put(ITEMS, TEAM, "b", {"old": 1}, expires_at=clock() + 1)])
    (before,) = await engine.get(ITEMS, TEAM, ["a"])
    clock.advance(2)
    await engine.put_all(packed(ITEMS, {"a": 1, "b": 2, "c": 3}, ends=clock() + 60))
    rows = [row for row in await engine.get(ITEMS, TEAM, ["a", "b", "c"]) if row is not None]
    assert [(row.item, row.expires_at) for row in rows] == [({"n": n}, rows[0].expires_at) for n in (1, 2, 3)]
    assert before is not None
    assert rows[0].version > before.version


@needs("packs")
@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
async def test_of_packed_puts_one_that_is_refused_leaves_all_unwritten(engine_case: EngineCase, many: bool) -> None:
    engine = cast(Packing, engine_case.engine)
    await engine.commit([Put(ITEMS, TEAM, "k7", {"held": True})])
    numbers = {f"k{n}": n for n in range(200 if many else 9)}
    with pytest.raises(ConditionFailed) as refused:
        await engine.put_all(packed(ITEMS, numbers))
    assert refused.value.index == 7
    page = await engine.query(Query(ITEMS, TEAM, 500))
    assert [(row.id, row.item) for row in page.rows] == [("k7", {"held": True})]
    with pytest.raises(StateroomError):
        await engine.put_all(packed(LOG, {"a": 1}))


@needs("packs", "changes")
async def test_packed_puts_are_in_the_log_of_changes(engine_case: EngineCase) -> None:
    engine = cast(Packing, engine_case.engine)
    await engine.put_all(packed(CHANGED, {"a": 1, "b": 2}))
    page = await engine.query(Query(changes_table(CHANGED), TEAM, 5, equals=("all",)))
    assert [(row.item["kind"], row.item["id"]) for row in page.rows] == [("put", "a"), ("put", "b")]


@needs("packs", "freezes")
async def test_while_it_is_frozen_packed_puts_are_refused(engine_case: EngineCase) -> None:
    await cast(Freezing, engine_case.engine).freeze(frozen=True)
    with pytest.raises(StoreUnavailable, match="frozen"):
        await cast(Packing, engine_case.engine).put_all(packed(ITEMS, {"a": 1, "b": 2}))
