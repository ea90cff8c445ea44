"""DynamoDB on a bad day: what it refuses, slows down and leaves over, and a network that cuts, stalls and resets.

Nothing acknowledged is lost, nothing is applied twice, and errors tell the truth.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest

from stateroom.engines import dynamodb, dynamodb_line
from stateroom.engines.port import Append, Put, Query, Table, TableIndex, Truncate, Update, Write
from stateroom.expr.builder import attr
from stateroom.model.errors import (
    ConditionFailed,
    ItemTooLarge,
    StateroomError,
    StoreUnavailable,
    Throttled,
    Unsupported,
)
from support.dynamodb import Quick, drop_table, fresh_table, server
from support.dynamodb_faults import AWAY, CONFLICT, FAULT, OVERSIZED, REFUSED, SLOW, Faulty
from support.proxy import Proxy, listening

pytestmark = pytest.mark.service
TEAM, OTHER = "T00000001", "T00000002"
WORD = "heron"  # in rows; never in an error
TABLES = [
    Table("rows", indexes=(TableIndex("rank", ("rank",)),)),
    Table("alone", indexes=(TableIndex("mail", ("mail",), unique=True),)),
    Table("log", log=True),
]


@pytest.fixture(scope="module")
def faulty() -> Faulty:
    return Faulty()


@pytest.fixture
def url() -> Iterator[str]:
    """The store without anything between."""
    found = fresh_table()
    yield found
    drop_table(found)


@pytest.fixture
async def direct(url: str) -> AsyncIterator[Quick]:
    """One who has no bad day, and has made the tables."""
    engine = await opened(url)
    await engine.apply(TABLES)
    await engine.commit([Put("rows", TEAM, "a", {"n": 0, "word": WORD}), Put("rows", OTHER, "a", {"n": 0})])
    await engine.commit([Put("rows", TEAM, "b", {"n": 0})])
    await engine.commit([Append("log", TEAM, "s", "t0", {})])
    yield engine
    await engine.close()


@pytest.fixture
async def engine(direct: Quick, url: str, faulty: Faulty) -> AsyncIterator[Quick]:
    """One behind the server of faults, which knows its teams and where the stream ends."""
    faulty.faults.clear()
    found = await opened(at(url, faulty.endpoint))
    await found.commit([Update("rows", team, "a", set={"n": 0}) for team in (TEAM, OTHER)])
    await found.commit([Append("log", TEAM, "s", "t1", {})])
    faulty.asked.clear()
    yield found
    faulty.faults.clear()
    await found.close()


@pytest.fixture
async def proxy(direct: Quick) -> AsyncIterator[Proxy]:
    place = urlsplit(server())
    assert place.hostname
    assert place.port
    async with listening(Proxy((place.hostname, place.port))) as found:
        yield found


@pytest.fixture
async def cut_off(proxy: Proxy, url: str) -> AsyncIterator[Quick]:
    """One behind the proxy."""
    found = await opened(at(url, f"http://127.0.0.1:{proxy.port}"))
    await found.commit([Put("rows", TEAM, "warm", {})])
    yield found
    await found.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds of patience in a few milliseconds."""
    monkeypatch.setattr(dynamodb_line, "PAUSE", 0.0005)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[float | None], None]:
    """Sets how many seconds there are for an answer, instead of twenty; None: twenty again."""
    usual = dynamodb_line.PATIENCE

    def sets(seconds: float | None) -> None:
        wanted = usual if seconds is None else aiohttp.ClientTimeout(total=seconds, sock_connect=seconds)
        monkeypatch.setattr(dynamodb_line, "PATIENCE", wanted)

    return sets


def at(url: str, endpoint: str) -> str:
    """The same store at another address."""
    return f"{url.partition('?')[0]}?endpoint={quote(endpoint, safe='')}"


async def opened(url: str) -> Quick:
    found = Quick(url, time.time)
    await found.open()
    return found


async def caught(work: Awaitable[object]) -> StateroomError:
    with pytest.raises(StateroomError) as found:
        async with asyncio.timeout(20):
            await work
    assert WORD not in f"{found.value} {found.value!r}"
    return found.value


async def number(engine: Quick, team: str = TEAM, row: str = "a") -> object:
    (found,) = await engine.get("rows", team, [row])
    return None if found is None else found.item.get("n")


WRITES: dict[str, tuple[str, list[Write]]] = {
    "alone": ("UpdateItem", [Update("rows", TEAM, "a", add={"n": 1})]),
    "together": (
        "TransactWriteItems",
        [Update("rows", TEAM, "a", add={"n": 1}), Put("rows", TEAM, "b", {"n": 1})],
    ),
    "appended": ("TransactWriteItems", [Append("log", TEAM, "s", "t2", {"n": 1})]),
}


