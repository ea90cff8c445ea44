"""Lifecycles: the store refuses what they do not allow, whichever verb asks, raced or not."""

import asyncio
from typing import Literal

import pytest

import stateroom as sr
from support.handles import TEAM

State = Literal["open", "approved", "done"]


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: State = "open"
    title: str = ""
    __lifecycle__ = sr.Lifecycle("status", initial="open", open=["approved"], approved=["done", "approved"])


class Loose(sr.Datastore, name="loose"):
    id: str = sr.key()
    status: str | None = None
    votes: int = 0
    __lifecycle__ = sr.Lifecycle("status", open=["closed"], closed=["open"])


async def test_an_item_goes_only_where_its_lifecycle_leads(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    with pytest.raises(sr.IllegalTransition) as refused:
        await tickets.update("T-1", {"status": "done"})
    assert (refused.value.from_state, refused.value.to_state) == ("open", "done")
    assert refused.value.current == {"id": "T-1", "status": "open", "title": ""}
    assert isinstance(refused.value, sr.ConditionFailed)
    assert refused.value.version == await tickets.version("T-1")
    assert (await tickets.update("T-1", {"status": "approved"})).status == "approved"
    assert (await tickets.update("T-1", {"status": "done"})).status == "done"
    with pytest.raises(sr.IllegalTransition):
        await tickets.update("T-1", {"status": "open"})


async def test_a_put_obeys_the_lifecycle_too_and_may_leave_the_state_as_it_is(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    with pytest.raises(sr.IllegalTransition):
        await tickets.put(Ticket(id="T-1", status="done"))
    assert (await tickets.put(Ticket(id="T-1", title="new"))).title == "new"
    assert (await tickets.put(Ticket(id="T-1", status="approved"))).status == "approved"


async def test_an_update_that_names_the_state_the_item_has_is_a_transition_unless_declared(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    with pytest.raises(sr.IllegalTransition):
        await tickets.update("T-1", {"status": "open"})
    await tickets.update("T-1", {"status": "approved"})
    assert (await tickets.update("T-1", {"status": "approved"})).status == "approved"
    assert (await tickets.update("T-1", {"title": "x"})).status == "approved"


async def test_a_new_item_begins_where_it_may(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    for begin in (
        tickets.put(Ticket(id="T-1", status="done")),
        tickets.put(Ticket(id="T-1", status="done"), if_absent=True),
        tickets.update("T-1", {"status": "approved"}),
    ):
        with pytest.raises(sr.IllegalTransition) as refused:
            await begin
        assert refused.value.from_state is None
        assert refused.value.current is None
    assert await tickets.get("T-1") is None
    assert (await tickets.update("T-2", {"title": "made by an update"})).status == "open"
    assert (await tickets.update("T-3", {"status": "open"})).status == "open"
    stored = await store.team(TEAM).items(Ticket.__definition__).get("T-2")
    assert stored == {"id": "T-2", "status": "open", "title": "made by an update"}


async def test_a_state_cannot_be_lost(store: sr.Store) -> None:
    loose = store.team(TEAM).datastore(Loose)
    await loose.put(Loose(id="a", status="open"))
    with pytest.raises(sr.IllegalTransition) as refused:
        await loose.put(Loose(id="a", votes=1))
    assert (refused.value.from_state, refused.value.to_state) == ("open", None)
    with pytest.raises(sr.InvalidValue, match="lifecycle"):
        await loose.update("a", remove=["status"])


async def test_an_item_without_a_state_may_be_given_one_later(store: sr.Store) -> None:
    loose = store.team(TEAM).datastore(Loose)
    await loose.put(Loose(id="a"))
    assert (await loose.put(Loose(id="a", votes=2))).votes == 2
    assert (await loose.update("a", {"status": "closed"})).status == "closed"


async def test_a_state_that_the_lifecycle_does_not_know_is_refused(store: sr.Store) -> None:
    items = store.team(TEAM).items(Loose.__definition__)
    with pytest.raises(sr.IllegalTransition):
        await items.put({"id": "a", "status": "burnt", "votes": 0})


async def test_conditions_and_lifecycles_both_hold(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    with pytest.raises(sr.ConditionFailed) as missing:
        await tickets.update("T-1", {"status": "approved"}, condition=sr.attr("title") == "")
    assert missing.value.current is None
    assert not isinstance(missing.value, sr.IllegalTransition)
    await tickets.put(Ticket(id="T-1", title="a"))
    with pytest.raises(sr.ConditionFailed) as other:
        await tickets.update("T-1", {"status": "approved"}, condition=sr.attr("title") == "b")
    assert not isinstance(other.value, sr.IllegalTransition)
    with pytest.raises(sr.IllegalTransition):
        await tickets.update("T-1", {"status": "done"}, condition=sr.attr("title") == "a")
    assert (await tickets.update("T-1", {"status": "approved"}, condition=sr.attr("title") == "a")).status == "approved"


async def test_modify_and_transactions_obey_it_and_a_bulk_put_says_which_item_did_not(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    with pytest.raises(sr.IllegalTransition):
        await tickets.modify("T-1", lambda t: Ticket(id="T-1", status="done"))
    with pytest.raises(sr.IllegalTransition):  # noqa: PT012  the block is the call
        async with store.transaction() as tx:
            inside = tx.team(TEAM).datastore(Ticket)
            await inside.update("T-1", {"status": "approved"})
            await inside.update("T-1", {"status": "open"})
    assert (await tickets.get("T-1")) == Ticket(id="T-1")
    done = await tickets.bulk_put([Ticket(id="T-0"), Ticket(id="T-1", status="done"), Ticket(id="T-2")])
    assert [t.id for t in done.items] == ["T-0", "T-2"]
    assert isinstance(done.failed[1], sr.IllegalTransition)


async def test_of_sixteen_tasks_racing_one_transition_one_wins(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    await tickets.update("T-1", {"status": "approved"})
    racing = [tickets.update("T-1", {"status": "done", "title": str(n)}) for n in range(16)]
    done = await asyncio.gather(*racing, return_exceptions=True)
    won = [one for one in done if isinstance(one, Ticket)]
    lost = [one for one in done if isinstance(one, sr.IllegalTransition)]
    assert (len(won), len(lost)) == (1, 15)
    assert [error.current for error in lost] == [won[0].model_dump()] * 15
    assert await tickets.get("T-1") == won[0]
