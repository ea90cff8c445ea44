"""The engine on dynalite, which refuses what DynamoDB refuses: answers as of `evaluate`, rows as in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any, NoReturn

import pytest

from stateroom.engines.conformance import Clock
from stateroom.engines.conformance.conditions import World
from stateroom.engines.dynamodb_conditions import Foreign, Terms, expression
from stateroom.engines.dynamodb_values import wire
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Delete, Engine, Put, Query, Row, Table, TableIndex, Update, Write
from stateroom.expr.evaluate import evaluate
from stateroom.model.errors import ConditionFailed, InvalidValue, ItemTooLarge, StateroomError
from support import dynalite
from support.dynamodb import Quick

pytestmark = pytest.mark.service
TEAM = "T00000001"
# dynalite sorts texts by UTF-16, DynamoDB by UTF-8; and it takes an empty text and false for nothing.
ODD = ("\U0001f600", "''", "value=False", ": False", "[False", ", False")
TABLES = [Table("rows", expires=True, indexes=(TableIndex("rank", ("rank",)),))]


def plain(value: object) -> bool:
    """Whether dynalite reads it as DynamoDB does."""
    return not any(one in str(value) for one in ODD)


@pytest.fixture(scope="module")
def endpoint(cannot_start: Callable[[str], NoReturn]) -> Iterator[str]:
    try:
        with dynalite.running() as found:
            yield found
    except dynalite.CannotInstall as error:
        cannot_start(str(error))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def engine(endpoint: str, clock: Clock) -> AsyncIterator[Quick]:
    async with dynalite.opened(endpoint, clock, TABLES) as found:
        yield found


@pytest.fixture
async def memory(clock: Clock) -> MemoryEngine:
    found = MemoryEngine(clock)
    await found.open()
    await found.apply(TABLES)
    return found


def test_random_conditions_over_random_rows_are_answered_as_evaluate_answers_them(endpoint: str) -> None:
    """Each as the filter of a query of forty rows: some thousand answers."""
    asked, name = dynalite.client(endpoint), "filters"
    key = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    names = [{"AttributeName": one["AttributeName"], "AttributeType": "S"} for one in key]
    asked.create_table(TableName=name, KeySchema=key, AttributeDefinitions=names, BillingMode="PAY_PER_REQUEST")
    many = {f"r{n:02}": World(10_000 + n).row() for n in range(60)}
    rows = {row_id: row for row_id, row in many.items() if plain(row)}
    for row_id, row in rows.items():
        asked.put_item(TableName=name, Item={"pk": {"S": "p"}, "sk": {"S": row_id}, "item": wire(row)})
    said = 0
    for seed in range(700):
        condition, terms = World(seed).condition(), Terms()
        try:
            text = expression(condition, terms)
        except Foreign:
            continue
        if not plain(condition):
            continue
        said += 1
        part = f"{terms.name('pk')} = {terms.raw({'S': 'p'})}"
        found = asked.query(TableName=name, KeyConditionExpression=part, FilterExpression=text, **terms.asked())
        wanted = [row_id for row_id, row in rows.items() if evaluate(condition, row)]
        assert [row["sk"]["S"] for row in found["Items"]] == wanted, condition
    assert said > 100


async def outcome(engine: Engine, write: Write) -> Any:
    """What a write came to: its row, or its error with what it tells."""
    try:
        (done,) = await engine.commit([write])
    except ConditionFailed as error:
        return "failed", error.current
    except StateroomError as error:
        return type(error)
    return done.changed, None if done.row is None else done.row.item


def random_write(world: World) -> Write:
    """Any of the ways to write one of three rows."""
    dice = world.random
    row_id, condition = dice.choice("abc"), world.condition() if dice.random() < 0.6 else None
    guard = world.condition() if dice.random() < 0.2 else None
    expires = dice.choice((None, None, 5.0, 10.0**10))
    names = dice.sample(("a", "b", "c", "rank", "ü.x", 'q"'), 4)
    if dice.random() < 0.3:
        keep = condition is None and guard is None and dice.random() < 0.2
        return Put("rows", TEAM, row_id, {**world.row(), "rank": dice.randrange(5)}, expires, condition, keep=keep)
    if dice.random() < 0.15:
        return Delete("rows", TEAM, row_id, condition=condition)
    parts = {"set": {}, "add": {}, "append": {}}  # type: dict[str, dict[str, Any]]
    for name in names[:3]:
        kind = dice.choice(("set", "set", "add", "append"))
        value: Any = world.value() if kind == "set" else dice.choice((1, -3, 2**40, Decimal("0.5")))
        parts[kind][name] = [value] if kind == "append" else value
    gone = (names[3],) if dice.random() < 0.3 else ()
    same: Any = "same" if dice.random() < 0.7 else expires
    return Update(
        "rows", TEAM, row_id, **parts, remove=gone, base={"n": 1}, expires_at=same, condition=condition, guard=guard
    )


async def test_random_writes_come_to_what_they_come_to_in_memory(
    engine: Quick, memory: MemoryEngine, clock: Clock
) -> None:
    done = 0
    for seed in range(400):
        write = random_write(World(seed))
        if not plain([getattr(write, name, None) for name in ("item", "set", "append", "condition", "guard")]):
            continue
        here, there = await outcome(memory, write), await outcome(engine, write)
        assert there == here, write
        done += isinstance(here, tuple) and here[0] is True
        if seed % 40 == 0:
            await same_rows(engine, memory)
    assert done > 60
    await same_rows(engine, memory)


async def same_rows(engine: Engine, memory: Engine) -> None:
    def bare(row: Row | None) -> Any:
        return None if row is None else (row.id, row.item, row.expires_at)

    for query in (Query("rows", TEAM, 100), Query("rows", TEAM, 100, index="rank")):
        here, there = (await memory.query(query)).rows, (await engine.query(query)).rows
        assert [bare(row) for row in there] == [bare(row) for row in here]


async def test_what_is_larger_on_dynamodb_than_as_json_is_an_item_too_large(engine: Quick) -> None:
    """A small number is two characters of JSON and three bytes there."""
    many = [1] * 190_000
    with pytest.raises(ItemTooLarge):
        await engine.commit([Put("rows", TEAM, "a", {"many": many})])
    with pytest.raises(ItemTooLarge):
        await engine.commit([Put("rows", TEAM, "a", {"many": many}, if_version=0)])
    assert await engine.get("rows", TEAM, ["a"]) == [None]
    await engine.commit([Put("rows", TEAM, "a", {"many": many[:130_000]})])
    with pytest.raises(ItemTooLarge):
        await engine.commit([Update("rows", TEAM, "a", append={"many": many[:20_000]})])
    (row,) = await engine.get("rows", TEAM, ["a"])
    assert row is not None
    assert len(row.item["many"]) == 130_000


async def test_values_at_dynamodbs_limits_go_in_and_come_back(engine: Quick) -> None:
    deep: Any = "x"
    for _ in range(30):
        deep = [deep]
    item = {
        "digits": Decimal("1." + "2" * 37),
        "large": Decimal("9.9E+125"),
        "small": Decimal("1E-130"),
        "empty": ["", {}, [], None],
        "deep": deep,
        "name " * 50: "a long name",
    }
    await engine.commit([Put("rows", TEAM, "k" * 1024, item)])
    (row,) = await engine.get("rows", TEAM, ["k" * 1024])
    assert row is not None
    assert row.item == item
    with pytest.raises(InvalidValue):
        await engine.commit([Put("rows", TEAM, "k", {"deep": [[deep]]})])
    with pytest.raises(InvalidValue):
        await engine.commit([Put("rows", TEAM, "k", {"rank": "x" * 1100})])


async def test_many_tasks_that_add_to_one_row_lose_nothing(engine: Quick) -> None:
    await engine.commit([Put("rows", TEAM, "a", {"n": 0})])
    await asyncio.gather(*(engine.commit([Update("rows", TEAM, "a", add={"n": 1})]) for _ in range(60)))
    (row,) = await engine.get("rows", TEAM, ["a"])
    assert row is not None
    assert row.item == {"n": 60}


async def test_pages_over_a_megabyte_go_on_where_dynamodb_stopped(engine: Quick) -> None:
    """A request looks at one megabyte at most."""
    for n in range(24):
        await engine.commit([Put("rows", TEAM, f"r{n:02}", {"rank": n % 3, "word": "x" * 120_000})])
    wanted = [f"r{n:02}" for n in range(24)]
    page = await engine.query(Query("rows", TEAM, 100))
    assert [row.id for row in page.rows] == wanted
    page = await engine.query(Query("rows", TEAM, 100, index="rank"))
    assert sorted(row.id for row in page.rows) == wanted
    found = await engine.get("rows", TEAM, wanted)
    assert [row.id for row in found if row] == wanted
