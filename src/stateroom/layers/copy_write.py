"""Writing rows to the target of a copy: chunks, tries, and what is refused by itself.

Rules of this file: every write says what a row is to be, so it may be done twice. What passes (a throttled or busy
store) is waited out; a row that the target does not take is counted with its reason, which holds nothing of its
content, and holds up no other. A unique value that another row still has on its way is freed first: that row comes
again, in this pass or in the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from stateroom.engines.port import Delete, Engine, Put, Write, Written
from stateroom.layers.copy_plan import chunk_of
from stateroom.layers.walking import Wait
from stateroom.model.errors import (
    ConditionFailed,
    InvalidValue,
    ItemTooLarge,
    StateroomError,
    UniqueViolation,
    Unsupported,
)

PATIENCE: Final = 120.0  # seconds in which a store that is busy may come back
FIRST: Final = 0.05
LONGEST: Final = 5.0
AT_ONCE: Final = 4  # commits under way,
WHOLE: Final = 2  # where one takes a whole chunk: the server has one in hand while the next is made (more are slower)
PLATFORMS: Final = 100  # rows under way to a platform, whose engine makes bulk calls of them
_BY_ITSELF: Final = (InvalidValue, ItemTooLarge, Unsupported)
SHOWN: Final = 100  # failures that are kept

T = TypeVar("T")


@dataclass
class Failures:
    """Rows that the target did not take."""

    count: int = 0
    told: list[dict[str, str]] = field(default_factory=list)

    def add(self, write: Write, error: StateroomError) -> None:
        """Note one."""
        self.count += 1
        if len(self.told) < SHOWN:
            row = getattr(write, "id", getattr(write, "stream", ""))
            self.told.append({"datastore": write.table, "team": write.team, "row": row, "reason": str(error)})


async def persist(call: Callable[[], Awaitable[T]], wait: Wait, patience: float = PATIENCE) -> T:
    """The result of a call that may be made twice; what passes is waited out for so many seconds."""
    ends, pause = time.monotonic() + patience, FIRST
    while True:
        try:
            return await call()
        except StateroomError as error:
            if not error.retryable or time.monotonic() >= ends:
                raise
            asked = float(getattr(error, "retry_after", 0.0))
        await wait(max(asked, pause))
        pause = min(LONGEST, 2 * pause)


class Sink:
    """The target."""

    def __init__(self, engine: Engine, wait: Wait) -> None:
        self.engine = engine
        self.failures = Failures()
        self.again = False  # whether another pass must look, because something was put out of the way
        self._wait = wait
        able = engine.capabilities
        self._size = chunk_of(able)
        self._at_once = PLATFORMS if able.hosted else WHOLE if able.atomic_rows is None else AT_ONCE
        self._many = able.atomic_rows != 1

    async def write(self, writes: Sequence[Write]) -> None:
        """All of them, in any order."""
        parts = [writes[start : start + self._size] for start in range(0, len(writes), self._size)]
        for start in range(0, len(parts), self._at_once):
            await asyncio.gather(*(self._part(part) for part in parts[start : start + self._at_once]))

    async def in_order(self, writes: Sequence[Write]) -> list[Written]:
        """All of them, one chunk after another, each whole; their results."""
        done: list[Written] = []
        size = max(1, self._size // 3)  # an append is up to three rows of a commit (dynamodb)
        if self.engine.capabilities.atomic_rows is None:
            size = self._size
        for start in range(0, len(writes), size):
            part = writes[start : start + size]
            done += await persist(lambda part=part: self.engine.commit(part), self._wait)  # type: ignore[misc]
        return done

    async def _part(self, part: Sequence[Write]) -> None:
        try:
            await persist(lambda: self.engine.commit(part), self._wait)
        except UniqueViolation as error:
            if len(part) == 1:
                await self._make_room(part[0], error)
                return
        except ConditionFailed:
            if len(part) == 1:
                return  # what it asked for is so already
        except _BY_ITSELF as error:
            if len(part) == 1:
                self.failures.add(part[0], error)
                return
        else:
            return
        middle = len(part) // 2
        await self._part(part[:middle])
        await self._part(part[middle:])

    async def _make_room(self, write: Write, error: UniqueViolation) -> None:
        """The row that has the value goes: in the source it has another one by now, or is gone."""
        assert isinstance(write, Put)
        holder = await self._holder(write, error)
        if holder is None:
            self.failures.add(write, error)
            return
        self.again = True
        await persist(lambda: self.engine.commit([Delete(write.table, write.team, holder)]), self._wait)
        await self._part([write])

    async def _holder(self, write: Put, error: UniqueViolation) -> str | None:
        """Its id: the key is one of its attributes, and the one whose value leads back to it."""
        current = dict(error.current or {})
        wanted = [str(value) for value in current.values() if isinstance(value, str) and value and value != write.id]
        rows = await self.engine.get(write.table, write.team, wanted) if wanted else []
        return next((row.id for row in rows if row is not None and row.item == current), None)
