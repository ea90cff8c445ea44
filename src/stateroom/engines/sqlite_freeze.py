"""Refusing every write to an SQLite file for a while, while its rows move elsewhere.

Rules of this file: the refusal is in the file itself, as a trigger on each table, so it holds for every process from
the commit on that makes it, also for those that do not know of it; while there is none, nothing is paid for it. What
was committed before is there to be read. docs/format.md, "SQLite", has the names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from stateroom.engines.sqlite_tables import Layout

WORDS: Final = "stateroom: frozen"
_VERBS: Final = ("INSERT", "UPDATE", "DELETE")


def freeze(connection: sqlite3.Connection, layouts: Iterable[Layout], *, frozen: bool) -> None:
    """Make the triggers, or remove them; inside of the caller's transaction."""
    for name in _triggers(connection):
        connection.execute(f'DROP TRIGGER "{name}"')
    if not frozen:
        return
    for layout in layouts:
        tables = (layout.sql, layout.streams) if layout.log else (layout.sql,)
        for table in tables:
            for verb in _VERBS:
                name = f"frozen_{verb.lower()}_{table.strip(chr(34))}"
                connection.execute(
                    f"CREATE TRIGGER \"{name}\" BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
                )
    connection.execute(
        f"CREATE TRIGGER \"frozen_tables\" BEFORE INSERT ON sr_tables BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
    )


def is_frozen(connection: sqlite3.Connection) -> bool:
    """Whether writes are refused."""
    return bool(_triggers(connection))


def _triggers(connection: sqlite3.Connection) -> list[str]:
    asked = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'frozen_*'"
    return [name for (name,) in connection.execute(asked)]
