"""Definitions as a JSON document of our own, complete: what a definition is, without the code of its upgrade steps.

Rules of this file: the classes are the format (docs/format.md, "Definitions"); what a field says by default is not
written. A document of a higher version is refused as a whole; in a known one, a field that is not known is an error,
never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeVar

import msgspec

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index, Profile
from stateroom.model.errors import FormatTooNew, InvalidDefinition
from stateroom.model.lifecycle import Lifecycle

FORMAT: Final = "stateroom/definitions"
VERSION: Final = 1

T = TypeVar("T")


class AttributeText(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One attribute."""

    type: str
    items: AttributeText | None = None
    properties: dict[str, AttributeText] = {}
    required: bool = False
    personal: bool = False
    encrypted: bool = False
    values: list[str | int] = []
    custom: str | None = None
    description: str | None = None


class IndexText(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One index."""

    attributes: list[str]
    unique: bool = False
    across_teams: bool = False
    current: bool = False


class LifecycleText(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A lifecycle; without `initial`, an item may begin in any state."""

    attribute: str
    transitions: dict[str, list[str]]
    initial: list[str] | None = None


class DefinitionText(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One datastore."""

    name: str
    key: str
    attributes: dict[str, Any]
    version: int = 1
    ttl: str | None = None
    indexes: list[IndexText] = []
    log: bool = False
    expires: bool = False
    on_erase: Literal["delete", "clear"] = "delete"
    lifecycle: LifecycleText | None = None
    changes: bool = False
    keep_deleted: int | None = None
    profile: Profile = "open"


def write(definitions: Iterable[Definition]) -> dict[str, Any]:
    """The document. Equal definitions give equal documents."""
    return {"format": FORMAT, "version": VERSION, "definitions": [_written(one) for one in definitions]}


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object says that it is such a document."""
    return document.get("format") == FORMAT


def read(document: Mapping[str, Any]) -> list[Definition]:
    """The definitions of a document. FormatTooNew for a newer one, InvalidDefinition for what is none."""
    version = document.get("version")
    if type(version) is int and version > VERSION:
        raise FormatTooNew("definitions", f"the document has version {version}, this release reads {VERSION}")
    listed = document.get("definitions")
    if version != VERSION or not is_one(document) or not isinstance(listed, list):
        raise InvalidDefinition("definitions", None, f"is no document of the format {FORMAT}, version {VERSION}")
    return [_read(raw) for raw in listed]


def _written(definition: Definition) -> dict[str, Any]:
    cycle = definition.lifecycle
    plain = {name: getattr(definition, name) for name in DefinitionText.__struct_fields__}
    plain |= {
        "attributes": {name: _attribute(one) for name, one in definition.attributes.items()},
        "indexes": [
            IndexText(list(one.attributes), one.unique, one.across_teams, one.current) for one in definition.indexes
        ],
        "lifecycle": None if cycle is None else _lifecycle(cycle),
    }
    written: dict[str, Any] = msgspec.to_builtins(DefinitionText(**plain))
    return written


def _attribute(attribute: Attribute) -> AttributeText:
    plain = {name: getattr(attribute, name) for name in AttributeText.__struct_fields__}
    plain |= {
        "items": None if attribute.items is None else _attribute(attribute.items),
        "properties": {name: _attribute(one) for name, one in attribute.properties.items()},
        "values": list(attribute.values),
    }
    return AttributeText(**plain)


def _lifecycle(cycle: Lifecycle) -> LifecycleText:
    ways = {state: list(following) for state, following in cycle.transitions.items()}
    return LifecycleText(cycle.attribute, ways, None if cycle.initial is None else list(cycle.initial))


def _read(raw: object) -> Definition:
    name = raw.get("name") if isinstance(raw, Mapping) else None
    place = name if isinstance(name, str) else "definitions"
    text = _converted(raw, DefinitionText, place, None)
    plain = {name: getattr(text, name) for name in DefinitionText.__struct_fields__}
    plain |= {
        "attributes": {
            name: _read_attribute(_converted(one, AttributeText, place, name)) for name, one in text.attributes.items()
        },
        "indexes": tuple(
            Index(*one.attributes, unique=one.unique, across_teams=one.across_teams, current=one.current)
            for one in text.indexes
        ),
        "lifecycle": None if text.lifecycle is None else _read_lifecycle(text.lifecycle),
    }
    return Definition(**plain)


def _read_attribute(text: AttributeText) -> Attribute:
    plain = {name: getattr(text, name) for name in AttributeText.__struct_fields__}
    plain |= {
        "items": None if text.items is None else _read_attribute(text.items),
        "properties": {name: _read_attribute(one) for name, one in text.properties.items()},
        "values": tuple(text.values),
    }
    return Attribute(**plain)


def _read_lifecycle(text: LifecycleText) -> Lifecycle:
    return Lifecycle(text.attribute, initial=text.initial, transitions=text.transitions)


def _converted(raw: object, kind: type[T], datastore: str, attribute: str | None) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise InvalidDefinition(datastore, attribute, f"is not as docs/format.md says: {error}") from None
