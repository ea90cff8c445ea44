"""Migrating around a deploy that replaces code bit by bit: what adds goes before it, what takes away behind it."""

import time
from dataclasses import replace

import pytest

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import MigrationRefused, WrongUse
from stateroom.store import Store
from support.migrating import OTHERS, SAME, Server, fill, migration, with_attributes
from support.retention import TEAM, TICKETS, rows_of

pytestmark = pytest.mark.service


AFTER = {
    "an attribute goes": (with_attributes(without="notes", more=Attribute("string")), ["attribute"]),
    "a type changes": (with_attributes(notes=Attribute("integer", personal=True), more=Attribute("string")), ["type"]),
    "the key changes": (replace(TICKETS, key="status", version=2, upgrades={1: SAME}), ["key"]),
    "an index goes": (replace(TICKETS, indexes=(Index("owner"),)), ["index"]),
    "an index goes with a version": (replace(TICKETS, indexes=(), version=2, upgrades={1: SAME}), ["index"]),
    "an index goes with its attribute": (
        with_attributes(replace(TICKETS, indexes=(), version=2, upgrades={1: SAME}), without="status"),
        [],
    ),
    "an indexed attribute is sealed": (
        with_attributes(replace(TICKETS, indexes=()), status=Attribute("string", encrypted=True)),
        ["index"],
    ),
    "a datastore goes": (OTHERS, ["datastore"]),
}


@pytest.mark.parametrize(("new", "left"), AFTER.values(), ids=AFTER)
async def test_what_takes_away_waits_behind_the_deploy(store: Store, new: Definition, left: list[str]) -> None:
    await fill(store, {"notes": "x", "status": "open"})
    await migration(store, TICKETS).apply()
    done = await migration(store, new).apply(stage="pre")
    assert {step.stage for step in done} <= {"pre"}
    rows = await rows_of(store.engine, "tickets")
    assert [row.item for row in rows] == [{"id": "t0", "notes": "x", "status": "open"}] * 2, "old code goes on"
    assert await store.team(TEAM).items(TICKETS).get("t0") == {"id": "t0", "notes": "x", "status": "open"}
    again = await migration(store, new).plan()
    assert [step.kind for step in again if step.stage == "post"] == left
    if any(step.destructive for step in again):
        with pytest.raises(MigrationRefused):
            await migration(store, new).apply(stage="post")
    await migration(store, new).apply(stage="post", allow_data_loss=True)
    assert await migration(store, new).plan() == []


async def test_what_goes_behind_a_deploy_is_refused_before_it() -> None:
    engine = Server(time.time)
    async with Store("server://", engine=engine, migrating=True) as server:
        with pytest.raises(WrongUse, match="--stage pre"):
            await migration(server, TICKETS).apply(stage="post")
        await migration(server, TICKETS).apply(stage="pre")
        assert await migration(server, TICKETS).plan() == []
        assert await migration(server, TICKETS).apply(stage="post") == []


async def test_what_a_server_is_to_lose_behind_the_deploy_is_in_its_plan_until_then() -> None:
    engine = Server(time.time)
    async with Store("server://", engine=engine, migrating=True) as server:
        await migration(server, TICKETS).apply()
        for new in (with_attributes(without="notes"), replace(TICKETS, indexes=(), version=2, upgrades={1: SAME})):
            plan = await migration(server, new).plan()
            await migration(server, new).apply(stage="pre")
            left = await migration(server, new).plan()
            assert left == [step for step in plan if step.stage == "post"] != []
            assert await migration(server, new).apply(stage="post", allow_data_loss=True) == left
            assert await migration(server, new).plan() == []


async def test_an_index_that_becomes_unique_is_remembered_by_its_use(store: Store) -> None:
    await fill(store, {"status": "open"})
    unique = replace(TICKETS, indexes=(Index("status", unique=True),))
    await store.team(TEAM).items(unique).put({"id": "t9", "status": "done"})
