"""Logs: what append, rewrite and truncate promise."""

from __future__ import annotations

import pytest

from stateroom.engines.conformance import ITEMS, LOG, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.port import Append, Check, Engine, Put, Query, Rewrite, Row, Truncate, log_id
from stateroom.model.errors import ConditionFailed, ItemTooLarge


def append(turn: str, stream: str = "s", team: str = TEAM, **item: object) -> Append:
    return Append(LOG, team, stream, turn, item)


async def entries(engine: Engine, stream: str = "s", team: str = TEAM) -> list[Row]:
    page = await engine.query(Query(LOG, team, 1000, equals=(stream,)))
    assert page.position is None
    return page.rows


@needs("append")
async def test_entries_are_numbered_from_one_without_gaps_in_each_stream(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    for stream in ("s", "t", "s", "s", "t"):
        await engine.commit([append(f"e{engine_case.clock()}", stream)])
    await fill(engine, [append("x", "s"), append("y", "s"), append("x", "t")])
    assert [row.version for row in await entries(engine, "s")] == [1, 2, 3, 4, 5]
    assert [row.version for row in await entries(engine, "t")] == [1, 2, 3]
    assert (await entries(engine, "s"))[-1].id == log_id("s", "y")


@needs("append")
async def test_a_repeated_turn_changes_nothing_and_gives_its_first_number(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [append("one", n=1), append("two", n=2)])
    (again,) = await engine.commit([append("one", n=99)])
    assert not again.changed
    assert again.row
    assert (again.row.version, again.row.item) == (1, {"n": 1})
    done = await fill(engine, [append("three", n=3), append("three", n=4), append("two", n=5)])
    assert [(w.row and w.row.version, w.changed) for w in done] == [(3, True), (3, False), (2, False)]
    assert [row.item["n"] for row in await entries(engine)] == [1, 2, 3]


@needs("append", "batches")
async def test_a_refused_batch_uses_up_no_number_and_no_turn(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([append("one")])
    with pytest.raises(ConditionFailed):
        await engine.commit([append("two"), append("a", "fresh"), Check(ITEMS, TEAM, "no", if_version=1)])
    (done,) = await engine.commit([append("two")])
    assert done.changed
    assert done.row
    assert done.row.version == 2
    assert await entries(engine, "fresh") == []


@needs("append", "batches")
async def test_an_append_and_a_put_are_one_step(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([append("one"), Put(ITEMS, TEAM, "a", {"n": 1}, if_version=0)])
    with pytest.raises(ConditionFailed):
        await engine.commit([append("two"), Put(ITEMS, TEAM, "a", {"n": 2}, if_version=0)])
    assert [row.id for row in await entries(engine)] == ["s/one"]


@needs("append")
async def test_an_entry_is_found_by_its_turn(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [append("one/with/slashes", n=1), append("two", n=2)])
    found = await engine.get(LOG, TEAM, [log_id("s", "two"), log_id("s", "one/with/slashes"), log_id("t", "two")])
    assert [row and row.version for row in found] == [2, 1, None]


@needs("append")
async def test_streams_of_two_teams_with_one_name_are_apart(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [append("one", n=1), append("one", team=OTHER, n=2), append("two", team=OTHER)])
    assert [row.item for row in await entries(engine)] == [{"n": 1}]
    await engine.commit([Truncate(LOG, TEAM, "s")])
    assert [row.version for row in await entries(engine, team=OTHER)] == [1, 2]


@needs("append")
async def test_rewrite_replaces_an_entry_and_keeps_its_place(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [append("one", n=1), append("two", n=2)])
    (done,) = await engine.commit([Rewrite(LOG, TEAM, "s", 1, {"gone": True})])
    assert done.changed
    first, second = await entries(engine)
    assert first == done.row
    assert (first.id, first.version, first.item) == ("s/one", 1, {"gone": True})
    assert second.item == {"n": 2}
    (again,) = await engine.commit([append("one", n=3)])
    assert not again.changed


@needs("append", "batches")
async def test_rewriting_what_is_not_there_is_refused_with_its_whole_batch(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([append("one", n=1)])
    for number, stream in ((3, "s"), (0, "s"), (1, "t")):
        with pytest.raises(ConditionFailed) as refused:
            await engine.commit(
                [append("two"), Rewrite(LOG, TEAM, "s", 1, {}), Rewrite(LOG, TEAM, stream, number, {"x": 1})]
            )
        assert refused.value.index == 2
    assert [row.item for row in await entries(engine)] == [{"n": 1}]


@needs("append")
async def test_an_entry_is_rewritten_only_if_it_is_the_one_that_was_read(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([append("one", n=1.5, name="é", inner={"b": [1], "a": None})])
    (read,) = await entries(engine)
    (done,) = await engine.commit([Rewrite(LOG, TEAM, "s", 1, {"n": 2}, before=read.item)])
    assert done.changed
    with pytest.raises(ConditionFailed):
        await engine.commit([Rewrite(LOG, TEAM, "s", 1, {"n": 3}, before=read.item)])
    assert [row.item for row in await entries(engine)] == [{"n": 2}]


@needs("append", "batches")
async def test_a_batch_may_rewrite_what_it_appends(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([append("one", n=1), Rewrite(LOG, TEAM, "s", 1, {"n": 2}), append("two", n=3)])
    assert [row.item for row in await entries(engine)] == [{"n": 2}, {"n": 3}]


@needs("append")
async def test_truncate_erases_a_stream_and_its_numbering(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await fill(engine, [append("one"), append("two")])
    done = await fill(engine, [Truncate(LOG, TEAM, "s"), Truncate(LOG, TEAM, "never")])
    assert [w.changed for w in done] == [True, False]
    assert await entries(engine) == []
    (fresh,) = await engine.commit([append("one")])
    assert fresh.changed
    assert fresh.row
    assert fresh.row.version == 1
    await fill(engine, [append("two"), Truncate(LOG, TEAM, "s"), append("three"), append("one")])
    assert [(row.id, row.version) for row in await entries(engine)] == [("s/three", 1), ("s/one", 2)]


@needs("append", "ttl_hidden")
async def test_an_expired_entry_is_hidden_and_keeps_its_number(engine_case: EngineCase) -> None:
    engine, clock = engine_case.engine, engine_case.clock
    await fill(engine, [Append(LOG, TEAM, "s", "one", {}, expires_at=clock() + 60), append("two")])
    clock.advance(61)
    assert [row.version for row in await entries(engine)] == [2]
    assert await engine.get(LOG, TEAM, ["s/one"]) == [None]
    (again,) = await engine.commit([append("one")])
    assert not again.changed
    (next_,) = await engine.commit([append("three")])
    assert next_.row
    assert next_.row.version == 3


@needs("append")
async def test_an_entry_over_the_limit_is_refused(engine_case: EngineCase) -> None:
    with pytest.raises(ItemTooLarge):
        await engine_case.engine.commit([append("one", text="x" * engine_case.capabilities.item_limit)])
    assert await entries(engine_case.engine) == []


@needs("append", "durable")
async def test_numbering_and_turns_go_on_after_opening_again(engine_case: EngineCase) -> None:
    await fill(engine_case.engine, [append("one", n=1), append("two", n=2)])
    engine = await engine_case.reopened()
    done = await fill(engine, [append("two", n=9), append("three", n=3)])
    assert [w.row and w.row.version for w in done] == [2, 3]
    assert [row.item["n"] for row in await entries(engine)] == [1, 2, 3]
