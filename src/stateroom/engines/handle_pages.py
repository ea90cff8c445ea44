"""Which index serves a query, and how its pages are read.

Rules of this file: the first half is pure. A query that no declared index can order is Unsupported, never sorted here.
Rows of older code are upgraded before a condition is asked of them: the engine lets them through, this file decides.
By an index such rows stand where their stored values put them, until `migrate backfill` rewrites them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from stateroom.engines import slack_paging
from stateroom.engines.decide import after_prefix
from stateroom.engines.handle_cursor import Position
from stateroom.engines.handle_form import Form
from stateroom.engines.port import Engine, Query, Row
from stateroom.expr.compiled import compile
from stateroom.expr.tree import And, Compare, Condition, Literal, Or, Path
from stateroom.model.codec import normalise
from stateroom.model.definition import Definition
from stateroom.model.errors import InvalidValue, Unsupported
from stateroom.model.index import Index
from stateroom.model.profiles import size_of
from stateroom.model.upgrades import VERSION

STEP: Final = 250  # rows a page when all are wanted: with items of 400 KB that is 100 MB

Equals = Mapping[str, Any] | Sequence[Any]


class Wanted(NamedTuple):
    """What a user asks for: see `Datastore.query`."""

    condition: Condition | None
    order: str | None = None
    equals: Equals | None = None
    low: Any = None
    high: Any = None
    prefix: str | None = None
    descending: bool = False


def query_of(engine: Engine, definition: Definition, team: str, limit: int, wanted: Wanted) -> Query:
    """The port's query. Unsupported when no declared index has the order that is asked for."""
    found = _range(engine.capabilities.name, definition, wanted)
    query = Query(definition.name, team, limit, descending=wanted.descending, condition=wanted.condition)
    return replace(query, **found) if found else query


def _range(engine: str, definition: Definition, wanted: Wanted) -> dict[str, Any]:
    """The part of a query that the engine finds by order."""
    by_key = wanted.order == definition.key
    order = None if by_key else wanted.order
    equals = wanted.equals
    if order is None and not equals:
        for name, bound in (("low", wanted.low), ("high", wanted.high)):
            if bound is not None and not isinstance(bound, str):
                raise InvalidValue(name, "bounds the key, which is a string; give order= to bound an index")
        return _bounds(wanted)
    fixed = _fixed(wanted.condition)
    serving = [
        (index, width)
        for index in definition.indexes
        # By an index, items come in the order of their keys only where all its attributes are fixed.
        if (width := _width(index, order, equals, fixed)) is not None and not (by_key and width < len(index.attributes))
    ]
    if serving:
        index, width = _fullest(serving, ordered=order is not None)
        bounds = _bounds(wanted)
        if bounds and width == len(index.attributes):
            raise InvalidValue(next(iter(bounds)), "has nothing to bound: equals fixes the whole index")
        known = _named(index, equals, fixed)
        values = tuple(_scalar(known[name], name) for name in index.attributes[:width])
        return {"index": index.name, "equals": values, **bounds}
    asked = "equals" if wanted.order is None else f"order={wanted.order!r}"
    raise Unsupported(engine, f"{asked}: {definition.name} declares no index that serves it")


def _fullest(serving: Sequence[tuple[Index, int]], *, ordered: bool) -> tuple[Index, int]:
    """Of indexes that give one order, the shortest: an item that lacks one of its attributes is not in an index."""
    first, width = serving[0]
    begin = first.attributes[: width + ordered]
    alike = [one for one in serving if one[1] == width and one[0].attributes[: len(begin)] == begin]
    return min(alike, key=lambda one: len(one[0].attributes))


def _width(index: Index, order: str | None, equals: Equals | None, fixed: Mapping[str, Any]) -> int | None:
    """How many leading attributes of `index` are fixed when it serves the query; None when it does not."""
    given = len(equals) if equals else 0
    if given > len(index.attributes):
        return None
    if isinstance(equals, Mapping) and equals and set(index.attributes[:given]) != set(equals):
        return None
    if order is None:
        return given
    if order == index.name and (order not in index.attributes or index.attributes[0] == order):
        return given
    if order not in index.attributes:
        return None
    place = index.attributes.index(order)
    if given > place or any(name not in fixed for name in index.attributes[given:place]):
        return None
    return place


