"""Reading: rows by id, and pages in order.

Rules of this file: reads run in autocommit on a connection of their own, so each sees all that is committed and none
waits for a writer. SQL may find too many rows, never too few: `within` and `evaluate` decide in Python. A page steps
through at most `budget` rows when it runs on the event loop; the caller then repeats it in a thread.

A page continues behind its last row by seeking, never by skipping. SQLite does not seek an index on expressions by
row values, so `(a, b, id) > (?, ?, ?)` becomes one statement a leading column: a = ? AND b = ? AND id > ?, then
a = ? AND b > ?, then a > ?. Numbers beyond 64 bits are bound as JSON text and read by the same function as in the
index, so that both round alike; rows whose numbers round to the same one are ordered by team and id.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from stateroom.engines.decide import check_expired, check_whole, exact, index_key, within
from stateroom.engines.port import Page, Query, Row, TableIndex, log_id
from stateroom.engines.sqlite_tables import Layout, extract, groups
from stateroom.expr.evaluate import evaluate
from stateroom.model.codec import decode, decode_all, encode
from stateroom.model.errors import Unsupported, WrongUse

INLINE_ROWS: Final = 256  # rows stepped through on the loop: about a millisecond of small items
STEP: Final = 256
_INT64: Final = 2**63
_made: Final = tuple.__new__  # a named tuple without the call of its own __new__


class Reader:
    """A connection for reading, and the lock that keeps threads apart on it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.lock = threading.Lock()
        self._connection = connection

    def close(self) -> None:
        with self.lock:
            self._connection.close()

    def get(self, layout: Layout, team: str, ids: Sequence[str], now: float) -> list[Row | None]:
        """Rows by id, None for each that is absent or expired."""
        with self.lock:
            if layout.table.log:
                found = [self._one(layout, (team, *i.partition("/")[::2])) for i in ids]
            elif len(ids) == 1:
                found = [self._one(layout, (team, ids[0]))]
            else:
                found = self._many(layout, team, ids)
        name = layout.table.name
        return [None if r is None or (r[3] is not None and r[3] <= now) else _row(r, name) for r in found]

    def _one(self, layout: Layout, place: tuple[str, ...]) -> Any:
        return self._connection.execute(layout.one, place).fetchone()

    def _many(self, layout: Layout, team: str, ids: Sequence[str]) -> list[Any]:
        by_id: dict[str, Any] = {}
        for start in range(0, len(ids), STEP):
            part = ids[start : start + STEP]
            values = [value for i in part for value in (team, i)]
            for row in self._connection.execute(groups(len(part), 2).join(layout.many), values):
                by_id[row[1]] = row
        return [by_id.get(i) for i in ids]

    def page(self, layout: Layout, query: Query, now: float, budget: int | None) -> Page | None:
        """One page, or None when it would take more than `budget` rows to find it."""
        if query.expired:
            return self._expired(layout, query, now, budget)
        if query.whole:
            return self._whole(layout, query, budget)
        if layout.table.log and query.condition is None and len(query.equals) == 1:
            found = self._entries(layout, query, now)
            if found is not None:
                return found
        if query.index is None and query.condition is None and query.team is not None and not layout.table.log:
            found = self._plain(layout, query, query.team, now, budget)
            if found is not None:
                return found
        plan = plan_of(layout, query)
        name = layout.table.name
        rows: list[Row] = []
        position: tuple[Any, ...] | None = None
        size = query.limit + 1 if budget is None else min(query.limit + 1, budget)
        with self.lock:
            for raw in self._step(plan, None if budget is None else budget + 1, size):
                if raw is None:
                    return None
                if raw[3] is not None and raw[3] <= now:
                    continue
                row = _row(raw, name)
                key = plan.key(row)
                if key is None or (query.condition is not None and not evaluate(query.condition, row.item)):
                    continue
                if len(rows) == query.limit:
                    return Page(rows, position)
                rows.append(row)
                position = key
        return Page(rows, None)

    def _entries(self, layout: Layout, query: Query, now: float) -> Page | None:
        """A page of a stream, which is what a conversation is read by; None when an entry in it has expired."""
        (stream,) = query.equals
        statement, values = layout.entries, [query.team, stream]
        after = None if query.after is None else query.after[0]
        for limit, sign in ((query.low, ">="), (query.high, "<"), (after, "<" if query.descending else ">")):
            if limit is not None:
                statement += f" AND e.number {sign} ?"
                values.append(limit)
        statement += " ORDER BY e.number DESC LIMIT ?" if query.descending else " ORDER BY e.number LIMIT ?"
        with self.lock:
            found = self._connection.execute(statement, (*values, query.limit + 1)).fetchall()
        for raw in found:
            if raw[2] is not None and raw[2] <= now:
                return None
        position = (found[-2][1],) if len(found) > query.limit else None
        items = decode_all([raw[3] for raw in found[: query.limit]], layout.table.name)
        team, prefix = query.team or "", log_id(stream, "")
        rows = [_made(Row, (prefix + raw[0], item, raw[1], raw[2], team)) for raw, item in zip(found, items)]  # noqa: B905
        return Page(rows, position)

    def _plain(self, layout: Layout, query: Query, team: str, now: float, budget: int | None) -> Page | None:
        """A page of all items by id, decoded at once; None when one of them has expired or it is over the budget."""
        if budget is not None and query.limit >= budget:
            return None
        select = f"SELECT id, version, expires, item FROM {layout.sql} WHERE team = ?"
        ((statement, values),) = _ordered(select, [team], [_Column("id")], query)
        with self.lock:
            found = self._connection.execute(f"{statement} LIMIT ?", (*values, query.limit + 1)).fetchall()
        for raw in found:
            if raw[2] is not None and raw[2] <= now:
                return None
        items = decode_all([raw[3] for raw in found[: query.limit]], layout.table.name)
        make = tuple.__new__  # half of what Row(...) costs
        rows = [make(Row, (raw[0], item, raw[1], raw[2], team)) for raw, item in zip(found, items, strict=False)]
        return Page(rows, (rows[-1].id,) if len(found) > query.limit else None)

    def _expired(self, layout: Layout, query: Query, now: float, budget: int | None) -> Page | None:
        """A page of what a sweep removes, earliest first."""
        check_expired("sqlite", layout.table, query)
        statement = layout.expired
        values: list[Any] = [now]
        if query.team is not None:
            statement, values = f"{statement} AND team = ?", [*values, query.team]
        if query.after is not None:
            statement, values = f"{statement} AND ({layout.expired_order}) > (?, ?, ?)", [*values, *query.after]
        plan = Plan([(f"{statement} ORDER BY {layout.expired_order}", values)], query, None, layout.table.log)
        place = (3, 5, 2) if layout.table.log else (3, 0, 1)
        return self._walked(layout, query, plan, place, budget)

    def _whole(self, layout: Layout, query: Query, budget: int | None) -> Page | None:
        """A page of everything that is there, by team and id (stream and number)."""
        check_whole(query)
        names = layout.whole_order
        select, bound, after = f"{layout.whole} WHERE true", list[Any](), query.after
        if query.team is not None:
            select, bound, names = f"{layout.whole} WHERE {names[0]} = ?", [query.team], names[1:]
            after = after and after[1:]
        columns = [_Column(name) for name in names]
        statements = _ordered(select, bound, columns, replace(query, after=None), after=after, bounded=False)
        place = (0, 5, 2) if layout.table.log else (0, 1)
        return self._walked(layout, query, Plan(statements, query, None, layout.table.log), place, budget)

    def _walked(
        self, layout: Layout, query: Query, plan: Plan, place: tuple[int, ...], budget: int | None
    ) -> Page | None:
        """A page of rows dead or alive; their position is in the columns `place`."""
        rows: list[Row] = []
        position: tuple[Any, ...] | None = None
        with self.lock:
            for raw in self._step(plan, None if budget is None else budget + 1, query.limit + 1):
                if raw is None:
                    return None
                row = _row(raw, layout.table.name)
                if query.condition is not None and not evaluate(query.condition, row.item):
                    continue
                if len(rows) == query.limit:
                    return Page(rows, position)
                rows.append(row)
                position = tuple(raw[column] for column in place)
        return Page(rows, None)

    def _step(self, plan: Plan, budget: int | None, size: int) -> Iterator[Any]:
        """Raw rows in order; None in place of the one that is over the budget."""
        left = budget
        for statement, values in plan.statements:
            limit = -1 if left is None else left
            cursor = self._connection.execute(f"{statement} LIMIT ?", (*values, limit))
            try:
                while part := cursor.fetchmany(size):
                    for raw in part:
                        if left is not None:
                            left -= 1
                            if left == 0:
                                yield None
                                return
                        yield raw
            finally:
                cursor.close()


