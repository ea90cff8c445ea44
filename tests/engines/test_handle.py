"""The verbs of a datastore on one item, and its pages by key."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import Field

import stateroom as sr
from stateroom.engines.handle_surroundings import ATTEMPTS, Surroundings
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Row, Write, Written
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.store import Store
from support.handles import Frozen


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: str = "open"
    votes: int = 0
    tags: list[str] = []
    secret: str | None = sr.encrypted()


class Note(sr.Datastore, name="notes"):
    id: str = sr.key()
    body: dict[str, Any] = {}


async def test_a_ticket_is_kept_changed_and_removed(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    assert await tickets.get("T-1") is None
    await tickets.put(Ticket(id="T-1"), if_absent=True)
    with pytest.raises(sr.ConditionFailed) as failed:
        await tickets.put(Ticket(id="T-1", votes=9), if_absent=True)
    assert failed.value.current is not None
    assert failed.value.current["votes"] == 0
    changed = await tickets.update("T-1", {"status": "done"}, add={"votes": 2}, append={"tags": ["a"]})
    assert (changed.status, changed.votes, changed.tags) == ("done", 2, ["a"])
    with pytest.raises(sr.ConditionFailed):
        await tickets.update("T-1", {"status": "open"}, condition=sr.attr("status") == "open")
    assert await tickets.delete("T-1")
    assert not await tickets.delete("T-1")


async def test_update_without_condition_inserts_and_with_one_it_does_not(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    assert (await tickets.update("T-2", {"status": "new"})).id == "T-2"
    with pytest.raises(sr.ConditionFailed) as failed:
        await tickets.update("T-3", {"status": "new"}, condition=sr.attr("status") == "open")
    assert failed.value.current is None


async def test_versions_refuse_what_somebody_else_changed(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    seen = await tickets.version("T-1")
    await tickets.update("T-1", add={"votes": 1})
    with pytest.raises(sr.ConditionFailed):
        await tickets.update("T-1", add={"votes": 1}, if_version=seen)


async def test_pages_follow_the_keys_and_stay_in_their_prefix(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    for key in ("a-1", "a-2", "a-\U0010ffff", "b-1", "a"):
        await tickets.put(Ticket(id=key))
    first = await tickets.query(prefix="a-", limit=2)
    rest = await tickets.query(prefix="a-", limit=2, cursor=first.cursor)
    assert [t.id for t in first.items + rest.items] == ["a-1", "a-2", "a-\U0010ffff"]
    assert rest.cursor is None
    assert [t.id for t in (await tickets.query(low="a-2", descending=True)).items] == ["b-1", "a-\U0010ffff", "a-2"]


async def test_teams_do_not_see_each_other(store: sr.Store) -> None:
    await store.team("T00000001").datastore(Ticket).put(Ticket(id="T-1"))
    other = store.team("T00000002").datastore(Ticket)
    assert await other.get("T-1") is None
    assert (await other.query()).items == []
    with pytest.raises(sr.InvalidId):
        store.team("T1/../T2")


async def test_what_is_wrong_is_refused_at_the_door(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    with pytest.raises(sr.InvalidValue, match=r"tickets\.id"):
        await tickets.update("T-1", {"id": "T-2"})
    with pytest.raises(sr.InvalidValue, match="votes"):
        await tickets.update("T-1", {"votes": "many"})
    with pytest.raises(sr.InvalidId):
        await tickets.get("")
    with pytest.raises(sr.InvalidValue):
        await tickets.update("T-1", {"tags": "x"})
    with pytest.raises(sr.KeyMissing, match="no keys were given"):
        await tickets.put(Ticket(id="T-1", secret="s3cret"))
    assert await tickets.get("T-1") is None


async def test_what_has_the_wrong_form_is_refused_in_words_too(store: sr.Store) -> None:
    tickets: Any = store.team("T00000001").datastore(Ticket)
    wrong = [
        tickets.update("T-1", 5),
        tickets.update("T-1", ["votes"]),
        tickets.update("T-1", {1: 2}),
        tickets.update("T-1", add=["votes"]),
        tickets.update("T-1", append=["tags"]),
        tickets.bulk_get("T-1"),
        tickets.bulk_delete("T-1"),
    ]
    for call in wrong:
        with pytest.raises(sr.InvalidValue):
            await call
    assert (await tickets.query()).items == []


@pytest.mark.parametrize("levels", [33, 5000])
async def test_what_is_nested_too_deeply_is_refused_by_name_however_deep(store: sr.Store, levels: int) -> None:
    notes = store.team("T00000001").datastore(Note)
    deep: dict[str, Any] = {}
    for _ in range(levels):
        deep = {"inner": deep}
    with pytest.raises(sr.InvalidValue, match=r"notes\.body: is nested deeper than 32 levels"):
        await notes.put(Note(id="N-1", body=deep))
    endless: dict[str, Any] = {}
    endless["inner"] = endless
    with pytest.raises(sr.InvalidValue, match=r"notes\.body: is nested deeper than 32 levels"):
        await notes.update("N-1", {"body": endless})


async def test_an_urls_credentials_are_not_shown_and_unknown_engines_are_named() -> None:
    assert "secret" not in repr(sr.open("memory://user:secret@host"))
    with pytest.raises(sr.WrongUse, match="sqlite"):
        sr.open("redis://localhost")


class Stock(sr.Datastore, name="stock"):
    id: str = sr.key()
    left: int = Field(0, ge=0)
    tags: list[str] = Field(default_factory=list, max_length=2)
    sold: int = 0


async def test_what_add_and_append_make_must_be_what_the_class_takes(store: sr.Store) -> None:
    stock = store.team("T00000001").datastore(Stock)
    await stock.put(Stock(id="a", left=3))
    await asyncio.gather(*(stock.update("a", add={"left": -1, "sold": 1}) for _ in range(3)))
    with pytest.raises(sr.InvalidValue, match=r"stock\.left"):
        await stock.update("a", add={"left": -1})
    await stock.update("a", append={"tags": ["x", "y"]})
    with pytest.raises(sr.InvalidValue, match=r"stock\.tags"):
        await stock.update("a", append={"tags": ["z"]})
    with pytest.raises(sr.InvalidValue, match=r"stock\.left"):
        await stock.update("a", add={"left": -1}, idempotency_key="k")
    with pytest.raises(sr.InvalidValue, match=r"stock\.left"):
        await stock.update("new", add={"left": -1})
    assert await stock.get("a") == Stock(id="a", left=0, tags=["x", "y"], sold=3)
    assert await stock.get("new") is None


class Owned(sr.Datastore, name="owned"):
    id: str = sr.key()
    owner: sr.UserId
    votes: int = 0


async def test_an_update_does_not_make_an_item_without_its_required_attributes(store: sr.Store) -> None:
    owned = store.team("T00000001").datastore(Owned)
    with pytest.raises(sr.InvalidValue, match=r"owned\.owner: is required, and there is no such item"):
        await owned.update("a", add={"votes": 1})
    assert await owned.get("a") is None
    assert (await owned.update("a", {"owner": "U00000001"}, add={"votes": 1})).votes == 1
    assert (await owned.update("a", add={"votes": 1})).votes == 2
    with pytest.raises(sr.InvalidValue, match="required"):
        await owned.update("a", remove=["owner"])


class Interleaving(MemoryEngine):
    """Lets every other task go between a read and what is done with it."""

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        rows = await super().get(table, team, ids)
        await asyncio.sleep(0)
        return rows


async def test_functions_of_many_tasks_lose_nothing_and_try_again_with_pauses() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    clock = Frozen()
    around = Surroundings(clock, chance=lambda: 0.5, sleep=sleep)
    async with Store("memory://", clock=clock, engine=Interleaving(clock), surroundings=around) as store:
        tickets = store.team("T00000001").datastore(Ticket)

        def vote(found: Ticket | None) -> Ticket:
            return Ticket(id="T-1", votes=1 if found is None else found.votes + 1)

        await asyncio.gather(*(tickets.modify("T-1", vote) for _ in range(8)))
        found = await tickets.get("T-1")
        assert found is not None
        assert found.votes == 8
    assert pauses
    assert max(pauses) <= 0.25


async def test_a_function_that_always_meets_somebody_is_given_up_and_may_be_tried_again() -> None:
    tries = 0

    class Busy(Interleaving):
        async def commit(self, writes: Sequence[Write]) -> list[Written]:
            nonlocal tries
            if writes[0].table == "tickets":
                tries += 1
                raise sr.ConditionFailed("tickets/T-1", {"id": "T-1"}, version=1)
            return await super().commit(writes)

    async def no_time(_: float) -> None:
        return

    clock = Frozen()
    around = Surroundings(clock, sleep=no_time)
    async with Store("memory://", clock=clock, engine=Busy(clock), surroundings=around) as busy:
        tickets = busy.team("T00000001").datastore(Ticket)
        with pytest.raises(sr.TransactionConflict) as given_up:
            await tickets.modify("T-1", lambda _: Ticket(id="T-1"))
    assert given_up.value.retryable
    assert tries == ATTEMPTS


async def test_a_function_sees_none_may_not_forget_its_item_and_ends_the_call_by_raising(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    assert await tickets.modify("T-1", lambda found: Ticket(id="T-1", votes=found is None)) == Ticket(id="T-1", votes=1)
    with pytest.raises(sr.InvalidValue, match="returned None"):
        await tickets.modify("T-1", lambda _: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(sr.InvalidValue, match=r"tickets\.id"):
        await tickets.modify("T-1", lambda _: Ticket(id="T-2"))

    def fails(_: Ticket | None) -> Ticket:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await tickets.modify("T-1", fails)
    assert await tickets.get("T-1") == Ticket(id="T-1", votes=1)


async def test_conditions_may_be_slacks_text_in_every_verb(store: sr.Store) -> None:
    tickets = store.team("T00000001").datastore(Ticket)
    await tickets.put(Ticket(id="T-1"))
    names, values = {"#s": "status"}, {":s": "open"}
    await tickets.update("T-1", add={"votes": 1}, condition="#s = :s", names=names, values=values)
    await tickets.put(Ticket(id="T-1", status="done"), condition="#s = :s", names=names, values=values)
    with pytest.raises(sr.ConditionFailed):
        await tickets.delete("T-1", condition="#s = :s", names=names, values=values)
    async with store.transaction() as tx:
        inside = tx.team("T00000001").datastore(Ticket)
        with pytest.raises(sr.ConditionFailed):
            await inside.update("T-1", {"status": "x"}, condition="#s = :s", names=names, values=values)
    assert await tickets.count("#s = :s", names=names, values=values) == 0
    with pytest.raises(sr.InvalidCondition):
        await tickets.query("#s = ", names=names)
    with pytest.raises(sr.InvalidCondition, match="without a condition"):
        await tickets.query(names=names)
    with pytest.raises(sr.InvalidCondition, match="text"):
        await tickets.query(sr.attr("status") == "open", names=names)
    with pytest.raises(sr.InvalidCondition, match="without a condition"):
        await tickets.put(Ticket(id="T-1"), names=names, values=values)


class Defaulted(sr.Datastore, name="defaulted"):
    id: str = sr.key()
    status: str = "open"
    owner: sr.UserId = "nobody"  # no user id: putting it is refused, having it as a default is not
    token: str = Field(default_factory=lambda: uuid.uuid4().hex)
    votes: int = 0


async def test_an_item_made_by_an_update_begins_with_the_defaults_of_its_class(store: sr.Store) -> None:
    handle = store.team("T00000001").datastore(Defaulted)
    for id in ("a", "b"):
        await handle.update(id, {"owner": "U00000001"}, add={"votes": 1})
    items = (await handle.query(sr.attr("status") == "open")).items
    assert [(d.id, d.owner, d.votes) for d in items] == [("a", "U00000001", 1), ("b", "U00000001", 1)]
    assert items[0].token != items[1].token
    assert await handle.get("a") == items[0]
    assert await store.team("T00000001").items(Defaulted.__definition__).update("c", {"votes": 1}) == {
        "id": "c",
        "votes": 1,
    }


async def test_the_eleventh_datastore_of_an_app_on_slack_is_refused() -> None:
    async with sr.open("memory://") as store:
        team = store.team("T00000001")
        attributes = {"id": Attribute("string", required=True)}
        for number in range(10):
            team.items(Definition(f"d{number}", "id", attributes, profile="slack"))
        team.items(Definition("d0", "id", attributes, profile="slack"))
        team.items(Definition("open", "id", attributes))
        with pytest.raises(sr.InvalidDefinition, match="d10: is one of 11 datastores, slack allows 10"):
            team.items(Definition("d10", "id", attributes, profile="slack"))


async def test_a_class_where_a_definition_belongs_is_refused_in_words() -> None:
    async with sr.open("memory://") as store:
        with pytest.raises(sr.WrongUse, match="takes a Definition"):
            store.team("T00000001").items(dict)  # type: ignore[arg-type]
        with pytest.raises(sr.WrongUse, match="takes a class made as"):
            store.team("T00000001").datastore(dict)  # type: ignore[type-var]
