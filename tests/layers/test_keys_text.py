"""New data keys for people's words: whatever happens meanwhile, all of them stay readable and the old keys go."""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import stateroom as sr
from stateroom.engines.handle import table_of
from stateroom.engines.port import Append, Delete, Query, Write
from stateroom.layers import inbox, jobs, outbox, threads
from stateroom.layers.keys import KEYS
from stateroom.layers.keys_rotate import RotationRuns
from stateroom.layers.keys_text import TextRotation, Under, count_text
from stateroom.layers.retention_erase import erase_team
from stateroom.layers.threads import ENTRIES
from stateroom.layers.walking import Pace
from stateroom.model.errors import LeaseLost
from stateroom.slack.events import Message
from stateroom.store import Store, own_words
from support.retention import ANN, OTHER, TEAM, Clock, rows_of, store_over
from support.threads import CHANNEL, TS, ask

pytestmark = pytest.mark.service
KEY = f"k1:{b64encode(bytes([1]) * 32).decode()}"
FIRST, SECOND, THIRD = "00000001", "00000002", "00000003"
SAID = [ask(f"hush {n}") for n in range(5)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_over(tmp_path: Path, clock: Clock) -> AsyncIterator[Callable[[str], Awaitable[Store]]]:
    async with AsyncExitStack() as stack:

        async def opened(kind: str) -> Store:
            store = await stack.enter_async_context(store_over(kind, tmp_path, clock))
            return Store("memory://", engine=store.raw, clock=clock, keys=KEY, encrypt_content=True)

        yield opened


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, open_over: Callable[[str], Awaitable[Store]]) -> Store:
    return await open_over(request.param)


def seen_by(store: Store) -> Store:
    """The same rows, as another process sees them."""
    return Store("memory://", engine=store.raw, clock=store.clock, keys=KEY, encrypt_content=True)


def rotation(store: Store, *, batch: int = 2, pace: Pace | None = None, told: Any = lambda _: None) -> TextRotation:
    assert store.data_keys is not None
    return TextRotation(store.raw, pace or Pace(store.clock), store.data_keys, own_words(), told=told, batch=batch)


async def fill(store: Store, *teams: str) -> None:
    for team in teams or (TEAM, OTHER):
        for n, words in enumerate(SAID):
            await store.team(team).thread(CHANNEL, TS).append([words], turn_id=f"t{n}")


async def said(store: Store, team: str = TEAM) -> Any:
    return (await store.team(team).thread(CHANNEL, TS).messages()).messages


async def under(store: Store) -> dict[tuple[str, str], int]:
    """How many values there are of each team, under which of its keys."""
    found: dict[tuple[str, str], int] = {}
    for one, number in (await count_text(store.raw, own_words(), Pace(store.clock))).items():
        found[one.team, one.id] = found.get((one.team, one.id), 0) + number
    return found


async def key_ids(store: Store) -> list[tuple[str, str]]:
    return sorted((row.team, row.id) for row in await rows_of(store.raw, KEYS.name))


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql", "dynamodb"])
async def test_all_words_get_a_new_key_and_the_old_one_goes(
    kind: str, open_over: Callable[[str], Awaitable[Store]]
) -> None:
    store = await open_over(kind)
    await fill(store)
    assert await under(store) == {(TEAM, FIRST): 5, (OTHER, FIRST): 5}
    done = await rotation(seen_by(store)).run()
    assert (done.sealed, done.keys, done.left, done.failed, done.resumed) == (10, 2, {}, {}, False)
    assert await under(store) == {(TEAM, SECOND): 5, (OTHER, SECOND): 5}
    assert await key_ids(store) == [(TEAM, SECOND), (OTHER, SECOND)]
    for reader in (store, seen_by(store)):
        assert [await said(reader, TEAM), await said(reader, OTHER)] == [SAID, SAID]
        await reader.team(TEAM).thread(CHANNEL, TS).append([ask("x")], turn_id="t0")  # told before: changes nothing
        assert await said(reader) == SAID
    await store.team(TEAM).thread(CHANNEL, TS).append([ask("next")], turn_id="t9")
    assert await under(store) == {(TEAM, SECOND): 6, (OTHER, SECOND): 5}


