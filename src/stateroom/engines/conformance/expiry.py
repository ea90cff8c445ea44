"""Expiry from the sweep's side: what has expired is found, earliest first, and goes only while it is expired."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from stateroom.engines.conformance import CHANGED, ITEMS, LOG, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.conformance.pages import all_pages, ids
from stateroom.engines.port import Append, Delete, Put, Query, Rewrite, Table
from stateroom.expr.builder import attr
from stateroom.model.errors import Unsupported, WrongUse


def put(row_id: str, expires_at: float | None, team: str = TEAM, **item: Any) -> Put:
    return Put(ITEMS, team, row_id, item, expires_at=expires_at)


@pytest.mark.parametrize("limit", [1, 3, 100])
@needs("expired")
async def test_expired_rows_of_one_team_or_of_all_are_found_earliest_first(engine_case: EngineCase, limit: int) -> None:
    engine, clock = engine_case.engine, engine_case.clock
    now = clock()
    await fill(engine, [put(f"r{n}", now + 10 - n, TEAM if n % 2 else OTHER, n=n) for n in range(8)])
    await fill(engine, [put("never", None), put("later", now + 1000)])
    clock.advance(60)
    everywhere = await all_pages(engine, Query(ITEMS, None, limit, expired=True))
    assert [(row.id, row.team, row.item["n"]) for row in everywhere] == [
        (f"r{n}", TEAM if n % 2 else OTHER, n) for n in reversed(range(8))
    ]
    mine = await all_pages(engine, Query(ITEMS, TEAM, limit, expired=True))
    assert ids(mine) == ["r7", "r5", "r3", "r1"]
    some = await all_pages(engine, Query(ITEMS, TEAM, limit, expired=True, condition=attr("n") > 2))
    assert ids(some) == ["r7", "r5", "r3"]


@needs("expired")
async def test_rows_that_expire_at_one_instant_are_paged_once_each(engine_case: EngineCase) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 1
    await fill(engine, [put(f"r{n:02}", soon, team) for n in range(20) for team in (TEAM, OTHER)])
    engine_case.clock.advance(60)
    found = [(row.team, row.id) for row in await all_pages(engine, Query(ITEMS, None, 7, expired=True))]
    assert sorted(found) == sorted((team, f"r{n:02}") for n in range(20) for team in (TEAM, OTHER))


@needs("expired", "batches")
async def test_a_sweep_by_first_pages_ends_with_nothing_expired_left(engine_case: EngineCase) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 1
    await fill(engine, [put(f"r{n:03}", soon if n % 3 else None) for n in range(90)])
    engine_case.clock.advance(60)
    swept = 0
    while (page := await engine.query(Query(ITEMS, None, 7, expired=True))).rows:
        done = await engine.commit([Delete(ITEMS, row.team, row.id, expired=True) for row in page.rows])
        assert all(one.changed and one.row is None for one in done)
        swept += len(done)
    assert swept == 60
    assert ids(await all_pages(engine, Query(ITEMS, TEAM, 100))) == [f"r{n:03}" for n in range(0, 90, 3)]


@needs("expired", "batches")
async def test_a_row_that_was_written_again_meanwhile_is_not_swept(engine_case: EngineCase) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 1
    await engine.commit([put("a", soon, n=1), put("b", soon, n=1), put("c", None, n=1)])
    engine_case.clock.advance(60)
    await engine.commit([put("a", None, n=2)])
    done = await engine.commit([Delete(ITEMS, TEAM, i, expired=True) for i in "abcd"])
    assert [one.changed for one in done] == [False, True, False, False]
    rows = await engine.get(ITEMS, TEAM, list("abc"))
    assert [row and row.item["n"] for row in rows] == [2, None, 1]


@needs("expired", "append")
async def test_an_expired_entry_is_emptied_once_and_its_stream_goes_on(engine_case: EngineCase) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 1
    await fill(engine, [Append(LOG, TEAM, "s", f"t{n}", {"n": n}, soon if n < 3 else None) for n in range(1, 5)])
    await fill(engine, [Append(LOG, OTHER, "s", "t", {"n": 0}, soon)])
    engine_case.clock.advance(60)
    query = Query(LOG, None, 2, expired=True)
    found = await all_pages(engine, query)
    assert sorted((row.team, row.id, row.version) for row in found) == [
        (TEAM, "s/t1", 1),
        (TEAM, "s/t2", 2),
        (OTHER, "s/t", 1),
    ]
    for row in found:
        await engine.commit([Rewrite(LOG, row.team, "s", row.version, {}, expires_at=0)])
    assert (await engine.query(query)).rows == []
    assert await engine.get(LOG, TEAM, ["s/t1", "s/t3"]) == [None, (await engine.get(LOG, TEAM, ["s/t3"]))[0]]
    page = await engine.query(Query(LOG, TEAM, 10, equals=("s",)))
    assert [row.version for row in page.rows] == [3, 4]
    (known, new) = [(await engine.commit([Append(LOG, TEAM, "s", turn, {})]))[0] for turn in ("t1", "t5")]
    assert known.row
    assert (known.row.version, known.changed) == (1, False)
    assert new.row
    assert (new.row.version, new.changed) == (5, True)


@needs("append")
async def test_a_rewrite_keeps_or_moves_the_expiry_of_an_entry(engine_case: EngineCase) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 100
    await engine.commit([Append(LOG, TEAM, "s", "t", {"n": 1}, soon)])
    (kept,) = await engine.commit([Rewrite(LOG, TEAM, "s", 1, {"n": 2})])
    (moved,) = await engine.commit([Rewrite(LOG, TEAM, "s", 1, {"n": 3}, expires_at=None)])
    assert [done.row and done.row.expires_at for done in (kept, moved)] == [soon, None]
    assert await engine.get(LOG, TEAM, ["s/t"]) == [moved.row]


@needs("expired")
async def test_expired_rows_are_asked_for_without_bounds_and_where_the_table_declares_it(
    engine_case: EngineCase,
) -> None:
    engine = engine_case.engine
    await engine.apply([Table("cf_lasting")])
    with pytest.raises(Unsupported):
        await engine.query(Query("cf_lasting", TEAM, 1, expired=True))
    query = Query(ITEMS, TEAM, 1, expired=True)
    for wrong in (replace(query, low="a"), replace(query, descending=True), replace(query, equals=("a",))):
        with pytest.raises(WrongUse):
            await engine.query(wrong)


@needs("expired")
async def test_a_table_with_rows_can_be_asked_for_expired_ones_from_when_it_declares_it(
    engine_case: EngineCase,
) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 1
    await engine.apply([Table("cf_later")])
    await fill(engine, [Put("cf_later", TEAM, "a", {}, soon), Put("cf_later", TEAM, "b", {})])
    assert await engine.apply([Table("cf_later", expires=True)])
    engine_case.clock.advance(60)
    assert ids(await all_pages(engine, Query("cf_later", TEAM, 5, expired=True))) == ["a"]


@needs("expired", "changes")
async def test_what_a_sweep_removes_is_a_change_of_its_own_kind(engine_case: EngineCase) -> None:
    engine, soon = engine_case.engine, engine_case.clock() + 1
    (made,) = await engine.commit([Put(CHANGED, TEAM, "a", {"n": 1}, soon)])
    engine_case.clock.advance(60)
    await engine.commit([Delete(CHANGED, TEAM, "a", expired=True), Delete(CHANGED, TEAM, "a", expired=True)])
    page = await engine.query(Query(f"{CHANGED}.changes", TEAM, 10, equals=("all",)))
    assert made.row
    assert [row.item for row in page.rows][1:] == [{"kind": "expire", "id": "a", "version": made.row.version}]
