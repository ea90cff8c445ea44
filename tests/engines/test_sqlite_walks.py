"""SQLite walks over whole tables by its keys: a walk's page costs what it holds, wherever it begins."""

import sqlite3
import time
from pathlib import Path

import pytest

from stateroom.engines.port import Append, Put, Query, Table
from stateroom.engines.sqlite import SqliteEngine
from stateroom.engines.sqlite_read import Reader

ITEMS = Table("things")
LOG = Table("talks", log=True)


@pytest.mark.parametrize("query", [Query("things", None, 3, whole=True), Query("talks", None, 3, whole=True)])
async def test_no_page_of_a_walk_sorts_or_begins_at_the_beginning(
    query: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SqliteEngine(tmp_path / "walk.db", time.time)
    await engine.open()
    await engine.apply([ITEMS, LOG])
    await engine.commit([Put("things", f"T{n // 7}", f"k{n}", {"n": n}) for n in range(30)])
    await engine.commit([Append("talks", f"T{n // 7}", f"s{n // 3}", f"t{n}", {"n": n}) for n in range(30)])
    page = await engine.query(query)
    layout = engine._writer.layouts[query.table]  # type: ignore[union-attr]
    await engine.close()

    statements: list[str] = []
    connection = sqlite3.connect(tmp_path / "walk.db")
    connection.set_trace_callback(statements.append)
    following = Query(query.table, None, 3, after=page.position, whole=True)
    assert Reader(connection).page(layout, following, time.time(), None) is not None
    connection.set_trace_callback(None)
    for statement in [one for one in statements if one.startswith("SELECT")]:
        plan = " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
        assert "TEMP B-TREE" not in plan
        assert "SEARCH" in plan, plan
        assert "SCAN" not in plan, plan
    connection.close()