class Plan:
    """The statements that find a query's rows in order, and what a found row's position is (None: it is no match)."""

    __slots__ = ("_index", "_log", "_query", "statements")

    def __init__(
        self, statements: list[tuple[str, list[Any]]], query: Query, index: TableIndex | None, log: bool
    ) -> None:
        self.statements = statements
        self._query = query
        self._index = index
        self._log = log

    def key(self, row: Row) -> tuple[Any, ...] | None:
        if self._index is None:
            return (row.version,) if self._log else (row.id,)
        values = index_key(row.item, self._index.attributes)
        equals = self._query.equals
        width = len(equals)
        if values is None or (equals and exact(values[:width]) != exact(equals)):
            return None
        if width < len(values) and not within(values[width], self._query):
            return None
        return (*values, row.team, row.id)


class _Column(NamedTuple):
    """An ordering column: its SQL, and how a value is bound to it."""

    sql: str
    exact: bool = True


def plan_of(layout: Layout, query: Query) -> Plan:
    """How to find the page; Unsupported for what the table does not declare."""
    table = layout.table
    if table.log:
        if len(query.equals) != 1 or query.index is not None or query.team is None:
            raise WrongUse(f"a query on the log {table.name} names a team and equals=(stream,)")
        bound = [query.team, query.equals[0]]
        return Plan(_ordered(layout.page, bound, [_Column("e.number")], query), query, None, True)
    if query.index is None:
        if query.team is None:
            raise Unsupported("sqlite", "a query without a team on an index that is not declared across teams")
        select = f"SELECT team, id, version, expires, item FROM {layout.sql} WHERE team = ?"
        return Plan(_ordered(select, [query.team], [_Column("id")], query), query, None, False)
    index = _index(layout, query)
    return Plan(_by_index(layout, index, query), query, index, False)


