"""Pages: which rows of DynamoDB's a query reads, and the page that they make.

Rules of this file: rows of a table, of a stream and by a current index are read as they are now (ConsistentRead); any
other index is a GSI, which DynamoDB brings up to date after the write, usually within a second. A filter may let too
much through: expiry, `evaluate` and the exact values decide on each row here (invariant 4).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import check_expired, check_whole, exact, index_key, within
from stateroom.engines.dynamodb_conditions import Terms, hint
from stateroom.engines.dynamodb_line import rest
from stateroom.engines.dynamodb_tables import LAST, Key, Layout, Stream, entry_sort, head_of, index_name, key_of, named
from stateroom.engines.dynamodb_values import Attributes, place, places
from stateroom.engines.port import Page, Query, Row, TableIndex
from stateroom.expr.compiled import compile
from stateroom.model.codec import normalise
from stateroom.model.errors import Unsupported, WrongUse

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
NAME: Final = "dynamodb"
UNIT: Final = 100  # rows of a transaction, and of a BatchGetItem
PART: Final = 256  # rows looked at in one request at least, when some may be passed over


class Source(NamedTuple):
    """Who is asked, and of which table."""

    ask: Ask
    table: str
    note: Callable[[Key, Attributes | None], None] = lambda key, row: None  # of a row that was read as it is


def few(count: int) -> bool:
    """Whether rows are read to be worked on, rather than to be listed."""
    return count <= 4


class Range(NamedTuple):
    """Rows of one partition in the order of their sort key: `low <= key <= high`, behind `start`."""

    part: str
    low: str | None = None
    high: str | None = None
    start: dict[str, Any] | None = None
    slot: int | None = None
    descending: bool = False


async def page_of(source: Source, layout: Layout, query: Query, now: float) -> Page:
    """The page. Unsupported, WrongUse."""
    if query.expired:
        check_expired(NAME, layout.table, query)
        return await _gather(_expired(source, layout, query, now), query)
    if query.whole:
        check_whole(query)
        return await _gather(_whole(source, layout, query, now), query)
    if layout.log:
        return await _gather(_log(source, layout, query, now), query)
    index = _index(layout, query) if query.index else None
    if query.team is None and not (index and index.across_teams):
        raise Unsupported(NAME, "a query without a team on an index that is not declared across teams")
    if index is None:
        return await _gather(_by_key(source, layout, query, now), query)
    by = _by_pointer if index.current is True else _by_index
    return await _gather(by(source, layout, query, index, now), query)


Found = tuple[tuple[Any, ...], Row]  # a position and the row there


async def _gather(found: AsyncIterator[Found], query: Query) -> Page:
    test = None if query.condition is None else compile(query.condition)
    rows: list[Row] = []
    position: tuple[Any, ...] | None = None
    async for where, row in found:
        if test is not None and not test(row.item):
            continue
        if len(rows) == query.limit:
            return Page(rows, position)
        rows.append(row)
        position = where
    return Page(rows, None)


def _hidden(row: Row, now: float) -> bool:
    return row.expires_at is not None and row.expires_at <= now


async def _by_key(source: Source, layout: Layout, query: Query, now: float) -> AsyncIterator[Found]:
    team = query.team or ""
    start = None if query.after is None else named(layout.key(team, query.after[0]))
    wanted = Range(layout.part(team), query.low, query.high, start, descending=query.descending)
    async for raw in walk(source, wanted, query, now):
        row = layout.row(raw)
        if not _hidden(row, now) and within(row.id, query):
            yield (row.id,), row


async def _log(source: Source, layout: Layout, query: Query, now: float) -> AsyncIterator[Found]:
    if query.team is None or len(query.equals) != 1:
        raise WrongUse("a page of a log is of one team's stream: give team and equals=(stream,)")
    stream = query.equals[0]
    head = await _head(source, layout, query.team, stream)
    if head is None:
        return
    part = layout.entries(query.team, stream, head.generation)
    low = entry_sort(0 if query.low is None else max(0, query.low))
    high = entry_sort(10**12 - 1 if query.high is None else max(0, query.high))
    start = None if query.after is None else named((part, entry_sort(query.after[0])))
    async for raw in walk(source, Range(part, low, high, start, descending=query.descending), query, now):
        row = layout.row(raw)
        if not _hidden(row, now) and within(row.version, query):
            yield (row.version,), row


async def _head(source: Source, layout: Layout, team: str, stream: str) -> Stream | None:
    key = layout.key(team, stream)
    found = await source.ask("GetItem", {"TableName": source.table, "Key": named(key), "ConsistentRead": True})
    return head_of(found.get("Item"))


async def _by_index(
    source: Source, layout: Layout, query: Query, index: TableIndex, now: float
) -> AsyncIterator[Found]:
    slot, part, (low, high) = layout.slots[index.name], layout.index_part(index, query.team), _bounds(query)
    start = None
    if query.after is not None:
        *values, team, row_id = query.after
        sort = layout.index_sort(index, values, team, row_id)
        start = named(layout.key(team, row_id)) | {f"p{slot}": {"S": part}, f"s{slot}": {"S": sort}}
    async for raw in walk(source, Range(part, low, high, start, slot, query.descending), query, now):
        row = layout.row(raw)
        where = _fits(index, row, query, now)
        if where is not None:
            yield where, row


async def _by_pointer(
    source: Source, layout: Layout, query: Query, index: TableIndex, now: float
) -> AsyncIterator[Found]:
    """By a current index: its pointers, then the rows they lead to, both as they are now. A pointer whose row is gone,
    or is elsewhere in the index by now, leads nowhere."""
    part, (low, high), start = layout.pointed(index, query.team), _bounds(query), None
    if query.after is not None:
        *values, team, row_id = query.after
        start = named((part, layout.pointed_sort(index, values, team, row_id)))
    wanted = Range(part, low, high, start, descending=query.descending)
    most = min(UNIT, query.limit + 1 if query.condition is None else PART)
    pointers = walk(source, wanted, Query(query.table, query.team, most - 1))
    async for some in _chunks(pointers, most):
        keys = [layout.key(one["t"]["S"], one["id"]["S"]) for one in some]
        found = await read_rows(source.ask, source.table, keys)
        for pointer, key in zip(some, keys, strict=True):
            raw = found[key]
            if few(query.limit):
                source.note(key, raw)
            row = None if raw is None else layout.row(raw)
            where = None if row is None else _fits(index, row, query, now)
            if row is not None and where is not None and layout.pointer(index, row) == key_of(pointer):
                yield where, row


def _bounds(query: Query) -> tuple[str | None, str]:
    """From where to where the sort keys of an index may be."""
    prefix = places(query.equals)
    low = prefix if query.low is None else prefix + place(query.low)
    return low or None, prefix + (LAST if query.high is None else place(query.high))  # what is there goes on behind it


def _fits(index: TableIndex, row: Row, query: Query, now: float) -> tuple[Any, ...] | None:
    """The row's position in an index, None when it is not what is asked for."""
    values, width = index_key(row.item, index.attributes), len(query.equals)
    if values is None or _hidden(row, now) or query.team not in (None, row.team):
        return None
    if exact(values[:width]) != exact(query.equals) or not (width == len(values) or within(values[width], query)):
        return None
    return (*values, row.team, row.id)


