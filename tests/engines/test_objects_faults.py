"""Object storage on a bad day: connections cut, stalled, slow and half-open, processes that race, and 100 exits.

A real SeaweedFS behind a TCP proxy: nothing acknowledged is lost, nothing is applied twice, and errors tell the truth.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from stateroom.engines import objects_bucket, objects_cloud
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Append, Delete, Put, Query, Rewrite, Row, Table, Truncate, Update, Write
from stateroom.model.errors import ConditionFailed, CorruptData, FormatTooNew, StateroomError, StoreUnavailable
from support import objects
from support.gcs_stub import Stub
from support.proxy import Proxy, listening

pytestmark = pytest.mark.service
TEAM = "T00000001"
TABLES = [Table("items"), Table("log", log=True)]


@pytest.fixture
async def proxy() -> AsyncIterator[tuple[Proxy, str, str]]:
    """A proxy, the store's URL through it, and the one that goes straight."""
    url = objects.fresh("seaweedfs")
    async with listening(Proxy(objects.place_of(url))) as found:
        yield found, objects.through(url, found.port), url


async def opened(url: str) -> ObjectsEngine:
    engine = ObjectsEngine(url, time.time)
    await engine.open()
    await engine.apply(TABLES)
    return engine


async def at_last(engine: ObjectsEngine, write: Append) -> None:
    """An append that gets through, however little time a request has."""
    ends = time.monotonic() + 30
    while True:
        try:
            await engine.commit([write])
        except StoreUnavailable:
            assert time.monotonic() < ends
        else:
            return


async def trouble(proxy: Proxy, dice: random.Random, until: asyncio.Event) -> None:
    """Cuts, stalls of one way or both, and slowness, until it is enough."""
    while not until.is_set():
        await asyncio.sleep(dice.uniform(0.02, 0.15))
        kind = dice.choice(["cut", "cut", "answers", "asks", "slow"])
        if kind == "slow":
            proxy.delay = 0.02
            await asyncio.sleep(0.1)
            proxy.delay = 0.0
        elif kind == "cut":
            proxy.cut()
        else:
            gate: asyncio.Event = getattr(proxy, kind)
            gate.clear()
            await asyncio.sleep(0.1)
            proxy.cut()
    proxy.cut()


@dataclass
class Kept:
    """What one writer was told."""

    numbers: list[int] = field(default_factory=list)  # of its turns, in order
    sure: int = 0  # additions that were acknowledged
    unsure: int = 0  # and those that may have been applied
    refused: list[StateroomError] = field(default_factory=list)


async def keep_writing(engine: ObjectsEngine, name: str, kept: Kept) -> None:
    """Twelve turns, each sent until it is acknowledged, and twelve additions, each sent once."""
    for n in range(12):
        while True:
            try:
                (done,) = await engine.commit([Append("log", TEAM, f"s{name}", f"{name}.{n}", {"n": n})])
                break
            except StateroomError as error:
                kept.refused.append(error)
        assert done.row
        kept.numbers.append(done.row.version)
        try:
            await engine.commit([Update("items", TEAM, f"c{name}", add={"n": 1})])
        except StateroomError as error:
            kept.refused.append(error)
            kept.unsure += error.maybe_applied
        else:
            kept.sure += 1


async def test_under_cuts_stalls_and_slowness_nothing_acknowledged_is_lost_and_nothing_is_applied_twice(
    proxy: tuple[Proxy, str, str],
) -> None:
    between, through, straight = proxy
    engine = await opened(through)
    writers = {str(n): Kept() for n in range(6)}
    over = asyncio.Event()
    troubling = asyncio.create_task(trouble(between, random.Random(7), over))
    await asyncio.gather(*(keep_writing(engine, name, kept) for name, kept in writers.items()))
    over.set()
    await troubling
    await engine.close()
    check = await opened(straight)
    for name, kept in writers.items():
        assert [str(error) for error in kept.refused if not error.retryable] == []
        assert kept.numbers == list(range(1, 13))
        page = await check.query(Query("log", TEAM, 100, equals=(f"s{name}",)))
        assert [row.id.rpartition("/")[2] for row in page.rows] == [f"{name}.{n}" for n in range(12)]
        (row,) = await check.get("items", TEAM, [f"c{name}"])
        assert row
        assert kept.sure <= row.item["n"] <= kept.sure + kept.unsure
    await check.close()


