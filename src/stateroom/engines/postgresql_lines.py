"""Connections to the server, one set for each event loop: idle ones are used again, broken ones are let go.

Rules of this file: autocommit, so that nothing is left open by accident; nothing is kept in a session (settings,
temporary tables, LISTEN), since a transaction-mode pooler gives it to somebody else. `pooled` says that there is one:
then no statement is prepared either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from stateroom.engines.postgresql_errors import Unreachable

MOST: Final = 16  # connections of one loop
PATIENCE: Final = 10.0  # seconds for making one
PREPARED: Final = 500  # statements kept by one connection


class Lines:
    """The connections of one loop. `line()` lends one; who lends the last one makes others wait."""

    def __init__(self, conninfo: str, *, pooled: bool, most: int = MOST) -> None:
        self._conninfo = conninfo
        self._pooled = pooled
        self._idle: list[AsyncConnection[Any]] = []
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def take(self) -> AsyncConnection[Any] | None:
        """An idle connection, at once."""
        while self._idle:
            found = self._idle.pop()
            if not found.closed:
                return found
            self._leave()
        return None

    def give(self, connection: AsyncConnection[Any]) -> None:
        """Back from who took it."""
        if connection.closed or self._closed or self._in_transaction(connection):
            asyncio.ensure_future(connection.close())  # noqa: RUF006, nothing waits for it
            self._leave()
            return
        self._idle.append(connection)
        self._wake()

    @asynccontextmanager
    async def line(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection for a while. Raises psycopg.OperationalError when the server cannot be reached."""
        connection = self.take()
        while connection is None:
            if self._free:
                connection = await self._make()
                break
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await waiting
            finally:
                if not waiting.done() or waiting.cancelled():
                    self._waiting = deque(w for w in self._waiting if w is not waiting)
            connection = self.take()
        try:
            yield connection
        finally:
            self.give(connection)

    def forget(self) -> None:
        """The idle ones may be broken: the server was restarted."""
        idle, self._idle = self._idle, []
        for connection in idle:
            asyncio.ensure_future(connection.close())  # noqa: RUF006
            self._leave()

    async def close(self) -> None:
        """Let go of the idle ones; the others go when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _make(self) -> AsyncConnection[Any]:
        self._free -= 1
        try:
            made = await AsyncConnection.connect(
                self._conninfo,
                autocommit=True,
                prepare_threshold=None if self._pooled else 0,
                connect_timeout=int(PATIENCE),
            )
        except psycopg.OperationalError as error:
            self._leave()
            if error.sqlstate is not None:
                raise
            raise Unreachable from error
        except BaseException:
            self._leave()
            raise
        made.prepared_max = PREPARED
        return made

    def _leave(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    @staticmethod
    def _in_transaction(connection: AsyncConnection[Any]) -> bool:
        return connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
