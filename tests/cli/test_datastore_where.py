"""`--where`: what people write becomes Slack's expression, and errors point into what they wrote."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.cli.datastore_where import condition, translate
from stateroom.expr.evaluate import evaluate
from stateroom.model.errors import InvalidCondition
from support.tables import each

ITEM = {
    "status": "open",
    "votes": 12,
    "price": Decimal("1.5"),
    "name": "it's here",
    "size": 3,
    "urgent": True,
    "tags": ["a", "b"],
    "address": {"city": "Ulm", "and": 1},
    "first name": "Ann",
    "größe": 7,
}


@each(
    ("text", "expected"),
    [
        ("status = 'open'", True),
        ('status = "open"', True),
        ("status='closed'", False),
        ("status <> 'open'", False),
        ("status != 'closed'", True),
        ("status == 'open'", True),
        ("votes > 3 AND votes < 13", True),
        ("votes=12 and not status = 'x'", True),
        ("votes = '12'", False),
        ("votes>-1", True),
        ("price = 1.5 AND price <= 15e-1", True),
        ("votes BETWEEN 10 AND 12", True),
        ("votes in (1, 12)", True),
        ("urgent = true AND urgent <> FALSE", True),
        ("name = 'it''s here'", True),
        ('name = "it\'s here"', True),
        ("begins_with(name, 'it')", True),
        ("begins_with (name, 'x')", False),
        ("contains(tags, 'b')", True),
        ("attribute_exists(votes) AND attribute_not_exists(gone)", True),
        ("attribute_type(votes, 'N')", True),
        ("size(tags) = 2", True),
        ("size = 3", True),
        ("address.city = 'Ulm'", True),
        ("address.and = 1", True),
        ("tags[1] = 'b'", True),
        ("tags[ 0 ] = 'b'", False),
        ("`first name` = 'Ann'", True),
        ("größe > 6", True),
        ("(status = 'x' OR votes = 12) AND urgent = true", True),
    ],
)
def test_a_condition_means_what_it_says(text: str, expected: bool) -> None:
    assert evaluate(condition(text), ITEM) is expected


def test_slack_s_placeholders_may_be_mixed_in() -> None:
    mixed = condition("#w1 = :w1 AND votes = 12", {"#w1": "status"}, {":w1": "open"})
    assert evaluate(mixed, ITEM)
    made = translate("#w1 = :w1 AND votes = 12", {"#w1": "status"}, {":w1": "open"})
    assert (made.names["#w1"], made.values[":w1"]) == ("status", "open")


@given(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable()))
def test_no_text_is_ever_read_as_anything_but_a_value(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    made = translate(f"status = {quoted}")
    assert made.text == "#w1 = :w1"
    assert list(made.values.values()) == [text]


@each(
    ("text", "at", "told"),
    [
        ("status = 'open", 9, "not closed"),
        ("status = `x", 9, "not closed"),
        ("status = open & votes = 1", 14, "write AND"),
        ("status LIKE 'o%'", 7, "begins_with"),
        ("status = null", 9, "attribute_not_exists"),
        ("status IS 'x'", 7, "there is no IS"),
        ("status = 'open' AND", 16, "ends too early"),
        ("votes = 1 votes", 10, ""),
        ("   votes   ~ 1", 11, "no meaning"),
        ("status = 'a' AND begins_with(votes, 5)", 36, ""),
        ("votes BETWEEN 9 AND 1", 20, ""),
        ("'a' = 'b' AND nope(votes)", 14, "nope"),
        ("urgent > true", 9, ""),
        ("status = 12abc", 9, ""),
        ("#gone = 1", 0, "#gone"),
        ("votes = 1e99999999999999999999", 8, "infinite"),
        (f"votes = {'9' * 5000}", 8, "significant digits"),
    ],
)
def test_an_error_points_at_the_character_that_was_written(text: str, at: int, told: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        condition(text)
    message = str(caught.value)
    assert told in message
    assert (caught.value.position, text) == (at, text), message
    assert "#w" not in message
    assert ":w" not in message


def test_an_error_never_shows_what_was_made_of_it() -> None:
    with pytest.raises(InvalidCondition) as caught:
        condition("status = 'open' OR OR")
    assert message_is_clean(str(caught.value))


def message_is_clean(message: str) -> bool:
    return "#w" not in message and ":w" not in message and message.count("at character") == 1


@pytest.mark.parametrize("value", [0, -7, 10**37, Decimal("0.1"), Decimal("-12.25")])
def test_numbers_keep_every_digit(value: Any) -> None:
    assert list(translate(f"votes = {value}").values.values()) == [value]
