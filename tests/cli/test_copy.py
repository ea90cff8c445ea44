"""`stateroom copy` as users run it: by the page's own commands, under traffic, killed, and with bots on both sides.

Everything is a real process: the copy, the bots, the writers. The memory of a copy is measured at ten times the rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stateroom.cli import copy_alone, copy_shown
from stateroom.engines import leases
from stateroom.engines.conformance import Clock
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Put, Query, Update
from stateroom.engines.postgresql_url import read_url
from stateroom.engines.slack_hosted import SlackHostedEngine
from stateroom.layers.inbox import INBOX
from stateroom.layers.walking import EVERYWHERE
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import StoreUnavailable, WrongUse
from stateroom.store import Store, bot_tables
from support import dynamodb, slack_hosted
from support.bot import MENTION, Child, children, envelope, environment, mention, post_async
from support.local_slack import LocalSlack, eventually, local_slack
from support.postgres import drop_schema, fresh_schema

pytestmark = pytest.mark.service

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "copy.md").read_text(encoding="utf-8")
TEAM, CHANNEL = "T00000001", "C00000001"
WORD = "heron"
ENDS = ("I will still know it.", "”.")  # of an answer without a model: of the first in a thread, of the others
GROWTH = 20  # MB, from n to 10 n
STATEROOM = (sys.executable, "-m", "stateroom")
ITEMS = Definition("shop", "id", {"id": Attribute("string", required=True), "n": Attribute("integer")})
MODULE = """
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition

SHOP = Definition("shop", "id", {"id": Attribute("string", required=True), "n": Attribute("integer")})
"""
TRAFFIC = """
import asyncio, sys
import stateroom as sr
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import StoreUnavailable

SHOP = Definition("shop", "id", {"id": Attribute("string", required=True), "n": Attribute("integer")})

async def main(url, name):
    words = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "hello"}]}]
    async with sr.open(url) as store:
        shop = store.team("T00000001").items(SHOP)
        thread = store.team("T00000001").thread("C00000001", "1700000000.000100")
        number = 0
        while True:
            number += 1
            try:
                await shop.put({"id": f"{name}{number:06d}", "n": number})
                await shop.update("sum", add={"n": 1})
                at = await thread.append(words, turn_id=f"{name}{number}")
                if number % 3 == 0:
                    await shop.delete(f"{name}{number - 1:06d}")
            except StoreUnavailable as refused:
                if refused.reason == "busy":  # others had the file for long
                    continue
                print("refused", refused.reason, flush=True)
                return
            print(f"{name} {number} {at}", flush=True)
            await asyncio.sleep(0.005)

asyncio.run(main(*sys.argv[1:]))
"""
# A cut-over that stands still behind its freeze, as if somebody worked on for ever.
STANDS = """
import asyncio
from stateroom.cli import main
from stateroom.layers import copy_cutover

copy_cutover._until_over = lambda *_: asyncio.Event().wait()
main()
"""


@pytest.fixture
def slack(tmp_path: Path) -> Iterator[LocalSlack]:
    """Slack whose minute of waiting for the next delivery is three seconds.

    It drops no event while a bot is exchanged, and ends no stream of one that stands still, however long that takes.
    """
    kept = f"sqlite:///{tmp_path}/slack.db"
    with local_slack(time_scale=0.05, state=kept, stream_idle_seconds=1e6) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql", "dynamodb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/target.db"
        return
    fresh, drop = (
        (fresh_schema, drop_schema) if request.param == "postgresql" else (dynamodb.fresh_table, dynamodb.drop_table)
    )
    url = fresh()
    yield url
    drop(url)


class Done:
    """A command that has ended."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code = process.returncode
        self.out, self.err = process.stdout, process.stderr

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def stateroom(*args: str, folder: Path, env: Mapping[str, str] | None = None, code: int = 0) -> Done:
    """Run a command to its end."""
    command = [*STATEROOM, *args]
    given = {**os.environ, **(env or {})}
    done = Done(
        subprocess.run(command, capture_output=True, text=True, cwd=folder, env=given, timeout=120, check=False)
    )
    assert done.code == code, (done.code, done.out[-2000:], done.err[-2000:])
    return done


