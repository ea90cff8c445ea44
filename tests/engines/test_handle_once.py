"""Idempotency keys: applied once, answered alike, whoever repeats."""

import asyncio

import pytest

import stateroom as sr
from stateroom.engines.handle_once import WINDOW
from support.handles import OTHER, TEAM, Frozen
from support.reduced_engine import Reduced


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: str = "open"
    votes: int = 0
    tags: list[str] = []


async def test_the_second_call_returns_the_first_result_and_changes_nothing(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1", votes=5))
    first = await tickets.update("T-1", add={"votes": 1}, append={"tags": ["a"]}, idempotency_key="Ev1")
    await tickets.update("T-1", {"status": "later"}, add={"votes": 100})
    version = await tickets.version("T-1")
    assert await tickets.update("T-1", add={"votes": 1}, append={"tags": ["a"]}, idempotency_key="Ev1") == first
    assert first == Ticket(id="T-1", votes=6, tags=["a"])
    assert await tickets.version("T-1") == version
    assert (await tickets.get("T-1")) == Ticket(id="T-1", votes=106, tags=["a"], status="later")


async def test_a_put_is_repeated_as_safely_also_after_the_item_has_gone(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    made = await tickets.put(Ticket(id="T-1", votes=1), if_absent=True, idempotency_key="Ev1")
    assert await tickets.put(Ticket(id="T-1", votes=1), if_absent=True, idempotency_key="Ev1") == made
    await tickets.delete("T-1")
    assert await tickets.put(Ticket(id="T-1", votes=1), if_absent=True, idempotency_key="Ev1") == made
    assert await tickets.get("T-1") is None


async def test_a_key_belongs_to_one_call(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.update("T-1", {"status": "x"}, add={"votes": 1}, idempotency_key="Ev1")
    others = [
        tickets.update("T-2", {"status": "x"}, add={"votes": 1}, idempotency_key="Ev1"),
        tickets.update("T-1", {"status": "x"}, add={"votes": 2}, idempotency_key="Ev1"),
        tickets.update("T-1", {"status": "y"}, add={"votes": 1}, idempotency_key="Ev1"),
        tickets.update("T-1", {"status": "x"}, add={"votes": 1}, remove=["tags"], idempotency_key="Ev1"),
        tickets.update(
            "T-1", {"status": "x"}, add={"votes": 1}, condition=sr.attr("votes") == 1, idempotency_key="Ev1"
        ),
        tickets.put(Ticket(id="T-1", status="x", votes=1), idempotency_key="Ev1"),
    ]
    for other in others:
        with pytest.raises(sr.IdempotencyMismatch) as refused:
            await other
        assert refused.value.key == "tickets/Ev1"
        assert not refused.value.retryable
    assert await tickets.get("T-1") == Ticket(id="T-1", status="x", votes=1)
    assert await tickets.get("T-2") is None


async def test_one_key_raced_for_two_items_belongs_to_one_of_them(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    done = await asyncio.gather(
        *(tickets.update(f"T-{n}", add={"votes": 1}, idempotency_key="Ev1") for n in range(4)), return_exceptions=True
    )
    assert [type(one) for one in done if not isinstance(one, Ticket)] == [sr.IdempotencyMismatch] * 3
    assert await tickets.count() == 1


async def test_the_order_of_names_makes_no_other_call(store: sr.Store) -> None:
    items = store.team(TEAM).items(Ticket.__definition__)
    first = await items.update("T-1", {"status": "x", "votes": 1.0}, idempotency_key="Ev1")
    assert await items.update("T-1", {"votes": 1, "status": "x"}, idempotency_key="Ev1") == first


async def test_keys_are_of_one_team_and_one_datastore(store: sr.Store) -> None:
    class Vote(sr.Datastore, name="votes"):
        id: str = sr.key()
        votes: int = 0

    for handle in (
        store.team(TEAM).datastore(Ticket),
        store.team(OTHER).datastore(Ticket),
        store.team(TEAM).datastore(Vote),
    ):
        assert (await handle.update("T-1", add={"votes": 1}, idempotency_key="Ev1")).votes == 1  # type: ignore[attr-defined]


async def test_a_refused_call_leaves_no_record(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    closed = sr.attr("status") == "closed"
    with pytest.raises(sr.ConditionFailed) as failed:
        await tickets.update("T-1", add={"votes": 1}, condition=closed, idempotency_key="Ev1")
    assert failed.value.current == Ticket(id="T-1").model_dump()
    await tickets.update("T-1", {"status": "closed"})
    assert (await tickets.update("T-1", add={"votes": 1}, condition=closed, idempotency_key="Ev1")).votes == 1


async def test_a_key_is_remembered_for_a_day(store: sr.Store, clock: Frozen) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.update("T-1", add={"votes": 1}, idempotency_key="Ev1")
    clock.advance(WINDOW - 1)
    assert (await tickets.update("T-1", add={"votes": 1}, idempotency_key="Ev1")).votes == 1
    clock.advance(1)
    assert (await tickets.update("T-1", add={"votes": 1}, idempotency_key="Ev1")).votes == 2
    assert WINDOW == 24 * 3600
    short = store.team(TEAM).datastore(Ticket, idempotency_seconds=60)
    await short.update("T-2", add={"votes": 1}, idempotency_key="Ev2")
    clock.advance(60)
    assert (await short.update("T-2", add={"votes": 1}, idempotency_key="Ev2")).votes == 2


async def test_many_tasks_with_one_key_apply_it_once_and_all_get_the_same(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    done = await asyncio.gather(
        *(tickets.update("T-1", add={"votes": 1}, idempotency_key="Ev1") for _ in range(16)),
        *(tickets.update("T-1", append={"tags": [str(n)]}) for n in range(16)),
    )
    assert len({one.model_dump_json() for one in done[:16]}) == 1
    found = await tickets.get("T-1")
    assert found is not None
    assert found.votes == 1
    assert sorted(found.tags, key=int) == [str(n) for n in range(16)]


async def test_many_tasks_with_keys_of_their_own_lose_nothing(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await asyncio.gather(*(tickets.update("T-1", add={"votes": 1}, idempotency_key=f"Ev{n % 12}") for n in range(24)))
    found = await tickets.get("T-1")
    assert found is not None
    assert found.votes == 12


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0"])
async def test_a_key_that_cannot_be_kept_is_refused(store: sr.Store, key: str) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    with pytest.raises(sr.InvalidId, match="idempotency_key"):
        await tickets.update("T-1", add={"votes": 1}, idempotency_key=key)
    assert await tickets.get("T-1") is None


async def test_an_engine_that_commits_single_rows_says_that_it_cannot() -> None:
    from stateroom.engines.handle import Datastore

    engine = Reduced(Frozen())
    await engine.open()
    with pytest.raises(sr.Unsupported, match="idempotency"):
        await Datastore(engine, Ticket.__definition__, TEAM).update("T-1", {"votes": 1}, idempotency_key="k")
