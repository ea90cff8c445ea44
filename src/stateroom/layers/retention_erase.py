"""Erasing a person, or a whole workspace, from everything a store holds.

Rules of this file: it walks definitions and knows no layer. What it does to a row is decided by retention_person.py and
written only if the row is still the one that was judged; a row that moved is read and judged again. Nothing is
remembered between runs: an erase that is killed is run again and finds what is left. Change logs are erased after the
rows they tell of, because erasing writes to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from stateroom.engines.port import (
    Delete,
    Engine,
    Put,
    Query,
    Rewrite,
    Row,
    Table,
    Truncate,
    Write,
    changes_table,
)
from stateroom.layers.retention import removal
from stateroom.layers.retention_person import USER, Judged, holds, judge, marked, mentions
from stateroom.layers.walking import BATCH, Clock, commit_each, pages, settle, stream_of
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed, StoreUnavailable
from stateroom.model.upgrades import VERSION

ERASED: Final = "erased"  # in place of an item, or of a key, in a log of changes


@dataclass
class Erased:
    """What erasing did to one table, in rows. `raced`: changed too often by others; run it again."""

    datastore: str
    seen: int = 0
    removed: int = 0
    cleared: int = 0
    raced: int = 0
    unmarked: dict[str, int] = field(default_factory=dict)  # attributes not marked that hold the id
    mentions: int = 0  # rows that stay and have the id in their words
    nameless: int = 0  # entries of a log that do not say whose they are

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Target:
    """One table to be erased from: its definition, and how its items are read out of rows.

    `versions`: the definitions under which rows were written, where they are known.
    """

    definition: Definition
    table: Table
    of_changes: bool = False
    versions: Mapping[int, Definition] = field(default_factory=dict)

    def judge(self, item: Mapping[str, Any], user: str) -> Judged:
        """What becomes of a row's item."""
        if self.of_changes:
            return self._judge_change(item, user)
        return judge(self._definition(item), item, user)

    def unmarked(self, item: Mapping[str, Any], user: str) -> list[str]:
        """Attributes that hold the id and are not marked as personal."""
        inner = item.get("item", {}) if self.of_changes else item
        known = marked(self._definition(inner))
        return [name for name, value in inner.items() if name not in known and holds(value, user)]

    def is_nameless(self, item: Mapping[str, Any]) -> bool:
        """Whether an entry of a log lacks the id that would say whose it is, and still has words."""
        if not self.definition.log or self.of_changes:
            return False
        personal = marked(self.definition)
        ids = {name for name in personal if self.definition.attributes[name].type == USER}
        return bool(ids) and not ids & item.keys() and bool((personal - ids) & item.keys())

    def _judge_change(self, entry: Mapping[str, Any], user: str) -> Judged:
        """An entry of a log of changes keeps its number and its kind; what it tells of the item goes."""
        inner = entry.get("item")
        rest = dict(entry)
        if inner is not None:
            definition = self._definition(inner)
            found = judge(definition, inner, user)
            if found.action == "delete":
                del rest["item"]
                rest[ERASED] = True
            elif found.action == "clear":
                rest["item"] = found.item
        if entry.get("id") == user and self.definition.key in marked(self.definition):
            rest |= {"id": ERASED, ERASED: True}
        return Judged("keep" if rest == entry else "clear", rest)

    def _definition(self, item: Mapping[str, Any]) -> Definition:
        return self.versions.get(item.get(VERSION, 1), self.definition)


def targets(
    definitions: Sequence[Definition], table_of: Callable[[Definition], Table], versions: Mapping[str, Any]
) -> list[Target]:
    """What there is to be erased from; logs of changes come last."""
    plain = [Target(d, table_of(d), versions=versions.get(d.name, {})) for d in definitions]
    logs = [
        Target(t.definition, Table(changes_table(t.table.name), log=True), True, t.versions)
        for t in plain
        if t.definition.changes
    ]
    return [*plain, *logs]


class Eraser:
    """Erases one person: `user`, in one `team` or in all."""

    def __init__(
        self, engine: Engine, clock: Clock, user: str, *, team: str | None, told: Callable[[Erased], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._user = user
        self._team = team
        self._told = told

    async def run(self, target: Target, batch: int = BATCH) -> Erased:
        """One table, from its first row to its last."""
        figures = Erased(target.table.name)
        query = Query(target.table.name, self._team, batch, whole=True)
        try:
            async for rows, _ in pages(self._engine, query):
                figures.seen += len(rows)
                await self._batch(target, rows, figures)
                self._told(figures)
        except StoreUnavailable as error:
            if error.reason != "missing":
                raise
        return figures

    async def _batch(self, target: Target, rows: Sequence[Row], figures: Erased) -> None:
        now = self._clock()
        for row in rows:
            self._count(target, target.judge(row.item, self._user), figures)
        done, raced = await settle(
            self._engine, rows, lambda row: write_of(target.table, row, target.judge(row.item, self._user), now)
        )
        cleared = sum(isinstance(write, (Put, Rewrite)) for _, write in done)
        figures.cleared += cleared
        figures.removed += len(done) - cleared
        figures.raced += raced

    def _count(self, target: Target, judged: Judged, figures: Erased) -> None:
        """What stays of them in a row that stays."""
        if judged.action == "delete":
            return
        for name in target.unmarked(judged.item, self._user):
            figures.unmarked[name] = figures.unmarked.get(name, 0) + 1
        figures.mentions += mentions(judged.item, self._user) and not holds(judged.item, self._user)
        figures.nameless += target.is_nameless(judged.item)


def write_of(table: Table, row: Row, judged: Judged, now: float) -> Write | None:
    """The write that does what was judged to the row, and refuses any other."""
    if judged.action == "keep":
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return removal(table, row)
    if table.log:
        return Rewrite(table.name, row.team, stream_of(row), row.version, judged.item)
    if judged.action == "delete":
        return Delete(table.name, row.team, row.id, if_version=row.version)
    return Put(table.name, row.team, row.id, judged.item, row.expires_at, if_version=row.version)


async def erase_team(engine: Engine, clock: Clock, team: str, table: Table, told: Callable[[Erased], None]) -> Erased:
    """Remove every row of the team from a table, and every stream of a log with its numbering.

    What is written meanwhile goes, too, until a look finds nothing.
    """
    figures = Erased(table.name)
    remove = _remove_streams if table.log else _remove_rows
    try:
        while removed := await remove(engine, clock, Query(table.name, team, BATCH, whole=True), table):
            figures.removed += removed
            figures.seen += removed
            told(figures)
    except StoreUnavailable as error:
        if error.reason != "missing":
            raise
    return figures


async def _remove_rows(engine: Engine, clock: Clock, query: Query, table: Table) -> int:
    """The first page goes; how many rows it was."""
    rows, now = (await engine.query(query)).rows, clock()
    writes = [
        removal(table, row)
        if row.expires_at is not None and row.expires_at <= now
        else Delete(table.name, row.team, row.id)
        for row in rows
    ]
    return sum(not isinstance(one, ConditionFailed) and one.changed for one in await commit_each(engine, writes))


async def _remove_streams(engine: Engine, _: Clock, query: Query, table: Table) -> int:
    """Each stream goes when its last entry was met, so that the entries are counted; how many they were."""
    met, last = 0, ""
    async for rows, _position in pages(engine, query):
        for row in rows:
            stream = stream_of(row)
            if last not in ("", stream):
                await engine.commit([Truncate(table.name, row.team, last)])
            met, last = met + 1, stream
    if last:
        await engine.commit([Truncate(table.name, str(query.team), last)])
    return met