async def test_work_that_is_open_goes_on_over_a_rotation(store: Store, clock: Clock) -> None:
    words = {"team": TEAM, "channel": CHANNEL, "ts": TS, "thread_ts": None, "user": ANN, "text": "hush", "files": ()}
    about: dict[str, Any] = {**words, "source": "mention", "event_id": "Ev1", "event_time": 1, "own_user": None}
    box = inbox.Inbox(store.engine, store.clock)
    await box.accept(Message(**about, channel_type="channel", mentions_own=True))
    (row,) = await box.lane(TEAM, f"{CHANNEL}:{TS}")
    moved = (await store.engine.commit([box.move(row, "claimed", due_at=1.0, answer={"text": "hush"})]))[0].row
    (intent,) = await store.engine.commit([outbox.intend(row, "answer", 0, stream=False, deadline=clock.now)])
    assert moved is not None
    assert intent.row is not None
    kept = jobs.Jobs(store.engine, store.clock, "app", seconds=10)
    job = await kept.claim(TEAM, {"event_id": "Ev1", "text": "hush"}, what="event", user=ANN, acked=True)
    assert isinstance(job, jobs.Job)

    assert not (await rotation(seen_by(store)).run()).left
    await store.engine.commit([outbox.posted(intent.row._replace(team=TEAM), "1700000000.000200", "answer", "no")])
    assert [one.item["digest"] for one in await outbox.of_turn(store.engine, row)] == [outbox.digest("no")]
    ended = (await store.engine.commit([box.close(moved, "failed", keep_words=True)]))[0].row
    assert ended is not None
    assert ended.item["text"] == "hush"
    await job.finish(None)
    assert not (await rotation(seen_by(store)).run()).left
    assert {id for _, id in await under(store)} == {THIRD}


async def test_who_still_holds_the_old_key_seals_with_the_new_one(store: Store) -> None:
    """The key is in memory here, from before the rotation; each of its commits is held up by one of ours."""
    await fill(store, TEAM)
    commit, wrote = store.raw.commit, [0]

    async def between(writes: list[Write]) -> Any:
        done = await commit(writes)
        if writes[0].table not in (ENTRIES.name, "sr_threads") and wrote[0] < 40:
            wrote[0] += 1
            await store.team(TEAM).thread(CHANNEL, TS).append([ask("later")], turn_id=f"l{wrote[0]}")
        return done

    other = seen_by(store)
    store.raw.commit = between  # type: ignore[method-assign,assignment]
    done = await rotation(other, batch=20).run()
    store.raw.commit = commit  # type: ignore[method-assign]
    assert 12 < wrote[0] < 40, "also while it counted, and after the old key went"
    assert not done.left
    assert await under(store) == {(TEAM, SECOND): 5 + wrote[0]}
    assert await key_ids(store) == [(TEAM, SECOND)]
    assert await said(seen_by(store)) == [*SAID, *[ask("later")] * wrote[0]]


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("applied", [True, False])
async def test_wherever_it_is_killed_the_next_run_ends_it_with_one_new_key(
    open_over: Callable[[str], Awaitable[Store]], clock: Clock, applied: bool
) -> None:
    """`applied`: whether the commit that it dies in is there afterwards."""
    for last in range(100):
        store = await open_over("memory")
        await fill(store)
        commit, left = store.raw.commit, [last]

        async def cut(writes: list[Write], commit: Any = commit, left: list[int] = left) -> Any:
            left[0] -= 1
            done = await commit(writes) if applied or left[0] >= 0 else None
            if left[0] < 0:
                raise Killed
            return done

        store.raw.commit = cut  # type: ignore[method-assign,assignment]
        killed = False
        try:
            await rotation(seen_by(store)).run()
        except Killed:
            killed = True
        store.raw.commit = commit  # type: ignore[method-assign]
        assert [await said(seen_by(store), team) for team in (TEAM, OTHER)] == [SAID, SAID]
        clock.now += 10
        done = await rotation(seen_by(store)).run()
        assert not done.left
        assert {id for _, id in await under(store)} == {id for _, id in await key_ids(store)}
        assert [await said(seen_by(store), team) for team in (TEAM, OTHER)] == [SAID, SAID]
        if done.resumed:
            assert await key_ids(store) == [(TEAM, SECOND), (OTHER, SECOND)]
        if not killed:
            break
    assert last > 12