async def off(*args: str, folder: Path, code: int = 0) -> Done:
    """The same, while this loop goes on."""
    return await asyncio.to_thread(stateroom, *args, folder=folder, code=code)


class Bots:
    """Bots on one Slack, each on a store."""

    def __init__(self, slack: LocalSlack, folder: Path, begin: Callable[..., Child]) -> None:
        self.slack, self.folder, self._begin, self._count = slack, folder, begin, 0

    def serve(self, url: str, *more: str, **settings: str) -> Child:
        """Ingress and worker; Slack's events go there from now on."""
        self._count += 1
        log = self.folder / f"{self._count}.log"
        child = self._begin(["serve", "--port", "0", *more], environment(self.slack, url, **settings), log)
        self.slack.register(f"{child.url}/slack/events")
        return child

    def answers(self, ts: str, count: int = 1) -> list[dict[str, Any]]:
        """The answers, once there are `count` and all are whole: a mended stream is ended first and then filled."""
        found = self.slack.replies(ts)
        whole = [m for m in found if not m.get("streaming") and m["text"].rstrip().endswith(ENDS)]
        return found if len(whole) == len(found) >= count else []


@pytest.fixture
def bots(slack: LocalSlack, tmp_path: Path) -> Iterator[Bots]:
    with children() as begin:
        yield Bots(slack, tmp_path, begin)


async def test_the_pages_commands_move_a_running_bot_that_then_answers_its_old_threads(
    bots: Bots, target: str, tmp_path: Path
) -> None:
    commands = [
        line.strip()
        for block in re.findall(r"```shell\n(.*?)```", PAGE, re.DOTALL)
        for line in block.splitlines()
        if line.strip()
    ]
    assert [next(f for f in ("--dry-run", "--verify", "--cutover", "--unfreeze") if f in c) for c in commands] == [
        "--dry-run",
        "--verify",
        "--cutover",
        "--unfreeze",
    ]
    source = f"sqlite:///{tmp_path}/state.db"
    bot = bots.serve(source)
    ts = bots.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: bots.answers(ts), 60)
    said: list[str] = []
    for command in commands[:3]:
        name, *args = [part.strip('"').replace("$TARGET", target) for part in command.split()]
        assert name == "stateroom"
        done = await off(*args, folder=tmp_path, code=int("--dry-run" in args and "sqlite" not in target))
        said.append(done.out)
    assert "rows" in said[0]
    assert "the same in" in said[1]
    assert "switched" in said[2]
    (setting,) = re.findall(r"STATEROOM_STORE=(\S+)", said[2])
    assert setting == target or "PASSWORD" in setting
    meanwhile = bots.slack.say(f"{MENTION} {WORD} meanwhile", thread_ts=ts)  # the old bot says 503
    await eventually(lambda: [d for d in bots.slack.deliveries() if d.get("status") == 503], 60)
    bot.process.terminate()
    assert bot.process.wait(12) == 0
    bots.serve(target)
    await eventually(lambda: bots.answers(ts, 2), 60)
    first, second = bots.answers(ts, 2)
    assert "first turn" in first["text"]
    assert "one earlier turn" in second["text"], "the history came along"
    later = bots.slack.say(f"{WORD} again", thread_ts=ts)
    await eventually(lambda: bots.answers(ts, 3), 60)
    assert "2 earlier turns" in bots.answers(ts, 3)[2]["text"]
    async with Store(target) as store:
        thread = store.team(TEAM).thread(CHANNEL, ts)

        async def kept() -> list[str]:
            return [entry.turn_id for entry in (await thread.entries()).items]

        asked = [f"{CHANNEL}:{one}" for one in (ts, meanwhile, later)]
        ends = time.monotonic() + 20
        while (found := await kept()) != asked and time.monotonic() < ends:  # a turn is kept after its answer was shown
            await asyncio.sleep(0.05)
        assert found == asked
    stateroom(*commands[3].split()[1:], folder=tmp_path)
    async with Store(source) as store:
        await store.team(TEAM).items(ITEMS).put({"id": "writes again", "n": 1})


