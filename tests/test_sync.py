"""`stateroom.sync` is the async face, waited for: same names, same signatures, same errors, from any thread."""

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import stateroom as sr
from stateroom import store, sync
from stateroom.engines import handle, handle_transaction
from stateroom.layers import installations, threads

# What the async class has and the sync one leaves out, with the reason.
INSIDE = {"engine", "clock", "surroundings", "content", "preparer", "prepare"}  # what layers are made of
WRITES = {"writes", "follow", "extent"}  # writes to be committed with others, which needs the port
PAIRS: list[tuple[type, type, set[str]]] = [
    (handle.Datastore, sync.Datastore, set()),
    (handle_transaction.TransactionItems, sync.TransactionItems, set()),
    (threads.Thread, sync.Thread, WRITES),
    (threads.Threads, sync.Threads, set()),
    (store.Team, sync.Team, set()),
    (store.TransactionTeam, sync.TransactionTeam, set()),
    (store.TransactionStore, sync.TransactionStore, set()),
    (store.Store, sync.Store, INSIDE),
    (installations.Installations, sync.Installations, {"refused", "installed_at"}),  # of a place, that only layers have
]


class Note(sr.Datastore, name="notes"):
    id: str = sr.key()
    count: int = 0


@pytest.fixture
def opened() -> Iterator[sync.Store]:
    with sync.open("memory://") as one:
        yield one


@pytest.fixture
def notes(opened: sync.Store) -> "sync.Datastore[Note]":
    return opened.team("T00000001").datastore(Note)


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    found = list(inspect.signature(function).parameters.values())[1:]
    return [(one.name, one.kind, one.default) for one in found]


@pytest.mark.parametrize(("one", "other", "left_out"), PAIRS)
def test_each_async_verb_has_its_sync_twin_with_the_same_arguments(one: type, other: type, left_out: set[str]) -> None:
    verbs = {name for name in vars(one) if not name.startswith("_")} - left_out
    assert verbs <= set(vars(other)), f"{other.__qualname__} lacks {verbs - set(vars(other))}"
    for name in verbs:
        theirs, ours = getattr(one, name), getattr(other, name)
        assert not inspect.iscoroutinefunction(ours), name
        if callable(theirs):
            assert parameters(ours) == parameters(theirs), name


def test_open_takes_what_the_async_open_takes() -> None:
    assert inspect.signature(sync.open).parameters == inspect.signature(store.open).parameters


def test_verbs_and_iteration(notes: "sync.Datastore[Note]") -> None:
    for number in range(250):
        notes.put(Note(id=f"n{number:03d}"))
    assert notes.get("n000") == Note(id="n000")
    assert notes.get("absent") is None
    assert notes.update("n000", add={"count": 2}).count == 2
    assert notes.modify("n001", lambda old: Note(id="n001", count=7)).count == 7
    assert [one.id for one in notes.scan()] == [f"n{number:03d}" for number in range(250)]
    first = next(iter(notes.scan(descending=True)))  # an iteration that is left early
    assert first.id == "n249"
    assert notes.count(sr.attr("count") > 0) == 2


def test_an_error_inside_comes_out_as_the_same_error(notes: "sync.Datastore[Note]") -> None:
    notes.put(Note(id="a", count=3))
    with pytest.raises(sr.ConditionFailed) as caught:
        notes.put(Note(id="a"), if_absent=True)
    assert caught.value.current is not None
    assert caught.value.current["count"] == 3


def test_a_transaction_writes_all_or_nothing(opened: sync.Store, notes: "sync.Datastore[Note]") -> None:
    with opened.transaction() as tx:
        inside = tx.team("T00000001").datastore(Note)
        inside.put(Note(id="a", count=1))
        inside.put(Note(id="b", count=1))
        assert notes.get("a") is None
    assert notes.count() == 2
    with pytest.raises(ZeroDivisionError), opened.transaction() as tx:
        tx.team("T00000001").datastore(Note).put(Note(id="c", count=1 // 0))
    with pytest.raises(sr.TransactionConflict):
        raced(opened, notes)
    assert [one.count for one in notes.scan()] == [6, 1]


def raced(opened: sync.Store, notes: "sync.Datastore[Note]") -> None:
    with opened.transaction() as tx:
        inside = tx.team("T00000001").datastore(Note)
        inside.update("a", add={"count": 1})
        inside.update("b", add={"count": 1})
        notes.update("a", add={"count": 5})


def test_threads_remember(opened: sync.Store) -> None:
    team = opened.team("T00000001")
    thread = team.thread("C00000001", "1700000000.000100")
    part = {"part_kind": "user-prompt", "content": "hello", "timestamp": "2026-11-21"}
    message = {"kind": "request", "parts": [part]}
    assert thread.append([message], turn_id="Ev1") == 1
    assert thread.append([message], turn_id="Ev1") == 1
    assert thread.messages().entries == 1
    assert [one.channel for one in team.threads.list().items] == ["C00000001"]


def test_many_threads_use_one_store(notes: "sync.Datastore[Note]") -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: notes.update("n", add={"count": 1}), range(64)))
    assert notes.get("n") == Note(id="n", count=64)


def test_a_closed_store_and_one_not_yet_open_say_so() -> None:
    one = sync.open("memory://")
    with pytest.raises(sr.WrongUse, match="open the store first"):
        one.team("T00000001")
    with one, pytest.raises(sr.WrongUse, match="open already"), one:
        raise AssertionError("was opened twice")
    notes = one.team("T00000001").datastore(Note)
    one.close()
    with pytest.raises(sr.WrongUse, match="closed"):
        notes.get("a")
    assert not [t for t in threading.enumerate() if t.name == "stateroom"]


def test_what_the_store_calls_cannot_wait_for_the_store(notes: "sync.Datastore[Note]") -> None:
    def asks(old: Note | None) -> Note:
        return notes.get("b") or Note(id="a")

    with pytest.raises(sr.WrongUse, match="cannot call the store"):
        notes.modify("a", asks)


def test_it_works_under_a_running_event_loop(notes: "sync.Datastore[Note]") -> None:
    """As in a Jupyter cell: the loop of the caller is not the store's."""

    async def cell() -> None:
        notes.put(Note(id="a"))

    asyncio.run(cell())
    assert notes.get("a") is not None


@pytest.mark.service
def test_a_forked_child_is_told_to_open_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    with sync.open(url) as one:
        notes = one.team("T00000001").datastore(Note)
        notes.put(Note(id="parent"))
        child = os.fork()
        if not child:
            try:
                with pytest.raises(sr.WrongUse, match="before the fork"):
                    notes.get("parent")
                one.close()  # nothing, and above all no harm to the parent
                with sync.open(url) as own:
                    own.team("T00000001").datastore(Note).put(Note(id="child"))
                os._exit(0)
            finally:
                os._exit(1)
        signal.alarm(20)
        _, status = os.waitpid(child, 0)
        signal.alarm(0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert [found.id for found in notes.scan()] == ["child", "parent"]
