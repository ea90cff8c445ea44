"""SQLite pages with a condition: the filter runs in SQL, on an index where there is one, and never long on the loop."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stateroom import CorruptData, attr
from stateroom.engines.port import Append, Put, Query, Table, TableIndex
from stateroom.engines.sqlite import SqliteEngine
from stateroom.engines.sqlite_plan import plan_of
from stateroom.engines.sqlite_read import INLINE_ROWS, Reader
from stateroom.engines.sqlite_tables import Layout
from stateroom.expr.tree import Condition

TEAM = "T1"
THINGS = Table(
    "things",
    indexes=(
        TableIndex("status", ("status",)),
        TableIndex("owner_rank", ("owner", "rank")),
        TableIndex("due", ("due",), across_teams=True),
    ),
)
LAYOUT = Layout(THINGS)
status, owner, rank, due, plain = attr("status"), attr("owner"), attr("rank"), attr("due"), attr("plain")
Pages = Callable[..., list[str]]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = str(tmp_path_factory.mktemp("filters") / "things.db")
    asyncio.run(fill(found))
    return found


async def fill(path: str) -> None:
    """3,000 things of one team and one of another."""
    engine = SqliteEngine(path, time.time)
    await engine.open()
    await engine.apply([THINGS, Table("talks", log=True)])
    rows = [Put("things", TEAM, f"k{n:04}", thing(n)) for n in range(3000)]
    await engine.commit([*rows, Put("things", "T2", "k0005", thing(5))])
    await engine.commit([Append("talks", TEAM, "s", f"t{n}", {"n": n}) for n in range(300)])
    await engine.close()


def thing(n: int) -> dict[str, Any]:
    item = {"status": f"s{n % 100}", "owner": f"u{n % 50}", "rank": n // 50, "due": n % 1000, "plain": n % 10}
    return item if n % 7 else {"plain": n % 10}


@pytest.fixture
def connection(path: str) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(path, isolation_level=None)
    yield opened
    opened.close()


def explained(connection: sqlite3.Connection, statement: str, values: list[Any]) -> str:
    return " | ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (status == "s3", "USING INDEX index_things.status (team=? AND <expr>=?"),
        ((status == "s3") & (plain > 2), "USING INDEX index_things.status (team=? AND <expr>=?"),
        ((owner == "u3") & (rank == 4), "USING INDEX index_things.owner_rank (team=? AND <expr>=? AND <expr>=?"),
        ((rank == 4) & (plain < 2) & (owner == "u3"), "USING INDEX index_things.owner_rank (team=? AND <expr>=? AND"),
        (due == 7, "USING INDEX index_things.due (<expr>=? AND team=?"),
    ],
)
@pytest.mark.parametrize("descending", [False, True])
def test_equality_on_an_index_reads_the_page_from_it_without_sorting(
    connection: sqlite3.Connection, condition: Condition, index: str, descending: bool
) -> None:
    first = Query("things", TEAM, 10, condition=condition, descending=descending)
    for query in (first, replace(first, after=("k1500",)), replace(first, low="k0100", high="k2900")):
        plan = plan_of(LAYOUT, query)
        ((statement, values),) = plan.statements
        found = explained(connection, statement, values)
        assert index in found
        assert query is first or "AND id" in found, "a later page seeks its beginning"
        assert "TEMP B-TREE" not in found
        assert plan.shortlist is None


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (status > "s98", "USING COVERING INDEX index_things.status (team=? AND <expr>>?)"),
        (status.begins_with("s9"), "index_things.status (team=? AND <expr>>? AND <expr><?)"),
        (status.between("s1", "s11"), "index_things.status (team=? AND <expr>>? AND <expr><?)"),
        (status.is_in(["s1", "s2"]), "index_things.status (team=? AND <expr>=?)"),
        ((owner == "u3") & (rank > 50), "index_things.owner_rank (team=? AND <expr>=? AND <expr>>?)"),
    ],
)
def test_a_range_on_an_index_lists_the_ids_from_it(
    connection: sqlite3.Connection, condition: Condition, index: str
) -> None:
    plan = plan_of(LAYOUT, Query("things", TEAM, 10, condition=condition))
    assert plan.shortlist is not None
    assert index.replace("COVERING ", "") in explained(connection, *plan.shortlist).replace("COVERING ", "")
    assert "(team=?)" in explained(connection, *plan.statements[0]), "the other way goes by key"


@pytest.mark.parametrize(
    "condition",
    [
        plain == 3,
        status != "s3",
        ~(status == "s3"),
        (status == "s3") | (plain == 3),
        owner == "u3",  # a row without a rank is not in the index of both
        (owner == "u3") & rank.not_exists(),
        (owner == "u3") & (rank == None),  # noqa: E711
        status.exists(),
        status.size() == 2,
        attr("status", "deep") == 1,
        due > 990,  # rows of all teams, in another order
    ],
)
def test_what_no_index_holds_goes_by_key(connection: sqlite3.Connection, condition: Condition) -> None:
    plan = plan_of(LAYOUT, Query("things", TEAM, 10, condition=condition))
    assert plan.shortlist is None
    ((statement, values),) = plan.statements
    found = explained(connection, statement, values)
    assert "index_things" not in found
    assert "TEMP B-TREE" not in found


@pytest.fixture
def pages(connection: sqlite3.Connection) -> Pages:
    """All ids of a condition, page by page, and how many rows SQLite handed over for them."""

    def all_ids(condition: Condition, **more: Any) -> list[str]:
        query = Query("things", TEAM, more.pop("limit", 10), condition=condition, **more)
        found: list[str] = []
        while True:
            page = Reader(connection).page(LAYOUT, query, time.time(), None)
            assert page is not None
            found += [row.id for row in page.rows]
            if page.position is None:
                return found
            query = replace(query, after=page.position)

    return all_ids


def test_pages_by_an_index_hold_what_is_asked_for_in_key_order(pages: Pages) -> None:
    def wanted(holds: Callable[[dict[str, Any]], bool]) -> list[str]:
        return [f"k{n:04}" for n in range(3000) if n % 7 and holds(thing(n))]

    assert pages(status == "s3") == wanted(lambda t: t["status"] == "s3")
    assert pages(status == "s3", descending=True, limit=4) == wanted(lambda t: t["status"] == "s3")[::-1]
    assert pages((owner == "u3") & (rank > 50)) == wanted(lambda t: t["owner"] == "u3" and t["rank"] > 50)
    assert pages(status.begins_with("s9"), limit=7) == wanted(lambda t: t["status"].startswith("s9"))
    assert pages(status.begins_with("s9"), limit=7, descending=True, low="k1000", high="k2000") == [
        i for i in wanted(lambda t: t["status"].startswith("s9"))[::-1] if "k1000" <= i < "k2000"
    ]
    assert pages(status >= "s", limit=1000) == wanted(lambda t: True)


def test_a_shortlist_that_is_long_is_given_up_for_the_way_by_key(connection: sqlite3.Connection) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    reader = Reader(connection)
    few = Query("things", TEAM, 10, condition=status.begins_with("s98"))
    assert reader.page(LAYOUT, few, time.time(), None) is not None
    assert not any("WHERE team = " in one for one in statements)
    statements.clear()
    assert reader.page(LAYOUT, replace(few, condition=status > "s"), time.time(), None) is not None
    assert any("WHERE team = " in one for one in statements)
    connection.set_trace_callback(None)


@pytest.mark.parametrize("condition", [plain == 77, (owner == "u1") & (rank < 0), attr("n") == -1])
def test_a_filter_that_passes_over_many_rows_is_not_run_on_the_loop(
    connection: sqlite3.Connection, condition: Condition
) -> None:
    """SQLite looks at all 3,000 rows by itself; the budget counts its steps, too."""
    reader = Reader(connection)
    query = Query("things", TEAM, 10, condition=condition)
    inline = reader.page(LAYOUT, query, time.time(), INLINE_ROWS)
    assert inline is None or condition == ((owner == "u1") & (rank < 0))
    assert reader.page(LAYOUT, query, time.time(), None) == ([], None)
    small = Query("talks", TEAM, 10, equals=("s",), low=290, condition=attr("n") >= 0)
    page = reader.page(Layout(Table("talks", log=True)), small, time.time(), INLINE_ROWS)
    assert page is not None, "no patience is left over for the next page"
    assert [row.version for row in page.rows] == list(range(290, 300))


def test_the_filter_of_a_stream_runs_in_sql(connection: sqlite3.Connection) -> None:
    plan = plan_of(Layout(Table("talks", log=True)), Query("talks", TEAM, 5, equals=("s",), condition=attr("n") == 250))
    ((statement, values),) = plan.statements
    assert [row[2] for row in connection.execute(statement, values)] == [251]


def test_only_matching_rows_leave_sqlite(connection: sqlite3.Connection) -> None:
    for condition in (plain == 3, (status == "s3") & (plain == 3), ~(plain != 3)):
        ((statement, values),) = plan_of(LAYOUT, Query("things", TEAM, 9, condition=condition)).statements
        rows = connection.execute(statement, values).fetchall()
        assert rows
        assert len(rows) == sum(
            1
            for n in range(3000)
            if thing(n)["plain"] == 3 and (thing(n).get("status") == "s3" or "s3" not in str(values))
        )


async def test_an_item_that_is_no_json_is_corrupt_data_and_not_passed_over(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "c.db", time.time)
    await engine.open()
    await engine.apply([Table("things")])
    await engine.commit([Put("things", TEAM, "k1", {"plain": 1})])
    await engine.close()
    connection = sqlite3.connect(tmp_path / "c.db")
    connection.execute("UPDATE items_things SET item = '{\"plain\": '")
    connection.commit()
    connection.close()
    engine = SqliteEngine(tmp_path / "c.db", time.time)
    await engine.open()
    with pytest.raises(CorruptData):
        await engine.query(Query("things", TEAM, 5, condition=plain == 1))
    await engine.close()
