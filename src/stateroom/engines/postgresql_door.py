"""How the single-statement writes of one event loop come together: those that wait go in one transaction and one trip.

Rules of this file: a statement that gives no row has written nothing and harms nobody; one that fails takes the whole
transaction with it, and then each goes alone. While one group is on its way the next one gathers. Statements of a group
are in the order of their keys, so that two processes never wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from stateroom.engines.postgresql_errors import is_lost
from stateroom.engines.postgresql_lines import Lines
from stateroom.engines.postgresql_lone import Lone

GROUP: Final = 128  # statements a transaction
AT_ONCE: Final = 2  # groups under way

Waiting = tuple[Lone, "asyncio.Future[Sequence[Any] | None]"]


class Door:
    """The lone writes of one loop on their way to the server."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._waiting: list[Waiting] = []
        self._going: set[asyncio.Task[None]] = set()

    async def join(self, lone: Lone) -> Sequence[Any] | None:
        """The row that the statement gives, or None. Raises psycopg.Error."""
        future: asyncio.Future[Sequence[Any] | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lone, future))
        if len(self._going) < AT_ONCE:
            self._start()
        return await future

    async def close(self) -> None:
        """Until all that was asked for is done."""
        while self._going:
            await asyncio.gather(*self._going, return_exceptions=True)

    def _start(self) -> None:
        task = asyncio.ensure_future(self._work())
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def _work(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            live = [one for one in group if not one[1].done()]
            if len(live) == 1:
                await self._single(*live[0])
            elif live:
                await self._group(sorted(live, key=lambda one: one[0].key))

    async def _single(self, lone: Lone, future: asyncio.Future[Sequence[Any] | None]) -> None:
        try:
            async with self._lines.line() as connection:
                found = await (await connection.execute(lone.sql, lone.values)).fetchone()
        except psycopg.Error as error:
            if is_lost(error):
                self._lines.forget()
            _fail(future, error)
        else:
            if not future.done():
                future.set_result(found)

    async def _group(self, group: list[Waiting]) -> None:
        try:
            async with self._lines.line() as connection:
                try:
                    async with connection.pipeline():
                        await connection.execute("BEGIN")
                        cursors = [await connection.execute(lone.sql, lone.values) for lone, _ in group]
                        await connection.execute("COMMIT")
                    found = [await cursor.fetchone() for cursor in cursors]
                finally:
                    if not connection.closed and _open(connection):
                        await connection.execute("ROLLBACK")
        except psycopg.Error as error:
            if is_lost(error):
                self._lines.forget()
                for _, future in group:
                    _fail(future, error)
                return
            for lone, future in group:  # one of them is at fault: each shall say for itself
                await self._single(lone, future)
        else:
            for (_, future), row in zip(group, found, strict=True):
                if not future.done():
                    future.set_result(row)


def _open(connection: psycopg.AsyncConnection[Any]) -> bool:
    return connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE


def _fail(future: asyncio.Future[Sequence[Any] | None], error: psycopg.Error) -> None:
    if not future.done():
        future.set_exception(error)
