"""The statement of a page, and the page that its rows make.

Rules of this file: pure; who holds a connection sends the statements. A page is found by one statement that knows
order, bounds, expiry and condition. `evaluate` decides on each row all the same (invariant 4), unless all that is asked
is that texts which have an index are equal; when it passes over some, the next statement goes on behind the last row
that was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import compress, repeat
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import after_prefix, check_expired, check_whole, exact, index_key
from stateroom.engines.port import Page, Query, Row, TableIndex
from stateroom.engines.postgresql_conditions import FLIPPED, clause_of
from stateroom.engines.postgresql_tables import Layout, number_of, order_of, place_of, text_of
from stateroom.expr.compiled import compile
from stateroom.expr.tree import And, BeginsWith, Between, Compare, Condition, In, Literal, Operand, Path
from stateroom.model.codec import decode, decode_all
from stateroom.model.errors import Unsupported, WrongUse

NAME: Final = "postgresql"
KEY_COLUMNS: Final = "id, version, expires, item::text"  # of a page by key, whose rows are all of one team


_made: Final = tuple.__new__  # a named tuple without the call of its own __new__
_TEXT: Final = "{number} = 'Infinity'::numeric"
_SAME: Final = _TEXT + " AND {text} = %s"


class Read(NamedTuple):
    """A query, ready to be asked part by part: `before` and `values` find its rows, `order` are its columns."""

    layout: Layout
    query: Query
    select: str
    values: list[Any]
    order: list[str]
    by: TableIndex | None
    kind: str  # "key", "index", "log", "expired" or "whole": what a position is made of
    said: bool = False  # the statement finds what the condition asks for and nothing else

    def statement(self, after: Sequence[Any] | None, limit: int) -> tuple[str, list[Any]]:
        """The rows behind the position `after`, `limit` of them."""
        sql, values, query = self.select, list(self.values), self.query
        if after is not None:
            sign = "<" if query.descending else ">"
            marks = ["%s"] * len(self.order)
            if self.by is not None:
                marks[: 2 * len(self.by.attributes) : 2] = ["%s::numeric"] * len(self.by.attributes)
            sql += f" AND ({', '.join(self.order)}) {sign} ({', '.join(marks)})"
            values += self._expanded(after)
        way = " DESC" if query.descending else ""
        sql += f" ORDER BY {', '.join([f'{column}{way}' for column in self.order])} LIMIT %s"
        return sql, [*values, limit]

    def _expanded(self, after: Sequence[Any]) -> list[Any]:
        """A position as the columns of `order` have it."""
        if self.by is None:
            if self.kind == "whole" and self.query.team is not None:
                return list(after[1:])
            return list(after)
        width = len(self.by.attributes)
        values: list[Any] = [each for value in after[:width] for each in place_of(value)]
        return [*values, *(after[width:] if self.query.team is None else after[width + 1 :])]

    def position(self, row: Row, raw: Sequence[Any]) -> tuple[Any, ...]:
        """Where a row stands."""
        if self.kind == "key":
            return (row.id,)
        if self.kind == "log":
            return (row.version,)
        if self.kind == "expired":
            return (row.expires_at, *((raw[5], row.version) if self.layout.log else (row.team, row.id)))
        if self.kind == "whole":
            return (row.team, raw[5], row.version) if self.layout.log else (row.team, row.id)
        assert self.by is not None
        return (*(index_key(row.item, self.by.attributes) or ()), row.team, row.id)

    def fits(self, position: tuple[Any, ...]) -> bool:
        """Whether the row there has the values that were asked for: true and 1 share a place."""
        asked = self.query.equals if self.by is not None else ()
        return exact(position[: len(asked)]) == exact(asked)


def read_of(layout: Layout, query: Query, now: float) -> Read:
    """How the rows of `query` are found. Unsupported, WrongUse."""
    if query.expired:
        return _expired(layout, query, now)
    if query.whole:
        return _whole(layout, query)
    if layout.log:
        return _log(layout, query, now)
    index = _index(layout, query) if query.index else None
    if query.team is None and not (index and index.across_teams):
        raise Unsupported(NAME, "a query without a team on an index that is not declared across teams")
    columns = layout.columns if index else KEY_COLUMNS
    sql = f"SELECT {columns} FROM {layout.sql} WHERE (expires IS NULL OR expires > %s)"
    values: list[Any] = [now]
    if query.team is not None:
        sql, values = f"{sql} AND team = %s", [*values, query.team]
    said = False
    if query.condition is not None:
        sql, values, said = _hinted(layout, sql, values, query.condition)
    if index is None:
        sql, values = _bounded(sql, values, query, "id")
        return Read(layout, query, sql, values, ["id"], None, "key", said)
    sql, values = _indexed(layout, sql, values, query, index)
    order = [*order_of(layout.schema, index), *(["team"] if query.team is None else []), "id"]
    return Read(layout, query, sql, values, order, index, "index", said)


def _log(layout: Layout, query: Query, now: float) -> Read:
    if query.team is None or len(query.equals) != 1:
        raise WrongUse("a page of a log is of one team's stream: give team and equals=(stream,)")
    sql = (
        f"SELECT {layout.columns} FROM {layout.joined} WHERE s.team = %s AND s.stream = %s "
        "AND (e.expires IS NULL OR e.expires > %s)"
    )
    sql, values = _narrowed(sql, [query.team, query.equals[0], now], query, "e.item")
    sql, values = _bounded(sql, values, query, "e.number")
    return Read(layout, query, sql, values, ["e.number"], None, "log")


def _expired(layout: Layout, query: Query, now: float) -> Read:
    check_expired(NAME, layout.table, query)
    if layout.log:
        sql = f"SELECT {layout.columns}, e.stream_no FROM {layout.joined} WHERE e.expires > 0 AND e.expires <= %s"
        order, team = ["e.expires", "e.stream_no", "e.number"], "s.team"
    else:
        sql = f"SELECT {layout.columns} FROM {layout.sql} WHERE expires <= %s"
        order, team = ["expires", "team", "id"], "team"
    values: list[Any] = [now]
    if query.team is not None:
        sql, values = f"{sql} AND {team} = %s", [*values, query.team]
    sql, values = _narrowed(sql, values, query, "e.item" if layout.log else "item")
    return Read(layout, query, sql, values, order, None, "expired")


def _whole(layout: Layout, query: Query) -> Read:
    check_whole(query)
    order = ["s.team", "s.stream", "e.number"] if layout.log else ["team", "id"]
    source = f"{layout.columns}, s.stream FROM {layout.joined}" if layout.log else f"{layout.columns} FROM {layout.sql}"
    sql, values = f"SELECT {source} WHERE true", list[Any]()
    if query.team is not None:
        sql, values, order = f"{sql} AND {order[0]} = %s", [query.team], order[1:]
    sql, values = _narrowed(sql, values, query, "e.item" if layout.log else "item")
    return Read(layout, query, sql, values, order, None, "whole")


def _index(layout: Layout, query: Query) -> TableIndex:
    for index in layout.table.indexes:
        if index.name == query.index:
            return index
    raise Unsupported(NAME, f"order by {query.index}, which is not a declared index of {layout.table.name}")


def _indexed(layout: Layout, sql: str, values: list[Any], query: Query, index: TableIndex) -> tuple[str, list[Any]]:
    for attribute in index.attributes:
        sql += f" AND {number_of(layout.schema, attribute)} IS NOT NULL"
    for attribute, value in zip(index.attributes, query.equals, strict=False):
        sql += f" AND {number_of(layout.schema, attribute)} = %s::numeric AND {text_of(layout.schema, attribute)} = %s"
        values = [*values, *place_of(value)]
    width = len(query.equals)
    if width < len(index.attributes):
        attribute = index.attributes[width]
        both = f"({number_of(layout.schema, attribute)}, {text_of(layout.schema, attribute)})"
        for limit, sign in ((query.low, ">="), (query.high, "<")):
            if limit is not None:
                sql, values = f"{sql} AND {both} {sign} (%s::numeric, %s)", [*values, *place_of(limit)]
    return sql, values


def _bounded(sql: str, values: list[Any], query: Query, column: str) -> tuple[str, list[Any]]:
    for limit, sign in ((query.low, ">="), (query.high, "<")):
        if limit is not None:
            sql, values = f"{sql} AND {column} {sign} %s", [*values, limit]
    return sql, values


def _narrowed(sql: str, values: list[Any], query: Query, item: str) -> tuple[str, list[Any]]:
    if query.condition is None:
        return sql, values
    clause = clause_of(query.condition, item)
    return f"{sql} AND ({clause.sql})", [*values, *clause.values]


def _hinted(layout: Layout, sql: str, values: list[Any], condition: Condition) -> tuple[str, list[Any], bool]:
    """The parts that all must hold, and what the indexes need to see of them. Equal texts need no clause beside it;
    whether there is nothing but those."""
    all_said = True
    for part in _parts(condition):
        said = False
        for attribute, term, given in _hints(part):
            if attribute in layout.indexed:
                number, text = number_of(layout.schema, attribute), text_of(layout.schema, attribute)
                sql, values = f"{sql} AND {term.format(number=number, text=text)}", [*values, *given]
                said = term == _SAME
        if not said:
            clause = clause_of(part)
            sql, values, all_said = f"{sql} AND ({clause.sql})", [*values, *clause.values], False
    return sql, values, all_said


def _parts(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, And):
        for part in condition.parts:
            yield from _parts(part)
    else:
        yield condition


def _hints(part: Condition) -> Iterator[tuple[str, str, list[Any]]]:
    """Of an attribute that a literal is compared with: its name, a term over its two expressions, what is bound."""
    if isinstance(part, Between):
        yield from _hints(Compare(part.operand, ">=", part.low))
        yield from _hints(Compare(part.operand, "<=", part.high))
    elif isinstance(part, BeginsWith):
        name = _attribute(part.operand)
        if name is not None and isinstance(part.prefix, Literal):
            end = after_prefix(part.prefix.value)
            yield name, f"{_TEXT} AND {{text}} >= %s", [part.prefix.value]
            if end is not None:
                yield name, "{text} < %s", [end]
    elif isinstance(part, In):
        name = _attribute(part.operand)
        given = [option.value for option in part.options if isinstance(option, Literal)]
        if name is not None and len(given) == len(part.options) and all(isinstance(value, str) for value in given):
            yield name, f"{_TEXT} AND {{text}} = ANY(%s)", [given]
    elif isinstance(part, Compare) and part.op != "<>":
        left, op, right = part.left, str(part.op), part.right
        if isinstance(left, Literal):
            left, op, right = right, FLIPPED[op], left
        name = _attribute(left)
        if name is not None and isinstance(right, Literal) and isinstance(right.value, (str, bool, int, Decimal)):
            number, text = place_of(right.value)
            if isinstance(right.value, str):
                yield name, f"{_TEXT} AND {{text}} {op} %s", [text]
            else:
                yield name, f"{{number}} {op} %s::numeric AND {{text}} = ''", [number]


def _attribute(operand: Operand) -> str | None:
    """The name of an attribute that stands alone."""
    parts = operand.parts if isinstance(operand, Path) else ()
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else None


class Gathering:
    """The rows of a page as they come, part by part."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.rows: list[Row] = []
        self.position: tuple[Any, ...] | None = None
        self.after: tuple[Any, ...] | None = read.query.after
        self._test = None if read.query.condition is None or read.said else compile(read.query.condition)

    def take(self, part: Sequence[Sequence[Any]], asked: int) -> Page | None:
        """The page, when these rows complete it."""
        limit, name = self.read.query.limit, self.read.layout.table.name
        if self.read.kind == "key":
            return self._by_id(part, asked, limit, name)
        if self.read.kind == "whole" and self._test is None:
            return self._all(part, limit, name)
        for raw in part:
            row = row_of(raw, name)
            place = self.after = self.read.position(row, raw)
            if not self.read.fits(place) or (self._test is not None and not self._test(row.item)):
                continue
            if len(self.rows) == limit:
                return Page(self.rows, self.position)
            self.rows.append(row)
            self.position = place
        if len(part) < asked:
            return Page(self.rows, None)
        return None

    def _by_id(self, part: Sequence[Sequence[Any]], asked: int, limit: int, name: str) -> Page | None:
        """The same of rows whose position is their id, without a step of Python a row but for the condition's."""
        ids, versions, ends, texts = zip(*part, strict=True) if part else ((), (), (), ())
        items = decode_all(texts, name)
        rows = list(map(_made, repeat(Row), zip(ids, items, versions, ends, repeat(self.read.query.team))))
        self.rows += rows if self._test is None else compress(rows, map(self._test, items))
        if len(self.rows) > limit:
            return Page(self.rows[:limit], (self.rows[limit - 1].id,))
        if len(part) < asked:
            return Page(self.rows, None)
        self.after = (rows[-1].id,)
        return None

    def _all(self, part: Sequence[Sequence[Any]], limit: int, name: str) -> Page:
        """The same of a walk that passes over nothing: the first part is the page."""
        items = decode_all([raw[4] for raw in part[:limit]], name)
        rows = [_made(Row, (raw[1], item, raw[2], raw[3], raw[0])) for raw, item in zip(part, items)]  # noqa: B905
        return Page(rows, self.read.position(rows[-1], part[limit - 1]) if len(part) > limit else None)


def row_of(raw: Sequence[Any], table: str) -> Row:
    """A row of `Layout.columns`."""
    return Row(raw[1], decode(raw[4], table), raw[2], raw[3], raw[0])
