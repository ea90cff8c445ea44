"""docs/format.md says of items what the code writes and reads."""

import re
from pathlib import Path
from typing import Any

import pytest

from stateroom.model.attributes import Attribute
from stateroom.model.codec import decode, encode
from stateroom.model.definition import Definition
from stateroom.model.errors import CorruptData

PAGE = Path(__file__).parents[2] / "docs" / "format.md"
STRING, DATE = Attribute("string"), Attribute("slack#/types/date")
LABEL = Attribute("object", properties={"label": STRING})


def vectors() -> dict[str, Any]:
    found = re.search(r"```json item-vectors\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return dict(decode(found[1]))


def renamed(item: dict[str, Any]) -> dict[str, Any]:
    return {"due" if name == "old" else name: value for name, value in item.items()}


def definition() -> Definition:
    attributes = {"id": STRING, "weight": Attribute("number"), "due": DATE, "labels": Attribute("array", items=LABEL)}
    return Definition("tickets", "id", attributes, version=vectors()["version"], upgrades={1: renamed})


def test_items_are_stored_as_the_page_shows() -> None:
    assert vectors()["stored"]
    for given, kept in vectors()["stored"]:
        assert encode(definition().stored(given)) == encode(kept)


def test_items_are_read_as_the_page_shows() -> None:
    assert vectors()["loaded"]
    for kept, seen in vectors()["loaded"]:
        assert definition().load(kept) == seen


def test_versions_that_the_page_refuses_are_refused() -> None:
    assert vectors()["refused"]
    for kept in vectors()["refused"]:
        with pytest.raises(CorruptData):
            definition().load(kept)
