"""memory:// : rows in dictionaries, for tests and for trying things out.

Rules of this file: as plain as the port allows, since other engines are compared with it; one commit runs without an
await, so it is atomic among tasks. Nothing survives the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

from stateroom.engines.decide import (
    alive,
    change,
    check_expired,
    check_place,
    check_whole,
    decide,
    exact,
    index_key,
    rank,
    with_changes,
    within,
)
from stateroom.engines.port import (
    CHANGES,
    Append,
    Capabilities,
    Check,
    Page,
    Query,
    Rewrite,
    Row,
    Table,
    TableIndex,
    Truncate,
    Write,
    Written,
    changes_table,
    log_id,
)
from stateroom.engines.tables import FROZEN
from stateroom.expr.evaluate import evaluate
from stateroom.model.codec import decode, encode
from stateroom.model.errors import ConditionFailed, ItemTooLarge, StoreUnavailable, UniqueViolation, Unsupported

ITEM_LIMIT: Final = 16 * 1024 * 1024


@dataclass
class _Stream:
    rows: list[Row] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)


class MemoryEngine:
    """The port over dictionaries."""

    capabilities = Capabilities("memory", durable=False, atomic_rows=None, item_limit=ITEM_LIMIT, freezes=True)

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tables: dict[str, Table] = {}
        self._items: dict[str, dict[tuple[str, str], Row]] = {}
        self._logs: dict[str, dict[tuple[str, str], _Stream]] = {}
        self._open = False
        self._frozen = False

    async def open(self) -> None:
        self._open = True

    async def close(self) -> None:
        self._open = False

    async def freeze(self, *, frozen: bool) -> None:
        """Refuse every write, or take them again (`Freezing`)."""
        self._frozen = frozen

    async def frozen(self) -> bool:
        """Whether writes are refused."""
        return self._frozen

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        self._ready()
        tables = with_changes(tables)
        steps = [f"make table {t.name}" for t in tables if self._tables.get(t.name) != t]
        if not dry_run:
            for table in tables:
                self._tables[table.name] = table
                if table.log:
                    self._logs.setdefault(table.name, {})
                else:
                    self._items.setdefault(table.name, {})
        return steps

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        self._ready()
        now = self._clock()
        if self._table(table).log:
            return [_copied(alive(self._entry(table, team, i), now)) for i in ids]
        return [_copied(alive(self._items[table].get((team, i)), now)) for i in ids]

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        self._ready()
        if self._frozen:
            raise StoreUnavailable("memory", "frozen", FROZEN, retryable=True)
        now = self._clock()
        undo: list[Callable[[], None]] = []
        results: list[Written] = []
        try:
            for index, write in enumerate(writes):
                check_place(write)
                results.append(self._write(write, now, index, undo))
        except BaseException:
            for step in reversed(undo):
                step()
            raise
        return results

    async def query(self, query: Query) -> Page:
        self._ready()
        now = self._clock()
        table = self._table(query.table)
        if query.expired:
            return self._expired(table, query, now)
        if query.whole:
            return self._whole(table, query)
        index = _index(table, query) if query.index else None
        if query.team is None and not (index and index.across_teams):
            raise Unsupported("memory", "a query without a team on an index that is not declared across teams")
        keyed = self._keyed(table, index, query)
        keyed.sort(key=lambda pair: _order(pair[0]), reverse=query.descending)
        rows: list[Row] = []
        position: tuple[Any, ...] | None = None
        for key, row in keyed:
            if alive(row, now) is None or not _behind(key, query):
                continue
            if query.condition is not None and not evaluate(query.condition, row.item):
                continue
            if len(rows) == query.limit:
                return Page(rows, position)
            rows.append(_copy(row))
            position = key
        return Page(rows, None)

    def _expired(self, table: Table, query: Query, now: float) -> Page:
        check_expired("memory", table, query)
        items = self._items.get(table.name, {}).values()
        entries = [row for stream in self._logs.get(table.name, {}).values() for row in stream.rows if row.expires_at]
        keyed = [
            ((row.expires_at, row.team, row.id), row)
            for row in (entries if table.log else items)
            if alive(row, now) is None and query.team in (None, row.team)
        ]
        return self._walked(keyed, query)

    def _whole(self, table: Table, query: Query) -> Page:
        check_whole(query)
        items = self._items.get(table.name, {})
        streams = self._logs.get(table.name, {})
        keyed: list[tuple[tuple[Any, ...], Row]] = [(key, row) for key, row in items.items()]
        keyed += [((*key, row.version), row) for key, stream in streams.items() for row in stream.rows]
        return self._walked([(key, row) for key, row in keyed if query.team in (None, row.team)], query)

    def _walked(self, keyed: list[tuple[tuple[Any, ...], Row]], query: Query) -> Page:
        keyed.sort(key=lambda pair: pair[0])
        found = [(key, row) for key, row in keyed if query.after is None or key > query.after]
        if query.condition is not None:
            found = [(key, row) for key, row in found if evaluate(query.condition, row.item)]
        position = found[query.limit - 1][0] if len(found) > query.limit else None
        return Page([_copy(row) for _, row in found[: query.limit]], position)

    def _ready(self) -> None:
        if not self._open:
            raise StoreUnavailable("memory", "closed", "the store is closed; open it first", retryable=False)

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            raise StoreUnavailable("memory", "missing", f"no table {name}; apply its definition first", retryable=False)
        return self._tables[name]

    def _entry(self, table: str, team: str, row_id: str) -> Row | None:
        stream, _, turn_id = row_id.partition("/")
        kept = self._logs[table].get((team, stream))
        number = kept.numbers.get(turn_id) if kept else None
        return None if kept is None or number is None else kept.rows[number - 1]

    def _keyed(self, table: Table, index: TableIndex | None, query: Query) -> list[tuple[tuple[Any, ...], Row]]:
        if table.log:
            kept = self._logs[table.name].get((query.team or "", query.equals[0]))
            pairs = [((row.version,), row) for row in kept.rows] if kept else []
            return [(k, r) for k, r in pairs if within(k[0], query)]
        found: list[tuple[tuple[Any, ...], Row]] = []
        for (team, row_id), row in self._items[table.name].items():
            if query.team is not None and team != query.team:
                continue
            if index is None:
                if within(row_id, query):
                    found.append(((row_id,), row))
                continue
            values = index_key(row.item, index.attributes)
            width = len(query.equals)
            if values is None or exact(values[:width]) != exact(query.equals):
                continue
            if width == len(values) or within(values[width], query):
                found.append(((*values, team, row_id), row))
        return found

    def _write(self, write: Write, now: float, index: int, undo: list[Callable[[], None]]) -> Written:
        if isinstance(write, (Append, Rewrite, Truncate)):
            return self._log_write(write, now, index, undo)
        self._table(write.table)
        rows = self._items[write.table]
        key = (write.team, write.id)
        before = rows.get(key)
        done = decide(before, write, now, index)
        if not done.changed:
            return Written(_copied(done.row), changed=False)
        if done.row is None:
            rows.pop(key, None)
        else:
            kept = _kept(write.table, done.row)
            self._unique(write.table, kept, now, index)
            rows[key] = kept

        def back() -> None:
            if before is None:
                del rows[key]
            else:
                rows[key] = before

        undo.append(back)
        if self._tables[write.table].changes and not isinstance(write, Check):
            self._log_change(change(before, write, done.row), write, done.row, undo)
        return Written(_copied(done.row), changed=True)

    def _log_change(self, entry: dict[str, Any], write: Write, row: Row | None, undo: list[Callable[[], None]]) -> None:
        stream = self._logs[changes_table(write.table)].setdefault((write.team, CHANGES), _Stream())
        item = entry if row is None else {**entry, "item": row.item}
        name = changes_table(write.table)
        self._append(Append(name, write.team, CHANGES, str(len(stream.rows) + 1), item), stream, undo)

    def _unique(self, table: str, row: Row, now: float, index: int) -> None:
        for unique in (i for i in self._tables[table].indexes if i.unique):
            mine = index_key(row.item, unique.attributes)
            if mine is None:
                continue
            for (team, row_id), other in self._items[table].items():
                if team != row.team or row_id == row.id or alive(other, now) is None:
                    continue
                theirs = index_key(other.item, unique.attributes)
                if theirs is not None and exact(theirs) == exact(mine):
                    place = f"{table}/{row.id}"
                    raise UniqueViolation(place, other.item, unique.attributes, version=other.version, index=index)

    def _log_write(
        self, write: Append | Rewrite | Truncate, now: float, index: int, undo: list[Callable[[], None]]
    ) -> Written:
        self._table(write.table)
        streams = self._logs[write.table]
        key = (write.team, write.stream)
        stream = streams.get(key)
        if isinstance(write, Truncate):
            if stream is not None:
                del streams[key]
                undo.append(lambda: streams.__setitem__(key, stream))
            return Written(None, changed=stream is not None)
        if isinstance(write, Rewrite):
            old = stream.rows[write.number - 1] if stream and 0 < write.number <= len(stream.rows) else None
            moved = old is not None and write.before is not None and old.item != write.before
            if stream is None or old is None or moved or (write.expired and alive(old, now) is not None):
                raise ConditionFailed(f"{write.table}/{write.stream}/{write.number}", None, index=index)
            rows, place = stream.rows, write.number - 1
            expires = old.expires_at if write.expires_at == "same" else write.expires_at
            rows[place] = _kept(write.table, old._replace(item=dict(write.item), expires_at=expires))
            undo.append(lambda: rows.__setitem__(place, old))
            return Written(_copy(rows[place]), changed=True)
        return self._append(write, streams.setdefault(key, _Stream()), undo)

    @staticmethod
    def _append(write: Append, stream: _Stream, undo: list[Callable[[], None]]) -> Written:
        known = stream.numbers.get(write.turn_id)
        if known is not None:
            return Written(_copy(stream.rows[known - 1]), changed=False)
        number = len(stream.rows) + 1
        entry = Row(log_id(write.stream, write.turn_id), dict(write.item), number, write.expires_at, write.team)
        row = _kept(write.table, entry)
        stream.rows.append(row)
        stream.numbers[write.turn_id] = number

        def back() -> None:
            stream.rows.pop()
            del stream.numbers[write.turn_id]

        undo.append(back)
        return Written(_copy(row), changed=True)


def _copy(row: Row) -> Row:
    """A row of the caller's own: what they do to it changes nothing here."""
    return row._replace(item=deepcopy(row.item))


def _copied(row: Row | None) -> Row | None:
    return None if row is None else _copy(row)


def _kept(table: str, row: Row) -> Row:
    """The row to keep, as it would come back from a file; ItemTooLarge."""
    text = encode(row.item)
    if len(text) > ITEM_LIMIT:
        raise ItemTooLarge(table, len(text), ITEM_LIMIT)
    return row._replace(item=decode(text))


def _index(table: Table, query: Query) -> TableIndex:
    for index in table.indexes:
        if index.name == query.index:
            return index
    raise Unsupported("memory", f"order by {query.index}, which is not a declared index of {table.name}")


def _behind(key: tuple[Any, ...], query: Query) -> bool:
    if query.after is None:
        return True
    mine, last = _order(key), _order(query.after)
    return mine < last if query.descending else mine > last


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(rank(value) for value in key)
