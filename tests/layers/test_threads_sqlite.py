"""What threads promise on one SQLite file: several processes write it, and deleted words are in no column of it."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stateroom.layers.threads import Thread, export
from support.threads import CHANNEL, TEAM, TS, Clock, ask, engine_for, turn, words_of

WRITER = """
import asyncio, sys, time
from stateroom.layers.threads import Thread
from stateroom.store import engine_of

async def main(url, writer, turns):
    engine = engine_of(url, time.time)
    await engine.open()
    try:
        thread = Thread(engine, time.time, "T01234567", "C01234567", "1700000000.000100")
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(int(turns)):
            name = f"{writer}-{n}"
            message = {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": name}]}
            for _ in range(2):
                print(await thread.append([message], turn_id=name), name, flush=True)
    finally:
        await engine.close()

asyncio.run(main(*sys.argv[1:]))
"""


def columns_of(path: Path) -> str:
    """Everything that the rows of all tables hold, read past the engine."""
    with closing(sqlite3.connect(path)) as raw:
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = [row for table in tables for row in raw.execute(f'SELECT * FROM "{table}"')]
    return " ".join(c.decode("utf-8", "replace") if isinstance(c, bytes) else str(c) for row in rows for c in row)


@pytest.mark.service
async def test_processes_that_write_one_thread_keep_every_turn_once_in_order(tmp_path: Path) -> None:
    writers, turns = 4, 25
    async with engine_for("sqlite", tmp_path, Clock()):
        pass  # the tables exist
    url = f"sqlite:///{tmp_path}/threads.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, f"{n}", f"{turns}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(writers)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:  # all at once, once all are there
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [await asyncio.to_thread(child.communicate, timeout=60) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert [child.returncode for child in children] == [0] * writers
    numbered = [(int(n), name) for out, _ in told for n, name in (line.split() for line in out.splitlines())]
    assert len(numbered) == 2 * writers * turns
    once = sorted(set(numbered))  # the second append of a turn told the same number
    assert [number for number, _ in once] == list(range(1, writers * turns + 1))
    async with engine_for("sqlite", tmp_path, Clock()) as engine:
        window = await Thread(engine, Clock(), TEAM, CHANNEL, TS).messages()
        assert words_of(window.messages) == [name for _, name in once]
    for writer in range(writers):
        mine = [name for _, name in once if name.startswith(f"{writer}-")]
        assert mine == [f"{writer}-{n}" for n in range(turns)]


async def test_deleted_and_erased_words_are_in_no_column_of_the_file(tmp_path: Path) -> None:
    async with engine_for("sqlite", tmp_path, Clock()) as engine:
        thread = Thread(engine, Clock(), TEAM, CHANNEL, TS)
        await thread.append([ask("swordfish one")], turn_id="Ev1", ts="1700000001.000100")
        await thread.append([ask("swordfish two")], turn_id="Ev2")
    assert "swordfish one" in columns_of(tmp_path / "threads.db")
    async with engine_for("sqlite", tmp_path, Clock()) as engine:
        thread = Thread(engine, Clock(), TEAM, CHANNEL, TS)
        await thread.tombstone("1700000001.000100")
    assert "swordfish one" not in columns_of(tmp_path / "threads.db")
    assert "Ev1" in columns_of(tmp_path / "threads.db")
    async with engine_for("sqlite", tmp_path, Clock()) as engine:
        await Thread(engine, Clock(), TEAM, CHANNEL, TS).erase()
    left = columns_of(tmp_path / "threads.db")
    assert "swordfish" not in left
    assert TS not in left


async def test_another_process_reads_what_was_appended_and_it_outlives_the_writer(tmp_path: Path) -> None:
    async with engine_for("sqlite", tmp_path, Clock()) as engine:
        thread = Thread(engine, Clock(), TEAM, CHANNEL, TS)
        for n in range(30):
            await thread.append(turn(n), turn_id=f"Ev{n}")
        async with engine_for("sqlite", tmp_path, Clock()) as beside:
            assert (await Thread(beside, Clock(), TEAM, CHANNEL, TS).messages()).entries == 30
    async with engine_for("sqlite", tmp_path, Clock()) as engine:
        lines = [json.loads(line) async for line in export(engine)]
        assert [line["turn_id"] for line in lines] == [f"Ev{n}" for n in range(30)]
