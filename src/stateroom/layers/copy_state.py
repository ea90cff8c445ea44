"""Where a copy stands, kept in its target: one row for the copy, one for each table (docs/format.md, "A copy").

Rules of this file: a row is written behind the rows that it tells of, at most once a second, so a kill costs a second's
work and never a row. A target without tables of ours (a platform) keeps none: there a copy begins anew, and what is
equal costs a look.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stateroom.engines.port import Delete, Engine, Put
from stateroom.layers.catalogue import PROGRESS
from stateroom.layers.copy_write import persist
from stateroom.layers.walking import EVERYWHERE, Clock, Wait
from stateroom.model.codec import normalise
from stateroom.model.errors import StoreUnavailable, WrongUse

COPYING, COPIED, FROZEN, RELEASING, SWITCHED = "copying", "copied", "frozen", "releasing", "switched"
NAME: Final = "copy"
SAVED: Final = 1.0  # seconds between two notes
Marks = dict[str, int]  # by team: the number of the last change that was carried


@dataclass
class Standing:
    """One table. `after`: the source's position of the walk under way; `behind`: the place of a log there."""

    table: str
    after: tuple[Any, ...] | None = None
    behind: tuple[Any, ...] | None = None
    seen: int = 0
    written: int = 0
    removed: int = 0
    whole: bool = False  # whether it was walked to its end
    marks: Marks = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"datastore": self.table, "seen": self.seen, "written": self.written, "removed": self.removed}


def source_mark(place: str) -> str:
    """Which source a target is being filled from, without its URL."""
    return hashlib.sha256(place.encode()).hexdigest()[:16]


class Notes:
    """Reads and writes the rows. `keeps`: whether the target has a table for them."""

    def __init__(self, engine: Engine, clock: Clock, wait: Wait, source: str) -> None:
        self._engine = engine
        self._clock = clock
        self._wait = wait
        self._source = source_mark(source)
        self.keeps = not engine.capabilities.hosted
        self.state = ""
        self._saved = 0.0

    async def begin(self) -> None:
        """Learn what there is of a copy. WrongUse where the target is being filled from another source, or in use."""
        if not self.keeps:
            return
        try:
            (row,) = await self._engine.get(PROGRESS.name, EVERYWHERE, [NAME])
        except StoreUnavailable as error:
            if error.reason != "missing":
                raise
            return
        if row is None:
            return
        if row.item.get("source") != self._source:
            raise WrongUse("the target was filled from another source; give an empty one")
        self.state = str(row.item.get("state", ""))

    async def enter(self, state: str) -> None:
        """The copy is in another state."""
        self.state = state
        if self.keeps:
            await self._put(NAME, {"source": self._source, "state": state, "finished": state in (COPIED, SWITCHED)})

    async def of(self, table: str) -> Standing:
        """Where a table stands."""
        if not self.keeps:
            return Standing(table)
        (row,) = await self._engine.get(PROGRESS.name, EVERYWHERE, [f"{NAME}:{table}"])
        if row is None:
            return Standing(table)
        item = row.item
        after, behind = (tuple(json.loads(item[n])) if n in item else None for n in ("after", "behind"))
        marks = json.loads(item.get("marks", "{}"))
        whole = bool(item["finished"])
        return Standing(table, after, behind, item["seen"], item["rewritten"], item["failed"], whole, marks)

    async def save(self, standing: Standing, *, now: bool = False) -> None:
        """Note it, if that is due."""
        if not self.keeps or (not now and time.monotonic() - self._saved < SAVED):
            return
        self._saved = time.monotonic()
        item: dict[str, Any] = {
            "seen": standing.seen,
            "rewritten": standing.written,
            "failed": standing.removed,
            "finished": standing.whole,
        }
        for name, place in (("after", standing.after), ("behind", standing.behind)):
            if place is not None:
                item[name] = json.dumps(place)
        if standing.marks:
            item["marks"] = json.dumps(standing.marks)
        await self._put(f"{NAME}:{standing.table}", item)

    async def forget(self, tables: list[str]) -> None:
        """Nothing is known of the copy any more."""
        for name in (NAME, *(f"{NAME}:{table}" for table in tables)):
            await self._engine.commit([Delete(PROGRESS.name, EVERYWHERE, name)])

    async def _put(self, key: str, item: Mapping[str, Any]) -> None:
        zero = {"seen": 0, "rewritten": 0, "failed": 0, "finished": False}
        whole = {"id": key, "version": 1, **zero, **item, "at": normalise(round(self._clock(), 6), "at")}
        await persist(lambda: self._engine.commit([Put(PROGRESS.name, EVERYWHERE, key, whole)]), self._wait)
