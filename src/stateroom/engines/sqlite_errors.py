"""What SQLite's result codes mean for a caller: one table from code to a clear error.

Rules of this file: pure. The codes are those of https://www.sqlite.org/rescode.html; the lower byte decides. Every
error that SQLite raises inside the engine passes through `translate`, so that no `sqlite3` exception leaves it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

from stateroom.engines.tables import FROZEN
from stateroom.model.errors import CorruptData, StateroomError, StoreUnavailable


class _Meaning(NamedTuple):
    reason: str
    sentence: str
    retryable: bool


_BUSY: Final = _Meaning("busy", "another process holds the database's write lock; try again", True)
_MEANINGS: Final[Mapping[int, _Meaning]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: _Meaning("full", "the disk (or the file's quota) is full; make room and try again", True),
    sqlite3.SQLITE_READONLY: _Meaning("readonly", "the file or its folder cannot be written by this process", False),
    sqlite3.SQLITE_PERM: _Meaning("readonly", "the file or its folder cannot be written by this process", False),
    sqlite3.SQLITE_CANTOPEN: _Meaning("missing", "the file cannot be opened; look at the path and its rights", False),
    sqlite3.SQLITE_IOERR: _Meaning("io", "the disk refused to read or write; look at the system's log", True),
}
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 when the error is Python's own (a closed connection, a wrong binding)."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection stands in the way."""
    return code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def busy(place: str, seconds: float) -> StoreUnavailable:
    """The error of a caller whose turn did not come within `seconds`; nothing was written."""
    sentence = f"another process has held the write lock for {seconds:g} s; try again"
    return StoreUnavailable(place, "busy", sentence, retryable=True)


def closed(place: str) -> StoreUnavailable:
    """The error of a call on a store that is not open."""
    return StoreUnavailable(place, "closed", "the store is closed; open it first", retryable=False)


def translate(error: sqlite3.Error, place: str, *, committing: bool = False) -> StateroomError:
    """The error a caller gets. `committing`: it was COMMIT that failed, so the batch may be on disk after a crash.

    A COMMIT that fails for another reason than a lock may have written its commit frame before the failure: until
    the next commit overwrites it, a crash could bring it back. That is told as `maybe_applied`.
    """
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_TRIGGER:  # the only ones: sqlite_freeze.py
        return StoreUnavailable(place, "frozen", FROZEN, retryable=True)
    code = code_of(error)
    if code in _CORRUPT:
        return CorruptData(place, f"SQLite finds the file damaged or no database ({error.args[0]})")
    meaning = _MEANINGS.get(code)
    if meaning is None:
        meaning = _Meaning("io", f"SQLite refused the call: {getattr(error, 'sqlite_errorname', 'ERROR')}", False)
    maybe = committing and meaning is not _BUSY
    return StoreUnavailable(place, meaning.reason, meaning.sentence, retryable=meaning.retryable, maybe_applied=maybe)
