"""A thread's history against raw SQL: reading the newest twenty messages, and appending to a short and a long thread.

Rules of this file: raw is the least code that does the same work on a table of its own in the same kind of file: one
row a turn, keyed by thread and number, its text parsed to dicts by Python's own parser; beside it, by the faster one.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from bench.frame import Contenders, Must, case
from stateroom.engines.handle import table_of
from stateroom.engines.port import Append, Write
from stateroom.engines.sqlite import SqliteEngine
from stateroom.layers.threads import DEFINITIONS, ENTRIES, Thread

TEAM, CHANNEL = "T01234567", "C01234567"
LONG, SHORT = "1700000000.000100", "1700000001.000100"
TURNS: Final = 10_000
READS: Final = 300
APPENDS: Final = 40


def turn(number: int) -> list[dict[str, Any]]:
    """About 1.3 KB as pydantic-ai writes it: a question and an answer with their marks."""
    at = "2026-11-21T03:54:15.636901Z"
    question = {
        "content": f"question {number}: " + "how is this done? " * 10,
        "timestamp": at,
        "part_kind": "user-prompt",
    }
    answer = {"content": f"answer {number}: " + "it is done like so. " * 25, "id": None, "part_kind": "text"}
    usage = {"input_tokens": 900, "output_tokens": 120, "details": {}}
    return [
        {"parts": [question], "instructions": None, "kind": "request", "run_id": f"run-{number}"},
        {"parts": [answer], "usage": usage, "model_name": "offline", "timestamp": at, "kind": "response"},
    ]


class Bench:
    """An engine on a loop of its own, with a long and a short thread; and raw tables with the same turns."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = SqliteEngine(folder / "ours.db", time.time)
        self.raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
        self.sent = 0
        self.run(self._fill())
        self._fill_raw()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.engine.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.raw.close()

    def thread(self, thread_ts: str) -> Thread:
        return Thread(self.engine, time.time, TEAM, CHANNEL, thread_ts)

    async def _fill(self) -> None:
        await self.engine.open()
        await self.engine.apply([table_of(definition) for definition in DEFINITIONS])
        for thread_ts, turns in ((LONG, TURNS), (SHORT, 10)):
            thread = self.thread(thread_ts)
            for start in range(0, turns, 500):
                writes: list[Write] = []
                for number in range(start, min(start + 500, turns)):
                    writes += thread.writes(turn(number), turn_id=f"Ev{number}")[:1]
                await self.engine.commit([*writes, thread.follow()])

    def _fill_raw(self) -> None:
        self.raw.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE turns (thread TEXT NOT NULL, number INTEGER NOT NULL, messages TEXT NOT NULL,"
            " UNIQUE (thread, number)); BEGIN"
        )
        rows = ((LONG, n + 1, msgspec.json.encode(turn(n)).decode()) for n in range(TURNS))
        self.raw.executemany("INSERT INTO turns VALUES (?, ?, ?)", rows)
        self.raw.execute("COMMIT")

    def read_raw(self, parse: Callable[[str], Any]) -> Callable[[], float]:
        """Ten turns are twenty messages."""

        def read() -> float:
            began = time.perf_counter()
            for _ in range(READS):
                found = self.raw.execute(
                    "SELECT messages FROM turns WHERE thread = ? ORDER BY number DESC LIMIT 10", (LONG,)
                ).fetchall()
                messages = [message for (text,) in reversed(found) for message in parse(text)]
            assert len(messages) == 20
            return (time.perf_counter() - began) / READS

        return read

    def read_ours(self, thread_ts: str, **budget: int) -> Callable[[], float]:
        async def read() -> float:
            thread = self.thread(thread_ts)
            began = time.perf_counter()
            for _ in range(READS):
                window = await thread.messages(**budget)
            assert len(window.messages) == 20
            return (time.perf_counter() - began) / READS

        return lambda: float(self.run(read()))

    def append(self, thread_ts: str, how: str) -> Callable[[], float]:
        """Seconds an append; `port`: the engine's own append of the same item, without the layer."""

        async def write() -> float:
            thread = self.thread(thread_ts)
            turns = [turn(n) for n in range(APPENDS)]
            self.sent += 1
            if how == "layer, the same object":
                await thread.append(turns[0], turn_id=f"{self.sent}-first")
            ready = [self._port(thread, messages, n) for n, messages in enumerate(turns)]
            began = time.perf_counter()
            for number, messages in enumerate(turns):
                if how == "port":
                    await self.engine.commit([ready[number]])
                    continue
                own = thread if how == "layer, the same object" else self.thread(thread_ts)
                await own.append(messages, turn_id=f"{self.sent}-{number}-layer")
            return (time.perf_counter() - began) / APPENDS

        return lambda: float(self.run(write()))

    def _port(self, thread: Thread, messages: list[dict[str, Any]], number: int) -> Append:
        (append, *_) = thread.writes(messages, turn_id="x")
        assert isinstance(append, Append)
        return Append(ENTRIES.name, TEAM, thread.id, f"{self.sent}-{number}-port", append.item)


@contextmanager
def benches() -> Iterator[Bench]:
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            yield bench
        finally:
            bench.close()


@case(
    "threads-read",
    f"messages(limit=20) of a thread of {TURNS:,} turns",
    musts=[Must("limit=20", over="raw query", at_most=1.5)],
    rounds=15,
)
@contextmanager
def read() -> Iterator[Contenders]:
    with benches() as bench:
        yield {
            "raw query": bench.read_raw(json.loads),
            "raw query, msgspec": bench.read_raw(msgspec.json.decode),
            "limit=20": bench.read_ours(LONG, limit=20),
            "limit=20, short thread": bench.read_ours(SHORT, limit=20),
            "limit=20, max_tokens=8000": bench.read_ours(LONG, limit=20, max_tokens=8000),
        }


@case(
    "threads-append",
    f"append a turn to a thread of 10 turns and of {TURNS:,}, one caller",
    musts=[
        Must("long thread", over="short thread", at_most=1.2),
    ],
    rounds=25,
)
@contextmanager
def append() -> Iterator[Contenders]:
    with benches() as bench:
        yield {
            "the port alone": bench.append(LONG, "port"),
            "short thread": bench.append(SHORT, "layer, the same object"),
            "long thread": bench.append(LONG, "layer, the same object"),
            "long thread, new object a turn": bench.append(LONG, "layer, new object"),
        }