async def test_a_bot_moves_its_conversations_into_a_bucket_and_goes_on(bots: Bots, tmp_path: Path) -> None:
    """The mixed store, as the page has it: a cut-over of everything, then the threads of the frozen source."""
    source, target, bucket = (
        f"sqlite:///{tmp_path}/source.db",
        f"sqlite:///{tmp_path}/target.db",
        f"file://{tmp_path}/b",
    )
    threads = ("--datastore", "sr_threads", "--datastore", "sr_entries", "--verify", "--json")
    assert "--datastore sr_threads --datastore sr_entries --verify" in PAGE
    bot = bots.serve(source)
    ts = bots.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: bots.answers(ts), 60)
    await off("copy", "--from", source, "--to", target, "--cutover", folder=tmp_path)
    assert (await off("copy", "--from", source, "--to", bucket, *threads, folder=tmp_path)).lines[-1]["same"]
    bot.process.terminate()
    assert bot.process.wait(12) == 0
    bots.serve(target, STATEROOM_THREADS=bucket)
    bots.slack.say(f"{MENTION} {WORD} again", thread_ts=ts)
    await eventually(lambda: bots.answers(ts, 2), 60)
    assert "one earlier turn" in bots.answers(ts, 2)[1]["text"], "the history is in the bucket"
    back = await off("copy", "--from", bucket, "--to", f"sqlite:///{tmp_path}/back.db", *threads, folder=tmp_path)
    assert back.lines[-1]["same"]
    whole = await off("copy", "--from", source, "--to", f"{bucket}2", "--dry-run", "--json", folder=tmp_path, code=1)
    assert {one["datastore"] for one in whole.lines[0]["lacks"]} == bot_tables()


