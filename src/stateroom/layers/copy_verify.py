"""Whether two stores hold the same: by count and by a digest of the content, each datastore and team by itself.

Rules of this file: both sides are read whole, a page at a time; what is kept is a number and a sum a team. Rows past
their expiry at one moment, the same for both, do not count. The order of rows does not count either.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from stateroom.layers.copy_items import Side, ahead
from stateroom.layers.copy_plan import Work
from stateroom.layers.copy_rows import added, alive, carried, digest
from stateroom.layers.walking import Pace


@dataclass(frozen=True)
class Verdict:
    """One datastore of one team. Digests are hexadecimal."""

    datastore: str
    team: str
    source: int
    target: int
    source_digest: str
    target_digest: str

    @property
    def same(self) -> bool:
        """Whether both hold the same."""
        return (self.source, self.source_digest) == (self.target, self.target_digest)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "same": self.same}


Sums = dict[str, tuple[int, int]]


async def verify(source: Side, target: Side, work: Work, held: tuple[str, ...], pace: Pace) -> list[Verdict]:
    """A verdict for each team that has rows of the datastore on either side."""
    now = source.clock()
    mine = await _sums(source, work, held, now, pace)
    theirs = await _sums(target, work, (), now, pace)
    none = (0, 0)
    return [
        Verdict(work.name, team, mine.get(team, none)[0], theirs.get(team, none)[0], *_texts(mine, theirs, team))
        for team in sorted(mine.keys() | theirs.keys())
    ]


def _texts(mine: Sums, theirs: Sums, team: str) -> tuple[str, str]:
    return f"{mine.get(team, (0, 0))[1]:032x}", f"{theirs.get(team, (0, 0))[1]:032x}"


async def _sums(side: Side, work: Work, held: tuple[str, ...], now: float, pace: Pace) -> Sums:
    found: Sums = {}
    async for rows, _ in ahead(side.pages(work.name)):
        for row in rows:
            if not alive(row, now):
                continue
            count, total = found.get(row.team, (0, 0))
            found[row.team] = count + 1, added(total, digest(carried(row, held), log=work.log))
        await pace.batch(len(rows))
    return found
