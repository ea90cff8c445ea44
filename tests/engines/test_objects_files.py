"""Objects in a folder: killed between any two steps, disks that run full, folders that may not be read.

What was acknowledged lasts, what was not is said to be so, and nothing is read as an empty history.
"""

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stateroom.engines import objects_files
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.objects_files import WRITING
from stateroom.engines.port import Append, Put, Query, Table, Update, Write
from stateroom.model.errors import StoreUnavailable

pytestmark = pytest.mark.service
TEAM = "T00000001"
TABLES = [Table("items"), Table("log", log=True)]


async def opened(folder: Path) -> ObjectsEngine:
    engine = ObjectsEngine(f"file://{folder}", time.time)
    await engine.open()
    await engine.apply(TABLES)
    return engine


async def append(engine: ObjectsEngine, turn: str) -> tuple[bool, int]:
    (done,) = await engine.commit([Append("log", TEAM, "s", turn, {"words": turn})])
    return done.changed, done.row.version if done.row else 0


async def history(engine: ObjectsEngine) -> list[str]:
    page = await engine.query(Query("log", TEAM, 1000, equals=("s",)))
    return [row.id.partition("/")[2] for row in page.rows]


# Killed between two steps.

PAUSED = """
import asyncio, os, sys, threading, time
from pathlib import Path
from stateroom.engines import objects_files
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Append, Update

folder, when, step, way = sys.argv[1:]
objects_files.UNNAMED = objects_files.UNNAMED and way == "unnamed"
armed = False

def stop(name):
    real = getattr(os, name)
    def run(*given, **more):
        if armed and when == "before":
            print("there", flush=True)
            threading.Event().wait()
        found = real(*given, **more)
        if armed:
            print("there", flush=True)
            threading.Event().wait()
        return found
    setattr(os, name, run)

async def main():
    global armed
    engine = ObjectsEngine(f"file://{folder}", time.time)
    await engine.open()
    stop(step)
    armed = True
    if step == "rename":
        await engine.commit([Update("items", "T00000001", "a", add={"n": 1})])
    else:
        await engine.commit([Append("log", "T00000001", "s", "t2", {"words": "t2"})])

asyncio.run(main())
"""


