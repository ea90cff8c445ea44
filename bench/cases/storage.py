"""SQLite through the storage port against raw SQL on the same tables, in the same state of the log, and against peers.

Rules of this file: raw is the least code that does the same work durably: the engine's own tables, indexes, pragmas and
page size, a number it counts itself, a blank BEGIN, INSERT, COMMIT. Both files have been written to until their log is
recycled before anything counts. "Floor" is the least Python that keeps the promise (bench/floor.py). One turn is 1.3 KB
of JSON, as a question and an answer are.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import msgspec
import uvloop

from bench.floor import Floor
from bench.frame import Contenders, Must, Sample, case
from stateroom.engines.port import Append, Query, Table
from stateroom.engines.sqlite import SqliteEngine
from stateroom.engines.sqlite_file import connect
from stateroom.engines.sqlite_pace import CHECKPOINT_FRAMES
from stateroom.engines.sqlite_tables import Layout

TEAM: Final = "T00000001"
LOG: Final = Table("turns", log=True)
TEXT: Final = ("how is it done? " * 20 + "it is done like so. " * 48)[:1270]
BATCH: Final = 64
ONE: Final = 100  # appends a round, one caller: many short rounds see through a noisy neighbour
GROUPS: Final = 12  # times 64 a round, so that each round has its part of checkpoints

INSERT: Final = "INSERT INTO log_turns (stream_no, number, turn_id, expires, item) VALUES (?, ?, ?, ?, ?)"
NEWEST: Final = "SELECT turn_id, number, expires, item FROM log_turns WHERE stream_no = ? ORDER BY number DESC LIMIT 20"


class Raw:
    """The same file, written by plain SQL."""

    def __init__(self, path: str) -> None:
        asyncio.run(made(path))
        self.connection = connect(path)
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("PRAGMA secure_delete = ON")
        self.connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_FRAMES}")
        self.numbers: dict[int, int] = {}

    def insert(self, stream: int) -> None:
        number = self.numbers[stream] = self.numbers.get(stream, 0) + 1
        item = msgspec.json.encode({"messages": TEXT, "n": number}).decode()
        self.connection.execute(INSERT, (stream, number, f"Ev{stream:04}{number:08}", None, item))

    def one(self, stream: int) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.insert(stream)
        self.connection.execute("COMMIT")

    def many(self) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for stream in range(BATCH):
            self.insert(1000 + stream)
        self.connection.execute("COMMIT")


class Ours:
    """The engine on a loop of its own: uvloop, as `stateroom serve` has it, or asyncio's."""

    def __init__(self, path: str, *, plain: bool = False, **options: Any) -> None:
        self.runner = asyncio.Runner(loop_factory=None if plain else uvloop.new_event_loop)
        self.engine = SqliteEngine(path, time.time, **options)
        self.numbers = count(1)
        self.run(self.engine.open())
        self.run(self.engine.apply([LOG]))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def append(self, stream: str) -> Append:
        number = next(self.numbers)
        return Append("turns", TEAM, stream, f"Ev{number:012}", {"messages": TEXT, "n": number})

    async def one(self, stream: str, times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            await self.engine.commit([self.append(stream)])
        return (perf_counter() - began) / times

    async def many(self, times: int, callers: int = BATCH) -> float:
        async def caller(number: int) -> None:
            for _ in range(times):
                await self.engine.commit([self.append(f"s{number}")])

        began = perf_counter()
        await asyncio.gather(*(caller(number) for number in range(callers)))
        return (perf_counter() - began) / (times * callers)

    def close(self) -> None:
        self.run(self.engine.close())
        self.runner.close()


async def made(path: str) -> None:
    engine = SqliteEngine(path, time.time)
    await engine.open()
    await engine.apply([LOG])
    await engine.close()


def timed(work: Callable[[], None], times: int, each: int = 1) -> Callable[[], float]:
    def run() -> float:
        began = perf_counter()
        for _ in range(times):
            work()
        return (perf_counter() - began) / (times * each)

    return run


@contextmanager
def both() -> Iterator[tuple[Raw, Ours]]:
    """Raw and ours, each on a file of its own whose log has been through a checkpoint."""
    with TemporaryDirectory() as folder:
        raw, ours = Raw(f"{folder}/raw.db"), Ours(f"{folder}/ours.db")
        for _ in range(8):
            raw.many()
        ours.run(ours.many(8))
        try:
            yield raw, ours
        finally:
            ours.close()
            raw.connection.close()


@contextmanager
def least() -> Iterator[Floor]:
    """The floor, on a file like the others'."""

    async def begin() -> None:
        await floor.join("one", "first", {})

    with TemporaryDirectory() as folder:
        asyncio.run(made(f"{folder}/floor.db"))
        floor = Floor(f"{folder}/floor.db", Layout(LOG), TEAM)
        try:
            floor.run(by_floor(floor, count(1), 8))
            floor.run(begin())
            yield floor
        finally:
            floor.close()


async def by_floor(floor: Floor, numbers: Iterator[int], times: int) -> float:
    """Appends by 64 callers."""

    async def caller(number: int) -> None:
        for _ in range(times):
            serial = next(numbers)
            await floor.join(f"s{number}", f"Ev{serial:012}", {"messages": TEXT, "n": serial})

    began = perf_counter()
    await asyncio.gather(*(caller(number) for number in range(BATCH)))
    return (perf_counter() - began) / (times * BATCH)


async def by_floor_alone(floor: Floor, numbers: Iterator[int], times: int) -> float:
    began = perf_counter()
    for _ in range(times):
        serial = next(numbers)
        await floor.append("one", f"Ev{serial:012}", {"messages": TEXT, "n": serial})
    return (perf_counter() - began) / times


@contextmanager
def plain() -> Iterator[Ours]:
    """Ours on asyncio's own loop."""
    with TemporaryDirectory() as folder:
        ours = Ours(f"{folder}/plain.db", plain=True)
        ours.run(ours.many(8))
        try:
            yield ours
        finally:
            ours.close()


@case(
    "append-one",
    "A durable append of a 1.3 KB turn, one caller",
    musts=[Must("stateroom", over="raw insert and commit", at_most=1.3)],
    rounds=61,
)
@contextmanager
def append_one() -> Iterator[Contenders]:
    with both() as (raw, ours), plain() as slower, least() as floor:
        numbers = count(1_000_000)
        yield {
            "raw insert and commit": timed(lambda: raw.one(1), ONE),
            "stateroom": lambda: ours.run(ours.one("one", ONE)),
            "stateroom, asyncio's own loop": lambda: slower.run(slower.one("one", ONE)),
            "floor": lambda: floor.run(by_floor_alone(floor, numbers, ONE)),
        }


@case(
    "append-64",
    "A durable append of a 1.3 KB turn, 64 callers, each",
    musts=[Must("stateroom, 64 callers", over="raw, 64 rows a commit", at_most=1.45)],
    rounds=31,
)
@contextmanager
def append_many() -> Iterator[Contenders]:
    with both() as (raw, ours), plain() as slower, least() as floor:
        numbers = count(1_000_000)
        yield {
            "raw, 64 rows a commit": timed(raw.many, GROUPS, BATCH),
            "stateroom, 64 callers": lambda: ours.run(ours.many(GROUPS)),
            "stateroom, 64 callers, asyncio's own loop": lambda: slower.run(slower.many(GROUPS)),
            "floor, 64 callers": lambda: floor.run(by_floor(floor, numbers, GROUPS)),
        }


@case(
    "append-flat",
    "A durable append as turn 10 and as turn 10,000 of a stream",
    musts=[Must("turn 10,000", over="turn 10", at_most=1.2)],
    rounds=61,
)
@contextmanager
def append_flat() -> Iterator[Contenders]:
    with both() as (_, ours):
        for _ in range(20):
            ours.run(ours.engine.commit([ours.append("long") for _ in range(500)]))
        names = count(1)

        def short() -> float:
            name = f"short{next(names)}"
            ours.run(ours.engine.commit([ours.append(name) for _ in range(9)]))
            return float(ours.run(ours.one(name, 30)))

        yield {"turn 10": short, "turn 10,000": lambda: ours.run(ours.one("long", 30))}


@case(
    "page-last",
    "The newest 20 of a stream of 10,000 turns, decoded",
    musts=[Must("stateroom", over="raw query", at_most=1.5)],
    rounds=31,
)
@contextmanager
def page_last() -> Iterator[Contenders]:
    with both() as (raw, ours):
        for _ in range(20):
            ours.run(ours.engine.commit([ours.append("long") for _ in range(500)]))
            raw.connection.execute("BEGIN")
            for _ in range(500):
                raw.insert(1)
            raw.connection.execute("COMMIT")

        def query() -> None:
            rows = raw.connection.execute(NEWEST, (1,)).fetchall()
            assert len([msgspec.json.decode(row[3]) for row in rows]) == 20

        async def pages(times: int) -> float:
            began = perf_counter()
            for _ in range(times):
                page = await ours.engine.query(Query("turns", TEAM, 20, equals=("long",), descending=True))
                assert len(page.rows) == 20
            return (perf_counter() - began) / times

        yield {"raw query": timed(query, 100), "stateroom": lambda: ours.run(pages(100))}


def written() -> int:
    """Bytes that this process has handed to write(2) and its like."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


@case(
    "append-bytes",
    "Bytes written for each byte of payload, 1,000 turns of 1.3 KB one by one",
    musts=[Must("stateroom", at_most=10.5, measure="bytes a byte")],
    rounds=3,
)
@contextmanager
def append_bytes() -> Iterator[Contenders]:
    from agents import SQLiteSession

    size = len(msgspec.json.encode({"messages": TEXT, "n": 1})) * 1000
    names = count(1)
    with both() as (raw, ours), TemporaryDirectory() as folder:
        session = SQLiteSession("s", f"{folder}/agents.db")

        def counted(work: Callable[[], Any]) -> Callable[[], Sample]:
            def run() -> Sample:
                before = written()
                work()
                return {"bytes a byte": (written() - before) / size}

            return run

        def alone() -> None:
            stream = 2000 + next(names)
            for _ in range(1000):
                raw.one(stream)

        async def added() -> None:
            for _ in range(1000):
                await session.add_items([{"role": "user", "content": TEXT}])

        yield {
            "raw insert and commit": counted(alone),
            "stateroom": counted(lambda: ours.run(ours.one(f"bytes{next(names)}", 1000))),
            "openai-agents SQLiteSession": counted(lambda: ours.run(added())),
        }
        session.close()


@case("append-peers", "Appending turn k of a 1.3 KB a turn conversation, durably", rounds=7)
@contextmanager
def append_peers() -> Iterator[Contenders]:
    """Peers keep a message or a state a time, as their own callers do; LangGraph writes the whole state each time."""
    from agents import SQLiteSession
    from langgraph.checkpoint.base import empty_checkpoint
    from langgraph.checkpoint.sqlite import SqliteSaver

    names = count(1)
    turns = (10, 100, 1000)

    with (
        both() as (raw, ours),
        TemporaryDirectory() as folder,
        SqliteSaver.from_conn_string(f"{folder}/lg.db") as saver,
    ):
        saver.setup()

        def every(prepare: Callable[[int], Callable[[int], float]]) -> Callable[[], Sample]:
            def run() -> Sample:
                found = {}
                for k in turns:
                    append = prepare(k)
                    append(1)  # what the preparation has left to do, such as a checkpoint, is not the turn's
                    found[f"turn {k}, s"] = append(25)
                return found

            return run

        def by_raw(k: int) -> Callable[[int], float]:
            stream = 5000 + next(names)
            raw.connection.execute("BEGIN")
            for _ in range(k - 1):
                raw.insert(stream)
            raw.connection.execute("COMMIT")
            return lambda times: timed(lambda: raw.one(stream), times)()

        def by_us(k: int) -> Callable[[int], float]:
            stream = f"peer{next(names)}"
            ours.run(ours.engine.commit([ours.append(stream) for _ in range(k - 1)]))
            return lambda times: float(ours.run(ours.one(stream, times)))

        def by_session(k: int) -> Callable[[int], float]:
            session = SQLiteSession(f"s{next(names)}", f"{folder}/agents.db")
            ours.run(session.add_items([{"role": "user", "content": TEXT}] * (k - 1)))

            async def add(times: int) -> float:
                began = perf_counter()
                for _ in range(times):
                    await session.add_items([{"role": "user", "content": TEXT}])
                return (perf_counter() - began) / times

            return lambda times: float(ours.run(add(times)))

        def by_saver(k: int) -> Callable[[int], float]:
            config: Any = {"configurable": {"thread_id": f"t{next(names)}", "checkpoint_ns": ""}}
            messages = [{"role": "user", "content": TEXT, "n": n} for n in range(k - 1)]

            def put() -> None:
                messages.append({"role": "user", "content": TEXT, "n": len(messages)})
                state: Any = empty_checkpoint()
                state["channel_values"] = {"messages": messages}
                saver.put(config, state, {"source": "loop", "step": len(messages), "parents": {}}, {})

            return lambda times: timed(put, times)()

        yield {
            "raw insert and commit": every(by_raw),
            "stateroom": every(by_us),
            "openai-agents SQLiteSession": every(by_session),
            "LangGraph SqliteSaver": every(by_saver),
        }


@case(
    "loop-lag",
    "How late the event loop is while commits take 20 ms",
    musts=[Must("stateroom, 20 ms commits", at_most=0.003, measure="p99, s")],
    rounds=5,
)
@contextmanager
def loop_lag() -> Iterator[Contenders]:
    with TemporaryDirectory() as folder:
        ours = Ours(f"{folder}/ours.db", before_commit=lambda: time.sleep(0.02))

        async def lag(writers: int) -> Sample:
            lags: list[float] = []
            ends = perf_counter() + 2

            async def write(name: str) -> None:
                while perf_counter() < ends:
                    await ours.engine.commit([ours.append(name)])

            tasks = [asyncio.create_task(write(f"s{n}")) for n in range(writers)]
            while perf_counter() < ends:
                began = perf_counter()
                await asyncio.sleep(0.001)
                lags.append(perf_counter() - began - 0.001)
            await asyncio.gather(*tasks)
            cuts = quantiles(lags, n=100)
            return {"p50, s": cuts[49], "p99, s": cuts[98]}

        yield {
            "no writes": lambda: ours.run(lag(0)),
            "stateroom, 20 ms commits": lambda: ours.run(lag(8)),
            "stateroom, 20 ms commits, one writer": lambda: ours.run(lag(1)),
        }
        ours.close()


CHILD: Final = """
import asyncio, sqlite3, sys, time
from stateroom.engines.port import Append, Table
from stateroom.engines.sqlite import SqliteEngine

TEXT = "x" * 1270

async def ours(path, name, seconds):
    engine = SqliteEngine(path, time.time)
    await engine.open()
    await engine.apply([Table("turns", log=True)])
    await engine.commit([Append("turns", "T1", name, "first", {"x": TEXT})])
    begin()
    done, longest, ends = 0, 0.0, time.monotonic() + seconds
    while (now := time.monotonic()) < ends:
        await engine.commit([Append("turns", "T1", name, f"e{done}", {"x": TEXT})])
        longest = max(longest, time.monotonic() - now)
        done += 1
    print(done, longest, flush=True)
    sys.stdin.readline()
    await engine.close()

def busy(path, name, seconds):
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS turns (name, number, item, UNIQUE (name, number))")
    begin()
    done, longest, ends = 0, 0.0, time.monotonic() + seconds
    while (now := time.monotonic()) < ends:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO turns VALUES (?, ?, ?)", (name, done, TEXT))
        db.execute("COMMIT")
        longest = max(longest, time.monotonic() - now)
        done += 1
    print(done, longest, flush=True)
    sys.stdin.readline()

def begin():
    print("ready", flush=True)
    sys.stdin.readline()

how, path, name, seconds = sys.argv[1:]
if how == "ours":
    asyncio.run(ours(path, name, float(seconds)))
else:
    busy(path, name, float(seconds))
"""


def shares(how: str, processes: int, seconds: float = 1.5) -> Callable[[], Sample]:
    """Processes that append to one file for `seconds`, each as fast as it can."""

    def run() -> Sample:
        with TemporaryDirectory() as folder:
            children = [
                subprocess.Popen(
                    [sys.executable, "-c", CHILD, how, f"{folder}/s.db", f"p{n}", str(seconds)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for n in range(processes)
            ]
            for child in children:
                told(child)
            for child in children:
                tell(child)
            lines = [told(child).split() for child in children]
            for child in children:
                child.communicate("end\n")
        done = [int(line[0]) for line in lines]
        return {
            "least share of fair": min(done) * processes / sum(done),
            "appends a second": sum(done) / seconds,
            "longest wait, s": max(float(line[1]) for line in lines),
        }

    return run


def told(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


@case(
    "fair",
    "Processes that share one file: the least one's part of a fair share",
    musts=[Must(f"{n} processes", at_least=0.9, measure="least share of fair") for n in (2, 3, 4)],
    rounds=5,
)
@contextmanager
def fair() -> Iterator[Contenders]:
    yield {
        "1 process": shares("ours", 1),
        **{f"{n} processes": shares("ours", n) for n in (2, 3, 4)},
        "2 with SQLite's busy_timeout": shares("busy", 2),
        "4 with SQLite's busy_timeout": shares("busy", 4),
    }
