"""`--set status=open --add votes=1 --append tags=a`: changes as people write them, read by the attribute's type.

Rules of this file: pure. Text for an attribute that holds text is taken as it is, also `12` and `true`; for every other
type it is JSON. What the definition does not declare is refused with what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from stateroom.model.attributes import Attribute
from stateroom.model.codec import exact
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue, WrongUse

_JSON: Final = frozenset(
    {"boolean", "integer", "number", "object", "array", "slack#/types/timestamp", "slack#/types/rich_text"}
)
_decoder: Final = msgspec.json.Decoder(float_hook=exact)


def assignments(definition: Definition, flag: str, given: Iterable[str]) -> dict[str, Any]:
    """`name=value` each, by the attribute's own type."""
    found = {}
    for text in given:
        name, value = _split(flag, text)
        found[name] = _value(definition, name, _attribute(definition, name), value)
    return found


def additions(definition: Definition, given: Iterable[str]) -> dict[str, Any]:
    """`name=number` each."""
    return assignments(definition, "--add", given)


def entries(definition: Definition, given: Iterable[str]) -> dict[str, list[Any]]:
    """`name=entry` each, by the type of the array's items; the same name again is one more entry."""
    found: dict[str, list[Any]] = {}
    for text in given:
        name, value = _split("--append", text)
        inner = _attribute(definition, name).items
        entry = _loose(value) if inner is None else _value(definition, name, inner, value)
        found.setdefault(name, []).append(entry)
    return found


def _split(flag: str, text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise WrongUse(f"{flag} takes name=value")
    return name, value


def _attribute(definition: Definition, name: str) -> Attribute:
    if name not in definition.attributes:
        known = ", ".join(sorted(definition.attributes))
        raise InvalidValue(f"{definition.name}.{name}", f"is not declared; there are {known}")
    return definition.attributes[name]


def _value(definition: Definition, name: str, attribute: Attribute, text: str) -> Any:
    if attribute.type not in _JSON:
        return text
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        kind = attribute.type.rpartition("/")[2]
        raise InvalidValue(f"{definition.name}.{name}", f"is of type {kind}; write its value as JSON") from None


def _loose(text: str) -> Any:
    """An entry of an array whose items have no declared type: JSON where it is, else text."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
