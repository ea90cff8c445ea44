"""What the datastore methods share: finding the datastore, and `datastore_error` with its `errors[]`.

Rules of this file: Slack publishes one inner code (`datastore_config_not_found`); the others are ours, stable, and in
docs/slack-parity.md. A pointer is a JSON pointer into the arguments. No inner message holds a value that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stateroom.emulator.datastores import Collection
from stateroom.emulator.manifests import runtime_of
from stateroom.emulator.records import Json
from stateroom.emulator.webapi.method import Call, Refused
from stateroom.model.errors import InvalidValue
from stateroom.model.ids import check_key
from stateroom.model.profiles import ITEM_LIMIT, size_of

_STEP = re.compile(r"\[([0-9]+)\]|\.([^.\[]+)")

CONFIG_NOT_FOUND = "datastore_config_not_found"
KEY_MISSING = "primary_key_missing"
KEY_INVALID = "primary_key_invalid"
NOT_DECLARED = "attribute_not_declared"
DOES_NOT_FIT = "attribute_invalid"
TOO_LARGE = "item_too_large"
DUPLICATE = "duplicate_primary_key"
INVALID_EXPRESSION = "expression_invalid"
KEY_IN_EXPRESSION = "expression_uses_primary_key"


def entry(code: str, message: str, pointer: str, item: Mapping[str, Any] | None = None) -> Json:
    """One of `errors[]`; with `item` the Slack CLI knows what to leave out of its next batch."""
    made: Json = {"code": code, "message": message, "pointer": pointer}
    return made if item is None else {**made, "item": item}


def datastore_error(*entries: Json) -> Refused:
    return Refused("datastore_error", errors=list(entries))


class Unfit(Exception):
    """An input that cannot be stored: `.code`, `.message`, `.place` (below the item)."""

    def __init__(self, code: str, message: str, place: str = "") -> None:
        super().__init__(code)
        self.code, self.message, self.place = code, message, place

    def told(self, pointer: str, item: Mapping[str, Any] | None = None) -> Json:
        return entry(self.code, self.message, f"{pointer}{self.place}", item)


def collection_of(call: Call) -> Collection:
    """The datastore that the call names, of the app that it is for."""
    if runtime_of(call.app.manifest) not in (None, "slack"):
        raise Refused("app_not_hosted")
    found = call.world.datastores.find(call.app.app_id, call.args["datastore"])
    if found is None:
        text = "The datastore configuration could not be found"
        raise datastore_error(entry(CONFIG_NOT_FOUND, text, "/datastores"))
    return found


def readable(collection: Collection, given: Mapping[str, Any]) -> tuple[str, Json]:
    """An item's id and the item in canonical form. Raises Unfit."""
    definition = collection.definition
    if not given.keys() <= definition.attributes.keys():
        undeclared = next(name for name in given if name not in definition.attributes)
        raise Unfit(NOT_DECLARED, "The attribute is not declared in the datastore", _below(undeclared))
    if definition.key not in given:
        raise Unfit(KEY_MISSING, f"The primary key {definition.key} is missing", _below(definition.key))
    try:
        item = definition.clean(given)
        return check_key(item[definition.key], definition.key), item
    except InvalidValue as error:
        place = error.field.removeprefix(f"{definition.name}.")
        code = KEY_INVALID if place == definition.key else DOES_NOT_FIT
        raise Unfit(code, f"The value {error.detail}", _pointer(place, given)) from None


def measured(item: Mapping[str, Any]) -> int:
    """The item's size in bytes. Raises Unfit."""
    size = size_of(item)
    if size >= ITEM_LIMIT:
        raise Unfit(TOO_LARGE, f"The item has {size} bytes, it must have fewer than {ITEM_LIMIT}")
    return size


def _pointer(place: str, given: Mapping[str, Any]) -> str:
    """`tags[1].label` as `/tags/1/label`; an attribute's name may hold dots and brackets itself."""
    names = [name for name in given if place == name or place.startswith((f"{name}[", f"{name}."))]
    name = max(names, key=len, default=place)
    inner = _STEP.findall(place[len(name) :])
    return _below(name) + "".join(_below(position or step) for position, step in inner)


def _below(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
