"""PostgreSQL where it is hardest: rows that are missing, come and go, callers that leave, tables that change names."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from stateroom.engines import leases
from stateroom.engines.port import Append as Add
from stateroom.engines.port import Check, Delete, Put, Query, Rewrite, Table, TableIndex, Truncate, Update
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.postgresql_line import Line, Statement
from stateroom.engines.postgresql_url import read_url
from stateroom.expr.builder import attr
from stateroom.model.errors import ConditionFailed, InvalidValue, StateroomError, UniqueViolation
from support.postgres import drop_schema, fresh_schema

pytestmark = pytest.mark.service
TEAM = "T00000001"
ROWS = Table("rows", indexes=(TableIndex("email", ("email",), unique=True),))
TABLES = [ROWS, Table("kept", expires=True, changes=True), Table("log", log=True)]


@pytest.fixture
def url() -> Iterator[str]:
    found = fresh_schema()
    yield found
    drop_schema(found)


@pytest.fixture
async def engine(url: str) -> AsyncIterator[PostgresEngine]:
    made = await opened(url)
    await made.apply(TABLES)
    yield made
    await made.close()


async def opened(url: str) -> PostgresEngine:
    made = PostgresEngine(url, time.time)
    await made.open()
    return made


async def raw(url: str) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(read_url(url).conninfo)


def table(url: str, name: str = "items_rows") -> str:
    return f'"{read_url(url).schema}"."{name}"'


async def until_somebody_waits(url: str, count: int = 1) -> None:
    """Until that many statements wait for a lock."""
    connection = await raw(url)
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    ends = time.monotonic() + 60
    while (await (await connection.execute(sql, (f"%{read_url(url).schema}%",))).fetchone())[0] < count:
        assert time.monotonic() < ends
        await connection.rollback()
        await asyncio.sleep(0.01)
    await connection.close()


async def test_tables_that_another_process_has_made_since_are_written_to_at_once(url: str) -> None:
    early = [await opened(url) for _ in range(3)]
    late = await opened(url)
    await late.apply(TABLES)
    await early[0].commit([Put("rows", TEAM, "a", {})])
    await early[1].commit([Put("rows", TEAM, "b", {}), Add("log", TEAM, "s", "t", {})])
    assert await early[2].get("rows", TEAM, ["a", "b"]) != [None, None]
    for engine in (*early, late):
        await engine.close()


async def test_two_that_check_each_others_missing_row_do_not_both_win(engine: PostgresEngine) -> None:
    async def one(mine: str, other: str) -> bool:
        try:
            await engine.commit([Check("rows", TEAM, other, if_version=0), Put("rows", TEAM, mine, {})])
        except ConditionFailed:
            return False
        return True

    for round in range(25):
        a, b = f"a{round}", f"b{round}"
        won = await asyncio.gather(one(a, b), one(b, a))
        there = [row is not None for row in await engine.get("rows", TEAM, [a, b])]
        assert there == list(won)
        assert sum(won) == 1
    page = await engine.query(Query("rows", TEAM, 100, whole=True))
    assert len(page.rows) == 25, "no place that was held is left"


async def test_a_row_that_is_remade_in_one_batch_is_never_missing_to_who_waits(
    engine: PostgresEngine, url: str
) -> None:
    await engine.commit([Put("rows", TEAM, "x", {"n": 0})])
    other = await opened(url)

    async def remake() -> None:
        for n in range(60):
            await engine.commit(
                [Delete("rows", TEAM, "x"), Put("rows", TEAM, "x", {"n": n}), Put("rows", TEAM, "y", {})]
            )

    async def touch(with_check: bool) -> None:
        while not remaking.done():
            writes = [Update("rows", TEAM, "x", set={"m": 1}, condition=attr("n") >= 0)]
            await other.commit([*writes, Put("rows", TEAM, "z", {})] if with_check else writes)

    remaking = asyncio.ensure_future(remake())
    await asyncio.gather(remaking, touch(True), touch(False))
    await other.close()


async def test_a_rewrite_of_what_has_changed_meanwhile_is_refused(engine: PostgresEngine) -> None:
    await engine.commit([Add("log", TEAM, "s", "one", {"n": 1})])

    async def rewrite(n: int) -> bool:
        try:
            await engine.commit([Rewrite("log", TEAM, "s", 1, {"n": n}, before={"n": 1})])
        except ConditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*(rewrite(n) for n in range(2, 12)))) == 1


async def test_streams_that_are_erased_and_appended_to_at_once_have_no_gaps(engine: PostgresEngine) -> None:
    async def append(n: int) -> None:
        await engine.commit([Add("log", TEAM, "s", f"t{n}", {})])

    async def both(n: int) -> None:
        await engine.commit([Truncate("log", TEAM, "s"), Add("log", TEAM, "s", f"b{n}", {})])

    async def erase() -> None:
        await engine.commit([Truncate("log", TEAM, "s")])

    for start in range(0, 60, 20):
        await asyncio.gather(*(append(start + n) for n in range(20)), *(both(start + n) for n in range(5)), erase())
        numbers = [row.version for row in (await engine.query(Query("log", TEAM, 100, equals=("s",)))).rows]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_who_takes_a_value_from_an_expired_holder_wins_once(engine: PostgresEngine, url: str) -> None:
    for round in range(10):
        email = f"{round}@x"
        await engine.commit([Put("rows", TEAM, f"old{round}", {"email": email}, time.time() + 0.001)])
        await asyncio.sleep(0.002)

        async def take(n: int, round: int = round, email: str = email) -> bool:
            try:
                await engine.commit([Put("rows", TEAM, f"new{round}-{n}", {"email": email})])
            except UniqueViolation:
                return False
            return True

        assert sum(await asyncio.gather(*(take(n) for n in range(8)))) == 1


async def test_callers_that_leave_lose_no_connection_and_hold_up_nobody(engine: PostgresEngine, url: str) -> None:
    async def work(n: int) -> None:
        if n % 3 == 0:
            await engine.commit([Put("rows", TEAM, f"r{n}", {}), Put("rows", TEAM, f"s{n}", {})])
        elif n % 3 == 1:
            await engine.commit([Put("rows", TEAM, f"r{n}", {})])
        else:
            await engine.get("rows", TEAM, [f"r{n}"])

    for round in range(10):
        tasks = [asyncio.ensure_future(work(100 * round + n)) for n in range(60)]
        await asyncio.sleep(0.001 * round)
        for task in tasks[round % 2 :: 2]:
            task.cancel()
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        assert {type(each) for each in done} <= {type(None), asyncio.CancelledError}
    await asyncio.wait_for(asyncio.gather(*(work(n) for n in range(60))), 20)
    ((lines, _),) = engine._sides.values()
    assert lines._free + len(lines._idle) == 16


async def test_a_connection_that_was_left_in_pipeline_mode_is_lent_to_nobody(engine: PostgresEngine) -> None:
    """Where a caller leaves in the middle of a group: nothing sent later would be answered before the deadline."""
    await engine.commit([Put("rows", TEAM, "here", {})])
    ((lines, _),) = engine._sides.values()
    async with lines.line() as connection:
        connection.pgconn.enter_pipeline_mode()
    (row,) = await asyncio.wait_for(engine.get("rows", TEAM, ["here"]), 10)
    assert row is not None
    assert connection.closed


async def test_puts_that_go_together_are_each_answered_for_themselves(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    alone: list[str] = []
    plain, single = Line.ask_all, Line.ask

    async def watched(self: Line, begin: Sequence[str], statements: Sequence[Statement], end: str) -> list[list[Any]]:
        asked.extend(sql for sql, _ in statements)
        return await plain(self, begin, statements, end)

    async def watched_one(self: Line, statement: str, values: Sequence[Any]) -> list[Any]:
        alone.append(statement)
        return await single(self, statement, values)

    monkeypatch.setattr(Line, "ask_all", watched)
    names = ['a"b', "c\\d", "e,f", "{g}", "NULL", " ", "é", "東", "😀", "'", "%s", "$1"]
    far = time.time() + 1000
    (there,) = await engine.commit([Put("rows", TEAM, "there", {"n": 1})])
    await engine.commit([Put("rows", "T2", "there", {"n": 2}, expires_at=1.0)])
    free = attr("n").not_exists()
    monkeypatch.setattr(Line, "ask", watched_one)
    done = await asyncio.gather(
        *(
            engine.commit([Put("rows", TEAM, name, {"n": name, "d": Decimal("1.5")}, far, guard=free)])
            for name in names
        ),
        *(engine.commit([Put("rows", TEAM, name, {}, guard=free)]) for name in ("there", "free", "T2")),
        *(engine.commit([Put("rows", team, "there", {"n": team}, keep=True)]) for team in (TEAM, "T2", "T3")),
        *(engine.commit([Put("rows", TEAM, "again", {"n": n})]) for n in range(4)),
        return_exceptions=True,
    )
    assert len([sql for sql in asked if "ROWS FROM" in sql]) >= 3
    assert len(asked) < len(done) - 12
    assert len(alone) == 1  # the first, when nobody else was about: no group has failed
    rows = await engine.get("rows", TEAM, [*names, "there", "free", "again"])
    for name, result, row in zip(names, done, rows, strict=False):
        assert not isinstance(result, BaseException)
        assert (result[0].row, result[0].changed) == (row, True)
        assert row is not None
        assert (row.id, row.item, row.expires_at) == (name, {"n": name, "d": Decimal("1.5")}, far)
    refused, free_one, _, kept, late, new, *again = done[len(names) :]
    assert isinstance(refused, ConditionFailed)
    assert [one[0].changed for one in (free_one, kept, late, new)] == [True, False, True, True]  # type: ignore[index]
    assert rows[-3] == there.row
    versions = [one[0].row.version for one in again]  # type: ignore[index, union-attr]
    assert versions == list(range(versions[0], versions[0] + 4))
    assert rows[-1] is not None
    assert rows[-1].item == {"n": 3}


async def test_one_of_those_that_go_together_is_refused_and_harms_nobody(engine: PostgresEngine) -> None:
    await engine.commit([Put("rows", TEAM, "holder", {"email": "e"})])
    done = await asyncio.gather(
        *(engine.commit([Put("rows", TEAM, f"k{n}", {"email": "e" if n == 7 else f"e{n}"})]) for n in range(16)),
        return_exceptions=True,
    )
    assert [type(one) for one in done if isinstance(one, BaseException)] == [UniqueViolation]
    assert isinstance(done[7], UniqueViolation)
    rows = await engine.get("rows", TEAM, [f"k{n}" for n in range(16)])
    assert [row is None for row in rows] == [n == 7 for n in range(16)]


async def test_a_row_that_somebody_locks_holds_up_its_own_writers_only(engine: PostgresEngine, url: str) -> None:
    await engine.commit([Put("rows", TEAM, "locked", {"n": 0}), Put("rows", TEAM, "free", {})])
    holder = await raw(url)
    await holder.execute(f"UPDATE {table(url)} SET item = '{{\"n\": 7}}' WHERE id = 'locked'")
    change = Update("rows", TEAM, "locked", set={"m": 1}, condition=attr("n") == 7)
    stuck = [asyncio.ensure_future(engine.commit([change])) for _ in range(3)]
    await until_somebody_waits(url)
    together = (engine.commit([Put("rows", TEAM, f"free{n}", {})]) for n in range(50))
    await asyncio.wait_for(asyncio.gather(*together), 15)
    assert not any(task.done() for task in stuck)
    await holder.commit()
    await asyncio.wait_for(asyncio.gather(*stuck), 30)
    (row,) = await engine.get("rows", TEAM, ["locked"])
    assert row is not None
    assert row.item == {"n": 7, "m": 1}
    await holder.close()


async def test_who_wants_a_lease_that_somebody_writes_just_now_passes_by_and_takes_another(
    engine: PostgresEngine, url: str
) -> None:
    """What workers do with the conversations that wait: a lease that another one takes is no reason to stand still."""
    await engine.apply([leases.TABLE])
    long_ago = lambda: time.time() - 60  # noqa: E731
    for name in ("lane0", "lane1"):
        assert await leases.acquire(engine, long_ago, TEAM, name, holder="gone", seconds=1)
    async with await raw(url) as holder:
        await holder.execute(f"SELECT 1 FROM {table(url, 'items_sr_leases')} WHERE id = 'lane0' FOR UPDATE")
        refused = leases.acquire(engine, time.time, TEAM, "lane0", holder="me", seconds=30)
        assert await asyncio.wait_for(refused, 10) is None
        assert await leases.acquire(engine, time.time, TEAM, "lane1", holder="me", seconds=30)
    assert await leases.acquire(engine, time.time, TEAM, "lane0", holder="me", seconds=30)
    assert await leases.acquire(engine, time.time, TEAM, "lane0", holder="you", seconds=30) is None


async def test_code_that_does_not_know_of_a_log_of_changes_writes_it_all_the_same(
    engine: PostgresEngine, url: str
) -> None:
    old = await opened(url)
    await old.commit([Put("rows", TEAM, "a", {"email": "a"})])

    async def write() -> int:
        count = 0
        while not logging.done() or count < 5:
            await old.commit([Put("rows", TEAM, f"k{count}", {"n": count})])
            assert await old.get("rows", TEAM, [f"k{count}"]) != [None]
            await old.query(Query("rows", TEAM, 1))
            count += 1
        return count

    new = Table("rows", indexes=(*ROWS.indexes, TableIndex("n", ("n",))), expires=True, changes=True)
    logging = asyncio.ensure_future(engine.apply([new]))
    written = await write()
    steps = await logging
    assert "log the changes of rows" in steps
    assert await engine.apply([new]) == []
    await old.commit([Put("rows", TEAM, "last", {"n": 99})])
    entries = (await engine.query(Query("rows.changes", TEAM, 1000, equals=("all",)))).rows
    assert entries[-1].item["id"] == "last"
    page = await engine.query(Query("rows", TEAM, 1000, index="n"))
    assert len(page.rows) == written + 1
    await old.close()


async def test_two_migrations_at_once_make_one_schema(url: str) -> None:
    engines = [await opened(url) for _ in range(3)]
    await asyncio.gather(*(one.apply(TABLES) for one in engines))
    more = [Table("rows", indexes=(*ROWS.indexes, TableIndex(f"n{n}", (f"n{n}",)))) for n in range(3)]
    await asyncio.gather(*(one.apply([each]) for one, each in zip(engines, more, strict=True)))
    for one in engines:
        assert await one.apply([*TABLES, *more], dry_run=True) == []
        await one.close()
    connection = await raw(url)
    sql = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert await (await connection.execute(sql)).fetchone() == (0,)
    await connection.close()


async def test_names_with_signs_of_sql_are_names(url: str) -> None:
    strange = ("a%s", "100%", "q'\"", "back\\'slash", "%%")
    odd = url.replace("schema=", "schema=%25s%20x%25")
    engine = await opened(odd)
    await engine.apply([Table("odd%", indexes=tuple(TableIndex(name, (name,)) for name in strange), changes=True)])
    await engine.commit([Put("odd%", TEAM, "k", dict.fromkeys(strange, "v"))])
    for name in strange:
        page = await engine.query(Query("odd%", TEAM, 9, condition=attr(name) == "v"))
        assert [row.id for row in page.rows] == ["k"]
        page = await engine.query(Query("odd%", TEAM, 9, index=name, equals=("v",)))
        assert [row.id for row in page.rows] == ["k"]
    await engine.close()
    drop_schema(odd)


async def test_a_value_too_long_for_its_index_is_refused_whatever_the_write(engine: PostgresEngine) -> None:
    await engine.commit([Put("rows", TEAM, "a", {"email": "x"})])
    long = "".join(chr(33 + (n * n * 7919) % 90) for n in range(2000))
    for write in (Put("rows", TEAM, "i" * 1000, {"email": long}), Update("rows", TEAM, "a", set={"email": long})):
        with pytest.raises(InvalidValue):
            await engine.commit([write])
    await engine.commit([Put("rows", TEAM, "i" * 1024, {"email": long[:1500]})])


def test_loops_that_come_and_go_leave_no_connection(url: str) -> None:
    engine = PostgresEngine(url, time.time)

    async def one() -> None:
        await engine.open()
        await engine.apply(TABLES)
        await engine.commit([Put("rows", TEAM, "a", {})])

    for _ in range(4):
        asyncio.run(one())
    asyncio.run(engine.close())
    with psycopg.connect(read_url(url).conninfo) as connection:
        ours = f"%{read_url(url).schema}%"
        sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid()"
        ends = time.monotonic() + 30
        while connection.execute(sql, (ours,)).fetchone() != (0,):
            assert time.monotonic() < ends
            connection.rollback()


PASSWORD = "hunter2-secret"
URLS = (
    f"postgresql://u:{PASSWORD}@127.0.0.1:1/db",
    f"postgresql://u:{PASSWORD}/x@h/db",
    f"postgresql://u:/{PASSWORD}@h/db",
    f"postgresql://u:#{PASSWORD}@h/db",
    f"postgresql://u:?{PASSWORD}@h/db",
    f"postgresql://u:[{PASSWORD}@h/db",
    f"postgresql://u:%zz{PASSWORD}@h/db",
    f"postgresql://u:\u2100{PASSWORD}@h/db",
    f"postgresql://127.0.0.1:1/db?password={PASSWORD}",
    f"postgresql://127.0.0.1:1/db?nonsense={PASSWORD}",
    f"postgresql://127.0.0.1:{PASSWORD}/db",
    f"postgresql://u:{PASSWORD}@127.0.0.1:1/db?pooler=no",
    f"postgresql://u:{PASSWORD}@127.0.0.1:1/db?timeout={PASSWORD}",
)


@pytest.mark.parametrize("given", URLS)
async def test_no_error_shows_a_password(given: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(StateroomError) as caught:
        await PostgresEngine(given, time.time).open()
    error: BaseException | None = caught.value
    while error is not None:
        assert PASSWORD not in f"{error!r} {error}"
        error = error.__cause__
    assert PASSWORD not in caplog.text
