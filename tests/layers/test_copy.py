"""A copy is the store: between every two engines, after changes, after kills; and what is held stays held."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from stateroom.engines import leases
from stateroom.engines.port import Append, Delete, Engine, Freezing, Put, Query, Rewrite, Truncate, Update
from stateroom.layers import copy_items, copy_state
from stateroom.layers.copy import Copied
from stateroom.layers.copy_cutover import CutoverFailed, cut_over
from stateroom.layers.inbox import INBOX, Inbox
from stateroom.layers.threads import ENTRIES
from stateroom.model.errors import StoreUnavailable, WrongUse
from stateroom.store import own_tables
from support.copying import (
    CHANNEL,
    LOGGED,
    OTHER,
    TEAM,
    THREAD,
    TICKETS,
    copier_of,
    engine_over,
    everything,
    filled,
    store_of,
    unheld,
)
from support.retention import Clock

pytestmark = pytest.mark.service

ENGINES = ("memory", "sqlite", "postgresql", "dynamodb")
PAIRS = [
    ("memory", "sqlite"),
    ("sqlite", "memory"),
    ("sqlite", "sqlite"),
    ("sqlite", "postgresql"),
    ("postgresql", "sqlite"),
]
PAIRS += [("postgresql", "postgresql"), ("sqlite", "dynamodb"), ("dynamodb", "sqlite")]  # the others: a cut-over
WORDS = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "hello"}]}]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def opened(tmp_path: Path, clock: Clock) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    async with AsyncExitStack() as stack:

        async def make(*kinds: str) -> list[Engine]:
            found = []
            for number, kind in enumerate(kinds):
                folder = tmp_path / str(number)
                folder.mkdir()
                found.append(await stack.enter_async_context(engine_over(kind, folder, clock)))
            await filled(found[0], clock, logged=found[0].capabilities.changes)
            return found

        yield make


async def check_same(source: Engine, target: Engine, clock: Clock, *, held: bool = True) -> None:
    """All rows, as the engines give them."""
    tables = ["tickets", "trash_tickets", "sr_threads", "sr_entries", "sr_inbox", "sr_outbox", "sr_once"]
    tables += ["sr_installations", "sr_installers"] + (["logged"] if source.capabilities.changes else [])
    mine, theirs = await everything(source, tables, clock()), await everything(target, tables, clock())
    for name in tables:
        found = [unheld(row) for row in theirs[name]] if held else theirs[name]
        assert found == mine[name], name
        assert mine[name], f"{name} has nothing to be compared"


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_a_copy_has_everything_and_an_exact_digest_says_so(
    opened: Any, clock: Clock, pair: tuple[str, str]
) -> None:
    source, target = await opened(*pair)
    copier = await copier_of(source, target, clock)
    await copier.begin()
    done = await copier.run()
    assert done.settled
    assert not done.failures.told
    await check_same(source, target, clock)
    verdicts = await copier.verify()
    assert verdicts
    assert all(one.same for one in verdicts)
    assert {(one.datastore, one.team) for one in verdicts} >= {
        ("tickets", TEAM),
        ("tickets", OTHER),
        ("sr_entries", OTHER),
    }
    store = store_of(target, clock)
    tickets = store.team(TEAM).items(TICKETS)
    assert await tickets.get("k002") == {
        "id": "k002", "status": "s2", "n": 2, "email": f"e2@{TEAM}", "token": "secret",
    }  # fmt: skip
    assert (await tickets.restore("k001") or {}).get("n") == 1
    again = await tickets.put({"id": "once", "n": 1}, idempotency_key="Ev0001")
    assert again == {"id": "once", "n": 1}
    page = await tickets.query(order="status_n", equals={"status": "s1"}, limit=3)
    assert [item["id"] for item in page.items] == ["k001", "k004", "k007"]
    thread = store.team(TEAM).thread(CHANNEL, THREAD)
    assert await thread.append(WORDS, turn_id=f"{CHANNEL}:1700000002.000100") == 3
    assert await thread.append(WORDS, turn_id="new") == 13
    assert await store.installations(client_id="1.1").find_bot(enterprise_id=None, team_id=TEAM)


CHANGES: Mapping[str, Any] = {
    "a row that changed": lambda s: s.commit([Update("tickets", TEAM, "k005", set={"n": 500})]),
    "a row that is new": lambda s: s.commit([Put("tickets", TEAM, "k0055", {"id": "k0055", "n": 1})]),
    "a row that is gone": lambda s: s.commit([Delete("tickets", OTHER, "k023")]),
    "a value of another type": lambda s: s.commit([Update("tickets", TEAM, "deep", set={"n": True})]),
    "a unique value that moved": lambda s: s.commit(
        [
            Update("tickets", TEAM, "k010", set={"email": "x"}),
            Update("tickets", TEAM, "k020", set={"email": f"e10@{TEAM}"}),
            Update("tickets", TEAM, "k010", set={"email": f"e20@{TEAM}"}),
        ]
    ),
    "a thread that was erased and began anew": lambda s: s.commit(
        [Truncate(ENTRIES.name, TEAM, f"{CHANNEL}:{THREAD}")]
    ),
    "a team that is gone": lambda s: s.commit([Truncate(ENTRIES.name, OTHER, f"{CHANNEL}:{THREAD}")]),
}


@pytest.mark.parametrize(
    "pair",
    [("sqlite", "memory"), ("memory", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite")],
    ids="-".join,
)
@pytest.mark.parametrize("change", CHANGES)
async def test_what_changes_behind_the_first_pass_arrives_with_the_next(
    opened: Any, clock: Clock, pair: tuple[str, str], change: str
) -> None:
    source, target = await opened(*pair)
    await (await copier_of(source, target, clock)).run()
    await CHANGES[change](source)
    if "anew" in change:
        for number in range(3):
            await store_of(source, clock).team(TEAM).thread(CHANNEL, THREAD).append(WORDS, turn_id=f"again{number}")
    copier = await copier_of(source, target, clock)
    await copier.begin()
    done = await copier.run()
    assert done.settled
    await check_same(source, target, clock)
    assert all(one.same for one in await copier.verify())


@pytest.mark.parametrize("pair", [("sqlite", "memory"), ("memory", "sqlite"), ("sqlite", "postgresql")], ids="-".join)
async def test_a_copy_that_goes_on_carries_every_change_and_reads_the_target_only_there(
    opened: Any, clock: Clock, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chance writes to both kinds of tables, behind pages of a few rows; one copy goes on in the same process."""
    monkeypatch.setattr(copy_items, "MOST", 5)
    source, target = await opened(*pair)
    copier = await copier_of(source, target, clock)
    await copier.begin()
    assert (await copier.run()).settled
    asked: list[str] = []
    query = target.query

    async def counted(one: Query) -> Any:
        asked.append(one.table)
        return await query(one)

    target.query = counted  # type: ignore[method-assign]
    assert await copier.one_pass() == 0
    assert asked == [], "nothing has changed, so nothing is compared"
    chance = random.Random(11)
    for turn in range(12):
        await source.commit([chance_write(chance, turn) for _ in range(chance.randint(1, 12))])
        assert (await copier.run()).settled
        await check_same(source, target, clock)
    asked.clear()
    await source.commit([Update("tickets", TEAM, "k005", set={"n": -1})])
    await copier.one_pass()
    assert set(asked) == {"tickets"}
    assert len(asked) <= 3, asked
    await target.commit([Delete("tickets", TEAM, "k010")])  # nobody should; a comparison finds it
    assert [one.datastore for one in await copier.verify() if not one.same] == ["tickets"]
    assert (await copier.run()).settled
    assert all(one.same for one in await copier.verify())


