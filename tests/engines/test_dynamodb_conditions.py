"""What the engine says in DynamoDB's own language means what `evaluate` means, to moto's reading of it."""

import random
from decimal import Decimal
from typing import Any

import pytest

from stateroom.engines.conformance.conditions import World
from stateroom.engines.decide import rank
from stateroom.engines.dynamodb_conditions import Foreign, Terms, expression, hint
from stateroom.engines.dynamodb_values import item_of, place, wire
from stateroom.expr.check import flaw
from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import And, Compare, Condition, Literal, Not, Path, Size
from support.conditions import NUMBERS, TEXTS, VALUES


def told(text: str, terms: Terms, item: dict[str, Any]) -> bool:
    """What moto answers for a row with that item."""
    from moto.dynamodb.comparisons import create_condition_expression_parser
    from moto.dynamodb.models.dynamo_type import DynamoType, Item

    asked = terms.asked()
    names, values = asked.get("ExpressionAttributeNames"), asked.get("ExpressionAttributeValues")
    row = Item(DynamoType({"S": "p"}), DynamoType({"S": "s"}), {"item": wire(item)})
    return bool(create_condition_expression_parser(text, names, values).parse().expr(row))


@pytest.mark.service
def test_random_conditions_are_answered_as_evaluate_answers_them() -> None:
    said = 0
    for seed in range(1500):
        world = World(seed)
        condition, item, terms = world.condition(), world.row(), Terms()
        try:
            text = expression(condition, terms)
        except Foreign:
            continue
        said += 1
        assert told(text, terms, item) is evaluate(condition, item), (condition, item)
    assert said > 400


@pytest.mark.service
def test_each_value_is_compared_with_each_as_evaluate_compares_them() -> None:
    dice = random.Random(5)
    for left in VALUES:
        for right in dice.sample(VALUES, 12):
            for op in ("=", "<>", "<", "<=", ">", ">="):
                condition, terms = Compare(Path(("a",)), op, Literal(right)), Terms()  # type: ignore[arg-type]
                try:
                    text = expression(condition, terms)
                except Foreign:
                    continue
                assert told(text, terms, {"a": left}) is evaluate(condition, {"a": left})
                assert told(text, terms, {}) is evaluate(condition, {})


@pytest.mark.service
def test_a_filter_says_what_it_can_and_leaves_out_no_row_that_is_wanted() -> None:
    size: Condition = Compare(Size(Path(("a",))), ">", Literal(3))
    known: Condition = Compare(Path(("a",)), "=", Literal("abcd"))
    for condition in (And((known, size)), And((size, known))):
        terms = Terms()
        text = hint(condition, terms)
        assert told(text, terms, {"a": "abcd"})
        assert not told(text, terms, {"a": "b"})
    assert not hint(size, Terms())
    assert not hint(Not(size), Terms())
    assert flaw(size) is None


def test_values_come_back_as_they_went() -> None:
    item = {f"v{n}": value for n, value in enumerate(VALUES)}
    assert item_of(wire(item)["M"]) == item
    assert item_of({"n": {"N": "1" + "0" * 50}}) == {"n": Decimal("1E+50")}
    assert [type(value) for value in item_of({"a": {"N": "1.50"}, "b": {"N": "2.0"}}).values()] == [Decimal, int]


def test_places_in_an_index_sort_as_the_values_do() -> None:
    values = [*NUMBERS, *(-n for n in NUMBERS), True, False, *TEXTS]
    ordered = sorted(values, key=rank)
    assert [rank(value) for value in sorted(values, key=place)] == [rank(value) for value in ordered]
    places = [place(value) for value in values]
    assert not [(a, b) for a in places for b in places if a != b and b.startswith(a)]
