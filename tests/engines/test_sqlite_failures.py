"""SQLite in trouble: busy, full, read-only, missing, foreign, too new, corrupt. Each is its own clear error."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stateroom.engines.port import Append, Put, Query, Table, Write, Written
from stateroom.engines.sqlite import SqliteEngine
from stateroom.model.errors import CorruptData, FormatTooNew, StoreUnavailable, WrongUse

TEAM = "T00000001"
TABLES = [Table("t"), Table("l", log=True)]


@asynccontextmanager
async def opened(path: Path, **options: object) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(path, time.time, **options)  # type: ignore[arg-type]
    await engine.open()
    try:
        await engine.apply(TABLES)
        yield engine
    finally:
        await engine.close()


async def taken(engine: SqliteEngine, write: Write) -> Written:
    """The write, once it is taken: with so little patience one is told busy on a busy machine, too, and sends again."""
    ends = time.monotonic() + 20
    while True:
        try:
            (done,) = await engine.commit([write])
        except StoreUnavailable as error:
            if error.reason != "busy" or error.maybe_applied or time.monotonic() > ends:
                raise
        else:
            return done


async def refusal(engine: SqliteEngine) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as refused:
        await engine.commit([Put("t", TEAM, "a", {"n": 1}), Append("l", TEAM, "s", "e", {"n": 1})])
    return refused.value


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_store_without_a_file_is_not_offered(path: str) -> None:
    with pytest.raises(WrongUse):
        SqliteEngine(path, time.time)


async def test_a_missing_folder_and_a_folder_in_place_of_the_file_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no" / "state.db", tmp_path):
        with pytest.raises(StoreUnavailable) as refused:
            await SqliteEngine(path, time.time).open()
        assert refused.value.reason == "missing"
        assert not refused.value.retryable
    assert list(tmp_path.iterdir()) == []


async def test_another_applications_file_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable) as refused:
        await SqliteEngine(path, time.time).open()
    assert refused.value.reason == "foreign"
    assert "another application" in str(refused.value)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_corrupt_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(CorruptData):
        await SqliteEngine(path, time.time).open()
    assert path.read_bytes() == b"dear diary, " * 1000


async def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch()
    async with opened(path) as engine:
        await engine.commit([Put("t", TEAM, "a", {})])


async def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with opened(path):
        pass
    other = sqlite3.connect(path)
    other.execute("UPDATE sr_meta SET value = '999' WHERE name = 'format'")
    other.commit()
    other.close()
    with pytest.raises(FormatTooNew) as refused:
        await SqliteEngine(path, time.time).open()
    assert "999" in str(refused.value)


async def test_a_lock_held_by_somebody_else_is_busy_after_the_time_out_and_nothing_was_written(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with opened(path, timeout=0.2) as engine:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        error = await refusal(engine)
        assert (error.reason, error.retryable, error.maybe_applied) == ("busy", True, False)
        other.execute("ROLLBACK")
        other.close()
        assert await engine.get("t", TEAM, ["a"]) == [None]
        await taken(engine, Put("t", TEAM, "b", {}))


async def test_a_write_waits_for_a_lock_that_is_let_go_in_time(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with opened(path, timeout=10) as engine:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(engine.commit([Put("t", TEAM, "a", {})]))
        await asyncio.sleep(0.05)
        assert not task.done()
        assert await engine.get("t", TEAM, ["a"]) == [None]  # reads do not wait behind it
        other.execute("COMMIT")
        other.close()
        (done,) = await task
        assert done.changed


async def test_who_was_told_busy_is_not_written_later(tmp_path: Path) -> None:
    """The thread hangs at the turnstile, as behind a stopped process; the callers are told, and stay unwritten."""
    path = tmp_path / "state.db"
    async with opened(path, timeout=0.2) as engine, opened(path, timeout=0.2) as neighbour:
        turnstile = neighbour._writer._turnstile  # type: ignore[union-attr]
        assert turnstile.enter(wait=True)
        error = await refusal(engine)
        assert (error.reason, error.maybe_applied) == ("busy", False)
        turnstile.leave()
        done = await taken(engine, Append("l", TEAM, "s", "after", {}))
        assert done.row
        assert done.row.version == 1
        assert await engine.get("t", TEAM, ["a"]) == [None]


@pytest.mark.parametrize("alone", [True, False])
async def test_a_full_file_is_told_and_nothing_is_half_written(tmp_path: Path, alone: bool) -> None:
    path = tmp_path / "state.db"
    async with opened(path) as engine:
        await engine.commit([Put("t", TEAM, "kept", {"n": 1}), Append("l", TEAM, "s", "kept", {})])
        pages = engine._writer._connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[union-attr]
        engine._writer._connection.execute(f"PRAGMA max_page_count = {pages + 4}")  # type: ignore[union-attr]
        big = [Append("l", TEAM, "s", "big", {"x": "y" * 20_000})]
        if alone:
            with pytest.raises(StoreUnavailable) as refused:
                await engine.commit(big)
        else:
            with pytest.raises(StoreUnavailable) as refused:
                await engine.commit([Put("t", TEAM, "half", {}), *big])
        assert (refused.value.reason, refused.value.retryable) == ("full", True)
        # A lone append is one statement and its own commit: which of the two failed cannot be told.
        assert alone or not refused.value.maybe_applied
        assert await engine.get("t", TEAM, ["half"]) == [None]
        engine._writer._connection.execute("PRAGMA max_page_count = 1000000")  # type: ignore[union-attr]
        (done,) = await engine.commit(big)
        assert done.row
        assert done.row.version == 2


async def test_a_commit_that_fails_on_disk_says_that_it_may_have_happened(tmp_path: Path) -> None:
    failing = [False]

    def disk() -> None:
        if failing[0]:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC  # type: ignore[misc]
            raise error

    async with opened(tmp_path / "state.db", before_commit=disk) as engine:
        failing[0] = True
        error = await refusal(engine)
        assert (error.reason, error.retryable, error.maybe_applied) == ("io", True, True)
        failing[0] = False
        assert await engine.get("t", TEAM, ["a"]) == [None]
        (done,) = await engine.commit([Append("l", TEAM, "s", "e", {})])
        assert done.changed


async def test_a_failed_transaction_is_told_to_all_who_were_in_it(tmp_path: Path) -> None:
    failing = [False]

    def disk() -> None:
        if failing[0]:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL  # type: ignore[misc]
            raise error

    async with opened(tmp_path / "state.db", before_commit=disk) as engine:
        failing[0] = True
        writes = [[Put("t", TEAM, f"r{n}", {})] for n in range(20)]
        done = await asyncio.gather(*(engine.commit(w) for w in writes), return_exceptions=True)
        assert all(isinstance(d, StoreUnavailable) and d.reason == "full" for d in done)
        failing[0] = False
        assert await engine.get("t", TEAM, [f"r{n}" for n in range(20)]) == [None] * 20


def damaged(path: Path, keep: int) -> None:
    """Overwrite everything behind the first `keep` bytes with noise."""
    data = bytearray(path.read_bytes())
    data[keep:] = random.Random(7).randbytes(len(data) - keep)
    path.write_bytes(data)


async def filled(path: Path) -> None:
    async with opened(path) as engine:
        for start in range(0, 600, 100):
            await engine.commit([Put("t", TEAM, f"r{n:04}", {"x": "y" * 200}) for n in range(start, start + 100)])
            await engine.commit([Append("l", TEAM, "s", f"e{n}", {"x": "y" * 200}) for n in range(start, start + 100)])


async def test_a_damaged_file_is_an_error_and_never_an_empty_answer(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path)
    damaged(path, 16 * 1024)
    engine = SqliteEngine(path, time.time)
    await engine.open()
    try:
        for attempt in (
            lambda: engine.get("t", TEAM, [f"r{n:04}" for n in range(600)]),
            lambda: engine.query(Query("t", TEAM, 1000)),
            lambda: engine.query(Query("l", TEAM, 1000, equals=("s",))),
            lambda: engine.query(Query("l", TEAM, 100, equals=("s",))),
            lambda: engine.commit([Put("t", TEAM, f"r{n:04}", {}) for n in range(0, 600, 7)]),
        ):
            with pytest.raises(CorruptData):
                await attempt()
    finally:
        await engine.close()


async def test_a_damaged_header_is_met_at_opening(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path)
    damaged(path, 0)
    with pytest.raises(CorruptData):
        await SqliteEngine(path, time.time).open()


async def test_a_row_that_is_not_json_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path)
    other = sqlite3.connect(path)
    other.execute("UPDATE items_t SET item = '{\"x\":' WHERE id = 'r0003'")
    other.commit()
    other.close()
    async with opened(path) as engine:
        with pytest.raises(CorruptData):
            await engine.get("t", TEAM, ["r0003"])
        with pytest.raises(CorruptData):
            await engine.query(Query("t", TEAM, 10))
        assert await engine.get("t", TEAM, ["r0004"]) != [None]


# The system's own refusals, in a process that may be refused: root may write anywhere.

CHILD = """
import asyncio, os, resource, signal, sys, time
from stateroom.engines.port import Put, Table
from stateroom.engines.sqlite import SqliteEngine
from stateroom.model.errors import StoreUnavailable

