"""All writing: one connection, one thread, one transaction for all that wait (group commit).

Rules of this file: the connection is used under `_lock` only. A transaction is: our turn at the turnstile, BEGIN
IMMEDIATE, decide, write, COMMIT (which syncs: a batch is on disk before its caller hears of it). A failure of the
transaction is told to every caller in it, a refused batch to its own caller alone. Nothing here knows the port.

A batch is waiting, then started or given up; the change of state is made under `_states`, so that a caller who was
told "busy, not applied" is never written after all. The lock time-out of SQLite is 0: waiting is ours, on the thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Final

from stateroom.engines import sqlite_append, sqlite_bare
from stateroom.engines.pace import Pace
from stateroom.engines.port import Append, Puts, Table, Write
from stateroom.engines.sqlite_append import one_log
from stateroom.engines.sqlite_bare import one_bare
from stateroom.engines.sqlite_batch import (
    GIVEN_UP,
    STARTED,
    WAITING,
    Batch,
    fits_here,
    is_refused_alone,
    resolve,
    split,
)
from stateroom.engines.sqlite_errors import busy, closed, is_busy, translate
from stateroom.engines.sqlite_file import PAGE_SIZE
from stateroom.engines.sqlite_freeze import freeze
from stateroom.engines.sqlite_group import Group, Remembered
from stateroom.engines.sqlite_keep import insert, one_table
from stateroom.engines.sqlite_lone import LONE, Lone
from stateroom.engines.sqlite_pace import Debt
from stateroom.engines.sqlite_tables import Layout, make, read_catalogue
from stateroom.engines.sqlite_turnstile import Turnstile
from stateroom.model.errors import StateroomError, StoreUnavailable

GROUP_ROWS: Final = 1024  # callers a transaction: enough to amortise a sync, few enough to keep a caller's wait short
POLL: Final = 0.002  # seconds between tries when somebody outside of the turnstile holds SQLite's lock
# Faults of our own: the callers get them, the thread lives on.
_FAULTS: Final = (MemoryError, RuntimeError, AssertionError, AttributeError, TypeError, ValueError, LookupError)
_log = logging.getLogger(__name__)

Job = Callable[[], Any]


class Writer:
    """The writing side of one open file."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        turnstile: Turnstile,
        path: str,
        clock: Callable[[], float],
        *,
        timeout: float,
        before_commit: Callable[[], None] | None,
    ) -> None:
        self.layouts: Mapping[str, Layout] = {}
        self._connection = connection
        self._cursor = connection.cursor()
        self._lone = Lone(connection, self._cursor)
        self._turnstile = turnstile
        self._path = path
        self._clock = clock
        self._timeout = timeout
        self._before_commit = before_commit
        self._lock = threading.Lock()
        self._states = threading.Lock()
        self._queue: SimpleQueue[Sequence[Batch] | tuple[Job, Future[Any]] | None] = SimpleQueue()
        self._pace = Pace()
        self._debt = Debt(PAGE_SIZE)
        self._due = False
        self._seen = -1
        self._tables = b""
        self._streams: Remembered = {}
        self._schema = -1
        self._thread = threading.Thread(target=self._run, name="stateroom-sqlite", daemon=True)

    def start(self) -> None:
        """Read the catalogue and start the thread. The caller holds no lock."""
        self._refresh()
        self._thread.start()

    # What callers do: hand a group over, give it up, commit one batch here and now, run a job.

    def hand(self, batches: Sequence[Batch]) -> None:
        """Write `batches` soon; their futures are resolved on their own loops."""
        self._queue.put(batches)

    def give_up(self, batches: Iterable[Batch]) -> None:
        """Tell those that have not been started that the store is busy."""
        error = busy(self._path, self._timeout)
        with self._states:
            waiting = [b for b in batches if b.state == WAITING]
            for batch in waiting:
                batch.state = GIVEN_UP
                batch.error = error
        resolve(waiting)

    def commit_here(self, batches: list[Batch]) -> bool:
        """Commit them on this thread if nothing stands in the way and commits are quick; whether it was done.

        A group only when it is small: two thread hand-overs cost as much as some twenty rows, and a core each gains
        nothing while all callers wait for the same commit; but the loop must not stand still for longer than `SLOW`.
        """
        if len(batches) > 1 and (any([b.alone for b in batches]) or not fits_here(batches)):  # noqa: C419
            return False
        if not self._pace.quick or not self._queue.empty() or not self._lock.acquire(blocking=False):
            return False
        try:
            done = self._transact(batches, wait=False)
        finally:
            self._lock.release()
        if self._due:
            self._due = False
            self._queue.put((self._checkpoint, Future()))
        return done

    def write_here(self, write: Write | Puts, text: str | None, size: int) -> Sequence[Any] | None:
        """One write of one row, or puts of some, committed on this thread; None: they are to go the general way.

        As many things as rows: what was written, for one write. `size`: bytes of the items. Written out, since behind a
        sync every line runs in cold caches.
        """
        if not self._pace.quick or self._before_commit is not None or not self._queue.empty():
            return None
        work = LONE.get(type(write))
        if work is None or not self._lock.acquire(False):
            return None
        began = time.monotonic()
        entered = False
        try:
            entered = self._turnstile.enter(wait=False)
            if not entered:
                return None
            if self._turnstile.tables() != self._tables:
                return None  # what we know of the tables may be old
            layout = self.layouts[write.table]
            if type(write) is not Append:
                if not layout.by_itself:
                    return None
            elif self._streams:
                self._streams.get(write.table, {}).pop((write.team, write.stream), None)
            done = work(self._lone, layout, write, text, self._clock())
        except sqlite3.Error as error:
            if is_busy(error):
                return None
            raise translate(error, self._path, committing=True) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if entered:
                self._turnstile.leave()
            self._lock.release()
        if done is not None:
            self._pace.took(time.monotonic() - began)
            if self._debt.wrote(len(done), size):
                self._queue.put((self._checkpoint, Future()))
        return done

    def run(self, job: Job) -> Future[Any]:
        """Run `job` on the thread, between transactions."""
        future: Future[Any] = Future()
        self._queue.put((job, future))
        return future

    def stop(self) -> bool:
        """Finish what is queued and end the thread; False when it is stuck behind another process."""
        self._queue.put(None)
        self._thread.join(self._timeout)
        return not self._thread.is_alive()

    def apply(self, tables: Sequence[Table]) -> None:
        """Make tables and indexes; a job for the thread. Safe when several processes do it at once."""
        self._begin_at_turn()
        try:
            have = read_catalogue(self._connection, self._path)
            after = make(self._connection, have, tables)
            self._turnstile.changed_tables()
            self._connection.execute("COMMIT")
            self._tables = self._turnstile.tables()
        finally:
            self._rollback()
            self._turnstile.leave()
        self.layouts = {name: Layout(table) for name, table in after.items()}

    def freeze(self, *, frozen: bool) -> None:
        """Refuse all writes of all processes, or take them again; a job for the thread."""
        self._begin_at_turn()
        try:
            have = read_catalogue(self._connection, self._path)
            freeze(self._connection, [Layout(table) for table in have.values()], frozen=frozen)
            self._turnstile.changed_tables()
            self._connection.execute("COMMIT")
        finally:
            self._rollback()
            self._turnstile.leave()

    # The thread.

    def _run(self) -> None:
        held: tuple[Job, Future[Any]] | None = None
        open_ = True
        while open_:
            first = self._queue.get() if held is None else held
            held = None
            batches: list[Batch] = []
            if first is None:
                break
            if isinstance(first, tuple):
                self._do(*first)
                continue
            batches.extend(first)
            while len(batches) < GROUP_ROWS:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if more is None:
                    open_ = False
                    break
                if isinstance(more, tuple):
                    held = more
                    break
                batches.extend(more)
            self._write(batches)
        self._end()

    def _write(self, batches: list[Batch]) -> None:
        """Transactions for `batches`: one for all, but those that must be alone are."""
        with self._lock:
            for group in split(batches):
                self._transact(group, wait=True)
            if self._due:
                self._due = False
                self._checkpoint()

    def _do(self, job: Job, future: Future[Any]) -> None:
        try:
            with self._lock:
                future.set_result(job())
        except sqlite3.Error as error:
            future.set_exception(translate(error, self._path))
        except (StateroomError, *_FAULTS) as error:
            future.set_exception(error)

    def _end(self) -> None:
        self._cursor.close()  # a statement that was refused would keep SQLite's side of the connection open
        self._connection.close()
        self._turnstile.close()
        while True:
            try:
                left = self._queue.get_nowait()
            except Empty:
                return
            if isinstance(left, tuple):
                left[1].set_exception(closed(self._path))
            elif left is not None:
                for batch in left:
                    batch.error = closed(self._path)
                resolve(left)

    # A transaction. `_lock` is held.

    def _transact(self, batches: list[Batch], *, wait: bool) -> bool:
        started = time.monotonic()
        try:
            if not self._turnstile.enter(wait=wait):
                return False
            try:
                began = time.monotonic()
                todo = self._keep(batches) if batches[0].keep else batches
                if todo:
                    if not self._begin(wait=wait, deadline=started + self._timeout):
                        return False
                    began = time.monotonic()
                    self._carry_out(self._claim(todo))
            finally:
                self._rollback()
                self._turnstile.leave()
        except sqlite3.Error as error:
            self._fail(batches, translate(error, self._path))
        except OSError as error:
            detail = f"the lock files cannot be used ({error.strerror})"
            self._fail(batches, StoreUnavailable(self._path, "io", detail, retryable=True))
        except (StateroomError, *_FAULTS) as error:
            self._fail(batches, error)
        else:
            if fits_here(batches):  # how long the others take says nothing about a small one on the loop
                self._pace.took(time.monotonic() - began)
        if wait:
            resolve(batches)
        return True

    def _keep(self, batches: list[Batch]) -> list[Batch]:
        """Insert a group of nothing but rows to keep; what is left of it goes the general way."""
        if self._turnstile.tables() != self._tables:
            return batches  # what we know of the tables may be old
        layout = self.layouts.get(table) if (table := one_table(batches)) else None
        if layout is None or layout.unique or layout.table.changes:
            return batches
        live = self._claim(batches)
        if not live:
            return []
        if self._before_commit is not None:
            self._before_commit()
        try:
            left = insert(self._cursor, layout, live, self._clock())
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translate(error, self._path, committing=True) from error
            left = live  # somebody outside of the turnstile: the general way waits for them
        rows = len(live) - len(left)
        if rows:
            self._due = self._debt.wrote(rows, sum([b.size for b in live])) or self._due
        with self._states:
            for batch in left:
                batch.state = WAITING
        return left

    def _carry_out(self, batches: list[Batch]) -> None:
        if self._connection.execute("PRAGMA data_version").fetchone()[0] != self._seen or (
            self._tables != self._turnstile.tables()
        ):
            self._refresh()
        remembered, self._streams = self._streams, {}  # until the commit they are not sure
        try:
            self._decide(batches, remembered)
        except sqlite3.IntegrityError:
            if not remembered:
                raise
            # A turn of a remembered stream is there already. Once more, and now everything is looked up.
            self._again(batches)
            self._decide(batches, {})

    def _decide(self, batches: list[Batch], remembered: Remembered) -> None:
        if (table := one_log(batches)) and (known := remembered.get(table)):
            size = sqlite_append.insert(self._cursor, self.layouts[table], batches, known)
            if size is not None:
                self._commit(len(batches), size)
                self._streams = remembered
                return
        if (table := one_bare(batches)) and self._bare(table, batches):
            self._streams = remembered
            return
        group = Group(self._connection, self.layouts, self._clock(), remembered)
        group.load(batches)
        for batch in batches:
            group.decide(batch)
        if is_refused_alone(batches) or not group.flush():
            return
        self._commit(group.rows, group.size)
        if not batches[0].alone:
            self._streams = group.remember()

    def _bare(self, table: str, batches: list[Batch]) -> bool:
        """Put what asks for nothing; False: the general way does it, in a transaction begun anew."""
        layout = self.layouts.get(table)
        if layout is None or not layout.by_itself:
            return False
        if not sqlite_bare.write(self._cursor, self._lone.noted, layout, batches, self._clock()):
            self._again(batches)
            return False
        self._commit(sum([len(b.writes) for b in batches]), sum([b.size for b in batches]))
        return True

    def _again(self, batches: list[Batch]) -> None:
        """Begin the transaction anew, with nothing decided."""
        self._rollback()
        self._connection.execute("BEGIN IMMEDIATE")
        for batch in batches:
            batch.results, batch.error = [], None

    def _commit(self, rows: int, size: int) -> None:
        try:
            if self._before_commit is not None:
                self._before_commit()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(error, self._path, committing=True) from error
        self._due = self._debt.wrote(rows, size) or self._due

    def _begin(self, *, wait: bool, deadline: float) -> bool:
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
            else:
                return True
            if not wait:
                return False
            if time.monotonic() >= deadline:
                raise busy(self._path, self._timeout)
            time.sleep(POLL)  # somebody outside of the turnstile: a backup, a shell; SQLite tells only by trying

    def _begin_at_turn(self) -> None:
        self._turnstile.enter(wait=True)
        try:
            self._begin(wait=True, deadline=time.monotonic() + self._timeout)
        except (sqlite3.Error, StateroomError):
            self._turnstile.leave()
            raise

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _claim(self, batches: list[Batch]) -> list[Batch]:
        """Those not given up meanwhile; from here on they are written."""
        with self._states:
            live = [b for b in batches if b.state == WAITING and not (b.future and b.future.cancelled())]
            for batch in live:
                batch.state = STARTED
        return live

    def _fail(self, batches: list[Batch], error: Exception) -> None:
        """Whatever a batch was to get, the transaction has failed: nothing of it is there."""
        with self._states:
            for batch in batches:
                if batch.state != GIVEN_UP:
                    batch.state = STARTED
                    batch.error = error

    def _refresh(self) -> None:
        """Another process has committed: its new tables and unique indexes hold for us too."""
        self._streams = {}
        count = self._turnstile.tables()
        (seen,) = self._connection.execute("PRAGMA data_version").fetchone()
        (schema,) = self._connection.execute("PRAGMA schema_version").fetchone()
        if schema != self._schema:
            have = read_catalogue(self._connection, self._path)
            self.layouts = {name: Layout(table) for name, table in have.items()}
        self._seen, self._schema, self._tables = seen, schema, count

    def _checkpoint(self) -> None:
        """Move the log's content into the database file. It can wait: a failure is met again, or by a write."""
        try:
            _, frames, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._debt.paid(frames)
        except sqlite3.Error as error:
            _log.warning("checkpoint failed, to be tried again: %s", translate(error, self._path))
            self._debt.paid(0)
