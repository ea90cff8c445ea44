"""The handle against a dict: random calls in a row leave and answer the same."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import stateroom as sr
from support.handles import TEAM


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    votes: int = 0
    tags: list[str] = []


IDS = st.sampled_from(["a", "b", "c"])
VOTES = st.integers(-3, 3)
CALLS = st.one_of(
    st.tuples(st.just("put"), IDS, VOTES),
    st.tuples(st.just("make"), IDS, VOTES),
    st.tuples(st.just("add"), IDS, VOTES),
    st.tuples(st.just("tag"), IDS, VOTES),
    st.tuples(st.just("add_if"), IDS, VOTES),
    st.tuples(st.just("once"), IDS, VOTES),
    st.tuples(st.just("delete"), IDS, VOTES),
    st.tuples(st.just("modify"), IDS, VOTES),
    st.tuples(st.just("swap"), IDS, VOTES),
)


class Model:
    """What the calls mean, on a dict."""

    def __init__(self) -> None:
        self.items: dict[str, Ticket] = {}
        self.keys: dict[str, tuple[tuple[str, int], Ticket]] = {}

    def one(self, id: str) -> Ticket:
        return self.items.get(id, Ticket(id=id))

    def changed(self, id: str, votes: int = 0, tags: tuple[str, ...] = ()) -> Ticket:
        found = self.one(id)
        self.items[id] = Ticket(id=id, votes=found.votes + votes, tags=[*found.tags, *tags])
        return self.items[id]

    def call(self, verb: str, id: str, votes: int) -> Any:
        if verb == "put" or (verb == "make" and id not in self.items):
            self.items[id] = Ticket(id=id, votes=votes)
            return self.items[id]
        if verb == "make" or (verb == "add_if" and (id not in self.items or self.items[id].votes <= votes)):
            return sr.ConditionFailed
        if verb in ("add", "add_if", "modify"):
            return self.changed(id, votes)
        if verb == "tag":
            return self.changed(id, tags=(str(votes),))
        if verb == "once":
            asked, first = self.keys.get("k", ((id, votes), None))
            if asked != (id, votes):
                return sr.IdempotencyMismatch
            self.keys["k"] = (asked, first or self.changed(id, votes))
            return self.keys["k"][1]
        if verb == "delete":
            return self.items.pop(id, None) is not None
        mine, other = self.one(id), self.one("a")
        self.items[id], self.items["a"] = (
            mine.model_copy(update={"votes": other.votes}),
            other.model_copy(update={"votes": mine.votes}),
        )
        return None


async def called(store: sr.Store, verb: str, id: str, votes: int) -> Any:
    tickets = store.team(TEAM).datastore(Ticket)
    if verb in ("put", "make"):
        return await tickets.put(Ticket(id=id, votes=votes), if_absent=verb == "make")
    if verb == "add":
        return await tickets.update(id, add={"votes": votes})
    if verb == "add_if":
        return await tickets.update(id, add={"votes": votes}, condition=sr.attr("votes") > votes)
    if verb == "tag":
        return await tickets.update(id, append={"tags": [str(votes)]})
    if verb == "once":
        return await tickets.update(id, add={"votes": votes}, idempotency_key="k")
    if verb == "delete":
        return await tickets.delete(id)
    if verb == "modify":
        return await tickets.modify(
            id, lambda t: (t or Ticket(id=id)).model_copy(update={"votes": (t.votes if t else 0) + votes})
        )
    async with store.transaction() as tx:
        inside = tx.team(TEAM).datastore(Ticket)
        mine, other = await inside.get(id) or Ticket(id=id), await inside.get("a") or Ticket(id="a")
        await inside.put(mine.model_copy(update={"votes": other.votes}))
        await inside.put((await inside.get("a") or other).model_copy(update={"votes": mine.votes}))
    return None


async def answer(store: sr.Store, verb: str, id: str, votes: int) -> Any:
    try:
        return await called(store, verb, id, votes)
    except sr.StateroomError as error:
        return type(error)


@given(st.lists(CALLS, max_size=12))
def test_random_calls_answer_and_leave_what_a_dict_would(calls: list[tuple[str, str, int]]) -> None:
    async def run() -> None:
        model = Model()
        async with sr.open("memory://") as store:
            for verb, id, votes in calls:
                assert await answer(store, verb, id, votes) == model.call(verb, id, votes), (verb, id, votes)
            tickets = store.team(TEAM).datastore(Ticket)
            assert (await tickets.query()).items == [model.items[id] for id in sorted(model.items)]
            for votes in range(-3, 4):
                expected = [id for id, t in sorted(model.items.items()) if t.votes >= votes]
                assert [t.id async for t in tickets.scan(sr.attr("votes") >= votes)] == expected

    asyncio.run(run())
