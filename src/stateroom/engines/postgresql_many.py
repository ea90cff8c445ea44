"""Puts that go at once, as one statement: for each the same as alone, and for the server much less work.

Rules of this file: pure. Together go lone puts whose statements differ in their rows alone, each row once: of two puts
of one row the second is a statement of its own, behind the first. All are in the order of their keys, in which the
server takes them one by one. The time is that of the latest: each of them is on its way then. Who is refused is not
among the rows that come back, and harms nobody. A batch of puts that ask for nothing, as a copy makes them, is one
statement, too: all of it or nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import is_bare, next_version
from stateroom.engines.port import Put, Row, Write, Written
from stateroom.engines.postgresql_lone import WIDTH, Lone
from stateroom.engines.postgresql_tables import Layout

LARGE: Final = 4 * 1024 * 1024  # characters of the items of one statement
_new = tuple.__new__  # half of what Row(...) costs


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


class Bare(NamedTuple):
    """The statement for a batch of puts."""

    sql: str
    values: Sequence[Any]
    puts: Sequence[Put]

    def written(self, rows: Sequence[Sequence[Any]]) -> list[Written]:
        """What each of them has done, by the rows that came back."""
        versions = {(team, id): version for version, team, id in rows}
        return [
            _new(Written, (_new(Row, (p.id, dict(p.item), versions[p.team, p.id], p.expires_at, p.team)), True))
            for p in self.puts
        ]


def bare_of(layout: Layout, writes: Sequence[Write], texts: Sequence[str | None], now: float) -> Bare | None:
    """The statement for puts of rows of one table, each another one, that ask for nothing and wake nobody."""
    puts = [w for w in writes if type(w) is Put and is_bare(w) and not w.keep and not w.wake]
    if len(puts) < len(writes) or any([put.table != layout.table.name for put in puts]):  # noqa: C419
        return None
    if layout.table.changes or sum([len(text or "") for text in texts]) > LARGE:
        return None
    found = {(put.team, put.id): (put, text) for put, text in zip(puts, texts, strict=True)}
    if len(found) < len(puts):
        return None
    keys = sorted(found)
    ends = [found[key][0].expires_at for key in keys]
    values = (
        [team for team, _ in keys],
        [id for _, id in keys],
        [next_version(None, now)] * len(keys),
        [None if end is None else float(end) for end in ends],
        f"[{','.join([found[key][1] or '' for key in keys])}]",
        now,
    )
    return Bare(f"{layout.upserts} RETURNING version, t.team, t.id", values, puts)
