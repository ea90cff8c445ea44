"""Erasing a person, or a whole workspace, from everything a store holds.

Rules of this file: it walks definitions and knows no layer. What it does to a row is decided by retention_person.py and
written only if the row is still the one that was judged; a row that moved is read and judged again. Nothing is
remembered between runs: an erase that is killed is run again and finds what is left. Change logs are erased after the
rows they tell of, because erasing writes to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from stateroom.engines.handle import table_of
from stateroom.engines.port import (
    Delete,
    Engine,
    Put,
    Query,
    Rewrite,
    Row,
    Table,
    Write,
    changes_table,
)
from stateroom.layers.retention_person import USER, Judged, Subject, holds, judge, mentions, subject_of
from stateroom.layers.walking import BATCH, Clock, empty, pages, removal, settle, stream_of
from stateroom.model.definition import Definition
from stateroom.model.errors import StoreUnavailable
from stateroom.model.upgrades import VERSION

ERASED: Final = "erased"  # in place of a key that is a person's id, in a log of changes
TRASH: Final = "trash_"  # how the companion begins that keeps what was deleted (engines/handle_trash.py)


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
    """One table to be erased from, and what its items say about people, by the version they were written under."""

    table: Table
    subject: Subject
    of_changes: bool = False
    versions: Mapping[int, Subject] = field(default_factory=dict)

    def judge(self, item: Mapping[str, Any], user: str) -> Judged:
        """What becomes of a row's item."""
        if self.of_changes:
            return self._judge_change(item, user)
        return judge(self._subject(item), item, user)

    def unmarked(self, item: Mapping[str, Any], user: str) -> list[str]:
        """Attributes that hold the id and are not marked as personal."""
        inner = item.get("item", {}) if self.of_changes else item
        known = self._subject(inner).personal
        return [name for name, value in inner.items() if name not in known and holds(value, user)]

    def is_nameless(self, item: Mapping[str, Any]) -> bool:
        """Whether an entry of a log lacks the id that would say whose it is, and still has words."""
        if not self.subject.log or self.of_changes:
            return False
        personal = self.subject.personal
        ids = {name for name in personal if self.subject.attributes[name].type == USER}
        return bool(ids) and not ids & item.keys() and bool((personal - ids) & item.keys())

    def _judge_change(self, entry: Mapping[str, Any], user: str) -> Judged:
        """An entry of a log of changes keeps its number and its kind; what it tells of the item goes."""
        inner = entry.get("item")
        rest = dict(entry)
        if inner is not None:
            found = judge(self._subject(inner), inner, user)
            if found.action == "delete":
                del rest["item"]
            elif found.action == "clear":
                rest["item"] = found.item
        if entry.get("id") == user and self.subject.key in self.subject.personal:
            rest["id"] = ERASED
        return Judged("keep" if rest == entry else "clear", rest)

    def _subject(self, item: Mapping[str, Any]) -> Subject:
        return self.versions.get(item.get(VERSION, 1), self.subject)


def targets(definitions: Sequence[Definition], versions: Mapping[str, Mapping[int, Definition]]) -> list[Target]:
    """What there is to be erased from; logs of changes come last. `versions`: what the store remembers."""
    plain = []
    for one in definitions:
        before = versions.get(one.name.removeprefix(TRASH), {})
        subjects = {number: subject_of(old, one) for number, old in before.items() if number != one.version}
        plain.append(Target(table_of(one), subject_of(one), versions=subjects))
    logs = [replace(t, table=Table(changes_table(t.table.name), log=True), of_changes=True) for t in plain]
    return [*plain, *(log for log, one in zip(logs, definitions, strict=True) if one.changes)]


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
    """Remove every row of the team from a table, and every stream of a log with its numbering."""
    figures = Erased(table.name)

    def hear(removed: int) -> None:
        figures.removed += removed
        figures.seen += removed
        told(figures)

    await empty(engine, clock, table, team, hear)
    return figures


def stays(done: Sequence[Erased], user: str | None) -> list[str]:
    """What an erase leaves, and why, as sentences: what the figures tell, then what no store can reach."""
    said: list[str] = []
    for one in done:
        for name, count in sorted(one.unmarked.items()):
            said.append(
                f"{one.datastore}.{name} names them in {count} rows and is not marked personal: "
                "mark it (sr.personal()) and erase again, if it is about them"
            )
        if one.mentions:
            said.append(f"{one.mentions} rows of {one.datastore} mention them in words that are other people's")
        if one.nameless:
            said.append(f"{one.nameless} entries of {one.datastore} do not say whose words they are")
        if one.raced:
            said.append(f"{one.raced} rows of {one.datastore} kept changing: erase again")
    return [*said, *(_BEYOND if user is None else (*_BEYOND, _UNDERWAY))]


_BEYOND: Final = (
    "backups, exports and copies of the store are out of its reach: erase or let expire what they hold",
    "what Slack itself keeps stays there, and what the law obliges you to keep elsewhere is yours to know",
)
_UNDERWAY: Final = "what they write from now on is kept as before: erase again when they have left"
