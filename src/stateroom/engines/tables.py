"""What `apply` leads to: the tables that code asks for beside those that a store has.

Rules of this file: pure; for engines that keep a catalogue of their tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from msgspec import UNSET

from stateroom.engines.decide import with_changes
from stateroom.engines.port import Table, TableIndex
from stateroom.model.errors import InvalidDefinition

FROZEN: Final = (
    "the store is frozen while it moves elsewhere; nothing was written, try again (`stateroom copy --unfreeze`)"
)


def never_lagging(tables: Sequence[Table]) -> list[Table]:
    """The tables of an engine whose indexes all are current: whether one must be is nothing to keep."""
    return [replace(t, indexes=tuple(replace(i, current=UNSET) for i in t.indexes)) for t in tables]


def still_current(have: Mapping[str, Table], tables: Sequence[Table]) -> list[Table]:
    """`tables`, where an index that is current stays so: code that rests on it may be at work."""
    kept = {(t.name, i.name, i.attributes) for t in have.values() for i in t.indexes if i.current is True}

    def kept_one(table: str, index: TableIndex) -> TableIndex:
        return replace(index, current=True) if (table, index.name, index.attributes) in kept else index

    return [replace(t, indexes=tuple(kept_one(t.name, i) for i in t.indexes)) for t in tables]


def merged(old: Table | None, new: Table) -> Table:
    """`new` and what only `old` has: code of an older version may still read by it."""
    if old is None:
        return new
    if old.log != new.log:
        raise InvalidDefinition(new.name, None, "was a log and cannot become items (or the other way); choose a name")
    names = {i.name for i in new.indexes}
    indexes = new.indexes + tuple(i for i in old.indexes if i.name not in names)
    return Table(new.name, new.log, indexes, expires=new.expires or old.expires, changes=new.changes or old.changes)


def steps(have: Mapping[str, Table], tables: Sequence[Table]) -> list[str]:
    """What `apply` would do, one line each."""
    lines: list[str] = []
    for table in with_changes(tables):
        old = have.get(table.name)
        merged(old, table)
        if old is None:
            lines.append(f"make table {table.name}")
        if table.expires and (old is None or not old.expires):
            lines.append(f"make index of expiry of {table.name}")
        if table.changes and old is not None and not old.changes:
            lines.append(f"log the changes of {table.name}")
        known = set() if old is None else set(old.indexes)
        lines += [f"make index {i.name} of {table.name}" for i in table.indexes if i not in known]
    return lines
