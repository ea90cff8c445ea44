"""What was called and what was delivered: the last 10,000 of each.

Rules of this file: an entry is encoded when it comes in, so keeping 10,000 costs little and none changes afterwards.
A token never enters: arguments arrive here without it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from stateroom.emulator.records import Json

KEPT = 10_000


class Ledger:
    """A list under one name (`calls`, `deliveries`), oldest first; each entry carries a label to filter by."""

    def __init__(self, name: str, kept: int = KEPT) -> None:
        self._name = name
        self._entries: deque[tuple[str, bytes]] = deque(maxlen=kept)

    def add(self, label: str, entry: Json) -> None:
        self._entries.append((label, msgspec.json.encode(entry)))

    def page(self, label: str | None = None) -> bytes:
        """`{"<name>": [...]}` as JSON."""
        kept = [data for mark, data in self._entries if label is None or mark == label]
        return b'{"%b":[%b]}' % (self._name.encode(), b",".join(kept))

    def clear(self) -> None:
        self._entries.clear()
