"""Processes on object storage: fifty that append at once, and a hundred that only have to end well."""

import asyncio
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Put, Query, Table
from support import objects

pytestmark = pytest.mark.service
TEAM = "T00000001"
TABLES = [Table("items"), Table("log", log=True)]


async def opened(url: str) -> ObjectsEngine:
    engine = ObjectsEngine(url, time.time)
    await engine.open()
    await engine.apply(TABLES)
    return engine


FIFTY = """
import asyncio, sys, time
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Append
async def main(url, name, count):
    engine = ObjectsEngine(url, time.time)
    await engine.open()
    print("ready", flush=True)
    sys.stdin.readline()
    turns = [engine.commit([Append("log", "T00000001", "s", f"{name}.{n}", {"n": n})]) for n in range(count)]
    numbers = [done.row.version for (done,) in await asyncio.gather(*turns)]
    print(*numbers, flush=True)
    await engine.close()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.parametrize("kind", ["file", *objects.SERVERS])
async def test_fifty_appends_at_once_from_several_processes_are_all_kept(kind: str, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store" if kind == "file" else objects.fresh(kind)
    engine = await opened(url)
    pipe: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    writers: list[Any] = [
        subprocess.Popen([sys.executable, "-c", FIFTY, url, name, str(count)], **pipe)
        for name, count in (("a", 13), ("b", 13), ("c", 12), ("d", 12))
    ]
    try:
        for writer in writers:
            assert await asyncio.to_thread(writer.stdout.readline) == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        told = [(await asyncio.to_thread(writer.communicate, timeout=60))[0].split() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(10)
    assert sorted(int(number) for numbers in told for number in numbers) == list(range(1, 51))
    page = await engine.query(Query("log", TEAM, 100, equals=("s",)))
    assert len({row.id for row in page.rows}) == len(page.rows) == 50
    await engine.close()


RUNS = 100
COMMAND = "import sys; from stateroom.cli import main; main(sys.argv[1:])"


def test_a_command_on_object_storage_run_a_hundred_times_exits_0() -> None:
    """obstore's asynchronous half aborts a process at its exit now and then; ours must not. Half of them write."""
    url = objects.fresh("seaweedfs")
    environment = {**os.environ, "STATEROOM_STORE": url, "STATEROOM_LOG_LEVEL": "error"}

    def run(number: int) -> tuple[int, str]:
        turn = {"team": TEAM, "channel": "C00000001", "thread_ts": f"17000000{number:02}.000100", "turn_id": "Ev1"}
        line = json.dumps({**turn, "messages": [{"kind": "response", "parts": []}]})
        arguments = ["threads", "import", "-"] if number % 2 else ["threads", "list", "--json"]
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            env=environment,
            input=line,
            capture_output=True,
            check=False,
            text=True,
        )
        return done.returncode, done.stderr

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(run, range(RUNS)))
    assert ended == [(0, "")] * RUNS
    written = objects.bucket(url).names("threads")
    assert len([name for name in written if name.endswith("/0000000001.json")]) == RUNS // 2


async def test_many_rows_put_at_once_are_all_there(tmp_path: Path) -> None:
    engine = await opened(f"file://{tmp_path}/store")
    await asyncio.gather(*(engine.commit([Put("items", TEAM, f"i{n}", {"n": n})]) for n in range(300)))
    assert len((await engine.query(Query("items", TEAM, 1000))).rows) == 300
    await engine.close()
