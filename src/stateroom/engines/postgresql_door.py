"""How the single-statement writes of one event loop come together: those that wait go in one transaction and one trip.

Rules of this file: a statement that gives no row has written nothing and harms nobody; one that fails takes the whole
transaction with it, and then each goes alone. While one group is on its way the next one gathers. Statements of a group
are in the order of their keys, so that two processes never wait for each other. A row that somebody holds locked for
long keeps its own writers waiting, and nobody else's: a group gives up on a lock soon, and other groups pass by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, cast

import psycopg

from stateroom.engines.postgresql_errors import is_lost
from stateroom.engines.postgresql_lines import BEGIN, Lines, settle
from stateroom.engines.postgresql_lone import Lone
from stateroom.engines.postgresql_many import parts_of

GROUP: Final = 128  # statements a transaction
AT_ONCE: Final = 2  # groups under way
STUCK: Final = 0.25  # seconds without a step after which one more may go
MOST: Final = 12  # groups under way with those that are stuck; fewer than connections, so that reading goes on
CROWD: Final = 8  # who wait together, of whom a half may go
_LOCKS: Final = "SET LOCAL lock_timeout = '250ms'"

Waiting = tuple[Lone, "asyncio.Future[Sequence[Any] | None]"]


class Door:
    """The lone writes of one loop on their way to the server."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._waiting: list[Waiting] = []
        self._going: set[asyncio.Task[None]] = set()
        self._direct = 0  # that went without a task, because nobody else was about
        self._crowd = 1  # how many the last group was
        self._steps = 0
        self._out = 0  # groups
        self._timer: asyncio.TimerHandle | None = None

    async def join(self, lone: Lone) -> Sequence[Any] | None:
        """The row that the statement gives, or None. Raises psycopg.Error."""
        if self._crowd == 1 and not self._direct and not self._going:
            return await self._by_itself(lone)
        future: asyncio.Future[Sequence[Any] | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lone, future))
        if len(self._going) + self._direct < AT_ONCE:
            self._start()
        elif self._timer is None:
            self._watch()
        return await future

    async def _by_itself(self, lone: Lone) -> Sequence[Any] | None:
        """In the caller's own task, which takes less than one of ours; who comes meanwhile waits as for a group."""
        self._direct += 1
        try:
            found = await self._lines.rows(lone.sql, lone.values)
        except psycopg.Error as error:
            if is_lost(error):
                self._lines.forget()
            raise
        finally:
            self._direct -= 1
            if self._waiting and len(self._going) < AT_ONCE:
                self._start()
        return found[0] if found else None

    async def close(self) -> None:
        """Until all that was asked for is done."""
        while self._going:
            await asyncio.gather(*self._going, return_exceptions=True)

    def _start(self) -> None:
        task = asyncio.ensure_future(self._work())
        self._going.add(task)
        task.add_done_callback(self._going.discard)  # also of one that never began

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(STUCK, self._look, self._steps)

    def _look(self, steps: int) -> None:
        """Let one more go when those under way do not come on while others wait."""
        self._timer = None
        if self._waiting:
            if self._steps == steps and len(self._going) < MOST:
                self._start()
            self._watch()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._next()
        finally:  # not later: those who were answered come again before the task is known to have ended
            self._going.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _next(self) -> None:
        share = self._share()
        group, self._waiting = self._waiting[:share], self._waiting[share:]
        self._steps += 1
        live = [one for one in group if not one[1].done()]
        self._crowd = len(group)
        self._out += 1
        try:
            if len(live) == 1:
                await self._single(*live[0])
            elif live:
                await self._group(sorted(live, key=lambda one: one[0].key))
        finally:
            self._out -= 1
            for _, future in live:
                future.cancel()  # only after an error of ours: nobody shall wait for ever

    def _share(self) -> int:
        """How many of those that wait go now: half of a crowd when no other group is out, so that the server has one
        half in hand while this process makes the other."""
        many = len(self._waiting)
        return min(GROUP, many if many < CROWD or self._out else many // 2)

    async def _single(self, lone: Lone, future: asyncio.Future[Sequence[Any] | None]) -> None:
        try:
            found = await self._lines.rows(lone.sql, lone.values)
        except psycopg.Error as error:
            if is_lost(error):
                self._lines.forget()
            _fail(future, error)
        else:
            if not future.done():
                future.set_result(found[0] if found else None)

    async def _group(self, group: list[Waiting]) -> None:
        parts = parts_of([lone for lone, _ in group])
        try:
            async with self._lines.line() as connection:
                try:
                    asked = [(part.sql, part.values) for part in parts]
                    found = await connection.ask_all((BEGIN, _LOCKS), asked, "COMMIT")
                finally:
                    await settle(connection)
        except psycopg.Error as error:
            if is_lost(error):
                self._lines.forget()
                for _, future in group:
                    _fail(future, error)
                return
            # One of them is at fault, or must wait: each shall say for itself.
            await asyncio.gather(*(self._single(lone, future) for lone, future in group))
        else:
            shares = chain.from_iterable(part.shares(rows) for part, rows in zip(parts, found, strict=True))
            for (_, future), share in zip(group, shares, strict=True):
                if not future.done():
                    future.set_result(share)


def _fail(future: asyncio.Future[Sequence[Any] | None], error: psycopg.Error) -> None:
    if not future.done():
        future.set_exception(error)
