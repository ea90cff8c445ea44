"""What `apply` leads to: the tables that code asks for beside those that a store has.

Rules of this file: pure; for engines that keep a catalogue of their tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stateroom.engines.decide import with_changes
from stateroom.engines.port import Table
from stateroom.model.errors import InvalidDefinition


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
