"""sqlite:///file.db : the embedded default. The port over one file, for any number of tasks, threads and processes.

Rules of this file: a commit waits for one turn of the event loop, so that whatever other tasks want written in the
same turn goes with it; alone and on a quick disk it is then committed right here, otherwise by the writer thread.
Point reads and short pages run inline on a reading connection; the rest in a reading thread. The engine may be used
from several event loops in several threads. It must not be carried over a fork: open it in the child.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final, TypeVar

from stateroom.engines.decide import check_place, is_bare
from stateroom.engines.port import (
    Append,
    Capabilities,
    Delete,
    Page,
    Put,
    Puts,
    Query,
    Rewrite,
    Row,
    Table,
    Truncate,
    Update,
    Write,
    Written,
)
from stateroom.engines.sqlite_batch import HERE_BYTES, HERE_ROWS, Batch, bare_table, batch_of, outcome
from stateroom.engines.sqlite_door import Door
from stateroom.engines.sqlite_errors import closed, translate
from stateroom.engines.sqlite_file import check_path, open_reader, open_writer
from stateroom.engines.sqlite_group import ITEM_LIMIT, text_of
from stateroom.engines.sqlite_read import INLINE_ROWS, Reader
from stateroom.engines.sqlite_tables import Layout, check
from stateroom.engines.sqlite_turnstile import Turnstile
from stateroom.engines.sqlite_writer import POLL, Writer
from stateroom.engines.tables import never_lagging, steps
from stateroom.model.codec import encode
from stateroom.model.errors import StoreUnavailable, Unsupported, WrongUse
from stateroom.model.ids import are_keys, check_key

BUSY_TIMEOUT: Final = 10.0  # seconds; under Slack's patience with a worker, over any pause of a healthy neighbour
INLINE_LIMIT: Final = 128
_SURELY: Final = ITEM_LIMIT // 4  # characters that are not too many bytes, whatever they are
T = TypeVar("T")


class SqliteEngine:
    """The port over one SQLite file. `clock` gives seconds since 1970; `timeout` is how long a writer waits its turn.

    `before_commit` is for tests and measurements: it runs before every COMMIT, where a slow disk would take its time.
    """

    capabilities = Capabilities(
        "sqlite",
        durable=True,
        atomic_rows=None,
        item_limit=ITEM_LIMIT,
        processes=True,
        freezes=True,
        packs=True,
        gathers=True,
    )

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Callable[[], float],
        *,
        timeout: float = BUSY_TIMEOUT,
        before_commit: Callable[[], None] | None = None,
    ) -> None:
        self._path = os.fspath(path)
        if not self._path or self._path == ":memory:":
            raise WrongUse("SQLite needs a file's path; memory:// keeps nothing and needs none")
        self._clock = clock
        self._timeout = timeout
        self._before_commit = before_commit
        self._doors: dict[asyncio.AbstractEventLoop, Door] = {}
        self._last_door: Door | None = None
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._scanner: Reader | None = None
        self._scans: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Make or check the file. Opening twice is fine."""
        if self._writer is None:
            await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Finish queued writes, then let go of the file."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._doors, doors, self._last_door = {}, self._doors, None
        for door in list(doors.values()):
            door.flush()
        await asyncio.to_thread(self._close, writer)

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        writer, _ = self._ready()
        for table in tables:
            check(table)
        tables = never_lagging(tables)
        todo = steps({name: layout.table for name, layout in writer.layouts.items()}, tables)
        if todo and not dry_run:
            await asyncio.wrap_future(writer.run(lambda: writer.apply(tables)))
        return todo

    async def freeze(self, *, frozen: bool) -> None:
        """Refuse every write of every process, or take them again (`Freezing`)."""
        writer, _ = self._ready()
        await asyncio.wrap_future(writer.run(lambda: writer.freeze(frozen=frozen)))

    async def frozen(self) -> bool:
        """Whether writes are refused."""
        self._ready()
        return await self._scan(lambda scanner: scanner.frozen())

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        writer, reader = self._ready()
        layout = self._layout(writer, table)
        now = self._clock()
        if len(ids) > INLINE_LIMIT:
            return await self._scan(lambda scanner: scanner.get(layout, team, ids, now))
        try:
            return reader.get(layout, team, ids, now)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    async def query(self, query: Query) -> Page:
        writer, reader = self._ready()
        layout = self._layout(writer, query.table)
        now = self._clock()
        if query.limit <= INLINE_LIMIT:
            try:
                page = reader.page(layout, query, now, INLINE_ROWS)
            except sqlite3.Error as error:
                raise self._refused(error) from error
            if page is not None:
                return page
        found = await self._scan(lambda scanner: scanner.page(layout, query, now, None))
        assert found is not None  # only a page with a budget may be None
        return found

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        writer = self._writer
        if writer is None:
            raise closed(self._path)
        if not writes:
            return []
        lone = writes[0] if len(writes) == 1 else None
        if type(lone) is Put and lone.keep and is_bare(lone):
            return await self._kept(writer, lone)
        door = self._door_here(writer)
        bare = bare_table(writes) if lone is None else ""
        texts = self._texts(writer, writes, bare) if lone is None else [self._text(writer, lone)]
        free = await door.free()
        if free and lone is not None:
            done = writer.write_here(lone, texts[0], len(texts[0] or ""))
            if done is not None:
                return done  # type: ignore[return-value]  # of one write that is what was written
        size = sum([len(text) for text in texts if text])
        batch = batch_of(writes, texts, size, bare)
        if free and writer.commit_here([batch]):
            return outcome(batch)
        return await door.join(batch)

    async def put_all(self, puts: Puts) -> None:
        """Put many rows (`port.Packing`)."""
        writer = self._writer
        if writer is None:
            raise closed(self._path)
        layout, size = writer.layouts.get(puts.table), sum(map(len, puts.texts))
        here = layout is not None and not layout.log and len(puts.ids) <= HERE_ROWS and size <= HERE_BYTES
        if here and await self._door_here(writer).free() and writer.write_here(puts, None, size) is not None:
            return
        await self.commit(puts.each())

    def keep(self, write: Put) -> asyncio.Future[list[Written]]:
        """One row to keep, with all others of this turn of the loop (`Gathering`)."""
        writer = self._writer
        if writer is None:
            raise closed(self._path)
        if not write.keep or not is_bare(write):
            raise WrongUse("only a row that is kept whatever is there can be gathered; commit this one")
        return self._kept(writer, write)

    def _kept(self, writer: Writer, write: Put) -> asyncio.Future[list[Written]]:
        text = self._text(writer, write) or ""
        return self._door_here(writer).join(Batch((write,), (text,), len(text), keep=write.table))

    # What the verbs above share.

    def _ready(self) -> tuple[Writer, Reader]:
        if self._writer is None or self._reader is None:
            raise closed(self._path)
        return self._writer, self._reader

    def _layout(self, writer: Writer, table: str) -> Layout:
        layout = writer.layouts.get(table)
        if layout is None:
            raise StoreUnavailable(
                self._path, "missing", f"no table {table}; apply its definition first", retryable=False
            )
        return layout

    def _texts(self, writer: Writer, writes: Sequence[Write], bare: str) -> Sequence[str | None]:
        """`_text` of several; puts that ask for nothing are many (a copy's), so they are looked at together."""
        layout = writer.layouts.get(bare)
        if layout is not None and not layout.log and are_keys([put.id for put in writes]):  # type: ignore[union-attr]
            data = [encode(put.item) for put in writes]  # type: ignore[union-attr]
            if max(map(len, data)) <= ITEM_LIMIT:
                return [one.decode() for one in data]
        return [self._text(writer, write) for write in writes]

    def _text(self, writer: Writer, write: Write) -> str | None:
        """Check a write at the door; the JSON of its item, made here so that the thread need not."""
        layout = writer.layouts.get(write.table) or self._layout(writer, write.table)
        kind = type(write)
        if layout.log is not (kind is Append or kind is Rewrite or kind is Truncate):
            what = "item writes to the log" if layout.log else "log writes to the items of"
            raise Unsupported("sqlite", f"{what} {write.table}")
        if kind is Put:
            text: str | None = write.json  # type: ignore[union-attr]
            if text is None or len(text) > _SURELY:
                check_key(write.id)  # type: ignore[union-attr]
                text = text_of(write.table, write.item)  # type: ignore[union-attr]
            return text
        if kind is Update or kind is Delete:
            check_key(write.id)  # type: ignore[union-attr]
            return None
        check_place(write)
        if kind is not Append and kind is not Rewrite:
            return None
        return text_of(write.table, write.item)  # type: ignore[union-attr]

    def _door_here(self, writer: Writer) -> Door:
        """The door of the running loop."""
        loop = asyncio.get_running_loop()
        door = self._last_door
        if door is not None and door.loop is loop:
            return door
        door = self._doors.get(loop)
        if door is None:
            self._doors = {known: door for known, door in self._doors.items() if not known.is_closed()}
            door = self._doors[loop] = Door(loop, writer, self._timeout)
        self._last_door = door
        return door

    async def _scan(self, read: Callable[[Reader], T]) -> T:
        """Run a long read in the reading thread."""
        scanner, pool = self._scanner, self._scans
        if scanner is None or pool is None:
            raise closed(self._path)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, read, scanner)
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: sqlite3.Error) -> Exception:
        return closed(self._path) if self._writer is None else translate(error, self._path)

    def _open(self) -> None:
        check_path(self._path)
        turnstile = Turnstile(self._path)
        try:
            turnstile.open()
        except OSError as error:
            detail = f"cannot make the lock files beside the database ({error.strerror})"
            raise StoreUnavailable(self._path, "readonly", detail, retryable=False) from error
        with ExitStack() as undo:
            undo.callback(turnstile.close)
            turnstile.enter(wait=True)
            try:
                connection = self._open_writer()
                undo.callback(connection.close)
                readers = [Reader(open_reader(self._path)) for _ in range(2)]
                writer = Writer(
                    connection,
                    turnstile,
                    self._path,
                    self._clock,
                    timeout=self._timeout,
                    before_commit=self._before_commit,
                )
                writer.start()
            except sqlite3.Error as error:
                raise translate(error, self._path) from error
            finally:
                turnstile.leave()
            undo.pop_all()
        self._reader, self._scanner = readers
        self._scans = ThreadPoolExecutor(1, "stateroom-sqlite-scan")
        self._writer = writer

    def _open_writer(self) -> sqlite3.Connection:
        """The writing connection; a process that closes the file as its last one holds SQLite's lock for a moment."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return open_writer(self._path)
            except StoreUnavailable as error:
                if error.reason != "busy" or time.monotonic() >= deadline:
                    raise
            time.sleep(POLL)

    def _close(self, writer: Writer) -> None:
        """The readers first: the last connection to close empties the log into the file."""
        if self._scans is not None:
            self._scans.shutdown(wait=True, cancel_futures=True)
        for reader in (self._reader, self._scanner):
            if reader is not None:
                reader.close()
        self._reader = self._scanner = self._scans = None
        writer.stop()
