"""Bytes of items as DynamoDB counts them, pages of Slack's queries, and how many items there are on a day.

Rules of this file: formulas alone, each tested against what is really stored (tests) and measured (simulate). Items are
counted like model/profiles.size_of: names and texts in UTF-8, 3 bytes a container and 1 each of its entries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from stateroom.design import keys
from stateroom.design.facts import Facts
from stateroom.design.structs import Attr, Design, Entity
from stateroom.model.attributes import SLACK

Removal = Literal["ttl", "sweep", "never"]

YEAR: Final = 365
MARK: Final = "deleted_at"
UNKNOWN_MAX: Final = 4  # times the average, where the file says no maximum
_INTEGER: Final = 3  # up to four digits
_FIXED: Final[Mapping[str, int]] = {
    f"{SLACK}user_id": 11,
    f"{SLACK}channel_id": 11,
    f"{SLACK}usergroup_id": 11,
    f"{SLACK}team_id": 11,
    f"{SLACK}timestamp": 6,
    f"{SLACK}date": 10,
    f"{SLACK}message_ts": 17,
    "boolean": 1,
    **{f"{SLACK}{name}": 11 for name in ("file_id", "canvas_id", "canvas_template_id", "channel_canvas_id", "list_id")},
    f"{SLACK}salesforce_record_id": 18,
}
_OBJECT: Final = 200


def value_bytes(attribute: Attr, facts: Facts) -> int:
    """Bytes of an average value."""
    if attribute.type == "array":
        entries = attribute.avg_items if attribute.avg_items is not None else 3
        return 3 + math.ceil(entries * entry_bytes(attribute, facts))
    if attribute.avg_bytes is not None:
        return attribute.avg_bytes
    if attribute.values:
        return math.ceil(sum(len(value.encode()) for value in attribute.values) / len(attribute.values))
    return _plain(attribute.type, facts)


def entry_bytes(attribute: Attr, facts: Facts) -> int:
    """Bytes that one more entry of an array takes."""
    return 1 + (attribute.avg_bytes or _plain(attribute.items or "string", facts))


def max_bytes(attribute: Attr, facts: Facts) -> int | None:
    """Bytes of the largest value; None when nothing bounds it (an array that may grow)."""
    if attribute.type == "array":
        if attribute.max_items is None:
            return None
        each = attribute.max_bytes or attribute.avg_bytes or _plain(attribute.items or "string", facts)
        return 3 + attribute.max_items * (1 + each)
    if attribute.max_bytes is not None:
        return attribute.max_bytes
    if attribute.values:
        return max(len(value.encode()) for value in attribute.values)
    if attribute.type in _FIXED:
        return _FIXED[attribute.type]
    return UNKNOWN_MAX * value_bytes(attribute, facts)


def _plain(kind: str, facts: Facts) -> int:
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in ("integer", "number"):
        return _INTEGER
    return facts.text_bytes if kind == "string" else _OBJECT


def key_bytes(entity: Entity, facts: Facts) -> int:
    """Bytes of an average key; whole numbers and yes or no stand in it with all their digits (keys.py)."""
    whole = (f"{SLACK}timestamp", "integer", "boolean")
    parts = [entity.attributes[part] for part in entity.key]
    return sum(keys.DIGITS if one.type in whole else value_bytes(one, facts) for one in parts) + len(parts) - 1


def settled(design: Design, facts: Facts) -> Design:
    """The design in which a text that names an item, or copies another one, is as long as that, unless it says more."""
    return replace(design, entities=tuple(_settled(design, one, facts, frozenset()) for one in design.entities))


def _settled(design: Design, entity: Entity, facts: Facts, seen: frozenset[str]) -> Entity:
    seen = seen | {entity.name}
    sized = {name: _sized(design, one, facts, seen) for name, one in entity.attributes.items()}
    return replace(entity, attributes=sized)


def _sized(design: Design, one: Attr, facts: Facts, seen: frozenset[str]) -> Attr:
    of, _, source = (one.copy_of or "").partition(".")
    named = one.references or of
    if one.type != "string" or one.avg_bytes is not None or one.values or not named or named in seen:
        return one
    other = _settled(design, design.by_name[named], facts, seen)
    if one.references is not None:
        return replace(one, avg_bytes=key_bytes(other, facts))
    copied = other.attributes[source]
    return replace(one, avg_bytes=value_bytes(copied, facts), max_bytes=one.max_bytes or max_bytes(copied, facts))


def item_bytes(attributes: Mapping[str, Attr], facts: Facts) -> int:
    """Bytes of an average item that has all its attributes, but for the mark of what is deleted."""
    kept = {name: one for name, one in attributes.items() if name != MARK}
    return sum(len(name.encode()) + value_bytes(one, facts) for name, one in kept.items())


def item_max_bytes(attributes: Mapping[str, Attr], facts: Facts) -> int | None:
    """Bytes of the largest item; None when an attribute may grow without end."""
    found = [max_bytes(one, facts) for one in attributes.values()]
    known = [one for one in found if one is not None]
    return None if len(known) < len(found) else sum(known) + sum(len(name.encode()) for name in attributes)


def items_per_page(size: int, facts: Facts) -> int:
    """Items that Slack evaluates for one page."""
    return max(1, min(facts.page_items, facts.page_bytes // max(size, 1)))


def pages(items: int, size: int, facts: Facts) -> int:
    """Calls that read every page. One that ends exactly at 1000 items has a cursor, and an empty page follows it."""
    each = items_per_page(size, facts)
    if each == facts.page_items:
        return items // each + 1
    return max(1, math.ceil(items / each))


def removed_by(entity: Entity, facts: Facts) -> Removal:
    """How items end. A ttl removes for good and up to 48 h late, so it serves a hard retention that is longer."""
    kept = entity.retention
    if kept is None:
        return "never" if entity.ttl is None else "ttl"
    if kept.legal_hold:
        return "never"
    return "ttl" if kept.mode == "hard" and kept.days * 24 > facts.ttl_hours else "sweep"


def kept_days(entity: Entity, facts: Facts) -> float | None:
    """Days after which an item is really gone: its retention and the lag of the removal. None: it stays.

    The lag is the 48 h of a ttl, or the day between two sweeps. What is deleted softly stays.
    """
    kept, how = entity.retention, removed_by(entity, facts)
    if kept is None or how == "never" or kept.mode == "soft":
        return None
    return kept.days + (facts.ttl_hours / 24 if how == "ttl" else 1)


def items_on(entity: Entity, day: float, facts: Facts) -> int:
    """Items of an entity on a day, the removals taken off; those of the first day leave evenly over the retention."""
    volume, kept = entity.volume, kept_days(entity, facts)
    if kept is None:
        return math.ceil(volume.initial + volume.per_day * day)
    return math.ceil(volume.initial * max(0.0, 1 - day / kept) + volume.per_day * min(day, kept))


def batches(items: int, facts: Facts) -> int:
    """Bulk calls for this many items."""
    return math.ceil(items / facts.bulk)
