"""Profiles: Slack's limits, sizes as DynamoDB counts them, and warnings that are not lost."""

import warnings
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stateroom as sr
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise_item
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import DefinitionWarning, InvalidDefinition, ItemTooLarge
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.profiles import ITEM_LIMIT, PROFILES, check_profile, size_of
from support.tables import each

STRING = Attribute("string")


def wide(attributes: int, name: str = "x", **options: Any) -> Definition:
    return Definition(name, "a0", {f"a{n}": STRING for n in range(attributes)}, **options)


@each(
    ("item", "size"),
    [
        ({}, 0),
        ({"id": "T-1"}, 5),
        ({"é": "日本"}, 2 + 6),
        ({"a": "😀"}, 1 + 4),
        ({"a": None}, 2),
        ({"a": True}, 2),
        ({"a": 0}, 2),
        ({"a": 5}, 1 + 2),
        ({"a": -5}, 1 + 3),
        ({"a": 12}, 1 + 2),
        ({"a": 123}, 1 + 3),
        ({"a": 1234}, 1 + 3),
        ({"a": 100}, 1 + 2),
        ({"a": 1000}, 1 + 2),
        ({"a": 1200}, 1 + 2),
        ({"a": 120}, 1 + 3),  # 1 | 20: digits are paired from the decimal point
        ({"a": Decimal("0.5")}, 1 + 2),
        ({"a": Decimal("0.05")}, 1 + 2),
        ({"a": Decimal("0.001")}, 1 + 2),
        ({"a": Decimal("1.5")}, 1 + 3),
        ({"a": Decimal("-12.34")}, 1 + 4),
        ({"a": int("1" * 38)}, 1 + 20),
        ({"a": []}, 1 + 3),
        ({"a": {}}, 1 + 3),
        ({"a": ["x", "y"]}, 1 + 3 + 2 * (1 + 1)),
        ({"a": {"bc": "x"}}, 1 + 3 + 1 + 2 + 1),
        ({"a": [{"b": [1]}]}, 1 + 3 + 1 + (3 + 1 + 1 + (3 + 1 + 2))),
    ],
)
def test_an_item_is_counted_as_dynamodb_counts(item: dict[str, Any], size: int) -> None:
    assert size_of(normalise_item(item)) == size


numbers = st.integers(-(10**37), 10**37) | st.decimals(-(10**9), 10**9, places=6)


@given(numbers)
def test_a_number_takes_about_half_a_byte_a_digit(number: int | Decimal) -> None:
    (canonical,) = normalise_item({"n": number}).values()
    digits = len("".join(map(str, Decimal(canonical).as_tuple().digits)).strip("0"))
    size = size_of({"": canonical})
    assert digits / 2 + 1 <= size + (canonical == 0) <= digits / 2 + 3


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.lists(st.integers(0, 999), max_size=3)))
def test_more_attributes_never_weigh_less(item: dict[str, Any]) -> None:
    assert size_of({**item, "more": "x"}) >= size_of(item) - size_of({"more": item.get("more", "")}) + 5


def test_an_item_of_the_slack_profile_is_under_400_kb() -> None:
    definition = wide(2, profile="slack")
    fits = ITEM_LIMIT - 1 - len("a0") - len("a1") - len("T-1")
    definition.stored({"a0": "T-1", "a1": "x" * fits})
    with pytest.raises(ItemTooLarge) as refused:
        definition.stored({"a0": "T-1", "a1": "x" * (fits + 1)})
    assert (refused.value.size, refused.value.limit) == (409_600, 409_600)
    wide(2).stored({"a0": "T-1", "a1": "x" * (fits + 1)})


def test_a_hundred_attributes_are_allowed_and_the_next_one_is_named() -> None:
    wide(100, profile="slack")
    wide(101)
    with pytest.raises(InvalidDefinition) as refused:
        wide(101, profile="slack")
    assert refused.value.attribute == "a100"


def test_ten_datastores_are_allowed_and_the_next_one_is_named() -> None:
    many = [wide(1, f"x{n}") for n in range(11)]
    assert check_profile(many[:10], "slack") == ()
    assert check_profile(many, "open") == ()
    with pytest.raises(InvalidDefinition) as refused:
        check_profile(many, "slack")
    assert refused.value.datastore == "x10"


def test_a_profile_asked_for_later_checks_open_definitions_too() -> None:
    with pytest.raises(InvalidDefinition):
        check_profile([wide(101)], "slack")


def test_a_bulk_call_of_slack_s_has_25_items() -> None:
    assert (PROFILES["slack"].bulk, PROFILES["open"].bulk) == (25, None)


def odd(**options: Any) -> Definition:
    attributes = {
        "id": STRING,
        "status": STRING,
        "team": Attribute("slack#/types/team_id"),
        "canvas": Attribute("slack#/types/canvas_id"),
        "files": Attribute("array", items=Attribute("slack#/types/file_id")),
        "deep": Attribute("object", properties={"record": Attribute("slack#/types/salesforce_record_id")}),
        "loose": Attribute("array"),
        "by": Attribute("slack#/types/user_id"),
    }
    lifecycle = Lifecycle("status", a=["b"])
    return Definition("odd", "id", attributes, indexes=(Index("status"),), lifecycle=lifecycle, **options)


WARNED = ("odd.team:", "odd.canvas:", "odd.deep.record:", "odd.loose:", "odd: Slack's own datastores do not have index")


def test_what_slack_does_not_document_is_taken_with_a_warning_that_names_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = odd()
    assert quiet.warnings == ()
    with pytest.warns(DefinitionWarning) as told:
        definition = odd(profile="slack")
    assert [str(w.message) for w in told] == list(definition.warnings)
    assert all(any(words.startswith(start) for words in definition.warnings) for start in WARNED)
    assert not any("files" in words or "odd.by" in words for words in definition.warnings)
    assert check_profile([quiet], "slack") == definition.warnings
    assert definition.stored({"id": "T-1", "canvas": "F1", "files": ["F2"]})["canvas"] == "F1"


def test_a_warning_points_at_the_line_that_makes_the_definition() -> None:
    with pytest.warns(DefinitionWarning) as told:

        class Canvas(sr.Datastore, name="canvases", profile="slack"):
            id: str = sr.key()
            canvas: sr.CanvasId | None = None

    assert [w.filename for w in told] == [__file__]
