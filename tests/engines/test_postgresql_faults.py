"""PostgreSQL behind a network that cuts, stalls and slows down: errors tell the truth, nothing is lost or repeated."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import psycopg
import pytest

from stateroom.engines.port import Append, Put, Query, Table, Update, Write
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.postgresql_url import read_url
from stateroom.expr.builder import attr
from stateroom.model.errors import ConditionFailed, StoreUnavailable
from support.postgres import drop_schema, fresh_schema
from support.postgres_faults import Proxy, proxied

pytestmark = pytest.mark.service
TEAM = "T00000001"
T = TypeVar("T")
TABLES = [Table("rows"), Table("log", log=True)]


@pytest.fixture
async def direct() -> AsyncIterator[PostgresEngine]:
    """The store without a proxy."""
    url = fresh_schema()
    engine = PostgresEngine(url, time.time)
    await engine.open()
    await engine.apply(TABLES)
    engine.url = url  # type: ignore[attr-defined]
    yield engine
    await engine.close()
    drop_schema(url)


@pytest.fixture
async def proxy(direct: PostgresEngine) -> AsyncIterator[Proxy]:
    async with proxied(direct.url) as found:  # type: ignore[attr-defined]
        yield found


async def opened(proxy: Proxy, timeout: float = 20, connect_timeout: int = 20) -> PostgresEngine:
    engine = PostgresEngine(f"{proxy.url}&timeout={timeout}&connect_timeout={connect_timeout}", time.time)
    await engine.open()
    return engine


async def at_last(call: Callable[[], Awaitable[T]]) -> T:
    """What a call gives that may be repeated: with so little patience it may be told busy on a busy machine, too."""
    ends = time.monotonic() + 30
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            if not error.retryable or time.monotonic() > ends:
                raise


async def caught(work: Awaitable[object]) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as found:
        await work
    return found.value


@pytest.mark.parametrize("others", [[], ["more", "most"]], ids=["one", "several"])
async def test_what_was_cut_off_under_way_may_have_been_applied_and_says_so(
    proxy: Proxy, direct: PostgresEngine, others: list[str]
) -> None:
    engine = await opened(proxy)
    await engine.commit([Put("rows", TEAM, i, {}) for i in ("warm", *others)])  # and the statement is prepared
    proxy.answers.clear()  # the server does it, and nobody hears of it
    lone = asyncio.ensure_future(engine.commit([Put("rows", TEAM, i, {}) for i in ("lone", *others)]))
    while await direct.get("rows", TEAM, ["lone"]) == [None]:
        await asyncio.sleep(0.01)
    proxy.cut()
    error = await caught(lone)
    assert (error.retryable, error.maybe_applied, error.reason) == (True, True, "io")
    assert await engine.get("rows", TEAM, ["lone"]) != [None]
    proxy.asks.clear()  # the server hears nothing
    writes = [Put("rows", TEAM, "a", {}), Put("rows", TEAM, "b", {}, if_version=0)]
    reading = asyncio.ensure_future(engine.commit(writes))
    await asyncio.sleep(0.05)
    proxy.cut()
    error = await caught(reading)
    assert (error.retryable, error.maybe_applied) == (True, False), "a batch that was cut before it wrote"
    assert await direct.get("rows", TEAM, ["a", "b"]) == [None, None]
    await engine.close()


async def test_connections_that_the_server_has_closed_meanwhile_are_not_used(proxy: Proxy) -> None:
    engine = await opened(proxy)
    await asyncio.gather(*(engine.get("rows", TEAM, ["x"]) for _ in range(5)))
    proxy.cut()
    await asyncio.sleep(0.3)
    await engine.commit([Put("rows", TEAM, "a", {})])
    await engine.commit([Put("rows", TEAM, "a", {}), Put("rows", TEAM, "b", {})])
    await engine.close()


@pytest.mark.parametrize("heard", [True, False], ids=["stalled", "half-open"])
async def test_a_server_that_stands_still_ends_in_an_error_that_tells_the_truth_and_then_it_goes_on(
    proxy: Proxy, direct: PostgresEngine, heard: bool
) -> None:
    engine = await opened(proxy, timeout=0.4, connect_timeout=2)
    await at_last(lambda: engine.commit([Put("rows", TEAM, "a", {})]))
    proxy.answers.clear()
    if not heard:
        proxy.asks.clear()
    began = time.monotonic()
    works = [engine.commit([Put("rows", TEAM, "b", {})]), engine.get("rows", TEAM, ["a"])]
    works += [engine.commit([Put("rows", TEAM, "c", {}), Put("rows", TEAM, "d", {})])]
    errors = await asyncio.gather(*works, return_exceptions=True)
    for error in errors:
        assert isinstance(error, StoreUnavailable)
        assert error.reason in ("busy", "io")  # io: a connection that could not be made
        assert error.retryable
    assert time.monotonic() - began < 15
    proxy.cut()
    assert await at_last(lambda: engine.get("rows", TEAM, ["a"])) != [None]
    for error, row_id in ((errors[0], "b"), (errors[2], "c")):
        assert isinstance(error, StoreUnavailable)
        if await direct.get("rows", TEAM, [row_id]) != [None]:
            assert error.maybe_applied
    await engine.close()


async def test_an_unreachable_server_is_told_at_once_and_nothing_was_applied(proxy: Proxy) -> None:
    engine = await opened(proxy)
    proxy.refusing = True
    proxy.cut()
    await asyncio.sleep(0.3)
    error = await caught(asyncio.ensure_future(engine.commit([Put("rows", TEAM, "a", {})])))
    assert (error.retryable, error.maybe_applied) == (True, False)
    proxy.refusing = False
    assert await engine.get("rows", TEAM, ["a"]) == [None]
    await engine.close()


async def test_traffic_over_a_network_that_breaks_again_and_again_loses_and_repeats_nothing(
    proxy: Proxy, direct: PostgresEngine
) -> None:
    """Writers that do what the errors say: repeat what is safe to repeat, count what may have been applied."""
    engine = await opened(proxy)
    sure: Counter[str] = Counter()
    unsure: Counter[str] = Counter()
    appended: set[str] = set()
    refused: Counter[bool] = Counter()
    ends = time.monotonic() + 3

    def over() -> bool:
        """Enough, and what it is about has happened."""
        return time.monotonic() > ends and sum(unsure.values()) > 0 and proxy.connections > 5

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
            done = await tried(lambda: engine.commit(writes))
            sure[name] += done is True
            unsure[name] += done is None
            await asyncio.sleep(0)

    async def append(name: str) -> None:
        number = 0
        while not over():
            turn = f"{name}-{number}"
            while await tried(lambda turn=turn: engine.commit([Append("log", TEAM, "s", turn, {})])) is not True:
                await asyncio.sleep(0.01)
            appended.add(turn)
            number += 1

    async def break_it() -> None:
        while not over():
            await asyncio.sleep(0.15)
            proxy.delay = 0.002
            await asyncio.sleep(0.05)
            proxy.delay = 0
            proxy.answers.clear()
            await asyncio.sleep(0.02)
            proxy.cut()

    names = [f"lone{n}" for n in range(4)] + [f"both{n}" for n in range(4)]
    counters = [count(name, name.startswith("both")) for name in names]
    await asyncio.wait_for(asyncio.gather(break_it(), *counters, *(append(f"a{n}") for n in range(4))), 60)
    rows = await direct.get("rows", TEAM, names)
    for name, row in zip(names, rows, strict=True):
        n = 0 if row is None else row.item["n"]
        assert sure[name] <= n <= sure[name] + unsure[name], name
    assert sum(unsure.values()) > 0
    assert refused[True] > 0
    assert not refused[False]
    entries = (await direct.query(Query("log", TEAM, 100_000, equals=("s",)))).rows
    assert [row.version for row in entries] == list(range(1, len(entries) + 1))
    assert Counter(row.id.partition("/")[2] for row in entries) == Counter(appended)
    assert proxy.connections > 5
    await engine.close()


async def test_a_conditional_write_that_meets_the_cut_is_never_done_twice(proxy: Proxy, direct: PostgresEngine) -> None:
    engine = await opened(proxy)
    await engine.commit([Put("rows", TEAM, "a", {"n": 0})])
    told: list[bool] = []
    happened: list[bool] = []
    for n in range(12):
        write = Update("rows", TEAM, "a", set={"n": n + 1}, condition=attr("n") == n)
        work = asyncio.ensure_future(engine.commit([write]))
        if n % 2:
            await asyncio.sleep(0.0005 * n)
            proxy.cut()
        try:
            await work
        except StoreUnavailable as error:
            told.append(error.maybe_applied)
            (row,) = await direct.get("rows", TEAM, ["a"])
            happened.append(row is not None and row.item["n"] == n + 1)
            if not happened[-1]:
                await asyncio.sleep(0.1)
                try:
                    await engine.commit([write])
                except ConditionFailed:
                    happened[-1] = True  # later than we looked
    (row,) = await direct.get("rows", TEAM, ["a"])
    assert row is not None
    assert row.item == {"n": 12}
    assert all(said or not did for said, did in zip(told, happened, strict=True))
    await engine.close()


async def test_a_server_that_ends_every_connection_mid_traffic_loses_nothing_acknowledged(
    proxy: Proxy, direct: PostgresEngine
) -> None:
    """What a restart does: FATAL to everybody, at any moment; the store goes on by itself."""
    engine = await opened(proxy)
    sure: Counter[str] = Counter()
    unsure: Counter[str] = Counter()
    refused: Counter[bool] = Counter()
    ends = time.monotonic() + 2

    async def count(name: str) -> None:
        while time.monotonic() < ends or not sure[name]:
            try:
                await engine.commit([Update("rows", TEAM, name, add={"n": 1})])
                sure[name] += 1
            except StoreUnavailable as error:
                refused[error.retryable] += 1
                unsure[name] += error.maybe_applied
            await engine.get("rows", TEAM, [name])

    async def stop() -> None:
        address = read_url(direct.url)  # type: ignore[attr-defined]
        connection = await psycopg.AsyncConnection.connect(address.conninfo, autocommit=True)
        ours = f"%{address.schema}%"
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE %s"
        while time.monotonic() < ends - 0.4:
            await asyncio.sleep(0.2)
            await connection.execute(sql, (ours,))
        await connection.close()

    names = [f"t{n}" for n in range(8)]
    await asyncio.wait_for(asyncio.gather(stop(), *(count(name) for name in names)), 60)
    for name, row in zip(names, await direct.get("rows", TEAM, names), strict=True):
        assert row is not None
        assert sure[name] <= row.item["n"] <= sure[name] + unsure[name], name
    assert not refused[False]
    assert proxy.connections > 3
    await engine.close()
