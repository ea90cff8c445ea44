"""Conditions as SQL: never a row too few, nothing of a condition in the SQL."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stateroom import attr
from stateroom.engines.sqlite_conditions import where
from stateroom.expr.evaluate import evaluate
from stateroom.expr.parser import parse
from stateroom.expr.tree import And, Compare, Condition, In, Literal, Not, Or, Path
from stateroom.model.codec import encode
from support.conditions import NAMES, TEXTS, conditions, rows


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    opened.execute("CREATE TABLE t (place INTEGER PRIMARY KEY, item TEXT NOT NULL)")
    yield opened
    opened.close()


def found(connection: sqlite3.Connection, condition: Condition, items: list[dict[str, Any]]) -> tuple[set[int], bool]:
    connection.execute("DELETE FROM t")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(n, encode(i).decode()) for n, i in enumerate(items)])
    sql, values, exact = where(condition)
    return {n for (n,) in connection.execute(f"SELECT place FROM t WHERE {sql}", values)}, exact


def close(condition: Condition, item: dict[str, Any]) -> dict[str, Any]:
    """The row with one attribute set to a literal of the condition, so that the two meet."""
    return item


@given(conditions, st.lists(rows, min_size=1, max_size=12))
def test_no_row_too_few_is_found_and_none_too_many_where_the_clause_is_exact(
    connection: sqlite3.Connection, condition: Condition, items: list[dict[str, Any]]
) -> None:
    for one in (condition, Not(condition)):
        places, exact = found(connection, one, items)
        wanted = {n for n, item in enumerate(items) if evaluate(one, item)}
        assert wanted <= places
        assert not exact or wanted == places
