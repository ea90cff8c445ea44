"""Lone puts that go at once, as one statement: for each the same as alone, and for the server much less work.

Rules of this file: pure. Together go puts whose statements differ in their rows alone, each row once: of two puts of
one row the second is a statement of its own, behind the first. All are in the order of their keys, in which the server
takes them one by one. The time is that of the latest: each of them is on its way then. Who is refused is not among the
rows that come back, and harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from stateroom.engines.postgresql_lone import WIDTH, Lone


class Part(NamedTuple):
    """A statement for some of a group."""

    sql: str
    values: Sequence[Any]
    lones: Sequence[Lone]

    def shares(self, rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Any] | None]:
        """What each of them would have been given alone."""
        if len(self.lones) == 1:
            yield rows[0] if rows else None
            return
        found = {(row[-2], row[-1]): row for row in rows}
        for lone in self.lones:
            yield found.get((lone.values[0], lone.values[1]))


def parts_of(lones: Sequence[Lone]) -> list[Part]:
    """The statements for `lones`, which are in the order of their keys."""
    runs: list[list[Lone]] = []
    for lone in lones:
        if runs and lone.many is not None and lone.many == runs[-1][-1].many and lone.key != runs[-1][-1].key:
            runs[-1].append(lone)
        else:
            runs.append([lone])
    return [_part(run) for run in runs]


def _part(run: Sequence[Lone]) -> Part:
    first = run[0]
    if len(run) == 1 or first.many is None:
        return Part(first.sql, first.values, run)
    teams, ids, versions, ends, items = zip(*(lone.values[:WIDTH] for lone in run), strict=True)
    expiries = [None if end is None else float(end) for end in ends]  # psycopg's long way takes arrays of one type
    latest = max((lone.values for lone in run), key=lambda values: values[WIDTH])
    rows = (list(teams), list(ids), list(versions), expiries, f"[{','.join(items)}]")
    return Part(first.many.sql, (*rows, *latest[WIDTH:]), run)
