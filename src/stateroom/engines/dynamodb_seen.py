"""Rows as this process saw them last, so that a batch need not read them before its transaction.

Rules of this file: a belief, never an answer. Whoever uses one makes the row's version a condition of what it writes;
whatever is refused on the ground of a belief is asked again of the rows as they are. Few rows, and small ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from stateroom.engines.dynamodb_tables import Key
from stateroom.engines.dynamodb_values import Attributes

ROWS: Final = 256
BYTES: Final = 8 * 1024  # of a row's JSON, as its `b` says


class Seen:
    """What one loop believes."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, Attributes] = OrderedDict()

    def note(self, key: Key, row: Attributes | None) -> None:
        """The row is so, or not there."""
        self._rows.pop(key, None)
        if row is not None and "b" in row and int(row["b"]["N"]) <= BYTES:
            self._rows[key] = row
            if len(self._rows) > ROWS:
                self._rows.popitem(last=False)

    def of(self, keys: Iterable[Key]) -> dict[Key, Attributes]:
        """Those of the rows that were seen."""
        return {key: row for key in keys if (row := self._rows.get(key)) is not None}

    def forget(self, keys: Iterable[Key]) -> None:
        """They are otherwise by now."""
        for key in keys:
            self._rows.pop(key, None)
