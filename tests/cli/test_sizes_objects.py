"""Commands over 20,000 items in object storage take the memory of a tenth of them: query, export, copy."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import stateroom as sr
from stateroom.engines.objects_forms import row_data
from stateroom.engines.objects_names import item
from stateroom.engines.port import Row
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from support import objects
from support.gcs_stub import Stub
from support.postgres import drop_schema, fresh_schema

pytestmark = pytest.mark.service
TEAM = "T00000001"
GROWTH = 20 * 1024  # KiB, from n to 10 n
NOTES = Definition(
    "notes", "id", {"id": Attribute("string", required=True), "n": Attribute("number"), "text": Attribute("string")}
)
MODULE = "from test_sizes_objects import NOTES\n"
# A child's ru_maxrss begins with that of the process it was forked from; its own high-water mark does not.
MEASURED = """
import atexit, pathlib, sys
from stateroom.cli import main
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
main(sys.argv[1:])
"""
COMMANDS = {
    "query": ("datastore", "query", "notes", "--where", "n >= 0", "--all", "--json"),
    "export": ("datastore", "export", "notes", "--output", "out.jsonl"),
    "copy": ("copy", "--migrate", "--to"),  # PostgreSQL: the caches of an SQLite file would count as the copy's
}


def data_of(count: int) -> dict[str, bytes]:
    """So many items of 300 bytes as objects, as the format says."""
    rows = (Row(f"i{n:06}", {"id": f"i{n:06}", "n": n, "text": "x" * 300}, n + 1, None, TEAM) for n in range(count))
    return {item("notes", TEAM, row.id): row_data("notes", row) for row in rows}


async def declare(url: str) -> None:
    """Make the table, as its first use does."""
    async with sr.Store(url) as store:
        await store.team(TEAM).items(NOTES).put({"id": "i000000", "n": 0, "text": ""})


def in_folder(folder: Path, count: int) -> str:
    url = f"file://{folder}/store"
    asyncio.run(declare(url))
    for key, data in data_of(count).items():
        (folder / "store" / key).write_bytes(data)
    return url


@pytest.fixture
def in_cloud() -> Iterator[Callable[[Path, int], str]]:
    """A Google Cloud Storage with so many items in it."""
    objects.credentials()
    with closing(Stub("bucket")) as stub:

        def fill(folder: Path, count: int) -> str:
            stub.objects.clear()
            url = f"gs://bucket/{folder.name}?endpoint={stub.url}"
            asyncio.run(declare(url))
            for key, data in data_of(count).items():
                stub.last += 1
                stub.objects[f"{folder.name}/{key}"] = (stub.last, data)
            return url

        yield fill


def peak_of(folder: Path, url: str, *command: str) -> tuple[int, str]:
    """The greatest memory of a command in KiB, and what it wrote."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "STATEROOM_STORE": url,
        "STATEROOM_DEFINITIONS": "notes_of_sizes",
    }
    (folder / "notes_of_sizes.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        capture_output=True,
        cwd=folder,
        env=environment,
        check=False,
        text=True,
    )
    found = re.search(r"^VmHWM:\s*(\d+) kB$", done.stderr, re.MULTILINE)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[:2000]
    assert found
    return int(found[1]), done.stdout


def told(folder: Path, name: str, written: str, target: str) -> int:
    """How many items a command has handed out."""
    if name == "query":
        return len(written.splitlines())
    if name == "export":
        with (folder / "out.jsonl").open() as lines:
            return sum(1 for _ in lines)

    async def count() -> int:
        async with sr.Store(target) as store:
            return await store.team(TEAM).items(NOTES).count()

    return asyncio.run(count())


def grown(tmp_path: Path, fill: Callable[[Path, int], str]) -> None:
    peaks: dict[str, list[int]] = {}
    for count in (2_000, 20_000):
        folder = tmp_path / f"n{count}"
        folder.mkdir()
        url = fill(folder, count)
        for name, command in COMMANDS.items():
            target = fresh_schema() if name == "copy" else ""
            peak, written = peak_of(folder, url, *command, *filter(None, [target]))
            assert told(folder, name, written, target) == count
            peaks.setdefault(name, []).append(peak)
            if target:
                drop_schema(target)
    print({name: [round(peak / 1024, 1) for peak in found] for name, found in peaks.items()}, "MB")
    assert {name: large - small for name, (small, large) in peaks.items() if large - small > GROWTH} == {}


def test_20_000_items_in_a_folder_are_queried_exported_and_copied_in_the_memory_of_a_tenth(tmp_path: Path) -> None:
    grown(tmp_path, in_folder)


def test_20_000_items_in_a_bucket_are_queried_exported_and_copied_in_the_memory_of_a_tenth(
    tmp_path: Path, in_cloud: Callable[[Path, int], str]
) -> None:
    grown(tmp_path, in_cloud)