async def test_a_resumed_run_does_not_begin_anew(store: Store, clock: Clock) -> None:
    await fill(store)
    seen: list[int] = []

    def told(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 3:
            raise Killed

    with pytest.raises(Killed):
        await rotation(seen_by(store), told=told).run()
    clock.now += 10
    done = await rotation(seen_by(store)).run()
    assert (done.resumed, done.seen, done.sealed, done.left) == (True, 4, 4, {})


async def test_one_rotation_at_a_time(store: Store) -> None:
    await fill(store)
    again: list[type[Exception]] = []

    async def wait(_: float) -> None:
        try:
            await rotation(seen_by(store)).run()
        except RotationRuns as error:
            again.append(type(error))

    await rotation(seen_by(store), pace=Pace(store.clock, rate=0.5, wait=wait)).run()
    assert again
    await rotation(seen_by(store)).run()


async def test_one_that_was_overtaken_takes_no_key_that_is_used(store: Store, clock: Clock) -> None:
    """It stood still behind its look at everything; meanwhile it was ended, another one came and went, and a third one
    was killed."""
    await fill(store)
    query, commit, counted, others = store.raw.query, store.raw.commit, [0], [False]

    async def others_run() -> None:
        others[0] = True
        clock.now += 60
        assert [(await rotation(seen_by(store)).run()).resumed for _ in range(2)] == [True, False]
        with pytest.raises(Killed):
            await rotation(seen_by(store), told=killed).run()
        assert (TEAM, THIRD) in await under(store)

    async def looked(one: Query) -> Any:
        if counted[0] == 2 and not others[0]:
            await others_run()
        counted[0] += one.table == list(own_words())[-1].name and not others[0]
        return await query(one)

    async def wrote(writes: list[Write]) -> Any:
        if counted[0] == 2 and not others[0]:
            await others_run()
        return await commit(writes)

    store.raw.query, store.raw.commit = looked, wrote  # type: ignore[method-assign,assignment]
    await rotation(seen_by(store), batch=100).run()
    assert others[0]
    assert [await said(seen_by(store), TEAM), await said(seen_by(store), OTHER)] == [SAID, SAID]


def killed(_: int) -> None:
    raise Killed


async def test_a_run_that_lost_its_lease_ends(store: Store, clock: Clock) -> None:
    await fill(store)

    async def wait(_: float) -> None:
        clock.now += 60
        await rotation(seen_by(store)).run()

    with pytest.raises(LeaseLost):
        await rotation(seen_by(store), pace=Pace(clock, rate=0.5, wait=wait)).run()
    assert await said(seen_by(store)) == SAID


async def test_who_read_before_the_old_key_went_reads_again(store: Store) -> None:
    await fill(store, TEAM)
    query, todo, reader = store.raw.query, [True], seen_by(store)

    async def slow(one: Query) -> Any:
        page = await query(one)
        if todo and one.table == ENTRIES.name:
            todo.clear()
            await rotation(seen_by(store)).run()
        return page

    store.raw.query = slow  # type: ignore[method-assign,assignment]
    assert await said(reader) == SAID
    assert not todo


async def test_words_that_cannot_be_opened_keep_their_key_and_the_rest_goes_on(store: Store) -> None:
    await fill(store)
    (row, *_) = await rows_of(store.raw, ENTRIES.name)
    stream, _, turn = row.id.partition("/")
    await store.raw.commit([Append(ENTRIES.name, row.team, stream, f"{turn}x", row.item)])  # moved by hand
    done = await rotation(seen_by(store)).run()
    assert (done.left, done.failed.total(), done.keys) == ({ENTRIES.name: 1}, 1, 1)
    assert "moved here" in str(done.failed)
    assert await key_ids(store) == [(TEAM, FIRST), (TEAM, SECOND), (OTHER, SECOND)]
    await store.raw.commit([Delete(KEYS.name, TEAM, FIRST)])
    done = await rotation(seen_by(store)).run()
    assert "00000001 is gone" in str(done.failed)
    assert Under(ENTRIES.name, TEAM, FIRST) in await count_text(store.raw, own_words(), Pace(store.clock))


class Service:
    """A key service in memory that can be down."""

    name = "test/1"

    def __init__(self) -> None:
        self.down = False

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        if self.down:
            raise sr.KeyServiceError(self.name, "down", retryable=True)
        return key[::-1]

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        return await self.wrap(wrapped, context)


async def test_a_service_that_is_down_ends_a_run_and_the_next_one_goes_on(store: Store, clock: Clock) -> None:
    service = Service()
    held: dict[str, Any] = {"engine": store.raw, "clock": clock, "keys": KEY, "encrypt_content": True, "kms": service}
    kept = Store("memory://", **held)
    await fill(kept)
    service.down = True
    with pytest.raises(sr.KeyServiceError, match="try again"):
        await rotation(kept).run()
    service.down = False
    assert await said(Store("memory://", **held)) == SAID
    done = await rotation(Store("memory://", **held)).run()
    assert (done.resumed, done.sealed, done.keys, done.left) == (True, 10, 2, {})
    assert {str(row.item["wrapped"])[:16] for row in await rows_of(store.raw, KEYS.name)} == {"sr-kms:1:test/1:"}


async def test_what_was_changed_or_erased_meanwhile_stays_so(store: Store) -> None:
    await fill(store, TEAM)
    thread, commit, todo = store.team(TEAM).thread(CHANNEL, TS), store.raw.commit, [True]

    async def slow(writes: list[Write]) -> Any:
        if todo and writes[0].table == ENTRIES.name:
            todo.clear()
            await thread.tombstone("t1")
        return await commit(writes)

    store.raw.commit = slow  # type: ignore[method-assign,assignment]
    done = await rotation(seen_by(store), batch=100).run()
    assert not todo
    assert not done.left
    assert [one.tombstone for one in (await thread.entries()).items] == [False, True, False, False, False]


async def test_a_workspace_that_is_erased_meanwhile_does_not_come_back(store: Store) -> None:
    await fill(store)
    commit, todo = store.raw.commit, [True]

    async def slow(writes: list[Write]) -> Any:
        if todo and writes[0].table == ENTRIES.name and writes[0].team == TEAM:
            todo.clear()
            for one in (threads.THREADS, ENTRIES, KEYS):
                await erase_team(store.raw, store.clock, TEAM, table_of(one), lambda _: None)
        return await commit(writes)

    store.raw.commit = slow  # type: ignore[method-assign,assignment]
    done = await rotation(seen_by(store)).run()
    assert not done.left
    assert await key_ids(store) == [(OTHER, SECOND)]
    assert {team for team, _ in await under(store)} == {OTHER}


async def test_a_store_whose_conversations_are_in_a_bucket_is_refused(tmp_path: Path, clock: Clock) -> None:
    apart = f"file:///{tmp_path}/bucket"
    async with Store("memory://", clock=clock, keys=KEY, encrypt_content=True, threads=apart) as mixed:
        with pytest.raises(sr.Unsupported, match="sr_entries commits one row at a time"):
            rotation(mixed)
