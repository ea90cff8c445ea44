"""Sweeping: what has expired goes, what was renewed stays, and a log keeps its numbering."""

from dataclasses import replace
from pathlib import Path

import pytest

from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.port import Append, Delete, Put, Query, Write, Written
from stateroom.layers.retention import Sweep, Swept, sweep
from stateroom.layers.threads import ENTRIES
from stateroom.layers.walking import Pace
from stateroom.model.content import Content
from stateroom.store import Store, own_definitions
from support.retention import NOW, OTHER, TEAM, TICKETS, Clock, rows_of, store_over

TABLES = [*(table_of(definition) for definition in (*own_definitions(), TICKETS)), leases.TABLE]


@pytest.fixture(autouse=True)
async def tables(store: Store) -> None:
    await store.prepare(TABLES)


async def fill(store: Store, count: int, *, ends: float | None = NOW + 10, team: str = TEAM) -> None:
    await store.engine.commit([Put("tickets", team, f"t{n:05d}", {"id": f"t{n:05d}"}, ends) for n in range(count)])


async def swept(store: Store, **more: object) -> Sweep:
    return await sweep(store.engine, TABLES, Pace(store.clock), **more)  # type: ignore[arg-type]


def figures(done: Sweep, name: str = "tickets") -> tuple[int, int, int]:
    (found,) = [one for one in done.tables if one.datastore == name]
    return found.seen, found.removed, found.kept


async def test_what_has_expired_is_removed_and_the_rest_stays(store: Store, clock: Clock) -> None:
    await fill(store, 7)
    await fill(store, 3, ends=None, team=OTHER)
    clock.now += 10
    done = await swept(store, batch=2)
    assert figures(done) == (7, 7, 0)
    assert done.finished
    assert {row.team for row in await rows_of(store.engine, "tickets")} == {OTHER}
    assert figures(await swept(store)) == (0, 0, 0)


async def test_a_row_that_is_renewed_while_the_sweep_looks_at_it_stays(store: Store, clock: Clock) -> None:
    await fill(store, 4)
    clock.now += 10
    page = await store.engine.query(Query("tickets", None, 100, expired=True))
    assert len(page.rows) == 4
    commit = store.engine.commit
    renewed = False

    async def slow(writes: list[Write]) -> list[Written]:
        nonlocal renewed
        if not renewed and isinstance(writes[0], Delete):
            renewed = True
            await commit([Put("tickets", TEAM, "t00002", {"id": "t00002", "status": "again"})])
        return await commit(writes)

    store.engine.commit = slow  # type: ignore[method-assign,assignment]
    assert figures(await swept(store)) == (4, 3, 1)
    assert [row.item["status"] for row in await rows_of(store.engine, "tickets")] == ["again"]


async def test_a_dry_run_counts_and_removes_nothing(store: Store, clock: Clock) -> None:
    await fill(store, 5)
    clock.now += 10
    assert figures(await swept(store, dry_run=True, batch=2)) == (5, 0, 0)
    assert len(await rows_of(store.engine, "tickets")) == 5


async def test_a_sweep_of_one_team_leaves_the_others(store: Store, clock: Clock) -> None:
    await fill(store, 2)
    await fill(store, 3, team=OTHER)
    clock.now += 10
    assert figures(await swept(store, team=OTHER)) == (3, 3, 0)
    assert len(await rows_of(store.engine, "tickets")) == 2


async def test_a_sweep_whose_time_is_up_stops_behind_a_batch_and_the_next_goes_on(store: Store, clock: Clock) -> None:
    await fill(store, 10)
    clock.now += 10
    done = await sweep(store.engine, TABLES, Pace(clock, ends=clock.now), batch=4)
    assert not done.finished
    assert figures(done) == (4, 4, 0)
    assert figures(await swept(store, batch=4)) == (6, 6, 0)


async def test_the_words_of_expired_turns_go_and_the_numbering_goes_on(store: Store, clock: Clock) -> None:
    short = Store(store.url, clock=clock, engine=store.engine, content=Content("ttl", 60))
    thread = short.team(TEAM).thread("C00000001", "1700000000.000100")
    for number in (1, 2):
        assert await thread.append([{"kind": "response", "parts": []}], turn_id=f"Ev{number}") == number
    clock.now += 61
    assert figures(await swept(store), ENTRIES.name) == (2, 2, 0)
    assert [row.item for row in await rows_of(store.engine, ENTRIES.name)] == [{}, {}]
    assert await thread.append([{"kind": "response", "parts": []}], turn_id="Ev3") == 3
    assert await thread.count() == 1
    assert figures(await swept(store), ENTRIES.name) == (0, 0, 0), "an empty place is not swept again"


