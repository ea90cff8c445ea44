"""Rewriting stored rows, page by page, so that no concurrent write is lost and a kill costs one page at most.

Rules of this file: a row is written only if it is still the one that was changed; one that moved is read and changed
again. Where the walk stands is kept in the same commit as the rows, so figures are exact after a kill. A row that
cannot be changed stays as it is and is kept among the failed ones, with a reason that holds nothing of its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from stateroom.engines.port import Delete, Engine, Put, Query, Row, Write
from stateroom.expr.tree import Compare, Condition, Literal, Path
from stateroom.layers.catalogue import FAILED, PROGRESS
from stateroom.layers.walking import BATCH, EVERYWHERE, Pace, pages, pages_if_any, settle
from stateroom.model.codec import normalise
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed, StateroomError, StoreUnavailable

PASSES: Final = 5  # walks over what old code kept writing meanwhile; then the rest is for the next run

# The row's item as it is to be; None: it is as it should be. Raises a StateroomError without content.
Change = Callable[[Row], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Progress:
    """Where a walk stands. `seen` counts looks, `rewritten` rows, over kills and passes; `failed` rows, when
    it is finished."""

    version: int
    after: tuple[Any, ...] | None = None
    seen: int = 0
    rewritten: int = 0
    failed: int = 0
    finished: bool = False

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if name != "after"}


@dataclass(frozen=True)
class Work:
    """One walk: rows of `definition` that fulfil `condition` are led through `change`. `name` is its record's key."""

    name: str
    definition: Definition
    condition: Condition | None
    change: Change


async def progress_of(engine: Engine, name: str) -> Progress | None:
    """Where the walk of that name stands, or None."""
    try:
        (row,) = await engine.get(PROGRESS.name, EVERYWHERE, [name])
    except StoreUnavailable as error:
        if error.reason != "missing":
            raise
        return None
    return None if row is None else _read(row)


class Rewriter:
    """Walks until a pass meets nothing that could be rewritten; goes on where a killed one stood."""

    def __init__(
        self, engine: Engine, pace: Pace, work: Work, *, told: Callable[[Progress], None], batch: int = BATCH
    ) -> None:
        self._engine = engine
        self._pace = pace
        self._work = work
        self._told = told
        self._batch = batch

    async def run(self) -> Progress:
        """All of it; what is left are the rows that failed, and those that others kept changing."""
        work, version = self._work, self._work.definition.version
        before = await progress_of(self._engine, work.name)
        now = before if before is not None and before.version == version and not before.finished else Progress(version)
        for _ in range(PASSES):
            start, now = now, await self._pass(now)
            if now.rewritten == start.rewritten and start.after is None:
                break
        now = replace(now, finished=True, after=None, failed=await _still_failed(self._engine, work))
        await self._engine.commit([_record(work, now, self._pace.clock())])
        return now

    async def _pass(self, now: Progress) -> Progress:
        work = self._work
        query = Query(work.definition.name, None, self._batch, after=now.after, condition=work.condition, whole=True)
        async for rows, position in pages(self._engine, query):
            at = self._pace.clock()
            alive = [row for row in rows if row.expires_at is None or row.expires_at > at]
            now = await self._page(alive, replace(now, after=position))
            self._told(now)
            await self._pace.batch(len(rows))
        return replace(now, after=None)

    async def _page(self, rows: Sequence[Row], now: Progress) -> Progress:
        """One commit for a page and its record; if a row has moved, each row for itself, and the record last."""
        engine, work, at = self._engine, self._work, self._pace.clock()
        writes = [write for row in rows if (write := _write(work, row, at)) is not None]
        after = _counted(work, now, len(rows), writes)
        try:
            if engine.capabilities.atomic_rows is None:
                await engine.commit([*writes, _record(work, after, at)])
                return after
        except ConditionFailed:
            pass
        done, _ = await settle(engine, rows, lambda row: _write(work, row, at))
        after = _counted(work, now, len(rows), [write for _, write in done])
        await engine.commit([_record(work, after, at)])
        return after


async def failed_rows(engine: Engine, datastore: str | None = None) -> AsyncIterator[Row]:
    """The rows of all teams that could not be changed, as they were noted; those of one datastore, or of all."""
    where = None if datastore is None else Compare(Path(("datastore",)), "=", Literal(datastore))
    async for rows, _ in pages_if_any(engine, Query(FAILED.name, None, BATCH, condition=where, whole=True)):
        for row in rows:
            yield row


def _counted(work: Work, now: Progress, seen: int, writes: Sequence[Write]) -> Progress:
    rewritten = sum(write.table == work.definition.name for write in writes)
    return replace(
        now, seen=now.seen + seen, rewritten=now.rewritten + rewritten, failed=now.failed + len(writes) - rewritten
    )


def _write(work: Work, row: Row, at: float) -> Put | None:
    """The row as it is to be, or the note that it cannot be."""
    definition = work.definition
    try:
        item = work.change(row)
    except StateroomError as error:
        return _note(definition, row, str(error), at)
    if item is None:
        return None
    expires = row.expires_at
    if definition.ttl is not None:
        expires = float(item[definition.ttl]) if definition.ttl in item else None
    return Put(definition.name, row.team, row.id, item, expires, if_version=row.version)


def note_key(datastore: str, row: str) -> str:
    """The key of the note about a row: row ids may be as long as keys may be."""
    return hashlib.sha256(f"{datastore}/{row}".encode()).hexdigest()


def _note(definition: Definition, row: Row, reason: str, at: float) -> Put:
    key = note_key(definition.name, row.id)
    item = {"id": key, "datastore": definition.name, "row": row.id, "reason": reason, "at": _moment(at)}
    return Put(FAILED.name, row.team, key, item)


async def _still_failed(engine: Engine, work: Work) -> int:
    """Forget the notes of rows that are well by now, or gone; how many there are left."""
    left = 0
    notes = [note async for note in failed_rows(engine, work.definition.name)]
    for note in notes:
        (row,) = await engine.get(work.definition.name, note.team, [note.item["row"]])
        if row is not None and _fails(work, row):
            left += 1
        else:
            await engine.commit([Delete(FAILED.name, note.team, note.id)])
    return left


def _fails(work: Work, row: Row) -> bool:
    try:
        work.change(row)
    except StateroomError:
        return True
    return False


def _record(work: Work, now: Progress, at: float) -> Put:
    item: dict[str, Any] = {"id": work.name, **now.plain(), "at": _moment(at)}
    if now.after is not None:
        item["after"] = json.dumps(now.after)
    return Put(PROGRESS.name, EVERYWHERE, work.name, item)


def _read(row: Row) -> Progress:
    item = row.item
    after = tuple(json.loads(item["after"])) if "after" in item else None
    return Progress(item["version"], after, item["seen"], item["rewritten"], item["failed"], item["finished"])


def _moment(at: float) -> Any:
    return normalise(round(at, 6), "at")
