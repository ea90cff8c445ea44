"""Synthetic items of a design: of the stated sizes and counts, with the stated selectivities, the same in each run.

Rules of this file: no randomness. An attribute that a pattern asks to equal a parameter has one value for as many items
as the pattern expects, spread over all; states and other listed values go round; references name one item after the
other. Every value has the average bytes of the file, or those of its type (design/sizes.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stateroom.design import keys
from stateroom.design.entities import DELETED, key_attribute
from stateroom.design.facts import Facts
from stateroom.design.parts import Plan, Store
from stateroom.design.sizes import entry_bytes, value_bytes
from stateroom.design.structs import Attr, Entity, Pattern
from stateroom.model.attributes import SLACK

Item = dict[str, Any]
DAY: Final = 86_400
_LETTERS: Final = {"user_id": "U", "channel_id": "C", "usergroup_id": "S", "team_id": "T"}
TIMES: Final = (f"{SLACK}timestamp", f"{SLACK}date", f"{SLACK}message_ts")
_WHOLE: Final = (f"{SLACK}timestamp", "integer")


class Stock:
    """The items of a plan. `counts`: of each entity; `now`: Unix seconds."""

    def __init__(self, plan: Plan, counts: Mapping[str, int], now: int) -> None:
        self.plan, self.counts, self.now = plan, counts, now
        self._kinds = {one.name: _Kind(self, one) for one in plan.design.entities}

    def item(self, entity: str, number: int, serial: int | None = None) -> Item:
        """The item of that number; `serial`: another key, else the same."""
        return self._kinds[entity].item(number, number if serial is None else serial)

    def key(self, entity: str, number: int) -> str:
        """Its key."""
        return str(self.item(entity, number)[key_attribute(self.plan.design.by_name[entity])])

    def items(self, entity: str) -> Iterator[Item]:
        """All of them."""
        return (self.item(entity, number) for number in range(self.counts[entity]))

    def due(self, entity: str) -> int:
        """How many are kept longer than their retention says."""
        return self._kinds[entity].due

    def whole(self, entity: str, names: Iterable[str]) -> int:
        """Of how many items, from the first on, as many share the values of these attributes as patterns expect."""
        return self._kinds[entity].whole(names)

    def copied(self, entity: str, link: str, of: str) -> int:
        """How many items of `of`, from the first on, are referred to by as many of `entity` as any."""
        group = self._kinds[entity].groups.get(link)
        values = self.counts[entity] if group is None else group.whole
        return values if values <= self.counts[of] else values % self.counts[of] or self.counts[of]

    def is_due(self, entity: str, number: int) -> bool:
        """Whether the item of that number is one of them."""
        return self._kinds[entity].is_due(number)

    def lookups(self, store: Store) -> Iterator[Item]:
        """The items of a lookup, made from all items of its entity."""
        entity = self.plan.design.by_name[store.entity or ""]
        key, found = key_attribute(entity), dict[str, list[str]]()
        for item in self.items(entity.name):
            found.setdefault(lookup_key(store, item), []).append(str(item[key]))
        for name, ids in found.items():
            held: Item = {"ids": ids} if store.many else {"target": ids[0]}
            yield {"lookup_key": name, **held, "updated_at": self.now}


def lookup_key(store: Store, item: Mapping[str, Any]) -> str:
    """The key of a lookup for the values of an item."""
    return keys.encode([item[one] for one in store.of])


@dataclass(frozen=True)
class _Group:
    """How one value goes to `size` items each, as long as there are that many, in turns of `block` items."""

    block: int
    size: int
    whole: int

    def place(self, number: int) -> int:
        """Which value an item has; those behind the last whole group share another one."""
        behind = number - self.whole * self.size
        return number // self.block % self.whole if behind < 0 else self.whole + behind // self.size


class _Kind:
    """How the items of one entity are made."""

    def __init__(self, stock: Stock, entity: Entity) -> None:
        self.stock, self.entity, self.facts = stock, entity, stock.plan.facts
        self.store, self.count = stock.plan.store(entity.name), stock.counts[entity.name]
        self.listed = {name: possible for name, one in self.store.attributes.items() if (possible := _possible(one))}
        self.stride: dict[str, int] = {}
        step = 1
        for name, possible in self.listed.items():
            self.stride[name], step = step, step * len(possible)
        self.groups = self._groups()
        free = [one for one in entity.key if one not in self.groups and one not in self.listed]
        self.wide = (free or list(entity.key))[-1]
        asked = [one for one in stock.plan.design.of(entity.name) if one.kind == "unique"]
        self.alone = {name for one in asked for name in one.attributes}  # no two items may have the same of these
        self.due = self._due()

    def _groups(self) -> dict[str, _Group]:
        """For attributes that a pattern asks to equal a parameter: how its values are spread over the items. Where
        patterns differ, those that a lookup serves go first.
        """
        found: dict[str, _Group] = {}
        patterns = [one for one in self.stock.plan.design.of(self.entity.name) if one.where is not None]
        for pattern in sorted(patterns, key=self._before):
            where, expected = pattern.where, pattern.expected_items or 1
            if pattern.kind == "sweep" and pattern.expected_items is None:  # as the plan has it: as many as of a day
                expected = math.ceil(self.entity.volume.per_day) or 1
            assert where is not None
            fixed = [name for name in where.equal if name in self.listed]
            size = expected * math.prod(len(self.listed[name]) for name in fixed)
            size = max(1, min(size, self.count))
            block = max([self.stride[name] * len(self.listed[name]) for name in fixed], default=1)
            for name in where.equal:
                if name not in self.listed and where.equal[name] in where.parameters:
                    group = _Group(size if size % block else block, size, max(1, self.count // size))
                    found.setdefault(name, group)
        for unique in (one for one in self.stock.plan.design.of(self.entity.name) if one.kind == "unique"):
            all_of = _Group(1, 1, max(1, self.count))
            found |= {name: all_of for name in unique.attributes if name not in self.listed}
        return found

    def _before(self, pattern: Pattern) -> tuple[bool, int]:
        return self.stock.plan.access(pattern.name).operation != "bulk get", -(pattern.expected_items or 1)

    def whole(self, names: Iterable[str]) -> int:
        """Of how many items, from the first on, all share their values with as many as the patterns expect."""
        found = [self.groups[name] for name in names if name in self.groups]
        return min((one.whole * one.size for one in found), default=self.count)

    def _due(self) -> int:
        if self.entity.retention is None:
            return 0
        sweeps = [one for one in self.stock.plan.design.of(self.entity.name) if one.kind == "sweep"]
        stated = [one.expected_items for one in sweeps if one.expected_items is not None]
        if len(stated) < max(1, len(sweeps)):
            stated.append(math.ceil(self.entity.volume.per_day))
        return min(self.count, max(stated))

    def is_due(self, number: int) -> bool:
        """Whether an item has been kept too long: as many as are due, evenly among all."""
        return number < self.count and number * self.due // self.count < (number + 1) * self.due // self.count

    def item(self, number: int, serial: int) -> Item:
        found: Item = {}
        for name, attribute in self.store.attributes.items():
            if name not in (self.store.key, f"{self.store.key}_copy", DELETED):
                found[name] = self.value(attribute, number, serial)
        if len(self.entity.key) == 1:
            key = self.value(self.entity.attributes[self.store.key], number, serial)
        else:
            key = keys.encode([found[part] for part in self.entity.key])
        found[self.store.key] = key
        if self.entity.copy_key:
            found[f"{self.store.key}_copy"] = key
        return found

    def value(self, attribute: Attr, number: int, serial: int) -> Any:
        name = attribute.name
        size = value_bytes(attribute, self.facts)
        if name == self.store.ttl or (self.entity.retention is not None and name == self.entity.retention.after):
            return self.moment(attribute, number, serial)
        if name == self.wide:
            return made(attribute, serial, size, self.facts, unique=True)
        if name in self.listed:
            return self.listed[name][number // self.stride[name] % len(self.listed[name])]
        place = self.groups[name].place(number) if name in self.groups else number
        other = self.stock.counts.get(attribute.references or "", 0)
        if attribute.references is not None and other and attribute.type != "array":
            return self.stock.key(attribute.references, place % other)
        return made(attribute, place, size, self.facts, unique=name in self.groups)

    def moment(self, attribute: Attr, number: int, serial: int) -> Any:
        """The time from which an item's retention counts: long ago for those that are due; the ttl lies behind it."""
        days = 1.0 if self.entity.retention is None else self.entity.retention.days
        since = -days * DAY - 3 * DAY if self.is_due(number) else -DAY / 24
        if attribute.name == self.store.ttl:
            since += days * DAY
        seconds = max(0, self.stock.now + int(since))  # Slack has no time before 1970
        step = serial if attribute.name == self.wide else number if attribute.name in self.alone else 0
        return made_time(attribute, seconds, -step if self.is_due(number) else step)


