"""Commands over whole datastores take the same memory for ten times the rows, up to a million."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from stateroom.engines.port import Put
from stateroom.store import Store
from support.measured import GROWTH, run
from support.retention import ANN, TEAM, TICKETS

MODULE = """
import dataclasses
from support import retention

TICKETS = dataclasses.replace(retention.TICKETS, version=2, upgrades={1: lambda item: {**item, "status": "new"}})
"""


async def fill(url: str, rows: int, *, ends_in: float = -5) -> None:
    async with Store(url) as store:
        await store.team(TEAM).items(TICKETS).get("none")
        past = time.time() + ends_in
        for start in range(0, rows, 5_000):
            part = range(start, min(rows, start + 5_000))
            await store.engine.commit(
                [Put("tickets", TEAM, f"t{n:07d}", {"id": f"t{n:07d}", "owner": ANN}, past) for n in part]
            )


def grown(folder: Path, rows: int, *args: str, alive: bool = False) -> None:
    """Run it over `rows` and over ten times as many, and compare."""
    peaks = []
    for count in (rows, rows * 10):
        path = folder / f"{args[0]}-{count}"
        path.mkdir()
        (path / "shop_sizes.py").write_text(MODULE)
        asyncio.run(fill(f"sqlite:///{path / 'stateroom.db'}", count))
        if alive:
            revive(path / "stateroom.db")
        found, peak, seconds = run(path, *args)
        figures = found["datastores"]
        assert isinstance(figures, list)
        (one,) = [one for one in figures if one["datastore"] == "tickets"]
        assert one.get("removed", one.get("rewritten")) == count
        print(f"{args[0]} of {count} rows: {peak:.0f} MB, {seconds:.1f} s")
        peaks.append(peak)
    assert peaks[1] - peaks[0] <= GROWTH, peaks


def revive(path: Path) -> None:
    """The rows have no end."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE items_tickets SET expires = NULL")


COMMANDS = [
    pytest.param(("erase", "--user", ANN, "--yes"), True, id="erase"),
    pytest.param(("migrate", "backfill", "--definitions", "shop_sizes"), True, id="backfill"),
]


@pytest.mark.service
def test_a_million_rows_are_exported_and_swept_in_the_memory_of_a_tenth(tmp_path: Path) -> None:
    export = ("datastore", "export", "tickets", "--output", "out.jsonl")
    exported, swept = [], []
    for count in (100_000, 1_000_000):
        path = tmp_path / str(count)
        path.mkdir()
        asyncio.run(fill(f"sqlite:///{path / 'stateroom.db'}", count, ends_in=3600))
        exported.append(run(path, *export)[1])
        with (path / "out.jsonl").open("rb") as lines:
            assert sum(1 for _ in lines) == count
        with closing(sqlite3.connect(path / "stateroom.db")) as file, file:
            file.execute("UPDATE items_tickets SET expires = 1")
        told, peak, _ = run(path, "sweep", "--batch", "1000")
        assert [one["removed"] for one in told["datastores"] if one["datastore"] == "tickets"] == [count]  # type: ignore[attr-defined]
        swept.append(peak)
    assert exported[1] - exported[0] <= GROWTH, exported
    assert swept[1] - swept[0] <= GROWTH, swept


@pytest.mark.soak
@pytest.mark.service
@pytest.mark.parametrize(("args", "alive"), COMMANDS)
def test_a_million_rows_take_no_more_memory(args: tuple[str, ...], alive: bool, tmp_path: Path) -> None:
    grown(tmp_path, 100_000, *args, alive=alive)
