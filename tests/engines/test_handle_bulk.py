"""Many items in one call: each has its own outcome, and what is wrong with one harms no other."""

from dataclasses import replace

import pytest

import stateroom as sr
from stateroom.engines.handle import Datastore
from stateroom.engines.handle_bulk import TOGETHER
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from support.handles import TEAM, Frozen
from support.reduced_engine import Reduced


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    email: str | None = None
    votes: int = 0
    __indexes__ = [sr.Index("email", unique=True)]


class Small(sr.Datastore, name="small", profile="slack"):
    id: str = sr.key()
    text: str = ""


async def test_many_are_put_got_and_deleted(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    given = [Ticket(id=f"T-{n}", votes=n) for n in range(TOGETHER + 30)]
    done = await tickets.bulk_put(given)
    assert done.items == given
    assert not done.failed
    done.check()
    found = await tickets.bulk_get(["T-7", "no", "T-3", "T-7"])
    assert [t and t.votes for t in found] == [7, None, 3, 7]
    gone = await tickets.bulk_delete(["T-7", "no", "T-3", "T-7"])
    assert gone.items == ["T-7", "T-3"]
    assert await tickets.count() == TOGETHER + 28
    assert (await tickets.bulk_put([])).items == []
    assert await tickets.bulk_get([]) == []


async def test_what_is_wrong_with_one_item_is_its_own_failure(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="T-0", email="a@b"))
    given = [Ticket(id="T-1", votes=1), Ticket(id="T-2", email="a@b"), Ticket(id="", votes=1), Ticket(id="T-3")]
    done = await tickets.bulk_put(given)
    assert [t.id for t in done.items] == ["T-1", "T-3"]
    assert {n: type(error) for n, error in done.failed.items()} == {1: sr.UniqueViolation, 2: sr.InvalidId}
    with pytest.raises(sr.BulkFailed) as failed:
        done.check()
    assert failed.value.failed == done.failed
    items = store.team(TEAM).items(Ticket.__definition__)
    plain = await items.bulk_put([{"id": "T-4", "votes": "many"}, {"id": "T-5", "votes": 1}, {"votes": 2}])
    assert list(plain.failed) == [0, 2]
    assert plain.items == [{"id": "T-5", "votes": 1}]


class Plain(sr.Datastore, name="plain", version=2):
    id: str = sr.key()
    votes: int = 0
    ends: sr.Timestamp | None = sr.ttl()


async def test_items_that_are_alike_are_stored_as_each_by_itself_would_be(store: sr.Store) -> None:
    plain = store.team(TEAM).datastore(Plain)
    given = [Plain(id="a", votes=1), Plain(id="b", votes=2, ends=10**10), Plain(id="c")]
    assert (await plain.bulk_put(given)).items == given
    assert await plain.bulk_get(["a", "b", "c"]) == given
    versions = [await plain.version(id) for id in "abc"]
    done = await plain.bulk_put([*given[::-1], Plain(id="d", ends=1)])
    assert [item.id for item in done.items] == ["c", "b", "a", "d"]
    assert [await plain.version(id) > before for id, before in zip("abc", versions, strict=True)] == [True] * 3
    assert await plain.get("d") is None
    wrong = await plain.bulk_put([Plain(id=""), Plain(id="e"), Plain(id="é" * 1000)])
    assert {n: type(error) for n, error in wrong.failed.items()} == {0: sr.InvalidId, 2: sr.InvalidId}


async def test_rows_of_newer_code_are_not_overwritten_and_harm_no_other(store: sr.Store) -> None:
    newer = Definition("rows", "id", {"id": Attribute("string", required=True)}, version=2)
    await store.team(TEAM).items(newer).put({"id": "b"})
    older = store.team(TEAM).items(replace(newer, version=1))
    done = await older.bulk_put([{"id": id} for id in "abc"])
    assert done.items == [{"id": "a"}, {"id": "c"}]
    assert {n: type(error) for n, error in done.failed.items()} == {1: sr.FormatTooNew}


async def test_of_several_items_with_one_id_the_last_is_stored(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    done = await tickets.bulk_put([Ticket(id="a", votes=1), Ticket(id="b"), Ticket(id="a", votes=2)])
    assert [t.votes for t in done.items] == [2, 0, 2]
    assert await tickets.get("a") == Ticket(id="a", votes=2)


async def test_an_error_of_the_store_raises(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="a"))
    await store.engine.close()
    with pytest.raises(sr.StoreUnavailable):
        await tickets.bulk_put([Ticket(id="b")])


async def test_slacks_profile_takes_twenty_five_a_call(store: sr.Store) -> None:
    small = store.team(TEAM).datastore(Small)
    await small.bulk_put([Small(id=str(n)) for n in range(25)])
    for call in (
        small.bulk_put([Small(id=str(n)) for n in range(26)]),
        small.bulk_get([str(n) for n in range(26)]),
        small.bulk_delete([str(n) for n in range(26)]),
        small.bulk_get([]),
    ):
        with pytest.raises(sr.InvalidValue, match="1 to 25"):
            await call
    assert await small.count() == 25


async def test_slacks_profile_takes_no_item_of_400_kb_however_it_comes_about(store: sr.Store) -> None:
    small = store.team(TEAM).datastore(Small)
    fits, too_large = "x" * (400 * 1024 - 7), "x" * (400 * 1024 - 6)  # id and its value, text: 2 + 1 + 4 bytes
    with pytest.raises(sr.ItemTooLarge):
        await small.put(Small(id="a", text=too_large))
    await small.put(Small(id="a", text=fits[:-1]))
    with pytest.raises(sr.ItemTooLarge):
        await small.update("a", {"text": too_large})
    with pytest.raises(sr.ItemTooLarge):
        await small.modify("a", lambda _: Small(id="a", text=too_large))
    with pytest.raises(sr.ItemTooLarge):
        async with store.transaction() as tx:
            await tx.team(TEAM).datastore(Small).update("a", {"text": too_large})
    done = await small.bulk_put([Small(id="b", text=too_large), Small(id="c")])
    assert [type(error) for error in done.failed.values()] == [sr.ItemTooLarge]
    assert await small.get("a") == Small(id="a", text=fits[:-1])


async def test_slacks_profile_refuses_the_key_in_a_condition(store: sr.Store) -> None:
    small = store.team(TEAM).datastore(Small)
    with pytest.raises(sr.InvalidCondition):
        await small.query(sr.attr("id") == "a")
    with pytest.raises(sr.InvalidCondition):
        await small.query("#i = :i", names={"#i": "id"}, values={":i": "a"})
    tickets = store.team(TEAM).datastore(Ticket)
    assert (await tickets.query(sr.attr("id") == "a")).items == []


async def test_an_engine_that_commits_single_rows_does_them_one_by_one() -> None:
    engine = Reduced(Frozen())
    await engine.open()
    from stateroom.engines.port import Table

    await engine.apply([Table("plain")])

    class Plain(sr.Datastore, name="plain"):
        id: str = sr.key()

    plain = Datastore(engine, Plain.__definition__, TEAM)
    done = await plain.bulk_put([Plain(id=str(n)) for n in range(70)])
    assert len(done.items) == 70
    assert (await plain.bulk_delete([str(n) for n in range(70)])).items == [str(n) for n in range(70)]
