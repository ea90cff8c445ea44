"""Which fields of a class pydantic asks more of than their type: what the store's own `add` and `append` cannot decide.

Rules of this file: pure. It reads pydantic's core schema and takes for constrained whatever it does not know to be
plain, so that a new kind of constraint costs time and never lets a value in that cannot be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_AROUND: Final = frozenset({"default", "nullable", "model-field"})  # hold one schema and ask nothing themselves
_PLAIN: Final = frozenset({"int", "float", "str", "bool", "any", "literal", "date"})
_SILENT: Final = frozenset({"type", "metadata", "ref", "strict", "expected", "serialization"})


def constrained(cls: type[BaseModel]) -> frozenset[str]:
    """The names of the fields that are asked more of than their type; all of them, where the class itself asks."""
    schema: Any = cls.__pydantic_core_schema__
    if schema["type"] == "definitions":
        schema = schema["schema"]
    fields = schema.get("schema", {}) if schema["type"] == "model" and not schema.get("post_init") else {}
    if fields.get("type") != "model-fields":
        return frozenset(cls.model_fields)
    return frozenset(name for name, field in fields["fields"].items() if not _is_plain(field))


def _is_plain(schema: Mapping[str, Any]) -> bool:
    kind = schema["type"]
    if kind in _AROUND:
        return not schema.get("validate_default") and _is_plain(schema["schema"])
    if kind == "list":
        return schema.keys() <= _SILENT | {"items_schema"} and _is_plain(schema.get("items_schema", {"type": "any"}))
    return kind in _PLAIN and schema.keys() <= _SILENT
