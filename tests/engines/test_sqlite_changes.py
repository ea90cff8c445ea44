"""Expiry and the log of changes in the SQLite file: what an old file gets, what an old version is kept from."""

import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from stateroom.engines.port import CHANGES, Delete, Put, Puts, Query, Table, TableIndex, Truncate, Update, changes_table
from stateroom.engines.sqlite import SqliteEngine
from stateroom.engines.sqlite_turnstile import Turnstile
from stateroom.expr.builder import attr
from stateroom.expr.tree import Condition
from stateroom.model.codec import encode
from stateroom.model.errors import ConditionFailed, FormatTooNew, StoreUnavailable, UniqueViolation, Unsupported

TEAM = "T00000001"
OLD = Table("t", indexes=(TableIndex("n", ("n",)),))


@asynccontextmanager
async def opened(path: Path, *tables: Table) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(path, time.time)
    await engine.open()
    try:
        await engine.apply(tables)
        yield engine
    finally:
        await engine.close()


def told(path: Path, statement: str) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(statement)]
    finally:
        connection.close()


def indexes(path: Path) -> set[str]:
    return set(told(path, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))


async def test_only_a_table_that_declares_it_has_an_index_of_expiry(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with opened(path, OLD, Table("l", log=True), Table("x", expires=True), Table("m", log=True, expires=True)):
        assert indexes(path) == {"index_t.n", "expires_x", "expires_m"}


async def test_an_old_file_gets_what_is_new_when_it_is_applied_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with opened(path, OLD) as engine:
        await engine.commit([Put("t", TEAM, "a", {"n": 1}, expires_at=1.0), Put("t", TEAM, "b", {"n": 2})])
    assert told(path, "SELECT value FROM sr_meta") == ["1"]
    new = replace(OLD, expires=True, changes=True)
    async with opened(path) as engine:
        steps = await engine.apply([new], dry_run=True)
        assert steps == ["make index of expiry of t", "log the changes of t", "make table t.changes"]
        assert await engine.apply([new]) == steps
        assert await engine.apply([new]) == []
        page = await engine.query(Query("t", None, 5, expired=True))
        assert [row.id for row in page.rows] == ["a"]
        await engine.commit([Delete("t", TEAM, "b")])
        page = await engine.query(Query(changes_table("t"), TEAM, 5, equals=(CHANGES,)))
        assert [row.item["kind"] for row in page.rows] == ["delete"]
        assert await engine.apply([OLD]) == [], "what older definitions do not know of stays"
        await engine.commit([Put("t", TEAM, "c", {})])
        page = await engine.query(Query(changes_table("t"), TEAM, 5, equals=(CHANGES,)))
        assert [row.version for row in page.rows] == [1, 2]
    assert told(path, "SELECT value FROM sr_meta") == ["2"]


async def test_tables_without_a_log_of_changes_stay_in_the_format_that_older_versions_read(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with opened(path, OLD, Table("x", expires=True)):
        pass
    assert told(path, "SELECT value FROM sr_meta") == ["1"]


async def test_a_file_that_gets_a_newer_format_while_it_is_open_is_written_no_more(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with opened(path, OLD) as engine:
        await engine.commit([Put("t", TEAM, "a", {})])
        newer, connection = Turnstile(str(path)), sqlite3.connect(path)
        newer.open()
        assert newer.enter(wait=True)
        connection.execute("UPDATE sr_meta SET value = '3'")
        connection.execute("CREATE TABLE something_new (x)")
        newer.changed_tables()
        connection.commit()
        newer.leave()
        newer.close()
        connection.close()
        for _ in range(2):
            with pytest.raises(FormatTooNew):
                await engine.commit([Put("t", TEAM, "b", {})])
        assert await engine.get("t", TEAM, ["b"]) == [None]


async def test_finding_and_removing_a_batch_of_expired_rows_steps_through_that_batch_alone(tmp_path: Path) -> None:
    """Instructions of SQLite's virtual machine, counted: a batch costs the same before 500 rows and before 20,000."""
    steps: dict[int, int] = {}
    for count in (500, 10_000):
        path = tmp_path / f"{count}.db"
        async with opened(path, Table("t", expires=True)) as engine:
            await engine.commit([Put("t", TEAM, f"r{n:06}", {"n": n}, expires_at=1.0 + n % 7) for n in range(count)])
            await engine.commit([Put("t", TEAM, f"z{n:06}", {}, expires_at=time.time() + 9e5) for n in range(count)])
            counted = [0]

            def tick(counted: list[int] = counted) -> int:
                counted[0] += 1
                return 0

            assert engine._reader is not None
            assert engine._writer is not None
            for connection in (engine._reader._connection, engine._writer._connection):
                connection.set_progress_handler(tick, 10)
            page = await engine.query(Query("t", None, 100, expired=True))
            done = await engine.commit([Delete("t", row.team, row.id, expired=True) for row in page.rows])
            assert sum(one.changed for one in done) == 100
            steps[count] = counted[0]
            left = await engine.query(Query("t", None, count, expired=True, after=page.position))
            assert len(left.rows) == count - 100
    assert 0 < steps[10_000] < 1.2 * steps[500]


async def test_a_lone_write_keeps_what_another_process_has_declared_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    unique = Table("u", indexes=(TableIndex("email", ("email",), unique=True),))
    async with opened(path, Table("t"), Table("u")) as engine, opened(path) as other:
        await engine.commit([Put("t", TEAM, "a", {"n": 1})])
        await engine.commit([Put("u", TEAM, "a", {"email": "x"})])
        await other.apply([Table("t", changes=True), unique])
        await engine.commit([Put("t", TEAM, "a", {"n": 2})])
        await engine.commit([Update("t", TEAM, "a", add={"n": 1})])
        await engine.commit([Put("t", TEAM, "b", {"n": 1}), Put("t", TEAM, "c", {"n": 1})])
        page = await engine.query(Query(changes_table("t"), TEAM, 9, equals=(CHANGES,)))
        assert [(row.version, row.item["id"]) for row in page.rows] == [(1, "a"), (2, "a"), (3, "b"), (4, "c")]
        with pytest.raises(UniqueViolation):
            await engine.commit([Put("u", TEAM, "b", {"email": "x"})])


def packed(ids: Sequence[str], item: dict[str, Any], guard: Condition, expires: float | None = None) -> Puts:
    ends = None if expires is None else [expires] * len(ids)
    return Puts("t", TEAM, ids, [item] * len(ids), [encode(item).decode()] * len(ids), ends, guard)


async def test_a_lone_put_minds_its_guard_however_the_name_is_written_in_the_row(tmp_path: Path) -> None:
    path, guard = tmp_path / "s.db", attr("$v").not_exists()
    async with opened(path, Table("t")) as engine:
        await engine.commit([Put("t", TEAM, i, {"n": 1}, guard=guard) for i in "abcd"])
        connection = sqlite3.connect(path)
        connection.execute("""UPDATE "items_t" SET item = '{"$v":2}' WHERE id = 'a'""")
        connection.execute("""UPDATE "items_t" SET item = '{"\\u0024v":2}' WHERE id = 'b'""")
        connection.execute("""UPDATE "items_t" SET item = '{"text":"\\u0024"}' WHERE id = 'c'""")
        connection.commit()
        connection.close()
        for row_id in "ab":
            for batch in ([row_id], ["d", row_id]):
                with pytest.raises(ConditionFailed) as refused:
                    await engine.commit([Put("t", TEAM, i, {"n": 2}, guard=guard) for i in batch])
                assert refused.value.current == {"$v": 2}
                with pytest.raises(ConditionFailed) as refused:
                    await engine.put_all(packed(batch, {"n": 2}, guard))
                assert (refused.value.current, refused.value.index) == ({"$v": 2}, len(batch) - 1)
        (c,) = await engine.commit([Put("t", TEAM, "c", {"n": 2}, guard=guard)])
        rows = await engine.get("t", TEAM, ["c", "d"])
        assert rows[0] == c.row
        assert rows[1]
        assert rows[1].item == {"n": 1}


async def test_a_lone_put_whose_condition_comes_again_is_decided_on_the_row_as_it_is(tmp_path: Path) -> None:
    path, guard, is_open = tmp_path / "s.db", attr("$v").not_exists(), attr("s") == "open"
    held: dict[str, str] = {
        "a": '{"s":"open"}',
        "b": '{"s":"done"}',
        "c": '{"s":"open","$v":2}',
        "d": '{"s":"open","\\u0024v":2}',
        "e": '{"\\u0073":"open"}',
        "f": '{"n":1}',
    }
    async with opened(path, Table("t")) as engine:
        await engine.commit([Put("t", TEAM, row_id, {}) for row_id in held])
        await engine.commit([Put("t", TEAM, "g", {"s": "open"}, expires_at=1.0)])
        for _ in range(3):
            connection = sqlite3.connect(path)
            connection.executemany("""UPDATE "items_t" SET item = ? WHERE id = ?""", [(v, k) for k, v in held.items()])
            connection.commit()
            connection.close()
            taken = {}
            for row_id in [*held, "g", "h"]:
                put = Put("t", TEAM, row_id, {"n": 2}, condition=is_open, guard=guard)
                try:
                    (taken[row_id],) = await engine.commit([put])
                except ConditionFailed:
                    continue
            assert list(taken) == ["a", "e"]
            rows = await engine.get("t", TEAM, ["a", "e"])
            assert rows == [done.row for done in taken.values()]


async def test_lone_puts_over_expired_and_missing_rows_begin_new_ones(tmp_path: Path) -> None:
    async with opened(tmp_path / "s.db", Table("t")) as engine:
        (old,) = await engine.commit([Put("t", TEAM, "a", {"n": 1}, expires_at=1.0)])
        made = [*await engine.commit([Put("t", TEAM, "a", {"n": 2})])]
        made += await engine.commit([Put("t", TEAM, i, {"n": 2}) for i in "abc"])
        assert old.row
        versions = [done.row.version for done in made if done.row]
        assert versions[1] == versions[0] + 1
        assert versions[0] != old.row.version + 1
        rows = await engine.get("t", TEAM, ["a", "b", "c"])
        assert rows == [done.row for done in made[1:]]


async def test_puts_of_many_are_one_write_for_each_row_whatever_was_there(tmp_path: Path) -> None:
    guard = attr("$v").not_exists()
    async with opened(tmp_path / "s.db", Table("t")) as engine:
        (old,) = await engine.commit([Put("t", TEAM, "a", {"n": 1}, expires_at=1.0)])
        (b,) = await engine.commit([Put("t", TEAM, "b", {"n": 1}, expires_at=time.time() + 60)])
        await engine.put_all(packed("abc", {"n": 2}, guard))
        rows = await engine.get("t", TEAM, ["a", "b", "c"])
        assert [row and (row.item, row.expires_at) for row in rows] == [({"n": 2}, None)] * 3
        assert old.row
        assert b.row
        assert rows[0]
        assert rows[1]
        assert rows[0].version != old.row.version + 1  # the row had expired: a new one begins
        assert rows[1].version == b.row.version + 1
        ends = time.time() + 60
        await engine.put_all(packed("bd", {"n": 3}, guard, ends))
        rows = await engine.get("t", TEAM, ["b", "d"])
        assert [row and (row.item, row.expires_at) for row in rows] == [({"n": 3}, ends)] * 2


async def test_puts_of_many_are_refused_as_each_is(tmp_path: Path) -> None:
    guard = attr("$v").not_exists()
    async with opened(tmp_path / "s.db", Table("t", log=True)) as engine:
        with pytest.raises(Unsupported):
            await engine.put_all(packed("ab", {"n": 1}, guard))
        with pytest.raises(StoreUnavailable):
            await engine.put_all(structs.replace(packed("ab", {"n": 1}, guard), table="none"))
        await engine.apply([Table("u")])
        await engine.freeze(frozen=True)
        with pytest.raises(StoreUnavailable) as refused:
            await engine.put_all(structs.replace(packed("ab", {"n": 1}, guard), table="u"))
        assert (refused.value.reason, refused.value.maybe_applied) == ("frozen", False)
    with pytest.raises(StoreUnavailable) as refused:
        await engine.put_all(packed("ab", {"n": 1}, guard))
    assert refused.value.reason == "closed"


async def test_numbers_of_changes_begin_anew_when_another_process_has_erased_the_log(tmp_path: Path) -> None:
    path, table, feed = tmp_path / "s.db", Table("t", changes=True), changes_table("t")
    async with opened(path, table) as engine, opened(path) as other:
        for n in range(3):
            await engine.commit([Put("t", TEAM, "a", {"n": n})])
        await other.commit([Truncate(feed, TEAM, CHANGES)])
        await engine.commit([Put("t", TEAM, "a", {"n": 3})])
        page = await other.query(Query(feed, TEAM, 9, equals=(CHANGES,)))
        assert [(row.version, row.item["item"]["n"]) for row in page.rows] == [(1, 3)]
