"""The datastore handle: a definition, one team, and the verbs over the port.

Rules of this file: everything is checked here, before an engine sees it: keys, types, required attributes, canonical
numbers. Items go in and come out as dicts; with a pydantic model behind the definition (model/datastore.py) they
come out as that model. Nothing here knows an engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from stateroom.engines.port import Delete, Engine, Put, Query, Row, Table, TableIndex, Update
from stateroom.expr.tree import Condition
from stateroom.model.codec import normalise_item
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue, KeyMissing, Unsupported
from stateroom.model.ids import check_id, check_key

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """Items of one page, and the cursor behind them (None: there is nothing more)."""

    items: list[T]
    cursor: str | None


def table_of(definition: Definition) -> Table:
    """The table an engine keeps for `definition`."""
    indexes = tuple(TableIndex(i.name, i.attributes, i.unique, i.across_teams) for i in definition.indexes)
    return Table(definition.name, definition.log, indexes, expires=definition.ends)


class Datastore(Generic[T]):
    """One datastore of one team. `T` is the pydantic class it was opened with, or `dict[str, Any]`."""

    def __init__(
        self,
        engine: Engine,
        definition: Definition,
        team: str,
        *,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        if definition.log:
            raise Unsupported(engine.capabilities.name, f"item verbs on the log {definition.name}")
        self.definition = definition
        self.team = check_id("team", team)
        self._raw = engine
        self._prepare = prepare

    async def _engine(self) -> Engine:
        """The engine, once the table is there."""
        if self._prepare is not None:
            await self._prepare()
            self._prepare = None
        return self._raw

    async def get(self, id: str) -> T | None:
        """The item, or None."""
        (row,) = await (await self._engine()).get(self.definition.name, self.team, [check_key(id)])
        return None if row is None else self._load(row)

    async def version(self, id: str) -> int:
        """The item's version for `if_version`; 0 when it does not exist."""
        (row,) = await (await self._engine()).get(self.definition.name, self.team, [check_key(id)])
        return 0 if row is None else row.version

    async def put(
        self, item: T, *, if_absent: bool = False, condition: Condition | None = None, if_version: int | None = None
    ) -> T:
        """Create or replace; returns the item as stored. `if_absent` and conditions raise ConditionFailed."""
        if if_absent and if_version not in (None, 0):
            raise InvalidValue("if_version", "contradicts if_absent")
        body = self._dump(item)
        write = Put(
            self.definition.name,
            self.team,
            check_key(body.get(self.definition.key), self.definition.key),
            body,
            expires_at=self._expiry(body),
            condition=condition,
            if_version=0 if if_absent else if_version,
        )
        (done,) = await (await self._engine()).commit([write])
        assert done.row is not None
        return self._load(done.row)

    async def update(
        self,
        id: str,
        set: Mapping[str, Any] | None = None,
        *,
        add: Mapping[str, Any] | None = None,
        remove: Sequence[str] = (),
        append: Mapping[str, Sequence[Any]] | None = None,
        condition: Condition | None = None,
        if_version: int | None = None,
    ) -> T:
        """Change attributes; returns the whole new item. Upserts without a condition, as Slack does."""
        definition = self.definition
        changes = self._canonical(set or {})
        for name in (*changes, *(add or {}), *remove, *(append or {})):
            if name == definition.key:
                raise InvalidValue(f"{definition.name}.{name}", "is the key and cannot be changed")
            if name not in definition.attributes:
                raise InvalidValue(f"{definition.name}.{name}", "is not declared")
        definition.check(changes, whole=False)
        write = Update(
            definition.name,
            self.team,
            check_key(id),
            set=changes,
            add=normalise_item(add or {}),
            append=self._canonical(append or {}),
            remove=tuple(remove),
            base={definition.key: id},
            expires_at=self._new_expiry(changes, remove),
            condition=condition,
            if_version=if_version,
        )
        (done,) = await (await self._engine()).commit([write])
        assert done.row is not None
        return self._load(done.row)

    async def delete(self, id: str, *, condition: Condition | None = None, if_version: int | None = None) -> bool:
        """Remove; whether there was something to remove."""
        write = Delete(self.definition.name, self.team, check_key(id), condition=condition, if_version=if_version)
        (done,) = await (await self._engine()).commit([write])
        return done.changed

    async def query(
        self,
        condition: Condition | None = None,
        *,
        prefix: str = "",
        low: str | None = None,
        high: str | None = None,
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[T]:
        """Items in key order: `low <= id < high`, or all that begin with `prefix`. `limit` counts matches."""
        if limit < 1:
            raise InvalidValue("limit", "must be 1 or more")
        if prefix:
            low, high = max(prefix, low or prefix), _after_prefix(prefix)
        query = Query(
            self.definition.name,
            self.team,
            limit,
            low=low,
            high=high,
            after=None if cursor is None else (check_key(cursor, "cursor"),),
            descending=descending,
            condition=condition,
        )
        page = await (await self._engine()).query(query)
        return Page([self._load(row) for row in page.rows], None if page.position is None else str(page.position[0]))

    def _canonical(self, item: Mapping[str, Any]) -> dict[str, Any]:
        return normalise_item(item)

    def _dump(self, item: Any) -> dict[str, Any]:
        model = self.definition.model
        plain = model.dump(item) if model is not None else item
        body = normalise_item(plain)
        self.definition.check(body)
        sealed = self.definition.encrypted & body.keys()
        if sealed:
            raise KeyMissing(self.definition.name, min(sealed))
        return body

    def _load(self, row: Row) -> T:
        model = self.definition.model
        loaded: Any = model.load(row.item) if model is not None else row.item
        return cast("T", loaded)

    def _expiry(self, item: Mapping[str, Any]) -> float | None:
        return (
            None if self.definition.ttl is None or self.definition.ttl not in item else float(item[self.definition.ttl])
        )

    def _new_expiry(self, changes: Mapping[str, Any], remove: Sequence[str]) -> Any:
        if self.definition.ttl in changes:
            return self._expiry(changes)
        return None if self.definition.ttl in remove else "same"


def _after_prefix(prefix: str) -> str | None:
    """The lowest string behind all that begin with `prefix` (order of code points, which is UTF-8's byte order)."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1])
        if code < 0x10FFFF:
            following = 0xE000 if code == 0xD7FF else code + 1  # surrogates are no characters
            return prefix[: end - 1] + chr(following)
    return None
