"""Promises about walks over whole tables, which erase, migrate and copy rest on."""

from __future__ import annotations

from typing import Any

import pytest

from stateroom.engines.conformance import ITEMS, LOG, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.port import Append, Put, Query, Rewrite, Row
from stateroom.expr.tree import Compare, Literal, Path
from stateroom.model.errors import ConditionFailed, WrongUse


async def walked(case: EngineCase, query: Query) -> list[Row]:
    """All pages of a walk, which must end."""
    found: list[Row] = []
    for _ in range(100):
        page = await case.engine.query(query)
        assert len(page.rows) <= query.limit
        found += page.rows
        if page.position is None:
            return found
        query = Query(query.table, query.team, query.limit, after=page.position, condition=query.condition, whole=True)
    raise AssertionError("the walk does not end")


@needs("own")
async def test_a_walk_meets_every_row_of_every_team_once_in_order(engine_case: EngineCase) -> None:
    places = [(team, f"k{number}") for team in (OTHER, TEAM) for number in (3, 1, 2, 0)]
    await fill(engine_case.engine, [Put(ITEMS, team, name, {"n": 1}) for team, name in places])
    for limit in (1, 3, 8, 100):
        found = await walked(engine_case, Query(ITEMS, None, limit, whole=True))
        assert [(row.team, row.id) for row in found] == sorted(places)
    found = await walked(engine_case, Query(ITEMS, OTHER, 3, whole=True))
    assert [row.id for row in found] == ["k0", "k1", "k2", "k3"]
    assert {row.team for row in found} == {OTHER}


@needs("own")
async def test_a_walk_may_begin_behind_a_place_where_no_row_is(engine_case: EngineCase) -> None:
    """So that the teams of a table are found by one short look each."""
    first, second = sorted((OTHER, TEAM))
    await fill(engine_case.engine, [Put(ITEMS, team, "k\U0010ffff", {"n": 1}) for team in (first, second)])
    for after, expected in (((first, "\U0010ffff" * 256), [second]), ((first, "a"), [first, second])):
        page = await engine_case.engine.query(Query(ITEMS, None, 5, after=after, whole=True))
        assert [row.team for row in page.rows] == expected


@needs("own")
async def test_a_walk_meets_expired_rows_too(engine_case: EngineCase) -> None:
    ends = engine_case.clock() + 10
    await fill(engine_case.engine, [Put(ITEMS, TEAM, "a", {"n": 1}, expires_at=ends), Put(ITEMS, TEAM, "b", {"n": 2})])
    engine_case.clock.advance(11)
    assert await engine_case.engine.get(ITEMS, TEAM, ["a"]) == [None]
    assert [row.id for row in await walked(engine_case, Query(ITEMS, None, 1, whole=True))] == ["a", "b"]


async def test_a_walk_may_be_filtered_and_limit_counts_matches(engine_case: EngineCase) -> None:
    await fill(engine_case.engine, [Put(ITEMS, TEAM, f"k{n}", {"n": n % 3}) for n in range(9)])
    query = Query(ITEMS, None, 2, condition=Compare(Path(("n",)), "=", Literal(1)), whole=True)
    assert [row.id for row in await walked(engine_case, query)] == ["k1", "k4", "k7"]


async def test_a_walk_has_neither_bounds_nor_direction(engine_case: EngineCase) -> None:
    wrong: list[dict[str, Any]] = [{"low": "a"}, {"high": "a"}, {"descending": True}, {"equals": ("a",)}]
    for bounds in wrong:
        with pytest.raises(WrongUse):
            await engine_case.engine.query(Query(ITEMS, None, 2, whole=True, **bounds))


@needs("append", "batches")
async def test_a_walk_over_a_log_meets_every_entry_of_every_stream(engine_case: EngineCase) -> None:
    ends = engine_case.clock() + 10
    places = [(team, stream, n) for team in (TEAM, OTHER) for stream in ("b", "a", "c") for n in (1, 2, 3)]
    writes = [Append(LOG, team, stream, f"t{n}", {"n": n}, ends if n == 2 else None) for team, stream, n in places]
    await fill(engine_case.engine, writes)
    engine_case.clock.advance(11)
    for limit in (1, 4, 18, 100):
        found = await walked(engine_case, Query(LOG, None, limit, whole=True))
        assert [(row.team, row.id.partition("/")[0], row.version) for row in found] == sorted(places)
    assert len(await walked(engine_case, Query(LOG, OTHER, 2, whole=True))) == 9


@needs("append")
async def test_what_a_sweep_takes_from_a_log_is_taken_only_when_it_has_expired(engine_case: EngineCase) -> None:
    ends = engine_case.clock() + 10
    await fill(engine_case.engine, [Append(LOG, TEAM, "s", "t1", {"n": 1}, ends)])
    taking = Rewrite(LOG, TEAM, "s", 1, {}, expires_at=0, expired=True)
    with pytest.raises(ConditionFailed):
        await engine_case.engine.commit([taking])
    engine_case.clock.advance(11)
    await engine_case.engine.commit([taking])
    (row,) = await walked(engine_case, Query(LOG, TEAM, 5, whole=True))
    assert (row.item, row.version, row.expires_at) == ({}, 1, 0)
    (done,) = await engine_case.engine.commit([Append(LOG, TEAM, "s", "t2", {"n": 2})])
    assert done.row is not None
    assert done.row.version == 2