def chance_write(chance: random.Random, turn: int) -> Any:
    team, key, number = chance.choice((TEAM, OTHER)), f"k{chance.randrange(60):03}", chance.randrange(10**6)
    stream = f"C0000000{chance.randint(1, 5)}:{THREAD}"
    return chance.choice(
        [
            Put("tickets", team, key, {"id": key, "n": number}),
            Put("tickets", team, key, {"id": key, "n": number}),
            Delete("tickets", team, key),
            Append(ENTRIES.name, team, stream, f"new{number}", {"at": turn}),
            Append(ENTRIES.name, team, stream, f"new{number}", {"at": turn}),
            Truncate(ENTRIES.name, team, stream),
        ]
    )


async def test_a_log_of_changes_spares_the_walk(opened: Any, clock: Clock) -> None:
    source, target = await opened("sqlite", "memory")
    copier = await copier_of(source, target, clock)
    await copier.run()
    logged = store_of(source, clock).team(TEAM).items(LOGGED)
    await logged.put({"id": "k001", "n": 100})
    await logged.delete("k002")
    await store_of(source, clock).team("T00000009").items(LOGGED).put({"id": "other", "n": 1})
    seen = next(t.seen for t in (await copier.run(passes=1)).tables if t.table == "logged")
    done = await copier.run(passes=2)
    assert done.settled
    assert next(t.seen for t in done.tables if t.table == "logged") == seen
    assert seen <= 40 + 3, "two teams of 20, and three changes"
    await check_same(source, target, clock)