@contextmanager
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Folders that are synced meanwhile."""
    found: list[str] = []
    real = objects_files._sync

    def noted(folder: str) -> None:
        real(folder)
        found.append(Path(folder).name)

    with monkeypatch.context() as patch:
        patch.setattr(objects_files, "_sync", noted)
        yield found


def killed(folder: Path, when: str, way: str = "unnamed") -> None:
    """A process that dies before or after its first such step. `way`: whether its file has a name before the link."""
    child = subprocess.Popen([sys.executable, "-c", PAUSED, str(folder), *when.split(), way], stdout=subprocess.PIPE)
    try:
        assert child.stdout
        assert child.stdout.readline() == b"there\n"
    finally:
        child.kill()
        child.wait(10)


@pytest.mark.parametrize(
    ("way", "when", "there"),
    [
        ("unnamed", "after write", False),
        ("unnamed", "before fsync", False),
        ("unnamed", "before link", False),
        ("unnamed", "after link", True),  # the folder was never synced
        ("named", "before fsync", False),
        ("named", "before link", False),
        ("named", "after link", True),  # its other name is still there
        ("named", "after unlink", True),  # the folder was never synced
    ],
)
async def test_killed_between_link_and_sync_a_turn_is_there_once_and_is_synced_by_whoever_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, when: str, there: bool
) -> None:
    engine = await opened(tmp_path / "store")
    await append(engine, "t1")
    await engine.close()
    await asyncio.to_thread(killed, tmp_path / "store", when, way)
    engine = await opened(tmp_path / "store")
    assert list((tmp_path / "store").glob(f"{WRITING}/*")) == []
    assert await history(engine) == (["t1", "t2"] if there else ["t1"])
    with synced(monkeypatch) as folders:
        assert await append(engine, "t2") == (not there, 2)
    assert "s" in folders
    assert await append(engine, "t3") == (True, 3)
    assert await history(engine) == ["t1", "t2", "t3"]
    await engine.close()


@pytest.mark.parametrize(("when", "there"), [("before", False), ("after", True)])
async def test_killed_around_the_move_of_a_row_it_is_the_old_one_or_the_new_one(
    tmp_path: Path, when: str, there: bool
) -> None:
    engine = await opened(tmp_path / "store")
    await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    await asyncio.to_thread(killed, tmp_path / "store", f"{when} rename")
    (row,) = await engine.get("items", TEAM, ["a"])
    assert row
    assert row.item == {"n": 2 if there else 1}
    (done,) = await engine.commit([Update("items", TEAM, "a", add={"n": 1}, if_version=row.version)])
    assert done.row
    assert done.row.item == {"n": 3 if there else 2}
    await engine.close()


async def test_a_folder_that_cannot_be_synced_acknowledges_nothing_and_says_that_it_may_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened(tmp_path / "store")
    await append(engine, "t1")
    await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    real = objects_files._sync

    def failing(folder: str) -> None:
        if Path(folder).name in ("s", TEAM):
            raise OSError(errno.EIO, "Input/output error")
        real(folder)

    writes: list[Write] = [
        Append("log", TEAM, "s", "t2", {"words": "t2"}),
        Append("log", TEAM, "s", "t2", {"words": "t2"}),  # now it is known, and is not acknowledged all the same
        Update("items", TEAM, "a", add={"n": 1}),
        Put("items", TEAM, "b", {"n": 1}, if_version=0),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(objects_files, "_sync", failing)
        for write in writes:
            with pytest.raises(StoreUnavailable) as lost:
                await engine.commit([write])
            assert (lost.value.reason, lost.value.retryable, lost.value.maybe_applied) == ("io", True, True), write
    assert await append(engine, "t2") == (False, 2)
    assert await history(engine) == ["t1", "t2"]
    await engine.close()


async def test_a_file_system_without_unnamed_files_is_written_by_files_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened(tmp_path / "store")
    real, asked = os.open, list[int]()

    def without(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            asked.append(flags)
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", without)
        for turn in ("t1", "t2", "t3"):
            assert (await append(engine, turn))[0]
    assert len(asked) == objects_files.UNNAMED  # it is not asked for again
    assert await history(engine) == ["t1", "t2", "t3"]
    await engine.close()


async def test_a_process_that_loses_sight_of_its_open_files_writes_by_files_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc is gone behind a chroot, or what confines the process forbids its links."""
    for reason in (errno.ENOENT, errno.EXDEV, errno.EPERM):
        engine = await opened(tmp_path / str(reason))
        real, asked = os.link, list[str]()

        def without(src: str, dst: str, *, dst_dir_fd: int | None = None, why: int = reason) -> None:
            if dst_dir_fd is not None:
                asked.append(src)  # noqa: B023
                raise OSError(why, os.strerror(why))
            real(src, dst)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(os, "link", without)
            patch.setattr(objects_files, "_OPEN", str(tmp_path / "no such folder"))
            for turn in ("t1", "t2", "t3"):
                assert (await append(engine, turn))[0]
        assert len(asked) == objects_files.UNNAMED  # it is not tried again
        assert await history(engine) == ["t1", "t2", "t3"]
        await engine.close()


@pytest.mark.parametrize("unnamed", [True, False])
async def test_of_two_processes_that_link_one_name_one_is_told_that_it_was_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool
) -> None:
    monkeypatch.setattr(objects_files, "UNNAMED", objects_files.UNNAMED and unnamed)
    ours, theirs = await opened(tmp_path / "store"), await opened(tmp_path / "store")
    assert [await append(one, turn) for one, turn in ((ours, "t1"), (theirs, "t2"))] == [(True, 1), (True, 2)]
    assert await append(ours, "t3") == (True, 3)  # it took 2 for free, lost, and has taken the next one
    assert await history(theirs) == ["t1", "t2", "t3"]
    assert list((tmp_path / "store").glob(f"{WRITING}/*")) == []
    await ours.close()
    await theirs.close()


# Full disks.