async def main(path, limit):
    engine = SqliteEngine(path, time.time)
    try:
        await engine.open()
        await engine.apply([Table("t")])
        if limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        done = 0
        for n in range(400):
            await engine.commit([Put("t", "T00000001", f"r{n:04}", {"x": "y" * 20000})])
            done += 1
    except StoreUnavailable as error:
        rows = "-"
        if limit:
            found = await engine.get("t", "T00000001", [f"r{n:04}" for n in range(400)])
            rows = sum(row is not None for row in found) == done
        print(error.reason, error.maybe_applied, rows, flush=True)
        await engine.close()

if os.getuid() == 0 and sys.argv[2] == "0":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def in_child(path: Path, limit: int = 0) -> str:
    command = [sys.executable, "-c", CHILD, str(path), str(limit)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that other users may enter: its parents belong to pytest and are closed to them."""
    folder = tmp_path_factory.mktemp("open")
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path(tempfile.gettempdir()) and len(parent.parts) > 2:
            parent.chmod(0o755)
    return folder


@pytest.mark.service
async def test_a_read_only_folder_is_told(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    assert in_child(open_folder / "state.db").split()[0] == "readonly"


@pytest.mark.service
async def test_a_read_only_file_is_told(open_folder: Path) -> None:
    path = open_folder / "state.db"
    async with opened(path):
        pass
    for file in open_folder.iterdir():
        file.chmod(0o666)
    path.chmod(0o444)
    open_folder.chmod(0o777)
    assert in_child(path).split()[0] == "readonly"


@pytest.mark.service
async def test_a_disk_that_runs_full_is_told_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes every write beyond it fail, as a quota does."""
    path = tmp_path / "state.db"
    reason, _, intact = in_child(path, limit=3 * 1024 * 1024).split()
    assert reason in ("full", "io")
    assert intact == "True"
    async with opened(path) as engine:
        page = await engine.query(Query("t", TEAM, 1000))
        assert len(page.rows) > 10
        await engine.commit([Put("t", TEAM, "after", {})])
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