async def write_of_each_kind(engine: ObjectsEngine, name: str, doom: Callable[[], None]) -> None:
    """Each is met by a fault, and is what it would have been without."""

    async def done(write: Write) -> Row | None:
        doom()
        (found,) = await engine.commit([write])
        assert found.changed, write
        return found.row

    made = await done(Put("items", TEAM, name, {"n": 1}, if_version=0))
    assert made
    again = await done(Put("items", TEAM, name, {"n": 2}, if_version=made.version))
    assert again
    assert again.version > made.version
    with pytest.raises(ConditionFailed) as stale:
        await engine.commit([Put("items", TEAM, name, {"n": 9}, if_version=made.version)])
    assert stale.value.current == {"n": 2}
    added = await done(Update("items", TEAM, name, add={"n": 1}))
    assert added
    assert added.item == {"n": 3}
    assert await engine.get("items", TEAM, [name]) == [added]
    await done(Delete("items", TEAM, name, if_version=added.version))
    assert await engine.get("items", TEAM, [name]) == [None]
    for number in (1, 2):
        entry = await done(Append("log", TEAM, name, f"t{number}", {"n": number}))
        assert entry
        assert entry.version == number
    await done(Rewrite("log", TEAM, name, 1, {"gone": True}, before={"n": 1}))
    page = await engine.query(Query("log", TEAM, 10, equals=(name,)))
    assert [row.item for row in page.rows] == [{"gone": True}, {"n": 2}]
    await done(Truncate("log", TEAM, name))
    assert (await engine.query(Query("log", TEAM, 10, equals=(name,)))).rows == []


