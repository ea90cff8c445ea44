"""What was called and what was delivered: the last 10,000 of each, at most 32 MB.

Rules of this file: an entry is encoded when it comes in, so keeping 10,000 costs little and none changes afterwards.
A token never enters: arguments arrive here without it.
"""

from __future__ import annotations

from collections import deque

from stateroom.emulator.records import Json, dumps

KEPT = 10_000
KEPT_BYTES = 32_000_000  # 25 items of 400 KB make a call of 10 MB


class Ledger:
    """A list under one name (`calls`, `deliveries`), oldest first; each entry carries a label to filter by."""

    def __init__(self, name: str, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        self._name = name
        self._kept, self._kept_bytes = kept, kept_bytes
        self._entries: deque[tuple[str, bytes]] = deque()
        self._size = 0

    def add(self, label: str, entry: Json) -> None:
        data = dumps(entry)
        self._entries.append((label, data))
        self._size += len(data)
        while len(self._entries) > self._kept or (self._size > self._kept_bytes and len(self._entries) > 1):
            self._size -= len(self._entries.popleft()[1])

    def page(self, label: str | None = None) -> bytes:
        """`{"<name>": [...]}` as JSON."""
        kept = [data for mark, data in self._entries if label is None or mark == label]
        return b'{"%b":[%b]}' % (self._name.encode(), b",".join(kept))

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0