FULL = """
import asyncio, os, resource, signal, sys, time
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Append, Put
from stateroom.model.errors import StoreUnavailable

async def main(folder, limit):
    engine = ObjectsEngine(f"file://{folder}", time.time)
    await engine.open()
    await engine.commit([Append("log", "T00000001", "s", "t0", {"words": "few"})])
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for n in range(1, 1000):
        try:
            await engine.commit([Append("log", "T00000001", "s", f"t{n}", {"words": "x" * 20_000})])
        except StoreUnavailable as error:
            print(n, error.reason, error.retryable, error.maybe_applied)
            break
    if not limit:
        os.unlink(f"{folder}/ballast")
    await engine.commit([Append("log", "T00000001", "s", "last", {"words": "few"})])
    await engine.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """256 KiB; whether such a thing can be had here."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], capture_output=True, check=False
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["quota", "disk"])
async def test_a_disk_that_runs_full_is_told_nothing_is_half_written_and_what_was_acknowledged_stays(
    kind: str, tmp_path: Path
) -> None:
    """A quota: RLIMIT_FSIZE takes a part of a file, as a full disk does. A disk: a small one, where we may mount it."""
    with small_disk(tmp_path) as small:
        limit = 0 if kind == "disk" and small else 12_000
        if not limit:
            (tmp_path / "ballast").write_bytes(b"x" * 40_000)
        engine = await opened(tmp_path)
        await engine.close()
        child = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", FULL, str(tmp_path), str(limit)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        count, *told = child.stdout.split()
        assert told == ["full", "True", "False"]
        assert list(tmp_path.glob(f"{WRITING}/*")) == []
        engine = await opened(tmp_path)
        assert await history(engine) == [*(f"t{n}" for n in range(int(count))), "last"]
        await engine.close()


async def test_a_disk_that_takes_a_part_of_each_write_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await opened(tmp_path / "store")
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: real(file, bytes(data)[:100]))
        await engine.commit([Put("items", TEAM, "a", {"text": "x" * 1_000})])
    (row,) = await engine.get("items", TEAM, ["a"])
    assert row
    assert row.item == {"text": "x" * 1_000}
    await engine.close()


# What another user may not read or write.

NOBODY = """
import asyncio, os, sys, time
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines import objects_files
from stateroom.engines.port import Append, Put, Query
from stateroom.model.errors import StateroomError

async def main(folder):
    engine = ObjectsEngine(f"file://{folder}", time.time)
    await engine.open()
    calls = {
        "history": lambda: engine.query(Query("log", "T00000001", 10, equals=("s",))),
        "turn": lambda: engine.get("log", "T00000001", ["s/t1"]),
        "row": lambda: engine.get("items", "T00000001", ["a"]),
        "append": lambda: engine.commit([Append("log", "T00000001", "s", "t2", {})]),
        "put": lambda: engine.commit([Put("items", "T00000001", "b", {})]),
    }
    for name, call in calls.items():
        try:
            await call()
            print(name, "done")
        except StateroomError as error:
            print(name, error.reason, error.retryable, error.maybe_applied)
    await engine.close()

if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that other users may enter: its parents belong to pytest and are closed to them."""
    folder = tmp_path_factory.mktemp("open")
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path(tempfile.gettempdir()) and len(parent.parts) > 2:
            parent.chmod(0o755)
    return folder


@pytest.mark.parametrize("what", ["entries", "folders"])
async def test_what_may_not_be_read_or_written_is_told_and_never_an_empty_history(open_folder: Path, what: str) -> None:
    store = open_folder / "store"
    engine = await opened(store)
    await append(engine, "t1")
    await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    await engine.close()
    closed = [store / "logs/log" / TEAM / "s", store / "items/items" / TEAM]
    for folder in closed:
        if what == "folders":
            folder.chmod(0)
        for file in folder.iterdir():
            file.chmod(0)
    try:
        child = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", NOBODY, str(store)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        for folder in closed:
            folder.chmod(0o755)
    assert child.returncode == 0, child.stderr
    told = dict(line.split(" ", 1) for line in child.stdout.splitlines())
    assert told == dict.fromkeys(("history", "turn", "row", "append", "put"), "readonly False False")


# Several processes at once are in test_objects_faults.py and in the conformance suite (races, crash).