@pytest.mark.parametrize("fault", ["ask", "answer", "short", "silence"])
@pytest.mark.parametrize("kind", ["seaweedfs", "moto"])
async def test_a_put_whose_answer_was_lost_finds_its_own_object_and_is_no_conflict(
    kind: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only where nothing else ends a request is the time short that it has.
    times = {"timeout": "600ms" if fault == "silence" else "20s", "connect_timeout": "20s"}
    monkeypatch.setattr(objects_cloud, "TIMES", times)
    url = objects.fresh(kind)
    async with listening(Proxy(objects.place_of(url))) as between:
        engine = await opened(objects.through(url, between.port))
        await write_of_each_kind(engine, "one", lambda: between.doom(b"PUT ", fault))
        assert between.doomed == []
        await engine.close()


async def test_a_put_that_somebody_else_was_quicker_with_is_a_conflict_although_its_answer_was_lost(
    proxy: tuple[Proxy, str, str],
) -> None:
    between, through, straight = proxy
    engine, other = await opened(through), await opened(straight)
    (made,) = await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    assert made.row
    between.asks.clear()  # ours is on its way
    ours = asyncio.ensure_future(engine.commit([Put("items", TEAM, "b", {"by": "us"}, if_version=0)]))
    mine = asyncio.ensure_future(engine.commit([Append("log", TEAM, "s", "us", {})]))
    await other.commit([Put("items", TEAM, "b", {"by": "them"})])
    await other.commit([Append("log", TEAM, "s", "them", {})])
    between.cut()
    with pytest.raises(ConditionFailed) as refused:
        await ours
    assert refused.value.current == {"by": "them"}
    (behind,) = await mine
    assert behind.row
    assert behind.row.version == 2
    for one in (engine, other):
        await one.close()


async def test_a_read_that_was_cut_short_is_asked_again_and_never_half(proxy: tuple[Proxy, str, str]) -> None:
    between, through, _ = proxy
    engine = await opened(through)
    item = {"text": "x" * 200_000}
    await engine.commit([Put("items", TEAM, "a", item)])
    for number in range(3):
        await engine.commit([Append("log", TEAM, "s", f"t{number}", {"n": number})])
    for fault in ("ask", "answer", "short"):
        between.doom(b"GET ", fault, 2)
        (row,) = await engine.get("items", TEAM, ["a"])
        assert row
        assert row.item == item
        between.doom(b"GET ", fault, 2)
        page = await engine.query(Query("log", TEAM, 10, equals=("s",)))
        assert [row.item["n"] for row in page.rows] == [0, 1, 2]
    between.doom(b"GET ", "short", 5)
    with pytest.raises(StoreUnavailable) as lost:
        await engine.get("items", TEAM, ["a"])
    assert (lost.value.reason, lost.value.retryable, lost.value.maybe_applied) == ("io", True, False)
    await engine.close()


async def test_a_put_that_is_lost_every_time_may_have_been_applied_and_can_be_repeated(
    proxy: tuple[Proxy, str, str],
) -> None:
    between, through, straight = proxy
    engine = await opened(through)
    between.doom(b"PUT ", "ask", 5)
    with pytest.raises(StoreUnavailable) as lost:
        await engine.commit([Append("log", TEAM, "s", "t1", {})])
    assert (lost.value.reason, lost.value.retryable, lost.value.maybe_applied) == ("io", True, True)
    for _ in range(2):
        (done,) = await engine.commit([Append("log", TEAM, "s", "t1", {})])
        assert done.row
        assert done.row.version == 1
    await engine.close()
    check = await opened(straight)
    assert len((await check.query(Query("log", TEAM, 10, equals=("s",)))).rows) == 1
    await check.close()


async def test_a_half_open_connection_is_given_up_in_time(
    proxy: tuple[Proxy, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    between, through, straight = proxy
    monkeypatch.setattr(objects_cloud, "TIMES", {"timeout": "300ms", "connect_timeout": "300ms"})
    engine = await opened(through)
    between.answers.clear()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as lost:
        await engine.commit([Append("log", TEAM, "s", "t1", {})])
    assert time.monotonic() - began < 20
    assert (lost.value.reason, lost.value.retryable) == ("io", True)
    between.cut()
    (done,) = await engine.commit([Append("log", TEAM, "s", "t1", {})])
    assert done.row
    assert done.row.version == 1
    await engine.close()
    check = await opened(straight)
    assert len((await check.query(Query("log", TEAM, 10, equals=("s",)))).rows) == 1
    await check.close()


async def test_a_server_that_never_answers_is_not_asked_for_minutes(
    proxy: tuple[Proxy, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    between, through, _ = proxy
    monkeypatch.setattr(objects_cloud, "TIMES", {"timeout": "300ms", "connect_timeout": "300ms"})
    monkeypatch.setattr(objects_bucket, "LONG", 0.1)
    engine = await opened(through)
    await at_last(engine, Append("log", TEAM, "s", "t1", {}))
    between.answers.clear()
    between.heard.clear()
    with pytest.raises(StoreUnavailable):
        await engine.get("items", TEAM, ["a"])
    with pytest.raises(StoreUnavailable) as lost:
        await engine.commit([Append("log", TEAM, "s", "t2", {})])
    assert lost.value.maybe_applied
    assert [piece[:4] for piece in between.heard] == [b"GET ", b"PUT ", b"GET "]
    await engine.close()


async def test_a_server_that_is_away_is_an_error_that_applied_nothing(proxy: tuple[Proxy, str, str]) -> None:
    between, through, _ = proxy
    engine = await opened(through)
    between.refusing = True
    between.cut()
    with pytest.raises(StoreUnavailable) as away:
        await engine.get("items", TEAM, ["a"])
    assert away.value.retryable
    assert not away.value.maybe_applied
    between.refusing = False
    assert await engine.get("items", TEAM, ["a"]) == [None]
    await engine.close()


# Refused, and cut off in the bucket itself.


@pytest.fixture
def stub() -> Iterator[Stub]:
    objects.credentials()
    with closing(Stub("bucket")) as found:
        yield found


async def test_a_403_is_an_error_of_every_call_and_never_an_empty_history_or_a_missing_row(stub: Stub) -> None:
    engine = await opened(f"gs://bucket/p?endpoint={stub.url}")
    await engine.commit([Append("log", TEAM, "s", "t1", {})])
    await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    kept = dict(stub.objects)
    stub.refusing = True
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: engine.get("items", TEAM, ["a"]),
        lambda: engine.get("items", TEAM, ["nothing"]),
        lambda: engine.get("log", TEAM, ["s/t1"]),
        lambda: engine.query(Query("items", TEAM, 10)),
        lambda: engine.query(Query("items", None, 10, whole=True)),
        lambda: engine.query(Query("log", TEAM, 10, equals=("s",))),
        lambda: engine.query(Query("log", TEAM, 10, equals=("other",))),
        lambda: engine.query(Query("log", None, 10, whole=True)),
        lambda: engine.commit([Append("log", TEAM, "s", "t2", {})]),
        lambda: engine.commit([Append("log", TEAM, "other", "t1", {})]),
        lambda: engine.commit([Put("items", TEAM, "b", {}, if_version=0)]),
        lambda: engine.commit([Update("items", TEAM, "a", add={"n": 1})]),
        lambda: engine.commit([Delete("items", TEAM, "a")]),
        lambda: engine.commit([Truncate("log", TEAM, "s")]),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(StoreUnavailable) as refused:
            await call()
        error = refused.value
        assert (error.reason, error.retryable, error.maybe_applied) == ("refused", False, False), number
    assert stub.objects == kept
    stub.refusing = False
    (done,) = await engine.commit([Append("log", TEAM, "s", "t2", {})])
    assert done.row
    assert done.row.version == 2
    await engine.close()


async def test_an_object_cut_off_or_of_a_later_version_in_a_bucket_is_an_error_and_stays_as_it_is(stub: Stub) -> None:
    url = f"gs://bucket/p?endpoint={stub.url}"
    engine = await opened(url)
    for number in range(1, 7):  # a snapshot is at 4
        await engine.commit([Append("log", TEAM, "s", f"t{number}", {"n": number})])
    await engine.close()
    for name in ("snapshot", "0000000005", "0000000006"):
        key = f"p/logs/log/{TEAM}/s/{name}.json"
        tag, data = stub.objects[key]
        for wrong, kind in ((data[:-20], CorruptData), (data.replace(b'"version":1', b'"version":2'), FormatTooNew)):
            stub.objects[key] = (tag, wrong)
            engine = await opened(url)
            with pytest.raises(kind):
                await engine.query(Query("log", TEAM, 10, equals=("s",)))
            with pytest.raises(kind):
                await engine.commit([Append("log", TEAM, "s", "t7", {})])
            await engine.close()
            assert stub.objects[key] == (tag, wrong)
        stub.objects[key] = (tag, data)
    engine = await opened(url)
    assert len((await engine.query(Query("log", TEAM, 10, equals=("s",)))).rows) == 6
    await engine.close()
