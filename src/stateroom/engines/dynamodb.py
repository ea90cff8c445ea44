"""dynamodb:// : the port over one DynamoDB table a store.

Rules of this file: it knows no expression. A write that is one request goes by dynamodb_lone.py, an append by
dynamodb_streams.py, any other by a transaction (dynamodb_batch.py). Tables are made by `apply` alone, which
`stateroom migrate` calls (invariant 9). The catalogue is looked at again every few seconds, so that an index which is
being made is kept by everybody who writes.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from stateroom.engines.decide import alive, check_place, decide
from stateroom.engines.dynamodb_apply import Maker, layouts_of, needed
from stateroom.engines.dynamodb_batch import Batch, Conflict
from stateroom.engines.dynamodb_errors import Refused, closed, translate
from stateroom.engines.dynamodb_line import Identity, Line, pause, rest
from stateroom.engines.dynamodb_lone import Lone, lone_of
from stateroom.engines.dynamodb_read import Range, Source, few, page_of, read_rows, walk
from stateroom.engines.dynamodb_seen import Seen
from stateroom.engines.dynamodb_streams import Streams, find_turn
from stateroom.engines.dynamodb_tables import (
    CATALOGUE,
    FORMAT,
    FORMAT_ROW,
    ITEM_LIMIT,
    Key,
    Layout,
    Stream,
    key_of,
    named,
    read_catalogue,
)
from stateroom.engines.dynamodb_values import KEY, Attributes
from stateroom.engines.dynamodb_wakes import Queue
from stateroom.engines.port import (
    CHANGES,
    Append,
    Capabilities,
    Check,
    Page,
    Put,
    Query,
    Rewrite,
    Row,
    Table,
    Truncate,
    Update,
    Write,
    Written,
    changes_table,
)
from stateroom.engines.tables import FROZEN, steps, still_current
from stateroom.model.errors import (
    ConditionFailed,
    FormatTooNew,
    InvalidValue,
    ItemTooLarge,
    StoreUnavailable,
    Unsupported,
    WrongUse,
)

LOG: Final = (Append, Rewrite, Truncate)
ATTEMPTS: Final = 40  # at a batch that others come between of
LOOK: Final = 5.0  # seconds after which a writer looks at the catalogue again
FREEZE: Final = LOOK + 25.0  # seconds after which no write is under way any more of who had not seen a freeze
REMOVED: Final = 25  # rows that one request removes
_HOW: Final = "write the store as dynamodb://region/table, with ?endpoint=URL for another address, ?queue=URL for SQS"
_TABLE: Final = re.compile(r"[a-zA-Z0-9_.-]{3,255}")


def slots_of(tables: Sequence[Table]) -> int:
    """How many GSIs a new table of DynamoDB's needs for them, beside the one of expiry. Unsupported."""
    return needed(layouts_of({}, tables))


