"""The short way of a connection means what psycopg's long way means, and what stops it half-way breaks nothing."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from stateroom.engines import postgresql_line
from stateroom.engines.postgresql_line import Line
from stateroom.engines.postgresql_lines import BEGIN, settle
from stateroom.engines.postgresql_url import read_url
from support.postgres import server

pytestmark = pytest.mark.service
TEXTS = ["", "a", "NULL", "null", '"', "\\", '\\"', "{a,b}", "a,b", " ", "\n", "%s", "%%", "$1", "é", "東", "😀", "'"]
VALUES: list[tuple[str, Any]] = [
    *(("text", text) for text in TEXTS),
    *(("bigint", number) for number in (0, -1, 2**31, 2**62, -(2**63))),
    ("numeric", 10**40),
    ("numeric", Decimal("1.50")),  # of a kind that goes the long way
    *(("float8", number) for number in (0.1, -1e300, 5e-324, float("inf"))),
    *(("boolean", truth) for truth in (True, False)),
    *(("text", None), ("float8", None), ("text[]", [])),
    ("text[]", TEXTS),
    *(("bigint[]", numbers) for numbers in ([1, 2], [2**62, None], [None])),
    *(("float8[]", numbers) for numbers in ([0.1, None], [None, None])),
    ("text[]", ["a", None, "NULL"]),
    ("numeric[]", [Decimal("1.50")]),  # as above
]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = await Line.connect(read_url(server()).conninfo, autocommit=True, prepare_threshold=0)
    yield made
    await made.close()


async def test_every_value_arrives_as_by_the_long_way(line: Line) -> None:
    for kind, value in VALUES:
        statement = f"SELECT %s::{kind}, '%%s'"
        expected = await (await line.execute(statement, (value,))).fetchall()
        for _ in range(2):
            assert await line.ask(statement, (value,)) == expected, (kind, value)
        assert await line.ask_all([BEGIN], [(statement, (value,))] * 2, "COMMIT") == [expected, expected], (kind, value)
    for ask in (line.ask("SELECT %s::text", ("a\0b",)), line.ask("SELECT %s::text[]", (["a\0b"],))):
        with pytest.raises(psycopg.DataError):
            await ask
    assert await line.ask("SELECT %s::text", ("on",)) == [("on",)]


async def test_statements_beyond_those_that_are_kept_are_answered_too(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_line, "KEPT", 3)
    for number in (*range(6), *range(6)):
        assert await line.ask(f"SELECT %s::int + {number}", (1,)) == [(number + 1,)]
    asked = [(f"SELECT %s::int + {number}", (1,)) for number in range(6)]
    assert await line.ask_all([BEGIN], asked, "COMMIT") == [[(number + 1,)] for number in range(6)]
    (kept,) = await line.ask("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'stateroom%%'", ())
    assert kept == (3,)


async def test_what_lets_the_servers_statements_go_lets_them_be_prepared_again(line: Line) -> None:
    assert await line.ask("SELECT %s::int", (1,)) == [(1,)]
    for gone in ("DEALLOCATE ALL", "DISCARD ALL"):
        await line.execute(gone, prepare=False)
        assert await line.ask("SELECT %s::int", (2,)) == [(2,)]
    await line.execute("BEGIN")
    await settle(line)
    assert await line.ask("SELECT %s::int", (3,)) == [(3,)]


async def test_a_call_that_is_stopped_at_any_moment_leaves_a_line_that_works_or_is_seen_to_be_gone(line: Line) -> None:
    async def call(number: int) -> Any:
        if number % 3:
            return await line.ask(f"SELECT %s::int + {number % 8}, pg_sleep(0.001)", (1,))
        return await line.ask_all([BEGIN], [(f"SELECT %s::int + {number % 8}", (1,))] * 3, "COMMIT")

    stopped = 0
    for number in range(40):
        task = asyncio.ensure_future(call(number))
        await asyncio.sleep(0.0003 * (number % 7))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            stopped += 1
        if not line.usable:
            line = await Line.connect(read_url(server()).conninfo, autocommit=True, prepare_threshold=0)
        await settle(line)
        found = await line.ask(f"SELECT %s::int + {number % 8}", (2,))
        assert found == [(number % 8 + 2,)]
    assert stopped > 5


async def test_a_group_that_says_and_hears_more_than_a_socket_holds_comes_through(line: Line) -> None:
    text = "x" * 2_000_000
    answers = await line.ask_all([BEGIN], [("SELECT %s::text", (text,))] * 12, "COMMIT")
    assert answers == [[(text,)]] * 12


async def test_a_group_that_fails_ends_with_the_servers_error_and_none_of_it_is_done(line: Line) -> None:
    await line.execute("CREATE TEMP TABLE numbers (n int PRIMARY KEY)")
    add = "INSERT INTO numbers VALUES (%s) RETURNING n"
    assert await line.ask_all([BEGIN], [(add, (1,)), (add, (2,))], "COMMIT") == [[(1,)], [(2,)]]
    for _ in range(2):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await line.ask_all([BEGIN], [(add, (3,)), (add, (1,)), (add, (4,))], "COMMIT")
        await settle(line)
    assert await line.ask("SELECT n FROM numbers ORDER BY n", ()) == [(1,), (2,)]


async def test_a_line_whose_server_hangs_up_says_so(line: Line) -> None:
    assert await line.ask("SELECT %s::int", (1,)) == [(1,)]
    with psycopg.connect(server(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (line.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        await line.ask_all([BEGIN], [("SELECT %s::int", (1,))], "COMMIT")
    assert not line.usable
