"""An append to a folder of objects against the same done by hand: write beside, fsync, link, fsync of the folder.

Rules of this file: both write the same bytes a turn (what the engine makes of a turn of 1.3 KB), in the same file
system, one after the other, and are durable when they return. Snapshots are in what is measured of ours.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.cases.threads import turn
from bench.frame import Contenders, Must, case
from stateroom.engines.handle import table_of
from stateroom.engines.objects import ObjectsEngine
from stateroom.layers.threads import DEFINITIONS, Thread

APPENDS: Final = 256  # four snapshots


class Files:
    """An engine on a loop of its own, and a folder for what is done by hand."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = ObjectsEngine(f"file://{folder}/ours", time.time)
        self.raw = folder / "raw"
        self.raw.mkdir()
        self.numbers = itertools.count(1)
        self.sent = itertools.count(1)
        self.run(self._begin(folder))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.engine.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    async def _begin(self, folder: Path) -> None:
        await self.engine.open()
        tables = [table_of(definition) for definition in DEFINITIONS]
        await self.engine.apply([type(t)(t.name, t.log, (), expires=t.expires) for t in tables])
        self.thread = Thread(self.engine, time.time, "T01234567", "C01234567", "1700000000.000100")
        await self.thread.append(turn(0), turn_id="Ev0")
        (first,) = (folder / "ours/threads").rglob("0000000001.json")
        self.data = first.read_bytes()

    def by_hand(self) -> float:
        began = time.perf_counter()
        for _ in range(APPENDS):
            number = next(self.numbers)
            beside, name = self.raw / f".{number}", self.raw / f"{number:010d}.json"
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, self.data)
            os.fsync(file)
            os.close(file)
            os.link(beside, name)
            os.unlink(beside)
            folder = os.open(self.raw, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return (time.perf_counter() - began) / APPENDS

    def ours(self) -> float:
        async def append() -> float:
            began = time.perf_counter()
            for _ in range(APPENDS):
                number = next(self.sent)
                await self.thread.append(turn(number), turn_id=f"Ev{number}")
            return (time.perf_counter() - began) / APPENDS

        return float(self.run(append()))


@case(
    "objects-append",
    "a durable append to a thread in a folder of objects, one caller; snapshots included",
    musts=[Must("Thread.append", over="by hand", at_most=1.3)],
)
@contextmanager
def appending() -> Iterator[Contenders]:
    with TemporaryDirectory(dir=os.environ.get("STATEROOM_BENCH_FOLDER")) as folder:
        files = Files(Path(folder))
        yield {"by hand": files.by_hand, "Thread.append": files.ours}
        files.close()
