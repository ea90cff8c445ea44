"""Reading a datastore whose definition nobody gave: rows by key, shown as they are stored.

Rules of this file: it only reads. A write without the definition could skip what that asks for (its ttl, its encrypted
attributes, its lifecycle), so there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from stateroom.engines.handle_cursor import binding, read_cursor, write_cursor
from stateroom.engines.port import Engine, Query, Row
from stateroom.engines.port import Page as Rows
from stateroom.expr.tree import Condition
from stateroom.model.errors import StateroomError, StoreUnavailable, UnknownDatastore, WrongUse
from stateroom.model.ids import check_id, check_key
from stateroom.model.upgrades import OWN

PAGE: Final = 500
HOW: Final = "give --definitions pkg.module or --manifest FILE"
Item = dict[str, Any]


class Page(NamedTuple):
    """Items, and the cursor behind them."""

    items: list[Item]
    cursor: str | None


class Plain:
    """The reading half of the handle's verbs, over a table by its name."""

    def __init__(self, engine: Engine, name: str, team: str) -> None:
        self._engine = engine
        self._name = name
        self._team = check_id("team", team)

    async def get(self, id: str) -> Item | None:
        """The item as it is stored, or None."""
        return (await self.bulk_get([id]))[0]

    async def version(self, id: str) -> int:
        """Its version, 0 when it does not exist."""
        (row,) = await self._engine.get(self._name, self._team, [check_key(id)])
        return 0 if row is None else row.version

    async def bulk_get(self, ids: Sequence[str]) -> list[Item | None]:
        """Items in the order asked, None for each that is absent."""
        try:
            rows = await self._engine.get(self._name, self._team, [check_key(id) for id in ids])
        except StoreUnavailable as error:
            raise unknown(self._name, error) from None
        return [None if row is None else shown(row) for row in rows]

    async def query(
        self,
        condition: Condition | None = None,
        *,
        order: str | None = None,
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page:
        """Items in key order; an order of its own is only known with a definition."""
        if order is not None:
            raise WrongUse(f"{self._name}: --order needs its definition; {HOW}")
        query = Query(self._name, self._team, limit, descending=descending, condition=condition)
        bound = binding(query)
        page = await self._page(replace(query, after=read_cursor(bound, cursor)))
        return Page([shown(row) for row in page.rows], write_cursor(bound, page.position))

    async def count(self, condition: Condition | None = None) -> int:
        """How many items fulfil the condition."""
        total, query = 0, Query(self._name, self._team, PAGE, condition=condition)
        while True:
            page = await self._page(query)
            total += len(page.rows)
            if page.position is None:
                return total
            query = replace(query, after=page.position)

    async def _page(self, query: Query) -> Rows:
        try:
            return await self._engine.query(query)
        except StoreUnavailable as error:
            raise unknown(self._name, error) from None


def shown(row: Row) -> Item:
    """An item without what is Stateroom's own."""
    return {name: value for name, value in row.item.items() if not name.startswith(OWN)}


def unknown(name: str, error: StoreUnavailable) -> StateroomError:
    """What to say when the engine has no table of that name."""
    if error.reason != "missing":
        return error
    return UnknownDatastore(f"the store has no datastore {name}; see that name and --store are right, or {HOW}")
