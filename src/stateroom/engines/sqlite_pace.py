"""When a lone write may be committed on the event loop itself, and when the log is due to be checkpointed.

Rules of this file: pure; times are handed in. A commit on the loop thread saves two thread hand-overs (about
half the cost of a commit on a fast disk) but stops every other task for as long as the disk takes. So it is done only
while commits are quick. One slow commit in a while is a neighbour's; two in a few are a slow disk, and everything goes
through the writer thread until about ten in a row were quick again, there: the loop never stops to find out.
"""

from __future__ import annotations

from typing import Final

SLOW: Final = 0.004  # seconds; many times what a commit takes on an ordinary SSD, and near the lag bound of 3 ms
WEIGHT: Final = 0.2  # of the newest commit in the running share of slow ones
AWAY: Final = 0.3  # share from which on commits leave the loop: two of the last few
BACK: Final = 0.05  # share below which they come back
CHECKPOINT_FRAMES: Final = 1000  # measured: 250 costs more syncs, 4000 slows every read of the log


class Pace:
    """Remembers how long commits took lately, wherever they ran."""

    def __init__(self) -> None:
        self._share = 0.0
        self.quick = True  # whether a commit may run on the loop thread

    def took(self, seconds: float) -> None:
        """A commit has taken `seconds`."""
        if seconds <= SLOW:
            if self._share:
                self._share *= 1 - WEIGHT
                if self._share < BACK:
                    self._share, self.quick = 0.0, True
            return
        self._share += (1 - self._share) * WEIGHT
        if self._share > AWAY:
            self.quick = False


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