def _named(index: Index, equals: Equals | None, fixed: Mapping[str, Any]) -> dict[str, Any]:
    if not equals:
        return dict(fixed)
    if isinstance(equals, Mapping):
        return {**fixed, **equals}
    return {**fixed, **dict(zip(index.attributes, equals, strict=False))}


def _fixed(condition: Condition | None) -> dict[str, Any]:
    """Attributes that a condition lets have one value only."""
    parts = condition.parts if isinstance(condition, And) else () if condition is None else (condition,)
    return {
        str(part.left.parts[0]): part.right.value
        for part in parts
        if isinstance(part, Compare)
        and part.op == "="
        and isinstance(part.left, Path)
        and len(part.left.parts) == 1
        and isinstance(part.right, Literal)
        and isinstance(part.right.value, (str, int, Decimal))
    }


def _bounds(wanted: Wanted) -> dict[str, Any]:
    """`low` and `high` as far as they are given, narrowed to `prefix`."""
    low = None if wanted.low is None else _scalar(wanted.low, "low")
    high = None if wanted.high is None else _scalar(wanted.high, "high")
    if wanted.prefix:
        if not all(isinstance(one, str) for one in (wanted.prefix, low or "", high or "")):
            raise InvalidValue("prefix", "is a text, and goes with texts as low and high")
        behind = after_prefix(normalise(wanted.prefix, "prefix"))
        low = wanted.prefix if low is None else max(wanted.prefix, low)
        high = behind if high is None else high if behind is None else min(behind, high)
    return {name: bound for name, bound in (("low", low), ("high", high)) if bound is not None}


def _scalar(value: Any, name: str) -> Any:
    """A value that has a place in an index."""
    found = normalise(value, name)
    if found is None or isinstance(found, (list, dict)):
        raise InvalidValue(name, "is looked up in an order, which holds texts, numbers and booleans")
    return found


class Pages:
    """Reads the pages of one datastore."""

    def __init__(self, form: Form[Any]) -> None:
        self._form = form
        self._old = form.version > 1  # rows of older code may be there

    async def page(self, engine: Engine, query: Query) -> tuple[list[Row], Position | None]:
        """Up to `query.limit` matches in this code's shape, and where to go on."""
        if not self._old or query.condition is None:
            page = await engine.query(query)
            return page.rows, page.position
        found: list[Row] = []
        wider = replace(query, condition=Or((query.condition, _not_current(self._form.version))))
        matches = compile(query.condition)
        while True:
            page = await engine.query(wider)
            for row in page.rows:
                current = self._form.upgraded(row)
                if current is row or matches(current.item):
                    found.append(current)
            if page.position is None or len(found) == query.limit:
                return found, page.position
            wider = replace(wider, limit=query.limit - len(found), after=page.position)

    async def slack_page(self, engine: Engine, query: Query) -> tuple[list[Row], Position | None]:
        """The same as Slack pages: `query.limit` counts what is looked at, and a page ends after 1 MB."""
        form = self._form
        matches = _always if query.condition is None else compile(query.condition)
        page = await slack_paging.page(
            engine,
            replace(query, condition=None),
            lambda row: matches(form.upgraded(row).item),
            lambda item: size_of(form.shown(item)),
            self._place(query.index),
        )
        return page.rows, page.position

    def _place(self, index: str | None) -> Callable[[Row], Position]:
        """Where a row is in the order of an index, by what is stored; in key order without one."""
        for known in self._form.definition.indexes:
            if known.name == index:
                return lambda row: (*(row.item[name] for name in known.attributes), row.team, row.id)
        return slack_paging.by_id

    async def count(self, engine: Engine, query: Query) -> int:
        """How many match, in constant memory."""
        total, after = 0, query.after
        while True:
            rows, after = await self.page(engine, replace(query, limit=STEP, after=after))
            total += len(rows)
            if after is None:
                return total


def _not_current(version: int) -> Condition:
    return Compare(Path((VERSION,)), "<>", Literal(version))


def _always(_: Mapping[str, Any]) -> bool:
    return True