@pytest.mark.parametrize("pair", [("memory", "sqlite"), ("sqlite", "postgresql"), ("sqlite", "dynamodb")], ids="-".join)
async def test_a_copy_that_ends_at_any_page_goes_on_and_is_whole(
    opened: Any, clock: Clock, pair: tuple[str, str]
) -> None:
    """Each write to the target fails once, at each place; what was there before is not written again."""
    source, target = await opened(*pair)
    copier = await copier_of(source, target, clock)
    for stop in range(1, 12, 2):
        left = stop

        class Broken(Exception):
            pass

        commit = target.commit

        async def counted(writes: Any, commit: Any = commit, broken: Any = Broken) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise broken
            return await commit(writes)

        target.commit = counted
        with pytest.raises(Broken):
            await begun(copier)
        target.commit = commit
        copier = await copier_of(source, target, clock)
    await copier.begin()
    assert (await copier.run()).settled
    await check_same(source, target, clock)


@pytest.mark.parametrize("table", ["tickets", "sr_entries"])
async def test_a_copy_that_was_killed_goes_on_from_the_page_at_which_it_stood(
    opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Each page of the source is read once, but for those at the kill, and nothing that arrived is taken away."""
    monkeypatch.setattr(copy_items, "FIRST", 4)
    monkeypatch.setattr(copy_items, "MOST", 4)
    monkeypatch.setattr(copy_state, "SAVED", 0.0)
    source, target = await opened("sqlite", "memory")
    copier = await copier_of(source, target, clock)
    commit, query, again = target.commit, source.query, False
    written: list[str] = []
    reads: list[Any] = []

    class Killed(BaseException):
        pass

    async def counted(writes: Any) -> Any:
        if any(isinstance(one, Truncate | Delete) for one in writes):
            raise AssertionError("the source has not changed")
        done = await commit(writes)
        written.extend(one.table for one in writes if one.table == table)
        if len(written) > 20 and not again:
            raise Killed
        return done

    async def asked(one: Query) -> Any:
        if one.table == table and one.limit > 1:
            reads.append(one.after)
        return await query(one)

    target.commit, source.query = counted, asked  # type: ignore[method-assign]
    await copier.begin()
    with pytest.raises(Killed):
        await copier.one_pass()
    before, again = len(reads), True
    assert before >= 5
    copier = await copier_of(source, target, clock)
    await copier.begin()
    await copier.one_pass()
    again = reads[before:]
    assert None not in again, "it did not begin anew"
    assert len({str(place) for place in reads}) >= len(reads) - 2, (
        "but for the page at the kill, and the one read ahead"
    )
    await check_same(source, target, clock)


async def begun(copier: Any) -> None:
    await copier.begin()
    await copier.run()


@pytest.mark.parametrize("kind", ENGINES[1:])
async def test_copied_turns_are_found_by_no_worker_until_they_are_released(
    opened: Any, clock: Clock, kind: str
) -> None:
    source, target = await opened("sqlite", kind)
    copier = await copier_of(source, target, clock)
    await copier.run()
    clock.now += 3600
    inbox = Inbox(target, clock)
    assert (await inbox.due(limit=10))[0] == []
    assert await inbox.lane(TEAM, f"{CHANNEL}:{THREAD}") == []
    states = {row.id: row.item["state"] for row in (await target.query(Query(INBOX.name, TEAM, 50))).rows}
    assert sorted(states.values()) == ["answering", "claimed", "done", "failed", "posted", "received"]
    assert await copier.release() == 4
    assert await copier.release() == 0
    due = (await inbox.due(limit=10))[0]
    assert sorted(row.item["state"] for row in due) == ["answering", "claimed", "posted", "received"]
    assert not any("held" in row.item for row in due)
    assert len(await inbox.lane(TEAM, f"{CHANNEL}:{THREAD}")) == 4


@pytest.mark.parametrize(
    "pair",
    [("sqlite", "sqlite"), ("postgresql", "dynamodb"), ("dynamodb", "postgresql"), ("sqlite", "memory")],
    ids="-".join,
)
async def test_a_cut_over_freezes_carries_compares_and_releases(
    opened: Any, clock: Clock, pair: tuple[str, str]
) -> None:
    source, target = await opened(*pair)
    copier = await copier_of(source, target, clock)
    await copier.begin()
    switched = await cut_over(copier)
    assert switched.released == 4
    assert all(one.same for one in switched.verdicts)
    with pytest.raises(StoreUnavailable) as refused:
        await source.commit([Put("tickets", TEAM, "late", {"id": "late"})])
    assert refused.value.reason == "frozen"
    assert refused.value.retryable
    assert not refused.value.maybe_applied
    assert "--unfreeze" in str(refused.value)
    await check_same(source, target, clock, held=False)
    with pytest.raises(WrongUse, match="in use"):
        await (await copier_of(source, target, clock)).begin()
    await cast(Freezing, source).freeze(frozen=False)
    await source.commit([Put("tickets", TEAM, "late", {"id": "late"})])


async def test_a_cut_over_waits_until_every_lease_of_the_source_has_run_out(opened: Any, clock: Clock) -> None:
    source, target = await opened("sqlite", "memory")
    lease = await leases.acquire(source, clock, TEAM, f"lane:{CHANNEL}:{THREAD}", holder="worker", seconds=300)
    assert lease is not None
    copier = await copier_of(source, target, clock)
    await cut_over(copier, quiet=1.0)
    assert clock() >= lease.until


async def test_a_cut_over_that_fails_lets_the_source_go_on(opened: Any, clock: Clock) -> None:
    source, target = await opened("sqlite", "memory")
    copier = await copier_of(source, target, clock)
    run, calls = copier.run, 0

    async def broken(**more: Any) -> Copied:
        nonlocal calls
        calls += 1
        done = await run(**more)
        if calls == 2:  # behind the freeze somebody spoils the target
            await target.commit([Delete("tickets", TEAM, "k010")])
        return done

    copier.run = broken  # type: ignore[method-assign]
    with pytest.raises(CutoverFailed, match="tickets"):
        await cut_over(copier)
    await source.commit([Put("tickets", TEAM, "late", {"id": "late"})])
    assert (await Inbox(target, clock).due(limit=5))[0] == []


async def test_a_cut_over_that_fails_thaws_no_source_that_another_store_has_taken_over(
    opened: Any, clock: Clock
) -> None:
    """It was frozen by a cut-over before: thawed, it and that one's target would both answer."""
    source, target, other = await opened("sqlite", "memory", "memory")
    first = await copier_of(source, target, clock)
    await first.begin()
    await cut_over(first)
    second = await copier_of(source, other, clock)
    run = second.run

    async def broken(**more: Any) -> Copied:
        done = await run(**more)
        await other.commit([Delete("tickets", TEAM, "k010")])
        return done

    second.run = broken  # type: ignore[method-assign]
    with pytest.raises(CutoverFailed, match="stays frozen"):
        await cut_over(second)
    assert await cast(Freezing, source).frozen()


async def test_a_cut_over_that_fails_while_it_lets_turns_go_thaws_nothing_and_goes_on(
    opened: Any, clock: Clock
) -> None:
    """Some of them may be answered in the target by then: thawed, the source would answer them, too."""
    source, target = await opened("sqlite", "memory")
    commit = target.commit

    async def failing(writes: Any) -> Any:
        done = await commit(writes)
        if isinstance(writes[0], Update) and writes[0].table == INBOX.name:
            raise StoreUnavailable("target", "io", "the connection was lost", retryable=False, maybe_applied=True)
        return done

    target.commit = failing  # type: ignore[method-assign]
    copier = await copier_of(source, target, clock)
    await copier.begin()
    with pytest.raises(StoreUnavailable, match="lost"):
        await cut_over(copier)
    assert await cast(Freezing, source).frozen()
    target.commit = commit  # type: ignore[method-assign]
    assert await leases.acquire(target, clock, TEAM, f"lane:{CHANNEL}:{THREAD}", holder="worker", seconds=300)
    again = await copier_of(source, target, clock)
    await again.begin(cutting=True)
    await cut_over(again)
    assert again.notes.state == "switched"
    await check_same(source, target, clock, held=False)


async def test_a_cut_over_that_is_stopped_while_it_freezes_lets_the_source_go_on(opened: Any, clock: Clock) -> None:
    source, target = await opened("sqlite", "memory")
    freeze, frozen = source.freeze, asyncio.Event()

    async def slow(*, frozen: bool, told: asyncio.Event = frozen) -> None:
        await freeze(frozen=frozen)
        if frozen:
            told.set()
            await asyncio.Event().wait()  # as where all processes must see it first

    source.freeze = slow
    copier = await copier_of(source, target, clock)
    await copier.begin()
    cutting = asyncio.create_task(cut_over(copier))
    await frozen.wait()
    cutting.cancel()
    await asyncio.wait({cutting})
    assert cutting.cancelled()
    await source.commit([Put("tickets", TEAM, "late", {"id": "late"})])


async def test_a_cut_over_that_is_killed_at_any_write_leaves_the_source_frozen_and_goes_on(
    opened: Any, clock: Clock
) -> None:
    """A kill thaws nothing; from the freeze to the last row that is let go, the same command goes on."""

    class Killed(BaseException):
        pass

    source, target = await opened("sqlite", "memory")
    commit, freeze, kills, left = target.commit, source.freeze, 0, 0

    async def counted(writes: Any) -> Any:
        nonlocal left
        left -= await cast(Freezing, source).frozen()
        if left < 0:
            raise Killed
        return await commit(writes)

    async def never_thawed(*, frozen: bool) -> None:
        if frozen:
            await freeze(frozen=True)

    target.commit, source.freeze = counted, never_thawed  # type: ignore[attr-defined, method-assign]
    switched = None
    while switched is None:
        left = kills * 3
        copier = await copier_of(source, target, clock)
        try:
            await copier.begin()
            switched = await cut_over(copier)
        except Killed:
            kills += 1
            assert await cast(Freezing, source).frozen()
    assert kills > 10, "it was killed behind the freeze, in the rest, and while it let turns go"
    assert all(one.same for one in switched.verdicts)
    await check_same(source, target, clock, held=False)
    clock.now += 3600
    due = (await Inbox(target, clock).due(limit=10))[0]
    assert sorted(row.item["state"] for row in due) == ["answering", "claimed", "posted", "received"]


async def ended(store: Engine) -> None:
    """Another end of the same item."""
    (row,) = await store.get("tickets", TEAM, ["k005"])
    assert row is not None
    await store.commit([Put("tickets", TEAM, "k005", row.item, 4e9)])


BYTES: Mapping[str, tuple[str, Any]] = {
    "an item's text": ("tickets", lambda s: s.commit([Update("tickets", TEAM, "k005", set={"status": "s3"})])),
    "a number's type": ("tickets", lambda s: s.commit([Update("tickets", TEAM, "k001", set={"n": True})])),
    "an item's end": ("tickets", ended),
    "a turn's words": (
        "sr_entries",
        lambda s: s.commit([Rewrite(ENTRIES.name, OTHER, f"C00000002:{THREAD}", 2, {"at": 4})]),
    ),
    "a turn more": ("sr_entries", lambda s: s.commit([Append(ENTRIES.name, OTHER, f"C00000002:{THREAD}", "x", {})])),
    "a turn's state": (
        "sr_inbox",
        lambda s: s.commit([Update(INBOX.name, TEAM, f"{CHANNEL}:1700000004.000100", set={"state": "failes"})]),
    ),
    "a row that is gone": ("sr_outbox", lambda s: s.commit([Delete("sr_outbox", TEAM, "x:000")])),
}


@pytest.mark.parametrize("change", BYTES)
async def test_a_comparison_finds_one_changed_byte(opened: Any, clock: Clock, change: str) -> None:
    source, target = await opened("sqlite", "memory")
    copier = await copier_of(source, target, clock)
    await copier.begin()
    await copier.run()
    assert all(one.same for one in await copier.verify())
    table, spoil = BYTES[change]
    await spoil(target)
    (found,) = [one for one in await copier.verify() if not one.same]
    assert found.datastore == table


async def test_a_target_that_is_somebody_elses_or_in_use_is_refused(opened: Any, clock: Clock) -> None:
    from stateroom.engines import leases

    source, target = await opened("memory", "sqlite")
    await store_of(target, clock).prepare(own_tables())
    await store_of(target, clock).team(TEAM).items(LOGGED).put({"id": "mine", "n": 1})
    with pytest.raises(WrongUse, match="logged"):
        await (await copier_of(source, target, clock)).begin()
    await target.commit([Delete("logged", TEAM, "mine")])
    copier = await copier_of(source, target, clock)
    await copier.begin()
    await copier.run()
    await leases.acquire(target, clock, TEAM, f"lane:{CHANNEL}:{THREAD}", holder="a bot", seconds=10)
    with pytest.raises(WrongUse, match="bot"):
        await (await copier_of(source, target, clock)).begin()
