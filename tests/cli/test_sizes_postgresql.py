"""On PostgreSQL, too, commands over whole datastores take the same memory for ten times the rows, up to a million."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from stateroom.engines.postgresql_url import read_url
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.store import Store
from support.measured import GROWTH, run
from support.postgres import drop_schema, fresh_schema
from support.retention import TEAM

pytestmark = pytest.mark.service
NOTES = Definition(
    "notes",
    "id",
    {"id": Attribute("string", required=True), "text": Attribute("string"), "number": Attribute("integer")},
)
Filled = Callable[[int], str]


@pytest.fixture
def filled() -> Iterator[Filled]:
    """Makes stores of so many notes."""
    urls: list[str] = []

    def make(rows: int) -> str:
        url = fresh_schema()
        urls.append(url)
        asyncio.run(migrate(url))
        fill(url, rows)
        return url

    yield make
    for url in urls:
        drop_schema(url)


async def migrate(url: str) -> None:
    async with Store(url, migrating=True) as store:
        await store.migrate([NOTES], apply=True)


def fill(url: str, rows: int) -> None:
    """By the server itself, as the engine would have written them (docs/format.md, "PostgreSQL")."""
    address = read_url(url)
    table = f'"{address.schema}".items_notes'
    key = "'n' || lpad(n::text, 7, '0')"
    item = f"jsonb_build_object('id', {key}, 'text', 'a note of ordinary length, number ' || n, 'number', n)"
    with psycopg.connect(address.conninfo, autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO {table} (team, id, version, item) "  # the engine has no default for these four
            f"SELECT '{TEAM}', {key}, 1, {item} FROM generate_series(1, {rows}) n"
        )
        connection.execute(f"ANALYZE {table}")


def lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def test_a_million_items_are_exported_and_queried_in_the_memory_of_a_tenth(filled: Filled, tmp_path: Path) -> None:
    exported, queried = [], []
    for rows in (100_000, 1_000_000):
        url = filled(rows)
        exported.append(run(tmp_path, "datastore", "export", "notes", "--output", f"{rows}.jsonl", "--store", url)[1])
        assert lines(tmp_path / f"{rows}.jsonl") == rows
        asked = ("--where", f"number > {rows - rows // 20}", "--all")  # no index: all rows are looked at
        found, peak, _ = run(tmp_path, "datastore", "query", "notes", *asked, "--store", url)
        assert found["number"] == rows
        queried.append(peak)
    assert exported[1] - exported[0] <= GROWTH, exported
    assert queried[1] - queried[0] <= GROWTH, queried


def copied(filled: Filled, folder: Path, rows: int) -> None:
    """Copy so many rows and ten times as many, and compare."""
    peaks = []
    for count in (rows, rows * 10):
        target = filled(0)
        told, peak, seconds = run(folder, "copy", "--from", filled(count), "--to", target)
        assert (told["written"], told["failed"], told["settled"]) == (count, 0, True)
        print(f"copied {count} rows: {peak:.0f} MB, {seconds:.1f} s")
        peaks.append(peak)
    assert peaks[1] - peaks[0] <= GROWTH, peaks


def test_ten_times_the_items_are_copied_in_the_same_memory(filled: Filled, tmp_path: Path) -> None:
    copied(filled, tmp_path, 2_000)


@pytest.mark.soak
def test_a_million_items_are_copied_in_the_memory_of_a_tenth(filled: Filled, tmp_path: Path) -> None:
    copied(filled, tmp_path, 100_000)
