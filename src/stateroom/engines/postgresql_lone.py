"""A write that is one statement: what it says, and what its answer means.

Rules of this file: pure. The statement decides with the same meaning as `decide.decide`, in SQL, because the server can
do in one round trip what would take two. It writes only when it is sure; when it gives back no row, nothing was
written, and postgresql_batch.py reads the row and decides. Not every write has one (`lone_of` gives None).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import next_version
from stateroom.engines.port import Append, Delete, Put, Row, Update, Write, Written, log_id
from stateroom.engines.postgresql_conditions import Clause, clause_of, quoted
from stateroom.engines.postgresql_tables import INDEXED, ITEM_LIMIT, Layout
from stateroom.model.codec import decode, encode

# Sent when the transaction commits, once for all that are alike in it; in RETURNING: only if a row was written.
TELL: Final = "pg_notify(%s, %s)"
WIDTH: Final = 5  # values of a put that are its row's: team, id, version, expiry, item; the next one is the time
SMALL: Final = 64 * 1024  # characters of an item that may go together with others
WHOLE: Final = 10**18  # whole numbers below it add up to one that is exact and plain in JSON


class Many(NamedTuple):
    """Puts for which this is the same may be one statement: `sql` takes the first WIDTH of their values as arrays (the
    items as one of JSON), then the time, as often as they do, then what is `given`."""

    sql: str
    given: Sequence[Any]


class Lone(NamedTuple):
    """The statement of one write; `read` makes its result from the row that came back."""

    sql: str
    values: Sequence[Any]
    read: Callable[[Sequence[Any]], Written]
    key: tuple[str, ...]  # the order in which statements of one transaction go, so that no two wait for each other
    many: Many | None = None  # how it goes together with others


def lone_of(layout: Layout, write: Write, text: str | None, now: float) -> Lone | None:
    """The statement for `write`, or None when it takes more than one."""
    if layout.table.changes:
        return None
    make = _LONE.get(type(write))
    return None if make is None else make(layout, write, text, now)


def _put(layout: Layout, write: Put, text: str | None, now: float) -> Lone | None:
    asked = [clause_of(one, "t.item") for one in (write.condition, write.guard) if one is not None]
    given: Sequence[Any] = ()
    times: tuple[float, ...] = (now, now)
    if write.keep or write.if_version == 0:
        if asked:
            return None
        where = f" WHERE {layout.dead}"
    elif write.if_version is not None or not all(one.when_missing for one in asked):
        return _over(layout, write, text, now)  # who is not there cannot be what is asked for
    elif asked:
        clause, given = _all(asked)
        where = f" WHERE {layout.dead} OR ({clause})"
    else:
        where, times = "", (now,)
    tell, told_to = _telling(layout, write)
    tail, given = f"{where} RETURNING version{tell}", (*given, *told_to)
    row = (write.team, write.id, next_version(None, now), write.expires_at, text)
    many = Many(f"{layout.upserts}{tail}, t.team, t.id", given) if len(text or "") <= SMALL else None
    return Lone(f"{layout.upsert}{tail}", (*row, *times, *given), _reader(write), _key(layout, write), many)


def _over(layout: Layout, write: Put, text: str | None, now: float) -> Lone:
    where, given = _there(layout, write, now)
    if write.passes:
        where = f" WHERE (t.team, t.id) IN (SELECT t.team, t.id FROM {layout.sql} AS t{where} FOR UPDATE SKIP LOCKED)"
    tell, told_to = _telling(layout, write)
    values = (write.expires_at, text, *given, *told_to)
    return Lone(f"{layout.over}{where} RETURNING version{tell}", values, _reader(write), _key(layout, write))


def _reader(write: Put) -> Callable[[Sequence[Any]], Written]:
    def read(found: Sequence[Any]) -> Written:
        return Written(Row(write.id, dict(write.item), found[0], write.expires_at, write.team), True)

    return read


def _telling(layout: Layout, write: Put) -> tuple[str, Sequence[Any]]:
    """What a put gives back beside its version, to wake whoever listens."""
    if not write.wake:
        return "", ()
    return f", {TELL}", told(layout)


def told(layout: Layout) -> tuple[str, str]:
    """The values of TELL: the name of the table, and no word of a row, since whoever may connect may listen."""
    return layout.channel, layout.table.name


def _key(layout: Layout, write: Put) -> tuple[str, ...]:
    return layout.name, write.team, write.id


def _update(layout: Layout, write: Update, text: str | None, now: float) -> Lone | None:
    """Only of a row that is there, since an insert needs its defaults; and sums of whole numbers of few digits."""
    if write.append or not all(
        type(n) is int and abs(n) < WHOLE and name not in write.set for name, n in write.add.items()
    ):
        return None
    where, given = _there(layout, write, now)
    same = write.expires_at == "same"
    expires = None if same else write.expires_at
    change = encode(write.set)
    if layout.indexed and len(change) > INDEXED:
        return None  # perhaps too long for an index
    sql, values = layout.change, list[Any]((same, expires, change.decode()))
    for name, amount in write.add.items():
        sql += f" || jsonb_build_object({quoted(name)}, {_number(name)} + %s)"
        values.append(amount)
        where += f" AND coalesce(jsonb_typeof(t.item->{quoted(name)}), 'number') = 'number'"
        where += f" AND abs({_number(name)}) < {WHOLE} AND scale({_number(name)}) = 0"
    values += [list(write.remove), *given, ITEM_LIMIT - len(change) - 40 * len(write.add)]

    def read(found: Sequence[Any]) -> Written:
        return Written(Row(write.id, decode(found[2], write.table), found[0], found[1], write.team), True)

    # A row that might become too large is for who can say so.
    sql += f") - %s::text[]{where} AND octet_length(t.item::text) <= %s RETURNING version, expires, item::text"
    return Lone(sql, values, read, (layout.name, write.team, write.id))


def _number(name: str) -> str:
    """A number of the row, 0 where there is none; a CASE, so that no cast can fail."""
    place = f"t.item->{quoted(name)}"
    return f"(CASE jsonb_typeof({place}) WHEN 'number' THEN ({place})::numeric ELSE 0 END)"


def _delete(layout: Layout, write: Delete, text: str | None, now: float) -> Lone | None:
    if write.expired:
        sql, values = f"{layout.delete}{layout.place} AND {layout.dead}", [write.team, write.id, now]
    else:
        where, values = _there(layout, write, now)
        sql = f"{layout.delete}{where}"
    return Lone(f"{sql} RETURNING true", values, lambda _: Written(None, True), (layout.name, write.team, write.id))


def _append(layout: Layout, write: Append, text: str | None, now: float) -> Lone:
    values = (write.team, write.stream, write.turn_id, write.turn_id, write.expires_at, text)

    def read(found: Sequence[Any]) -> Written:
        return Written(Row(log_id(write.stream, write.turn_id), {}, found[0], write.expires_at, write.team), True)

    return Lone(layout.append, values, read, (layout.name, write.team, write.stream))


def _all(clauses: Sequence[Clause]) -> tuple[str, list[Any]]:
    return " AND ".join([f"({c.sql})" for c in clauses]), [value for c in clauses for value in c.values]


def _there(layout: Layout, write: Put | Update | Delete, now: float) -> tuple[str, list[Any]]:
    """WHERE for a row that is there and is what is asked for."""
    sql, values = f"{layout.place} AND {layout.alive}", [write.team, write.id, now]
    if write.if_version is not None:
        sql, values = f"{sql} AND t.version = %s", [*values, write.if_version]
    guard = None if isinstance(write, Delete) else write.guard
    asked = [clause_of(one, "t.item") for one in (write.condition, guard) if one is not None]
    if asked:
        where, given = _all(asked)
        sql, values = f"{sql} AND {where}", [*values, *given]
    return sql, values


_LONE: Final[Mapping[type, Callable[[Layout, Any, str | None, float], Lone | None]]] = {
    Put: _put,
    Update: _update,
    Delete: _delete,
    Append: _append,
}
