"""One pattern of an external store, by Stateroom's own verbs: a run of it, and two runs that meet at one item.

Rules of this file: what the verbs cannot do in one call (a join, an aggregate) is done as an app would. A race is made:
both runs have read before either writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stateroom.cli.design_simulate_items import Item, Stock, made_entry
from stateroom.design.entities import key_attribute
from stateroom.design.structs import Entity, Pattern
from stateroom.engines.handle import Datastore
from stateroom.model.errors import ConditionFailed, Unsupported

Stores = Mapping[str, Datastore[Item]]
MOST: Final = 1000  # items that a list without a stated number reads


@dataclass
class Served:
    """One pattern on the engine, about the item of that number."""

    pattern: Pattern
    entity: Entity
    stock: Stock
    stores: Stores
    number: int

    @property
    def store(self) -> Datastore[Item]:
        """The datastore of its entity."""
        return self.stores[self.entity.name]

    @property
    def count(self) -> int:
        """How many items there are."""
        return self.stock.counts[self.entity.name]

    @property
    def item(self) -> Item:
        """The item as it was loaded."""
        return self.stock.item(self.entity.name, self.number)

    @property
    def id(self) -> str:
        """Its key."""
        return str(self.item[key_attribute(self.entity)])

    def asked(self) -> dict[str, Any]:
        """The condition with its values, as query and count take it."""
        where = self.pattern.where
        if where is None:
            return {}
        given = {name: self._value(of) for name, of in where.parameters.items()}
        return {"condition": where.expression, "names": dict(where.names), "values": {**where.values, **given} or None}

    def _value(self, of: str) -> Any:
        value = self.item.get(of, "x")
        if isinstance(value, list):
            return value[0] if value else "x"
        return value[:1] if self.pattern.kind == "search" and isinstance(value, str) else value

    def change(self) -> Item:
        """What an update or a transition sets."""
        cycle = self.entity.lifecycle
        if self.pattern.kind == "transition" and cycle is not None:
            return {cycle.attribute: self.pattern.to}
        other = self.stock.item(self.entity.name, (self.number + 1) % self.count)
        own = self.pattern.attributes or tuple(one for one in self.entity.attributes if one not in self.entity.key)
        return {name: other[name] for name in own if name in other}

    def entry(self, name: str) -> list[Any]:
        """One more entry of an array."""
        attribute, facts = self.entity.attributes[name], self.stock.plan.facts
        return [made_entry(attribute, self.number, facts)]


async def run(served: Served) -> int:
    """One run; how many items it found or changed."""
    pattern, store = served.pattern, served.store
    if pattern.kind == "get" and pattern.where is None:
        return int(await store.get(served.id) is not None)
    if pattern.kind in ("get", "list", "top", "search", "join"):
        return await _find(served)
    if pattern.kind in ("aggregate", "export"):
        return len([one async for one in store.scan(**served.asked())])
    if pattern.kind == "sweep":
        return await _sweep(served)
    if pattern.kind == "count":
        return await store.count(**served.asked())
    if pattern.kind == "bulk":
        return await _bulk(served)
    if pattern.kind == "delete":
        return int(await store.delete(served.id))
    await _change(served)
    return 1


async def _find(served: Served) -> int:
    pattern, asked = served.pattern, served.asked()
    limit = pattern.expected_items or (1 if pattern.kind == "get" else MOST)
    order: dict[str, Any] = {"order": pattern.order, "descending": pattern.descending} if pattern.order else {}
    try:
        page = await served.store.query(**asked, **order, limit=limit)
    except Unsupported:  # no index has this order: the function sorts
        page = await served.store.query(**asked, limit=limit)
    for name in pattern.join:
        several = min(len(page.items), served.stock.counts[name])
        await served.stores[name].bulk_get([served.stock.key(name, n) for n in range(several)])
    return len(page.items)


async def _sweep(served: Served) -> int:
    """What its condition finds, or what is kept too long; and back it goes."""
    if served.pattern.where is not None:
        due = [one async for one in served.store.scan(**served.asked())]
    else:
        due = [
            served.stock.item(served.entity.name, n)
            for n in range(served.count)
            if served.stock.is_due(served.entity.name, n)
        ]
    return 0 if not due else await _gone(served, due)


async def _gone(served: Served, due: list[Item]) -> int:
    gone = await served.store.bulk_delete([one[key_attribute(served.entity)] for one in due])
    (await served.store.bulk_put(due)).check()
    return len(gone.items)


async def _bulk(served: Served) -> int:
    wanted = min(served.pattern.expected_items or 1, served.count)
    several = [served.stock.item(served.entity.name, n) for n in range(wanted)]
    ids = [one[key_attribute(served.entity)] for one in several]
    if served.pattern.operation == "get":
        return len(await served.store.bulk_get(ids))
    if served.pattern.operation == "delete":
        return await _gone(served, several)
    return len((await served.store.bulk_put(several)).items)


async def _change(served: Served) -> None:
    pattern, store = served.pattern, served.store
    if pattern.kind in ("put", "unique"):
        await store.put(served.item)
    elif pattern.kind == "increment":
        await store.update(served.id, add=dict.fromkeys(pattern.attributes, 1))
    elif pattern.kind == "append":
        await store.update(served.id, append={name: served.entry(name) for name in pattern.attributes})
    else:
        await store.update(served.id, served.change())


# Races

Goes = Callable[[Served, asyncio.Barrier], Awaitable[bool]]


async def lost(served: Served, goes: Goes) -> int:
    """Of two runs at once: those that were told that they did it, and of which nothing is left."""
    await served.store.put(served.item)
    meeting = asyncio.Barrier(2)
    told = await asyncio.gather(goes(served, meeting), goes(served, meeting))
    kept = _kept(served, await served.store.get(served.id) or {})
    await served.store.put(served.item)
    return max(0, sum(told) - kept)


def _kept(served: Served, after: Item) -> int:
    """How often it has happened, by what is stored: a number, a list's length; once at most for what is set."""
    names, before = served.pattern.attributes, served.item
    if served.pattern.kind == "increment":
        return int(sum(after[one] - before[one] for one in names)) // len(names)
    if served.pattern.kind == "append":
        return sum(len(after[one]) - len(before[one]) for one in names) // len(names)
    return 1


