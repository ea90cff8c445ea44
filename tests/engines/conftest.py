"""Which engines the conformance suite runs over here, and how each gets an empty store."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stateroom.engines.conformance import Clock, EngineCase, tables_for
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Engine
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.sqlite import SqliteEngine
from stateroom.store import Store
from support import objects, slack_hosted
from support.dynamodb import Quick, drop_table, fresh_table
from support.engines import Recorder, over
from support.handles import Frozen, opened
from support.pgbouncer import CannotStart, fresh_pooled
from support.postgres import drop_schema, fresh_schema
from support.reduced_engine import Reduced

for module in (
    "changes",
    "conditions",
    "crash",
    "expiry",
    "items",
    "lease",
    "logs",
    "pages",
    "races",
    "undeclared",
    "wakes",
):
    pytest.register_assert_rewrite(f"stateroom.engines.conformance.{module}")

SERVERS = {
    "postgresql": (fresh_schema, drop_schema),
    "pooled": (fresh_pooled, drop_schema),
    "dynamodb": (fresh_table, drop_table),
}
HANDLED = ("postgresql", "dynamodb")  # of the servers, those that tests of the handle run over
# moto takes a hundred times as long as DynamoDB; each row is a request; a pooler shows no more by repetition
SHARES = {"dynamodb": 0.06, "slack": 0.1, "pooled": 0.1}
SHARES |= {"seaweedfs": 0.05, "moto": 0.05, "azure": 0.05, "gcs": 0.05, "file": 0.2}
OVER_HTTP = {*SERVERS, "slack", "file", *objects.SERVERS}
OBJECTS = ("file", *objects.SERVERS)


# Tests of the handle that rest on what an engine does not declare: a log of changes, items of 400 KB.
BEYOND = {"[dynamodb]": ("no_item_of_400_kb",)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises", type=Path, help="write the table of promises that held into this page")


def pytest_configure(config: pytest.Config) -> None:
    page = config.getoption("--promises", None)
    if page is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(page))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [
        item
        for item in items
        if not any(mark in item.nodeid and one in item.nodeid for mark, names in BEYOND.items() for one in names)
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_case" in metafunc.fixturenames:
        chosen = [pytest.param(n, marks=pytest.mark.service if n in OVER_HTTP else ()) for n in over(metafunc.function)]
        metafunc.parametrize("engine_case", chosen, indirect=True)


@pytest.fixture
async def engine_case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineCase]:
    clock = Clock()
    path = str(tmp_path / "case.db")
    server = SERVERS.get(request.param)
    try:
        url = server[0]() if server else ""
    except CannotStart as error:
        request.getfixturevalue("cannot_start")(str(error))
    if request.param in objects.SERVERS:
        url = objects.fresh(request.param)
    elif request.param == "file":
        url = f"file://{tmp_path}/objects"
    app = slack_hosted.conformance_url() if request.param == "slack" else ("", "")
    makers = {
        "postgresql": lambda: PostgresEngine(url, clock),
        "pooled": lambda: PostgresEngine(url, clock),
        "dynamodb": lambda: Quick(url, clock),
        "slack": lambda: slack_hosted.Bare(app[0], clock, app[1]),
        "memory": lambda: MemoryEngine(clock),
        "sqlite": lambda: SqliteEngine(path, clock),
        "reduced": lambda: Reduced(clock),
        **dict.fromkeys(OBJECTS, lambda: ObjectsEngine(url, clock)),
    }
    opened: list[Engine] = []

    def sound() -> None:
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()

    async def make() -> Engine:
        for old in opened:
            await old.close()
        engine: Engine = makers[request.param]()
        await engine.open()
        await engine.apply(tables_for(engine.capabilities))
        opened.append(engine)
        return engine

    recipes = {
        "sqlite": ("stateroom.engines.sqlite:SqliteEngine", path),
        "postgresql": ("stateroom.engines.postgresql:PostgresEngine", url),
        "pooled": ("stateroom.engines.postgresql:PostgresEngine", url),
        "dynamodb": ("stateroom.engines.dynamodb:DynamoEngine", url),
        **dict.fromkeys(OBJECTS, ("stateroom.engines.objects:ObjectsEngine", url)),
    }
    is_file = request.param == "sqlite"
    share = SHARES.get(request.param, 1.0)
    recipe = recipes.get(request.param)
    yield EngineCase(await make(), clock, again=make, recipe=recipe, sound=sound if is_file else None, share=share)
    for engine in opened:
        await engine.close()
    if server:
        server[1](url)


@pytest.fixture
def clock() -> Frozen:
    return Frozen()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store's file, to be copied: making its tables takes longer than most tests."""
    folder = tmp_path_factory.mktemp("empty")

    async def make() -> None:
        async with opened("sqlite", folder, Frozen()):
            pass

    asyncio.run(make())
    return folder / "store.db"


@pytest.fixture(params=["memory", "sqlite", *(pytest.param(one, marks=pytest.mark.service) for one in HANDLED)])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Frozen, empty_file: Path
) -> AsyncIterator[Store]:
    """A store on each engine; `clock` moves its time."""
    if request.param == "sqlite":
        shutil.copy(empty_file, tmp_path / "store.db")
    async with opened(request.param, tmp_path, clock) as found:
        yield found