def _possible(attribute: Attr) -> Sequence[Any]:
    return (True, False) if attribute.type == "boolean" else attribute.values


def made_time(attribute: Attr, seconds: int, step: int) -> Any:
    """A moment as the attribute's type has it, `step` further on."""
    if attribute.type == f"{SLACK}date":
        return (datetime.fromtimestamp(seconds, UTC) + timedelta(days=step)).strftime("%Y-%m-%d")
    if attribute.type == f"{SLACK}timestamp":
        return seconds + step
    return f"{seconds + step}.000100"


def made(attribute: Attr, number: int, size: int, facts: Facts, *, unique: bool = False) -> Any:
    """A value of the attribute's type and size. `unique`: another one for each number."""
    kind = attribute.type
    if kind == "array":
        average = attribute.avg_items if attribute.avg_items is not None else 3
        entries = math.floor((number + 1) * average) - math.floor(number * average)
        return [made_entry(attribute, number + n, facts) for n in range(entries)]
    if kind in TIMES:
        return made_time(attribute, 1_750_000_000, number if unique else number % 1000)
    if kind in ("integer", "number"):
        return 1001 + number if unique else 1001 + number * 7 % 8989
    if kind == "boolean":
        return number % 2 == 0
    short = kind.removeprefix(SLACK)
    if short in _LETTERS:
        return f"{_LETTERS[short]}{number:0{max(size - 1, 2)}d}"
    if kind == "object":
        return {"v": _cut(number, size - 5)}
    if short == "rich_text":
        return {"type": "rich_text", "v": _cut(number, size - 19)}
    if short == "expanded_rich_text":
        return {"v": _cut(number, size - 5)}
    return text(number, size) if unique else _cut(number, size)


def made_entry(attribute: Attr, number: int, facts: Facts) -> Any:
    """One entry of an array."""
    each = Attr("entry", attribute.items or "string", avg_bytes=attribute.avg_bytes)
    return made(each, number, entry_bytes(attribute, facts) - 1, facts, unique=True)


def _cut(number: int, size: int) -> str:
    """A text of that many bytes, as its number has it where there is room."""
    return text(number, size)[: max(0, size)]


def text(number: int, size: int) -> str:
    """A text of that many bytes that no other number has, where the number fits into it."""
    digits = f"{number:x}"
    return digits + "-" * (size > len(digits)) + "x" * max(0, size - len(digits) - 1)
