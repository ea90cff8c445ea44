"""Carrying events to apps: one attempt after the other, on Slack's schedule, until an app takes them.

Rules of this file: an event that waits for a retry is on record before the wait starts. How an app is reached is
`lines.py`'s to know; what an outcome means for the rest of the world is decided by the `Courier` that is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from stateroom.emulator.lines import Lines, Outcome
from stateroom.emulator.records import App, Pending

PARALLEL = 50


class Courier(Protocol):
    """What the deliverer needs from the workspace."""

    def address_of(self, pending: Pending) -> App | None: ...

    def judge(self, pending: Pending, outcome: Outcome) -> Outcome: ...

    async def settle_attempt(self, pending: Pending, outcome: Outcome) -> bool: ...


class Deliverer:
    """Runs one task for each event on its way."""

    def __init__(self, courier: Courier, lines: Lines, clock: Callable[[], float]) -> None:
        self._courier = courier
        self._lines = lines
        self._clock = clock
        self._slots = asyncio.Semaphore(PARALLEL)
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, pending: list[Pending]) -> None:
        for one in pending:
            task = asyncio.create_task(self._carry(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, pending: Pending) -> None:
        going = True
        while going:
            await asyncio.sleep(max(0.0, pending.due - self._clock()))
            async with self._slots:
                app = self._courier.address_of(pending)
                if app is None:
                    return
                outcome = self._courier.judge(pending, await self._lines.event(app, pending))
            going = await self._courier.settle_attempt(pending, outcome)
