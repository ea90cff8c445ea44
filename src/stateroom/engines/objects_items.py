"""Rows as objects: read, decide, put if it is still what was read.

Rules of this file: blocking. What a write means is decided by decide.py and nowhere else. A page lists the names of one
team's rows, sorts them by id, and reads those that it needs: object storage is for small datastores. A listing is kept
for the page behind it, so that a walk lists once.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import Any, Final

from stateroom.engines import objects_names as names
from stateroom.engines.decide import alive, decide
from stateroom.engines.objects_bucket import Bucket, Found, Lost, Race, again, settled
from stateroom.engines.objects_forms import gone_data, read_row, row_data, wrong
from stateroom.engines.port import Check, Delete, Page, Put, Query, Row, Update, Written
from stateroom.expr.evaluate import evaluate

AHEAD: Final = 64  # objects read at once where a condition leaves out some
KEPT: Final = 8  # listings kept for the next page

Listing = list[tuple[str, list[str]]]  # teams, and the ids of each, all in order


class Reader:
    """Reads many objects, several at once where that is quicker, never more than asked for."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(bucket.readers, "objects-get") if bucket.readers > 1 else None

    def one(self, key: str) -> Found | None:
        return again(lambda: self._bucket.get(key))

    def many(self, keys: Sequence[str]) -> list[Found | None]:
        if self._pool is None or len(keys) < 2:
            return [self.one(key) for key in keys]
        return list(self._pool.map(self.one, keys))

    def names(self, folder: str, after: str = "") -> list[str]:
        return again(lambda: self._bucket.names(folder, after))

    def folders(self, folder: str) -> list[str]:
        return again(lambda: self._bucket.folders(folder))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


