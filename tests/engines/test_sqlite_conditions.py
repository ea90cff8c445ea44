"""Conditions as SQL: never a row too few, nothing of a condition in the SQL."""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom import attr
from stateroom.engines.sqlite_conditions import where
from stateroom.expr.evaluate import evaluate
from stateroom.expr.parser import parse
from stateroom.expr.tree import Compare, Condition, Contains, In, Literal, Not, Path
from stateroom.model.codec import encode
from support.conditions import NAMES, TEXTS, VALUES, conditions, rows
from support.tables import each


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


@given(conditions, st.lists(rows, min_size=1, max_size=12))
def test_no_row_too_few_is_found_and_none_too_many_where_the_clause_is_exact(
    connection: sqlite3.Connection, condition: Condition, items: list[dict[str, Any]]
) -> None:
    for one in (condition, Not(condition)):
        places, exact = found(connection, one, items)
        wanted = {n for n, item in enumerate(items) if evaluate(one, item)}
        assert wanted <= places
        assert not exact or wanted == places


ITEMS: list[dict[str, Any]] = [{}, *({"a": value} for value in VALUES), *({"a": [0, value]} for value in VALUES)]
A = attr("a")


@pytest.mark.parametrize("op", ["=", "<>", "<", "<=", ">", ">="])
def test_every_value_is_compared_with_every_other(connection: sqlite3.Connection, op: Any) -> None:
    """The values at which SQLite and we differ, each against each, as it is and turned round."""
    ordered = op not in ("=", "<>")
    for value in [v for v in VALUES if not ordered or (isinstance(v, (str, int, Decimal)) and not isinstance(v, bool))]:
        for condition in (Compare(A.operand, op, Literal(value)), Compare(Literal(value), op, A.operand)):
            for one in (condition, Not(condition)):
                places, exact = found(connection, one, ITEMS)
                wanted = {n for n, item in enumerate(ITEMS) if evaluate(one, item)}
                assert wanted <= places, one
                assert not exact or wanted == places, one


@each("value", VALUES)
def test_every_value_is_looked_for_in_every_other(connection: sqlite3.Connection, value: Any) -> None:
    for condition in (Contains(A.operand, Literal(value)), In(A.operand, (Literal(value), Literal("ab")))):
        for one in (condition, Not(condition)):
            places, exact = found(connection, one, ITEMS)
            wanted = {n for n, item in enumerate(ITEMS) if evaluate(one, item)}
            assert wanted <= places, one
            assert not exact or wanted == places, one


@each(
    ("condition", "exact"),
    [
        (A == "open", True),
        (A != "open", True),
        (A == "[1]", False),
        (A.is_in([True]), True),
        (A.is_in([None]), True),
        (A.exists(), True),
        (A.not_exists() | ~(A == "x"), True),
        (A.is_in(["x", "y"]), True),
        (A.is_type("N"), True),
        (A.size() > 3, True),
        (A.size() <= Decimal("2.5"), True),
        (A > 5, False),
        (A == 5, False),
        (A > "x", False),
        (~(A > "x"), True),
        (attr('q"') == "x", False),
    ],
    ids=str,
)
def test_a_clause_says_whether_it_is_exact(connection: sqlite3.Connection, condition: Condition, exact: bool) -> None:
    assert where(condition).exact is exact
    assert found(connection, condition, ITEMS)[0] >= {n for n, item in enumerate(ITEMS) if evaluate(condition, item)}


def test_few_rows_too_many_are_found_for_what_people_ask(connection: sqlite3.Connection) -> None:
    """A filter that found every row would never be wrong, only slow."""
    items = [{"n": n, "s": f"s{n % 10}", "t": ["x"] * (n % 3), "d": Decimal(n) / 10} for n in range(200)]
    items += [{"n": True}, {"s": ["s1"]}, {}]
    n, s, t = attr("n"), attr("s"), attr("t")
    for condition in (
        n > 0,
        n >= 199,
        n < 3,
        n == 7,
        n.between(5, 9),
        n.is_in([1, 5]),
        s == "s1",
        s > "s8",
        s.between("s2", "s3"),
        s.begins_with("s1"),
        s.contains("1"),
        t.contains("x"),
        t.size() == 2,
        attr("d") > Decimal("19.5"),
        ~(s == "s1"),
        ~(n > 3),
        ~(t.contains("x")),
        ~n.between(5, 190),
        (s == "s1") & ~((n > 100) | (t.size() > 1)),
    ):
        wanted = sum(evaluate(condition, item) for item in items)
        assert wanted <= len(found(connection, condition, items)[0]) <= wanted + 2, condition


@each("evil", [*TEXTS, "?", "';--", "$.a", 'a"] = ?', "]", "\n", "x' OR '1'='1", "é\u2028"])
def test_nothing_of_a_condition_is_in_the_sql(connection: sqlite3.Connection, evil: str) -> None:
    items: list[dict[str, Any]] = [{"a": evil}, {"a": [evil]}, {evil or "x": {evil or "x": 1}}, {"a": "harmless"}, {}]
    name = evil or "x"
    conditions_: list[Condition] = [
        evil == A,
        evil < A,
        A.is_in([evil, 1]),
        A.begins_with(evil),
        A.contains(evil),
        attr(name) == evil,
    ]
    conditions_ += [attr(name, name) == 1, attr(name).exists(), attr(name).size() > 0, ~(attr(name, name) == 1)]
    for condition in conditions_:
        sql, _, _ = where(condition)
        assert set(sql) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _=<>(),'?$*")
        places, _ = found(connection, condition, items)
        assert places >= {n for n, item in enumerate(items) if evaluate(condition, item)}
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (len(items),)


def test_the_sql_of_a_condition_depends_on_its_shape_alone(connection: sqlite3.Connection) -> None:
    """So that SQLite's compiled statements are found again."""
    text = "#n = :a AND #m > :b OR begins_with(#n, :a)"
    one = where(parse(text, {"#n": "x", "#m": "y"}, {":a": "1", ":b": 2}))
    other = where(parse(text, {"#n": NAMES[-1], "#m": "'"}, {":a": "zz", ":b": 77}))
    assert one.sql == other.sql


def test_the_largest_condition_can_be_run(connection: sqlite3.Connection) -> None:
    options = tuple(Literal(f"v{n}") for n in range(100))
    clause = where(In(Path(("a",)), options))
    assert clause.exact
    largest: Condition = A == "v5"
    for _ in range(290):
        largest = largest | In(Path(("a",)), options)
    places, _ = found(connection, largest, [{"a": "v5"}, {"a": "w"}, {}])
    assert places == {0}
    places, exact = found(connection, largest & (A == 1) | largest, [{"a": "v5"}, {"a": "w"}])
    assert (places, exact) == ({0, 1}, False), "more than SQLite can bind: every row is looked at"
