"""What an engine does not declare it refuses by name; nothing is silently approximated."""

from __future__ import annotations

import pytest

from stateroom.engines.conformance import ITEMS, LOG, OTHER, TEAM, EngineCase, fill, needs
from stateroom.engines.port import (
    CHANGES,
    Append,
    Check,
    Delete,
    Put,
    Query,
    Table,
    TableIndex,
    Update,
    Write,
    changes_table,
)
from stateroom.expr.builder import attr
from stateroom.model.errors import StateroomError, Unsupported


async def test_append_works_or_is_refused_by_name(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    if engine_case.capabilities.append:
        (done,) = await engine.commit([Append(LOG, TEAM, "s", "t", {})])
        assert done.changed
        return
    with pytest.raises(Unsupported) as refused:
        await engine.apply([Table("cf_other_log", log=True)])
    assert refused.value.construct


async def test_conditions_work_or_are_refused_by_name(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    await engine.commit([Put(ITEMS, TEAM, "a", {"n": 1})])
    holds = attr("n") == 1
    writes: list[Write] = [
        Check(ITEMS, TEAM, "a", condition=holds),
        Update(ITEMS, TEAM, "a", set={"x": 1}, condition=holds),
        Put(ITEMS, TEAM, "b", {}, if_version=0),
        Update(ITEMS, TEAM, "b", set={"x": 1}, guard=attr("x").not_exists()),
        Delete(ITEMS, TEAM, "a", condition=holds),
    ]
    for write in writes:
        if engine_case.capabilities.conditions:
            await engine.commit([write])
        else:
            with pytest.raises(Unsupported):
                await engine.commit([write])


@pytest.mark.parametrize(
    ("capability", "index"),
    [
        ("indexes", TableIndex("n", ("n",))),
        ("unique", TableIndex("n", ("n",), unique=True)),
        ("across_teams", TableIndex("n", ("n",), across_teams=True)),
    ],
    ids=["indexes", "unique", "across_teams"],
)
async def test_an_index_works_or_is_refused_by_name(
    engine_case: EngineCase, capability: str, index: TableIndex
) -> None:
    engine, table = engine_case.engine, Table(f"cf_{capability}", indexes=(index,))
    if not getattr(engine_case.capabilities, capability):
        with pytest.raises(Unsupported):
            await engine.apply([table])
        return
    await engine.apply([table])
    await engine.commit([Put(table.name, TEAM, "a", {"n": 1}), Put(table.name, OTHER, "b", {"n": 0})])
    page = await engine.query(Query(table.name, None if index.across_teams else TEAM, 5, index="n"))
    assert [row.id for row in page.rows] == (["b", "a"] if index.across_teams else ["a"])


@pytest.mark.parametrize(
    ("capability", "table"),
    [("expired", Table("cf_expires", expires=True)), ("changes", Table("cf_changes", changes=True))],
    ids=["expired", "changes"],
)
async def test_a_table_that_asks_for_more_gets_it_or_is_refused_by_name(
    engine_case: EngineCase, capability: str, table: Table
) -> None:
    engine = engine_case.engine
    if not getattr(engine_case.capabilities, capability):
        with pytest.raises(Unsupported) as refused:
            await engine.apply([table])
        assert refused.value.construct
        return
    await engine.apply([table])
    await engine.commit([Put(table.name, TEAM, "a", {"n": 1}, expires_at=engine_case.clock() + 60)])
    if table.changes:
        page = await engine.query(Query(changes_table(table.name), TEAM, 5, equals=(CHANGES,)))
        assert [row.item["id"] for row in page.rows] == ["a"]
    else:
        engine_case.clock.advance(61)
        page = await engine.query(Query(table.name, TEAM, 5, expired=True))
        assert [row.id for row in page.rows] == ["a"]


async def test_a_batch_over_the_atomic_unit_is_refused_whole(engine_case: EngineCase) -> None:
    engine, unit = engine_case.engine, engine_case.capabilities.atomic_rows
    batch = [Put(ITEMS, TEAM, f"r{n:04}", {"n": n}) for n in range(500 if unit is None else unit + 1)]
    if unit is None:
        assert all(done.changed for done in await engine.commit(batch))
        return
    with pytest.raises(Unsupported):
        await engine.commit(batch)
    page = await engine.query(Query(ITEMS, TEAM, 1))
    assert page.rows == []


@needs("own")
async def test_apply_says_what_it_would_do_and_does_it_once(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    table = Table("cf_more")
    planned = await engine.apply([table], dry_run=True)
    assert planned
    with pytest.raises(StateroomError):
        await engine.get(table.name, TEAM, ["a"])
    assert await engine.apply([table]) == planned
    assert await engine.apply([table]) == []
    await engine.commit([Put(table.name, TEAM, "a", {"n": 1})])
    if engine_case.capabilities.indexes:
        wider = Table("cf_more", indexes=(TableIndex("n", ("n",)),))
        assert await engine.apply([wider])
        page = await engine.query(Query(table.name, TEAM, 5, index="n"))
        assert [row.id for row in page.rows] == ["a"]


@needs("own")
async def test_tables_whose_names_look_alike_are_apart(engine_case: EngineCase) -> None:
    engine = engine_case.engine
    names = ["cf_Like", "cf_like", "cf_liKe", "cf_like_a", "cf_like_a_b"]
    await engine.apply([Table(name) for name in names])
    await fill(engine, [Put(name, TEAM, "a", {"in": name}) for name in names])
    for name in names:
        (row,) = await engine.get(name, TEAM, ["a"])
        assert row
        assert row.item == {"in": name}
