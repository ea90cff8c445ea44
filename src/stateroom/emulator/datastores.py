"""The datastores of a local Slack's apps: items by app, datastore and id, in order of their ids.

Rules of this file: no I/O, no clock. Data belongs to an app, whatever the workspace; a dev and a prod app are two apps.
Python orders text by code point, which is the order of its UTF-8 bytes. What changed is handed to `keep` and `forget`
in the same step. An item past its time to live stays, and is read and counted, until it is swept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from math import inf

from stateroom.emulator.records import Item, Json
from stateroom.model.definition import Definition

# DynamoDB leaves a row alone whose time lies more than five years back: that is a wrong number, not an expiry.
FORGOTTEN_SECONDS = 5 * 365 * 86_400


class Collection:
    """One datastore of one app."""

    __slots__ = ("app", "definition", "ids", "items", "soonest")

    def __init__(self, app: str, definition: Definition) -> None:
        self.app = app
        self.definition = definition
        self.items: dict[str, Item] = {}
        self.ids: list[str] = []
        self.soonest = inf

    def expiry(self, item: Mapping[str, object]) -> float:
        """When an item runs out, in Unix seconds; never without a ttl attribute, or with one that is no number."""
        value = item.get(self.definition.ttl) if self.definition.ttl is not None else None
        return float(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else inf

    def after(self, last: str | None) -> Iterator[tuple[str, Json, int]]:
        """`(id, item, bytes)` behind an id, or from the first."""
        items = self.items
        for position in range(0 if last is None else bisect_right(self.ids, last), len(self.ids)):
            kept = items[self.ids[position]]
            yield kept.id, kept.item, kept.size

    def take(self, items: Iterable[Item]) -> None:
        """Take in stored items, in any order."""
        for item in items:
            self.items[item.id] = item
            self.soonest = min(self.soonest, self.expiry(item.item))
        self.ids = sorted(self.items)

    def expired(self, now: float) -> list[str]:
        """The ids of items whose time is over, oldest id first; looks at nothing while none can be."""
        if self.soonest > now:
            return []
        gone, soonest = [], inf
        for item_id in self.ids:
            expires = self.expiry(self.items[item_id].item)
            if now - FORGOTTEN_SECONDS <= expires <= now:
                gone.append(item_id)
            elif expires > now:
                soonest = min(soonest, expires)
        self.soonest = soonest
        return gone


class Datastores:
    """All apps' datastores. `keep` takes a changed record, `forget` the key of one that is gone."""

    def __init__(self, keep: Callable[[Item], None], forget: Callable[[str], None]) -> None:
        self._keep, self._forget = keep, forget
        self._apps: dict[str, dict[str, Collection]] = {}
        self._last = 0

    def load(self, items: Iterable[Item]) -> None:
        """Take in journal records; their apps are defined already. Items nobody defines any more are forgotten."""
        by_place: dict[tuple[str, str], list[Item]] = {}
        for item in items:
            self._last = max(self._last, item.n)
            by_place.setdefault((item.app, item.datastore), []).append(item)
        for (app, name), found in by_place.items():
            collection = self.find(app, name)
            if collection is not None:
                collection.take(found)
            else:
                for item in found:
                    self._forget(item.key)

    def find(self, app: str, name: str) -> Collection | None:
        return self._apps.get(app, {}).get(name)

    def of(self, app: str) -> list[Collection]:
        return list(self._apps.get(app, {}).values())

    def all(self) -> list[Collection]:
        return [collection for app in self._apps.values() for collection in app.values()]

    def define(self, app: str, definitions: Iterable[Definition]) -> None:
        """The app has these datastores from now on. One that is gone, or has another key, loses its items."""
        before, after = self._apps.get(app, {}), {}
        for definition in definitions:
            known = before.get(definition.name)
            if known is not None and known.definition.key == definition.key:
                known.definition = definition
                known.soonest = 0.0  # the ttl attribute may be another one now
                after[definition.name] = known
            else:
                after[definition.name] = Collection(app, definition)
        for name, collection in before.items():
            if after.get(name) is not collection:
                self.clear(collection)
        self._apps[app] = after

    def drop(self, app: str) -> None:
        """The app is deleted, and its data with it."""
        self.define(app, ())
        del self._apps[app]

    def put(self, collection: Collection, item_id: str, item: Json, size: int) -> None:
        """Create or replace a whole item of `size` bytes."""
        known = collection.items.get(item_id)
        if known is None:
            insort(collection.ids, item_id)
            self._last += 1
        n = self._last if known is None else known.n
        name = collection.definition.name
        kept = Item(n=n, app=collection.app, datastore=name, id=item_id, item=item, size=size)
        collection.items[item_id] = kept
        collection.soonest = min(collection.soonest, collection.expiry(item))
        self._keep(kept)

    def delete(self, collection: Collection, item_id: str) -> bool:
        """Whether there was something to delete."""
        known = collection.items.pop(item_id, None)
        if known is None:
            return False
        del collection.ids[bisect_left(collection.ids, item_id)]
        self._forget(known.key)
        return True

    def clear(self, collection: Collection) -> None:
        for kept in collection.items.values():
            self._forget(kept.key)
        collection.items.clear()
        collection.ids.clear()
        collection.soonest = inf

    def sweep(self, now: float, lag: float = 0.0) -> int:
        """Delete what ran out at least `lag` seconds ago. Returns how many items went."""
        swept = 0
        for collection in self.all():
            for item_id in collection.expired(now - lag):
                swept += self.delete(collection, item_id)
        return swept
