"""Reads the `datastores` and `types` of a Slack manifest.

Rules of this file: it takes what Slack's manifest schema allows and keeps what a definition can hold. The rest is
noted, never silently dropped; what no datastore of Slack could be is InvalidDefinition with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from stateroom.model.attributes import CUSTOM, TYPES, Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition

# A few lines of types can stand for more attributes than any machine holds. An item ends at 32 levels
# (model/codec.py), each of which may be a custom type and its shape.
DEPTH: Final = 64
COUNT: Final = 20_000
_DATASTORE: Final = frozenset({"primary_key", "attributes", "time_to_live_attribute", "name"})
_ATTRIBUTE: Final = frozenset({"type", "items", "properties", "description", "enum", "required"})
_REFERENCE: Final = frozenset({"type", "description", "required"})


@dataclass
class Reading:
    """What was read: definitions in the manifest's order, and one line for each thing that was left out."""

    definitions: list[Definition] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Reader:
    """Reads one manifest. `datastore` is the one being read, `within` the custom types around the place."""

    def __init__(self, types: Mapping[str, Any]) -> None:
        self.types = types
        self.notes: dict[str, None] = {}  # a custom type is read at each use and noted once
        self.used: set[str] = set()
        self.datastore = ""
        self.within: list[str] = []
        self.depth = self.count = 0

    def all(self, datastores: Mapping[str, Any]) -> Reading:
        """Every datastore; custom types that none of them uses belong to functions and are noted."""
        definitions = []
        for name, raw in datastores.items():
            self.datastore = name
            definitions.append(self.one(raw))
        unused = [f"types.{name} is not kept: no datastore uses it" for name in self.types if name not in self.used]
        return Reading(definitions, [*self.notes, *unused])

    def one(self, raw: object) -> Definition:
        """One datastore."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("attributes"), Mapping):
            raise self.wrong(None, "must be an object with primary_key and attributes")
        key, ttl = raw.get("primary_key"), raw.get("time_to_live_attribute")
        if not isinstance(key, str):
            raise self.wrong(None, "primary_key must be the name of one of its attributes")
        if ttl is not None and not isinstance(ttl, str):
            raise self.wrong(None, "time_to_live_attribute must be the name of one of its attributes")
        self.note_rest(self.datastore, raw, _DATASTORE)
        attributes = {name: self.attribute(name, value) for name, value in raw["attributes"].items()}
        if key in attributes:  # every item has its key, whether the manifest says so or not
            attributes[key] = replace(attributes[key], required=True)
        return Definition(name=self.datastore, key=key, attributes=attributes, ttl=ttl)

    def attribute(self, path: str, raw: object) -> Attribute:
        """An attribute, an array's items or an object's property: a type of Slack's or a reference to a custom one."""
        if not isinstance(raw, Mapping):
            raise self.wrong(path, 'must be an object such as {"type": "string"}')
        kind, description = raw.get("type"), raw.get("description")
        if not isinstance(kind, str) or not kind:
            raise self.wrong(path, 'has no type; give one such as {"type": "string"}')
        if description is not None and not isinstance(description, str):
            raise self.wrong(path, "its description must be a string")
        self.count, self.depth = self.count + 1, self.depth + 1
        if self.depth > DEPTH or self.count > COUNT:
            raise self.wrong(path, f"its types hold each other {DEPTH} levels deep or {COUNT} times in all")
        if kind.startswith(CUSTOM):
            found = self.custom(path, kind.removeprefix(CUSTOM))
            self.note_rest(f"{self.datastore}.{path}", raw, _REFERENCE)
        else:
            found = self.shape(path, kind, raw)
        self.depth -= 1
        return replace(found, required=raw.get("required") is True, description=description or found.description)

    def custom(self, path: str, name: str) -> Attribute:
        """The shape of a custom type, which the attribute carries with the name."""
        if name not in self.types:
            raise self.wrong(path, f"its custom type {name} is not among the manifest's types")
        if name in self.within:
            raise self.wrong(path, f"its custom type {name} contains itself")
        self.used.add(name)
        self.within.append(name)
        shape = self.attribute(path, self.types[name])
        self.within.pop()
        return replace(shape, custom=name)

    def shape(self, path: str, kind: str, raw: Mapping[str, Any]) -> Attribute:
        """A type of Slack's with what is inside of it."""
        if kind not in TYPES:
            raise self.wrong(path, f"{kind!r} is no attribute type of Slack's datastores")
        place = f"types.{self.within[-1]}" if self.within else f"{self.datastore}.{path}"
        self.note_rest(place, raw, _ATTRIBUTE)
        items = None if raw.get("items") is None else self.attribute(f"{path}[]", raw["items"])
        return Attribute(kind, items, self.properties(path, raw), values=self.values(path, raw.get("enum")))

    def properties(self, path: str, raw: Mapping[str, Any]) -> Mapping[str, Attribute]:
        """An object's properties; `required` lists those that must be there."""
        found, listed = raw.get("properties"), raw.get("required")
        if not isinstance(found, Mapping):
            if found is not None:
                raise self.wrong(path, "its properties must be an object of names to types")
            return {}
        required = listed if isinstance(listed, list) else []
        for name in required:
            if not isinstance(name, str) or name not in found:
                raise self.wrong(path, f"it requires {name!r}, which is not among its properties")
        inner = {name: self.attribute(f"{path}.{name}", value) for name, value in found.items()}
        return {name: replace(one, required=one.required or name in required) for name, one in inner.items()}

    def values(self, path: str, found: object) -> tuple[str | int, ...]:
        """An `enum` of strings or whole numbers; others are noted."""
        if found is None:
            return ()
        if isinstance(found, list) and all(type(value) in (str, int) for value in found):
            return tuple(found)
        self.note(f"{self.datastore}.{path}: enum is not kept: it is no list of strings or whole numbers")
        return ()

    def note_rest(self, place: str, raw: Mapping[str, Any], known: frozenset[str]) -> None:
        """Note what has no place in a definition."""
        for name in raw:
            if name not in known:
                self.note(f"{place}: {name} is not kept")

    def note(self, line: str) -> None:
        """Once each."""
        self.notes[line] = None

    def wrong(self, path: str | None, detail: str) -> InvalidDefinition:
        """The error for a place of the datastore."""
        return InvalidDefinition(self.datastore, path, detail)
