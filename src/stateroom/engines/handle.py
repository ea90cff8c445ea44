"""The datastore handle: a definition, one team, and the verbs over the port.

Rules of this file: the verbs and nothing else; what each is made of is in the files handle_*.py. Items go in and come
out as dicts; with a pydantic model behind the definition (model/datastore.py) they come out as that model. Nothing here
knows an engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from stateroom.engines import handle_once, handle_trash, slack_paging
from stateroom.engines.handle_bulk import Bulk, check_count, put_together, write_all
from stateroom.engines.handle_commit import Committer, ItemWrite
from stateroom.engines.handle_cursor import Position, binding, read_cursor, write_cursor
from stateroom.engines.handle_form import Form
from stateroom.engines.handle_guards import Guards
from stateroom.engines.handle_pages import STEP, Equals, Pages, Wanted, query_of
from stateroom.engines.handle_sealing import sealing
from stateroom.engines.handle_surroundings import Surroundings
from stateroom.engines.handle_writes import Asked, Names, Values, Writes
from stateroom.engines.port import (
    CHANGES,
    Delete,
    Engine,
    Put,
    Query,
    Row,
    Table,
    TableIndex,
    Written,
    changes_table,
    with_item,
)
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue, Unsupported
from stateroom.model.ids import check_id, check_key
from stateroom.model.sealing import Keyring

T = TypeVar("T")
Paging = Literal["matches", "slack"]
MOST: Final = 2**31  # rows a page; engines count in 64 bits


class Page(NamedTuple, Generic[T]):
    """Items of one page, and the cursor behind them (None: there is nothing more)."""

    items: list[T]
    cursor: str | None


class Change(NamedTuple, Generic[T]):
    """A committed change: `kind` put, update, delete or expire; the item as it was left (None when it is gone)."""

    number: int
    kind: str
    id: str
    version: int
    item: T | None


class Changes(NamedTuple, Generic[T]):
    """Changes in the order of their commits, and the cursor to go on from, also when there was none yet."""

    items: list[Change[T]]
    cursor: str


def table_of(definition: Definition) -> Table:
    """The table an engine keeps for `definition`."""
    indexes = tuple(
        TableIndex(i.name, i.attributes, i.unique, i.across_teams, True if i.current else UNSET)
        for i in definition.indexes
    )
    return Table(definition.name, definition.log, indexes, expires=definition.ends, changes=definition.changes)


def tables_of(definition: Definition) -> list[Table]:
    """All tables behind `definition`: its own, and the one that keeps what was deleted."""
    trash = handle_trash.trash_of(definition)
    return [table_of(definition), *([] if trash is None else [table_of(trash)])]


class Datastore(Generic[T]):
    """One datastore of one team. `T` is the pydantic class it was opened with, or `dict[str, Any]`.

    Conditions are trees (`sr.attr("status") == "open"`) or Slack's text with `names` and `values`.
    """

    def __init__(
        self,
        engine: Engine,
        definition: Definition,
        team: str,
        *,
        prepare: Callable[[], Awaitable[None]] | None = None,
        around: Surroundings | None = None,
        idempotency_seconds: float = handle_once.WINDOW,
        keyring: Keyring | None = None,
    ) -> None:
        able = engine.capabilities
        if definition.log:
            raise Unsupported(able.name, f"item verbs on the log {definition.name}")
        if definition.lifecycle is not None and not able.conditions:
            raise Unsupported(able.name, f"the lifecycle of {definition.name}: it needs conditional writes")
        self.definition = definition
        self.team = check_id("team", team)
        engine = self._raw = sealing(engine, keyring, definition)
        self._prepare = prepare
        self._name = definition.name
        self._window = idempotency_seconds
        form: Form[T] = Form(definition)
        guards = Guards(form)
        self._form = form
        self._load = form.load
        self._writes = Writes(form, guards, team, guarded=able.conditions)
        self._committer = Committer(engine, form, guards, team, around or Surroundings())
        self._pages = Pages(form)

    async def _ready(self) -> None:
        """Make the table exist, once."""
        if self._prepare is not None:
            await self._prepare()
            self._prepare = None

    # One item.

    async def get(self, id: str) -> T | None:
        """The item, or None."""
        if self._prepare is not None:
            await self._ready()
        row = (await self._raw.get(self._name, self.team, (check_key(id),)))[0]
        return None if row is None else self._load(row.item)

    async def version(self, id: str) -> int:
        """The item's version for `if_version`; 0 when it does not exist."""
        await self._ready()
        row = await self._committer.read(check_key(id))
        return 0 if row is None else row.version

    async def put(
        self,
        item: T,
        *,
        if_absent: bool = False,
        condition: Asked = None,
        names: Names = None,
        values: Values = None,
        if_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> T:
        """Create or replace; returns the item as stored. `if_absent` and conditions raise ConditionFailed.

        Replacing drops what newer code has added to the item; `update` and `modify` keep it.
        """
        if self._prepare is not None:
            await self._ready()
        asked = None if condition is None and not names else self._writes.condition(condition, names, values)
        write = self._writes.put(item, if_absent=if_absent, condition=asked, if_version=if_version)
        if idempotency_key is not None:
            return self._load((await handle_once.once(self._committer, idempotency_key, write, self._window)).item)
        return self._form.load_written(write, (await self._committer.commit(write)).row)

    async def update(
        self,
        id: str,
        set: Mapping[str, Any] | None = None,
        *,
        add: Mapping[str, Any] | None = None,
        remove: Sequence[str] = (),
        append: Mapping[str, Sequence[Any]] | None = None,
        condition: Asked = None,
        names: Names = None,
        values: Values = None,
        if_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> T:
        """Change attributes; returns the whole new item. Upserts without a condition, as Slack does.

        Atomic: `add` to numbers, `append` to arrays, `remove` attributes. To `set` a lifecycle's attribute is a
        transition (IllegalTransition). With an `idempotency_key` a repetition (within 24 h) changes nothing and returns
        the first result; another call with the same key is IdempotencyMismatch.
        """
        if self._prepare is not None:
            await self._ready()
        asked = None if condition is None and not names else self._writes.condition(condition, names, values)
        write = self._writes.update(
            id, set, add=add, remove=remove, append=append, condition=asked, if_version=if_version
        )
        if idempotency_key is not None:
            return self._load((await handle_once.once(self._committer, idempotency_key, write, self._window)).item)
        return self._form.load_written(write, (await self._committer.commit(write)).row)

    async def delete(
        self,
        id: str,
        *,
        condition: Asked = None,
        names: Names = None,
        values: Values = None,
        if_version: int | None = None,
        forever: bool = False,
    ) -> bool:
        """Remove; whether there was something to remove.

        Where the definition says `keep_deleted`, `restore` brings it back for that long, unless it went `forever`.
        """
        await self._ready()
        asked = self._writes.condition(condition, names, values)
        write = self._writes.delete(id, condition=asked, if_version=if_version)
        if self.definition.keep_deleted is None:
            return (await self._committer.commit(write)).changed
        if forever:
            return await handle_trash.erase(self._committer, write)
        return (await handle_trash.discard(self._committer, write)).changed

    async def restore(self, id: str) -> T | None:
        """Bring back the item that was deleted last; None when none is kept, ConditionFailed when there is one now."""
        await self._ready()
        if self.definition.keep_deleted is None:
            raise Unsupported(self._name, "restore: its definition does not say keep_deleted")
        row = await handle_trash.restore(self._committer, check_key(id))
        return None if row is None else self._load(row.item)

    async def modify(self, id: str, function: Callable[[T | None], T]) -> T:
        """Read the item (None: there is none), let `function` make the new one, write it if nobody else has by then.

        `function` is called anew after each conflict, so it does nothing but compute; what it raises ends the call.
        Returns what was stored. TransactionConflict (retryable) after 60 tries, which are jittered and take seconds.
        """
        await self._ready()

        def choose(current: Row | None) -> Put:
            made = function(None if current is None else self._load(current.item))
            if made is None:
                raise InvalidValue("function", "returned None; return the item, unchanged if it is to stay as it is")
            write = self._writes.put(made, if_version=0 if current is None else current.version)
            if write.id != id:
                raise InvalidValue(f"{self._name}.{self.definition.key}", "is the key and cannot be changed")
            if current is not None:
                write = with_item(write, {**write.item, **self._form.hidden(current.item)})
            return write

        row = (await self._committer.decided(check_key(id), choose)).row
        assert row is not None
        return self._load(row.item)

    # Many items.

    async def bulk_get(self, ids: Sequence[str]) -> list[T | None]:
        """Items in the order asked, None for each that does not exist."""
        await self._ready()
        check_count("ids", ids, self._form.bulk_limit)
        rows = await self._raw.get(self._name, self.team, [check_key(id) for id in ids])
        return [None if row is None else self._load(row.item) for row in rows]

    async def bulk_put(self, items: Sequence[T]) -> Bulk[T]:
        """Create or replace many; not a transaction: the result says which failed, `.check()` raises if one did.

        Of several items with one id the last is stored. An error of the store raises; the call may be repeated.
        """
        await self._ready()
        check_count("items", items, self._form.bulk_limit)
        puts = await put_together(self._raw, items, self._writes.puts)
        if puts is not None:
            return Bulk(self._name, len(items), self._form.load_put(list(puts.items)))
        done, failed = await write_all(self._committer, items, self._writes.put)
        stored = self.definition.load_all([row.item for one in done.values() if (row := one.row) is not None])
        return Bulk(self._name, len(items), stored, failed)

    async def bulk_delete(self, ids: Sequence[str]) -> Bulk[str]:
        """Remove many; `.items` are the ids that were there. Not a transaction, like `bulk_put`."""
        await self._ready()
        check_count("ids", ids, self._form.bulk_limit)
        keeps = self.definition.keep_deleted is not None
        done, failed = await write_all(self._committer, ids, self._writes.delete, self._discard if keeps else None)
        gone = dict.fromkeys(ids[position] for position, one in done.items() if one.changed)
        return Bulk(self._name, len(ids), list(gone), failed)

    # Pages.

    async def query(
        self,
        condition: Asked = None,
        *,
        names: Names = None,
        values: Values = None,
        order: str | None = None,
        equals: Equals | None = None,
        low: Any = None,
        high: Any = None,
        prefix: str | None = None,
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        paging: Paging = "matches",
    ) -> Page[T]:
        """One page of the items that fulfil `condition`, in key order or by a declared index.

        `order` names an index or its attribute that follows those which `equals` or the condition fix; items that lack
        one of the index's attributes are not in that order. `low <= x < high` and `prefix` bound the key, or the
        attribute that is ordered by. `limit` counts matches; with `paging="slack"` it counts what was looked at, at
        most 1000 and 1 MB a page, so a page may be empty and still have a cursor.
        """
        if type(limit) is not int or limit < 1 or (paging == "slack" and limit > slack_paging.LIMIT):
            raise InvalidValue("limit", "must be a whole number, 1 or more, and at most 1000 with Slack's paging")
        if paging not in ("matches", "slack"):
            raise InvalidValue("paging", 'is "matches" or "slack"')
        asked = self._writes.condition(condition, names, values)
        query = self._query(limit, Wanted(asked, order, equals, low, high, prefix, descending))
        bound = binding(query, paging)
        after = read_cursor(bound, cursor)
        await self._ready()
        read = self._pages.slack_page if paging == "slack" else self._pages.page
        rows, position = await read(self._raw, query if after is None else replace(query, after=after))
        return Page(self.definition.load_all([row.item for row in rows]), write_cursor(bound, position))

    async def scan(
        self,
        condition: Asked = None,
        *,
        names: Names = None,
        values: Values = None,
        order: str | None = None,
        equals: Equals | None = None,
        low: Any = None,
        high: Any = None,
        prefix: str | None = None,
        descending: bool = False,
    ) -> AsyncIterator[T]:
        """All items that `query` would give, one after another, in constant memory.

        No snapshot: an item that is changed meanwhile is met as it was or as it is, and never twice in key order.
        """
        asked = self._writes.condition(condition, names, values)
        query = self._query(STEP, Wanted(asked, order, equals, low, high, prefix, descending))
        await self._ready()
        while True:
            rows, position = await self._pages.page(self._raw, query)
            for row in rows:
                yield self._load(row.item)
            if position is None:
                return
            query = replace(query, after=position)

    async def count(
        self,
        condition: Asked = None,
        *,
        names: Names = None,
        values: Values = None,
        order: str | None = None,
        equals: Equals | None = None,
        low: Any = None,
        high: Any = None,
        prefix: str | None = None,
    ) -> int:
        """How many items `query` would give."""
        asked = self._writes.condition(condition, names, values)
        query = self._query(STEP, Wanted(asked, order, equals, low, high, prefix))
        await self._ready()
        return await self._pages.count(self._raw, query)

    async def changes(self, after: str | None = None, *, limit: int = 100) -> Changes[T]:
        """Committed changes of this datastore, in order, from the first one or behind the cursor `after`.

        The cursor is never None: keep it, and ask again later. Unsupported where the definition does not say `changes`.
        """
        if type(limit) is not int or limit < 1:
            raise InvalidValue("limit", "must be a whole number, 1 or more")
        if not self.definition.changes or not self._raw.capabilities.changes:
            raise Unsupported(self._raw.capabilities.name, f"changes of {self._name}, which are not kept")
        query = Query(changes_table(self._name), self.team, min(limit, MOST), equals=(CHANGES,))
        bound = binding(query)
        position = read_cursor(bound, after)
        await self._ready()
        page = await self._raw.query(replace(query, after=position))
        found = [self._change(row) for row in page.rows]
        last: Position = (found[-1].number,) if found else position or (0,)
        return Changes(found, write_cursor(bound, last) or "")

    # What the verbs share.

    def _query(self, limit: int, wanted: Wanted) -> Query:
        return query_of(self._raw, self.definition, self.team, min(limit, MOST), wanted)

    def _change(self, row: Row) -> Change[T]:
        entry = row.item
        item = entry.get("item")
        left = None if item is None else self._load(item)
        return Change(row.version, entry["kind"], entry["id"], entry["version"], left)

    async def _discard(self, write: ItemWrite) -> Written:
        assert isinstance(write, Delete)
        return await handle_trash.discard(self._committer, write)
