"""When the write-ahead log is due to be checkpointed.

Rules of this file: pure.
"""

from __future__ import annotations

from typing import Final

CHECKPOINT_FRAMES: Final = 1000  # measured: 250 costs more syncs, 4000 slows every read of the log


class Debt:
    """Estimates how many frames the write-ahead log has grown by, since SQLite tells only when it checkpoints."""

    def __init__(self, page_size: int, limit: int = CHECKPOINT_FRAMES) -> None:
        self._page = page_size
        self._limit = limit
        self._owed = 0.0
        self._scale = 1.0

    def wrote(self, rows: int, size: int) -> bool:
        """`rows` rows of together `size` bytes were committed; whether a checkpoint is due."""
        self._owed += 2 + 2 * rows + 1.5 * size / self._page
        return self._owed * self._scale >= self._limit

    def paid(self, frames: int) -> None:
        """A checkpoint found `frames` frames in the log: the estimate learns from it."""
        if self._owed and frames > 0:
            self._scale = min(8.0, max(0.125, frames / self._owed))
        self._owed = 0.0
