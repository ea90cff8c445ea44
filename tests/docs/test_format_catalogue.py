"""docs/format.md, "What a store remembers": its vectors are what the code writes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stateroom.layers import catalogue
from stateroom.layers.migrations_rewrite import note_key
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


@pytest.fixture(scope="module")
def vectors() -> Any:
    (found,) = re.findall(r"```json catalogue-vectors\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found)


def test_a_remembered_definition_is_written_as_the_page_says(vectors: Any) -> None:
    definition = eval(vectors["definition"], {"Definition": Definition, "Attribute": Attribute})
    put = catalogue.record(definition, vectors["at"])
    item = {**put.item, "at": float(put.item["at"])}
    assert {"team": put.team, "id": put.id, "item": item} == vectors["row"]


def test_a_failed_row_is_noted_under_the_key_that_the_page_says(vectors: Any) -> None:
    given = vectors["failed_key"]
    assert note_key(given["datastore"], given["row"]) == given["key"]