async def _chunks(rows: AsyncIterator[Attributes], most: int) -> AsyncIterator[list[Attributes]]:
    some: list[Attributes] = []
    async for row in rows:
        some.append(row)
        if len(some) == most:
            yield some
            some = []
    if some:
        yield some


def _index(layout: Layout, query: Query) -> TableIndex:
    for index in layout.table.indexes:
        if index.name == query.index:
            return index
    raise Unsupported(NAME, f"order by {query.index}, which is not a declared index of {layout.table.name}")


async def _expired(source: Source, layout: Layout, query: Query, now: float) -> AsyncIterator[Found]:
    part, start = layout.expiry_part(), None
    if query.after is not None:
        expires, *key = query.after
        sort = layout.expiry_sort((key[0], key[1]), expires)
        start = named((key[0], key[1])) | {"p0": {"S": part}, "s0": {"S": sort}}
    high = place(normalise(now)) + LAST
    async for raw in walk(source, Range(part, None, high, start, 0), query):
        row = layout.row(raw)
        if query.team in (None, row.team) and _hidden(row, now):
            yield (row.expires_at, raw["pk"]["S"], raw["sk"]["S"]), row


async def _whole(source: Source, layout: Layout, query: Query, now: float) -> AsyncIterator[Found]:
    after = query.after
    async for team in teams_of(source, layout, query):
        behind = None if after is None or after[0] != team else after[1:]
        if layout.log:
            async for found in _streams(source, layout, query, team, behind):
                yield found
            continue
        start = None if behind is None else named(layout.key(team, behind[0]))
        async for raw in walk(source, Range(layout.part(team), start=start), query):
            row = layout.row(raw)
            yield (row.team, row.id), row


