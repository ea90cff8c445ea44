"""Which changes Slack takes, and what it says to those that it does not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.schema.compat import Change, compare
from support.definitions import apps
from support.tables import each

STRING, WHOLE, WHEN = Attribute("string"), Attribute("integer"), Attribute("slack#/types/timestamp")
ID = {"id": STRING, "other": STRING, "at": WHEN, "until": WHEN}
ONE = Definition("t", "id", ID)


def with_(old: Attribute | None, new: Attribute | None) -> list[Change]:
    """What happens to an attribute `a` that was `old` and is `new`."""
    sides = [replace(ONE, attributes=ID | ({} if one is None else {"a": one})) for one in (old, new)]
    return compare(sides[:1], sides[1:])


def told(changes: list[Change]) -> list[tuple[str, str, bool]]:
    return [(change.place, change.kind, change.breaking) for change in changes]


def thing(custom: str | None = "Thing", **properties: Attribute) -> Attribute:
    return Attribute("object", properties=properties, custom=custom)


@given(apps())
def test_nothing_changes_between_equal_definitions(app: list[Definition]) -> None:
    assert compare(app, app) == []


def test_a_removed_datastore_is_refused_unless_forced_and_a_new_one_is_taken() -> None:
    (gone,) = compare([ONE], [])
    assert (gone.place, gone.kind, gone.breaking, gone.code) == (
        *("t", "datastore removed", True),
        "schema_compatibility_error",
    )
    assert "--force" in gone.detail
    assert told(compare([], [ONE])) == [("t", "datastore added", False)]


def test_a_removed_attribute_is_refused_unless_forced_and_a_new_one_is_taken() -> None:
    (gone,) = with_(STRING, None)
    assert (gone.place, gone.kind, gone.breaking, gone.code) == (
        *("t.a", "attribute removed", True),
        "schema_compatibility_error",
    )
    assert "--force" in gone.detail
    assert told(with_(None, STRING)) == [("t.a", "attribute added", False)]


def test_another_primary_key_loses_all_items() -> None:
    (change,) = compare([ONE], [replace(ONE, key="other")])
    assert (change.place, change.kind, change.breaking) == ("t.other", "primary key changed", True)
    assert "the primary key was id" in change.detail


@pytest.mark.parametrize(
    ("old", "new", "expected", "words"),
    [
        (None, "at", ("t.at", "ttl added", False), "48 hours"),
        ("at", None, ("t.at", "ttl removed", False), "no item ends"),
        ("at", "until", ("t.until", "ttl changed", True), "wait an hour"),
    ],
)
def test_a_ttl_can_be_switched_and_not_exchanged(
    old: str | None, new: str | None, expected: tuple[str, str, bool], words: str
) -> None:
    changes = compare([replace(ONE, ttl=old)], [replace(ONE, ttl=new)])
    assert told(changes) == [expected]
    assert words in changes[0].detail


CHANGES: list[tuple[Any, Any, list[tuple[str, str, bool]]]] = [
    (STRING, WHOLE, [("t.a", "type changed", True)]),
    (STRING, Attribute("slack#/types/user_id"), [("t.a", "type changed", True)]),
    (thing("A", x=STRING), thing("B", x=STRING), [("t.a", "type changed", True)]),
    (Attribute("array", items=STRING), Attribute("array", items=WHOLE), [("t.a[]", "type changed", True)]),
    (Attribute("array"), Attribute("array", items=WHOLE), [("t.a", "type changed", True)]),
    (Attribute("array", items=WHOLE), Attribute("array"), [("t.a", "type changed", False)]),
    (thing(), thing(x=STRING), [("t.a", "type changed", True)]),
    (thing(y=STRING), thing(y=STRING, x=STRING), [("t.a.x", "property added", False)]),
    (
        thing(y=STRING),
        thing(y=STRING, x=replace(STRING, required=True)),
        [("t.a.x", "required property added", True)],
    ),
    (thing(x=STRING), thing(), [("t.a.x", "property removed", True)]),
    (thing(x=STRING), thing(x=WHOLE), [("t.a.x", "type changed", True)]),
    (thing(x=STRING), thing(x=replace(STRING, required=True)), [("t.a.x", "property required", True)]),
    (thing(x=replace(STRING, required=True)), thing(x=STRING), []),
    (
        Attribute("array", items=thing(x=STRING)),
        Attribute("array", items=thing(y=STRING)),
        [("t.a[].x", "property removed", True), ("t.a[].y", "property added", False)],
    ),
    (
        Attribute("string", values=("a", "b"), custom="T"),
        Attribute("string", values=("a",), custom="T"),
        [("t.a", "values removed", True)],
    ),
    (
        Attribute("string", values=("a",), custom="T"),
        Attribute("string", values=("b", "a"), custom="T"),
        [("t.a", "values added", False)],
    ),
    (
        Attribute("string", custom="T"),
        Attribute("string", values=("a",), custom="T"),
        [("t.a", "values removed", True)],
    ),
]


@each(("old", "new", "expected"), CHANGES)
def test_a_change_of_an_attribute_is_told_with_its_path(
    old: Attribute, new: Attribute, expected: list[tuple[str, str, bool]]
) -> None:
    assert told(with_(old, new)) == expected


def test_what_slack_does_not_hold_is_no_change() -> None:
    new = {
        **ID,
        "id": replace(STRING, required=True, description="x"),
        "other": replace(STRING, values=("a",), encrypted=True, personal=True, required=True),
    }
    changed = Definition("t", "id", new, version=2, indexes=(Index("at"),), changes=True, keep_deleted=5)
    assert compare([ONE], [changed]) == []