async def test_a_thread_that_was_erased_and_begun_anew_meanwhile_keeps_its_new_turns(
    store: Store, clock: Clock
) -> None:
    short = Store(store.url, clock=clock, engine=store.engine, content=Content("ttl", 60))
    thread = short.team(TEAM).thread("C00000001", "1700000000.000100")
    await thread.append([{"kind": "response", "parts": []}], turn_id="Ev1")
    clock.now += 61
    commit = store.engine.commit

    async def slow(writes: list[Write]) -> list[Written]:
        store.engine.commit = commit  # type: ignore[method-assign]
        await thread.erase()
        await thread.append([{"kind": "response", "parts": []}], turn_id="Ev2")
        return await commit(writes)

    store.engine.commit = slow  # type: ignore[method-assign,assignment]
    assert figures(await swept(store), ENTRIES.name) == (1, 0, 1)
    assert await thread.count() == 1


async def test_closed_turns_and_unused_leases_are_swept_with_everything_else(store: Store, clock: Clock) -> None:
    lease = await leases.acquire(store.engine, clock, TEAM, "lane:x", holder="me", seconds=5)
    assert lease is not None
    await store.engine.commit([Put("sr_inbox", TEAM, "C1:1", {"id": "C1:1"}, NOW + 5)])
    clock.now += leases.KEPT + 6
    done = await swept(store)
    assert figures(done, "sr_inbox") == (1, 1, 0)
    assert figures(done, "sr_leases") == (1, 1, 0)


async def test_progress_is_told_after_every_batch(store: Store, clock: Clock) -> None:
    await fill(store, 5)
    clock.now += 10
    heard: list[Swept] = []
    await swept(store, batch=2, told=lambda one: heard.append(replace(one)))
    assert [one.removed for one in heard if one.datastore == "tickets"] == [2, 4, 5]


async def test_the_pace_leaves_others_their_share_of_the_time() -> None:
    clock, waits = Clock(), list[float]()

    async def wait(seconds: float) -> None:
        waits.append(round(seconds, 6))
        clock.now += seconds

    pace = Pace(clock, share=0.25, wait=wait)
    await pace.batch(10)
    clock.now += 2.0
    await pace.batch(10)
    assert waits == [6.0]
    rated = Pace(clock, rate=5, wait=wait)
    await rated.batch(10)
    clock.now += 0.5
    await rated.batch(10)
    assert waits == [6.0, 2.0, 1.5]


async def test_a_table_that_was_never_made_has_nothing_to_sweep(clock: Clock, tmp_path: Path) -> None:
    async with store_over("sqlite", tmp_path, clock) as store:
        assert figures(await swept(store)) == (0, 0, 0)


async def test_streams_of_many_turns_are_swept_in_batches(store: Store, clock: Clock) -> None:
    entry = {"at": 1, "format": "pydantic-ai", "version": 1, "messages": "[]"}
    names = [f"C{n}:1700000000.000100" for n in range(3)]
    await store.engine.commit(
        [Append(ENTRIES.name, TEAM, name, f"Ev{n}", entry, NOW + n) for name in names for n in range(1, 6)]
    )
    clock.now += 3
    assert figures(await swept(store, batch=4), ENTRIES.name) == (9, 9, 0)
    clock.now += 10
    assert figures(await swept(store, batch=4), ENTRIES.name) == (6, 6, 0)


async def test_what_was_deleted_can_be_restored_until_its_window_ends_and_then_goes(store: Store, clock: Clock) -> None:
    kept = replace(TICKETS, keep_deleted=30)
    tickets = store.team(TEAM).items(kept)
    for name in ("t1", "t2"):
        await tickets.put({"id": name, "status": "open"})
        await tickets.delete(name)
    tables = [table_of(one) for one in await store.everything()]
    clock.now += 29
    assert figures(await sweep(store.engine, tables, Pace(clock)), "trash_tickets") == (0, 0, 0)
    assert await tickets.restore("t1") == {"id": "t1", "status": "open"}
    clock.now += 1
    assert await tickets.restore("t2") is None
    assert figures(await sweep(store.engine, tables, Pace(clock)), "trash_tickets") == (1, 1, 0)
    assert await rows_of(store.engine, "trash_tickets") == []


async def test_repeated_calls_are_forgotten_when_their_window_ends(store: Store, clock: Clock) -> None:
    tickets = store.team(TEAM).items(TICKETS)
    await tickets.put({"id": "t1"}, idempotency_key="Ev1")
    clock.now += 25 * 3600
    assert figures(await swept(store), "sr_once") == (1, 1, 0)
