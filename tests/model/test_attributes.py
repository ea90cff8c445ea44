"""Attribute types: which values each takes, what the error names, and that one pass makes values canonical."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.attributes import TYPES, Attribute
from stateroom.model.codec import decode, encode, normalise
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue
from support.tables import each

BLOCK = {"type": "rich_text", "elements": []}

FITTING = {
    "string": ["", "x", "日本", "😀"],
    "boolean": [True, False],
    "integer": [0, -5, 10**37, 1.0, Decimal("1E+3")],
    "number": [0, 1.5, Decimal("0.1"), 10**37],
    "object": [{}, {"a": None, "b": [1, {"c": True}]}],
    "array": [[], [1, "x", None, [2]], (1, 2)],
    "user_id": ["U01234567", "W01234567"],
    "channel_id": ["C01234567", "D01234567", "G01234567"],
    "usergroup_id": ["S01234567"],
    "team_id": ["T01234567", "E01234567"],
    "message_ts": ["1700000000.000100"],
    "timestamp": [0, 1_700_000_000, 1_700_000_000.0],
    "date": ["2026-11-21", "2024-02-29"],
    "rich_text": [BLOCK],
    "expanded_rich_text": [{"any": "thing"}],
    "canvas_id": ["F01234567"],
    "canvas_template_id": ["anything"],
    "channel_canvas_id": ["F01234567"],
    "file_id": ["F01234567"],
    "list_id": ["F01234567"],
    "salesforce_record_id": ["003xx0000000001AAA"],
}
UNFITTING = {
    "string": [1, None, True, ["x"], {}, b"x", "a\0b", "\ud800"],
    "boolean": [0, 1, "True", None],
    "integer": [1.5, Decimal("0.1"), "1", True, None],
    "number": ["1", True, None, float("nan"), float("inf"), 10**40 + 1],
    "object": ["x", [], None, {1: 2}],
    "array": ["abc", {}, None, [b"x"]],
    "user_id": ["", "u01234567", "B01234567", "C01234567", "U", "U0123456é", "../U01234567", "U01234567\n", 5, None],
    "channel_id": ["U01234567", "#general", "c01234567", 5],
    "usergroup_id": ["U01234567", "S", 5],
    "team_id": ["U01234567", "", 5],
    "message_ts": ["1691513323", 1691513323.1, "1691513323.1192", "169151332.119209", "1691513323.119209 "],
    "timestamp": [-1, 1.5, "1700000000", True, "1700000000.000100"],
    "date": ["2026-02-30", "21.11.2026", "2026-1-1", "20261121", "2026-11-21T00:00", 20261121, None],
    "rich_text": [{}, {"type": "section"}, "x", [BLOCK]],
    "expanded_rich_text": ["x", []],
    **{f"{name}_id": ["", 5, None] for name in ("canvas", "canvas_template", "channel_canvas", "file", "list")},
    "salesforce_record_id": ["", 5],
}


def typed(name: str) -> str:
    return name if name in TYPES else f"slack#/types/{name}"


def cases(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(typed(name), value) for name in table for value in table[name]]


def test_every_type_has_its_cases() -> None:
    assert {typed(name) for name in FITTING} == {typed(name) for name in UNFITTING} == set(TYPES)


@each(("name", "value"), cases(FITTING))
def test_what_fits_a_type_is_taken_and_made_canonical(name: str, value: Any) -> None:
    attribute = Attribute(name)
    assert attribute.fault(value) is None
    kept = attribute.cleaner()(value)
    assert repr(kept) == repr(normalise(value))
    assert repr(decode(encode(kept))) == repr(kept)


@each(("name", "value"), cases(UNFITTING))
def test_what_does_not_fit_a_type_is_refused_in_words_without_the_value(name: str, value: Any) -> None:
    found = Attribute(name).fault(value)
    assert found is not None
    path, words = found
    assert path == ""
    assert not isinstance(value, str) or len(value) < 3 or value not in words


def test_a_value_is_one_of_those_declared() -> None:
    color = Attribute("string", values=("red", "blue"))
    assert color.fault("red") is None
    assert color.fault("green") == ("", "must be one of red, blue")
    rank = Attribute("integer", values=(0, 1))
    assert rank.fault(1) is None
    assert rank.fault(True) is not None
    assert rank.fault(2) == ("", "must be one of 0, 1")


LABEL = Attribute(
    "object",
    properties={
        "label": Attribute("string", required=True),
        "by": Attribute("slack#/types/user_id"),
        "notes": Attribute("array", items=Attribute("object", properties={"at": Attribute("slack#/types/timestamp")})),
    },
)
TICKETS = Definition("tickets", "id", {"id": Attribute("string"), "tags": Attribute("array", items=LABEL)})


@pytest.mark.parametrize(
    ("tags", "path", "words"),
    [
        ("x", "", "must be an array"),
        ([5], "[0]", "must be an object"),
        ([{"label": "a"}, {"label": "b"}, {"label": 5}], "[2].label", "must be a string"),
        ([{"label": "a"}, {}], "[1].label", "is required"),
        ([{"label": "a", "by": "U!"}], "[0].by", "must be a user id such as U01234567 or W01234567"),
        ([{"label": "a", "lable": "b"}], "[0].lable", "is not declared"),
        ([{"label": None}], "[0].label", "must be a string"),
        ([{"label": "a", "notes": [{"at": 1}, {"at": 1.5}]}], "[0].notes[1].at", "must be whole seconds since 1970"),
        ([{"label": "a\0b"}], "[0].label", "contains U+0000, which PostgreSQL cannot store"),
    ],
)
def test_an_error_names_the_path_of_what_does_not_fit(tags: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        TICKETS.clean({"id": "T-1", "tags": tags})
    assert (refused.value.field, refused.value.detail) == (f"tickets.tags{path}", words)


def test_stateroom_s_own_attributes_and_undeclared_ones_cannot_be_set() -> None:
    for name in ("$v", "status"):
        with pytest.raises(InvalidValue, match="is not declared"):
            TICKETS.stored({"id": "T-1", name: 2})


def test_what_was_given_is_never_changed_and_never_shared() -> None:
    tags = [{"label": "a", "notes": [{"at": 1.0}]}]
    kept = TICKETS.clean({"id": "T-1", "tags": tags})
    kept["tags"][0]["notes"].append({"at": 2})
    assert repr(tags) == "[{'label': 'a', 'notes': [{'at': 1.0}]}]"


scalars = st.sampled_from(["string", "boolean", "integer", "number"]).map(Attribute)
attributes = st.recursive(
    scalars,
    lambda inner: (
        st.builds(lambda i: Attribute("array", items=i), inner)
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(
            lambda p: Attribute("object", properties=p)
        )
    ),
    max_leaves=5,
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5),
    "boolean": st.booleans(),
    "integer": st.integers(-(10**37), 10**37),
    "number": st.floats(-1e20, 1e20).filter(lambda f: f == 0 or abs(f) > 1e-100) | st.integers(-99, 99),
}


def value_of(attribute: Attribute) -> st.SearchStrategy[Any]:
    if attribute.items is not None:
        return st.lists(value_of(attribute.items), max_size=3)
    if attribute.properties:
        return st.fixed_dictionaries({}, optional={n: value_of(a) for n, a in attribute.properties.items()})
    return SCALARS[attribute.type]


@given(attributes.flatmap(lambda a: st.tuples(st.just(a), value_of(a))))
def test_whatever_fits_is_kept_as_the_codec_would_and_comes_back(pair: tuple[Attribute, Any]) -> None:
    attribute, value = pair
    kept = attribute.cleaner()(value)
    assert repr(kept) == repr(normalise(value))
    assert repr(attribute.cleaner()(decode(encode(kept)))) == repr(kept)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3),
    max_leaves=6,
)


@given(attributes, junk)
def test_any_value_is_taken_canonically_or_refused_with_a_path(attribute: Attribute, value: Any) -> None:
    try:
        kept = attribute.cleaner()(value)
    except InvalidValue as refused:
        kept, path = None, refused.field
    else:
        path = ""
        assert repr(decode(encode(kept))) == repr(kept)
        assert attribute.fault(kept) is None
    assert path == "" or path[0] in ".["


def test_nesting_has_the_same_limit_in_declared_and_undeclared_parts() -> None:
    deep: Any = 1
    for _ in range(31):
        deep = [deep]
    assert Attribute("array").fault(deep) is None
    assert Attribute("array", items=Attribute("array")).fault([deep]) is None
    assert Attribute("array", items=Attribute("array")).fault([[deep]]) is not None
