"""The quick check of an item says what the cleaners say: the same values, the same JSON, the same errors."""

from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from stateroom.model.attributes import TYPES, Attribute
from stateroom.model.codec import encode
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue


class Text(str):
    __slots__ = ()


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    ONE = 1


VALUES: list[Any] = [
    *("", "a", "red", "é", "\0", "a\nb", "\\u0000", "\ud800", Text("a"), Colour.RED, b"a"),
    *("U01234567", "U01234567\n", "C01234567", "S01234567", "T01234567", "1700000000.000100", "2026-11-21", "B0123"),
    *(0, 1, -1, 10**18, -(10**18), 10**38 - 1, 10**38, True, False, 1.0, 0.5, float("nan"), Decimal("1.50"), Size.ONE),
    *([], ["a"], ["a", "\0"], ["a", 1], [Text("a")], ("a",), {"a"}, [["a"]], ["U01234567"], [True], [1, 2], [None]),
    *({}, {"a": 1}, {"a": Decimal("1.0")}, {"type": "rich_text"}, {1: 2}, None, object()),
]
KINDS = {
    **{name.rpartition("/")[2]: Attribute(name) for name in TYPES},
    "choice": Attribute("string", values=("a", "red")),
    "number choice": Attribute("integer", values=(1, 2)),
    "texts": Attribute("array", items=Attribute("string")),
    "people": Attribute("array", items=Attribute("slack#/types/user_id")),
    "flags": Attribute("array", items=Attribute("boolean")),
    "nested": Attribute("array", items=Attribute("array", items=Attribute("string"))),
    "record": Attribute("object", properties={"a": Attribute("integer")}),
}


def told(definition: Definition, item: Any) -> tuple[Any, ...]:
    try:
        found = definition.clean(item)
    except InvalidValue as error:
        return error.field, error.detail
    return list(found.items()), [type(value) for value in found.values()], encode(found).decode()


def quickly(definition: Definition, item: Any) -> tuple[Any, ...]:
    try:
        found, data = definition.written(item)
    except InvalidValue as error:
        return error.field, error.detail
    return list(found.items()), [type(value) for value in found.values()], data


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_taken_or_refused_as_the_cleaner_does(kind: str) -> None:
    definition = Definition("t", "id", {"id": Attribute("string", required=True), "x": KINDS[kind]})
    for value in VALUES:
        item = {"x": value, "id": "a"}
        assert quickly(definition, item) == told(definition, item), value


def test_what_is_missing_or_not_declared_is_refused_as_the_cleaner_does() -> None:
    definition = Definition("t", "id", {"id": Attribute("string", required=True), "x": Attribute("string")})
    for item in ({}, {"x": "a"}, {"id": "a", "y": 1}, {"id": "a", "x": "b", "y": 1}, {1: "a", "id": "b"}):
        assert quickly(definition, item) == told(definition, item)


def test_what_is_stored_is_not_the_callers_own() -> None:
    definition = Definition("t", "id", {"id": Attribute("string"), "x": KINDS["texts"]})
    item = {"id": "a", "x": ["b"]}
    found, _ = definition.written(item)
    many, _ = definition.written_all([item, item])
    item["x"].append("c")  # type: ignore[attr-defined]
    assert [found, *many] == [{"id": "a", "x": ["b"]}] * 3


def test_some_items_are_found_sound_without_the_cleaners() -> None:
    definition = Definition("t", "id", {"id": Attribute("string"), "x": KINDS["texts"], "y": KINDS["integer"]})
    assert definition._shape.canonical({"y": 1, "id": "a", "x": ["b"]}, {}) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_many_are_taken_or_refused_as_each_by_itself_is(kind: str) -> None:
    definition = Definition("t", "id", {"id": Attribute("string", required=True), "x": KINDS[kind]})
    sound = next(value for value in VALUES if isinstance(told(definition, {"id": "a", "x": value})[0], list))
    for value in VALUES:
        items = [{"id": "a", "x": sound}, {"id": "b", "x": value}, {"x": sound, "id": "c"}]
        expected = [quickly(definition, item) for item in items]
        if any(type(one[0]) is str for one in expected):
            with pytest.raises(InvalidValue) as refused:
                definition.written_all(items)
            assert (refused.value.field, refused.value.detail) in expected
            continue
        bodies, texts = definition.written_all(items)
        found = [(list(b.items()), [type(v) for v in b.values()], text) for b, text in zip(bodies, texts, strict=True)]
        assert found == expected, value


def test_many_that_lack_what_others_have_are_taken_and_refused_as_each_is() -> None:
    definition = Definition("t", "id", {"id": Attribute("string", required=True), "x": Attribute("string")}, version=2)
    items = [{"id": "a"}, {"id": "b", "x": "c"}]
    assert definition.written_all(items) == tuple(map(list, zip(*map(definition.written, items), strict=True)))
    assert definition.written_all([]) == ([], [])
    for wrong in ({}, {"x": "a"}, {"id": "a", "y": "b"}, {"y": "a", "z": "b"}, [("id", "a")]):
        with pytest.raises((InvalidValue, AttributeError)):
            definition.written_all([{"id": "a", "x": "b"}, wrong])


def test_some_items_are_found_sound_together() -> None:
    definition = Definition("t", "id", {"id": Attribute("string"), "x": KINDS["texts"], "y": KINDS["integer"]})
    items = [{"y": 1, "id": "a", "x": ["b"]}, {"id": "a", "y": 2, "x": []}]
    assert definition._shape.canonical_all(items, {}) is not None
