"""Object storage: what an append and a read cost, what is refused, what is never read as an empty history.

Requests are counted at a stub of Google Cloud Storage; what holds for files alone is shown on files.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.objects_cloud import CloudBucket
from stateroom.engines.objects_files import WRITING
from stateroom.engines.objects_forms import Entry, Snapshot, Turn, Turns, entry_data
from stateroom.engines.objects_names import Stream
from stateroom.engines.objects_url import read_url
from stateroom.engines.port import Append, Delete, Put, Query, Rewrite, Table, Truncate, Written
from stateroom.model.errors import CorruptData, FormatTooNew, StoreUnavailable, Throttled, Unsupported, WrongUse
from support import objects
from support.gcs_stub import Stub

pytestmark = pytest.mark.service
TEAM = "T00000001"
TABLES = [Table("items", expires=True), Table("log", log=True, expires=True)]
STREAM = Stream("log", TEAM, "s")


@pytest.fixture
def stub() -> Iterator[Stub]:
    objects.credentials()
    found = Stub("bucket")
    yield found
    found.close()


@pytest.fixture
def url(stub: Stub) -> str:
    return f"gs://bucket/p?endpoint={stub.url}"


async def opened(url: str) -> ObjectsEngine:
    engine = ObjectsEngine(url, time.time)
    await engine.open()
    await engine.apply(TABLES)
    return engine


@pytest.fixture
async def engine(url: str) -> AsyncIterator[ObjectsEngine]:
    found = await opened(url)
    yield found
    await found.close()


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[ObjectsEngine]:
    found = await opened(f"file://{tmp_path}/store")
    yield found
    await found.close()


async def append(engine: ObjectsEngine, turn: str, **item: Any) -> Written:
    return (await engine.commit([Append("log", TEAM, "s", turn, item or {"words": turn})]))[0]


async def history(engine: ObjectsEngine, limit: int = 1000) -> list[str]:
    page = await engine.query(Query("log", TEAM, limit, equals=("s",)))
    return [row.id.partition("/")[2] for row in page.rows]


async def quiet(engine: ObjectsEngine) -> None:
    """Nothing of ours is under way: a snapshot follows its append."""
    within: Any = engine._within
    ends = time.monotonic() + 20
    while within._lines:
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)


# What it costs.


def prepared(stub: Stub, count: int) -> None:
    """A stream as it is after `count` turns, put into the stub by hand."""
    entries = {n: Entry(n, f"t{n}", {"words": f"words {n}"}, None) for n in range(1, count + 1)}
    base = count - count % 256
    recent = {n: entries[n] for n in range(count - 31, count + 1)}
    turns = tuple(Turn(f"t{n}", None) for n in range(base + 1, count + 1))
    found = {STREAM.entry(0, n): entry_data(STREAM, entry) for n, entry in entries.items()}
    found[STREAM.turns(0)] = Turns(tuple(Turn(f"t{n}", None) for n in range(1, base + 1))).data(STREAM, 0)
    found[STREAM.snapshot] = Snapshot(0, count, base, turns, recent).data(STREAM)
    stub.objects.update({f"p/{key}": (number, data) for number, (key, data) in enumerate(found.items(), 1)})
    stub.last = len(stub.objects) + 10


async def test_the_last_twenty_of_ten_thousand_turns_are_five_requests_and_a_warm_append_is_one_put(
    stub: Stub, url: str
) -> None:
    await (await opened(url)).close()
    prepared(stub, 10_000)
    writer = await opened(url)
    await append(writer, "t9")  # a turn of long ago: now the writer knows the stream
    for number in range(10_001, 10_010):
        await quiet(writer)
        stub.asked.clear()
        done = await append(writer, f"t{number}")
        assert done.row
        assert done.row.version == number
        assert stub.asked[0] == ("PUT", f"p/{STREAM.entry(0, number)}")
        await quiet(writer)
        rest = [method for method, key in stub.asked[1:] if not key.endswith("snapshot.json")]
        assert rest == []
        assert len(stub.asked) == (2 if number % 4 == 0 else 1)
        reader = await opened(url)
        stub.asked.clear()
        page = await reader.query(Query("log", TEAM, 20, equals=("s",), descending=True))
        assert [row.version for row in page.rows] == list(range(number, number - 20, -1))
        assert len(stub.asked) <= 5
        await reader.close()
    stub.asked.clear()
    cold = await opened(url)
    again = await append(cold, "t5000")
    assert (again.changed, again.row and again.row.version) == (False, 5000)
    assert len(stub.asked) <= 8
    await cold.close()
    await writer.close()


async def test_a_put_if_absent_is_one_request_and_an_update_two(stub: Stub, engine: ObjectsEngine) -> None:
    stub.asked.clear()
    await engine.commit([Put("items", TEAM, "a", {"n": 1}, if_version=0)])
    assert [method for method, _ in stub.asked] == ["PUT"]
    stub.asked.clear()
    await engine.commit([Put("items", TEAM, "a", {"n": 2})])
    assert [method for method, _ in stub.asked] == ["GET", "PUT"]


async def test_a_sweep_of_what_never_expires_reads_nothing_but_the_catalogue(stub: Stub, engine: ObjectsEngine) -> None:
    for n in range(6):
        await append(engine, f"t{n}")
    await quiet(engine)
    stub.asked.clear()
    assert (await engine.query(Query("log", None, 100, expired=True))).rows == []
    assert stub.asked == [("GET", "p/stateroom.json")]


# Faults of the service.


async def test_a_put_whose_answer_was_lost_is_found_by_reading_and_appended_once(
    stub: Stub, engine: ObjectsEngine
) -> None:
    await append(engine, "t1")
    for number, faults in enumerate((["drop"], ["lose"], ["throttle", "drop"], ["lose", "throttle", "drop"]), start=2):
        stub.faults[:] = faults
        done = await append(engine, f"t{number}")
        assert (done.changed, done.row and done.row.version) == (True, number)
    assert await history(engine) == ["t1", "t2", "t3", "t4", "t5"]


async def test_an_update_whose_answer_was_lost_is_applied_once(stub: Stub, engine: ObjectsEngine) -> None:
    from stateroom.engines.port import Update

    for faults in ([], ["drop"], ["lose"], ["throttle"]):
        stub.faults[:] = faults
        await engine.commit([Update("items", TEAM, "a", add={"n": 1})])
    (row,) = await engine.get("items", TEAM, ["a"])
    assert row
    assert row.item == {"n": 4}


async def test_throttling_that_does_not_end_says_so_and_wrote_nothing(stub: Stub, engine: ObjectsEngine) -> None:
    stub.faults[:] = ["throttle"] * 5
    with pytest.raises(Throttled) as slow:
        await append(engine, "t1")
    assert slow.value.retryable
    assert not slow.value.maybe_applied
    assert await history(engine) == []


async def test_what_could_not_be_found_out_is_maybe_applied(
    stub: Stub, engine: ObjectsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(engine, "t1")

    def blind(self: CloudBucket, key: str) -> None:
        raise StoreUnavailable(self.place, "io", "no answer", retryable=True)

    stub.faults[:] = ["drop"]
    with monkeypatch.context() as patch:
        patch.setattr(CloudBucket, "get", blind)
        with pytest.raises(StoreUnavailable) as lost:
            await append(engine, "t2")
    assert lost.value.retryable
    assert lost.value.maybe_applied
    again = await append(engine, "t2")
    assert (again.changed, again.row and again.row.version) == (False, 2)


# What is refused, and never read as nothing.


async def broken(tmp_path: Path, key: str, text: str) -> ObjectsEngine:
    """A store with one stream and one row, one of whose objects is now `text`."""
    engine = await opened(f"file://{tmp_path}/store")
    await append(engine, "t1")
    await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    await engine.close()
    path = tmp_path / "store" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return ObjectsEngine(f"file://{tmp_path}/store", time.time)


ENTRY, ROW = f"logs/log/{TEAM}/s/0000000001.json", f"items/items/{TEAM}/a.json"
NEWER = json.dumps({"format": "stateroom/entry", "version": 2})
STRANGE = json.dumps({"format": "somebody/else", "version": 1})


@pytest.mark.parametrize(
    ("key", "text", "kind"),
    [
        (ENTRY, '{"format":"stateroom/ent', CorruptData),
        (ENTRY, "", CorruptData),
        (ENTRY, STRANGE, CorruptData),
        (ENTRY, NEWER, FormatTooNew),
        (f"logs/log/{TEAM}/s/0000000003.json", "{}", CorruptData),
        (f"logs/log/{TEAM}/s/notes.txt", "mine", CorruptData),
        (f"logs/log/{TEAM}/s/snapshot.json", "{}", CorruptData),
        (f"logs/log/{TEAM}/s/snapshot.json", NEWER.replace("entry", "snapshot"), FormatTooNew),
        (ROW, '{"format"', CorruptData),
        (ROW, NEWER.replace("entry", "item"), FormatTooNew),
        (f"items/items/{TEAM}/notes.txt", "mine", CorruptData),
        ("stateroom.json", "[]", CorruptData),
        ("stateroom.json", NEWER.replace("entry", "store"), FormatTooNew),
    ],
)
async def test_an_object_that_cannot_be_read_is_an_error_and_never_an_empty_history(
    tmp_path: Path, key: str, text: str, kind: type[CorruptData]
) -> None:
    engine = await broken(tmp_path, key, text)

    async def everything() -> None:
        await engine.open()
        await history(engine)
        await engine.query(Query("items", TEAM, 10))

    with pytest.raises(kind):
        await everything()
    await engine.close()
    assert (tmp_path / "store" / key).read_text() == text


async def test_an_entry_that_is_missing_from_the_middle_is_an_error(tmp_path: Path) -> None:
    engine = await opened(f"file://{tmp_path}/store")
    for n in range(1, 6):
        await append(engine, f"t{n}")
    (tmp_path / f"store/logs/log/{TEAM}/s/0000000003.json").unlink()
    with pytest.raises(CorruptData, match="missing"):
        await history(engine)
    await engine.close()


async def test_the_oldest_entries_may_go_by_a_rule_of_the_bucket(stub: Stub, url: str) -> None:
    await (await opened(url)).close()
    prepared(stub, 300)
    for number in range(1, 201):
        del stub.objects[f"p/{STREAM.entry(0, number)}"]
    engine = await opened(url)
    assert (await history(engine))[:2] == ["t201", "t202"]
    page = await engine.query(Query("log", TEAM, 1000, equals=("s",), descending=True))
    assert [row.version for row in page.rows] == list(range(300, 200, -1))
    del stub.objects[f"p/{STREAM.turns(0)}"]
    done = await append(engine, "t301")
    assert (done.changed, done.row and done.row.version) == (True, 301)
    await engine.close()


async def test_a_403_and_a_bucket_that_is_not_there_are_errors_that_hold_no_credentials() -> None:
    url = objects.fresh("seaweedfs")
    away = ObjectsEngine(url.replace("//stateroom/", "//nowhere/"), time.time)
    with pytest.raises(StoreUnavailable) as missing:
        await away.open()
    assert (missing.value.reason, missing.value.retryable) == ("missing", False)
    refused = await asyncio.to_thread(child, url, AWS_SECRET_ACCESS_KEY="wrong-secret")
    assert refused.startswith("refused False "), refused
    assert "wrong-secret" not in refused
    assert "http" not in refused


OPEN = """
import asyncio, sys, time
from stateroom.engines.objects import ObjectsEngine
from stateroom.model.errors import StoreUnavailable
async def main():
    engine = ObjectsEngine(sys.argv[1], time.time)
    try:
        await engine.open()
    except StoreUnavailable as error:
        print(error.reason, error.retryable, error)
    await engine.close()
