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
from stateroom.engines.postgresql_conditions import clause_of, quoted
from stateroom.engines.postgresql_tables import INDEXED, ITEM_LIMIT, Layout
from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import Condition
from stateroom.model.codec import decode, encode

# Sent when the transaction commits, once for all that are alike in it; in RETURNING: only if a row was written.
TELL: Final = "pg_notify(%s, %s)"
WHOLE: Final = 10**18  # whole numbers below it add up to one that is exact and plain in JSON


class Lone(NamedTuple):
    """The statement of one write; `read` makes its result from the row that came back."""

    sql: str
    values: Sequence[Any]
    read: Callable[[Sequence[Any]], Written]
    key: tuple[str, ...]  # the order in which statements of one transaction go, so that no two wait for each other


def lone_of(layout: Layout, write: Write, text: str | None, now: float) -> Lone | None:
    """The statement for `write`, or None when it takes more than one."""
    if layout.table.changes:
        return None
    make = _LONE.get(type(write))
    return None if make is None else make(layout, write, text, now)


def _put(layout: Layout, write: Put, text: str | None, now: float) -> Lone | None:
    version = next_version(None, now)
    row = (write.team, write.id, version, write.expires_at, text)
    values: tuple[Any, ...]
    asked = _asked(write.condition, write.guard)
    if write.keep or write.if_version == 0:
        if asked:
            return None
        sql, values = f"{layout.upsert} WHERE {layout.dead}", (*row, now, now)
    elif write.if_version is not None or not all(evaluate(one, {}) for one in asked):
        return _over(layout, write, text, now)  # who is not there cannot be what is asked for
    else:
        sql, values = layout.upsert, (*row, now)
        if asked:
            where, given = _clauses(asked)
            sql, values = f"{sql} WHERE {layout.dead} OR ({where})", (*values, now, *given)

    def read(found: Sequence[Any]) -> Written:
        return Written(Row(write.id, dict(write.item), found[0], write.expires_at, write.team), True)

    return _telling(Lone(f"{sql} RETURNING version", values, read, _key(layout, write)), layout, write)


def _over(layout: Layout, write: Put, text: str | None, now: float) -> Lone:
    where, given = _there(layout, write, now)
    if write.passes:
        where = f" WHERE (t.team, t.id) IN (SELECT t.team, t.id FROM {layout.sql} AS t{where} FOR UPDATE SKIP LOCKED)"

    def read(found: Sequence[Any]) -> Written:
        return Written(Row(write.id, dict(write.item), found[0], write.expires_at, write.team), True)

    values = (write.expires_at, text, *given)
    return _telling(Lone(f"{layout.over}{where} RETURNING version", values, read, _key(layout, write)), layout, write)


def _telling(lone: Lone, layout: Layout, write: Put) -> Lone:
    """The same, which wakes whoever listens."""
    if not write.wake:
        return lone
    return lone._replace(sql=f"{lone.sql}, {TELL}", values=(*lone.values, *told(layout)))


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


def _asked(*conditions: Condition | None) -> list[Condition]:
    return [one for one in conditions if one is not None]


def _clauses(conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    clauses = [clause_of(one, "t.item") for one in conditions]
    return " AND ".join([f"({c.sql})" for c in clauses]), [value for c in clauses for value in c.values]


def _there(layout: Layout, write: Put | Update | Delete, now: float) -> tuple[str, list[Any]]:
    """WHERE for a row that is there and is what is asked for."""
    sql, values = f"{layout.place} AND {layout.alive}", [write.team, write.id, now]
    if write.if_version is not None:
        sql, values = f"{sql} AND t.version = %s", [*values, write.if_version]
    guard = None if isinstance(write, Delete) else write.guard
    asked = _asked(write.condition, guard)
    if asked:
        where, given = _clauses(asked)
        sql, values = f"{sql} AND {where}", [*values, *given]
    return sql, values


_LONE: Final[Mapping[type, Callable[[Layout, Any, str | None, float], Lone | None]]] = {
    Put: _put,
    Update: _update,
    Delete: _delete,
    Append: _append,
}
