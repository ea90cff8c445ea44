"""Slack's attribute types: the names of its manifest, and which values fit each.

Rules of this file: a table from type name to a check on the canonical value (model/codec.py). Shapes are the
documented ones of Slack's datastore guide; types the guide does not list for datastores are not offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from stateroom.model.ids import is_id

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


TYPES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "string": (lambda v: isinstance(v, str), "must be a string"),
    "boolean": (lambda v: isinstance(v, bool), "must be true or false"),
    "integer": (_whole, "must be a whole number"),
    "number": (_number, "must be a number"),
    "object": (lambda v: isinstance(v, dict), "must be an object"),
    "array": (lambda v: isinstance(v, list), "must be an array"),
    "slack#/types/user_id": (lambda v: is_id("user", v), "must be a user id such as U01234567"),
    "slack#/types/channel_id": (lambda v: is_id("channel", v), "must be a channel id such as C01234567"),
    "slack#/types/usergroup_id": (lambda v: is_id("usergroup", v), "must be a user group id such as S01234567"),
    "slack#/types/team_id": (lambda v: is_id("team", v), "must be a team id such as T01234567"),
    "slack#/types/message_ts": (lambda v: is_id("ts", v), "must be a message timestamp such as 1700000000.000100"),
    "slack#/types/timestamp": (lambda v: _whole(v) and v >= 0, "must be whole seconds since 1970"),
    "slack#/types/date": (_is_date, "must be a date such as 2026-11-21"),
    "slack#/types/rich_text": (
        lambda v: isinstance(v, dict) and v.get("type") == "rich_text",
        "must be a rich_text block",
    ),
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: a type name of `TYPES`, the items of an array, the properties of an object, and obligations."""

    type: str
    items: Attribute | None = None
    properties: Mapping[str, Attribute] = field(default_factory=dict)
    required: bool = False
    personal: bool = False
    encrypted: bool = False

    def fault(self, value: Any) -> str | None:
        """Why `value` does not fit, in words without the value, or None."""
        fits, words = TYPES[self.type]
        if not fits(value):
            return words
        if self.items is not None:
            for position, entry in enumerate(value):
                fault = self.items.fault(entry)
                if fault:
                    return f"[{position}] {fault}"
        for name, inner in self.properties.items():
            if name in value:
                fault = inner.fault(value[name])
                if fault:
                    return f".{name} {fault}"
        return None
