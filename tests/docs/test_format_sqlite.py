"""The test vectors of docs/format.md, section "SQLite", are what the engine makes and reads."""

import re
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

from stateroom.engines.port import Append, Delete, Put, Query, Table, TableIndex, Update
from stateroom.engines.sqlite import SqliteEngine
from stateroom.engines.sqlite_tables import APPLICATION_ID, CREATE, FORMAT, sql_name
from stateroom.model.codec import decode, normalise_item

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.S)
VECTORS: dict[str, Any] = next(v["sqlite"] for v in map(decode, BLOCKS) if "sqlite" in v)
TABLES = [
    Table(
        "tickets",
        indexes=(TableIndex("status_rank", ("status", "rank")), TableIndex("due", ("due",), across_teams=True)),
    ),
    Table("threads", log=True),
    Table("notes", log=True, expires=True),
    Table("visits", expires=True, changes=True),
]


def content(path: Path) -> dict[str, list[list[Any]]]:
    connection = sqlite3.connect(path)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: [list(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in tables}
    connection.close()
    return found


def test_names_are_made_as_the_page_says() -> None:
    assert [[name, sql_name(name)] for name, _ in VECTORS["names"]] == VECTORS["names"]


async def test_the_file_is_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    engine = SqliteEngine(path, lambda: float(VECTORS["clock"]))
    await engine.open()
    await engine.apply(TABLES)
    for team, row_id, item, expires in VECTORS["put"]:
        await engine.commit([Put("tickets", team, row_id, normalise_item(item), expires_at=expires)])
    for team, stream, turn_id, item in VECTORS["append"]:
        await engine.commit([Append("threads", team, stream, turn_id, item)])
    changed = VECTORS["changed"]
    team, row_id, item, expires = changed["put"]
    await engine.commit([Put("visits", team, row_id, item, expires_at=expires)])
    team, row_id, amounts = changed["add"]
    await engine.commit([Update("visits", team, row_id, add=amounts)])
    await engine.commit([Delete("visits", *changed["delete"])])
    await engine.close()
    assert content(path) == VECTORS["rows"]
    connection = sqlite3.connect(path)
    schema = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    assert schema == VECTORS["schema"]
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA page_size").fetchone() == (1024,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert f"application id `0x{APPLICATION_ID:X}`" in PAGE
    assert f"*Version {FORMAT}* (`sr_meta`: `format`)" in PAGE
    assert sorted(child.name for child in tmp_path.iterdir()) == ["state.db", "state.db-current", "state.db-next"]


async def test_a_file_written_by_the_page_alone_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    tables = sorted(VECTORS["schema"].values(), key=lambda sql: not sql.startswith("CREATE TABLE"))
    for statement in tables:
        connection.execute(statement)
    for name, rows in VECTORS["rows"].items():
        plain = [[float(v) if isinstance(v, Decimal) else v for v in row] for row in rows]
        if rows:
            connection.executemany(f'INSERT INTO "{name}" VALUES ({",".join("?" * len(rows[0]))})', plain)
    connection.commit()
    connection.close()
    engine = SqliteEngine(path, lambda: float(VECTORS["clock"]))
    await engine.open()
    assert await engine.apply(TABLES) == []
    rows = await engine.get("tickets", "T00000001", ["a", "b"])
    assert [row and row.item for row in rows] == [item for _, _, item, _ in VECTORS["put"]]
    page = await engine.query(Query("threads", "T00000001", 10, equals=("C1:1",)))
    assert [(row.id, row.version) for row in page.rows] == [("C1:1/Ev1", 1), ("C1:1/Ev2", 2)]
    await engine.close()


def test_the_page_names_every_table_of_our_own() -> None:
    made = re.findall(r"CREATE TABLE (\w+)", " ".join(CREATE))
    assert all(f"`{name}` (" in PAGE for name in made)