async def naively(served: Served, meeting: asyncio.Barrier) -> bool:
    """Read, look, write."""
    item = dict(await served.store.get(served.id) or {})
    await meeting.wait()
    if served.pattern.kind == "increment":
        item |= {name: item[name] + 1 for name in served.pattern.attributes}
    elif served.pattern.kind == "append":
        item |= {name: [*item[name], *served.entry(name)] for name in served.pattern.attributes}
    else:
        item |= served.change()
    await served.store.put(item)
    return True


async def safely(served: Served, meeting: asyncio.Barrier) -> bool:
    """As the plan has it: a condition, a version, an addition in the store."""
    pattern, store, cycle = served.pattern, served.store, served.entity.lifecycle
    version = await store.version(served.id)
    await meeting.wait()
    try:
        if pattern.kind in ("increment", "append"):
            await _change(served)
        elif pattern.kind == "transition" and cycle is not None:
            values = {f":v{n}": state for n, state in enumerate(pattern.from_)}
            condition, names = f"#s IN ({', '.join(values)})", {"#s": cycle.attribute}
            await store.update(served.id, served.change(), condition=condition, names=names, values=values)
        elif pattern.kind == "put":
            await store.put(served.item, if_version=version)
        else:
            await store.update(served.id, served.change(), if_version=version)
    except ConditionFailed:
        return False
    return True


async def taken_by(served: Served) -> int:
    """Two put the same values under other keys, at once: how many were told that the values are theirs."""
    key = key_attribute(served.entity)
    await served.store.delete(served.id)

    async def take(id: str) -> bool:
        try:
            await served.store.put({**served.item, key: id})
        except ConditionFailed:  # UniqueViolation is one
            return False
        return True

    ids = [f"{served.id}-{one}" for one in "ab"]
    told = await asyncio.gather(*map(take, ids))
    await served.store.bulk_delete(ids)
    await served.store.put(served.item)
    return sum(told)
