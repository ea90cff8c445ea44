"""How Bolt's parts come to a store: opened on first use, one for each process (sync) or event loop (async).

Rules of this file: a part is made when a module is imported, often before a server forks its workers, so nothing is
opened before it is used, and what a fork left behind is put aside, never touched and never closed. Parts that name the
same URL share one store. A store that was handed in stays its owner's: he opens and closes it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from stateroom import store as asynchronous
from stateroom import sync

R = TypeVar("R")

_lock = threading.Lock()
_stores: dict[tuple[int, str], sync.Store] = {}  # by process and URL; those of a parent process stay, untouched


class _Opened:
    """The stores of one event loop, by URL."""

    def __init__(self) -> None:
        self.stores: dict[str, asynchronous.Store] = {}
        self.lock = asyncio.Lock()


_in_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Opened] = weakref.WeakKeyDictionary()


class Reach:
    """The way to a store for code that does not await."""

    def __init__(self, store: str | sync.Store) -> None:
        self._given = store

    def ask(self, work: Callable[[asynchronous.Store], Coroutine[Any, Any, R]]) -> R:
        """What `work` gives, run with the store on the store's loop."""
        return self.store().ask(work)

    def store(self) -> sync.Store:
        """The store of this process, open."""
        if not isinstance(self._given, str):
            return self._given
        with _lock:
            key = (os.getpid(), self._given)
            if key not in _stores:
                _stores[key] = sync.open(self._given).__enter__()
            return _stores[key]


class AsyncReach:
    """The way to a store for coroutines."""

    def __init__(self, store: str | asynchronous.Store) -> None:
        self._given = store

    async def store(self) -> asynchronous.Store:
        """The store of the running loop, open."""
        if not isinstance(self._given, str):
            return self._given
        opened = _in_loops.setdefault(asyncio.get_running_loop(), _Opened())
        async with opened.lock:
            if self._given not in opened.stores:
                opened.stores[self._given] = await asynchronous.open(self._given).__aenter__()
            return opened.stores[self._given]