async def _streams(
    source: Source, layout: Layout, query: Query, team: str, behind: tuple[Any, ...] | None
) -> AsyncIterator[Found]:
    """Entry by entry, stream by stream; the stream that the last page ended in is looked into again."""
    low = None if behind is None else behind[0]
    async for raw in walk(source, Range(layout.part(team), low)):
        head, stream = head_of(raw), raw["sk"]["S"]
        if head is None or not head.last:
            continue
        part = layout.entries(team, stream, head.generation)
        number = behind[1] if behind is not None and behind[0] == stream else 0
        wanted = Range(part, entry_sort(number + 1), entry_sort(10**12 - 1))
        async for found in walk(source, wanted, query):
            row = layout.row(found)
            yield (team, stream, row.version), row


async def teams_of(source: Source, layout: Layout, query: Query | None = None) -> AsyncIterator[str]:
    """The teams that have had rows, in order; those of a walk that are still to come."""
    if query is not None and query.team is not None:
        yield query.team
        return
    low = None if query is None or query.after is None else f"t{query.after[0]}"
    async for raw in walk(source, Range(layout.teams(), low)):
        yield raw["sk"]["S"][1:]


async def walk(
    source: Source, wanted: Range, query: Query | None = None, now: float | None = None
) -> AsyncIterator[Attributes]:
    """The rows of a range, request by request; `now` leaves out those past their expiry, `query` others that do not
    fit its condition, as far as DynamoDB can tell."""
    body = _request(source.table, wanted, query, now)
    if body is None:
        return
    while True:
        answer = await source.ask("Query", body)
        for row in answer["Items"]:
            yield row
        behind = answer.get("LastEvaluatedKey")
        if behind is None:
            return
        body["ExclusiveStartKey"] = behind
        if "Limit" in body:
            body["Limit"] = max(body["Limit"], PART)


def _request(table: str, wanted: Range, query: Query | None, now: float | None) -> dict[str, Any] | None:
    terms, letters = Terms(), ("pk", "sk") if wanted.slot is None else (f"p{wanted.slot}", f"s{wanted.slot}")
    key = f"{terms.name(letters[0])} = {terms.raw({'S': wanted.part})}"
    if wanted.low is not None and wanted.high is not None:
        if wanted.low > wanted.high:
            return None
        key += (
            f" AND {terms.name(letters[1])} BETWEEN {terms.raw({'S': wanted.low})} AND {terms.raw({'S': wanted.high})}"
        )
    elif wanted.low is not None:
        key += f" AND {terms.name(letters[1])} >= {terms.raw({'S': wanted.low})}"
    elif wanted.high is not None:
        key += f" AND {terms.name(letters[1])} <= {terms.raw({'S': wanted.high})}"
    body: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": key,
        "ScanIndexForward": not wanted.descending,
    }
    filters = []
    if now is not None:
        x = terms.name("x")
        filters.append(f"(attribute_not_exists({x}) OR {x} > {terms.raw({'N': repr(now)})})")
    if query is not None and query.condition is not None:
        filters.append(hint(query.condition, terms))
    text = " AND ".join([one for one in filters if one])
    if text:
        body["FilterExpression"] = text
    if wanted.slot is None:
        body["ConsistentRead"] = True
    else:
        body["IndexName"] = index_name(wanted.slot)
    if wanted.start is not None:
        body["ExclusiveStartKey"] = wanted.start
    if query is not None:
        body["Limit"] = query.limit + 1 if query.condition is None else max(PART, query.limit + 1)
    return body | terms.asked()


async def read_rows(ask: Ask, table: str, keys: Sequence[Key]) -> dict[Key, Attributes | None]:
    """Rows by key, as they are now; None for those that are not there. What DynamoDB leaves over is asked for again."""
    found: dict[Key, Attributes | None] = dict.fromkeys(keys)
    if len(keys) == 1:
        answer = await ask("GetItem", {"TableName": table, "Key": named(keys[0]), "ConsistentRead": True})
        found[keys[0]] = answer.get("Item")
        return found
    left = [named(key) for key in keys]
    attempt = 0
    while left:
        part, left = left[:UNIT], left[UNIT:]
        request = {"RequestItems": {table: {"Keys": part, "ConsistentRead": True}}}
        answer = await ask("BatchGetItem", request)
        for row in answer.get("Responses", {}).get(table, ()):
            found[key_of(row)] = row
        over = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
        left += over
        if over and len(over) == len(part):  # a page that was full of bytes has made way, and goes on at once
            await rest(attempt, table)
            attempt += 1
        else:
            attempt = 0
    return found