def _index(layout: Layout, query: Query) -> TableIndex:
    for index in layout.table.indexes:
        if index.name == query.index:
            if query.team is None and not index.across_teams:
                raise Unsupported("sqlite", "a query without a team on an index that is not declared across teams")
            if len(query.equals) > len(index.attributes):
                raise WrongUse(f"the index {index.name} has {len(index.attributes)} attributes, equals gives more")
            return index
    raise Unsupported("sqlite", f"order by {query.index}, which is not a declared index of {layout.table.name}")


def _by_index(layout: Layout, index: TableIndex, query: Query) -> list[tuple[str, list[Any]]]:
    values = [extract(a) for a in index.attributes]
    where = [f"{v} IS NOT NULL" for v in values]
    bound: list[Any] = []
    if query.team is not None:
        where.append("team = ?")
        bound.append(query.team)
    for sql, value in zip(values, query.equals, strict=False):
        mark, given = _bound(value)
        where.append(f"{sql} = {mark}")
        bound.append(given)
    columns = [_Column(v, exact=False) for v in values[len(query.equals) :]]
    if index.across_teams:
        columns.append(_Column("team"))
    columns.append(_Column("id"))
    select = (
        f"SELECT team, id, version, expires, item FROM {layout.sql} INDEXED BY {layout.indexes[index.name]} "
        f"WHERE {' AND '.join(where)}"
    )
    after = query.after
    if after is not None:
        width = len(index.attributes)
        rest = after[width:] if index.across_teams else after[width + 1 :]
        after = (*after[len(query.equals) : width], *rest)
    has_range = len(query.equals) < len(index.attributes)
    return _ordered(select, bound, columns, query, after=after, bounded=has_range)


def _ordered(
    select: str,
    bound: list[Any],
    columns: list[_Column],
    query: Query,
    *,
    after: tuple[Any, ...] | None = None,
    bounded: bool = True,
) -> list[tuple[str, list[Any]]]:
    """`select` narrowed to low, high and after, one statement for each column that the order may continue in."""
    direction, beyond = (" DESC", "<") if query.descending else ("", ">")

    def order(first: int) -> str:
        """The columns not fixed by now: SQLite would sort by an expression, though it equals one value."""
        return " ORDER BY " + ", ".join(c.sql + direction for c in columns[first:])

    where, bound = select, list(bound)
    if bounded:
        for limit, sign in ((query.low, ">="), (query.high, "<" if columns[0].exact else "<=")):
            if limit is not None:
                mark, given = _bound(limit)
                where += f" AND {columns[0].sql} {sign} {mark}"
                bound.append(given)
    after = query.after if after is None else after
    if after is None:
        return [(where + order(0), bound)]
    statements = []
    for last in reversed(range(len(columns))):
        clause, values = where, list(bound)
        for place in range(last + 1):
            mark, given = _bound(after[place])
            clause += f" AND {columns[place].sql} {beyond if place == last else '='} {mark}"
            values.append(given)
        statements.append((clause + order(last), values))
    return statements


def _bound(value: Any) -> tuple[str, Any]:
    """The placeholder and the binding of a value, such that SQLite sees what json_extract gives for it."""
    if isinstance(value, bool):
        return "?", int(value)
    if isinstance(value, Decimal) or (isinstance(value, int) and not -_INT64 <= value < _INT64):
        return "json_extract(?, '$')", encode(value).decode()
    return "?", value


def _row(raw: Any, table: str) -> Row:
    return Row(raw[1], decode(raw[4], table), raw[2], raw[3], raw[0])
