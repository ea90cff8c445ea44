"""Backfill: old rows reach the new version, nothing that is written meanwhile is lost, and what fails says why."""

from dataclasses import replace
from typing import Any

import pytest

import stateroom as sr
from stateroom.engines import leases
from stateroom.engines.port import Write, Written
from stateroom.layers import catalogue
from stateroom.layers.migrations import Migration
from stateroom.layers.migrations_backfill import LEASE, BackfillRuns, backfill, older, upgrading
from stateroom.layers.migrations_rewrite import Rewriter, failed_rows, progress_of
from stateroom.layers.retention_erase import Eraser, targets
from stateroom.layers.walking import EVERYWHERE, Pace
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import FormatTooNew
from stateroom.store import Store
from support.retention import ANN, NOW, OTHER, TEAM, Clock, rows_of

BASE = {"id": Attribute("string", required=True), "votes": Attribute("integer")}
OLD = Definition("polls", "id", {**BASE, "title": Attribute("string")})


def renamed(item: dict[str, Any]) -> dict[str, Any]:
    title = item.pop("title")
    if title == "bad":
        raise ValueError(title)
    return {**item, "name": title.upper()}


NEW = Definition(
    "polls",
    "id",
    {**BASE, "name": Attribute("string", required=True), "ends": Attribute("slack#/types/timestamp")},
    version=2,
    ttl="ends",
    upgrades={1: renamed},
)


async def fill(store: Store, count: int = 5, team: str = TEAM) -> None:
    for n in range(count):
        await store.team(team).items(OLD).put({"id": f"p{n}", "votes": n, "title": f"poll {n}"})


def rewriter(store: Store, batch: int) -> Rewriter:
    return Rewriter(store.engine, Pace(store.clock), upgrading(NEW), told=lambda _: None, batch=batch)


async def test_rows_of_all_teams_are_rewritten_once_in_the_new_version(store: Store) -> None:
    await fill(store)
    await fill(store, 3, OTHER)
    await store.team(OTHER).items(NEW).put({"id": "p9", "name": "new"})
    done = await backfill(store.engine, Pace(store.clock), NEW)
    assert (done.rewritten, done.failed, done.finished) == (8, 0, True)
    rows = await rows_of(store.engine, "polls")
    assert {row.item["$v"] for row in rows} == {2}
    assert await store.team(TEAM).items(NEW).get("p3") == {"id": "p3", "votes": 3, "name": "POLL 3"}
    versions = [row.version for row in rows]
    again = await backfill(store.engine, Pace(store.clock), NEW)
    assert (again.rewritten, again.failed) == (0, 0)
    assert [row.version for row in await rows_of(store.engine, "polls")] == versions, "nothing was written again"


async def test_a_deleted_item_can_be_restored_when_the_steps_are_gone(store: Store) -> None:
    old, new = replace(OLD, keep_deleted=60), replace(NEW, keep_deleted=60)
    await fill(store, 2)
    await store.team(TEAM).items(old).delete("p1")
    done = await backfill(store.engine, Pace(store.clock), new)
    assert (done.rewritten, done.failed, done.finished) == (2, 0, True)
    items = store.team(TEAM).items(replace(new, upgrades={}))
    assert await items.restore("p1") == {"id": "p1", "votes": 1, "name": "POLL 1"}
    assert await items.get("p1") == {"id": "p1", "votes": 1, "name": "POLL 1"}


async def test_rows_that_cannot_be_upgraded_stay_and_say_why_until_they_can(store: Store) -> None:
    await fill(store, 2)
    await store.team(TEAM).items(OLD).put({"id": "broken", "title": "bad"})
    await store.team(OTHER).items(OLD).put({"id": "poor", "votes": 1})
    done = await backfill(store.engine, Pace(store.clock), NEW)
    assert (done.rewritten, done.failed) == (2, 2)
    noted = {row.item["row"]: (row.team, row.item["reason"]) async for row in failed_rows(store.engine)}
    assert noted["broken"] == (
        TEAM,
        "polls: the upgrade step from version 1 failed with ValueError; nothing was changed, mend the step",
    )
    assert noted["poor"][0] == OTHER
    assert "KeyError" in noted["poor"][1]
    assert await store.team(TEAM).items(OLD).get("broken") == {"id": "broken", "title": "bad"}
    (found,) = await Migration(store.engine, store.clock, own=[], given=[NEW]).states()
    assert (found.failed, found.old_rows) == (2, True)
    await store.team(TEAM).items(OLD).update("broken", {"title": "good"})
    await store.team(OTHER).items(OLD).delete("poor")
    done = await backfill(store.engine, Pace(store.clock), NEW)
    assert (done.rewritten, done.failed) == (1, 0)
    assert [row async for row in failed_rows(store.engine)] == []


async def test_what_does_not_fit_the_class_of_the_new_code_does_not_take_the_place_of_the_old(store: Store) -> None:
    class Poll(sr.Datastore, name="polls", version=2):
        id: str = sr.key()
        name: str

    bare = replace(Poll.__definition__, upgrades={1: lambda item: {"id": item["id"]}})
    await fill(store, 1)
    done = await backfill(store.engine, Pace(store.clock), bare)
    assert (done.rewritten, done.failed) == (0, 1)
    assert (await rows_of(store.engine, "polls"))[0].item["title"] == "poll 0"


