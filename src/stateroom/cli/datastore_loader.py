"""Writing many items: in batches, several under way at once, settled in the order in which they came.

Rules of this file: what is settled is durable, so a place behind it may be written down. An item that the store refuses
is refused alone, with its reason; a store that cannot be reached ends the work. The same key never is under way twice,
so that the last of a file wins.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

from stateroom.model.errors import StateroomError, StoreUnavailable, Throttled

L = TypeVar("L")
Item = dict[str, Any]

ITEMS: Final = 250  # of a batch
BYTES: Final = 1024 * 1024
UNDER_WAY: Final = 4  # batches, so that the engine always has one to commit while others are made ready
TRIES: Final = 8
LONGEST_WAIT: Final = 5.0


class Entry(NamedTuple, Generic[L]):
    """One line: an item to write, or why there is none."""

    line: L
    item: Item | None
    reason: str | None


class Batch(Generic[L]):
    """Entries that are written together."""

    def __init__(self) -> None:
        self.entries: list[Entry[L]] = []
        self.keys: set[str] = set()
        self.size = 0

    @property
    def full(self) -> bool:
        return len(self.entries) >= ITEMS or self.size >= BYTES


class Loader(Generic[L]):
    """Takes items one by one and gives `write` batches of them; it answers with refusals, by position.

    `settled` is called for each batch in order, with every line, its item, and its refusal or None.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Awaitable[Mapping[int, str]]],
        key: str,
        settled: Callable[[list[tuple[L, Item | None, str | None]]], None],
    ) -> None:
        self._store = write
        self._key = key
        self._settled = settled
        self._batch: Batch[L] = Batch()
        self._under_way: deque[tuple[Batch[L], asyncio.Task[list[str | None]]]] = deque()

    async def add(self, line: L, item: Item | None, reason: str | None = None, size: int = 0) -> None:
        """An item to write, or with a `reason` a line that is refused already, or neither: an empty line."""
        key = None if item is None else item.get(self._key)
        if isinstance(key, str):
            await self._apart(key)
            self._batch.keys.add(key)
        self._batch.entries.append(Entry(line, item, reason))
        self._batch.size += size
        if self._batch.full:
            await self.send()

    async def send(self) -> None:
        """Write what was collected, without waiting for it unless too much is under way."""
        batch, self._batch = self._batch, Batch()
        if not batch.entries:
            return
        self._under_way.append((batch, asyncio.ensure_future(self._write(batch))))
        await asyncio.sleep(0)  # let it reach the engine before the next line is read
        while len(self._under_way) >= UNDER_WAY or (self._under_way and self._under_way[0][1].done()):
            await self._settle()

    async def finish(self) -> None:
        """Everything is written and settled."""
        await self.send()
        while self._under_way:
            await self._settle()

    async def stop(self) -> None:
        """Give up: nothing goes on behind the caller's back."""
        tasks = [task for _, task in self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _apart(self, key: str) -> None:
        if key in self._batch.keys:
            await self.finish()
        elif any(key in batch.keys for batch, _ in self._under_way):
            while self._under_way:
                await self._settle()

    async def _settle(self) -> None:
        batch, task = self._under_way[0]
        refusals = await task
        self._under_way.popleft()
        done = zip(batch.entries, refusals, strict=True)
        self._settled([(entry.line, entry.item, refusal) for entry, refusal in done])

    async def _write(self, batch: Batch[L]) -> list[str | None]:
        items = [entry.item for entry in batch.entries if entry.item is not None]
        refused = await self._tried(items) if items else {}
        reasons = iter(refused.get(position) for position in range(len(items)))
        return [entry.reason if entry.item is None else next(reasons) for entry in batch.entries]

    async def _tried(self, items: list[Item]) -> Mapping[int, str]:
        for attempt in range(1, TRIES):
            try:
                return await self._store(items)
            except (StoreUnavailable, Throttled) as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(_wait(error, attempt))
        return await self._store(items)


def _wait(error: StateroomError, attempt: int) -> float:
    """Seconds before the next try: what the store asks for, else doubled each time, never in step with others."""
    asked = error.retry_after if isinstance(error, Throttled) else 0.0
    return max(asked, min(LONGEST_WAIT, 0.05 * (1 << attempt)) * random.uniform(0.5, 1.0))
