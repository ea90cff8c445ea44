"""Simulated time: an event loop whose clock jumps to the next thing that is due.

Rules of this file: nothing waits for real time, so an hour takes as long as its work. Equal work gives equal times. It
is for code without threads, sockets and child processes; the local Slack in memory has none.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
START: Final = 1_800_000_000.0  # Unix seconds: a day in 2027, the same in each run
_TICK: Final = 1e-9  # a sum of floats may fall short of the moment that is due


class _Jumping(selectors.DefaultSelector):
    """Instead of sleeping it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("a simulation waits for something that never comes")
        self.now += max(0.0, timeout) + _TICK
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time; `time()` is in seconds since it began."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """`work` to its end, in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)


def now() -> float:
    """The moment, in Unix seconds."""
    return START + asyncio.get_running_loop().time()
