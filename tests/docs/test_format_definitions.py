"""The test vector of docs/format.md, section "Definitions", is what the code does, and its tables name every field."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.lifecycle import Lifecycle
from stateroom.model.schema.document import AttributeText, DefinitionText, read, write

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
BLOCK = re.search(r"^```json definition-vectors\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture
def vectors() -> dict[str, Any]:
    assert BLOCK is not None
    found: dict[str, Any] = json.loads(BLOCK[1])
    return found


def test_a_definition_is_written_and_read_as_the_page_says(vectors: dict[str, Any]) -> None:
    names = {"Definition": Definition, "Attribute": Attribute, "Index": Index, "Lifecycle": Lifecycle}
    definition = eval(vectors["python"], names)
    assert json.dumps(write([definition])) == json.dumps(vectors["document"])
    assert read(vectors["document"]) == [definition]


@pytest.mark.parametrize("kind", [DefinitionText, AttributeText])
def test_the_page_names_every_field(kind: Any) -> None:
    section = PAGE.partition("\n## Definitions\n")[2]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ([^|]*) \|", section, re.M))))
    assert set(kind.__struct_fields__) <= named