class DynamoEngine:
    """The port over one table of DynamoDB."""

    capabilities = Capabilities(
        "dynamodb",
        durable=True,
        atomic_rows=100,
        item_limit=ITEM_LIMIT,
        processes=True,
        embedded=False,
        drifts=True,
        freezes=True,
        freeze_seconds=FREEZE,
        names_in_order=False,  # a map of DynamoDB's has no order
    )
    patience = FREEZE
    settle = 3 * LOOK  # seconds that `apply` gives the others to see a new index

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._region, self._table, self._endpoint, self._queue = read_url(url)
        if self._queue:
            self.capabilities = replace(self.capabilities, wakes=True)
        self._place = f"dynamodb://{self._region}/{self._table}"
        self._clock = clock
        self._source = Source(self._ask, self._table, self._note)
        self._identity = Identity(self._region, self._place)
        self._layouts: dict[str, Layout] | None = None
        self._looked = 0.0
        self._frozen = False
        self._teams: set[tuple[str, str]] = set()
        self._queues: dict[asyncio.AbstractEventLoop, Queue] = {}
        self._sides: dict[asyncio.AbstractEventLoop, tuple[Line, Streams, Seen]] = {}

    async def open(self) -> None:
        """Learn which tables there are. StoreUnavailable, FormatTooNew."""
        if self._layouts is None:
            self._layouts = {}
            try:
                await self._learn()
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Finish what is under way in this loop, then let go of the connections."""
        self._layouts = None
        self._teams.clear()
        sides, self._sides = self._sides, {}
        for loop, (line, streams, _) in sides.items():
            if loop is asyncio.get_running_loop():
                await streams.close()
                await line.close()
        queue = self._queues.pop(asyncio.get_running_loop(), None)
        if queue is not None:
            await queue.close()

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        self._ready()
        await self._learn()
        have = self._ready()
        known = {name: layout.table for name, layout in have.items()}
        tables = still_current(known, tables)
        todo = steps(known, tables)
        todo += [f"go on with the indexes of {t.name}" for t in tables if t.name in have and have[t.name].building]
        if not dry_run and (todo or not self.capabilities.embedded):
            try:
                await self._maker().apply(have, tables)
            except Refused as error:
                raise translate(error, self._place) from error
            await self._learn()
        return todo

    async def drift(self, tables: Sequence[Table]) -> list[str]:
        """What `apply` would mend of the table itself; it asks more of the role than an app needs."""
        return await self._maker().drift(needed(layouts_of(self._ready(), tables)))

    def _maker(self) -> Maker:
        return Maker(self._side()[0], self._table, self._place, self.settle)

    async def freeze(self, *, frozen: bool) -> None:
        """Refuse every write of every process, or take them again (`Freezing`).

        Writers look every few seconds; it returns when all have, and what they had under way is over.
        """
        self._ready()
        change: dict[str, Any] = {
            "UpdateExpression": "SET #frozen = :yes" if frozen else "REMOVE #frozen",
            "ExpressionAttributeNames": {"#frozen": "frozen"},
            **({"ExpressionAttributeValues": {":yes": {"BOOL": True}}} if frozen else {}),
        }
        await self._ask("UpdateItem", {"TableName": self._table, "Key": FORMAT_ROW, **change})
        if frozen:
            await asyncio.sleep(self.patience)
        await self._learn()

    async def frozen(self) -> bool:
        """Whether writes are refused."""
        await self._learn()
        return self._frozen

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        layout = self._ready().get(table) or await self._layout(table)
        now = self._clock()
        if layout.log:
            return [alive(await find_turn(self._source, layout, team, i), now) for i in ids]
        keys = {i: layout.key(team, i) for i in ids if 0 < len(i) <= KEY}
        found = await read_rows(self._ask, self._table, list(keys.values())) if keys else {}
        if few(len(ids)):
            for key, raw in found.items():
                self._note(key, raw)
        raws = [found.get(keys[i]) if i in keys else None for i in ids]
        return [None if raw is None else alive(layout.row(raw), now) for raw in raws]

    async def query(self, query: Query) -> Page:
        layout = self._ready().get(query.table) or await self._layout(query.table)
        if layout.building and query.index is not None:
            layout = await self._layout(query.table)
            if layout.building:
                detail = "the index is still being made; wait for `stateroom migrate apply`, or run it again"
                raise StoreUnavailable(self._place, "busy", detail, retryable=True)
        return await page_of(self._source, layout, query, self._clock())

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        self._ready()
        if not writes:
            return []
        await self._look()
        for write in writes:
            await self._checked(write)
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._look()  # others may have come between for long, and a freeze counts the time from a look
            alone = await self._alone(writes[0]) if len(writes) == 1 else None
            done = await self._together(writes) if alone is None else [alone]
            if done is not None:
                if self._queue:
                    await self._tell(writes, done)
                return done
            await asyncio.sleep(pause(attempt))  # somebody came between; whoever needs one request is not overtaken
        detail = "other writers came between too many times; try again"
        raise StoreUnavailable(self._place, "busy", detail, retryable=True)

    async def _look(self) -> None:
        """See what others have changed, if the last look is old. StoreUnavailable where the store is frozen."""
        if time.monotonic() - self._looked > LOOK:
            await self._learn()
        if self._frozen:
            raise StoreUnavailable(self._place, "frozen", FROZEN, retryable=True)

    async def listen(self, table: str, heard: Callable[[], None]) -> None:
        """See `Waking`. Unsupported where the URL names no queue."""
        if not self._queue:
            raise Unsupported("dynamodb", "telling others of work without ?queue=, an SQS queue's URL")
        await self._told().listen(table, heard)

    # What the verbs above share.

    async def _tell(self, writes: Sequence[Write], done: Sequence[Written]) -> None:
        """Tell workers of the rows that are work for them."""
        pairs = zip(writes, done, strict=True)
        for table in {one.table for one, result in pairs if isinstance(one, Put) and one.wake and result.changed}:
            await self._told().tell(table)

    def _told(self) -> Queue:
        """The queue for the running loop."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            self._queues = {known: kept for known, kept in self._queues.items() if not known.is_closed()}
            queue = self._queues[loop] = Queue(self._queue, self._region, self._place)
        return queue

    def _ready(self) -> dict[str, Layout]:
        if self._layouts is None:
            raise closed(self._place)
        return self._layouts

    def _side(self) -> tuple[Line, Streams, Seen]:
        """The connections of the running loop, its appends, and what it has seen."""
        loop = asyncio.get_running_loop()
        side = self._sides.get(loop)
        if side is None:
            self._sides = {known: kept for known, kept in self._sides.items() if not known.is_closed()}
            line = Line(self._endpoint, self._identity, self._place)
            side = self._sides[loop] = line, Streams(line.ask, self._table, self._place, self._clock), Seen()
        return side

    async def _ask(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._side()[0].ask(action, body)

    def _note(self, key: Key, row: Attributes | None) -> None:
        self._side()[2].note(key, row)

    async def _layout(self, table: str) -> Layout:
        """The table, also one that another process has made since."""
        await self._learn()
        found = self._ready().get(table)
        if found is None:
            detail = f"no table {table}; apply its definition first (`stateroom migrate apply`)"
            raise StoreUnavailable(self._place, "missing", detail, retryable=False)
        return found

    async def _checked(self, write: Write) -> None:
        """Check a write at the door, and see that its team is on record (for walks over all of them)."""
        layout = self._ready().get(write.table) or await self._layout(write.table)
        if layout.log is not isinstance(write, LOG):
            what = "item writes to the log" if layout.log else "log writes to the items of"
            raise Unsupported("dynamodb", f"{what} {write.table}")
        check_place(write)
        if isinstance(write, (Append, Rewrite)):
            layout.size(write.item)
        if isinstance(write, (Put, Update, Append)) and (write.table, write.team) not in self._teams:
            logs = [changes_table(write.table)] if layout.table.changes else []
            for one in (layout, *(self._ready()[name] for name in logs)):
                row = named((one.teams(), f"t{write.team}"))
                await self._ask("PutItem", {"TableName": self._table, "Item": row})
            self._teams.add((write.table, write.team))

    async def _alone(self, write: Write) -> Written | None:
        """The result of a write that is one request; None: nothing was written, a batch must decide."""
        layout, now = self._ready()[write.table], self._clock()
        if isinstance(write, Append):
            return await self._side()[1].join(layout, write)
        if isinstance(write, Check):
            return decide(await self._row(layout, write.team, write.id), write, now)
        lone = lone_of(layout, write, now)
        if lone is None or isinstance(write, (Rewrite, Truncate)):
            return None
        key, seen = layout.key(write.team, write.id), self._side()[2]
        seen.forget([key])  # whatever becomes of it
        try:
            answer = await self._send(lone)
        except Refused as error:
            if error.met:
                return None
            done = decide(None if error.item is None else layout.row(error.item), write, now)
            return None if done.changed else done
        seen.note(key, lone.stored(answer))
        return lone.read(answer)

    async def _send(self, lone: Lone) -> dict[str, Any]:
        """The request of a write, a transaction with what is put beside its row. Refused."""
        if not lone.beside:
            return await self._ask(lone.action, {"TableName": self._table, **lone.body})
        puts = [lone.body, *({"Item": item} for item in lone.beside)]
        items = [{"Put": {"TableName": self._table, **body}} for body in puts]
        return await self._ask("TransactWriteItems", {"TransactItems": items, "ClientRequestToken": uuid4().hex})

    async def _row(self, layout: Layout, team: str, row_id: str) -> Row | None:
        (raw,) = (await read_rows(self._ask, self._table, [layout.key(team, row_id)])).values()
        return None if raw is None else layout.row(raw)

    async def _together(self, writes: Sequence[Write]) -> list[Written] | None:
        """A transaction for the batch; None: somebody came between, nothing was written."""
        layouts, changed = self._ready(), [w for w in writes if not isinstance(w, (*LOG, Check))]
        logs = {(changes_table(w.table), w.team) for w in changed if layouts[w.table].table.changes}
        heads = [layouts[name].key(team, CHANGES) for name, team in logs]
        if not heads:
            return await self._attempt(writes, heads)
        async with self._side()[1].turn(heads):
            return await self._attempt(writes, heads)

    async def _attempt(self, writes: Sequence[Write], heads: Sequence[Key]) -> list[Written] | None:
        _, streams, seen = self._side()
        layouts = self._ready()
        keys = [layouts[w.table].key(w.team, w.id) for w in writes if not isinstance(w, LOG)]
        believed = seen.of(keys) | streams.believed(heads)
        seen.forget(keys)  # whatever becomes of it
        for head in heads:
            streams.end(head, None)
        batch = Batch(self._ask, self._table, layouts, writes, self._clock(), believed=believed)
        try:
            done = await batch.run()
        except Conflict:
            return await self._attempt(writes, heads) if believed else None
        except (ConditionFailed, InvalidValue, ItemTooLarge):
            if believed:  # nothing was written
                return await self._attempt(writes, heads)
            raise
        for key, row in batch.kept.items():
            seen.note(key, row)
        for key, stream in batch.ends.items():
            streams.end(key, stream)
        for key, stream in batch.emptied.items():
            await self._remove(key, stream)
            streams.end(key, None)
        return done

    async def _remove(self, key: Key, stream: Stream) -> None:
        """Remove what an erased stream had; then its head forgets it, or goes."""
        for generation in stream.old:
            part = f"{key[0]}/{key[1]}/{generation}"
            rows: list[Key] = []
            async for raw in walk(self._source, Range(part)):
                rows.append(key_of(raw))
                if len(rows) == REMOVED:
                    await self._delete(rows)
                    rows = []
            await self._delete(rows)
        same: dict[str, Any] = {
            "TableName": self._table,
            "Key": named(key),
            "ConditionExpression": "#g = :g AND #last = :last",
            "ExpressionAttributeNames": {"#g": "g", "#last": "last"},
            "ExpressionAttributeValues": {":g": {"S": stream.generation}, ":last": {"N": str(stream.last)}},
        }
        try:
            if stream.last:
                same["ExpressionAttributeNames"]["#old"] = "old"
                await self._ask("UpdateItem", {**same, "UpdateExpression": "REMOVE #old"})
            else:
                await self._ask("DeleteItem", same)
        except Refused:
            return  # the stream goes on; its head keeps a note of what is gone

    async def _delete(self, keys: Sequence[Key]) -> None:
        left = [{"DeleteRequest": {"Key": named(key)}} for key in keys]
        attempt = 0
        while left:
            answer = await self._ask("BatchWriteItem", {"RequestItems": {self._table: left}})
            over = answer.get("UnprocessedItems", {}).get(self._table, [])
            attempt = 0 if len(over) < len(left) else attempt
            left = over
            if left:
                await rest(attempt, self._place)
                attempt += 1

    async def _learn(self) -> None:
        """Read the catalogue. A table that is not there yet has none."""
        self._looked = time.monotonic()
        try:
            rows = [raw async for raw in walk(self._source, Range(CATALOGUE))]
        except StoreUnavailable as error:
            if error.reason != "missing":
                raise
            self._layouts = {}
            return
        self._frozen = any(raw["sk"] == FORMAT_ROW["sk"] and "frozen" in raw for raw in rows)
        for raw in rows:
            if raw["sk"] == FORMAT_ROW["sk"] and int(raw["n"]["N"]) > FORMAT:
                told = f"the table has format {raw['n']['N']}, this version of Stateroom reads up to {FORMAT}"
                raise FormatTooNew(self._place, told)
        self._layouts = read_catalogue(rows)


def read_url(url: str) -> tuple[str, str, str, str]:
    """A store's URL as region, table, endpoint and the queue that wakes workers ("": none). WrongUse."""
    parts = urlsplit(url)
    table, options = parts.path[1:], parse_qs(parts.query)
    region = parts.netloc
    if not region or "@" in region or not _TABLE.fullmatch(table) or options.keys() - {"endpoint", "queue"}:
        raise WrongUse(_HOW)
    queue = options.get("queue", [""])[0]
    if queue and (urlsplit(queue).scheme not in ("http", "https") or not urlsplit(queue).path.strip("/")):
        raise WrongUse(
            "?queue= is an SQS queue's URL, such as https://sqs.eu-central-1.amazonaws.com/111122223333/work"
        )
    suffix = ".cn" if region.startswith("cn-") else ""
    endpoint = options.get("endpoint", [f"https://dynamodb.{region}.amazonaws.com{suffix}/"])[0]
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname or "@" in endpoint:
        raise WrongUse("?endpoint= is an address, such as http://127.0.0.1:8000")
    return region, table, endpoint, queue
