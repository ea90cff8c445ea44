"""The test vectors of docs/format.md, section "PostgreSQL", are what the engine makes and reads."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stateroom.engines.decide import with_changes
from stateroom.engines.port import Append, Delete, Put, Query, Table, TableIndex, Update
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.postgresql_tables import FORMAT, INDEXED, LOCK, Layout, first_statements, fit
from stateroom.engines.postgresql_url import read_url
from stateroom.model.codec import decode, encode, normalise_item
from support.postgres import drop_schema, fresh_schema

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)
VECTORS: dict[str, Any] = next(v["postgresql"] for v in map(decode, BLOCKS) if "postgresql" in v)
TABLES = [
    Table(
        "tickets",
        indexes=(TableIndex("status_rank", ("status", "rank")), TableIndex("due", ("due",), across_teams=True)),
    ),
    Table("people", indexes=(TableIndex("email", ("email",), unique=True),)),
    Table("threads", log=True),
    Table("notes", log=True, expires=True),
    Table("visits", expires=True, changes=True),
]


def test_the_statements_are_those_of_the_page() -> None:
    made = [*first_statements("S"), *(s for table in with_changes(TABLES) for s in Layout("S", table).create)]
    assert made == VECTORS["statements"]
    assert [[name, fit(name)] for name, _ in VECTORS["names"]] == VECTORS["names"]
    assert f"*Version {FORMAT}* (`sr_meta`: `format`)" in PAGE.partition("## PostgreSQL")[2]
    assert f"{INDEXED:,} bytes" in PAGE
    assert f"`0x{LOCK:X}`" in PAGE


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_schema()
    yield found
    drop_schema(found)


def stored(url: str) -> dict[str, Any]:
    """Rows of every table, and the indexes, with the schema's name cut out."""
    address = read_url(url)
    with psycopg.connect(address.conninfo) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", (address.schema,)
        ).fetchall()
        rows = {}
        for (name,) in sorted(names):
            sql = f'SELECT to_jsonb(t)::text FROM "{address.schema}"."{name}" t ORDER BY 1'
            rows[name] = [decode(row[0]) for row in connection.execute(sql)]
        sql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY 1"
        indexes = dict(connection.execute(sql, (address.schema,)).fetchall())
    return {"rows": rows, "indexes": {name: text.replace(address.schema, "S") for name, text in indexes.items()}}


@pytest.mark.service
async def test_the_schema_is_what_the_page_says(url: str) -> None:
    engine = PostgresEngine(url, lambda: float(VECTORS["clock"]))
    await engine.open()
    await engine.apply(TABLES)
    for team, row_id, item, expires in VECTORS["put"]:
        await engine.commit([Put("tickets", team, row_id, normalise_item(item), expires_at=expires)])
    for team, stream, turn_id, item in VECTORS["append"]:
        await engine.commit([Append("threads", team, stream, turn_id, item)])
    await engine.commit([Put("visits", "T00000001", "v", {"n": 1}, expires_at=1700000060)])
    await engine.commit([Update("visits", "T00000001", "v", add={"n": 2})])
    await engine.commit([Delete("visits", "T00000001", "v")])
    await engine.close()
    found = stored(url)
    assert found["indexes"] == VECTORS["indexes"]
    assert found["rows"] == VECTORS["rows"]


@pytest.mark.service
async def test_rows_written_by_the_page_alone_are_read(url: str) -> None:
    address = read_url(url)
    with psycopg.connect(address.conninfo) as connection:
        for statement in VECTORS["statements"]:
            connection.execute(statement.replace('"S"', f'"{address.schema}"'))
        for name, text in VECTORS["indexes"].items():
            if not name.endswith(("_pkey", "_key")):
                connection.execute(text.replace(" S.", f" {address.schema}.").replace("(S.", f"({address.schema}."))
        for name, rows in VECTORS["rows"].items():
            for row in rows if name != "sr_meta" else ():
                table = f'"{address.schema}"."{name}"'
                text = psycopg.types.json.Jsonb(row, dumps=encode)
                source = f"SELECT * FROM jsonb_populate_record(NULL::{table}, %s)"
                sql = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE {source}"
                connection.execute(sql, (text,))
    engine = PostgresEngine(url, lambda: float(VECTORS["clock"]))
    await engine.open()
    assert await engine.apply(TABLES, dry_run=True) == []
    rows = await engine.get("tickets", "T00000001", ["a", "b"])
    assert [row and row.item for row in rows] == [item for _, _, item, _ in VECTORS["put"]]
    page = await engine.query(Query("threads", "T00000001", 10, equals=("C1:1",)))
    assert [(row.id, row.version) for row in page.rows] == [("C1:1/Ev1", 1), ("C1:1/Ev2", 2)]
    (done,) = await engine.commit([Append("threads", "T00000001", "C1:1", "Ev2", {})])
    assert not done.changed
    await engine.close()
