"""Connections to the server, one set for each event loop: idle ones are used again, broken ones are let go.

Rules of this file: autocommit, so that nothing is left open by accident; nothing is kept in a session (settings,
temporary tables, LISTEN), since a transaction-mode pooler gives it to somebody else. `pooled` says that there is one:
then no statement is prepared either. Who borrows a connection gives it back by a deadline, so that a server that
stands still ends in an error; a network that is gone is found by TCP itself.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NamedTuple, Protocol

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.pq import TransactionStatus

from stateroom.engines.postgresql_errors import Stalled, Unreachable
from stateroom.engines.postgresql_line import Line

MOST: Final = 16  # connections of one loop
PREPARED: Final = 500  # statements kept by one connection
QUIET: Final = 0.05  # seconds after which an idle one is looked at before it is used
BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"  # whatever the database's default is


class Asks(Protocol):
    """What statements are sent by: a connection, or what stands for one."""

    async def execute(self, query: str, params: Sequence[Any] | None = None) -> AsyncCursor[Any]:
        """Send one; its rows are tuples."""

    def pipeline(self) -> AbstractAsyncContextManager[Any]:
        """Those of the block in one round trip."""


class Frame(NamedTuple):
    """What stands around the statements of a batch: how it begins, ends, is undone. `commits`: its end is final."""

    begin: str
    end: str
    undo: Callable[[Any], Awaitable[None]]
    commits: bool


class Lines:
    """The connections of one loop. `line()` lends one; who lends the last one makes others wait."""

    def __init__(self, conninfo: str, *, pooled: bool, deadline: float, most: int = MOST) -> None:
        self.deadline = deadline
        self.making = asyncio.Lock()  # who has two connections at once; many of them would wait for each other
        self._conninfo = conninfo
        self._pooled = pooled
        self._idle: list[tuple[Line, float]] = []
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._out: dict[Line, float] = {}
        self._late: set[Line] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self) -> Line | None:
        """An idle connection, at once."""
        while self._idle:
            found, since = self._idle.pop()
            if found.usable and (time.monotonic() - since < QUIET or _sound(found)):
                return found
            self._drop(found)
        return None

    def give(self, connection: Line) -> None:
        """Back from who took it."""
        self._out.pop(connection, None)
        self._late.discard(connection)
        pgconn = connection.pgconn
        # Not idle: in a transaction, or gone. A caller that left in the middle of a group may leave the connection in
        # pipeline mode, in which nothing that is sent later is ever answered.
        if self._closed or pgconn.transaction_status != TransactionStatus.IDLE or pgconn.pipeline_status:
            self._drop(connection)
            return
        self._idle.append((connection, time.monotonic()))
        self._wake()

    @asynccontextmanager
    async def line(self, *, patient: bool = False) -> AsyncIterator[Line]:
        """A connection for a while; `patient`: without a deadline. Raises psycopg.Error when there is none to be had,
        Stalled when the deadline has passed."""
        connection = self.take()
        while connection is None:
            if self._free:
                connection = await self._make()
                break
            await self._turn()
            connection = self.take()
        if not patient:
            self._lent(connection)
        try:
            yield connection
        except psycopg.OperationalError:
            self._check_late(connection)
            raise
        finally:
            self.give(connection)

    async def rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement, by a short way: as `line` does it."""
        connection = self.take()
        if connection is None:
            async with self.line() as lent:
                return await lent.ask(statement, values)
        self._lent(connection)
        try:
            return await connection.ask(statement, values)
        except psycopg.OperationalError:
            self._check_late(connection)
            raise
        finally:
            self.give(connection)

    def forget(self) -> None:
        """The idle ones may be broken: the server was restarted."""
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            self._drop(connection)

    async def close(self) -> None:
        """Let go of the idle ones; the others go when they are given back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            await connection.close()

    def abandon(self) -> None:
        """Let go of them at once: their loop runs no more."""
        self._closed = True
        for connection, _ in self._idle:
            connection.pgconn.finish()
        self._idle = []

    # Deadlines: one timer for all that is lent, since one for each call costs more than the rest of a call here.

    def _lent(self, connection: Line) -> None:
        self._out[connection] = time.monotonic() + self.deadline
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.deadline / 8, self._look)

    def _look(self) -> None:
        """Hang up on the server where an answer is late: who waits for it hears so at once."""
        self._timer = None
        now = time.monotonic()
        for connection, ends in self._out.items():
            if ends < now and connection not in self._late:
                self._late.add(connection)
                connection.hang_up()
        if self._out:
            self._timer = asyncio.get_running_loop().call_later(self.deadline / 8, self._look)

    def _check_late(self, connection: Line) -> None:
        """Stalled when it was we who hung up."""
        if connection in self._late:
            raise Stalled

    async def _turn(self) -> None:
        """Until somebody gives one back."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._wake()  # it was this one's turn: the next one's then
            raise

    async def _make(self) -> Line:
        self._free -= 1
        try:
            made = await Line.connect(self._conninfo, autocommit=True, prepare_threshold=None if self._pooled else 0)
        except psycopg.OperationalError as error:
            self._leave()
            raise Unreachable(error) from None
        except BaseException:
            self._leave()
            raise
        made.prepared_max = PREPARED
        return made

    def _drop(self, connection: Line) -> None:
        if not connection.closed:
            connection.pgconn.finish()
        self._leave()

    def _leave(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return


async def settle(connection: AsyncConnection[Any]) -> None:
    """End the transaction that an error has left open; with a connection that is gone it has ended."""
    if connection.closed or connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.pgconn.finish()
    if isinstance(connection, Line):
        connection.forget()


ALONE: Final = Frame(BEGIN, "COMMIT", settle, commits=True)


def _sound(connection: Line) -> bool:
    """Whether the server has not hung up meanwhile: then there is something to be read, and after that the end."""
    for _ in range(2):
        poll = select.poll()
        poll.register(connection.pgconn.socket, select.POLLIN)
        if not poll.poll(0):
            return True
        try:
            connection.pgconn.consume_input()
        except psycopg.OperationalError:
            return False
    return False
