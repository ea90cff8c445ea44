"""When a lone write may be committed on the event loop itself, and when the log is due to be checkpointed.

Rules of this file: pure; times are handed in, in seconds of a monotonic clock. A commit on the loop thread saves two
thread hand-overs (about half the cost of a commit on a fast disk) but stops every other task for as long as the disk
takes. So it is done only while commits are quick: when slow ones have taken more than `PATIENCE` within about a second,
everything goes through the writer thread for a window of one second, doubling to a minute while they stay slow.
"""

from __future__ import annotations

from typing import Final

SLOW: Final = 0.004  # seconds; four times what a commit takes on an ordinary SSD, and near the lag bound of 3 ms
PATIENCE: Final = 0.012  # seconds of slow commits, each second's worth halved: one in a while is not yet a slow disk
WINDOW: Final = 1.0
WINDOW_LIMIT: Final = 60.0
CHECKPOINT_FRAMES: Final = 1000  # measured: 250 costs more syncs, 4000 slows every read of the log


class Pace:
    """Remembers how long commits took lately."""

    def __init__(self) -> None:
        self._window = WINDOW
        self._until = 0.0
        self._lost = 0.0
        self._seen = 0.0

    def quick(self, now: float) -> bool:
        """Whether a commit may run on the loop thread."""
        return now >= self._until

    def took(self, seconds: float, now: float) -> None:
        """A commit has taken `seconds` and ended at `now`."""
        if seconds <= SLOW:
            if now >= self._until + self._window:
                self._window = WINDOW
            return
        self._lost = self._lost * 0.5 ** (now - self._seen) + seconds
        self._seen = now
        if self._lost <= PATIENCE:
            return
        if now >= self._until:
            self._until = now + self._window
            self._window = min(self._window * 2, WINDOW_LIMIT)
        else:  # still slow inside of the window: it must not end before quick commits were seen again
            self._until = max(self._until, now + WINDOW)


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
