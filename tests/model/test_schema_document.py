"""Our own JSON of definitions: complete, versioned, strict."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.errors import FormatTooNew, InvalidDefinition
from stateroom.model.schema.document import AttributeText, DefinitionText, is_one, read, write
from support.definitions import apps
from support.tables import each


def document(**fields: Any) -> dict[str, Any]:
    one = {"name": "a", "key": "id", "attributes": {"id": {"type": "string"}}} | fields
    return {"format": "stateroom/definitions", "version": 1, "definitions": [one]}


@given(apps())
def test_every_definition_comes_back_from_its_document(app: list[Definition]) -> None:
    text = json.dumps(write(app))
    assert read(json.loads(text)) == app
    assert json.dumps(write(read(json.loads(text)))) == text


def test_what_only_stateroom_s_own_datastores_have_comes_back_too() -> None:
    index = Index("id", across_teams=True)
    log = Definition("sr_a", "id", {"id": Attribute("string")}, log=True, expires=True, indexes=(index,))
    cleared = Definition("a", "id", {"id": Attribute("string")}, on_erase="clear", profile="slack")
    assert read(write([log, cleared])) == [log, cleared]


def test_the_document_has_every_field_that_a_definition_has() -> None:
    """But code: the class of its items and its upgrade steps."""
    assert {f.name for f in fields(Definition)} - {"model", "upgrades"} == set(DefinitionText.__struct_fields__)
    assert {f.name for f in fields(Attribute)} == set(AttributeText.__struct_fields__)


def test_what_is_so_by_default_is_not_written() -> None:
    plain = Definition("a", "id", {"id": Attribute("string")})
    assert write([plain]) == document()
    assert is_one(write([]))


@each(
    ("given", "told"),
    [
        (document(version="2"), r"a: is not as docs/format.md says: Expected `int`, got `str` - at `\$.version`"),
        (document(colour="red"), "a: is not as docs/format.md says: Object contains unknown field `colour`"),
        (document(name=1), "definitions: is not as docs/format.md says: Expected `str`"),
        (document(key=None), "a: is not as docs/format.md says"),
        (document(attributes={"id": {}}), "a.id: is not as docs/format.md says: .*missing required field `type`"),
        (document(attributes={"id": {"type": "string", "required": 1}}), "a.id: is not as docs/format.md says"),
        (document(attributes={"id": {"type": "x"}}), "a.id: 'x' is no Slack attribute type"),
        (document(lifecycle={"attribute": "id"}), "a: is not as docs/format.md says"),
        (document(indexes=[{"attributes": "id"}]), "a: is not as docs/format.md says"),
        (document(profile="other"), "a: is not as docs/format.md says: Invalid enum value 'other'"),
        ({"format": "stateroom/definitions", "version": 0, "definitions": []}, "is no document of the format"),
        ({"format": "other", "version": 1, "definitions": []}, "is no document of the format"),
        ({"format": "stateroom/definitions", "version": 1, "definitions": {}}, "is no document of the format"),
    ],
)
def test_what_is_not_in_the_format_is_refused_with_its_place(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidDefinition, match=told):
        read(given)


def test_a_newer_document_is_refused_whole() -> None:
    with pytest.raises(FormatTooNew, match="the document has version 2, this release reads 1"):
        read({"format": "stateroom/definitions", "version": 2, "definitions": "anything"})
