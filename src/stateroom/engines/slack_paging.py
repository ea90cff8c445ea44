"""Slack's paging: a page ends after `limit` evaluated items or 1 MB of them, matches or not.

Rules of this file: `Tally` is pure and is the rule; `page` reads by it through the port. Both are used for
`paging="slack"` and by the local Slack. The numbers are those of Slack's reference (`apps.datastore.query`: limit 1 to
1000, default 100, 1 MB a page); how an item is measured is DynamoDB's way and is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from stateroom.engines.port import Engine, Query, Row

LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
PAGE_BYTES: Final = 1024 * 1024
STEP: Final = 100  # rows read at once: an item may have 400 KB

Item = Mapping[str, Any]


class SlackPage(NamedTuple):
    """The rows that match, and where the last evaluated one is in the query's order (None: the end was seen).

    A page that is exactly full has a position, although nothing may follow: so has DynamoDB's.
    """

    rows: list[Row]
    position: tuple[Any, ...] | None
    evaluated: int


class Tally:
    """Counts what is evaluated. `take` says whether the next item is still part of the page."""

    __slots__ = ("_limit", "bytes", "evaluated", "full")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.evaluated = 0
        self.bytes = 0
        self.full = False

    def take(self, size: int) -> bool:
        """`size` in bytes. The first item always fits; after the last one that does, `full` is set."""
        if self.full or (self.evaluated and self.bytes + size > PAGE_BYTES):
            self.full = True
            return False
        self.evaluated += 1
        self.bytes += size
        self.full = self.evaluated >= self._limit or self.bytes >= PAGE_BYTES
        return True


def by_id(row: Row) -> tuple[Any, ...]:
    """Where a row is in key order."""
    return (row.id,)


async def page(
    engine: Engine,
    query: Query,
    matches: Callable[[Row], bool],
    size_of: Callable[[Item], int],
    place: Callable[[Row], tuple[Any, ...]] = by_id,
) -> SlackPage:
    """One page. `query` says where to begin and has no condition: `matches` decides on evaluated rows.

    `place`: where a row is in the order of `query`, as the engine's own positions say it.
    """
    tally = Tally(query.limit)
    found: list[Row] = []
    last: tuple[Any, ...] | None = None
    after = query.after
    while True:
        read = await engine.query(replace(query, limit=min(STEP, query.limit - tally.evaluated), after=after))
        for row in read.rows:
            if not tally.take(size_of(row.item)):
                return SlackPage(found, last, tally.evaluated)
            last = place(row)
            if matches(row):
                found.append(row)
        if tally.full:
            return SlackPage(found, last, tally.evaluated)
        if read.position is None:
            return SlackPage(found, None, tally.evaluated)
        after = read.position
