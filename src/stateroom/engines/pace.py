"""When a lone write to this machine's disk may be done on the event loop itself.

Rules of this file: pure; times are handed in. A write on the loop thread saves two thread hand-overs (about
half the cost of a commit on a fast disk) but stops every other task for as long as the disk takes. So it is done only
while writes are quick. One slow one in a while is a neighbour's; two in a few are a slow disk, and everything goes
through another thread until about ten in a row were quick again, there: the loop never stops to find out.
"""

from __future__ import annotations

from typing import Final

SLOW: Final = 0.004  # seconds; many times what a commit takes on an ordinary SSD, and near the lag bound of 3 ms
WEIGHT: Final = 0.2  # of the newest commit in the running share of slow ones
AWAY: Final = 0.3  # share from which on commits leave the loop: two of the last few
BACK: Final = 0.05  # share below which they come back


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
