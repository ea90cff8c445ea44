"""What a handle is given from outside: time, chance and sleep; and how it tries again.

Rules of this file: nothing else of the handle looks at a clock, rolls dice or waits. Retries are bounded and jittered:
writers that met once would otherwise meet again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

ATTEMPTS: Final = 60
_FIRST: Final = 0.001  # seconds; about what a commit takes
_LONGEST: Final = 0.25
_IMMEDIATE: Final = 1  # retries without a pause: most often the other one is done already


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`clock`: seconds since 1970. `chance`: evenly from 0 to below 1. `sleep`: waits that many seconds."""

    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def pause(attempt: int, chance: float) -> float:
    """Seconds to wait before retry `attempt` (from 1): any time up to a limit that doubles."""
    return chance * min(_LONGEST, _FIRST * 2.0 ** min(attempt, 16))


async def attempts(around: Surroundings, limit: int = ATTEMPTS) -> AsyncIterator[int]:
    """0, 1, 2, ... up to `limit` tries, with the pauses between them."""
    for attempt in range(limit):
        if attempt > _IMMEDIATE:
            await around.sleep(pause(attempt, around.chance()))
        yield attempt
