"""Conditions as PostgreSQL SQL: random trees and rows, and every odd value against every other, as `evaluate` says."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom import attr
from stateroom.engines.port import Put, Query, Table, TableIndex, Update
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.postgresql_conditions import clause_of
from stateroom.engines.postgresql_url import read_url
from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import Compare, Condition, Contains, In, Literal, Not
from stateroom.model.codec import encode
from stateroom.model.errors import ConditionFailed
from support.conditions import VALUES, conditions, rows
from support.postgres import drop_schema, fresh_schema

pytestmark = pytest.mark.service
TEAM = "T00000001"
ITEMS: list[dict[str, Any]] = [{}, *({"a": value} for value in VALUES), *({"a": [0, value]} for value in VALUES)]
A = attr("a")
Pairs = st.lists(rows, min_size=1, max_size=8)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    found = fresh_schema()
    yield found
    drop_schema(found)


@pytest.fixture(scope="module")
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(read_url(url).conninfo, autocommit=True) as opened:
        yield opened


def found(connection: psycopg.Connection, condition: Condition, items: list[dict[str, Any]]) -> set[int]:
    clause = clause_of(condition)
    source = "(SELECT n, x::jsonb AS item FROM unnest(%s::int[], %s::text[]) AS given (n, x)) AS t"
    texts = [encode(item).decode() for item in items]
    values = [list(range(len(items))), texts, *clause.values]
    return {n for (n,) in connection.execute(f"SELECT n FROM {source} WHERE {clause.sql}", values)}


@given(conditions, Pairs)
def test_the_clause_finds_what_evaluate_says(
    connection: psycopg.Connection, condition: Condition, items: list[dict[str, Any]]
) -> None:
    for one in (condition, Not(condition)):
        assert found(connection, one, items) == {n for n, item in enumerate(items) if evaluate(one, item)}


@pytest.mark.parametrize("op", ["=", "<>", "<", "<=", ">", ">="])
def test_every_value_is_compared_with_every_other(connection: psycopg.Connection, op: Any) -> None:
    ordered = op not in ("=", "<>")
    for value in [v for v in VALUES if not ordered or (isinstance(v, (str, int, Decimal)) and not isinstance(v, bool))]:
        for one in (Compare(A.operand, op, Literal(value)), Compare(Literal(value), op, A.operand)):
            assert found(connection, one, ITEMS) == {n for n, item in enumerate(ITEMS) if evaluate(one, item)}, one


def test_every_value_is_looked_for_in_every_other(connection: psycopg.Connection) -> None:
    for value in VALUES:
        for one in (Contains(A.operand, Literal(value)), In(A.operand, (Literal(value), Literal("b")))):
            assert found(connection, one, ITEMS) == {n for n, item in enumerate(ITEMS) if evaluate(one, item)}, one


TABLE = Table("things", indexes=(TableIndex("a", ("a",)), TableIndex("status_b", ("status", "b"))))


@given(conditions, Pairs)
def test_pages_by_indexes_and_writes_go_by_what_evaluate_says(
    url: str, condition: Condition, items: list[dict[str, Any]]
) -> None:
    """Through the engine, with expression indexes on what is asked for."""

    async def check() -> None:
        engine = PostgresEngine(url, time.time)
        await engine.open()
        await engine.apply([TABLE])
        ids = [f"k{n}" for n in range(len(items))]
        await engine.commit([Put("things", TEAM, id, item) for id, item in zip(ids, items, strict=True)])
        wanted = [id for id, item in zip(ids, items, strict=True) if evaluate(condition, item)]
        query = Query("things", TEAM, 1000, condition=condition, high=f"k{len(items)}")
        assert [row.id for row in (await engine.query(query)).rows] == wanted
        written = []
        for id in ids:
            try:
                await engine.commit([Update("things", TEAM, id, set={"seen": 1}, condition=condition)])
            except ConditionFailed:
                continue
            written.append(id)
        assert written == wanted
        await engine.close()

    asyncio.run(check())
