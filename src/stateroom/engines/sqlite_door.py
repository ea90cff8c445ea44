"""How the writes of one event loop come together before they are written.

Rules of this file: it decides only where and with whom a batch is committed, never what; so what it guesses about the
traffic is never more than a matter of speed. A task that writes while no other does commits at once, on the loop. As
soon as two tasks want to write in the same turn of the loop, writes wait for the end of the turn and go together; the
group is committed by the writer thread, so that the loop goes on meanwhile. One door belongs to one loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from stateroom.engines.port import Written
from stateroom.engines.sqlite_batch import Batch, settle
from stateroom.engines.sqlite_writer import Writer

PATIENCE: Final = 16  # turns with a single writer after which the crowd is over
TURN: Final = 0.001  # seconds that one task may go on committing before it lets the loop's other tasks run


class Door:
    """The writes of one loop on their way to `writer`. `timeout`: seconds that a batch may wait to be started."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: Writer, timeout: float) -> None:
        self.loop = loop
        self._writer = writer
        self._timeout = timeout
        self._waiting: list[Batch] = []
        self._crowd = 0
        self._task: asyncio.Task[Any] | None = None  # who has written in this turn of the loop
        self._began = 0.0

    def join(self, batch: Batch) -> asyncio.Future[list[Written]]:
        """Have `batch` written with what else is wanted in this turn; to be awaited for its results."""
        batch.future = future = self.loop.create_future()
        self._waiting.append(batch)
        if len(self._waiting) == 1:
            self.loop.call_soon(self.flush)
        return future

    def flush(self) -> None:
        """The turn is over: all that wait go, together."""
        group, self._waiting = self._waiting, []
        if not group:
            return
        self._crowd = PATIENCE if len(group) > 1 else max(0, self._crowd - 1)
        # Rows to keep are one statement, so that the thread asks for the GIL twice and the loop goes on meanwhile
        # (measured at ingress: a seventh less time a request than on the loop; for other groups it is the reverse).
        if (len(group) == 1 or not group[0].keep) and self._writer.commit_here(group):
            settle(group)
            return
        group[-1].timer = self.loop.call_later(self._timeout, self._writer.give_up, group)
        self._writer.hand(group)

    async def free(self) -> bool:
        """Whether the running task may commit here and now, as the only one that writes in this turn of the loop."""
        alone = self._alone()
        if alone is None:
            await asyncio.sleep(0)
            alone = self._alone()
        return bool(alone)

    def _alone(self) -> bool | None:
        """None: it is, but has gone on for long; it is to let the others run and ask again."""
        if self._crowd or self._waiting:
            return False
        task = asyncio.current_task(self.loop)
        if self._task is None:
            self._task = task
            self._began = time.monotonic()
            self.loop.call_soon(self._turned)
            return True
        if task is not self._task:
            self._crowd = PATIENCE
            return False
        return True if time.monotonic() - self._began < TURN else None

    def _turned(self) -> None:
        self._task = None
