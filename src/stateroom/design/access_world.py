"""What the access map is made with: the design while it is mapped, and how Slack would serve a pattern.

Rules of this file: data, and the sums over it that all kinds share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from stateroom.design.costs import Work
from stateroom.design.facts import Facts
from stateroom.design.parts import PREFIX, Call, Home, Store
from stateroom.design.sizes import item_bytes, items_on
from stateroom.design.structs import Design, Entity

GET, PUT, UPDATE, DELETE = (f"{PREFIX}{verb}" for verb in ("get", "put", "update", "delete"))
BULK_GET, BULK_PUT, BULK_DELETE = (f"{PREFIX}{verb}" for verb in ("bulkGet", "bulkPut", "bulkDelete"))
READS: Final = ("get", "list", "search", "count", "aggregate", "top", "join", "export")
FIND_BY_KEY: Final = ("get", "list", "join", "unique")


@dataclass(frozen=True)
class Served:
    """How Slack would serve a pattern. `faults`: why it cannot; `doubts`: why it will not for long."""

    operation: str
    datastore: str
    calls: tuple[Call, ...]
    work: Callable[[int], Work]
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass
class World:
    """The design while it is mapped: the datastores so far, by name, and where each entity lives."""

    design: Design
    facts: Facts
    homes: dict[str, Home] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)

    def size(self, store: str) -> int:
        """Bytes of an average item of a datastore."""
        return item_bytes(self.stores[store].attributes, self.facts)

    def items(self, entity: Entity, day: int) -> int:
        """Items of an entity on a day."""
        return items_on(entity, day, self.facts)

    def lookups(self, entity: str) -> list[Store]:
        """The lookups that writers of an entity must keep right."""
        return [one for one in self.stores.values() if one.role == "lookup" and one.entity == entity]
