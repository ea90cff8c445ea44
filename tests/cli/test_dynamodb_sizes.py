"""Commands over whole datastores on DynamoDB take the same memory for ten times the rows: 2,000, in a soak 20,000."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stateroom.engines.dynamodb_tables import Layout
from stateroom.engines.port import Put
from stateroom.store import Store
from support.dynamodb import client, fresh_table, own_process
from support.retention import ANN, TEAM, TICKETS

pytestmark = pytest.mark.service
GROWTH = 20  # MB, from n to 10 n
SIZES = [200, pytest.param(2_000, marks=pytest.mark.soak)]  # moto takes minutes for 20,000
MODULE = "from support.retention import TICKETS\n"
# A child's ru_maxrss begins with that of the process it was forked from; its own high-water mark does not.
MEASURED = """
import atexit, pathlib, sys
from stateroom.cli import main
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
main()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with own_process() as found:
        yield found


async def fill(url: str, endpoint: str, rows: int) -> None:
    """Rows as the engine writes them, 25 a request."""
    async with Store(url, migrating=True) as store:
        await store.migrate([TICKETS], apply=True)
        await store.engine.commit([Put("tickets", TEAM, "t0000000", {"id": "t0000000", "owner": ANN})])
        layout: Layout = store.engine._layouts["tickets"]  # type: ignore[attr-defined]
    name, asked = url.partition("?")[0].rpartition("/")[2], client(endpoint)
    puts = []
    for n in range(1, rows):
        key, item = (f"tickets/{TEAM}", f"t{n:07d}"), {"id": f"t{n:07d}", "owner": ANN, "text": "x" * 300}
        row = {"pk": {"S": key[0]}, "sk": {"S": key[1]}, "v": {"N": "1"}, **layout.body(key, item, None)}
        puts.append({"PutRequest": {"Item": row}})
    for start in range(0, len(puts), 25):
        assert not asked.batch_write_item(RequestItems={name: puts[start : start + 25]})["UnprocessedItems"]


def peak(folder: Path, *args: str) -> float:
    """The greatest memory of a command, in MB."""
    support = str(Path(__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([support, str(folder), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *args], capture_output=True, cwd=folder, env=environ, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    (line,) = [one for one in done.stderr.decode().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("few", SIZES)
def test_query_export_and_copy_of_ten_times_the_rows_take_no_more_memory(
    few: int, endpoint: str, tmp_path: Path
) -> None:
    (tmp_path / "shop_sizes.py").write_text(MODULE)
    found = []
    for rows in (few, few * 10):
        url = fresh_table(endpoint)
        asyncio.run(fill(url, endpoint, rows))
        given = ("--store", url, "--definitions", "shop_sizes")
        whole = ("datastore", "query", "tickets", "--team", TEAM, "--all", "--json")
        queried = peak(tmp_path, *whole, *given)
        exported = peak(tmp_path, "datastore", "export", "tickets", "--output", f"{rows}.jsonl", *given)
        with (tmp_path / f"{rows}.jsonl").open("rb") as lines:
            assert sum(1 for _ in lines) == rows
        copied = peak(
            tmp_path, "copy", "--from", url, "--to", f"sqlite:///{rows}.db", "--migrate", "--definitions", "shop_sizes"
        )
        found.append({"query": queried, "export": exported, "copy": copied})
    print(found)
    for name, small in found[0].items():
        assert found[1][name] - small <= GROWTH, found