class Listings:
    """Listings by where their walk has come to: whoever goes on there goes on in the same one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()
        self._lock = Lock()

    def take(self, place: tuple[Any, ...], after: tuple[Any, ...] | None) -> list[Any] | None:
        with self._lock:
            return None if after is None else self._kept.get((*place, after))

    def keep(self, place: tuple[Any, ...], position: tuple[Any, ...] | None, listing: list[Any]) -> None:
        """For whoever goes on behind `position`; None: nobody does, the walk has ended."""
        with self._lock:
            if position is None:
                for there in [key for key, kept in self._kept.items() if kept is listing]:
                    del self._kept[there]
                return
            self._kept[*place, position] = listing
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


class Items:
    """The rows of all tables of items."""

    def __init__(self, bucket: Bucket, reader: Reader, listings: Listings) -> None:
        self._bucket = bucket
        self._reader = reader
        self._listings = listings

    def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        """Rows by id, expired ones too."""
        asked = {row_id: names.item(table, team, row_id) for row_id in ids if row_id}
        found = dict(zip(asked, self._reader.many(list(asked.values())), strict=True))
        rows: list[Row | None] = []
        for row_id in ids:
            one = found.get(row_id)
            rows.append(None if one is None else read_row(one.data, asked[row_id], table, team, row_id))
        return rows

    def write(self, write: Put | Update | Delete | Check, now: Callable[[], float]) -> Written:
        """Do it, again and again while others come between. ConditionFailed."""
        key = names.item(write.table, write.team, write.id)
        race = Race(self._bucket.place)
        if (
            type(write) is Put
            and write.condition is None
            and write.guard is None
            and (write.keep or write.if_version == 0)
        ):
            done = self._made(write, key, now())
            if done is not None:
                return done
        while True:
            try:
                return self._tried(write, key, now())
            except Lost:
                race.lost()

    def page(self, query: Query, now: float) -> Page:
        """Rows of one team by id, or all of a walk, or those past their expiry."""
        if query.expired:
            return self._expired(query, now)
        place = (query.table, query.team, query.whole)
        listing = self._listings.take(place, query.after)
        if listing is None:
            listing = self._listed(query.table, query.team)
        rows: list[Row] = []
        for row in self._rows(query, _chosen(listing, query), now):
            if len(rows) == query.limit:
                last = rows[-1]
                position = (last.team, last.id) if query.whole else (last.id,)
                self._listings.keep(place, position, listing)
                return Page(rows, position)
            rows.append(row)
        self._listings.keep(place, None, listing)
        return Page(rows, None)

    # How a write is tried.

    def _made(self, write: Put, key: str, now: float) -> Written | None:
        """A row that is to be absent: one request where it is. None: it is not."""
        done = decide(None, write, now)
        assert done.row is not None
        try:
            settled(self._bucket, key, row_data(write.table, done.row), None)
        except Lost:
            return None
        return done

    def _tried(self, write: Put | Update | Delete | Check, key: str, now: float) -> Written:
        found = self._reader.one(key)
        row = None if found is None else read_row(found.data, key, write.table, write.team, write.id)
        done = decide(row, write, now)
        if not done.changed:
            if type(write) is Delete and not write.expired and found is not None:
                self._bucket.remove([key])  # expired, or a note of one that was removed
            elif found is not None and type(write) is not Check:
                self._bucket.sure(key)
            return done
        tag = None if found is None else found.tag
        if done.row is not None:
            settled(self._bucket, key, row_data(write.table, done.row), tag)
        elif type(write) is Delete:
            assert tag is not None
            self._gone(write, key, tag, 0 if row is None else row.version)
        return done

    def _gone(self, write: Delete, key: str, tag: str, version: int) -> None:
        if self._bucket.drops:
            self._bucket.drop(key, tag)
        elif write.condition is None and write.if_version is None and not write.expired:
            self._bucket.remove([key])
        else:
            settled(self._bucket, key, gone_data(write.table, write.team, write.id, version), tag)

    # How a page is found.

    def _listed(self, table: str, team: str | None) -> Listing:
        """All rows that have an object."""
        folder = names.items(table)
        teams = [team] if team is not None else _texts(self._reader.folders(folder), folder)
        return [(one, sorted(self._ids(table, one))) for one in sorted(teams)]

    def _ids(self, table: str, team: str) -> Iterator[str]:
        folder = f"{names.items(table)}/{names.part(team)}"
        hashed = []
        for name in self._reader.names(folder):
            stem = name.removesuffix(names.END)
            text = names.text_of(stem)
            if text is not None and name.endswith(names.END):
                yield text
            elif names.is_hashed(stem) and name.endswith(names.END):
                hashed.append(f"{folder}/{name}")
            else:
                raise wrong(f"{folder}/{name}", "an object that Stateroom did not write lies among its own")
        for key, found in zip(hashed, self._reader.many(hashed), strict=True):
            row = None if found is None else read_row(found.data, key, table, team, None)
            if row is not None:
                yield row.id

    def _rows(self, query: Query, chosen: Iterator[tuple[str, str]], now: float) -> Iterator[Row]:
        """The rows of these places that the query asks for, read some at a time."""
        ahead = min(query.limit + 1, 256) if query.condition is None else AHEAD
        while some := list(islice(chosen, ahead)):
            keys = [names.item(query.table, team, row_id) for team, row_id in some]
            for (team, row_id), key, found in zip(some, keys, self._reader.many(keys), strict=True):
                row = None if found is None else read_row(found.data, key, query.table, team, row_id)
                if row is None or (not query.whole and alive(row, now) is None):
                    continue
                if query.condition is None or evaluate(query.condition, row.item):
                    yield row

    def _expired(self, query: Query, now: float) -> Page:
        everything = Query(query.table, query.team, AHEAD, condition=query.condition, whole=True)
        past = (
            row
            for row in self._rows(everything, _chosen(self._listed(query.table, query.team), everything), now)
            if alive(row, now) is None and (query.after is None or ended(row) > query.after)
        )
        rows = heapq.nsmallest(query.limit + 1, past, key=ended)
        return Page(rows[: query.limit], ended(rows[query.limit - 1]) if len(rows) > query.limit else None)


def ended(row: Row) -> tuple[Any, ...]:
    """The order of expired rows."""
    return (row.expires_at, row.team, row.id)


def _chosen(listing: Listing, query: Query) -> Iterator[tuple[str, str]]:
    """The places of a listing, team and id, at which a query looks, in its order."""
    for team, ids in listing:
        first, behind = 0, len(ids)
        if query.whole:
            if query.after is not None and team <= query.after[0]:
                first = bisect_right(ids, query.after[1]) if team == query.after[0] else behind
        else:
            first = 0 if query.low is None else bisect_left(ids, query.low)
            behind = behind if query.high is None else bisect_left(ids, query.high)
            if query.after is not None and query.descending:
                behind = min(behind, bisect_left(ids, query.after[0]))
            elif query.after is not None:
                first = max(first, bisect_right(ids, query.after[0]))
        numbers = range(first, behind)
        for number in reversed(numbers) if query.descending else numbers:
            yield team, ids[number]


def _texts(folders: Sequence[str], within: str) -> list[str]:
    found = []
    for name in folders:
        text = names.text_of(name)
        if text is None:
            raise wrong(f"{within}/{name}", "a folder that Stateroom did not make lies among its own")
        found.append(text)
    return found
