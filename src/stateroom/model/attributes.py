"""Slack's attribute types: the names of its manifest, and which values fit each.

Rules of this file: a table from type name to a check on the canonical value (model/codec.py), and checks that name the
path of what does not fit. Shapes are the documented ones of Slack's datastore guide. The SDK lets more types through
than the guide lists: they are taken, and `documented` tells them apart (model/profiles.py warns).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from stateroom.model.ids import is_id

SLACK: Final = "slack#/types/"
CUSTOM: Final = "#/types/"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PERSON: Final = re.compile(r"[UW][A-Z0-9]{2,30}")  # model/ids.py takes bots (B…), too; this type holds people

Fault = tuple[str, str]  # the path below the attribute (such as `[2].label`), and words without the value
Check = Callable[[Any], "Fault | None"]


class Kind(NamedTuple):
    """One attribute type: which values fit, what is said to others, and whether the guide lists it for datastores."""

    fits: Callable[[Any], bool]
    words: str
    documented: bool = True


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


def _filled(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _person(value: object) -> bool:
    return isinstance(value, str) and _PERSON.fullmatch(value) is not None


def _block(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") == "rich_text"


# The shapes of the undocumented ids are not published, so any text that is not empty is one.
_OPAQUE: Final = ("canvas_id", "canvas_template_id", "channel_canvas_id", "file_id", "list_id", "salesforce_record_id")

TYPES: Final[Mapping[str, Kind]] = {
    "string": Kind(lambda v: isinstance(v, str), "must be a string"),
    "boolean": Kind(lambda v: isinstance(v, bool), "must be true or false"),
    "integer": Kind(_whole, "must be a whole number"),
    "number": Kind(_number, "must be a number"),
    "object": Kind(lambda v: isinstance(v, dict), "must be an object"),
    "array": Kind(lambda v: isinstance(v, list), "must be an array"),
    f"{SLACK}user_id": Kind(_person, "must be a user id such as U01234567 or W01234567"),
    f"{SLACK}channel_id": Kind(lambda v: is_id("channel", v), "must be a channel id such as C01234567, D… or G…"),
    f"{SLACK}usergroup_id": Kind(lambda v: is_id("usergroup", v), "must be a user group id such as S01234567"),
    f"{SLACK}team_id": Kind(lambda v: is_id("team", v), "must be a team id such as T01234567 or E01234567", False),
    f"{SLACK}message_ts": Kind(lambda v: is_id("ts", v), "must be a message timestamp such as 1700000000.000100"),
    f"{SLACK}timestamp": Kind(lambda v: _whole(v) and v >= 0, "must be whole seconds since 1970"),
    f"{SLACK}date": Kind(_is_date, "must be a date such as 2026-11-21"),
    f"{SLACK}rich_text": Kind(_block, "must be a rich_text block"),
    f"{SLACK}expanded_rich_text": Kind(lambda v: isinstance(v, dict), "must be an object", False),
    **{f"{SLACK}{name}": Kind(_filled, f"must be a {name}, a string", False) for name in _OPAQUE},
}
# The SDK's TypeScript refuses these two for datastores.
REFUSED: Final = frozenset({f"{SLACK}blocks", f"{SLACK}credential/oauth2"})
# Documented as items of arrays, though not as attributes.
IN_ARRAYS: Final = frozenset(f"{SLACK}{n}" for n in (*_OPAQUE, "team_id")) - {f"{SLACK}salesforce_record_id"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: a type name of `TYPES`, the items of an array, the properties of an object, and obligations.

    `values`: the only ones allowed (of a Literal or an enum). `custom`: the name of a custom type, `#/types/Name` in a
    manifest; `type`, `items` and `properties` then say what it is.
    """

    type: str
    items: Attribute | None = None
    properties: Mapping[str, Attribute] = field(default_factory=dict)
    required: bool = False
    personal: bool = False
    encrypted: bool = False
    values: tuple[str | int, ...] = ()
    custom: str | None = None
    description: str | None = None

    def fault(self, value: Any) -> Fault | None:
        """Where and why `value` does not fit, in words without the value, or None."""
        return self.checker()(value)

    def checker(self) -> Check:
        """`fault` as a closure: made once for each definition, called for each value that is written."""
        fits, words, _ = TYPES[self.type]
        inner = _inner(self)
        allowed = frozenset((type(v), v) for v in self.values)
        listed = f"must be one of {', '.join(map(str, self.values))}"

        def check(value: Any) -> Fault | None:
            if not fits(value):
                return "", words
            if allowed and (type(value), value) not in allowed:
                return "", listed
            return None if inner is None else inner(value)

        return check


def _inner(attribute: Attribute) -> Check | None:
    if attribute.items is not None:
        return _of_items(attribute.items.checker())
    if attribute.properties:
        checks = {name: one.checker() for name, one in attribute.properties.items()}
        return _of_properties(checks, [name for name, one in attribute.properties.items() if one.required])
    return None


def _of_items(item: Check) -> Check:
    def check(value: list[Any]) -> Fault | None:
        for position, entry in enumerate(value):
            fault = item(entry)
            if fault:
                return f"[{position}]{fault[0]}", fault[1]
        return None

    return check


def _of_properties(checks: Mapping[str, Check], required: list[str]) -> Check:
    def check(value: dict[str, Any]) -> Fault | None:
        for name, entry in value.items():
            known = checks.get(name)
            if known is None:
                return f".{name}", "is not declared"
            fault = known(entry)
            if fault:
                return f".{name}{fault[0]}", fault[1]
        for name in required:
            if name not in value:
                return f".{name}", "is required"
        return None

    return check
