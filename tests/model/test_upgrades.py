"""Versions of stored items: old ones are led up step by step, newer ones are refused, content is never told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import CorruptData, FormatTooNew

ATTRIBUTES = {"id": Attribute("string"), "n": Attribute("integer"), "name": Attribute("string")}
SECRET = "hunter2"


def stepped(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "n": item.get("n", 0) * 2 + 1}


def made(version: int, steps: Any = None) -> Definition:
    return Definition("tickets", "id", ATTRIBUTES, version=version, upgrades=steps or {})


@given(st.integers(1, 5), st.integers(1, 5))
def test_an_item_passes_every_step_from_its_version_to_the_definition_s(stored: int, version: int) -> None:
    definition = made(version, dict.fromkeys(range(1, version), stepped))
    item = {"id": "T-1", "n": 1, **({"$v": stored} if stored > 1 else {})}
    if stored > version:
        with pytest.raises(FormatTooNew, match="deploy the newer code"):
            definition.upgrade(item)
        return
    after, changed = definition.upgrade(item)
    expected = item["n"]
    for _ in range(stored, version):
        expected = expected * 2 + 1
    assert after == {"id": "T-1", "n": expected, **({"$v": version} if version > 1 else {})}
    assert changed == (stored < version)
    assert definition.upgrade(after) == (after, False)


def test_a_newer_item_is_refused_by_every_way_in() -> None:
    newer = {"id": "T-1", "$v": 3}
    for read in (made(2).load, made(2).upgrade, made(1).load):
        with pytest.raises(FormatTooNew):
            read(newer)


def test_what_is_written_carries_its_version_unless_that_is_the_first() -> None:
    assert made(1).stored({"id": "T-1"}) == {"id": "T-1"}
    assert made(7).stored({"id": "T-1"}) == {"id": "T-1", "$v": 7}
    assert made(7).load({"id": "T-1", "$v": 7}) == {"id": "T-1"}


def test_a_step_may_change_what_it_is_given_without_changing_what_is_stored() -> None:
    def careless(item: dict[str, Any]) -> dict[str, Any]:
        item["tags"].append("x")
        item["n"] = 5
        return item

    stored = {"id": "T-1", "tags": ["a"]}
    assert made(2, {1: careless}).upgrade(stored)[0]["tags"] == ["a", "x"]
    assert stored == {"id": "T-1", "tags": ["a"]}


def test_attributes_of_stateroom_are_kept_and_not_shown_to_a_step() -> None:
    def looks(item: dict[str, Any]) -> dict[str, Any]:
        assert not any(name.startswith("$") for name in item)
        return item

    after, _ = made(3, {2: looks}).upgrade({"id": "T-1", "$v": 2, "$other": 1})
    assert after == {"id": "T-1", "$v": 3, "$other": 1}


def raises(item: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(item["name"])


def looks_up(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "n": {"a": 1}[item["name"]]}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({}, "the upgrade step from version 1 is missing"),
        ({1: raises}, "the upgrade step from version 1 failed with ValueError"),
        ({1: looks_up}, "the upgrade step from version 1 failed with KeyError"),
        ({1: lambda item: None}, "the upgrade step from version 1 returned no item"),
        ({1: lambda item: {**item, "id": "T-2"}}, "the upgrade step from version 1 changed the key"),
        ({1: lambda item: {"n": 1}}, "the upgrade step from version 1 changed the key"),
        ({1: lambda item: {**item, "n": object()}}, "returned an item that cannot be kept"),
        ({1: lambda item: {**item, "$v": 9}}, "begins with $"),
    ],
    ids=range(8),
)
def test_a_step_that_fails_is_named_and_the_content_is_not(steps: Any, words: str) -> None:
    with pytest.raises(CorruptData) as refused:
        made(2, steps).load({"id": "T-1", "name": SECRET})
    assert words in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert SECRET not in str(refused.value)
    assert str(refused.value).endswith("declare it with sr.upgrade" if steps == {} else "mend the step")


@pytest.mark.parametrize("version", ["2", 0, -1, True, 1.5, None, []])
def test_a_version_that_is_none_is_corrupt_data(version: Any) -> None:
    with pytest.raises(CorruptData):
        made(2, {1: stepped}).load({"id": "T-1", "$v": version})


def test_what_newer_additive_code_wrote_is_not_shown() -> None:
    assert made(1).load({"id": "T-1", "n": 1, "added": {"later": True}}) == {"id": "T-1", "n": 1}
