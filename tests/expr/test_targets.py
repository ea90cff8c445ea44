"""Every target of the language says what `evaluate` says: compiled closures, and text that is read again."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom import InvalidCondition, attr
from stateroom.expr.check import MAX_DEPTH, check, paths
from stateroom.expr.compiled import compile
from stateroom.expr.evaluate import evaluate
from stateroom.expr.parser import parse
from stateroom.expr.render import render
from stateroom.expr.tree import And, Compare, Condition, Literal, Not, Or, Path
from stateroom.expr.values import TYPE_CODES
from support.conditions import VALUES, conditions, rows
from support.tables import each


@given(conditions, st.lists(rows, min_size=1, max_size=8))
def test_a_compiled_condition_says_what_evaluate_says(condition: Condition, found: list[dict[str, Any]]) -> None:
    test = compile(condition)
    assert [test(row) for row in found] == [evaluate(condition, row) for row in found]


@each("value", VALUES)
def test_a_compiled_condition_compares_every_value_with_every_other(value: Any) -> None:
    flat: list[dict[str, Any]] = [{}, *({"a": other} for other in VALUES)]
    a = attr("a")
    leaves: list[Condition] = [a == value, a.is_in([value, "b"]), a.contains(value)]
    if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool):
        leaves += [a < value, a <= value, a > value, a >= value]
        leaves += [a.between(value, value), a.size() == value, a.size() > value]
    if isinstance(value, str):
        leaves.append(a.begins_with(value))
    agree([*leaves, *(~one for one in leaves), *(one | a.is_type("L") for one in leaves)], flat)
    deep: list[dict[str, Any]] = [{}, {"a": "text"}, *({"a": [other, {"b": other}]} for other in VALUES)]
    for path in (("a", 0), ("a", 1, "b"), ("a", 1, "b", "c", "d"), ("a", "b")):
        agree([attr(*path) == value, attr(*path) != value, attr(*path).contains(value)], deep)


@pytest.mark.parametrize("code", TYPE_CODES)
def test_a_compiled_condition_knows_every_type(code: str) -> None:
    agree([attr("a").is_type(code), ~attr("a").is_type(code)], [{}, *({"a": value} for value in VALUES)])


def agree(leaves: list[Condition], items: list[dict[str, Any]]) -> None:
    for leaf in leaves:
        test = compile(leaf)
        assert [test(item) for item in items] == [evaluate(leaf, item) for item in items], leaf


@given(conditions)
def test_what_is_rendered_is_read_as_the_same_tree(condition: Condition) -> None:
    check(condition)
    text, names, values = render(condition)
    assert parse(text, names, values) == condition
    assert all(name not in text for name in ("status", "ü", '"', "DROP"))


@given(conditions)
def test_a_condition_names_the_attributes_it_looks_at(condition: Condition) -> None:
    _, names, _ = render(condition)
    assert paths(condition) <= set((names or {}).values())
    for name in paths(condition):
        with pytest.raises(InvalidCondition, match="primary key"):
            check(condition, key=name)
    check(condition, key="another")


WORDS = [
    "a",
    "status",
    "AND",
    "or",
    "NOT",
    "between",
    "IN",
    "size",
    "contains",
    "(",
    ")",
    "(",
    ")",
    "=",
    "<>",
    "<",
    ",",
]
WORDS += ["#a", "#", ":v", ":w", ".", "[", "]", "0", "-1", "'x'", "'", '"', " ", "\n", "\0", "é", "\ud800", ";", "--"]


@given(st.lists(st.sampled_from(WORDS), max_size=24).map(" ".join) | st.text(max_size=60))
def test_the_parser_gives_a_sound_tree_or_invalid_condition(text: str) -> None:
    for names, values in ((None, None), ({"#a": "a"}, {":v": 1, ":w": "x"}), ({"#a": "a"}, {":v": 1})):
        try:
            tree = parse(text, names, values)
        except InvalidCondition as error:
            position = error.position or 0
        else:
            position = 0
            check(tree)
            assert parse(*render(tree)) == tree
        assert 0 <= position <= len(text)


@given(st.dictionaries(st.text(max_size=4) | st.integers(), st.text(max_size=4) | st.none() | st.floats(), max_size=3))
def test_nor_do_strange_names_and_values_give_anything_else(given_: dict[Any, Any]) -> None:
    for names, values in ((given_, {":v": 1}), ({"#a": "a"}, given_)):
        try:
            check(parse("#a = :v", names, values))
        except InvalidCondition:
            continue


@each(
    "made",
    [
        And(()),
        Or((attr("a") == 1,)),
        Compare(Path(("a",)), "like", Literal(1)),  # type: ignore[arg-type]
        Compare(Path(()), "=", Literal(1)),
        Compare(Path((0,)), "=", Literal(1)),
        Compare(Path(("a", -1)), "=", Literal(1)),
        Compare(Path(("a", True)), "=", Literal(1)),
        Compare(Path(("a", 10**9)), "=", Literal(1)),
        Compare(Path(("",)), "=", Literal(1)),
        Compare(Path(("a",) * 40), "=", Literal(1)),
        Compare(Path(("a",)), "=", Literal(0.5)),
        Compare(Path(("a",)), "=", Literal({1})),
        Compare(Path(("a",)), "=", Literal("a\0")),
        Compare("a", "=", Literal(1)),  # type: ignore[arg-type]
        Not("a"),  # type: ignore[arg-type]
        "a = 1",
        None,
    ],
)
def test_a_tree_made_by_hand_is_checked_as_well(made: Any) -> None:
    with pytest.raises(InvalidCondition):
        check(made)


def test_a_tree_too_deep_or_too_large_is_refused_without_recursion() -> None:
    tree: Condition = attr("a") == 1
    for _ in range(MAX_DEPTH - 1):
        tree = Not(tree)
    check(tree)
    assert compile(tree)({"a": 1}) is evaluate(tree, {"a": 1})
    for _ in range(100_000):
        tree = Not(tree)
    with pytest.raises(InvalidCondition, match="deeper"):
        check(tree)
    with pytest.raises(InvalidCondition, match="300 operators"):
        check(And(tuple(attr("a") == n for n in range(200))))


def test_long_chains_are_fine_in_every_target() -> None:
    chain = Or(tuple(attr("a") == n for n in range(150)))
    check(chain)
    assert compile(chain)({"a": 149})
    assert not compile(chain)({"a": 150})
    assert parse(*render(chain)) == chain
