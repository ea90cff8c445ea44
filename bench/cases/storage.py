"""SQLite through the storage port against raw SQL on the same tables, in the same state of the log, and against peers.

Rules of this file: raw is the least code that does the same work durably: the engine's own tables, indexes, pragmas and
page size, a number it counts itself, a blank BEGIN, INSERT, COMMIT. Both files have been written to until their log is
recycled before anything counts. One turn is 1.3 KB of JSON, as a question and an answer are.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
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

from bench.frame import Contenders, Must, Sample, case
from stateroom.engines.port import Append, Query, Table
from stateroom.engines.sqlite import SqliteEngine
from stateroom.engines.sqlite_file import connect, open_writer
from stateroom.engines.sqlite_pace import CHECKPOINT_FRAMES

TEAM: Final = "T00000001"
LOG: Final = Table("turns", log=True)
TEXT: Final = ("how is it done? " * 20 + "it is done like so. " * 48)[:1270]
BATCH: Final = 64
ONE: Final = 400  # appends a round, one caller
GROUPS: Final = 12  # rounds of 64 a round

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
    """The engine on a loop of its own."""

    def __init__(self, path: str, **options: Any) -> None:
        self.runner = asyncio.Runner()
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


@case(
    "append-one",
    "A durable append of a 1.3 KB turn, one caller",
    musts=[Must("stateroom", over="raw insert and commit", at_most=1.3)],
    rounds=15,
)
@contextmanager
def append_one() -> Iterator[Contenders]:
    with both() as (raw, ours):
        yield {
            "raw insert and commit": timed(lambda: raw.one(1), ONE),
            "stateroom": lambda: ours.run(ours.one("one", ONE)),
        }


@case(
    "append-64",
    "A durable append of a 1.3 KB turn, 64 callers, each",
    musts=[Must("stateroom, 64 callers", over="raw, 64 rows a commit", at_most=1.45)],
    rounds=15,
)
@contextmanager
def append_many() -> Iterator[Contenders]:
    with both() as (raw, ours):
        yield {
            "raw, 64 rows a commit": timed(raw.many, GROUPS, BATCH),
            "stateroom, 64 callers": lambda: ours.run(ours.many(GROUPS)),
        }
