"""What Slack takes of a manifest without documenting it, advises against, or is known to lose.

Rules of this file: a line is a doubt, not an error: the manifest is written all the same. The sources are Slack's
datastore guide, its manifest schema and the issues of its SDK (docs/schema.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from stateroom.model.attributes import SLACK, Attribute
from stateroom.model.definition import Definition
from stateroom.model.profiles import undocumented
from stateroom.model.schema.types import walk

# The types that Slack's manifest schema lists for custom types, as far as datastores know them.
_OF_CUSTOM_TYPES: Final = frozenset(
    {
        *("string", "boolean", "integer", "number", "object", "array"),
        *(f"{SLACK}{name}" for name in ("user_id", "channel_id", "usergroup_id", "timestamp", "date", "rich_text")),
        f"{SLACK}message_ts",
    }
)
_LINE_BREAKS: Final = frozenset("\n\r\u2028\u2029")


def doubts(definitions: Iterable[Definition]) -> list[str]:
    """One line for each, in the order of the definitions; a custom type is looked at where it is used first."""
    seen: set[str] = set()
    return [line for definition in definitions for line in _of_datastore(definition, seen)]


def _of_datastore(definition: Definition, seen: set[str]) -> Iterator[str]:
    yield from undocumented(definition)
    for name in definition.attributes:
        if _LINE_BREAKS & set(name):
            yield f"{definition.name}: Slack's schema takes no attribute with a line break in its name"
    for path, attribute, named in walk(definition):
        yield from (f"{definition.name}.{path}: {line}" for line in _of_attribute(attribute, named=named, seen=seen))


def _of_attribute(attribute: Attribute, *, named: bool, seen: set[str]) -> Iterator[str]:
    items = attribute.items
    if not named and items is not None and items.custom is not None:
        yield f"Slack advises a custom type for an array of the custom type {items.custom}"
    if attribute.custom is None or attribute.custom in seen:
        return
    seen.add(attribute.custom)
    if attribute.type not in _OF_CUSTOM_TYPES:
        yield f"Slack's schema has no custom types of type {attribute.type}"
    if attribute.type == "object" and not attribute.properties:
        yield "Slack's custom types have no objects without properties"
    for name, inner in attribute.properties.items():
        if inner.type == "array" and inner.custom is None:
            yield f"Slack is known to lose the values of arrays such as {name} inside of a custom type"
