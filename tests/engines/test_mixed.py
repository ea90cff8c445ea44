"""The mixed store: conversations in objects, all else on another engine, as one store to every layer and command.

The bucket is a folder here where nothing of the bucket's kind matters; SeaweedFS and the bot are in tests/bot.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stateroom.cli import main
from stateroom.engines.mixed import MixedEngine
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Append, Check, Engine, Put, Query, Write, Written
from stateroom.engines.sqlite import SqliteEngine
from stateroom.layers.retention import sweep
from stateroom.layers.threads_entries import ENTRIES, THREADS
from stateroom.layers.walking import Pace
from stateroom.model.attributes import Attribute
from stateroom.model.content import Content
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed, StoreUnavailable
from stateroom.store import Store, own_tables
from support import postgres
from support.dynamodb import drop_table, fresh_table, self_made
from support.handles import Frozen

pytestmark = pytest.mark.service
TEAM, OTHER, CHANNEL, TS = "T00000001", "T00000002", "C00000001", "1700000000.000100"
KEY = "k1:" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
THING = Definition(name="things", key="id", attributes={"id": Attribute("string", required=True)})
NAMES = frozenset({THREADS.name, ENTRIES.name})


def said(text: str) -> list[dict[str, Any]]:
    return [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": text}]}]


MAINS = ("sqlite", "postgresql", "dynamodb")
SERVERS = {"postgresql": (postgres.fresh_schema, postgres.drop_schema), "dynamodb": (fresh_table, drop_table)}


async def migrate(url: str) -> None:
    async with Store(url, migrating=True) as store:
        await store.migrate([THING], apply=True)


@pytest.fixture
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The store and the bucket; the store's engine is the parameter, else SQLite."""
    bucket, kind = f"file://{tmp_path}/bucket", getattr(request, "param", "sqlite")
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db", bucket
        return
    fresh, drop = SERVERS[kind]
    url = fresh()
    asyncio.run(migrate(url))
    yield url, bucket
    drop(url)


@pytest.fixture
async def store(urls: tuple[str, str], clock: Frozen) -> AsyncIterator[Store]:
    async with Store(urls[0], threads=urls[1], clock=clock) as found:
        yield found


def objects_of(tmp_path: Path) -> list[str]:
    return [path.relative_to(tmp_path / "bucket").as_posix() for path in (tmp_path / "bucket").rglob("*.json")]


@pytest.mark.parametrize("urls", MAINS, indirect=True)
async def test_conversations_are_in_the_bucket_and_everything_else_is_in_the_store(
    store: Store, urls: tuple[str, str], tmp_path: Path
) -> None:
    thread = store.team(TEAM).thread(CHANNEL, TS)
    assert [await thread.append(said(f"hello {n}"), turn_id=f"Ev{n}") for n in (1, 2, 1)] == [1, 2, 1]
    await store.team(TEAM).items(THING).put({"id": "a"})
    assert (await thread.messages()).entries == 2
    keys = objects_of(tmp_path)
    assert f"threads/{TEAM}/{CHANNEL}/{TS}/0000000001.json" in keys
    assert not [key for key in keys if "things" in key or "sr_inbox" in key]
    async with Store(urls[0], clock=store.clock) as alone:
        assert await alone.team(TEAM).thread(CHANNEL, TS).count() == 0
        assert await alone.team(TEAM).items(THING).get("a") is not None
    async with Store(urls[1], clock=store.clock) as bucket:
        assert await bucket.team(TEAM).thread(CHANNEL, TS).count() == 2


async def test_threads_are_listed_shown_and_erased_by_team(store: Store) -> None:
    for team in (TEAM, OTHER):
        await store.team(team).thread(CHANNEL, TS).append(said("words"), turn_id="Ev1")
    await store.team(TEAM).thread(CHANNEL, "1700000001.000100").append(said("more"), turn_id="Ev2")
    listed = await store.team(TEAM).threads.list()
    assert [(info.thread_ts, info.turns) for info in listed.items] == [(TS, 1), ("1700000001.000100", 1)]
    assert await store.team(TEAM).thread(CHANNEL, TS).erase() == 1
    assert [info.thread_ts for info in (await store.team(TEAM).threads.list()).items] == ["1700000001.000100"]
    assert await store.team(OTHER).thread(CHANNEL, TS).count() == 1


def run(urls: tuple[str, str], *arguments: str, given: str = "") -> tuple[int, str]:
    environment = {"STATEROOM_STORE": urls[0], "STATEROOM_THREADS": urls[1], "STATEROOM_LOG_LEVEL": "error"}
    done = CliRunner().invoke(main, list(arguments), env=environment, input=given)
    return done.exit_code, done.stdout


async def test_commands_see_one_store(store: Store, urls: tuple[str, str], tmp_path: Path) -> None:
    for n in (1, 2):
        await store.team(TEAM).thread(CHANNEL, TS).append(said(f"words {n}"), turn_id=f"Ev{n}", author="U00000001")

    def commands() -> None:
        code, exported = run(urls, "threads", "export")
        assert code == 0
        assert [json.loads(line)["turn_id"] for line in exported.splitlines()] == ["Ev1", "Ev2"]
        other = (f"sqlite:///{tmp_path}/other.db", f"file://{tmp_path}/other")
        (tmp_path / "lines").write_text(exported)
        assert run(other, "threads", "import", str(tmp_path / "lines"))[0] == 0
        assert run(other, "threads", "export")[1] == exported
        assert run(urls, "threads", "list", "--json")[0] == 0
        assert run(urls, "migrate", "status")[0] == 0
        code, told = run(urls, "erase", "--user", "U00000001", "--team", TEAM, "--yes")
        assert code == 0, told
        assert "words" not in run(urls, "threads", "export")[1]

    await asyncio.to_thread(commands)
    words = [p for p in (tmp_path / "bucket").rglob("*.json") if "words" in p.read_text()]
    assert words == []


