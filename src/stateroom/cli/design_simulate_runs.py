"""One run of a pattern on the local Slack: the calls that its access lists, in their order, with real items.

Rules of this file: what is called, how often and by which key is read from the plan's `Access`, never decided here; a
run that finds what it did not expect stops, as the plan's steps say.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stateroom.cli.design_simulate_clock import now
from stateroom.cli.design_simulate_items import DAY, TIMES, Stock, lookup_key, made_entry, made_time
from stateroom.cli.design_simulate_slack import Client, Item
from stateroom.design import keys
from stateroom.design.entities import AUDIT, CLAIMS, DELETED, EXPIRES, claimed_states, copied, key_attribute, link
from stateroom.design.parts import PREFIX, Access, Call, Plan, Store
from stateroom.design.structs import Entity, Pattern

LEASE = 120
OWNER_BYTES = 36
EVENT_BYTES = 19


class Stopped(Exception):
    """The run ends early: the item is not as expected, or another run has the claim."""


class Run:
    """One run. `number`: which item it is about; `id`: its own id, other than any other run's."""

    def __init__(self, stock: Stock, access: Access, number: int, id: int, client: Client, *, safely: bool = True):
        self.stock, self.plan, self.access, self.client = stock, stock.plan, access, client
        self.pattern: Pattern = next(one for one in self.plan.design.patterns if one.name == access.pattern)
        self.entity: Entity = self.plan.design.by_name[access.entity]
        self.key = key_attribute(self.entity)
        self.number, self.serial, self.safely = number, stock.counts[self.entity.name] + id, safely
        self.owner = f"Fx{id}".ljust(OWNER_BYTES, "0")
        self.target = stock.item(self.entity.name, number)
        self.seen: Item = {}  # the item as it was read
        self.lookup: Item = {}  # a lookup's item as it was read
        self.found: list[Item] = []
        self.ids: list[str] = []
        self.looked_at = 0.0
        self.joined: dict[str, list[Item]] = {}  # what was read of other entities

    async def go(self) -> None:
        """The run from its first call to its last. Stopped, CallFailed."""
        for call in self.access.calls:
            await self._step(call)
        self.client.meter.found = len(self.found)

    async def _step(self, call: Call) -> None:
        verb, store = call.method.removeprefix(PREFIX), self.plan.store(call.datastore)
        if call.datastore == CLAIMS:
            await self._claim(verb, call)
        elif call.copies:
            await self._copied(verb, call, store)
        elif verb in ("query", "count"):
            await self._ask(verb, call)
        elif verb.startswith("bulk"):
            await self._many(verb, call)
        elif verb == "get":
            await self._get(call, store)
        elif verb == "delete":
            id = self._lookup_id(store, call) if store.role == "lookup" else self.target[self.key]
            await self.client.call("delete", datastore=store.name, id=id)
        else:
            await self.client.call(verb, datastore=store.name, item=self._written(verb, call, store))

    # Reads

    async def _ask(self, verb: str, call: Call) -> None:
        asked = self._asked(call)
        if verb == "count":
            self.client.meter.found = (await self.client.call("count", datastore=call.datastore, **asked))["count"]
            return
        self.found = await self.client.pages(call.datastore, asked)
        if self.pattern.kind == "sweep" and call.where is None:
            self.found = [one for one in self.found if self._is_due(one)]
        if self.pattern.kind in ("sweep", "join"):  # as many as the file expects; of a sweep those of a day
            daily = math.ceil(self.entity.volume.per_day) if self.pattern.kind == "sweep" else None
            self.found = self.found[: self.pattern.expected_items if self.pattern.expected_items is not None else daily]
        self.ids = [one[self.key] for one in self.found]

    def _asked(self, call: Call) -> Mapping[str, Any]:
        where = call.where
        if where is None:
            return {}
        values = dict(where.values) | {name: self._parameter(of) for name, of in where.parameters.items()}
        asked: Item = {"expression": where.expression}
        if where.names:
            asked["expression_attributes"] = dict(where.names)
        return asked | ({"expression_values": values} if values else {})

    def _parameter(self, of: str) -> Any:
        kept = self.entity.retention
        if self.pattern.kind == "sweep" and self.entity.attributes[of].type in TIMES:
            whole = kept is None or of != kept.after
            return made_time(self.entity.attributes[of], int(now()), 0) if whole else self._due_before()
        value = self.target.get(of, "x")
        if isinstance(value, list):
            return value[0] if value else "x"
        return value[:1] if self.pattern.kind == "search" and isinstance(value, str) else value

    def _due_before(self) -> Any:
        """The moment before which an item is due, as the attribute's type has it."""
        kept = self.entity.retention
        assert kept is not None
        attribute = self.entity.attributes[kept.after]
        return made_time(attribute, max(DAY, int(now() - kept.days * DAY - DAY)), 0)

    def _is_due(self, item: Item) -> bool:
        kept = self.entity.retention
        return kept is None or (item.get(kept.after, "") < self._due_before() and DELETED not in item)

    async def _get(self, call: Call, store: Store) -> None:
        if store.role == "lookup":
            self.lookup = await self.client.one(store.name, self._lookup_id(store, call))
            self.ids = self.lookup.get("ids", [self.lookup.get("target", "")])
            return
        by_lookup = self.access.calls[0].datastore != store.name and self.pattern.kind == "get"
        item = await self.client.one(store.name, self.ids[0] if by_lookup else self.target[self.key])
        first = not self.seen
        self.seen = item
        cycle = self.entity.lifecycle
        if first and cycle is not None and self.pattern.from_ and item.get(cycle.attribute) not in self.pattern.from_:
            await self._give_back()
            raise Stopped

    def _lookup_id(self, store: Store, call: Call) -> str:
        """The lookup of the item: where a write moves it, first the one that it comes to, then the one it leaves."""
        if "add the key" in call.purpose or (call.purpose.startswith("read ") and self._moving(call)):
            return lookup_key(store, {**self.target, **self.change()})
        return lookup_key(store, self.target)

    def _moving(self, call: Call) -> bool:
        """Whether a read of a lookup is the one before an addition."""
        calls = self.access.calls
        place = next(n for n, one in enumerate(calls) if one is call)
        return place + 1 < len(calls) and "add the key" in calls[place + 1].purpose

    # Writes

    async def _many(self, verb: str, call: Call) -> None:
        store, wanted = self.plan.store(call.datastore), self.pattern.expected_items or 0
        if self.pattern.kind == "bulk" and self.pattern.operation != "put":
            wanted = min(wanted, self.stock.counts[self.entity.name])
        first = self.number
        several = [(first + n) % max(1, self.stock.counts[self.entity.name]) for n in range(wanted)]
        if verb == "bulkPut" and store.name == AUDIT:
            changed = len(self.found) if self.pattern.kind == "sweep" else wanted
            rows = [self._audit_row(store, f"{n}") for n in range(changed)]
            await self.client.many(verb, store.name, "items", rows)
        elif verb == "bulkPut" and self.pattern.kind == "sweep":
            await self.client.many(verb, store.name, "items", [{**one, DELETED: int(now())} for one in self.found])
        elif verb == "bulkPut":
            items = [self.stock.item(self.entity.name, n, self.serial + k) for k, n in enumerate(several)]
            await self.client.many(verb, store.name, "items", items)
        elif verb == "bulkDelete" and self.pattern.kind == "sweep":
            await self.client.many(verb, store.name, "ids", self.ids)
        else:
            ids = [self.stock.key(self.entity.name, n) for n in several]
            if self.pattern.kind != "bulk":
                ids = self._named(store) if store.name != self.entity.name else self.ids
            got = await self.client.many(verb, store.name, "ids", list(dict.fromkeys(ids)))
            self.found = got if store.name == self.entity.name else self.found
            if store.name != self.entity.name:
                self.joined[store.name] = got

    def _named(self, store: Store) -> list[str]:
        """The ids of another entity that the items found so far name."""
        if self.pattern.on is not None:
            return [one[self.pattern.on] for one in self.found if self.pattern.on in one]
        for before in (self.entity.name, *self.joined):
            items = self.found if before == self.entity.name else self.joined[before]
            for attribute in self.plan.design.by_name[before].attributes.values():
                if attribute.references == store.name:
                    return [one[attribute.name] for one in items if attribute.name in one]
        return []

    async def _copied(self, verb: str, call: Call, store: Store) -> None:
        """Find the items that copy what was changed, then bring it over to each."""
        owner = self.target[self.key]
        other = self.plan.design.by_name[store.entity or ""]
        of = link(other, self.entity.name) or ""
        if verb == "query" and call.where is not None:
            asked = {"expression": call.where.expression, "expression_attributes": dict(call.where.names)}
            asked["expression_values"] = dict.fromkeys(call.where.parameters, owner)
            self.ids = [one[store.key] for one in await self.client.pages(store.name, asked)]
        elif verb == "get":
            listed = await self.client.one(store.name, lookup_key(store, {of: owner}))
            self.ids = listed.get("ids", [])
        else:
            changed, held = {**self.target, **self.change()}, other.attributes
            new = {name: changed[(held[name].copy_of or "").partition(".")[2]] for name in call.copies}
            for id in [owner] if other.key == (of,) else self.ids:
                await self.client.call("update", datastore=store.name, item={store.key: id, **new})

    def _written(self, verb: str, call: Call, store: Store) -> Item:
        if store.role == "audit":
            return self._audit_row(store, self.pattern.kind)
        if store.role == "entries":
            return self._entry(store)
        if store.role == "lookup":
            return self._listed(call, store)
        if verb == "put":
            return self.stock.item(self.entity.name, self.number, self.serial)
        return {self.key: self.target[self.key], **self.change()}

    def change(self) -> Item:
        """What the pattern writes of the item."""
        if self.pattern.kind == "transition" and self.entity.lifecycle is not None:
            return {self.entity.lifecycle.attribute: self.pattern.to}
        if self.pattern.kind == "increment":
            return {name: self.seen.get(name, 0) + 1 for name in self.pattern.attributes}
        if self.pattern.kind == "append":
            return {name: [*self.seen.get(name, []), *self._one_entry(name)] for name in self.pattern.attributes}
        if self.pattern.kind == "update":
            own = self.pattern.attributes or tuple(n for n in self.entity.attributes if n not in self.entity.key)
            return next((one for one in self._others(own) if any(self.target.get(n) != one[n] for n in one)), {})
        return {}

    def _others(self, own: Sequence[str]) -> Iterator[Item]:
        """What other items have there, from far away on; the item's own at last, where there is no other."""
        count = max(1, self.stock.counts[self.entity.name])
        far = ((self.number + count // 2 + step) % count for step in range(min(count, 24)))
        for place in (*far, self.number + count):  # the one behind all of them, for who has one alone
            other = self.stock.item(self.entity.name, place)
            yield {name: other[name] for name in own if name in other and name != self.key}
        yield {name: self._turned(name) for name in own if name in self.target}

    def _turned(self, name: str) -> Any:
        value = self.target[name]
        return not value if isinstance(value, bool) else value

    def _one_entry(self, name: str) -> list[Any]:
        """One more entry, other than those of other runs."""
        return [made_entry(self.entity.attributes[name], self.serial, self.plan.facts)]

    def _listed(self, call: Call, store: Store) -> Item:
        name = self._lookup_id(store, call)
        key = self.target[self.key]
        if self.pattern.kind == "put":
            key = self.stock.key(self.entity.name, self.number)[:-1] + "~"  # another one of the same length
        if not store.many:
            return {"lookup_key": name, "target": key, "updated_at": int(now())}
        ids = [one for one in self.lookup.get("ids", []) if one != key]
        return {"lookup_key": name, "ids": ids if call.adds < 0 else [*ids, key], "updated_at": int(now())}

    def _entry(self, store: Store) -> Item:
        name = store.of[0]
        event = f"Ev{self.serial}".ljust(EVENT_BYTES, "0")
        value = self._one_entry(name)[0] if self.entity.attributes[name].type == "array" else 1001
        owner = {f"of_{self.key}": self.target[self.key]}
        entry = keys.encode([self.target[self.key], event])
        return {"entry_id": entry, **owner, name: value, "added_at": int(now())}

    def _audit_row(self, store: Store, step: str) -> Item:
        sizes = {name: one.avg_bytes or 0 for name, one in store.attributes.items()}
        row: Item = {"audit_id": keys.encode([self.owner, step.ljust(sizes["audit_id"] - OWNER_BYTES - 1, "-")])}
        words = {"datastore": self.entity.name, "item": self.target[self.key], "action": self.pattern.kind}
        words |= {"before": self.pattern.kind, "after": self.pattern.to or ""}
        row |= {name: str(value).ljust(sizes[name], "-")[: sizes[name]] for name, value in words.items()}
        return row | {"actor": "U0000000001", "at": int(now())}

    # Claims

    async def _claim(self, verb: str, call: Call) -> None:
        id = self._claim_id()
        if verb == "put":
            item = {"claim_id": id, "owner": self.owner, "state": "taken", EXPIRES: int(now()) + LEASE}
            await self.client.call("put", datastore=CLAIMS, item=item)
            if (now() - self.looked_at) * 1000 > self.plan.facts.settle_ms:
                raise Stopped  # too slow to know
            await asyncio.sleep((1000 + self.client.slack.random.random() * 100) / 1000)
        elif verb == "delete":
            await self.client.call("delete", datastore=CLAIMS, id=id)
        else:
            self.looked_at = self.looked_at or now()
            there = await self.client.one(CLAIMS, id)
            if there.get("owner") not in ((None, self.owner) if not call.there else (self.owner,)):
                raise Stopped

    async def _give_back(self) -> None:
        if any(one.datastore == CLAIMS for one in self.access.calls):
            await self.client.call("get", datastore=CLAIMS, id=self._claim_id())
            await self.client.call("delete", datastore=CLAIMS, id=self._claim_id())

    def _claim_id(self) -> str:
        cycle = self.entity.lifecycle
        states = claimed_states(self.pattern)
        state = self.target.get(cycle.attribute) if cycle is not None and self.pattern.from_ else states[0]
        return keys.encode([self.entity.name, str(self.target[self.key]), str(state)])


def targets(plan: Plan, stock: Stock, pattern: Pattern) -> Callable[[int], int]:
    """From the how-many-eth run to the number of an item that the pattern can be about, evenly over all of them."""
    count = max(1, stock.counts[pattern.entity])
    if pattern.where is not None:
        count = stock.whole(pattern.entity, pattern.where.equal) or count
    for name in copied(plan.design, pattern):
        of = link(plan.design.by_name[name], pattern.entity)
        count = min(count, (stock.copied(name, of, pattern.entity) or count) if of else count)
    cycle = plan.design.by_name[pattern.entity].lifecycle
    if pattern.kind != "transition" or cycle is None:
        return lambda number: number * 37 % count
    fitting = []
    for number in range(count):
        if stock.item(pattern.entity, number).get(cycle.attribute) in pattern.from_:
            fitting.append(number)
            if len(fitting) >= 500:
                break
    return lambda number: fitting[number % len(fitting)] if fitting else 0