async def times_done(direct: Quick, kind: str) -> object:
    """How many times one of WRITES was applied."""
    if kind == "appended":
        rows = (await direct.query(Query("log", TEAM, 100, equals=("s",)))).rows
        return sum(row.id == "s/t2" for row in rows)
    return await number(direct)


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.usefixtures("hasty")
async def test_what_dynamodb_slows_down_is_sent_again_and_done_once(
    kind: str, slow: str, engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    action, writes = WRITES[kind]
    if slow == "cancelled" and action != "TransactWriteItems":
        slow = "throughput"
    faulty.add(action, SLOW[slow], 4)
    await engine.commit(writes)
    assert faulty.asked[action] == 5
    assert await times_done(direct, kind) == 1
    faulty.add("GetItem", SLOW["throughput"], 4)
    faulty.add("Query", SLOW["throttling"], 4)
    assert await engine.get("rows", TEAM, ["a"]) != [None]
    assert len((await engine.query(Query("rows", TEAM, 10))).rows) > 0


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.usefixtures("hasty")
async def test_slowness_that_lasts_is_told_and_nothing_was_written(
    kind: str, engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    action, writes = WRITES[kind]
    faulty.add(action, SLOW["throughput"], 1000)
    error = await caught(engine.commit(writes))
    assert isinstance(error, Throttled)
    assert (error.retryable, error.maybe_applied) == (True, False)
    assert error.retry_after > 0
    assert faulty.asked[action] == dynamodb_line.ATTEMPTS
    assert await times_done(direct, kind) == 0
    faulty.faults.clear()
    await engine.commit(writes)
    assert await times_done(direct, kind) == 1


@pytest.mark.usefixtures("hasty")
async def test_a_hot_key_is_told_and_other_keys_go_on(engine: Quick, direct: Quick, faulty: Faulty) -> None:
    faulty.add("UpdateItem", SLOW["throughput"], 1000, partition=f"rows/{TEAM}")
    hot = asyncio.ensure_future(caught(engine.commit([Update("rows", TEAM, "a", add={"n": 1})])))
    for _ in range(5):
        await engine.commit([Update("rows", OTHER, "a", add={"n": 1})])
    error = await hot
    assert isinstance(error, Throttled)
    assert "one key" in str(error)
    assert (await number(direct), await number(direct, OTHER)) == (0, 5)


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.usefixtures("hasty")
async def test_faults_after_the_write_say_that_it_may_have_been_applied_and_it_is_done_once(
    kind: str, engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    action, writes = WRITES[kind]
    faulty.add(action, FAULT, 1000, done=True)
    error = await caught(engine.commit(writes))
    assert isinstance(error, StoreUnavailable)
    assert (error.reason, error.retryable, error.maybe_applied) == ("io", True, True)
    requests = 1 if kind == "alone" else dynamodb_line.ATTEMPTS  # which are one, by their token
    assert (faulty.asked[action], await times_done(direct, kind)) == (requests, 1)
    faulty.faults.clear()
    if kind == "appended":  # the same turn again is the same turn
        (again,) = await engine.commit(writes)
        assert (again.changed, await times_done(direct, kind)) == (False, 1)


IN_PROGRESS = (
    400,
    {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionInProgressException",
        "Message": "Transaction with the same token is in progress",
    },
)
LOST: dict[str, dict[str, Any]] = {
    "a fault": {"answer": FAULT},
    "half an answer": {"raw": b'{"It'},
    "a proxy's page": {"answer": AWAY},
    "a late answer": {"answer": IN_PROGRESS},
}


@pytest.mark.parametrize("kind", ["together", "appended"])
@pytest.mark.parametrize("lost", [(name, done) for name in LOST for done in (True, False)], ids=str)
@pytest.mark.usefixtures("hasty")
async def test_a_transaction_whose_answer_was_lost_is_asked_for_again_by_its_token_and_done_once(
    kind: str, lost: tuple[str, bool], engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    action, writes = WRITES[kind]
    faulty.add(action, times=2, done=lost[1], **LOST[lost[0]])
    written = await engine.commit(writes)
    assert written[0].changed
    assert (faulty.asked[action], await times_done(direct, kind)) == (3, 1)


@pytest.mark.parametrize("then", [SLOW["throughput"], REFUSED, OVERSIZED["together"]], ids=["slow", "refused", "large"])
@pytest.mark.usefixtures("hasty")
async def test_what_dynamodb_refuses_of_a_second_request_says_nothing_of_the_first(
    then: tuple[int, Any], engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    action, writes = WRITES["together"]
    faulty.add(action, FAULT, done=True)
    faulty.add(action, then, 1000)
    error = await caught(engine.commit(writes))
    assert isinstance(error, StoreUnavailable)
    assert (error.retryable, error.maybe_applied) == (True, True)
    assert await times_done(direct, "together") == 1


async def test_a_transaction_is_asked_for_again_within_the_time_of_one_request(
    proxy: Proxy, cut_off: Quick, direct: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A freeze counts on it: behind that time no write is under way of who had not seen it."""
    await cut_off.get("rows", TEAM, ["a", "b"])
    monkeypatch.setattr(dynamodb_line, "PATIENCE", aiohttp.ClientTimeout(total=2.0, sock_connect=2.0))
    proxy.doom(b"POST", "answer")
    proxy.doom(b"POST", "silence", 20)
    began = time.monotonic()
    error = await caught(cut_off.commit(WRITES["together"][1]))
    assert error.maybe_applied
    assert time.monotonic() - began < 10  # and not 2 s for each of nine requests
    assert await times_done(direct, "together") == 1


@pytest.mark.parametrize("answer", [b'{"Attributes":{"v"', b"<html>Sign in to the network</html>", b"[]"])
async def test_an_answer_that_is_none_is_no_acknowledgement(
    answer: bytes, engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    faulty.add("UpdateItem", raw=answer, done=True)
    error = await caught(engine.commit([Update("rows", TEAM, "a", add={"n": 1})]))
    assert isinstance(error, StoreUnavailable)
    assert (error.reason, error.retryable, error.maybe_applied) == ("io", True, True)
    faulty.add("GetItem", raw=answer)
    assert await number(engine) == 1  # a read is asked again


async def test_reads_are_asked_again_where_dynamodb_is_away_for_a_moment(engine: Quick, faulty: Faulty) -> None:
    faulty.add("GetItem", AWAY, 2)
    faulty.add("BatchGetItem", FAULT, 2)
    faulty.add("Query", FAULT, 2)
    assert await number(engine) == 0
    assert len(await engine.get("rows", TEAM, ["a", "b", "c"])) == 3
    assert len((await engine.query(Query("rows", TEAM, 10))).rows) == 2
    assert faulty.asked["GetItem"] == 3


@pytest.mark.usefixtures("hasty")
async def test_rows_that_a_batch_leaves_over_are_asked_for_until_all_are_there(
    engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    ids = [f"r{n:03}" for n in range(120)]
    for start in range(0, 120, 60):
        await direct.commit([Put("rows", TEAM, one, {"id": one}) for one in ids[start : start + 60]])
    for keep in (7, 0, 0, 30, 0):
        faulty.add("BatchGetItem", keep=keep)
    found = await engine.get("rows", TEAM, [*ids, "none"])
    assert [None if row is None else row.item["id"] for row in found] == [*ids, None]
    faulty.add("BatchGetItem", keep=0, times=1000)
    error = await caught(engine.get("rows", TEAM, ids))
    assert isinstance(error, Throttled)
    assert error.retryable


@pytest.mark.usefixtures("hasty")
async def test_entries_of_an_erased_stream_that_a_batch_leaves_over_are_removed_all_the_same(
    engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    await engine.commit([Append("log", TEAM, "s", f"u{n}", {"word": WORD}) for n in range(30)])
    for keep in (3, 0, 11, 0, 1):
        faulty.add("BatchWriteItem", keep=keep)
    await engine.commit([Truncate("log", TEAM, "s")])
    assert (await direct.query(Query("log", TEAM, 100, equals=("s",)))).rows == []
    assert not [row for row in stored(engine) if "/s/" in row["pk"]["S"]]


@pytest.mark.usefixtures("hasty")
async def test_a_removal_that_does_not_get_through_is_told_and_ended_by_the_next(
    engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    faulty.add("BatchWriteItem", keep=0, times=1000)
    error = await caught(engine.commit([Truncate("log", TEAM, "s")]))
    assert isinstance(error, Throttled)
    assert (await direct.query(Query("log", TEAM, 100, equals=("s",)))).rows == []  # nobody reads them any more
    faulty.faults.clear()
    await engine.commit([Truncate("log", TEAM, "s")])
    assert not [row for row in stored(engine) if "/s/" in row["pk"]["S"]]


def stored(engine: Quick) -> list[dict[str, dict[str, str]]]:
    """What lies in the table."""
    from support.dynamodb import client

    found: list[dict[str, dict[str, str]]] = client().scan(TableName=engine._table)["Items"]
    return found


@pytest.mark.parametrize("kind", ["alone", "together"])
async def test_an_item_that_dynamodb_finds_too_large_is_told_as_such(
    kind: str, engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    action, writes = WRITES[kind]
    faulty.add(action, OVERSIZED[kind], 2)  # what was seen of the row before may be wrong: it is asked again
    error = await caught(engine.commit(writes))
    assert isinstance(error, ItemTooLarge)
    assert (error.retryable, error.maybe_applied) == (False, False)
    assert await number(direct) == 0


async def test_an_item_over_384_kib_and_a_commit_over_4_mb_are_refused_before_they_are_sent(
    engine: Quick, direct: Quick, faulty: Faulty
) -> None:
    big = "x" * 380_000
    assert isinstance(await caught(engine.commit([Put("rows", TEAM, "none", {"a": big + big})])), ItemTooLarge)
    many: list[Write] = [Put("rows", TEAM, f"m{n}", {"a": big}) for n in range(12)]
    error = await caught(engine.commit(many))
    assert isinstance(error, Unsupported)
    assert "bytes" in error.construct
    assert not faulty.asked["TransactWriteItems"] + faulty.asked["PutItem"] + faulty.asked["UpdateItem"]
    assert await direct.get("rows", TEAM, ["none", "m0"]) == [None, None]
    await engine.commit(many[:8])


@pytest.mark.usefixtures("hasty")
async def test_a_commit_that_others_keep_coming_between_sees_a_freeze(
    engine: Quick, direct: Quick, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb, "LOOK", 0.01)
    monkeypatch.setattr(dynamodb, "ATTEMPTS", 1_000_000)
    faulty.add("TransactWriteItems", CONFLICT, 1_000_000)
    trying = asyncio.ensure_future(caught(engine.commit(WRITES["together"][1])))
    while faulty.asked["TransactWriteItems"] < 3:
        await asyncio.sleep(0.01)
    await direct.freeze(frozen=True)
    error = await trying
    assert isinstance(error, StoreUnavailable)
    assert (error.reason, error.retryable, error.maybe_applied) == ("frozen", True, False)
    await direct.freeze(frozen=False)
    assert await times_done(direct, "together") == 0


# --- The network.


async def test_what_was_cut_off_under_way_may_have_been_applied_and_says_so(
    proxy: Proxy, cut_off: Quick, direct: Quick
) -> None:
    """But for a transaction, which is known by its token and simply goes on."""
    for fault, applied in (("answer", True), ("short", True), ("ask", False)):
        for kind, (_, writes) in WRITES.items():
            await cut_off.get("rows", TEAM, ["a", "b"])  # else the batch reads first, and reads are sent again
            await cut_off.commit([Truncate("log", TEAM, "s")])
            await cut_off.commit([Append("log", TEAM, "s", f"{fault}-{kind}", {})])  # and so does an append
            before = await number(direct) if kind != "appended" else 0
            proxy.doom(b"POST", fault)
            if kind == "alone":
                error = await caught(cut_off.commit(writes))
                assert isinstance(error, StoreUnavailable)
                assert (error.reason, error.retryable, error.maybe_applied) == ("io", True, True)
            else:
                assert (await cut_off.commit(writes))[0].changed
            assert not proxy.doomed
            assert await times_done(direct, kind) == before + (applied or kind != "alone"), (fault, kind)


async def test_reads_outlive_a_cut(proxy: Proxy, cut_off: Quick) -> None:
    for fault in ("ask", "answer", "short"):
        proxy.doom(b"POST", fault, 2)
        assert await cut_off.get("rows", TEAM, ["warm"]) != [None]
        proxy.doom(b"POST", fault, 2)
        assert (await cut_off.query(Query("rows", TEAM, 5))).rows


async def test_a_server_that_stands_still_or_is_half_open_ends_in_an_error_and_then_goes_on(
    proxy: Proxy, cut_off: Quick, impatient: Callable[[float | None], None]
) -> None:
    impatient(0.5)
    began = time.monotonic()
    proxy.doom(b"POST", "silence")
    error = await caught(cut_off.commit([Put("rows", TEAM, "b", {})]))
    assert isinstance(error, StoreUnavailable)
    assert (error.reason, error.retryable, error.maybe_applied) == ("io", True, True)
    proxy.asks.clear()
    proxy.answers.clear()
    works = [cut_off.commit([Put("rows", TEAM, "c", {})]), cut_off.get("rows", TEAM, ["a"])]
    for found in await asyncio.gather(*works, return_exceptions=True):
        assert isinstance(found, StoreUnavailable)
        assert found.retryable
    assert time.monotonic() - began < 15
    impatient(None)
    proxy.cut()
    assert await cut_off.get("rows", TEAM, ["warm"]) != [None]


async def test_an_unreachable_server_is_told_and_nothing_was_applied(
    proxy: Proxy, cut_off: Quick, direct: Quick, url: str
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused at once
        error = await caught(Quick(at(url, f"http://127.0.0.1:{nobody.getsockname()[1]}"), time.time).open())
    assert isinstance(error, StoreUnavailable)
    assert (error.retryable, error.maybe_applied) == (True, False)
    proxy.refusing = True
    proxy.cut()
    error = await caught(cut_off.commit([Put("rows", TEAM, "none", {})]))
    assert isinstance(error, StoreUnavailable)
    assert await direct.get("rows", TEAM, ["none"]) == [None]
    proxy.refusing = False
    assert await cut_off.get("rows", TEAM, ["warm"]) != [None]


async def test_a_conditional_write_that_meets_the_cut_is_never_done_twice(
    proxy: Proxy, cut_off: Quick, direct: Quick
) -> None:
    await direct.commit([Put("rows", TEAM, "steps", {"n": 0})])
    for n in range(12):
        write = Update("rows", TEAM, "steps", set={"n": n + 1}, condition=attr("n") == n)
        proxy.doom(b"POST", ("ask", "answer", "short")[n % 3])
        error = await caught(cut_off.commit([write]))
        assert error.maybe_applied
        proxy.doomed.clear()
        with suppress(ConditionFailed):  # it was applied
            await cut_off.commit([write])
        assert await number(direct, row="steps") == n + 1


async def test_traffic_over_a_network_that_breaks_and_slows_down_loses_and_repeats_nothing(
    proxy: Proxy, cut_off: Quick, direct: Quick
) -> None:
    """Writers that do what the errors say: repeat what is safe to repeat, count what may have been applied."""
    sure: Counter[str] = Counter()
    unsure: Counter[str] = Counter()
    appended: set[str] = set()
    refused: Counter[bool] = Counter()
    ends = time.monotonic() + 3

    def over() -> bool:
        """Enough, and what it is about has happened."""
        return time.monotonic() > ends and sum(unsure.values()) > 0

    async def tried(work: Callable[[], Awaitable[object]]) -> bool | None:
        """True: applied; False: surely not; None: not known."""
        try:
            await work()
        except StoreUnavailable as error:
            refused.update([error.retryable])
            return None if error.maybe_applied else False
        return True

    async def count(name: str, several: bool) -> None:
        writes: list[Write] = [Update("rows", TEAM, name, add={"n": 1})]
        if several:
            writes.append(Put("rows", TEAM, f"{name}-beside", {}))
        while not over():
            done = await tried(lambda: cut_off.commit(writes))
            sure[name] += done is True
            unsure[name] += done is None

    async def append(name: str) -> None:
        turn = 0
        while not over():
            writes = [Append("log", TEAM, "traffic", f"{name}-{turn}", {})]
            while await tried(lambda writes=writes: cut_off.commit(writes)) is not True:
                await asyncio.sleep(0.01)
            appended.add(f"{name}-{turn}")
            turn += 1

    async def break_it() -> None:
        while not over():
            await asyncio.sleep(0.1)
            proxy.delay = 0.002
            await asyncio.sleep(0.05)
            proxy.delay = 0
            proxy.answers.clear()
            await asyncio.sleep(0.03)
            proxy.cut()

    names = [f"lone{n}" for n in range(3)] + [f"both{n}" for n in range(3)]
    counters = [count(name, name.startswith("both")) for name in names]
    await asyncio.wait_for(asyncio.gather(break_it(), *counters, *(append(f"a{n}") for n in range(3))), 60)
    for name, row in zip(names, await direct.get("rows", TEAM, names), strict=True):
        n = 0 if row is None else row.item["n"]
        assert sure[name] <= n <= sure[name] + unsure[name], name
    assert sum(unsure.values()) > 0
    assert refused[True] > 0
    assert not refused[False]
    entries = (await direct.query(Query("log", TEAM, 10_000, equals=("traffic",)))).rows
    assert [row.version for row in entries] == list(range(1, len(entries) + 1))
    assert Counter(row.id.partition("/")[2] for row in entries) == Counter(appended)
