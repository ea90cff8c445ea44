"""Custom types: what a manifest lists under `types`, and attributes refer to as `#/types/Name`.

Rules of this file: an attribute carries its custom type's name and the whole shape, so that nothing has to be looked
up; here the shapes are collected again. A name that means two shapes is refused: Slack could keep only one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidDefinition


def shape(attribute: Attribute) -> Attribute:
    """What belongs to an attribute's type, without what one use of it adds (obligations and the description)."""
    return replace(attribute, required=False, personal=False, encrypted=False, description=None)


def custom_types(definitions: Iterable[Definition]) -> dict[str, Attribute]:
    """Each custom type's shape by its name, after all those it needs; otherwise in the order of first use.

    InvalidDefinition names the attribute where a name is used for a second shape.
    """
    found: dict[str, Attribute] = {}
    for definition in definitions:
        for path, attribute, _ in walk(definition):
            if attribute.custom is None:
                continue
            if found.setdefault(attribute.custom, shape(attribute)) != shape(attribute):
                detail = f"its custom type {attribute.custom} has another shape elsewhere; rename one of the two"
                raise InvalidDefinition(definition.name, path, detail)
    return found


def walk(definition: Definition) -> Iterator[tuple[str, Attribute, bool]]:
    """Every attribute with its path (`tags[].label`), those inside it before it, and whether a type has a name there.

    That is so for a custom type and all inside of it: there Slack takes `required` and `enum`.
    """
    for name, attribute in definition.attributes.items():
        yield from _walk(name, attribute, named=False)


def _walk(path: str, attribute: Attribute, *, named: bool) -> Iterator[tuple[str, Attribute, bool]]:
    named = named or attribute.custom is not None
    if attribute.items is not None:
        yield from _walk(f"{path}[]", attribute.items, named=named)
    for name, inner in attribute.properties.items():
        yield from _walk(f"{path}.{name}", inner, named=named)
    yield path, attribute, named
