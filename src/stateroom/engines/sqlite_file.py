"""Opening the file: is it ours, is it sound, is it new; and the connections to it.

Rules of this file: a file that is not ours is never changed, so everything is looked at before the first pragma that
writes. The database file itself is only ever opened by SQLite: closing any other descriptor of it would drop SQLite's
locks in this process (POSIX locks, https://www.sqlite.org/howtocorrupt.html section 2.2).
"""

from __future__ import annotations

import logging
import os
import sqlite3
from typing import Final

from stateroom.engines.sqlite_errors import translate
from stateroom.engines.sqlite_tables import APPLICATION_ID, CREATE, FORMAT
from stateroom.model.errors import CorruptData, FormatTooNew, StoreUnavailable

# Measured with 1.3 KB turns: 1024 writes 6.0 bytes a payload byte, 2048 10.9, 4096 14.5, at the same time an append.
PAGE_SIZE: Final = 1024
WAL_BYTES: Final = 2 * 1024 * 1024  # what the log is grown to at once: the frames of one checkpoint interval, twice
# Written block by block: in one piece Linux would cache it in large folios, and each later commit of 8 KB would write
# such a folio whole (measured: 50 KB to the disk a commit instead of 12).
_BLOCK: Final = 4096
_ZEROS: Final = bytes(_BLOCK)
CACHE: Final = -8192  # KiB: the inner pages of a million rows' trees, so that a read of any row fetches leaves alone
_STATEMENTS: Final = 512  # compiled statements kept: each size of a many-row statement is one

_log = logging.getLogger(__name__)


def connect(path: str) -> sqlite3.Connection:
    """A connection in autocommit. Several threads may use it, one at a time: its owner holds a lock."""
    return sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS, uri=False
    )


def check_path(path: str) -> None:
    """StoreUnavailable when there is no folder for the file, or a folder in its place."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise StoreUnavailable(path, "missing", f"there is no folder {folder}; make it first", retryable=False)
    if os.path.isdir(path):
        raise StoreUnavailable(path, "missing", "is a folder, not a file; give a file's path", retryable=False)


def open_writer(path: str) -> sqlite3.Connection:
    """The writing connection to the file, made and marked as ours if it is new. The caller holds the turnstile."""
    _touch(path)
    connection = connect(path)
    try:
        _look(connection, path)
        _settings(connection)
        _create(connection)
        _grow_log(connection, path)
        return connection
    except sqlite3.Error as error:
        connection.close()
        raise translate(error, path) from error
    except (CorruptData, StoreUnavailable):
        connection.close()
        raise


def open_reader(path: str) -> sqlite3.Connection:
    """A connection that refuses to write."""
    connection = connect(path)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = {CACHE}")
    return connection


def _touch(path: str) -> None:
    """Make a new file readable by its owner alone: it holds people's words. SQLite gives -wal and -shm the same rights.

    A file that is there is not opened (see above); one that we make here is known to nobody yet.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        detail = f"the file cannot be made ({error.strerror})"
        raise StoreUnavailable(path, "readonly", detail, retryable=False) from error


def _look(connection: sqlite3.Connection, path: str) -> None:
    """Refuse what is not ours or too new."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID and (application != 0 or not empty):
        raise StoreUnavailable(
            path, "foreign", "this SQLite file belongs to another application; give another path", retryable=False
        )
    if empty:
        return
    found = connection.execute("SELECT value FROM sr_meta WHERE name = 'format'").fetchone()
    if found is None or not str(found[0]).isdecimal():
        raise CorruptData(path, "the file does not say which format it has")
    if int(found[0]) > FORMAT:
        raise FormatTooNew(path, f"the file has format {found[0]}, this version of Stateroom reads up to {FORMAT}")


def _settings(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # only a file without pages takes it
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a commit is on disk when it returns, not at the next checkpoint
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer thread does it between commits, never the loop
    connection.execute(f"PRAGMA cache_size = {CACHE}")
    connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten


def _create(connection: sqlite3.Connection) -> None:
    """Make the two tables of our own, unless they are there. Killed in between, the file is still an empty one."""
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in CREATE:
            connection.execute(statement)
    connection.execute("COMMIT")


def _grow_log(connection: sqlite3.Connection, path: str) -> None:
    """Give the write-ahead log its blocks at once: appending to a growing file costs up to twice as much a commit.

    Zeros behind the last frame end the log for SQLite (https://www.sqlite.org/fileformat2.html section 4.1: a frame is
    valid only with the header's salts). The write lock is held, so nobody appends meanwhile. Growing is comfort: a
    full disk is met by the first write that needs it.
    """
    if os.name != "posix":
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        file = os.open(f"{path}-wal", os.O_WRONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            for place in range(size - size % _BLOCK + _BLOCK, WAL_BYTES, _BLOCK):
                os.pwrite(file, _ZEROS, place)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        _log.info("the write-ahead log was not grown ahead: %s", error.strerror)
    finally:
        connection.execute("ROLLBACK")
