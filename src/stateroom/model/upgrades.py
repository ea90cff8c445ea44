"""Versions of a stored item: which one it has, and the pure steps that lead it to the definition's.

Rules of this file: pure. A stored item carries its version under `$v` when that is over 1 (docs/format.md, "Items").
Nothing of an item's content is told in an error: a step that fails is named by its number and its error's type alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.model.codec import normalise_item
from stateroom.model.errors import CorruptData, FormatTooNew, InvalidValue

OWN: Final = "$"  # how Stateroom's own attributes begin
VERSION: Final = "$v"
MEND: Final = "mend the step"

Step = Callable[[dict[str, Any]], dict[str, Any]]


def version_of(item: Mapping[str, Any], place: str) -> int:
    """The version under which a stored item was written; 1 when it says none."""
    version = item.get(VERSION, 1)
    if type(version) is not int or version < 1:
        raise CorruptData(place, f"a stored item's {VERSION} is no version")
    return version


def upgraded(
    item: Mapping[str, Any], version: int, steps: Mapping[int, Step], place: str, key: str
) -> tuple[dict[str, Any], bool]:
    """The item in `version` and whether it had another. FormatTooNew, or CorruptData naming the step."""
    found = version_of(item, place)
    if found == version:
        return dict(item), False
    if found > version:
        raise FormatTooNew(place, f"an item was written by version {found} of the definition, this is {version}")
    own = {name: value for name, value in item.items() if name.startswith(OWN)}
    plain = normalise_item({name: value for name, value in item.items() if name not in own})
    for number in range(found, version):
        plain = _stepped(plain, number, steps, place, key)
    return {**plain, **own, VERSION: version}, True


def _stepped(item: dict[str, Any], number: int, steps: Mapping[int, Step], place: str, key: str) -> dict[str, Any]:
    what = f"the upgrade step from version {number}"
    step = steps.get(number)
    if step is None:
        raise CorruptData(place, f"an item has version {number} and {what} is missing", "declare it with sr.upgrade")
    before = item.get(key)
    try:
        after = step(item)
    except Exception as error:  # noqa: BLE001  foreign code: whatever it raises must not tell the content
        raise CorruptData(place, f"{what} failed with {type(error).__name__}", MEND) from None
    if not isinstance(after, Mapping):
        raise CorruptData(place, f"{what} returned no item", MEND)
    try:
        after = normalise_item(after)
    except InvalidValue as error:
        raise CorruptData(place, f"{what} returned an item that cannot be kept ({error})", MEND) from None
    if any(name.startswith(OWN) for name in after):
        raise CorruptData(place, f"{what} set an attribute that begins with {OWN}", MEND)
    if after.get(key) != before:
        raise CorruptData(place, f"{what} changed the key", MEND)
    return after