async def test_a_row_that_is_written_meanwhile_keeps_what_was_written(store: Store) -> None:
    await fill(store, 3)
    commit = store.engine.commit

    async def slow(writes: list[Write]) -> list[Written]:
        if any(write.table == "polls" for write in writes):
            store.engine.commit = commit  # type: ignore[method-assign]
            await store.team(TEAM).items(OLD).update("p1", add={"votes": 10})
            await store.team(TEAM).items(OLD).delete("p2")
        return await commit(writes)

    store.engine.commit = slow  # type: ignore[method-assign,assignment]
    done = await backfill(store.engine, Pace(store.clock), NEW)
    assert (done.rewritten, done.failed) == (2, 0)
    polls = store.team(TEAM).items(NEW)
    assert await polls.get("p1") == {"id": "p1", "votes": 11, "name": "POLL 1"}
    assert await polls.get("p2") is None


async def test_a_killed_backfill_goes_on_where_it_stood_and_counts_no_row_twice(store: Store) -> None:
    await fill(store, 10)
    commit = store.engine.commit
    pages = 0

    class Killed(Exception):
        pass

    async def dying(writes: list[Write]) -> list[Written]:
        nonlocal pages
        if any(write.table == "polls" for write in writes):
            pages += 1
            if pages == 3:
                raise Killed
        return await commit(writes)

    store.engine.commit = dying  # type: ignore[method-assign,assignment]
    with pytest.raises(Killed):
        await rewriter(store, 3).run()
    store.engine.commit = commit  # type: ignore[method-assign]
    left = await progress_of(store.engine, "backfill:polls")
    assert left is not None
    assert (left.rewritten, left.finished, left.after) == (6, False, (TEAM, "p5"))
    done = await rewriter(store, 3).run()
    assert (done.rewritten, done.finished) == (10, True)


async def test_what_old_code_writes_behind_the_walk_is_met_by_another_pass(store: Store) -> None:
    await fill(store, 4)
    written = False

    async def wait(_: float) -> None:
        return

    class Writing(Pace):
        async def batch(self, rows: int) -> None:
            nonlocal written
            if not written:
                written = True
                await store.team(TEAM).items(OLD).put({"id": "a", "title": "late"})

    work = Rewriter(store.engine, Writing(store.clock, wait=wait), upgrading(NEW), told=lambda _: None, batch=2)
    assert (await work.run()).rewritten == 5
    assert {row.item["$v"] for row in await rows_of(store.engine, "polls")} == {2}


async def test_a_row_newer_than_the_code_is_an_error_before_anything_is_written(store: Store) -> None:
    await fill(store, 2)
    third = replace(NEW, version=3, upgrades={1: renamed, 2: lambda item: item})
    await store.team(OTHER).items(third).put({"id": "p9", "name": "new"})
    with pytest.raises(FormatTooNew, match="a row was written by version 3 of the definition, the code has 2"):
        await backfill(store.engine, Pace(store.clock), NEW)
    assert "$v" not in (await rows_of(store.engine, "polls"))[0].item


async def test_one_backfill_of_a_datastore_at_a_time(store: Store, clock: Clock) -> None:
    await fill(store, 1)
    held = await leases.acquire(store.engine, clock, EVERYWHERE, "backfill:polls", holder="other", seconds=LEASE)
    assert held is not None
    with pytest.raises(BackfillRuns):
        await backfill(store.engine, Pace(clock), NEW)
    clock.now += LEASE + 1  # that one was killed
    assert (await backfill(store.engine, Pace(clock), NEW)).rewritten == 1


async def test_a_rewritten_row_ends_when_the_new_version_says(store: Store, clock: Clock) -> None:
    ends = int(NOW) + 60
    upgrades = {1: lambda item: {"id": item["id"], "name": "x", "ends": ends}}
    await fill(store, 1)
    await backfill(store.engine, Pace(clock), replace(NEW, upgrades=upgrades))
    (row,) = await rows_of(store.engine, "polls")
    assert row.expires_at == ends


async def test_expired_rows_are_left_to_the_sweep(store: Store, clock: Clock) -> None:
    short = replace(OLD, attributes={**OLD.attributes, "ends": Attribute("slack#/types/timestamp")}, ttl="ends")
    await store.team(TEAM).items(short).put({"id": "p1", "title": "bad", "ends": int(NOW) + 5})
    clock.now += 6
    done = await backfill(store.engine, Pace(clock), NEW)
    assert (done.rewritten, done.failed) == (0, 0)


async def test_a_rate_is_kept_by_pages_of_a_second_at_most(store: Store, clock: Clock) -> None:
    await fill(store, 10)
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds

    await backfill(store.engine, Pace(clock, rate=4, wait=wait), NEW)
    assert waits == [1.0, 1.0, 0.5]


async def test_a_definition_of_version_one_has_nothing_to_rewrite(store: Store) -> None:
    await fill(store, 2)
    assert (await backfill(store.engine, Pace(store.clock), OLD)).rewritten == 0
    assert await progress_of(store.engine, "backfill:polls") is None
    assert older(OLD) is not None


async def test_what_is_noted_of_a_failed_row_goes_with_its_person(store: Store) -> None:
    await store.team(TEAM).items(OLD).put({"id": ANN, "title": "bad"})
    await backfill(store.engine, Pace(store.clock), NEW)
    eraser = Eraser(store.engine, store.clock, ANN, team=None, told=lambda _: None)
    (target,) = targets([catalogue.FAILED], {})
    assert (await eraser.run(target)).removed == 1