asyncio.run(main())
"""


def child(url: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OPEN, url], env={**os.environ, **more}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:secret@bucket/p",
        "s3://bucket/p?endpoint=http://key:secret@host",
        "s3://bucket/p?secret=x",
        "s3://bucket/../other",
        "s3:///p",
        "gs://bucket/p?region=x",
        "az://bucket/p#x",
        "file://host/p",
        "file:///",
    ],
)
def test_a_url_that_means_nothing_or_has_credentials_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(WrongUse) as refused:
        read_url(url)
    assert "secret" not in str(refused.value)


async def test_what_is_not_declared_is_refused_by_name(files: ObjectsEngine) -> None:
    with pytest.raises(Unsupported, match="a commit of several rows"):
        await files.commit([Put("items", TEAM, "a", {}), Put("items", TEAM, "b", {})])
    with pytest.raises(Unsupported, match="order by due"):
        await files.query(Query("items", TEAM, 5, index="due"))


def test_nothing_of_obstores_async_calls_is_used() -> None:
    source = Path(__file__).parents[2] / "src" / "stateroom"
    using = [path for path in source.rglob("*.py") if "obstore" in path.read_text("utf-8")]
    assert using
    for path in using:
        assert not re.search(r"_async\b|__aiter__|async for", path.read_text("utf-8")), path


# Erasing and rewriting.


async def test_a_writer_that_has_not_heard_of_an_erasing_appends_to_the_new_stream(stub: Stub, url: str) -> None:
    one, two = await opened(url), await opened(url)
    for n in range(1, 4):
        await append(one, f"t{n}")
    await append(two, "t4")
    await one.commit([Truncate("log", TEAM, "s")])
    known = await append(two, "t2")
    fresh = await append(two, "t5")
    assert [(done.changed, done.row and done.row.version) for done in (known, fresh)] == [(True, 1), (True, 2)]
    assert await history(one) == ["t2", "t5"]
    await one.commit([Truncate("log", TEAM, "s")])
    assert await history(two) == []
    assert not [key for key, (_, data) in stub.objects.items() if b"words" in data]
    await one.close()
    await two.close()


async def test_an_erasing_that_was_killed_in_the_middle_is_an_empty_stream_and_ends_when_it_is_run_again(
    stub: Stub, engine: ObjectsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(1, 7):
        await append(engine, f"t{n}")
    await quiet(engine)

    def dies(self: CloudBucket, keys: list[str]) -> None:
        raise StoreUnavailable(self.place, "refused", "killed", retryable=False)

    for broken in ("remove", "put"):
        with monkeypatch.context() as patch:
            real = CloudBucket.put

            def put(self: CloudBucket, key: str, data: bytes, tag: str | None, real: Any = real) -> str:
                if key.endswith("snapshot.json"):
                    raise StoreUnavailable(self.place, "refused", "killed", retryable=False)
                return str(real(self, key, data, tag))

            patch.setattr(CloudBucket, broken, dies if broken == "remove" else put)
            with pytest.raises(StoreUnavailable):
                await engine.commit([Truncate("log", TEAM, "s")])
        assert await history(engine) == []
        await engine.commit([Truncate("log", TEAM, "s")])
        assert not [key for key, (_, data) in stub.objects.items() if b"words" in data]
        for n in range(1, 7):
            await append(engine, f"t{n}")
        await quiet(engine)


async def test_words_that_were_rewritten_are_in_no_snapshot_whoever_appends_meanwhile(stub: Stub, url: str) -> None:
    one, two = await opened(url), await opened(url)
    for n in range(1, 3):
        await append(two, f"t{n}", words="heron")
    await one.commit([Rewrite("log", TEAM, "s", 2, {"gone": True})])
    for n in range(3, 6):  # two would now write a snapshot of what it remembers
        await append(two, f"t{n}")
    await quiet(two)
    await one.commit([Rewrite("log", TEAM, "s", 1, {"gone": True})])
    await append(one, "t6")
    await quiet(one)
    assert not [key for key, (_, data) in stub.objects.items() if b"heron" in data]
    page = await two.query(Query("log", TEAM, 10, equals=("s",)))
    assert [row.item.get("gone") for row in page.rows] == [True, True, None, None, None, None]
    await one.close()
    await two.close()


async def test_a_row_removed_under_a_condition_can_be_made_again(stub: Stub, engine: ObjectsEngine) -> None:
    (made,) = await engine.commit([Put("items", TEAM, "a", {"n": 1})])
    assert made.row
    (gone,) = await engine.commit([Delete("items", TEAM, "a", if_version=made.row.version)])
    assert gone.changed
    assert await engine.get("items", TEAM, ["a"]) == [None]
    (again,) = await engine.commit([Put("items", TEAM, "a", {"n": 2}, if_version=0)])
    assert again.changed
    await engine.commit([Delete("items", TEAM, "a")])
    assert f"p/items/items/{TEAM}/a.json" not in stub.objects


# Files.


async def test_what_a_killed_writer_left_half_written_is_removed_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    script = (
        "import fcntl, os, sys, time\n"
        "file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    folder = tmp_path / "store" / WRITING
    folder.mkdir(parents=True)
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(folder / name)], stdout=subprocess.PIPE)
        for name in ("dead", "alive")
    ]
    try:
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == b"ready\n"
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait(10)
        engine = await opened(f"file://{tmp_path}/store")
        await engine.close()
        assert [path.name for path in folder.iterdir()] == ["alive"]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(10)


async def test_every_acknowledged_file_was_synced_and_so_was_its_folder(
    files: ObjectsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(files, "t0")
    for n in range(2):
        await files.commit([Put("items", TEAM, "a", {"n": n})])  # folders are made once
    steps: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "link", "rename")}

    def noted(name: str, call: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            folder = name == "fsync" and os.path.isdir(f"/proc/self/fd/{args[0]}")
            steps.append("fsync folder" if folder else name)
            return call(*args, **kwargs)

        return run

    for name, call in real.items():
        monkeypatch.setattr(os, name, noted(name, call))
    await append(files, "t1")
    assert steps == ["fsync", "link", "fsync folder"]
    steps.clear()
    await files.commit([Put("items", TEAM, "a", {"n": 2})])
    assert steps == ["fsync", "rename", "fsync folder"]
