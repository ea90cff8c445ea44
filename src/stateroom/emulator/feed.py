"""The live feed behind `GET /_sim/stream`: numbered news as server-sent events, resumable.

Rules of this file: numbers only rise, also over a restart (the first one comes from the clock), so a page that names
a number from before knows nothing wrong. What is kept for resuming is bounded in bytes; whoever is further behind is
told to read the whole state again (`reset`). A slow reader holds nobody up and keeps nothing alive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import msgspec

from stateroom.emulator.records import Json

KEPT_BYTES = 2_000_000
HEARTBEAT_SECONDS = 10.0


class Feed:
    """Publishes news to any number of readers."""

    def __init__(self, first: int, kept_bytes: int = KEPT_BYTES) -> None:
        self.cursor = first
        self.readers = 0
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._kept_bytes = kept_bytes
        self._wake = asyncio.Event()
        self._closed = False

    def publish(self, news: Json) -> None:
        self.cursor += 1
        frame = b"id: %d\ndata: %b\n\n" % (self.cursor, msgspec.json.encode(news))
        self._frames.append(frame)
        self._size += len(frame)
        while self._size > self._kept_bytes and len(self._frames) > 1:
            self._size -= len(self._frames.popleft())
        self._signal()

    def close(self) -> None:
        """Readers end; nobody waits for them."""
        self._closed = True
        self._signal()

    def _signal(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    def _since(self, after: int) -> list[bytes] | None:
        """The frames after a number; None when they are no longer (or not yet) here."""
        missing = self.cursor - after
        if missing < 0 or missing > len(self._frames):
            return None
        return [self._frames[index] for index in range(len(self._frames) - missing, len(self._frames))]

    async def follow(self, after: int | None, heartbeat: float = HEARTBEAT_SECONDS) -> AsyncIterator[bytes]:
        """Frames after number `after` (None: from now on) until the feed is closed."""
        self.readers += 1
        try:
            position = self.cursor if after is None else after
            yield b": connected\n\n"
            while not self._closed:
                wake = self._wake
                frames = self._since(position)
                position = self.cursor
                if frames is None:
                    yield b'id: %d\ndata: {"type":"reset"}\n\n' % position
                elif frames:
                    yield b"".join(frames)
                elif not await _woken(wake, heartbeat):
                    yield b": still here\n\n"
        finally:
            self.readers -= 1


async def _woken(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
