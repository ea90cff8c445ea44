"""A PostgreSQL server that is restarted at once, as by a crash, under writers: what was acknowledged is there, once."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

from stateroom.engines.port import Append, Put, Query, Table, Update, Write
from stateroom.engines.postgresql import PostgresEngine
from stateroom.model.errors import StoreUnavailable
from support.postgres import OwnServer

pytestmark = pytest.mark.service
TEAM = "T00000001"
TABLES = [Table("rows"), Table("log", log=True)]
RESTARTS = 2
WRITERS = 4  # of each kind
AMPLE = 20  # acknowledged writes of each writer between restarts
PATIENCE = 60.0


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    with OwnServer.started() as found:
        yield found


class Traffic:
    """Writers that do what errors say: repeat what is safe to repeat, count what may have been applied."""

    def __init__(self, engines: list[PostgresEngine]) -> None:
        self._engines = engines
        self.over = asyncio.Event()
        self.sure: Counter[str] = Counter()
        self.unsure: Counter[str] = Counter()
        self.turns: Counter[str] = Counter()  # by writer, how many are acknowledged
        self.errors: list[StoreUnavailable] = []
        self.names = [*(f"{kind}{n}" for kind in ("lone", "batch", "w") for n in range(WRITERS))]

    async def _tried(self, work: Callable[[], Awaitable[object]]) -> bool | None:
        """True: applied; False: surely not; None: not known."""
        try:
            await work()
        except StoreUnavailable as error:
            self.errors.append(error)
            await asyncio.sleep(0.02)
            return None if error.maybe_applied else False
        return True

    async def add(self, number: int, *, batch: bool) -> None:
        """Add to a row of its own, alone or with another row: what may not be repeated."""
        name = f"{'batch' if batch else 'lone'}{number}"
        engine = self._engines[number % len(self._engines)]
        writes: list[Write] = [Update("rows", TEAM, name, add={"n": 1})]
        if batch:
            writes.append(Put("rows", TEAM, f"{name}-beside", {}))
        while not self.over.is_set():
            done = await self._tried(lambda: engine.commit(writes))
            self.sure[name] += done is True
            self.unsure[name] += done is None

    async def append(self, number: int) -> None:
        """Append turn after turn, each until it is acknowledged: what may be repeated."""
        engine = self._engines[number % len(self._engines)]
        while not self.over.is_set():
            turn = f"w{number}-{self.turns[f'w{number}']}"
            while await self._tried(lambda turn=turn: engine.commit([Append("log", TEAM, "s", turn, {})])) is not True:
                pass
            self.turns[f"w{number}"] += 1

    def writers(self) -> Iterator[Awaitable[None]]:
        """One for each of the names."""
        for number in range(WRITERS):
            yield self.add(number, batch=False)
            yield self.add(number, batch=True)
            yield self.append(number)

    async def read(self, number: int) -> None:
        engine = self._engines[number % len(self._engines)]
        while not self.over.is_set():
            await self._tried(lambda: engine.get("rows", TEAM, ["lone0"]))
            await asyncio.sleep(0.005)

    async def goes_on(self) -> None:
        """Until each writer has had enough acknowledged from now on."""
        before, ends = self.sure + self.turns, time.monotonic() + PATIENCE
        while any((self.sure + self.turns)[name] - before[name] < AMPLE for name in self.names):
            assert time.monotonic() < ends, "the writers do not come on"
            await asyncio.sleep(0.02)


async def test_a_restart_mid_traffic_loses_nothing_acknowledged_and_applies_nothing_twice(
    own_server: OwnServer,
) -> None:
    engines = [PostgresEngine(own_server.url, time.time) for _ in range(2)]
    for engine in engines:
        await engine.open()
    await engines[0].apply(TABLES)
    traffic = Traffic(engines)
    writers = [traffic.add(n, batch=False) for n in range(4)] + [traffic.add(n, batch=True) for n in range(4)]
    works = [
        asyncio.ensure_future(work) for work in [*writers, *(traffic.append(n) for n in range(4)), traffic.read(0)]
    ]
    for _ in range(RESTARTS):
        await traffic.goes_on()
        await asyncio.to_thread(own_server.restart)
    await traffic.goes_on()
    traffic.over.set()
    await asyncio.wait_for(asyncio.gather(*works), PATIENCE)
    assert traffic.errors, "no writer has noticed"
    assert all(error.retryable for error in traffic.errors), Counter(str(error) for error in traffic.errors)
    names = [name for name in traffic.names if not name.startswith("w")]
    for name, row in zip(names, await engines[1].get("rows", TEAM, names), strict=True):
        assert row is not None
        assert traffic.sure[name] <= row.item["n"] <= traffic.sure[name] + traffic.unsure[name], name
    entries = (await engines[1].query(Query("log", TEAM, 100_000, equals=("s",)))).rows
    assert [row.version for row in entries] == list(range(1, len(entries) + 1))
    expected = [f"{writer}-{number}" for writer, count in traffic.turns.items() for number in range(count)]
    assert Counter(row.id.partition("/")[2] for row in entries) == Counter(expected)
    for engine in engines:
        await engine.close()
