"""A batch that takes a transaction: its rows are locked and read, `decide` decides, the result is written.

Rules of this file: READ COMMITTED; safety is row locks (taken in one order, so that no two batches wait for each other)
and the server's own constraints. Reading and writing are a round trip each, by pipelining. A row that is missing cannot
be locked: an INSERT that meets somebody else's is a conflict, and the batch begins again; where a row is only checked
to be missing, an empty one that nobody sees holds its place until the end. A row that is deleted and made anew in one
batch stays the same tuple, since who waits for a tuple that goes finds nothing, though the row was never absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import errors

from stateroom.engines.decide import change, decide, index_key
from stateroom.engines.port import (
    CHANGES,
    Append,
    Check,
    Delete,
    Put,
    Rewrite,
    Row,
    Truncate,
    Update,
    Write,
    Written,
    changes_table,
    log_id,
)
from stateroom.engines.postgresql_lines import ALONE, Asks, Frame
from stateroom.engines.postgresql_lone import TELL, told
from stateroom.engines.postgresql_read import row_of
from stateroom.engines.postgresql_tables import INDEXED, ITEM_LIMIT, Layout
from stateroom.model.codec import decode, encode
from stateroom.model.errors import ConditionFailed, InvalidValue, ItemTooLarge

Key = tuple[str, str, str]  # table, team, id or stream
Statement = tuple[str, Sequence[Any]]


class Conflict(Exception):
    """Somebody else came between; nothing was written, and the batch is to begin again."""


class Taken(Exception):
    """A unique index has refused the batch; nothing was written."""


class _Stream(NamedTuple):
    number: int
    last: int


class Batch:
    """One attempt at the writes of one caller. `run` gives their results, or raises."""

    def __init__(
        self, asks: Asks, layouts: Mapping[str, Layout], writes: Sequence[Write], now: float, frame: Frame = ALONE
    ) -> None:
        self._asks = asks
        self._frame = frame
        self._layouts = layouts
        self._writes = writes
        self.now = now
        self.sending = False  # from here on a lost connection leaves it unknown whether it was written
        self._rows: dict[Key, Row | None] = {}  # as they are, then as they become
        self._there: set[Key] = set()  # rows that the table has, expired ones too
        self._streams: dict[Key, _Stream] = {}
        self._turns: dict[tuple[str, str, str, str], Row] = {}
        self._todo: list[Statement] = []
        self._turn_of: dict[tuple[str, str, str, int], str] = {}
        self._again = _twice(writes)
        self._hollow: set[Key] = set()  # rows of the table that are to be gone at the end
        self.results: list[tuple[int, Key, Row | None]] = []  # what each write makes of its row

    async def run(self, removing: Sequence[tuple[str, Row]] = ()) -> list[Written]:
        """Lock, decide, write, end; `removing` are expired rows that go first. Conflict, Taken, ConditionFailed."""
        ended = False
        try:
            await self._load(removing)
            for table, row in removing:
                self._remove_expired(table, row)
            done = [self._write(write, index) for index, write in enumerate(self._writes)]
            self._todo += [(self._layouts[key[0]].drop, key[1:]) for key in sorted(self._hollow)]
            await self._send()
            ended = True
        except errors.UniqueViolation as error:
            name = error.diag.constraint_name or ""
            if name.startswith("uindex_"):
                raise Taken from error
            raise Conflict from error
        except (errors.DeadlockDetected, errors.SerializationFailure) as error:
            raise Conflict from error
        finally:
            if not ended:
                await self._frame.undo(self._asks)
        return done

    # Reading.

    async def _load(self, removing: Sequence[tuple[str, Row]]) -> None:
        items, streams, turns = self._touched()
        for table, row in removing:
            items.setdefault(table, {})[row.team, row.id] = None
        asked: list[tuple[str, Callable[[list[Any], str], None], Any]] = []
        async with self._asks.pipeline():
            await self._asks.execute(self._frame.begin)
            for table, team, row_id in sorted(self._places()):
                await self._ask(self._layouts[table].hold, (team, row_id))
            for table in sorted(items):
                cursor = await self._ask(self._layouts[table].lock, _columns(items[table], 2))
                asked.append((table, self._take_items, cursor))
            for table in sorted(streams):
                layout = self._layouts[table]
                if turns.get(table) or table.endswith(".changes"):
                    await self._ask(layout.begin, _columns(streams[table], 2))
                asked.append((table, self._take_streams, await self._ask(layout.lock, _columns(streams[table], 2))))
                if turns.get(table):
                    asked.append((table, self._take_turns, await self._ask(layout.turns, _columns(turns[table], 3))))
                numbers = {
                    (w.team, w.stream, w.number): None
                    for w in self._writes
                    if isinstance(w, Rewrite) and w.table == table
                }
                if numbers:
                    asked.append((table, self._take_turns, await self._ask(layout.numbers, _columns(numbers, 3))))
        for table, keys in items.items():
            self._rows.update({(table, *key): None for key in keys})
        for table, take, cursor in asked:
            take(await cursor.fetchall(), table)

    def _touched(self) -> tuple[dict[str, dict[Any, None]], dict[str, dict[Any, None]], dict[str, dict[Any, None]]]:
        items: dict[str, dict[Any, None]] = {}
        streams: dict[str, dict[Any, None]] = {}
        turns: dict[str, dict[Any, None]] = {}
        for write in self._writes:
            if isinstance(write, (Append, Rewrite, Truncate)):
                streams.setdefault(write.table, {})[write.team, write.stream] = None
                if isinstance(write, Append):
                    turns.setdefault(write.table, {})[write.team, write.stream, write.turn_id] = None
                continue
            items.setdefault(write.table, {})[write.team, write.id] = None
            if self._layouts[write.table].table.changes:
                streams.setdefault(changes_table(write.table), {})[write.team, CHANGES] = None
        return items, streams, turns

    def _places(self) -> set[Key]:
        """Rows that must stay missing until the end; with those that are made, in one order, or two would wait."""
        if len(self._writes) == 1 or not any(isinstance(w, Check) and w.if_version == 0 for w in self._writes):
            return set()
        rows = [w for w in self._writes if isinstance(w, (Check, Put, Update))]
        return {(w.table, w.team, w.id) for w in rows if not isinstance(w, Check) or w.if_version == 0}

    async def _ask(self, sql: str, values: Sequence[Any]) -> Any:
        return await self._asks.execute(sql, values)

    def _take_items(self, found: list[Any], table: str) -> None:
        for raw in found:
            key = (table, raw[0], raw[1])
            self._rows[key] = row_of(raw, table)
            self._there.add(key)
            if self._rows[key] == Row(raw[1], {}, 0, 0.0, raw[0]):  # a place that this batch holds
                self._hollow.add(key)

    def _take_streams(self, found: list[Any], table: str) -> None:
        for team, stream, number, last in found:
            self._streams[table, team, stream] = _Stream(number, last)

    def _take_turns(self, found: list[Any], table: str) -> None:
        for team, stream, turn_id, number, expires, text in found:
            row = Row(log_id(stream, turn_id), decode(text, table), number, expires, team)
            self._turns[table, team, stream, turn_id] = row
            self._turn_of[table, team, stream, number] = turn_id

    # Deciding.

    def _write(self, write: Write, index: int) -> Written:
        if isinstance(write, Append):
            return self._append(write)
        if isinstance(write, Rewrite):
            return self._rewrite(write, index)
        if isinstance(write, Truncate):
            return self._truncate(write)
        key = (write.table, write.team, write.id)
        before = self._rows[key]
        done = decide(before, write, self.now, index)
        if isinstance(write, Check):
            return done
        if done.changed:
            self._put(key, done.row)
            self.results.append((index, key, done.row))
            if isinstance(write, Put) and write.wake:
                self._todo.append((f"SELECT {TELL}", told(self._layouts[write.table])))
            if self._layouts[write.table].table.changes:
                self._log_change(write, before, done.row)
        return done

    def _put(self, key: Key, row: Row | None) -> None:
        layout = self._layouts[key[0]]
        if row is None:
            if key in self._again:
                self._todo.append((layout.empty, key[1:]))
                self._hollow.add(key)
            else:
                self._todo.append((layout.drop, key[1:]))
                self._there.discard(key)
        else:
            text = text_of(layout, row.item)
            values = (row.version, row.expires_at, text)
            if key in self._there:
                self._todo.append((layout.replace, (*values, *key[1:])))
                self._hollow.discard(key)
            else:
                self._todo.append((layout.insert, (*key[1:], *values)))
                self._there.add(key)
        self._rows[key] = row

    def _remove_expired(self, table: str, row: Row) -> None:
        key = (table, row.team, row.id)
        now = self._rows.get(key)
        if now is None or now.version != row.version:
            raise Conflict
        self._put(key, None)
        if self._layouts[table].table.changes:
            self._log_change(Delete(table, row.team, row.id, expired=True), now, None)

    def _log_change(self, write: Put | Update | Delete, before: Row | None, after: Row | None) -> None:
        entry = change(before, write, after)
        name = changes_table(write.table)
        stream = self._streams.get((name, write.team, CHANGES))
        if stream is None:
            raise Conflict  # as in `_append`
        item = entry if after is None else {**entry, "item": after.item}
        self._append(Append(name, write.team, CHANGES, str(stream.last + 1), item))

    def _append(self, write: Append) -> Written:
        known = self._turns.get((write.table, write.team, write.stream, write.turn_id))
        if known is not None:
            return Written(known, changed=False)
        layout, key = self._layouts[write.table], (write.table, write.team, write.stream)
        stream = self._streams.get(key)
        if stream is None:
            raise Conflict  # it was there a moment ago, and somebody has erased it
        number = stream.last + 1
        self._streams[key] = _Stream(stream.number, number)
        row = Row(log_id(write.stream, write.turn_id), dict(write.item), number, write.expires_at, write.team)
        self._turns[(*key, write.turn_id)], self._turn_of[(*key, number)] = row, write.turn_id
        values = (stream.number, number, write.turn_id, write.expires_at, text_of(layout, write.item))
        self._todo += [(layout.insert, values), (layout.count, (number, stream.number))]
        return Written(row._replace(item={}), changed=True)

    def _rewrite(self, write: Rewrite, index: int) -> Written:
        layout, place = self._layouts[write.table], (write.table, write.team, write.stream)
        stream = self._streams.get(place)
        turn_id = self._turn_of.get((*place, write.number), "")
        old = self._turns.get((*place, turn_id))
        dead = old is not None and old.expires_at is not None and old.expires_at <= self.now
        moved = old is not None and write.before is not None and old.item != write.before
        if stream is None or old is None or moved or (write.expired and not dead):
            raise ConditionFailed(f"{write.table}/{write.stream}/{write.number}", None, index=index)
        expires = old.expires_at if write.expires_at == "same" else write.expires_at
        row = old._replace(item=dict(write.item), expires_at=expires)
        self._turns[(*place, turn_id)] = row
        self._todo.append((layout.rewrite, (expires, text_of(layout, write.item), stream.number, write.number)))
        return Written(row, changed=True)

    def _truncate(self, write: Truncate) -> Written:
        place = (write.table, write.team, write.stream)
        stream = self._streams.get(place)
        if stream is None:
            return Written(None, changed=False)
        layout = self._layouts[write.table]
        self._todo.append((layout.erase[0], (stream.number,)))
        if any(_streams_of(one, place) for one in self._writes):
            self._todo.append((layout.count, (0, stream.number)))  # the same batch goes on in it
            self._streams[place] = _Stream(stream.number, 0)
        else:
            self._todo.append((layout.erase[1], (stream.number,)))
            del self._streams[place]
        self._turns = {key: row for key, row in self._turns.items() if key[:3] != place}
        return Written(None, changed=stream.last > 0)

    # Writing.

    async def _send(self) -> None:
        self.sending = True
        async with self._asks.pipeline():
            for sql, values in self._todo:
                await self._asks.execute(sql, values)
            await self._asks.execute(self._frame.end)


def _twice(writes: Sequence[Write]) -> set[Key]:
    """Rows that more than one write is about."""
    count = Counter((w.table, w.team, w.id) for w in writes if not isinstance(w, (Append, Rewrite, Truncate)))
    return {key for key, times in count.items() if times > 1}


def _streams_of(write: Write, place: Key) -> bool:
    """Whether the write may append to the stream, itself or by the log of changes."""
    if isinstance(write, Append):
        return (write.table, write.team, write.stream) == place
    return (changes_table(write.table), write.team, CHANGES) == place


def _columns(keys: Mapping[Any, None], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*sorted(keys), strict=True)] if keys else [[] for _ in range(width)]


def text_of(layout: Layout, item: Any) -> str:
    """The item's JSON; ItemTooLarge, InvalidValue for a value that no index row can hold."""
    data = encode(item)
    if len(data) > ITEM_LIMIT:
        raise ItemTooLarge(layout.table.name, len(data), ITEM_LIMIT)
    if layout.indexed and len(data) > INDEXED:
        _check_indexed(layout, item)
    return data.decode()


def _check_indexed(layout: Layout, item: Any) -> None:
    for index in layout.table.indexes:
        values = index_key(item, index.attributes) or ()
        size = sum(len(value.encode()) for value in values if isinstance(value, str))
        if size > INDEXED:
            name = f"{layout.table.name}.{'+'.join(index.attributes)}"
            raise InvalidValue(name, f"has {size} bytes, and PostgreSQL indexes at most {INDEXED}")
