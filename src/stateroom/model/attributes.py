"""Slack's attribute types: the names of its manifest, and which values fit each.

Rules of this file: a table from type name to a check on the canonical value (model/codec.py); one pass over a value
makes it canonical, checks it and names the path of what does not fit. Shapes are the documented ones of Slack's
datastore guide. The SDK lets more types through than the guide lists: they are taken, and `documented` tells them
apart (model/profiles.py warns).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from stateroom.model.codec import normalise
from stateroom.model.errors import InvalidValue
from stateroom.model.ids import is_id

SLACK: Final = "slack#/types/"
CUSTOM: Final = "#/types/"
_SMALL: Final = 10**18
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
PERSON: Final = re.compile(r"[UW][A-Z0-9]{2,30}")  # model/ids.py takes bots (B…), too; this type holds people

Clean = Callable[[Any], Any]


class Kind(NamedTuple):
    """One attribute type: which canonical values fit, what is said to others, whether the guide lists it."""

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


def _person(value: object) -> bool:
    return isinstance(value, str) and PERSON.fullmatch(value) is not None


def _block(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") == "rich_text"


# The shapes of the undocumented ids are not published, so any text that is not empty is one.
_OPAQUE: Final = ("canvas_id", "canvas_template_id", "channel_canvas_id", "file_id", "list_id", "salesforce_record_id")

TYPES: Final[Mapping[str, Kind]] = {
    "string": Kind(lambda v: type(v) is str, "must be a string"),
    "boolean": Kind(lambda v: type(v) is bool, "must be true or false"),
    "integer": Kind(lambda v: type(v) is int, "must be a whole number"),
    "number": Kind(lambda v: type(v) is int or type(v) is Decimal, "must be a number"),
    "object": Kind(lambda v: type(v) is dict, "must be an object"),
    "array": Kind(lambda v: type(v) is list, "must be an array"),
    f"{SLACK}user_id": Kind(_person, "must be a user id such as U01234567 or W01234567"),
    f"{SLACK}channel_id": Kind(lambda v: is_id("channel", v), "must be a channel id such as C01234567, D… or G…"),
    f"{SLACK}usergroup_id": Kind(lambda v: is_id("usergroup", v), "must be a user group id such as S01234567"),
    f"{SLACK}team_id": Kind(lambda v: is_id("team", v), "must be a team id such as T01234567 or E01234567", False),
    f"{SLACK}message_ts": Kind(lambda v: is_id("ts", v), "must be a message timestamp such as 1700000000.000100"),
    f"{SLACK}timestamp": Kind(lambda v: type(v) is int and v >= 0, "must be whole seconds since 1970"),
    f"{SLACK}date": Kind(_is_date, "must be a date such as 2026-11-21"),
    f"{SLACK}rich_text": Kind(_block, "must be a rich_text block"),
    f"{SLACK}expanded_rich_text": Kind(lambda v: type(v) is dict, "must be an object", False),
    **{
        f"{SLACK}{name}": Kind(lambda v: type(v) is str and v != "", f"must be a {name}, a string", False)
        for name in _OPAQUE
    },
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

    def fault(self, value: Any) -> tuple[str, str] | None:
        """Where (a path such as `[2].label`) and why `value` does not fit, in words without the value, or None."""
        try:
            self.cleaner()(value)
        except InvalidValue as error:
            return error.field, error.detail
        return None

    def cleaner(self, depth: int = 0) -> Clean:
        """A function from a value to its canonical form; InvalidValue whose field is the path below this attribute.

        Made once for each definition, called for each value that is written.
        """
        if self.items is not None:
            return _array(self.items.cleaner(depth + 1))
        if self.properties:
            inner = {name: one.cleaner(depth + 1) for name, one in self.properties.items()}
            return _object(inner, [name for name, one in self.properties.items() if one.required])
        return _plain(self, depth)


def _plain(attribute: Attribute, depth: int) -> Clean:
    fits, words, _ = TYPES[attribute.type]
    allowed = frozenset((type(v), v) for v in attribute.values)
    listed = f"must be one of {', '.join(map(str, attribute.values))}"
    text = attribute.type == "string" and not allowed

    def clean(value: Any) -> Any:
        kind = type(value)  # most values are plain text or small numbers, which are canonical as they are
        if kind is str and value.isascii() and "\0" not in value:
            if text:
                return value
        elif kind is not int or not -_SMALL < value < _SMALL:
            value = normalise(value, "", depth)
        if not fits(value):
            raise InvalidValue("", words)
        if allowed and (type(value), value) not in allowed:
            raise InvalidValue("", listed)
        return value

    return clean


def _array(item: Clean) -> Clean:
    words = TYPES["array"].words

    def clean(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise InvalidValue("", words)
        try:
            return [item(entry) for entry in value]
        except InvalidValue:
            return [at(f"[{position}]", item, entry) for position, entry in enumerate(value)]  # one of them raises

    return clean


def _object(properties: Mapping[str, Clean], required: list[str]) -> Clean:
    words = TYPES["object"].words

    def clean(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise InvalidValue("", words)
        found = {}
        for name, entry in value.items():
            known = properties.get(name)
            if known is None:
                raise InvalidValue(f".{name}", "is not declared")
            found[name] = at(f".{name}", known, entry)
        for name in required:
            if name not in found:
                raise InvalidValue(f".{name}", "is required")
        return found

    return clean


def at(path: str, clean: Clean, value: Any) -> Any:
    """`clean(value)`, with `path` before the path of an error."""
    try:
        return clean(value)
    except InvalidValue as error:
        raise InvalidValue(f"{path}{error.field}", error.detail) from None
