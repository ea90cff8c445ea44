"""Deleted items that are kept for a while: restored as they were, gone for good when asked or when it is over."""

import asyncio

import pytest

import stateroom as sr
from stateroom.engines.handle_trash import trash_of
from support.handles import OTHER, TEAM, Frozen


class Note(sr.Datastore, name="notes", keep_deleted=3600, changes=True):
    id: str = sr.key()
    text: str = sr.personal("")
    state: str = "draft"
    ends: sr.Timestamp | None = sr.ttl()
    __lifecycle__ = sr.Lifecycle("state", initial="draft", draft=["sent"])


class Plain(sr.Datastore, name="plain"):
    id: str = sr.key()


async def test_a_deleted_item_comes_back_as_it_was(store: sr.Store) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n", text="hi"))
    sent = await notes.update("n", {"state": "sent"})
    assert await notes.delete("n")
    assert await notes.get("n") is None
    assert (await notes.query()).items == []
    assert not await notes.delete("n")
    assert await store.team(OTHER).datastore(Note).restore("n") is None
    assert await notes.restore("n") == sent
    assert await notes.get("n") == sent
    assert await notes.restore("n") is None


async def test_it_is_gone_when_the_window_is_over_or_its_own_time_was(store: sr.Store, clock: Frozen) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n"))
    await notes.put(Note(id="m", ends=int(clock()) + 100))
    await notes.bulk_delete(["n", "m"])
    clock.advance(99)
    restored = await notes.restore("m")
    assert restored == Note(id="m", ends=int(clock()) + 1)
    await notes.delete("m")
    clock.advance(1)
    assert await notes.restore("m") is None
    clock.advance(3500)
    assert await notes.restore("n") is None


async def test_a_restored_item_still_ends_at_its_own_time(store: sr.Store, clock: Frozen) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n", ends=int(clock()) + 100))
    await notes.delete("n")
    await notes.restore("n")
    clock.advance(100)
    assert await notes.get("n") is None


async def test_what_was_made_anew_is_not_overwritten_by_restoring(store: sr.Store) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n", text="old"))
    await notes.delete("n")
    await notes.put(Note(id="n", text="new"))
    with pytest.raises(sr.ConditionFailed) as failed:
        await notes.restore("n")
    assert failed.value.current == {"id": "n", "text": "new", "state": "draft"}
    await notes.delete("n")
    assert await notes.restore("n") == Note(id="n", text="new")


async def test_forever_means_forever(store: sr.Store) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n"))
    assert await notes.delete("n", forever=True)
    assert await notes.restore("n") is None
    await notes.put(Note(id="m"))
    await notes.delete("m")
    assert await notes.delete("m", forever=True)
    assert await notes.restore("m") is None
    assert not await notes.delete("m", forever=True)


async def test_conditions_hold_for_deletes_that_keep(store: sr.Store) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n", text="hi"))
    for forever in (False, True):
        with pytest.raises(sr.ConditionFailed) as failed:
            await notes.delete("n", condition=sr.attr("text") == "other", forever=forever)
        assert failed.value.current == {"id": "n", "text": "hi", "state": "draft"}
    with pytest.raises(sr.ConditionFailed):
        await notes.delete("n", if_version=await notes.version("n") + 1)
    assert await notes.delete("n", condition=sr.attr("text") == "hi")


async def test_deletes_and_restores_are_changes_and_of_many_racing_one_succeeds(store: sr.Store) -> None:
    notes = store.team(TEAM).datastore(Note)
    await notes.put(Note(id="n"))
    assert sorted(await asyncio.gather(*(notes.delete("n") for _ in range(8)))) == [False] * 7 + [True]
    back = await asyncio.gather(*(notes.restore("n") for _ in range(8)), return_exceptions=True)
    assert len([one for one in back if isinstance(one, Note)]) == 1
    assert [change.kind for change in (await notes.changes()).items] == ["put", "delete", "put"]


async def test_the_companion_has_the_same_attributes_and_obligations() -> None:
    trash = trash_of(Note.__definition__)
    assert trash is not None
    assert (trash.name, trash.personal, trash.ends) == ("trash_notes", {"text"}, True)
    assert trash_of(Plain.__definition__) is None


async def test_where_nothing_is_kept_there_is_nothing_to_restore(store: sr.Store) -> None:
    with pytest.raises(sr.Unsupported, match="keep_deleted"):
        await store.team(TEAM).datastore(Plain).restore("a")
