"""Where a local Slack keeps its records, so that a kill -9 loses nothing that it acknowledged.

Rules of this file: a journal is a small map from key to bytes, written in batches that are durable when `append`
returns. SQLite runs in one worker thread of its own, never on the event loop. `Scribe` joins the batches of many
requests into one commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from stateroom.model.errors import StoreUnavailable, WrongUse

Batch = Mapping[str, bytes | None]

_SCHEMA = "CREATE TABLE IF NOT EXISTS emulator_records (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_PUT = "INSERT INTO emulator_records VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM emulator_records WHERE key = ?"


class Journal(Protocol):
    """Keeps records. `append` returns when they are durable; a value of None forgets the key."""

    async def load(self) -> Iterable[tuple[str, bytes]]: ...

    async def append(self, batch: Batch) -> None: ...

    async def close(self) -> None: ...


class NoJournal:
    """Without `--state`: everything lives and dies with the process."""

    async def load(self) -> Iterable[tuple[str, bytes]]:
        return ()

    async def append(self, batch: Batch) -> None:
        return

    async def close(self) -> None:
        return


class SqliteJournal:
    """One table in one SQLite file, in WAL mode with `synchronous=FULL`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emulator-journal")
        self._db: sqlite3.Connection | None = None

    async def load(self) -> Iterable[tuple[str, bytes]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def append(self, batch: Batch) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._append, batch)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA cache_size=-1024")
            self._db.execute(_SCHEMA)
        return self._db

    def _load(self) -> list[tuple[str, bytes]]:
        try:
            return self._open().execute("SELECT key, value FROM emulator_records").fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _append(self, batch: Batch) -> None:
        try:
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(_PUT, [(key, value) for key, value in batch.items() if value is not None])
                db.executemany(_DELETE, [(key,) for key, value in batch.items() if value is None])
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        detail = f"the local Slack cannot keep its state ({error}); free the file or its disk, or give another --state"
        return StoreUnavailable(self._path.name, "io", detail, retryable=False, maybe_applied=True)


def open_journal(url: str | None) -> Journal:
    """The journal behind a `--state` URL. Raises WrongUse for one that cannot hold it."""
    if url is None:
        return NoJournal()
    if not url.startswith("sqlite:///"):
        raise WrongUse("--state takes sqlite:///relative.db or sqlite:////absolute.db")
    path = url.removeprefix("sqlite:///")
    if not path:
        raise WrongUse("--state names no file: give sqlite:///relative.db")
    return SqliteJournal(Path(path))


class Scribe:
    """Joins what many requests changed into few commits, in order."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: dict[str, bytes | None] = {}
        self._commit: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def write(self, batch: Batch) -> None:
        """Return when `batch`, and all that was handed in before, is durable."""
        if not batch:
            return
        self._waiting.update(batch)
        if self._next is None:
            self._next = asyncio.create_task(self._flush(self._commit))
        await asyncio.shield(self._next)

    async def _flush(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._commit, self._next = self._next, None
        batch, self._waiting = self._waiting, {}
        await self._journal.append(batch)

    async def close(self) -> None:
        for task in (self._commit, self._next):
            if task is not None:
                await asyncio.wait([task])
        await self._journal.close()
