"""The published JSON Schema and the reader take the same files."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stateroom.design.document import read_design
from stateroom.design.example import TEXT
from stateroom.design.schema import DESIGN, json_schema
from stateroom.design.shapes import MISSING, Reading
from stateroom.design.text import read

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "designs").glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "design.schema.json").read_text()))


def shaped(document: Any) -> bool:
    """Whether the reader takes the shape of a document, names checked against each other aside."""
    to = Reading()
    return DESIGN.read(read(json.dumps(document)), "", to) is not MISSING and not to.problems


def test_the_published_schema_is_the_readers() -> None:
    assert VALIDATOR.schema == json_schema()
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


def test_what_the_schema_takes_of_the_gallery_the_reader_takes() -> None:
    for text in (*(path.read_text() for path in EXAMPLES), TEXT):
        document = yaml.safe_load(text)
        assert list(VALIDATOR.iter_errors(document)) == []
        assert shaped(document)
        read_design(json.dumps(document))


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, one in inner for path in paths(one, (*at, key)))]


BASE = yaml.safe_load(EXAMPLES[0].read_text())
odd = st.sampled_from([None, -1, 0, 3.5, "", "x", "a b", "open", "string", [], ["x"], {}, {"x": 1}, 10**14, "y" * 401])


@pytest.mark.service  # many examples
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(paths(BASE)[1:]), odd, st.booleans())
def test_the_schema_and_the_reader_agree_on_files_with_a_mistake(path: tuple[Any, ...], value: Any, drop: bool) -> None:
    document = copy.deepcopy(BASE)
    place = document
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert shaped(document) == VALIDATOR.is_valid(document), (path, value)
