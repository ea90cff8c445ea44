"""What a copy will do and what its target lacks, before anything is written.

Rules of this file: pure. A target that cannot hold something is said to lack it, with the datastore's name; what would
not arrive at all or arrive with less meaning stops the copy, unless its loss is allowed. Estimates are estimates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from stateroom.engines.port import Capabilities, Table
from stateroom.model.definition import RESERVED_PREFIX, TRASH_PREFIX, Definition

CHUNK: Final = 250  # rows of one commit, where the engine takes any number
BULK: Final = 25  # of a call to a platform
EACH: Final = 0.0001  # seconds that a row takes beside its part of a request; bench: copy-postgres, copy-sqlite


@dataclass(frozen=True)
class Lack:
    """Something that the target cannot have. `loses`: it would be lost; else it is only to be known."""

    datastore: str
    what: str
    loses: bool = True

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Work:
    """One table of the copy. `skipped`: the target has no place for it."""

    definition: Definition
    source: Table
    target: Table
    skipped: bool = False

    @property
    def name(self) -> str:
        """The table's."""
        return self.source.name

    @property
    def log(self) -> bool:
        """Whether it holds streams."""
        return self.source.log


@dataclass(frozen=True)
class Plan:
    """The tables in the order of the copy, and what the target lacks."""

    works: tuple[Work, ...]
    lacks: tuple[Lack, ...] = ()

    @property
    def losses(self) -> tuple[Lack, ...]:
        """What must be allowed."""
        return tuple(one for one in self.lacks if one.loses)

    @property
    def to_do(self) -> tuple[Work, ...]:
        """The tables that are copied."""
        return tuple(work for work in self.works if not work.skipped)


@dataclass
class Size:
    """What a table of the source holds: live rows, bytes of JSON, rows that the target does not take."""

    rows: int = 0
    bytes: int = 0
    largest: int = 0
    too_large: int = 0
    teams: set[str] = field(default_factory=set)


def plan_of(
    tables: Iterable[tuple[Definition, Table]],
    source: Capabilities,
    target: Capabilities,
    *,
    bot: frozenset[str],
) -> Plan:
    """The plan. `bot`: tables without which the bot cannot run, and which only an engine for it may hold.

    The bot's tables come last: a row that is still to be answered never arrives before what was said about it.
    """
    works: list[Work] = []
    lacks: list[Lack] = []
    for definition, table in tables:
        if source.hosted and definition.name.startswith((RESERVED_PREFIX, TRASH_PREFIX)):
            continue
        missing = list(_lacks(definition, table, target, bot=definition.name in bot))
        lacks += missing
        skipped = any(one.what.startswith(_NOT_HELD) for one in missing)
        works.append(Work(definition, table, _table(table, target), skipped))
    works.sort(key=lambda work: (work.name in bot, not work.name.startswith(RESERVED_PREFIX), work.name))
    return Plan(tuple(works), tuple(lacks))


_NOT_HELD: Final = "is not held"


def _lacks(definition: Definition, table: Table, able: Capabilities, *, bot: bool) -> Iterable[Lack]:
    name = definition.name
    own = name.startswith(RESERVED_PREFIX)
    if own and able.hosted:
        yield Lack(name, f"{_NOT_HELD}: {able.name} holds users' datastores alone")
        return
    if bot and not able.holds_inbox:
        yield Lack(name, f"{_NOT_HELD}: {able.name} cannot hold the bot's inbox, so the bot cannot run there")
        return
    if name.startswith(TRASH_PREFIX) and able.hosted:
        yield Lack(name, f"{_NOT_HELD}: {able.name} keeps no deleted items")
        return
    if table.log and not able.append:
        yield Lack(name, f"{_NOT_HELD}: {able.name} has no logs")
        return
    if own:
        return  # the layers know how to do without an index
    asked = {
        "indexes": (not able.indexes, [i.name for i in table.indexes]),
        "unique": (not able.unique, [i.name for i in table.indexes if i.unique]),
        "across teams": (not able.across_teams, [i.name for i in table.indexes if i.across_teams]),
    }
    for words, (lacking, names) in asked.items():
        if lacking and names:
            yield Lack(name, f"{able.name} has no {words}: {', '.join(names)}")
    if definition.lifecycle is not None and not able.conditions:
        yield Lack(name, f"{able.name} has no conditional writes: its lifecycle is not kept")
    if table.changes and not able.changes:
        yield Lack(name, f"{able.name} keeps no log of changes")
    elif table.changes:
        yield Lack(name, "its log of changes begins anew", loses=False)
    if definition.ttl is not None and not able.ttl_hidden:
        yield Lack(name, f"{able.name} shows rows past their expiry until they are removed", loses=False)


def _table(table: Table, able: Capabilities) -> Table:
    """The table as the target can have it."""
    indexes = tuple(
        one
        for one in table.indexes
        if able.indexes and (able.unique or not one.unique) and (able.across_teams or not one.across_teams)
    )
    return replace(
        table, indexes=indexes, expires=table.expires and able.expired, changes=table.changes and able.changes
    )


def too_large(name: str, size: Size, able: Capabilities) -> Lack | None:
    """Rows that are over the target's limit."""
    if not size.too_large:
        return None
    rows = "1 row is" if size.too_large == 1 else f"{size.too_large} rows are"
    return Lack(name, f"{rows} over {able.item_limit} bytes, which {able.name} does not take (largest {size.largest})")


def foreign(name: str, size: Size, able: Capabilities, team: str) -> Lack | None:
    """Rows of workspaces that a platform's app does not have."""
    others = sorted(size.teams - {team}) if able.hosted else []
    if not others:
        return None
    return Lack(name, f"rows of {', '.join(others[:5])}: {able.name} holds those of {team} alone")


def calls(rows: int, able: Capabilities) -> int:
    """Requests that write so many rows."""
    size = BULK if able.hosted else chunk_of(able)
    return -(-rows // size)


def chunk_of(able: Capabilities) -> int:
    """Rows of one commit."""
    return min(able.atomic_rows or CHUNK, CHUNK)


def seconds(sizes: Sequence[Size], *, able: Capabilities, read: float, trip: float, rate: float | None) -> float:
    """How long it takes, about: by the reading that was measured, a request's time, a row's, and the throttle."""
    rows = sum(one.rows for one in sizes)
    writing = calls(rows, able) * trip + (0 if able.hosted else rows * EACH)
    return round(max(read + writing, rows / rate if rate else 0.0), 1)
