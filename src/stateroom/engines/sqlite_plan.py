"""How a page of rows is found: the statements, their order, and where a page continues.

Rules of this file: pure. SQL may find too many rows, never too few: `Plan.key` and the condition decide on the rows.

A page continues behind its last row by seeking, never by skipping. SQLite does not seek an index on expressions by
row values, so `(a, b, id) > (?, ?, ?)` becomes one statement a leading column: a = ? AND b = ? AND id > ?, then
a = ? AND b > ?, then a > ?. Numbers beyond 64 bits are bound as JSON text and read by the same function as in the
index, so that both round alike; rows whose numbers round to the same one are ordered by team and id.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stateroom.engines.decide import exact, index_key, within
from stateroom.engines.port import Query, Row, TableIndex
from stateroom.engines.sqlite_choice import Choice, choose
from stateroom.engines.sqlite_conditions import bound, where
from stateroom.engines.sqlite_tables import Layout, extract
from stateroom.expr.tree import Condition
from stateroom.model.errors import Unsupported, WrongUse

Statement = tuple[str, list[Any]]
COLUMNS: Final = "team, id, version, expires, item"
BY_ID: Final = "id, version, expires, item"
"""What a page in key order selects: its team is known."""


class Plan:
    """The statements that find a query's rows in order, and what a found row's position is (None: it is no match).

    `filtered`: SQLite passes over rows that no budget counts. `shortlist`: the statement that lists the ids of all that
    may match, when an index has them in another order.
    """

    __slots__ = ("_index", "_log", "_query", "filtered", "shortlist", "statements")

    def __init__(
        self,
        statements: list[Statement],
        query: Query,
        index: TableIndex | None,
        log: bool,
        shortlist: Statement | None = None,
    ) -> None:
        self.statements = statements
        self.filtered = query.condition is not None
        self.shortlist = shortlist
        self._query = query
        self._index = index
        self._log = log

    @property
    def by_id(self) -> bool:
        """Whether a row's position is its id alone, known without a look at its item."""
        return self._index is None and not self._log

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


class Column(NamedTuple):
    """An ordering column: its SQL, and how a value is bound to it."""

    sql: str
    exact: bool = True


def plan_of(layout: Layout, query: Query) -> Plan:
    """How to find the page; Unsupported for what the table does not declare."""
    table = layout.table
    if table.log:
        if len(query.equals) != 1 or query.index is not None or query.team is None:
            raise WrongUse(f"a query on the log {table.name} names a team and equals=(stream,)")
        select, values = narrowed(layout.page, [query.team, query.equals[0]], query.condition)
        return Plan(ordered(select, values, [Column("e.number")], query), query, None, True)
    if query.index is None:
        if query.team is None:
            raise Unsupported("sqlite", "a query without a team on an index that is not declared across teams")
        return _by_key(layout, query)
    index = _index(layout, query)
    return Plan(_by_index(layout, index, query), query, index, False)


def narrowed(select: str, values: list[Any], condition: Condition | None) -> Statement:
    """`select`, which ends in a WHERE clause, with the condition in it."""
    if condition is None:
        return select, values
    found = where(condition)
    return f"{select} AND ({found.sql})", values + found.values


def _by_key(layout: Layout, query: Query) -> Plan:
    """Rows in the order of their ids: from an index that has them in this order, or from the table."""
    choice = None if query.condition is None else choose(layout.table, query.condition)
    if choice is not None and choice.in_order:
        select, values = _chosen(layout, choice, query.team, BY_ID)
        for part in choice.rest:
            select, values = narrowed(select, values, part)
        return Plan(ordered(select, values, [Column("id")], query), query, None, False)
    select, values = narrowed(f"SELECT {BY_ID} FROM {layout.sql} WHERE team = ?", [query.team], query.condition)
    statements = ordered(select, values, [Column("id")], query)
    if choice is None:
        return Plan(statements, query, None, False)
    (shortlist,) = ordered(*_chosen(layout, choice, query.team, "id"), [Column("id")], query)
    return Plan(statements, query, None, False, shortlist)


def _chosen(layout: Layout, choice: Choice, team: str | None, columns: str) -> Statement:
    present = [f"{extract(a)} IS NOT NULL" for a in choice.by.attributes]
    clauses = " AND ".join([*present, "team = ?", *choice.sql])
    index = layout.indexes[choice.by.name]
    return f"SELECT {columns} FROM {layout.sql} INDEXED BY {index} WHERE {clauses}", [team, *choice.values]


def _index(layout: Layout, query: Query) -> TableIndex:
    for index in layout.table.indexes:
        if index.name == query.index:
            if query.team is None and not index.across_teams:
                raise Unsupported("sqlite", "a query without a team on an index that is not declared across teams")
            if len(query.equals) > len(index.attributes):
                raise WrongUse(f"the index {index.name} has {len(index.attributes)} attributes, equals gives more")
            return index
    raise Unsupported("sqlite", f"order by {query.index}, which is not a declared index of {layout.table.name}")


def _by_index(layout: Layout, index: TableIndex, query: Query) -> list[Statement]:
    values = [extract(a) for a in index.attributes]
    clauses = [f"{v} IS NOT NULL" for v in values]
    bound_values: list[Any] = []
    if query.team is not None:
        clauses.append("team = ?")
        bound_values.append(query.team)
    for sql, value in zip(values, query.equals, strict=False):
        mark, given = bound(value)
        clauses.append(f"{sql} = {mark}")
        bound_values.append(given)
    columns = [Column(v, exact=False) for v in values[len(query.equals) :]]
    if index.across_teams:
        columns.append(Column("team"))
    columns.append(Column("id"))
    select = f"SELECT {COLUMNS} FROM {layout.sql} INDEXED BY {layout.indexes[index.name]} WHERE {' AND '.join(clauses)}"
    select, bound_values = narrowed(select, bound_values, query.condition)
    after = query.after
    if after is not None:
        width = len(index.attributes)
        rest = after[width:] if index.across_teams else after[width + 1 :]
        after = (*after[len(query.equals) : width], *rest)
    has_range = len(query.equals) < len(index.attributes)
    return ordered(select, bound_values, columns, query, after=after, bounded=has_range)


def ordered(
    select: str,
    given: list[Any],
    columns: list[Column],
    query: Query,
    *,
    after: tuple[Any, ...] | None = None,
    bounded: bool = True,
) -> list[Statement]:
    """`select` narrowed to low, high and after, one statement for each column that the order may continue in."""
    direction, beyond = (" DESC", "<") if query.descending else ("", ">")

    def order(first: int) -> str:
        """The columns not fixed by now: SQLite would sort by an expression, though it equals one value."""
        return " ORDER BY " + ", ".join(c.sql + direction for c in columns[first:])

    narrow, values = select, list(given)
    if bounded:
        for limit, sign in ((query.low, ">="), (query.high, "<" if columns[0].exact else "<=")):
            if limit is not None:
                mark, one = bound(limit)
                narrow += f" AND {columns[0].sql} {sign} {mark}"
                values.append(one)
    after = query.after if after is None else after
    if after is None:
        return [(narrow + order(0), values)]
    statements = []
    for last in reversed(range(len(columns))):
        clause, all_values = narrow, list(values)
        for place in range(last + 1):
            mark, one = bound(after[place])
            clause += f" AND {columns[place].sql} {beyond if place == last else '='} {mark}"
            all_values.append(one)
        statements.append((clause + order(last), all_values))
    return statements
