"""Appends, stream by stream: those that wait for one stream go together, and whoever was last knows where it ends.

Rules of this file: an append that knows the end is one request: the head moves on from where it was believed to be,
the entry is put, and so is its turn, if that is absent. Each stream has one request under way; others gather behind it,
so tasks of one process never race each other. Processes do: who comes late reads the head and tries again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import uuid4
from weakref import WeakValueDictionary

from stateroom.engines.decide import next_version
from stateroom.engines.dynamodb_errors import Refused
from stateroom.engines.dynamodb_line import pause
from stateroom.engines.dynamodb_read import Source
from stateroom.engines.dynamodb_tables import Key, Layout, Stream, entry_sort, head_of, head_row, named, turn_sort
from stateroom.engines.dynamodb_values import Attributes
from stateroom.engines.port import Append, Row, Written, log_id
from stateroom.model.errors import StateroomError, StoreUnavailable

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
Waiting = tuple[Append, "asyncio.Future[Written]"]

GROUP: Final = 40  # appends a request: two rows each and the head, of the hundred that it may have
BYTES: Final = 3_000_000  # of a request; DynamoDB takes four million
KNOWN: Final = 10_000  # streams whose end is remembered
ATTEMPTS: Final = 40


class Streams:
    """The appends of one loop, and the ends of streams that it has seen."""

    def __init__(self, ask: Ask, table: str, place: str, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._table = table
        self._place = place
        self._clock = clock
        self._ends: OrderedDict[Key, Stream] = OrderedDict()
        self._waiting: dict[Key, list[Waiting]] = {}
        self._going: dict[Key, asyncio.Task[None]] = {}
        self._turns: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def join(self, layout: Layout, write: Append) -> Written:
        """The result of an append."""
        key = layout.key(write.team, write.stream)
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append((write, future))
        if key not in self._going:
            self._going[key] = asyncio.ensure_future(self._work(layout, key))
        return await future

    @asynccontextmanager
    async def turn(self, keys: Iterable[Key]) -> AsyncIterator[None]:
        """Batches that number themselves by the same streams go one after another: they could only overtake."""
        async with AsyncExitStack() as stack:
            for key in sorted(keys):
                await stack.enter_async_context(self._turns.setdefault(key, asyncio.Lock()))
            yield

    def believed(self, keys: Iterable[Key]) -> dict[Key, Attributes]:
        """The heads of streams whose end is known."""
        return {key: head_row(key, stream) for key in keys if (stream := self._ends.get(key)) is not None}

    def end(self, key: Key, stream: Stream | None) -> None:
        """Where a stream ends now; None: that is not known."""
        self._ends.pop(key, None)
        if stream is not None:
            self._ends[key] = stream
            while len(self._ends) > KNOWN:
                self._ends.popitem(last=False)

    async def close(self) -> None:
        """Until all that was asked for is done."""
        while self._going:
            await asyncio.gather(*self._going.values(), return_exceptions=True)

    async def head(self, key: Key) -> Stream | None:
        """The head of a stream as it is."""
        found = await self._ask("GetItem", {"TableName": self._table, "Key": named(key), "ConsistentRead": True})
        return head_of(found.get("Item"))

    async def _work(self, layout: Layout, key: Key) -> None:
        while waiting := self._waiting.pop(key, None):
            group, rest = _first([one for one in waiting if not one[1].done()])
            if rest:
                self._waiting[key] = rest
            if not group:
                continue
            try:
                await self._group(layout, key, group)
            except StateroomError as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
            finally:
                for _, future in group:
                    future.cancel()  # nobody is left waiting, whatever happened
        del self._going[key]

    async def _group(self, layout: Layout, key: Key, group: list[Waiting]) -> None:
        for attempt in range(ATTEMPTS):
            stream = self._ends.get(key) or await self.head(key)
            now = self._clock()
            actions, rows = append_actions(layout, key, stream, [write for write, _ in group], now)
            for action in actions:
                action["Put"]["TableName"] = self._table
            try:
                await self._ask("TransactWriteItems", {"TransactItems": actions, "ClientRequestToken": uuid4().hex})
            except Refused as error:
                self.end(key, None)
                if error.reasons and error.reasons[0].get("Code") in (None, "None"):
                    group = await self._known(layout, key, group, error)
                    if not group:
                        return
                await asyncio.sleep(pause(attempt) if error.met or attempt else 0)
                continue
            except BaseException:
                self.end(key, None)
                raise
            self.end(key, Stream(rows.generation, rows.last, rows.old))
            for (_, future), row in zip(group, rows.rows, strict=True):
                if not future.done():
                    future.set_result(Written(row, changed=True))
            return
        detail = "other writers appended to the stream too many times meanwhile; try again"
        raise StoreUnavailable(self._place, "busy", detail, retryable=True)

    async def _known(self, layout: Layout, key: Key, group: list[Waiting], error: Refused) -> list[Waiting]:
        """Answer those whose turn is known; the others."""
        left: list[Waiting] = []
        for number, one in enumerate(group):
            reason = error.reasons[2 + 2 * number]
            if reason.get("Code") != "ConditionalCheckFailed":
                left.append(one)
                continue
            row = await find_turn(
                Source(self._ask, self._table), layout, one[0].team, log_id(one[0].stream, one[0].turn_id)
            )
            if row is None:
                left.append(one)
            elif not one[1].done():
                one[1].set_result(Written(row, changed=False))
        return left


class _Made:
    def __init__(self, stream: Stream, rows: list[Row]) -> None:
        self.generation, self.last, self.old = stream
        self.rows = rows


def append_actions(
    layout: Layout, key: Key, stream: Stream | None, writes: Sequence[Append], now: float
) -> tuple[list[dict[str, Any]], _Made]:
    """The transaction of appends to one stream that is believed to be so; its rows."""
    begun = stream or Stream(str(next_version(None, now)), 0)
    after = begun._replace(last=begun.last + len(writes))
    actions = [{"Put": {"Item": head_row(key, after), **head_condition(stream)}}]
    rows: list[Row] = []
    for number, write in enumerate(writes, begun.last + 1):
        item = entry_row(layout, write, begun.generation, number)
        part = layout.entries(write.team, write.stream, begun.generation)
        turn = named((part, turn_sort(write.turn_id))) | {"n": {"N": str(number)}}
        absent = {"ConditionExpression": "attribute_not_exists(pk)"}
        actions += [{"Put": {"Item": item}}, {"Put": {"Item": turn, **absent}}]
        rows.append(Row(log_id(write.stream, write.turn_id), {}, number, write.expires_at, write.team))
    return actions, _Made(after, rows)


def head_condition(stream: Stream | None) -> dict[str, Any]:
    """The head is as it was believed to be."""
    if stream is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#g = :g AND #last = :last",
        "ExpressionAttributeNames": {"#g": "g", "#last": "last"},
        "ExpressionAttributeValues": {":g": {"S": stream.generation}, ":last": {"N": str(stream.last)}},
    }


def entry_row(layout: Layout, write: Append, generation: str, number: int) -> dict[str, Any]:
    """An entry as it is put. ItemTooLarge, InvalidValue."""
    key = (layout.entries(write.team, write.stream, generation), entry_sort(number))
    body = layout.body(key, write.item, write.expires_at)
    return named(key) | body | {"turn": {"S": write.turn_id}, "r": {"N": "1"}}


async def find_turn(source: Source, layout: Layout, team: str, row_id: str) -> Row | None:
    """The entry of a turn, an expired one, too."""
    stream, _, turn_id = row_id.partition("/")

    async def get(key: Key) -> Attributes | None:
        found = await source.ask("GetItem", {"TableName": source.table, "Key": named(key), "ConsistentRead": True})
        item: Attributes | None = found.get("Item")
        return item

    head = head_of(await get(layout.key(team, stream)))
    if head is None:
        return None
    part = layout.entries(team, stream, head.generation)
    turn = await get((part, turn_sort(turn_id)))
    entry = None if turn is None else await get((part, entry_sort(int(turn["n"]["N"]))))
    return None if entry is None else layout.row(entry)


def _first(waiting: list[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """What goes together: no turn twice, not more than a request holds; and what waits on, in order."""
    turns: set[str] = set()
    size = 0
    for number, (write, _) in enumerate(waiting):
        size += 2 * sum(len(value) if isinstance(value, str) else 1000 for value in write.item.values())
        if write.turn_id in turns or number == GROUP or (number and size > BYTES):
            return waiting[:number], waiting[number:]
        turns.add(write.turn_id)
    return waiting, []