@pytest.mark.parametrize("urls", MAINS, indirect=True)
async def test_what_has_expired_is_swept_from_the_bucket(urls: tuple[str, str], clock: Frozen, tmp_path: Path) -> None:
    async with Store(urls[0], threads=urls[1], clock=clock, content=Content.parse("ttl:1h")) as store:
        thread = store.team(TEAM).thread(CHANNEL, TS)
        for n in range(6):
            await thread.append(said(f"words {n}"), turn_id=f"Ev{n}")
        clock.advance(3601)
        await thread.append(said("later"), turn_id="Ev6")
        assert (await thread.messages()).entries == 1
        done = await sweep(store.raw, own_tables(), Pace(clock))
        assert {t.datastore: t.removed for t in done.tables}[ENTRIES.name] == 6
        again = await sweep(store.raw, own_tables(), Pace(clock))
        assert {t.datastore: t.seen for t in again.tables}[ENTRIES.name] == 0
        assert await thread.append(said("again"), turn_id="Ev0") == 1
        assert await thread.append(said("new"), turn_id="Ev7") == 8
    assert not [p for p in (tmp_path / "bucket").rglob("*.json") if "words" in p.read_text()]


async def test_words_are_sealed_in_the_bucket(urls: tuple[str, str], tmp_path: Path, clock: Frozen) -> None:
    async with Store(urls[0], threads=urls[1], clock=clock, keys=KEY, encrypt_content=True) as store:
        thread = store.team(TEAM).thread(CHANNEL, TS)
        for n in range(5):
            await thread.append(said(f"heron {n}"), turn_id=f"Ev{n}")
        assert (await thread.messages(limit=2)).messages == [*said("heron 3"), *said("heron 4")]
    texts = [path.read_text() for path in (tmp_path / "bucket").rglob("*.json")]
    assert len(texts) > 5
    assert not any("heron" in text for text in texts)


@pytest.fixture(params=MAINS)
def engine(request: pytest.FixtureRequest, tmp_path: Path, clock: Frozen) -> Iterator[Engine]:
    """The one beside the bucket; its tables make themselves."""
    if request.param == "sqlite":
        yield SqliteEngine(f"{tmp_path}/m.db", clock)
        return
    made: Any = {"postgresql": postgres.self_made, "dynamodb": self_made}[request.param]
    with made(clock) as found:
        yield found


async def beside(engine: Engine, tmp_path: Path, clock: Frozen) -> MixedEngine:
    mixed = MixedEngine(engine, ObjectsEngine(f"file://{tmp_path}/bucket", clock), NAMES)
    await mixed.open()
    await mixed.apply([t for t in own_tables() if t.name in {*NAMES, "sr_leases", "sr_progress"}])
    return mixed


def turn(number: int) -> Append:
    return Append(ENTRIES.name, TEAM, f"{CHANNEL}:{TS}", f"Ev{number}", {"n": number})


async def test_whoever_was_overtaken_appends_nothing(engine: Engine, tmp_path: Path, clock: Frozen) -> None:
    mixed = await beside(engine, tmp_path, clock)
    (held,) = await mixed.commit([Put("sr_leases", TEAM, "lane", {"token": 1})])
    assert held.row
    await mixed.commit([Put("sr_leases", TEAM, "lane", {"token": 2})])
    stale = Check("sr_leases", TEAM, "lane", if_version=held.row.version)
    with pytest.raises(ConditionFailed) as refused:
        await mixed.commit([turn(1), Put("sr_progress", TEAM, "done", {}), stale])
    assert refused.value.index == 2
    assert (await mixed.query(Query(ENTRIES.name, TEAM, 5, equals=(f"{CHANNEL}:{TS}",)))).rows == []
    await mixed.close()


async def test_a_process_that_dies_between_bucket_and_store_is_ended_by_the_next_one(
    engine: Engine, tmp_path: Path, clock: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = await beside(engine, tmp_path, clock)
    batch: list[Write] = [turn(1), Put("sr_progress", TEAM, "done", {}, if_version=0)]

    async def dead(writes: Sequence[Write]) -> list[Written]:
        raise StoreUnavailable("store", "io", "the process died", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "commit", dead)
        with pytest.raises(StoreUnavailable) as lost:
            await mixed.commit(batch)
    assert lost.value.maybe_applied
    assert await mixed.get("sr_progress", TEAM, ["done"]) == [None]
    appended, closed = await mixed.commit(batch)
    assert (appended.changed, appended.row and appended.row.version) == (False, 1)
    assert closed.changed
    await mixed.close()


def test_the_bot_refuses_a_bucket_for_its_inbox_and_says_what_to_do(tmp_path: Path) -> None:
    environment = {"STATEROOM_STORE": f"file://{tmp_path}/bucket", "SLACK_SIGNING_SECRET": "s", "SLACK_BOT_TOKEN": "t"}
    for command in (["serve", "--port", "0"], ["worker"]):
        done = CliRunner().invoke(main, command, env=environment)
        assert done.exit_code == 2
        assert "file cannot hold the bot's inbox" in done.output
        assert "STATEROOM_THREADS" in done.output
    assert not (tmp_path / "bucket").exists()
