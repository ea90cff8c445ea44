"""Whose limits hold: `open` (the engine's own) or `slack` (what Slack's hosted datastores take).

Rules of this file: pure. Limits are Slack's published ones, items are counted as DynamoDB counts them; what Slack does
not document, or takes and does not keep, is a warning and no error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from stateroom.model.attributes import IN_ARRAYS, TYPES, Attribute
from stateroom.model.errors import InvalidDefinition, ItemTooLarge
from stateroom.model.rules import Draft


@dataclass(frozen=True, slots=True)
class Limits:
    """What a profile allows. None: the engine decides. An item must be smaller than `item_bytes`."""

    datastores: int | None = None
    attributes: int | None = None
    item_bytes: int | None = None
    bulk: int | None = None


ITEM_LIMIT: Final = 400 * 1024  # an item of Slack's must be smaller

PROFILES: Final[Mapping[str, Limits]] = {
    "open": Limits(),
    "slack": Limits(datastores=10, attributes=100, item_bytes=ITEM_LIMIT, bulk=25),
}


def limits_of(draft: Draft) -> Limits:
    """The limits of a definition's own profile."""
    return PROFILES[draft.profile]


def check_profile(definitions: Iterable[Draft], profile: str) -> tuple[str, ...]:
    """InvalidDefinition for what `profile` refuses of all datastores of one app; else what it warns of."""
    limits, all_of_them = PROFILES[profile], list(definitions)
    if limits.datastores is not None and len(all_of_them) > limits.datastores:
        extra = all_of_them[limits.datastores].name
        raise InvalidDefinition(
            extra, None, f"is one of {len(all_of_them)} datastores, {profile} allows {limits.datastores}"
        )
    for draft in all_of_them:
        check_definition(draft, profile)
    return tuple(words for draft in all_of_them for words in warnings_of(draft, profile))


def check_definition(draft: Draft, profile: str) -> None:
    """InvalidDefinition naming the first attribute that is one too many for `profile`, or the unknown profile."""
    if profile not in PROFILES:
        raise InvalidDefinition(draft.name, None, f"there is no profile {profile!r}: open or slack")
    limit = PROFILES[profile].attributes
    if limit is not None and len(draft.attributes) > limit:
        first = list(draft.attributes)[limit]
        raise InvalidDefinition(
            draft.name, first, f"is attribute {limit + 1} of {len(draft.attributes)}, {profile} allows {limit}"
        )


def check_size(draft: Draft, item: Mapping[str, Any]) -> None:
    """ItemTooLarge when the profile of the definition does not take the item."""
    limit = PROFILES[draft.profile].item_bytes
    if limit is not None:
        size = size_of(item)
        if size >= limit:
            raise ItemTooLarge(draft.name, size, limit)


def warnings_of(draft: Draft, profile: str) -> Iterator[str]:
    """What a definition asks for and `profile` may not give, one sentence each, beginning with the place."""
    if profile != "slack":
        return
    yield from undocumented(draft)
    kept = {"indexes": draft.indexes, "a lifecycle": draft.lifecycle, "keep_deleted": draft.keep_deleted}
    for what, given in {**kept, "changes": draft.changes}.items():
        if given:
            yield f"{draft.name}: Slack's own datastores do not have {what}; other engines do"


def undocumented(draft: Draft) -> Iterator[str]:
    """The types that Slack takes and does not document for datastores, one sentence each, beginning with the place."""
    for name, attribute in draft.attributes.items():
        for path, words in _undocumented(name, attribute):
            yield f"{draft.name}.{path}: {words}"


def _undocumented(path: str, attribute: Attribute, *, in_array: bool = False) -> Iterator[tuple[str, str]]:
    if not TYPES[attribute.type].documented and not (in_array and attribute.type in IN_ARRAYS):
        yield path, f"Slack does not document the type {attribute.type} for datastores"
    if attribute.type == "array" and attribute.items is None:
        yield path, "Slack asks for the items of an array"
    if attribute.items is not None:
        yield from _undocumented(f"{path}[]", attribute.items, in_array=True)
    for name, inner in attribute.properties.items():
        yield from _undocumented(f"{path}.{name}", inner)


def size_of(item: Mapping[str, Any]) -> int:
    """Bytes of a canonical item as DynamoDB counts: names and strings in UTF-8, 3 a container and 1 each entry."""
    size = 0
    for name, value in item.items():
        size += _text(name) + (_text(value) if type(value) is str else _size(value))
    return size


def _size(value: Any) -> int:
    kind = type(value)
    if kind is str:
        return _text(value)
    if value is None or kind is bool:
        return 1
    if kind is int or kind is Decimal:
        return _digits(value)
    if kind is list:
        return 3 + len(value) + sum(map(_size, value))
    return 3 + len(value) + size_of(value)


def _text(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode())


def _digits(value: int | Decimal) -> int:
    """One byte, one for each pair of digits (pairs begin at the decimal point), one for a minus."""
    if value == 0:
        return 1
    if type(value) is int:
        written = str(abs(value))
        return 1 + (len(written.rstrip("0")) + len(written) % 2 + 1) // 2 + (value < 0)
    number = Decimal(value)
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    alone = number.adjusted() % 2 == 0  # the first digit has its pair for itself
    return 1 + (len(digits) + alone + 1) // 2 + (number < 0)
