"""What a walk met in the source, as a digest a stretch of rows, so that the next walk knows what is as it was.

Rules of this file: it looks at the source's rows alone. A digest is noted when the target has been made what the
stretch says; whoever takes something out of the target has the table forgotten. A digest and a place are kept a page,
in the process and nowhere else: a copy that was begun anew compares both stores.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import Any, Final

import msgspec

from stateroom.engines.port import Row
from stateroom.layers.copy_rows import WIDTH

Place = tuple[Any, ...]
LAST: Final[Place] = ()  # behind every row
PAGES: Final = 3  # of the source in one stretch, at most: all that is held

Page = tuple[list[Row], Any]
_written: Final = msgspec.json.Encoder(decimal_format="number").encode  # names in their order: another one costs a look


class Seen:
    """One table: by the last place of each stretch, in order, the digest of its rows."""

    def __init__(self) -> None:
        self._digests: dict[Place, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._digests)

    @property
    def ends(self) -> Sequence[Place]:
        """Where the stretches end; the last is LAST."""
        return list(self._digests)

    def note(self, end: Place, digest: bytes) -> None:
        """The target has the rows of this digest and no others behind the stretch before, up to `end`."""
        self._digests[end] = digest

    def ended(self) -> None:
        """The walk is over; of a table that is not there it has met nothing."""
        self._digests.setdefault(LAST, digest_of(()))

    def same(self, end: Place, digest: bytes) -> bool:
        """Whether the stretch has its rows still, to each value."""
        return self._digests.get(end) == digest

    def become(self, other: Seen) -> None:
        """Know what `other` does."""
        self._digests = other._digests

    def forget(self) -> None:
        """Nothing is known."""
        self._digests.clear()


def digest_of(rows: Sequence[Row]) -> bytes:
    """A digest of rows in their order: places, versions, values and ends."""
    return hashlib.blake2b(_written(rows), digest_size=WIDTH).digest()


async def stretches(
    pages: AsyncIterable[Page], ends: Sequence[Place], place: Callable[[Row], Place]
) -> AsyncGenerator[tuple[list[Row], Place], None]:
    """The rows of all pages, cut behind each of `ends`, and where a stretch has become too long; the last at LAST."""
    waiting, rest, held = deque(end for end in ends if end != LAST), list[Row](), 0
    async for rows, _ in pages:
        if held >= PAGES and rest:
            end = place(rest[-1])
            if waiting and waiting[0] == end:
                waiting.popleft()  # or it would stand for nothing, and what it stood for could go unseen
            yield rest, end
            rest, held = [], 0
        held += 1
        for row in rows:
            here = place(row)
            while waiting and here > waiting[0]:
                yield rest, waiting.popleft()
                rest, held = [], 1
            rest.append(row)
    while waiting:
        yield rest, waiting.popleft()
        rest = []
    yield rest, LAST