@pytest.mark.parametrize("target", ["sqlite", "postgresql"], indirect=True)
async def test_a_copy_under_traffic_killed_twice_loses_nothing(target: str, tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/source.db"
    async with Store(source) as store:
        items = store.team(TEAM).items(ITEMS)
        for start in range(0, 6000, 500):
            (await items.bulk_put([{"id": f"old{n:05d}", "n": n} for n in range(start, start + 500)])).check()
    writers = [
        subprocess.Popen([sys.executable, "-c", TRAFFIC, source, name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    chance = random.Random(7)
    try:
        for rows, more in ((1, 0.5), (6000, 2.0)):  # once in the first pass, once while it follows
            copying = subprocess.Popen(
                [*STATEROOM, "copy", "--from", source, "--to", target, "--migrate", "--throttle", "4000", "--follow"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            await eventually(lambda rows=rows: rows_of(target, "items_shop") >= rows, 60)
            await asyncio.sleep(chance.uniform(0, more))
            assert copying.poll() is None
            copying.kill()
            copying.wait()
        await eventually(lambda: said_in(tmp_path / "source.db") > 110, 60)
        done = await off("copy", "--from", source, "--to", target, "--cutover", "--json", folder=tmp_path)
    finally:
        told = await asyncio.gather(*(asyncio.to_thread(_ended, writer) for writer in writers))
    assert done.lines[-1]["same"] is True
    acknowledged = [line.split() for lines in told for line in lines if not line.startswith("refused")]
    assert all("refused frozen" in lines[-1] for lines in told), "they were writing until the freeze"
    assert len(acknowledged) > 100
    async with Store(target) as store:
        thread = store.team(TEAM).thread(CHANNEL, "1700000000.000100")
        numbers = {}
        after: int | None = 0
        while after is not None:
            found = await thread.entries(after=after, limit=1000)
            numbers |= {entry.turn_id: entry.number for entry in found.items}
            after = found.cursor
        items = store.team(TEAM).items(ITEMS)
        for name, number, at in acknowledged:
            assert numbers[f"{name}{number}"] == int(at)
        assert sorted(numbers.values()) == list(range(1, len(numbers) + 1))
        total = await items.get("sum")
        assert total is not None
        assert total["n"] >= len(acknowledged)
        kept = {item["id"] async for item in items.scan()}
        assert {f"old{n:05d}" for n in range(6000)} <= kept
        for name, number, _ in acknowledged:
            if int(number) % 3 != 2:  # every third takes the one before it away
                assert f"{name}{int(number):06d}" in kept
            elif [name, str(int(number) + 1)] in [one[:2] for one in acknowledged[-50:]]:
                assert f"{name}{int(number):06d}" not in kept


async def test_a_cut_over_killed_while_frozen_is_undone_or_goes_on(tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path}/source.db", f"sqlite:///{tmp_path}/target.db"
    async with Store(source) as store:
        items = store.team(TEAM).items(ITEMS)
        (await items.bulk_put([{"id": f"k{n:05d}", "n": n} for n in range(3000)])).check()
        cut = ("copy", "--from", source, "--to", target, "--cutover", "--json")
        cutting = subprocess.Popen([sys.executable, "-c", STANDS, *cut], stdout=subprocess.DEVNULL)
        await eventually(lambda: frozen(tmp_path / "source.db"), 60)
        cutting.kill()
        assert cutting.wait() == -9
        with pytest.raises(StoreUnavailable, match="frozen while it moves") as refused:
            await items.put({"id": "late", "n": 1})
        assert (refused.value.reason, refused.value.retryable) == ("frozen", True)
        assert await items.get("k00001") == {"id": "k00001", "n": 1}
        thawed = await off("copy", "--from", source, "--unfreeze", "--json", folder=tmp_path)
        assert thawed.lines == [{"unfrozen": True}]
        await items.put({"id": "late", "n": 1})
        done = await off(*cut, folder=tmp_path)
        assert done.lines[-1]["same"] is True
        with pytest.raises(StoreUnavailable):
            await items.put({"id": "later", "n": 1})
    async with Store(target) as store:
        assert await store.team(TEAM).items(ITEMS).count() == 3001
        await store.team(TEAM).items(ITEMS).put({"id": "later", "n": 1})


async def test_a_copy_that_is_stopped_says_so_and_goes_on_at_the_next_call(tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path}/source.db", f"sqlite:///{tmp_path}/target.db"
    async with Store(source) as store:
        (await store.team(TEAM).items(ITEMS).bulk_put([{"id": f"k{n:05d}", "n": n} for n in range(3000)])).check()
    command = ("copy", "--from", source, "--to", target, "--json")
    stopped = subprocess.Popen([*STATEROOM, *command, "--throttle", "300"], stdout=subprocess.PIPE, text=True)
    await eventually(lambda: rows_of(target, "items_shop") > 0, 60)
    stopped.terminate()
    out, _ = stopped.communicate(timeout=30)
    assert (stopped.returncode, "run the same command again" in out) == (1, True)
    assert rows_of(target, "items_shop") < 3000
    assert (await off(*command, "--verify", folder=tmp_path)).lines[-1]["same"] is True


def test_two_names_of_one_file_are_one_store(tmp_path: Path) -> None:
    async def make() -> None:
        async with Store(f"sqlite:///{tmp_path}/a.db") as store:
            await store.team(TEAM).items(ITEMS).put({"id": "a", "n": 1})

    asyncio.run(make())
    os.link(tmp_path / "a.db", tmp_path / "b.db")
    done = stateroom("copy", "--from", "sqlite:///a.db", "--to", "sqlite:///b.db", folder=tmp_path, code=2)
    assert "same store" in done.err
    found = stateroom("datastore", "count", "shop", "--team", TEAM, "--store", "sqlite:///a.db", folder=tmp_path)
    assert "1" in found.out


def other_words(url: str, folder: Path) -> str:
    """Another URL of the same store, which no reading of URLs would take for it."""
    if url.startswith("postgresql"):
        return f"{url}&application_name=other"
    if url.startswith("dynamodb"):
        return url.replace("127.0.0.1", "localhost")
    (folder / "link").symlink_to(folder / "objects")
    return f"file://{folder}/link"


@pytest.mark.parametrize("kind", ["postgresql", "dynamodb", "file"])
async def test_two_urls_of_one_store_are_found_out_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    fresh = {"postgresql": fresh_schema, "dynamodb": dynamodb.fresh_table, "file": lambda: f"file://{tmp_path}/objects"}
    url = fresh[kind]()
    async with Store(url, migrating=True) as store:
        if kind != "file":
            await store.migrate([ITEMS], apply=True)
        await store.team(TEAM).items(ITEMS).put({"id": "a", "n": 1})
    other = other_words(url, tmp_path)
    assert other != url
    for words in (("--datastore", "shop"), ("--cutover",)) if kind != "file" else (("--datastore", "shop"),):
        done = await off("copy", "--from", url, "--to", other, *words, folder=tmp_path, code=2)
        assert "--from and --to are the same store" in done.err
    dry = await off("copy", "--from", url, "--to", other, "--datastore", "shop", "--dry-run", folder=tmp_path, code=1)
    assert "refused: the target has rows of shop already" in dry.out
    told = {
        "dynamodb": "cut-over: its freeze takes 30 s",
        "file": "cut-over: there is none from file: stop what writes",
    }
    assert told.get(kind, "datastore") in dry.out.replace("Datastore", "datastore")
    async with Store(url, migrating=True) as store:
        assert await store.team(TEAM).items(ITEMS).get("a") == {"id": "a", "n": 1}
        assert await store.team(TEAM).items(ITEMS).put({"id": "b", "n": 2}), "it was not frozen"
        (row,) = (await store.raw.query(Query(leases.TABLE.name, EVERYWHERE, 5))).rows
        assert (row.id, row.item["holder"]) == ("copy", "")
    if kind != "file":
        (drop_schema if kind == "postgresql" else dynamodb.drop_table)(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:sesame@h/x",
        "postgresql://u@h/x?password=sesame&sslpassword=sesame",
        "postgresql:///?password=sesame",
    ],
)
def test_a_stores_url_is_shown_and_noted_without_its_passwords(url: str) -> None:
    assert "sesame" not in copy_shown.safe(url) + copy_shown.place(url)
    assert "PASSWORD" in copy_shown.safe(url)


def frozen(path: Path) -> bool:
    """Whether an SQLite file refuses writes."""
    asked = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'frozen_*'"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return bool(file.execute(asked).fetchone()[0])


def said_in(path: Path) -> int:
    """How often the writers have said something."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        found = file.execute("SELECT json_extract(item, '$.n') FROM items_shop WHERE id = 'sum'").fetchone()
        return int(found[0]) if found else 0


def rows_of(url: str, table: str) -> int:
    """How many rows a table has by now, by the database's own client; 0 while it is not there."""
    if url.startswith("postgresql"):
        conninfo, schema, *_ = read_url(url)
        with psycopg.connect(conninfo) as server, contextlib.suppress(psycopg.errors.UndefinedTable):
            return int(server.execute(f'SELECT count(*) FROM "{schema}".{table}').fetchone()[0])  # type: ignore[index]
        return 0
    path = url.removeprefix("sqlite:///")
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file,
    ):
        return int(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    return 0


def _ended(writer: subprocess.Popen[str]) -> list[str]:
    try:
        out, _ = writer.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        writer.kill()
        out, _ = writer.communicate()
    return out.splitlines()


async def inbox_of(store: Store) -> dict[str, Any]:
    """The turns in the inbox, each by the `ts` of its message."""
    found = await store.raw.query(Query(INBOX.name, TEAM, 50))
    return {row.id.partition(":")[2]: row.item for row in found.rows}


async def until_done(url: str, ts: str) -> None:
    """Wait until a turn is done, which it is some time after its answer is there to be read."""
    ends = time.monotonic() + 60
    async with Store(url) as store:
        while (state := (await inbox_of(store)).get(ts, {}).get("state")) != "done":
            assert time.monotonic() < ends, state
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("way", "target"),
    [("copied", "postgresql"), ("restored", "sqlite"), ("in-place", "sqlite")],
    indirect=["target"],
    ids=["copied", "restored", "in-place"],
)
async def test_a_copied_or_restored_inbox_answers_nothing_again_and_new_messages_all_the_same(
    bots: Bots, way: str, target: str, tmp_path: Path
) -> None:
    """Done turns, and one that was being answered when the copy or the backup was made, without a cut-over."""
    source = f"sqlite:///{tmp_path}/source.db"
    bot = bots.serve(source, STATEROOM_OFFLINE_PACE="0.1", STATEROOM_LEASE_SECONDS="8")
    ts = bots.slack.say(f"{MENTION} {WORD}")
    await until_done(source, ts)
    running = bots.slack.say(f"{MENTION} {WORD} slowly")
    await eventually(lambda: bots.slack.replies(running), 60)
    bot.pause(tmp_path / "source.db")  # however long the copy takes
    if way != "copied":
        source = target if way == "in-place" else f"sqlite:///{tmp_path}/backup.db"
        with (
            contextlib.closing(sqlite3.connect(tmp_path / "source.db")) as file,
            contextlib.closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as backup,
        ):
            file.backup(backup)
    else:
        await off("copy", "--from", source, "--to", target, "--migrate", folder=tmp_path)
    assert not bots.answers(running), "it was being answered all the while"
    bot.resume()
    await eventually(lambda: bots.answers(running), 60)
    bot.process.terminate()
    bot.process.wait(12)
    calls = len(bots.slack.calls("chat.startStream"))
    if way == "restored":
        await off("copy", "--from", source, "--to", target, folder=tmp_path)
    if way == "in-place":
        hold = [*STATEROOM, "turns", "hold", "--store", target]  # refused until the lease that is in the backup is over
        await eventually(lambda: subprocess.run(hold, capture_output=True, check=False).returncode == 0, 60)
    other = bots.serve(target)
    for number, message in enumerate((ts, running)):  # Slack delivers both again
        body = envelope(mention(WORD, message), event_id=f"EvAGAIN{number}")
        assert (await post_async(other.url, body))[0] == 200
    fresh = bots.slack.say(f"{MENTION} {WORD} fresh", thread_ts=running)
    await eventually(lambda: bots.answers(running, 2), 60)
    await until_done(target, fresh)
    assert len(bots.slack.replies(ts)) == 1
    assert len(bots.slack.replies(running)) == 2
    assert len(bots.slack.calls("chat.startStream")) == calls + 1, "only the new message was answered"
    async with Store(target) as store:
        rows = await inbox_of(store)
    assert rows[ts]["state"] == "done"
    assert "held" in rows[running]
    assert rows[fresh]["state"] == "done"


async def test_a_copy_that_has_lost_its_turn_ends_before_it_writes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_alone, "LEASE", 0.3)
    source, target = MemoryEngine(time.time), MemoryEngine(time.time)
    await source.open()
    await target.open()
    await target.apply([leases.TABLE])

    async def overtaken() -> None:
        async with copy_alone.alone(source, target, lambda _: None):
            await target.commit([Update(leases.TABLE.name, EVERYWHERE, "copy", set={"until": 0})])
            assert await leases.acquire(target, time.time, EVERYWHERE, "copy", holder="other", seconds=60)
            await asyncio.sleep(20)

    with pytest.raises(WrongUse, match="another copy has gone on"):
        await overtaken()
    monkeypatch.setattr(copy_alone, "LEASE", -1.9)
    with pytest.raises(WrongUse, match="is running"):
        await overtaken()


async def test_hosted_items_come_out_and_go_in(tmp_path: Path) -> None:
    (tmp_path / "shop_copy.py").write_text(MODULE)
    with slack_hosted.hosting("shop", attributes={"n": {"type": "integer"}}) as (_, url, token):
        engine = SlackHostedEngine(url, Clock(), token)
        await engine.open()
        engine.know("shop", "id", None)
        await asyncio.gather(
            *(engine.commit([Put("shop", TEAM, f"k{n:03}", {"id": f"k{n:03}", "n": n})]) for n in range(60))
        )
        env = {
            "SLACK_SERVICE_TOKEN": token,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        }
        file, args = f"sqlite:///{tmp_path}/out.db", ("--definitions", "shop_copy", "--verify", "--json")
        reading = url.replace("&write=1", "")

        def copy(source: str, target: str, *more: str, code: int = 0) -> Done:
            return stateroom(
                "copy", "--from", source, "--to", target, *args, *more, folder=tmp_path, env=env, code=code
            )

        done = await asyncio.to_thread(copy, reading, file)
        assert done.lines[-1]["same"] is True
        async with Store(file) as store:
            assert await store.team(TEAM).items(ITEMS).count() == 60
            await store.team(TEAM).items(ITEMS).delete("k007")
            await store.team(TEAM).items(ITEMS).put({"id": "k100", "n": 100})
        refused = await asyncio.to_thread(copy, file, url, "--datastore", "shop", "--dry-run", code=0)
        assert refused.lines[-1]["rows"] == 60
        done = await asyncio.to_thread(copy, file, url, "--datastore", "shop")
        assert done.lines[-1]["same"] is True
        rows = await engine.get("shop", TEAM, ["k007", "k008", "k100"])
        assert [row is not None for row in rows] == [False, True, True]
        cut = await asyncio.to_thread(copy, reading, f"sqlite:///{tmp_path}/cut.db", "--cutover", code=1)
        assert "a cut-over: stop what writes there, then copy with --verify" in cut.out + cut.err
        whole = await asyncio.to_thread(copy, file, url, code=1)
        assert "cannot hold" in whole.out or "holds users' datastores alone" in whole.out
        assert token not in done.out + done.err + whole.out + whole.err
        await engine.close()


def test_a_dry_run_writes_nothing_and_names_what_is_lacking(tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/source.db"

    async def fill() -> None:
        async with Store(source) as store:
            await store.team(TEAM).items(ITEMS).put({"id": "a", "n": 1})
            large = Definition("large", "id", {"id": Attribute("string"), "text": Attribute("string")})
            await store.team(TEAM).items(large).put({"id": "a", "text": "x" * 500_000})

    asyncio.run(fill())
    before = (tmp_path / "source.db").read_bytes()
    url = dynamodb.fresh_table()
    done = stateroom("copy", "--from", source, "--to", url, "--dry-run", "--json", folder=tmp_path, code=1)
    (plan,) = done.lines
    assert {"large"} == {one["datastore"] for one in plan["lacks"] if one["loses"]}
    assert "393216 bytes" in str(plan["lacks"])
    assert plan["rows"] >= 2
    assert plan["calls"] >= 2
    assert plan["steps"]
    refused = stateroom("copy", "--from", source, "--to", url, "--migrate", folder=tmp_path, code=1)
    assert "large" in refused.err
    stateroom("copy", "--from", source, "--to", f"sqlite:///{tmp_path}/new.db", "--dry-run", folder=tmp_path)
    assert not (tmp_path / "new.db").exists()
    assert (tmp_path / "source.db").read_bytes() == before
    dynamodb.drop_table(url)


@pytest.mark.parametrize(
    ("args", "words", "code"),
    [
        (("--to", "sqlite:///./a.db"), "same store", 2),
        ((), "--to", 2),
        (("--to", "sqlite:///b.db", "--follow", "--cutover"), "one of", 2),
        (("--to", "sqlite:///b.db", "--datastore", "none"), "no datastore none", 1),
        (("--to", "sqlite:///b.db", "--datastore", "shop", "--cutover"), "whole stores", 2),
        (("--to", "postgresql://u:hunter2@127.0.0.1:9/x"), "cannot be reached", 1),
        (("--to", "postgresql://u:hun@ter@hunter2@127.0.0.1:9/x"), "cannot be read", 2),
        (("--to", "dynamodb://eu-central-1/table?endpoint=127.0.0.1:9"), "?endpoint= is an address", 2),
        (("--from", "file:///not/there", "--to", "sqlite:///b.db"), "no such folder", 1),
        (("--to", "memory://"), "memory:// is empty in each new process", 2),
        (("--to", "memory://", "--dry-run"), "memory:// is empty in each new process", 2),
        (("--from", "memory://", "--to", "sqlite:///b.db"), "name a store that stays", 2),
        (("--from", "memory://", "--unfreeze"), "name a store that stays", 2),
        (("--from", "slack://?app_id=A1234", "--to", "slack://?write=1&app_id=A1234"), "same store", 2),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, args: tuple[str, ...], words: str, code: int) -> None:
    async def make() -> None:
        async with Store(f"sqlite:///{tmp_path}/a.db") as store:
            await store.team(TEAM).items(ITEMS).put({"id": "a", "n": 1})

    asyncio.run(make())
    done = stateroom("copy", "--from", "sqlite:///a.db", *args, folder=tmp_path, code=code)
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert "hunter2" not in done.err


MEASURED = """
import atexit, pathlib, sys
from stateroom.cli import main
atexit.register(lambda: sys.stderr.write(pathlib.Path("/proc/self/status").read_text()))
main()
"""


def peak(folder: Path, *args: str) -> float:
    """The greatest memory of a copy, in MB."""
    command = [sys.executable, "-c", MEASURED, "copy", *args, "--verify", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


SIZES = [("postgresql", 20_000), ("dynamodb", 200)]  # 200,000: a million does not fit into a minute
FULL = [("sqlite", 100_000), ("postgresql", 100_000)]


@pytest.mark.parametrize(
    ("target", "rows"), [*SIZES, *(pytest.param(*one, marks=pytest.mark.soak) for one in FULL)], indirect=["target"]
)
def test_a_copy_of_ten_times_the_rows_takes_no_more_memory(target: str, rows: int, tmp_path: Path) -> None:
    async def fill(url: str, count: int) -> None:
        async with Store(url) as store:
            await store.team(TEAM).items(ITEMS).get("none")
            for start in range(0, count, 5000):
                part = range(start, min(count, start + 5000))
                await store.raw.commit([Put("shop", TEAM, f"k{n:07d}", {"id": f"k{n:07d}", "n": n}) for n in part])

    found = []
    for count in (rows, 10 * rows):
        asyncio.run(fill(f"sqlite:///{tmp_path}/source{count}.db", count))
        to = target.replace("target.db", f"target{count}.db") if "sqlite" in target else target
        if count != rows and "sqlite" not in target:
            (drop_schema if "postgresql" in target else dynamodb.drop_table)(target)
        found.append(peak(tmp_path, "--from", f"sqlite:///source{count}.db", "--to", to, "--migrate"))
    print(f"copy of {rows} and {10 * rows} rows: {found[0]:.0f} and {found[1]:.0f} MB")
    assert found[1] - found[0] <= GROWTH, found
