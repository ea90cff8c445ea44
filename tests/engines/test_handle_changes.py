"""The changes of a datastore, in the order of their commits."""

import asyncio

import pytest

import stateroom as sr
from support.handles import OTHER, TEAM


class Ticket(sr.Datastore, name="tickets", changes=True):
    id: str = sr.key()
    votes: int = 0


class Silent(sr.Datastore, name="silent"):
    id: str = sr.key()


async def test_every_committed_change_is_told_once_in_order(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    await tickets.put(Ticket(id="a"))
    await tickets.update("a", add={"votes": 1})
    with pytest.raises(sr.ConditionFailed):
        await tickets.put(Ticket(id="a"), if_absent=True)
    await tickets.delete("a")
    await tickets.delete("a")
    await store.team(OTHER).datastore(Ticket).put(Ticket(id="other"))
    found = await tickets.changes()
    assert [(c.number, c.kind, c.id, c.item) for c in found.items] == [
        (1, "put", "a", Ticket(id="a")),
        (2, "update", "a", Ticket(id="a", votes=1)),
        (3, "delete", "a", None),
    ]
    assert found.items[1].version == found.items[0].version + 1


async def test_a_follower_goes_on_from_its_cursor_and_waits_at_the_end(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)
    beginning = await tickets.changes()
    assert beginning.items == []
    await tickets.bulk_put([Ticket(id=str(n)) for n in range(5)])
    first = await tickets.changes(beginning.cursor, limit=2)
    assert [c.id for c in first.items] == ["0", "1"]
    rest = await tickets.changes(first.cursor)
    assert [c.id for c in rest.items] == ["2", "3", "4"]
    end = await tickets.changes(rest.cursor)
    assert (end.items, end.cursor) == ([], rest.cursor)
    await tickets.put(Ticket(id="late"))
    assert [c.id for c in (await tickets.changes(end.cursor)).items] == ["late"]
    with pytest.raises(sr.InvalidCursor):
        await store.team(OTHER).datastore(Ticket).changes(first.cursor)
    with pytest.raises(sr.InvalidCursor):
        await tickets.query(cursor=first.cursor)


async def test_replaying_the_changes_of_many_writers_gives_what_is_stored(store: sr.Store) -> None:
    tickets = store.team(TEAM).datastore(Ticket)

    async def writer(n: int) -> None:
        for step in range(6):
            id = str((n + step) % 4)
            if step == 3:
                await tickets.delete(id)
            else:
                await tickets.update(id, add={"votes": 1})

    await asyncio.gather(*(writer(n) for n in range(8)))
    replayed: dict[str, Ticket] = {}
    for change in (await tickets.changes(limit=1000)).items:
        replayed.pop(change.id, None)
        if change.item is not None:
            replayed[change.id] = change.item
    assert sorted(replayed.values(), key=lambda t: t.id) == (await tickets.query()).items


async def test_a_datastore_that_keeps_no_changes_says_so(store: sr.Store) -> None:
    with pytest.raises(sr.Unsupported, match="silent"):
        await store.team(TEAM).datastore(Silent).changes()
