"""file://, s3://, gs://, az:// : the port over objects that anyone with the bucket can read (docs/format.md).

Rules of this file: everything blocks, so everything runs in worker threads. Writes to one row or one stream of this
process wait for each other here and not at the bucket, in the order in which they came; any number of processes may
share the bucket. One commit is one item. What is not declared is refused by name.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from stateroom.engines import objects_names as names
from stateroom.engines.decide import alive, check_expired, check_place, check_whole
from stateroom.engines.objects_bucket import Bucket, Lost, settled
from stateroom.engines.objects_forms import ITEM_LIMIT, Catalogue
from stateroom.engines.objects_items import Items, Listings, Reader
from stateroom.engines.objects_names import Stream
from stateroom.engines.objects_pages import Pages
from stateroom.engines.objects_streams import Streams
from stateroom.engines.objects_url import Address, read_url
from stateroom.engines.pace import Pace
from stateroom.engines.port import (
    Append,
    Capabilities,
    Page,
    Query,
    Rewrite,
    Row,
    Table,
    Truncate,
    Write,
    Written,
)
from stateroom.engines.tables import merged, steps
from stateroom.model.errors import StateroomError, StoreUnavailable, Unsupported

WORKERS: Final = 32
PATIENT: Final = 4  # snapshots' worth of entries that a busy stream may be behind
T = TypeVar("T")
Place = tuple[str, ...]


class ObjectsEngine:
    """The port over one prefix of a bucket, or one folder."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._address = read_url(url)
        self.capabilities = Capabilities(
            self._address.scheme,
            durable=True,
            atomic_rows=1,
            item_limit=ITEM_LIMIT,
            indexes=False,
            unique=False,
            across_teams=False,
            changes=False,
            processes=True,
            holds_inbox=False,
        )
        self._clock = clock
        self._within: _Within | None = None

    async def open(self) -> None:
        """Learn which tables there are; nothing is written. StoreUnavailable, FormatTooNew, CorruptData."""
        if self._within is None:
            self._within = within = _Within(self._address, self._clock)
            try:
                await within.run(within.learn)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Finish what is under way, then let go of the threads."""
        within, self._within = self._within, None
        if within is not None:
            await asyncio.get_running_loop().run_in_executor(None, within.close)

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        name = self.capabilities.name
        for table in tables:
            if table.indexes:
                raise Unsupported(name, f"indexes of {table.name}: order by {table.indexes[0].name}")
            if table.changes:
                raise Unsupported(name, f"a log of the changes of {table.name}")
        within = self._ready()
        return await within.run(lambda: within.apply(tables, dry_run=dry_run))

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        within = self._ready()
        return await within.run(lambda: within.get(table, team, ids))

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        within = self._ready()
        if len(writes) > 1:
            raise Unsupported(self.capabilities.name, "a commit of several rows: one item is all that is atomic")
        for write in writes:
            check_place(write)
        if not writes:
            return []
        (write,) = writes
        done = within.here(write) if isinstance(write, Append) else None
        return [await asyncio.wrap_future(within.join(write)) if done is None else done]

    async def query(self, query: Query) -> Page:
        name = self.capabilities.name
        if query.index is not None:
            raise Unsupported(name, f"order by {query.index}: rows come by key alone")
        if query.team is None and not query.whole and not query.expired:
            raise Unsupported(name, "a query without a team")
        within = self._ready()
        return await within.run(lambda: within.page(query, name))

    def _ready(self) -> _Within:
        if self._within is None:
            place = f"{self._address.scheme}://"
            raise StoreUnavailable(place, "closed", "the store is closed; open it first", retryable=False)
        return self._within


class _Within:
    """What is behind the port while it is open: blocking, in threads."""

    def __init__(self, address: Address, clock: Callable[[], float]) -> None:
        self._bucket = _bucket(address)
        self._clock = clock
        self._reader = Reader(self._bucket)
        listings = Listings()
        self._items = Items(self._bucket, self._reader, listings)
        self._streams = Streams(self._bucket, self._reader, clock)
        self._pages = Pages(self._reader, self._streams, listings)
        self._catalogue = Catalogue()
        self._pool = ThreadPoolExecutor(WORKERS, "objects")
        self._lines: dict[Place, deque[tuple[Write, Future[Written]]]] = {}
        self._lock = threading.Lock()
        self._pace = Pace()

    def run(self, call: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        self._pool.shutdown()
        self._reader.close()
        self._bucket.close()

    # The catalogue.

    def learn(self) -> None:
        """Read the catalogue. A bucket that is empty has none."""
        found = self._reader.one(names.CATALOGUE)
        if found is not None:
            self._catalogue = Catalogue.of(found.data, names.CATALOGUE)

    def apply(self, tables: Sequence[Table], *, dry_run: bool) -> list[str]:
        todo = steps(self._catalogue.tables, tables)
        if todo:
            self.learn()
            todo = steps(self._catalogue.tables, tables)
        if todo and not dry_run:
            self._change(lambda have: _wider(have, tables))
        return todo

    def _change(self, change: Callable[[Catalogue], Catalogue]) -> None:
        """Lead the catalogue to something, whoever else does so."""
        while True:
            found = self._reader.one(names.CATALOGUE)
            have = Catalogue() if found is None else Catalogue.of(found.data, names.CATALOGUE)
            wanted = change(have)
            if wanted == have:
                self._catalogue = have
                return
            try:
                settled(self._bucket, names.CATALOGUE, wanted.data(), None if found is None else found.tag)
            except Lost:
                continue
            self._catalogue = wanted
            return

    def _table(self, name: str) -> Table:
        found = self._catalogue.tables.get(name)
        if found is None:
            self.learn()
            found = self._catalogue.tables.get(name)
        if found is None:
            detail = f"no table {name}; apply its definition first"
            raise StoreUnavailable(self._bucket.place, "missing", detail, retryable=False)
        return found

    # Reading.

    def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        now = self._clock()
        if not self._table(table).log:
            return [alive(row, now) for row in self._items.get(table, team, ids)]
        asked = [row_id.partition("/") for row_id in ids]
        rows = [self._streams.find(Stream(table, team, name), turn) if name else None for name, _, turn in asked]
        return [alive(row, now) for row in rows]

    def page(self, query: Query, engine: str) -> Page:
        table, now = self._table(query.table), self._clock()
        if query.expired:
            check_expired(engine, table, query)
            if not self._expires(query.table):
                return Page([], None)
            return self._pages.expired(query, now) if table.log else self._items.page(query, now)
        if query.whole:
            check_whole(query)
            return self._pages.whole(query) if table.log else self._items.page(query, now)
        return self._pages.page(query, now) if table.log else self._items.page(query, now)

    def _expires(self, table: str) -> bool:
        """Whether any row of the table has, or had, an expiry: a sweep of the others reads nothing else."""
        if table not in self._catalogue.expiring:
            self.learn()
        return table in self._catalogue.expiring

    # Writing.

    def join(self, write: Write) -> Future[Written]:
        """Queue a write behind those of its row or stream."""
        place = _place(write)
        done: Future[Written] = Future()
        with self._lock:
            line = self._lines.get(place)
            if line is not None:
                line.append((write, done))
                return done
            self._lines[place] = deque([(write, done)])
        self._pool.submit(self._drain, place)
        return done

    def here(self, write: Append) -> Written | None:
        """An append on the event loop itself: to a quick disk, by who knows the stream, alone. None: not done."""
        place = _place(write)
        if (
            not self._bucket.near
            or not self._pace.quick
            or (write.expires_at and write.table not in self._catalogue.expiring)
        ):
            return None
        with self._lock:
            if place in self._lines or write.table not in self._catalogue.tables:
                return None
            line = self._lines[place] = deque()
        stream = Stream(write.table, write.team, write.stream)
        began = time.monotonic()
        done = None
        try:
            done = self._streams.append_here(stream, write)
        finally:
            if done is not None:
                self._pace.took(time.monotonic() - began)
            with self._lock:
                busy = bool(line)
                if not busy:
                    del self._lines[place]
            if busy:
                self._pool.submit(self._drain, place)
        if done is not None and self._streams.behind(stream):
            self._later(place, write)
        return done

    def _later(self, place: Place, write: Append) -> None:
        """The snapshot, in another thread, unless the stream is busy: then whoever is at it makes it."""
        with self._lock:
            if place in self._lines:
                return
            self._lines[place] = deque()

        def keep() -> None:
            self._keep(write, alone=True)
            self._drain(place)

        self._pool.submit(keep)

    def _drain(self, place: Place) -> None:
        while True:
            with self._lock:
                line = self._lines[place]
                if not line:
                    del self._lines[place]
                    return
                write, done = line.popleft()
                alone = not line
            if not done.set_running_or_notify_cancel():
                continue
            began = time.monotonic()
            try:
                found = self._write(write)
            except BaseException as error:  # noqa: BLE001  (whoever waits for it gets it, whatever it is)
                done.set_exception(error)
                continue
            if isinstance(write, Append):
                self._pace.took(time.monotonic() - began)
            done.set_result(found)
            if isinstance(write, Append):
                self._keep(write, alone=alone)

    def _keep(self, write: Append, *, alone: bool) -> None:
        """The snapshot, after the append was acknowledged."""
        stream = Stream(write.table, write.team, write.stream)
        if self._streams.behind(stream) >= (1 if alone else PATIENT):
            try:
                self._streams.keep(stream)
            except StateroomError:
                return  # it only saves requests

    def _write(self, write: Write) -> Written:
        table = self._table(write.table)
        if table.log is not isinstance(write, (Append, Rewrite, Truncate)):
            what = "item writes to the log" if table.log else "log writes to the items of"
            raise Unsupported(self._bucket.place, f"{what} {write.table}")
        self._note(write)
        if isinstance(write, Append):
            return self._streams.append(write)
        if isinstance(write, Rewrite):
            return self._streams.rewrite(write)
        if isinstance(write, Truncate):
            return self._streams.truncate(write)
        return self._items.write(write, self._clock)

    def _note(self, write: Write) -> None:
        """Before its first row with an expiry, a table is known to have such."""
        at: Any = getattr(write, "expires_at", None)
        name = write.table
        if not at or at == "same" or name in self._catalogue.expiring:
            return
        self._change(lambda have: replace(have, expiring=have.expiring | {name}))


def _bucket(address: Address) -> Bucket:
    if address.scheme == "file":
        from stateroom.engines.objects_files import FileBucket

        made = FileBucket(address.folder)
        made.tidy()
        return made
    from stateroom.engines.objects_cloud import CloudBucket

    scheme: Any = address.scheme
    return CloudBucket(scheme, address.bucket, address.prefix, address.endpoint, address.region)


def _place(write: Write) -> Place:
    if isinstance(write, (Append, Rewrite, Truncate)):
        return (write.table, write.team, "stream", write.stream)
    return (write.table, write.team, "row", write.id)


def _wider(have: Catalogue, tables: Sequence[Table]) -> Catalogue:
    found = dict(have.tables)
    for table in tables:
        found[table.name] = merged(found.get(table.name), table)
    return replace(have, tables=found)
