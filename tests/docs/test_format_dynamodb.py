"""The test vectors of docs/format.md, section "DynamoDB", are what the engine writes and reads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.dynamodb_apply import definition
from stateroom.engines.dynamodb_tables import FORMAT
from stateroom.engines.dynamodb_values import places
from stateroom.engines.port import Append, Delete, Put, Query, Row, Table, TableIndex, Truncate, Update, Write
from stateroom.model.codec import decode
from support.dynamodb import Quick, client, drop_table, fresh_table

pytestmark = pytest.mark.service
PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)
VECTORS: dict[str, Any] = next(v["dynamodb"] for v in map(decode, BLOCKS) if "dynamodb" in v)
TEAM, THREAD, NOW = "T01234567", "C01234567:1700000000.000100", 1700000000.5
TABLES = [
    Table(
        "tickets",
        expires=True,
        indexes=(
            TableIndex("status_rank", ("status", "rank")),
            TableIndex("due", ("due",), across_teams=True),
            TableIndex("lane", ("lane",), current=True),
            TableIndex("mail", ("mail",), unique=True),
        ),
    ),
    Table("sr_entries", log=True, expires=True),
    Table("visits", changes=True),
]
TICKET = {
    "status": "open",
    "rank": -1.5,
    "due": 1700000060,
    "lane": "C:1",
    "mail": "a@b.c",
    "n": [None, True, {"ä": 1}],
}
WRITES: list[Write] = [
    Put("tickets", TEAM, "T-1/ä", TICKET, expires_at=1700000100.25),
    Put("tickets", TEAM, "T-2", {"status": "open"}),
    Update("tickets", TEAM, "T-2", add={"votes": 10**37}),
    Append("sr_entries", TEAM, THREAD, "Ev1", {"at": 1700000001, "messages": "[]"}),
    Append("sr_entries", TEAM, THREAD, "Ev2", {"at": 1700000002, "messages": "[]"}, expires_at=1702592002.5),
    Append("sr_entries", TEAM, "C01234567:2", "Ev3", {"at": 1700000003, "messages": "[]"}),
    Truncate("sr_entries", TEAM, "C01234567:2"),
    Append("sr_entries", TEAM, "C01234567:2", "Ev4", {"at": 1700000004, "messages": "[]"}),
    Put("visits", TEAM, "v", {"n": 1}),
    Delete("visits", TEAM, "v"),
]


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_table()
    yield found
    drop_table(found)


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


async def opened(url: str) -> Quick:
    engine = Quick(url, lambda: NOW)
    await engine.open()
    return engine


def stored(url: str) -> dict[str, Any]:
    """Every row by its key, without that key."""
    rows = client().scan(TableName=name_of(url), ConsistentRead=True)["Items"]
    found = {f"{row.pop('pk')['S']} | {row.pop('sk')['S']}": row for row in rows}
    return dict(sorted(found.items()))


def test_values_are_written_so_that_texts_sort_as_they_do() -> None:
    assert [[values, places(values)] for values, _ in VECTORS["places"]] == VECTORS["places"]
    firsts = [text for values, text in VECTORS["places"] if len(values) == 1]
    assert firsts == sorted(firsts)


def test_the_table_is_the_one_of_the_page() -> None:
    assert definition("stateroom", 1) == VECTORS["table"]
    assert f"*Version {FORMAT}* (`/catalogue`" in PAGE.partition("## DynamoDB")[2]


async def test_rows_are_what_the_page_says(url: str) -> None:
    engine = await opened(url)
    await engine.apply(TABLES)
    for write in WRITES:
        await engine.commit([write])
    await engine.close()
    assert stored(url) == VECTORS["rows"]


async def test_the_rows_of_the_page_are_read(url: str) -> None:
    name = name_of(url)
    client().create_table(**definition(name, 3))
    for place, row in VECTORS["rows"].items():
        part, _, sort = place.partition(" | ")
        client().put_item(TableName=name, Item={"pk": {"S": part}, "sk": {"S": sort}, **row})
    engine = await opened(url)
    (ticket, other) = await engine.get("tickets", TEAM, ["T-1/ä", "T-2"])
    assert ticket == Row("T-1/ä", TICKET, 1700000000500000, 1700000100.25, TEAM)
    assert other is not None
    assert other.item == {"status": "open", "votes": 10**37}
    for index, equals in (("status_rank", ("open",)), ("due", ()), ("lane", ("C:1",)), ("mail", ("a@b.c",))):
        team = None if index == "due" else TEAM
        page = await engine.query(Query("tickets", team, 10, index=index, equals=equals))
        assert [row.id for row in page.rows] == ["T-1/ä"], index
    page = await engine.query(Query("sr_entries", TEAM, 10, equals=(THREAD,)))
    assert [(row.id, row.version, row.expires_at) for row in page.rows] == [
        (f"{THREAD}/Ev{n}", n, 1702592002.5 if n == 2 else None) for n in (1, 2)
    ]
    (known,) = await engine.commit([WRITES[3]])
    assert (known.changed, known.row and known.row.version) == (False, 1)
    await engine.close()
