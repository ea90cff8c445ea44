"""Definitions that cannot be kept are refused when they are made, naming the attribute."""

from collections.abc import Callable
from typing import Any

import pytest

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import InvalidDefinition
from stateroom.model.lifecycle import Lifecycle
from support.tables import each

STRING, STAMP = Attribute("string"), Attribute("slack#/types/timestamp")
STATES = Attribute("string", values=("open", "done"))
BASE: dict[str, Attribute] = {"id": STRING, "status": STRING, "n": Attribute("integer"), "end": STAMP}


def made(name: str = "x", key: str = "id", more: dict[str, Attribute] | None = None, **options: Any) -> Definition:
    return Definition(name, key, {**BASE, **(more or {})}, **options)


def identity(item: dict[str, Any]) -> dict[str, Any]:
    return item


REFUSED: list[tuple[Callable[[], Definition], str | None, str]] = [
    (lambda: made(""), None, "a letter first"),
    (lambda: made("1x"), None, "a letter first"),
    (lambda: made("x" * 64), None, "at most 63"),
    (lambda: made("tickets;drop"), None, "letters, digits"),
    (lambda: made(more={"": STRING}), None, "not empty"),
    (lambda: made(more={"$v": STRING}), "$v", "Stateroom's own"),
    (lambda: made(more={"a\0": STRING}), None, "U+0000"),
    (lambda: made(more={"a\ud800": STRING}), None, "surrogate"),
    (lambda: made(more={"a": Attribute("text")}), "a", "no Slack attribute type"),
    (lambda: made(more={"a": Attribute("slack#/types/blocks")}), "a", "cannot be in a datastore"),
    (lambda: made(more={"a": Attribute("slack#/types/credential/oauth2")}), "a", "cannot be in a datastore"),
    (lambda: made(more={"a": Attribute("array", items=Attribute("text"))}), "a[]", "no Slack attribute type"),
    (lambda: made(more={"a": Attribute("object", properties={"b": Attribute("x")})}), "a.b", "no Slack attribute"),
    (lambda: made(more={"a": Attribute("string", items=STRING)}), "a", "no array"),
    (lambda: made(more={"a": Attribute("string", properties={"b": STRING})}), "a", "no object"),
    (
        lambda: made(more={"a": Attribute("object", properties={"b": Attribute("string", encrypted=True)})}),
        "a.b",
        "encrypt that one as a whole",
    ),
    (lambda: made(more={"a": Attribute("integer", values=("x",))}), "a", "values that are no integer"),
    (lambda: made(key="other"), "other", "not a declared attribute"),
    (lambda: made(key="n"), "n", "must be a string"),
    (lambda: made(key="k", more={"k": Attribute("string", encrypted=True)}), "k", "cannot be encrypted"),
    (lambda: made(ttl="gone"), "gone", "declared and of type timestamp"),
    (lambda: made(ttl="n"), "n", "of type timestamp"),
    (lambda: made(ttl="e", more={"e": Attribute(STAMP.type, encrypted=True)}), "e", "cannot be encrypted"),
    (lambda: made(indexes=(Index("gone"),)), "gone", "indexed but not declared"),
    (lambda: made(indexes=(Index(),)), None, "without attributes"),
    (lambda: made(indexes=(Index("n", "n"),)), "n", "twice"),
    (lambda: made(indexes=(Index("n"), Index("n", unique=True))), "n", "two indexes"),
    (lambda: made(more={"a": Attribute("array")}, indexes=(Index("a"),)), "a", "no order"),
    (lambda: made(more={"a": Attribute("object")}, indexes=(Index("a"),)), "a", "no order"),
    (lambda: made(more={"o'a": Attribute("string")}, indexes=(Index("o'a"),)), "o'a", "has a quote"),
    (lambda: made(more={"a": Attribute("string", encrypted=True)}, indexes=(Index("a"),)), "a", "encrypted"),
    (lambda: made(lifecycle=Lifecycle("gone", a=["b"])), "gone", "not declared"),
    (lambda: made(lifecycle=Lifecycle("n", a=["b"])), "n", "no string"),
    (lambda: made(lifecycle=Lifecycle("id", a=["b"])), "id", "the key"),
    (lambda: made(more={"s": Attribute("string", encrypted=True)}, lifecycle=Lifecycle("s", a=["b"])), "s", "encry"),
    (lambda: made(lifecycle=Lifecycle("status")), "status", "without states"),
    (lambda: made(lifecycle=Lifecycle("status", "c", a=["b"])), "status", "unknown state 'c'"),
    (lambda: made(lifecycle=Lifecycle("status", (), a=["b"])), "status", "name an initial state"),
    (lambda: made(lifecycle=Lifecycle("status", "a", a=["b"], c=["b"])), "status", "never reaches c"),
    (lambda: made(more={"s": STATES}, lifecycle=Lifecycle("s", open=["closed"])), "s", "differ: closed, done"),
    (lambda: made(lifecycle=Lifecycle("status", a=["b"]), log=True), "status", "in a log"),
    (lambda: made(version=0), None, "a version is"),
    (lambda: made(version=True), None, "a version is"),
    (lambda: made(version=2, upgrades={2: identity}), None, "step from version 2"),
    (lambda: made(version=4, upgrades={1: identity, 3: identity}), None, "lacks the upgrade step from version 2"),
    (lambda: made(version=3, upgrades={1: identity}), None, "lacks the upgrade step from version 2"),
    (lambda: made(keep_deleted=0), None, "keep_deleted"),
    (lambda: made(keep_deleted=1.5), None, "keep_deleted"),
    (lambda: made("x" * 58, keep_deleted=1), None, "longer than 63"),
    (lambda: made(profile="slak"), None, "open or slack"),
    (
        lambda: made(on_erase="clear", more={"a": Attribute("string", required=True, personal=True)}),
        "a",
        "cannot be cleared",
    ),
]


@each(("make", "attribute", "words"), REFUSED)
def test_what_cannot_be_kept_is_refused_by_name(
    make: Callable[[], Definition], attribute: str | None, words: str
) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        make()
    assert refused.value.attribute == attribute
    assert words in str(refused.value)


def test_a_definition_may_use_everything_at_once() -> None:
    definition = made(
        "tickets",
        more={"status": STATES, "secret": Attribute("string", encrypted=True)},
        ttl="end",
        version=3,
        indexes=(Index("status", "n"), Index("n", unique=True)),
        lifecycle=Lifecycle("status", "open", open=["done"]),
        upgrades={2: identity},
        changes=True,
        keep_deleted=60,
    )
    assert definition.encrypted == {"secret"}
    assert definition.warnings == ()


def test_an_index_takes_its_attributes_one_by_one_or_as_a_tuple() -> None:
    assert Index("status", "n", unique=True) == Index(("status", "n"), unique=True)
    assert Index("status", "n").name == "status_n"


def test_a_mark_deep_inside_makes_the_whole_attribute_personal() -> None:
    inner = Attribute("object", properties={"by": Attribute("slack#/types/user_id", personal=True)})
    assert made(more={"notes": Attribute("array", items=inner)}).personal == {"notes"}
