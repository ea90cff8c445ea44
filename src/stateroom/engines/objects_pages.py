"""Pages of streams, walks over all streams of a log, and the entries in it that have ended.

Rules of this file: blocking; it only reads. Expired entries are found by the lists of turns, which say when each ends,
so that a sweep reads two or three objects a stream and the entries that it will take.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final

from stateroom.engines import objects_names as names
from stateroom.engines.decide import alive
from stateroom.engines.objects_forms import ENTRY, ERASED, SNAPSHOT, TURNS, Entry, read, wrong
from stateroom.engines.objects_items import Listings, Reader, ended
from stateroom.engines.objects_names import Stream
from stateroom.engines.objects_streams import Look, Streams
from stateroom.engines.port import Page, Query, Row
from stateroom.expr.evaluate import evaluate

AHEAD: Final = 32  # entries read at once where a condition leaves out some


class Pages:
    """Reads the streams of all logs."""

    def __init__(self, reader: Reader, streams: Streams, listings: Listings) -> None:
        self._reader = reader
        self._streams = streams
        self._listings = listings

    def page(self, query: Query, now: float) -> Page:
        """A page of one stream."""
        stream = Stream(query.table, query.team or "", query.equals[0])
        look = self._streams.look(stream)
        low, high = query.low or 1, look.last + 1 if query.high is None else query.high
        after = None if query.after is None else int(query.after[0])
        low = max(1, -int(-low // 1), 1 if query.descending or after is None else after + 1)
        high = min(look.last + 1, -int(-high // 1), high if not query.descending or after is None else after)
        wanted = range(low, high)[::-1] if query.descending else range(low, high)
        rows: list[Row] = []
        for entry in self._entries(stream, look, wanted, query):
            row = entry.row(stream)
            if alive(row, now) is None or (query.condition is not None and not evaluate(query.condition, row.item)):
                continue
            if len(rows) == query.limit:
                return Page(rows, (rows[-1].version,))
            rows.append(row)
        return Page(rows, None)

    def whole(self, query: Query) -> Page:
        """A page of a walk over every entry of every stream."""
        place = (query.table, query.team, "streams")
        listing = self._listings.take(place, query.after)
        if listing is None:
            listing = self._listed(query.table, query.team)
        team, name, number = ("", "", 0) if query.after is None else (*query.after, "", 0)[:3]
        rows: list[Row] = []
        for stream in listing:
            if (stream.team, stream.name) < (team, name):
                continue
            first = number + 1 if (stream.team, stream.name) == (team, name) else 1
            for row in self._of(stream, first, query):
                if len(rows) == query.limit:
                    last = rows[-1]
                    position = (last.team, last.id.partition("/")[0], last.version)
                    self._listings.keep(place, position, listing)
                    return Page(rows, position)
                rows.append(row)
        self._listings.keep(place, None, listing)
        return Page(rows, None)

    def expired(self, query: Query, now: float) -> Page:
        """Entries that have ended and still hold something, earliest first."""
        rows = heapq.nsmallest(
            query.limit + 1,
            (
                row
                for stream in self._listed(query.table, query.team)
                for row in self._ended(stream, now)
                if query.after is None or ended(row) > query.after
                if query.condition is None or evaluate(query.condition, row.item)
            ),
            key=ended,
        )
        return Page(rows[: query.limit], ended(rows[query.limit - 1]) if len(rows) > query.limit else None)

    def _ended(self, stream: Stream, now: float) -> list[Row]:
        look = self._streams.look(stream)
        settled = look.snapshot.settled if look.snapshot else 0
        ends = self._streams.ends(stream, look)
        loose = look.snapshot.loose if look.snapshot else frozenset()
        asked = sorted(n for n, at in ends.items() if n > settled and (at <= now or n in loose))
        found = self._streams.entries(stream, look, asked)
        rows = [entry.row(stream) for entry in found.values() if entry.expires_at and entry.expires_at <= now]
        lasting = [n for n in ends if n > settled and not (n in asked and _is_over(found.get(n)))]
        over = min(lasting) - 1 if lasting else look.last
        if over > settled:
            self._streams.settle(stream, look, over)
        return rows

    def _of(self, stream: Stream, first: int, query: Query) -> Iterator[Row]:
        look = self._streams.look(stream)
        for entry in self._entries(stream, look, range(first, look.last + 1), query):
            row = entry.row(stream)
            if query.condition is None or evaluate(query.condition, row.item):
                yield row

    def _entries(self, stream: Stream, look: Look, wanted: range, query: Query) -> Iterator[Entry]:
        """These entries in their order, read some at a time; what the bucket's own rules removed is left out."""
        ahead = min(query.limit + 1, 256) if query.condition is None else AHEAD
        left = wanted
        while left:
            some, left = left[:ahead], left[ahead:]
            found = self._streams.entries(stream, look, list(some))
            for number in some:
                if number in found:
                    yield found[number]
            if look.first > 1:
                left = range(max(left.start, look.first), left.stop) if left.step > 0 else left
                if left.step < 0 and left and left[0] < look.first:
                    return

    def _listed(self, table: str, team: str | None) -> list[Stream]:
        """All streams that have a folder, by team and name."""
        folder = names.log(table)
        teams = [team] if team is not None else [self._text(folder, name) for name in self._reader.folders(folder)]
        return sorted(stream for one in teams for stream in self._streams_of(table, one))

    def _streams_of(self, table: str, team: str) -> Iterator[Stream]:
        folder = f"{names.log(table)}/{names.part(team)}"
        for name in self._reader.folders(folder):
            if table == names.THREADS:
                for inner in self._reader.folders(f"{folder}/{name}"):
                    thread = names.thread_of(name, inner)
                    if thread is None:
                        raise wrong(f"{folder}/{name}", "a folder that Stateroom did not make lies among its own")
                    yield Stream(table, team, thread)
            else:
                yield Stream(table, team, self._text(folder, name))

    def _text(self, folder: str, name: str) -> str:
        text = names.text_of(name)
        if text is not None:
            return text
        if names.is_hashed(name):
            for one in self._reader.names(f"{folder}/{name}"):
                found = self._reader.one(f"{folder}/{name}/{one}")
                if found is not None:
                    return _named(found.data, f"{folder}/{name}/{one}")
        raise wrong(f"{folder}/{name}", "a folder that Stateroom did not make lies among its own")


def _named(data: bytes, key: str) -> str:
    """The stream that an object says it is of."""
    stream: Any = read(data, key, ENTRY, ERASED, SNAPSHOT, TURNS).get("stream")
    if not isinstance(stream, str):
        raise wrong(key, "the object lacks what it must have")
    return stream


def _is_over(entry: Entry | None) -> bool:
    """An entry that cannot expire any more."""
    return entry is None or not entry.expires_at
