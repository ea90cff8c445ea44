"""Whose turn it is to write, among the processes that share one database file.

Rules of this file: SQLite's own busy handler lets a waiting process starve, because nobody queues. Two locked files
make a queue of one: take *next*, wait for *current*, let *next* go, write, let *current* go. Whoever has *next* is
the following writer for certain, so a process that has just written cannot overtake it. The locks are flock(2) on
files of their own: the kernel drops them when a process dies, and closing them does not disturb SQLite's POSIX locks
(closing any descriptor of the database file itself would). They only order writers; safety is SQLite's own lock.

What they share beside the locks is in the first bytes of *next*, mapped into memory: whether somebody waits, so that
who does not wait can spare itself the first lock, and a count that grows with every change of the tables, so that
what a process knows of them can be used without asking the file.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Callable
from typing import Final

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    # fcntl.flock lets go of the GIL, and a thread that shares it with a busy event loop gets it back half a
    # millisecond later: too much for a call that cannot block. PyDLL keeps the GIL. 0: taken, or given back.
    _flock: Callable[[int, int], int] = ctypes.PyDLL(None).flock
else:  # no flock there: writers fall back to SQLite's lock alone, which is correct and less fair
    LOCK_EX, LOCK_NB, LOCK_UN = 2, 4, 8

    def flock(file: int, how: int) -> None:
        return

    def _flock(file: int, how: int) -> int:
        return 0


_COUNT: Final = struct.Struct("<Q")
_WAITS: Final = 8  # the byte behind the count
_SIZE: Final = 16


class Turnstile:
    """Two lock files beside the database. One thread at a time may use it. A fork would share the locks: do not."""

    def __init__(self, path: str) -> None:
        self._paths = (f"{path}-next", f"{path}-current")
        self._next = -1
        self._current = -1
        self._shared: mmap.mmap | None = None

    def open(self) -> None:
        """Make the lock files; OSError when the folder refuses."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._next = os.open(self._paths[0], flags, 0o600)
        try:
            self._current = os.open(self._paths[1], flags, 0o600)
            if os.fstat(self._next).st_size < _SIZE:
                os.ftruncate(self._next, _SIZE)
            self._shared = mmap.mmap(self._next, _SIZE)
        except (OSError, ValueError):
            self.close()
            raise

    def close(self) -> None:
        """Let go of the files; they stay, since removing a lock file that somebody waits for splits the queue."""
        if self._shared is not None:
            self._shared.close()
        self._shared = None
        for file in (self._next, self._current):
            if file >= 0:
                os.close(file)
        self._next = self._current = -1

    def enter(self, *, wait: bool) -> bool:
        """Whether it is our turn now. With `wait` it blocks until it is (and releases the GIL meanwhile)."""
        if wait:
            return self._wait()
        if self._shared[_WAITS]:  # type: ignore[index]
            if _flock(self._next, LOCK_EX | LOCK_NB):
                return False
            _flock(self._next, LOCK_UN)
        return not _flock(self._current, LOCK_EX | LOCK_NB)

    def _wait(self) -> bool:
        """Only who has *next* touches the byte; should it die, the byte is put right by the next one who waits."""
        assert self._shared is not None
        if _flock(self._next, LOCK_EX | LOCK_NB):
            flock(self._next, LOCK_EX)
        try:
            self._shared[_WAITS] = 1
            if _flock(self._current, LOCK_EX | LOCK_NB):
                flock(self._current, LOCK_EX)
        finally:
            self._shared[_WAITS] = 0
            _flock(self._next, LOCK_UN)
        return True

    def leave(self) -> None:
        """The next one may write."""
        _flock(self._current, LOCK_UN)

    def tables(self) -> bytes:
        """The count of changes of the tables, as bytes to be compared."""
        return self._shared[:_WAITS]  # type: ignore[index]

    def changed_tables(self) -> None:
        """Tables are about to change. Whose turn it is calls this before the change is committed."""
        assert self._shared is not None
        (count,) = _COUNT.unpack(self.tables())
        self._shared[:_WAITS] = _COUNT.pack((count + 1) % 2**64)
