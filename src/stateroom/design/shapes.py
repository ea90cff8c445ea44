"""Shapes of a design file: one table of fields reads nodes and makes the published JSON Schema.

Rules of this file: a shape takes a node and gives a plain value (str, int, float, bool, list, dict) or adds problems to
the reading; it never raises. What `json_schema` accepts the reader takes, and the other way round (tests hold that), so
rules that JSON Schema cannot say (names checked against each other) are in document.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from stateroom.design.problems import Problem
from stateroom.design.text import Mark, Node

MISSING: Final = object()
"""What a shape gives for a node that does not fit; the problem is told already."""


@dataclass
class Reading:
    """What was met on the way: where each path stands, and what is wrong."""

    places: dict[str, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def fault(self, mark: Mark, path: str, problem: str, step: str) -> Any:
        self.problems.append(Problem(mark.line, mark.column, path, problem, step))
        return MISSING


class Shape(Protocol):
    """A kind of value."""

    def read(self, node: Node, path: str, to: Reading) -> Any: ...
    def json_schema(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Text:
    """A text that is not empty. YAML's `yes`, `on` and `2026` are texts here as they are written."""

    words: str = "a text"
    pattern: str | None = None
    longest: int = 400

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag in ("map", "list", "null") or not node.text:
            return to.fault(node.mark, path, f"must be {self.words}", "write a text here")
        if self.pattern is not None and re.fullmatch(self.pattern, node.text) is None:
            return to.fault(node.mark, path, f"must be {self.words}", "rename it")
        if len(node.text) > self.longest:
            return to.fault(node.mark, path, f"has more than {self.longest} characters", "shorten it")
        return node.text

    def json_schema(self) -> dict[str, Any]:
        if self.pattern is None:
            kinds = ["string", "number", "boolean"]
            return {"type": kinds, "minLength": 1, "maxLength": self.longest, "description": self.words}
        pattern = f"^(?:{self.pattern})$"
        return {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": pattern}


@dataclass(frozen=True)
class Number:
    """A number of at least `least`, whole if so asked."""

    words: str
    least: float = 0
    most: float = 1e12
    whole: bool = True

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag != "int" and (self.whole or node.tag != "float"):
            kind = "a whole number" if self.whole else "a number"
            return to.fault(node.mark, path, f"must be {kind}: {self.words}", "write digits without quotes")
        value = _number(node)
        if value is None or not self.least <= value <= self.most:
            problem = f"is impossible: {self.words} is {self.least:g} to {self.most:g}"
            return to.fault(node.mark, path, problem, "give a number in these bounds")
        return value

    def json_schema(self) -> dict[str, Any]:
        kind = "integer" if self.whole else "number"
        return {"type": kind, "minimum": self.least, "maximum": self.most, "description": self.words}


def _number(node: Node) -> int | float | None:
    """YAML writes whole numbers as 1_000 and 0x10, too."""
    try:
        if node.tag == "float":
            return float(node.text.replace("_", ""))
        return int(node.text.replace("_", ""), 0)
    except ValueError:
        return None


@dataclass(frozen=True)
class Flag:
    """true or false."""

    words: str

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag != "bool":
            return to.fault(node.mark, path, f"must be true or false: {self.words}", "write true or false")
        return node.text.lower() in ("true", "yes", "on")

    def json_schema(self) -> dict[str, Any]:
        return {"type": "boolean", "description": self.words}


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    options: tuple[str, ...]
    words: str = "one of the words listed"

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag in ("map", "list") or node.text not in self.options:
            listed = ", ".join(self.options)
            return to.fault(node.mark, path, f"{node.text[:40]!r} is not known here", f"choose one of {listed}")
        return node.text

    def json_schema(self) -> dict[str, Any]:
        return {"enum": list(self.options), "description": self.words}


@dataclass(frozen=True)
class ListOf:
    """A list; where `alone`, one value may stand without its brackets."""

    of: Shape
    least: int = 0
    most: int = 1000
    alone: bool = False

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag != "list":
            if self.alone and node.tag != "map":
                value = self.of.read(node, path, to)
                return value if value is MISSING else [value]
            return to.fault(node.mark, path, "must be a list", "write [a, b]")
        if not self.least <= len(node.items) <= self.most:
            problem = f"has {len(node.items)} entries, {self.least} to {self.most} are possible"
            return to.fault(node.mark, path, problem, "change the list")
        found = []
        for number, item in enumerate(node.items):
            to.places[f"{path}[{number}]"] = item.mark
            found.append(self.of.read(item, f"{path}[{number}]", to))
        return [value for value in found if value is not MISSING]

    def json_schema(self) -> dict[str, Any]:
        listed = {"type": "array", "items": self.of.json_schema(), "minItems": self.least, "maxItems": self.most}
        return {"anyOf": [listed, self.of.json_schema()]} if self.alone else listed


@dataclass(frozen=True)
class MapOf:
    """Names to values of one shape."""

    name: Text
    of: Shape
    least: int = 0
    most: int = 1000

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag != "map":
            return to.fault(node.mark, path, "must be a map of names", "write `name: ...` below it")
        if not self.least <= len(node.entries) <= self.most:
            problem = f"has {len(node.entries)} names, {self.least} to {self.most} are possible"
            return to.fault(node.mark, path, problem, "change the map")
        found = {}
        for key, entry in node.entries:
            inner = f"{path}.{key.text}"
            to.places[inner] = key.mark
            name, value = self.name.read(key, inner, to), self.of.read(entry, inner, to)
            if name is not MISSING and value is not MISSING:
                found[name] = value
        return found

    def json_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": self.name.json_schema(),
            "additionalProperties": self.of.json_schema(),
            "minProperties": self.least,
            "maxProperties": self.most,
        }


@dataclass(frozen=True)
class Record:
    """Named fields, some required; `short`: a shape that may stand for the whole, as the value of that field."""

    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    short: str | None = None
    words: str = ""

    def read(self, node: Node, path: str, to: Reading) -> Any:
        if node.tag != "map":
            if self.short is not None and node.tag != "list":
                value = self.fields[self.short].read(node, path, to)
                return value if value is MISSING else {self.short: value}
            return to.fault(node.mark, path, "must be a map of fields", f"write {', '.join(self.fields)} below it")
        found: dict[str, Any] = {}
        for key, entry in node.entries:
            inner = f"{path}.{key.text}" if path else key.text
            to.places[inner] = key.mark
            if key.text not in self.fields:
                to.fault(key.mark, inner, "is no field of a design", f"there are {', '.join(self.fields)}")
                continue
            value = self.fields[key.text].read(entry, inner, to)
            if value is not MISSING:
                found[key.text] = value
        given = {key.text for key, _ in node.entries}
        for name in self.required:
            if name not in given:
                to.fault(node.mark, f"{path}.{name}" if path else name, "is missing", "add it")
        return MISSING if any(name not in found for name in self.required) else found

    def json_schema(self) -> dict[str, Any]:
        whole = {
            "type": "object",
            **({"description": self.words} if self.words else {}),
            "properties": {name: shape.json_schema() for name, shape in self.fields.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }
        return whole if self.short is None else {"anyOf": [self.fields[self.short].json_schema(), whole]}
