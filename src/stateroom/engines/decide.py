"""What one write does to one row: the shared, pure meaning of writes and conditions.

Rules of this file: values in, values out; the clock is handed in. Every engine that decides in our process uses
these functions, so that memory and SQLite cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from stateroom.engines.port import (
    Append,
    Check,
    Delete,
    Put,
    Query,
    Rewrite,
    Row,
    Table,
    Truncate,
    Update,
    Write,
    Written,
    changes_table,
)
from stateroom.expr.compiled import holds
from stateroom.model.codec import normalise
from stateroom.model.errors import ConditionFailed, InvalidId, InvalidValue, Unsupported, WrongUse
from stateroom.model.ids import check_key, check_turn_id

_new: Final = tuple.__new__  # a NamedTuple's own constructor is a function of Python's: twice the time
_SMALL: Final = 10**18


def alive(row: Row | None, now: float) -> Row | None:
    """`row`, or None when it is past its expiry."""
    return row if row is not None and (row.expires_at is None or row.expires_at > now) else None


def is_bare(write: Put) -> bool:
    """Whether a put depends on nothing but the presence of its row."""
    return write.condition is None and write.if_version is None and write.guard is None


def put_done(write: Put, version: int) -> Written:
    """What a put has done whose item is kept as text, so that the given one may be handed on."""
    item = write.item if type(write.item) is dict else dict(write.item)
    return _new(Written, (_new(Row, (write.id, item, version, write.expires_at, write.team)), True))


def decide(current: Row | None, write: Put | Update | Delete | Check, now: float, index: int = 0) -> Written:
    """The row after `write` (None: there is none), or ConditionFailed. An expired `current` is absent."""
    there, current = current, alive(current, now)
    if type(write) is Delete and write.expired:
        return Written(None, changed=there is not None and current is None)
    if isinstance(write, Put) and write.keep and current is not None:
        return Written(current, changed=False)
    if not _holds(current, write):
        raise ConditionFailed(
            f"{write.table}/{write.id}",
            None if current is None else current.item,
            version=0 if current is None else current.version,
            index=index,
        )
    if isinstance(write, Put):
        row = _new(Row, (write.id, dict(write.item), next_version(current, now), write.expires_at, write.team))
        return _new(Written, (row, True))
    if isinstance(write, Update):
        return _new(Written, (_updated(current, write, now), True))
    return Written(None, changed=isinstance(write, Delete) and current is not None)


def change(before: Row | None, write: Put | Update | Delete, after: Row | None) -> dict[str, Any]:
    """The entry in the log of changes for a write that changed something, without the item (`port.changes_table`)."""
    if after is not None:
        return {"kind": "put" if type(write) is Put else "update", "id": write.id, "version": after.version}
    version = 0 if before is None else before.version
    return {
        "kind": "expire" if type(write) is Delete and write.expired else "delete",
        "id": write.id,
        "version": version,
    }


def check_place(write: Write) -> None:
    """InvalidId when the write's id, stream or turn id is one that some engine could not keep."""
    if isinstance(write, (Append, Rewrite, Truncate)):
        if "/" in check_key(write.stream, "stream"):
            raise InvalidId("stream", "must not contain a slash, which parts it from the turn id")
        if type(write) is Append:
            check_turn_id(write.turn_id)
    else:
        check_key(write.id)


def next_version(current: Row | None, now: float) -> int:
    """Versions grow by one; a new row starts at the time in microseconds, so that a deleted and remade row differs."""
    return current.version + 1 if current is not None else max(1, int(now * 1_000_000))


def _holds(current: Row | None, write: Put | Update | Delete | Check) -> bool:
    if write.if_version is not None and write.if_version != (0 if current is None else current.version):
        return False
    item = {} if current is None else current.item
    if isinstance(write, (Put, Update)) and write.guard is not None and not holds(write.guard, item):
        return False
    if write.condition is None:
        return True
    if current is None and not isinstance(write, Put):
        return False
    return holds(write.condition, item)


def _updated(current: Row | None, write: Update, now: float) -> Row:
    item = dict(write.base) if current is None else dict(current.item)
    item.update(write.set)
    for name, amount in write.add.items():
        item[name] = _sum(item.get(name, 0), amount, name)
    for name, entries in write.append.items():
        item[name] = _joined(item.get(name, []), entries, name)
    for name in write.remove:
        item.pop(name, None)
    expires = write.expires_at
    if expires == "same":
        expires = None if current is None else current.expires_at
    return _new(Row, (write.id, item, next_version(current, now), expires, write.team))


def _sum(left: Any, right: Any, name: str) -> Any:
    if type(left) is int and type(right) is int and -_SMALL < left + right < _SMALL:
        return left + right
    if isinstance(left, bool) or not isinstance(left, (int, Decimal)):
        raise InvalidValue(name, "is not a number, so nothing can be added to it")
    return normalise(left + right, name)


def _joined(left: Any, right: Any, name: str) -> list[Any]:
    if not isinstance(left, list):
        raise InvalidValue(name, "is not an array, so nothing can be appended to it")
    return [*left, *right]


def with_changes(tables: Sequence[Table]) -> list[Table]:
    """`tables` and the logs of changes that they ask for."""
    return [*tables, *(Table(changes_table(t.name), log=True) for t in tables if t.changes)]


def check_whole(query: Query) -> None:
    """WrongUse for bounds that a walk over everything does not have."""
    if query.index or query.equals or query.descending or query.low is not None or query.high is not None:
        raise WrongUse("a walk over the whole table has no index, bounds or direction: rows come by team and id")


def check_expired(engine: str, table: Table, query: Query) -> None:
    """Whether a query for expired rows can be asked: Unsupported, or WrongUse for bounds that it does not have."""
    if not table.expires:
        raise Unsupported(engine, f"a query for expired rows of {table.name}, which does not declare `expires`")
    if query.index or query.equals or query.descending or query.low is not None or query.high is not None:
        raise WrongUse("a query for expired rows has no index, bounds or direction: they come earliest first")


def index_key(item: Mapping[str, Any], attributes: tuple[str, ...]) -> tuple[Any, ...] | None:
    """The row's place in an index, or None: it lacks an attribute, or one is an array or object."""
    values = tuple(item.get(name) for name in attributes)
    return None if any(v is None or isinstance(v, (dict, list)) for v in values) else values


def exact(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Index values to be compared for equality: true is not 1, though Python finds them equal."""
    return tuple((isinstance(v, bool), v) for v in values)


def within(value: Any, query: Query) -> bool:
    """`low <= value < high`, as far as the query says so."""
    place = rank(value)
    return (query.low is None or place >= rank(query.low)) and (query.high is None or place < rank(query.high))


def rank(value: Any) -> tuple[int, Any]:
    """The order of index values: booleans and numbers before texts (by code point, as UTF-8's bytes)."""
    return (1, value) if isinstance(value, str) else (0, int(value) if isinstance(value, bool) else value)


def after_prefix(prefix: str) -> str | None:
    """The lowest string behind all that begin with `prefix` (order of code points, which is UTF-8's byte order)."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1])
        if code < 0x10FFFF:
            following = 0xE000 if code == 0xD7FF else code + 1  # surrogates are no characters
            return prefix[: end - 1] + chr(following)
    return None
