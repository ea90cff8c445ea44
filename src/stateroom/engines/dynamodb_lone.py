"""A write that is one request: what it says, and what its answer means.

Rules of this file: pure. The request decides as `decide.decide` does; it writes only when it is sure. When DynamoDB
refuses it, the row as it is comes with the refusal, and `decide` says what that means; when `decide` would have
written, a batch does (dynamodb_batch.py), with the version as the condition. Not every write has a request (`lone_of`
gives None): not those that need the row first, for an index or a unique value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import alive, next_version
from stateroom.engines.dynamodb_conditions import Foreign, Terms, expression
from stateroom.engines.dynamodb_tables import ITEM_LIMIT, Layout, named
from stateroom.engines.dynamodb_values import Attributes
from stateroom.engines.port import Delete, Put, Row, TableIndex, Update, Write, Written
from stateroom.expr.evaluate import evaluate
from stateroom.expr.tree import Condition

WHOLE: Final = 10**18  # whole numbers below it add up to one that is exact everywhere
SUM: Final = 40  # bytes that an added number may grow the item's JSON by


class Lone(NamedTuple):
    """The request of one write; `read` makes its result from the answer."""

    action: str
    body: dict[str, Any]
    read: Callable[[Attributes], Written]
    beside: tuple[dict[str, Any], ...] = ()  # rows that are put with it

    def stored(self, answer: Attributes) -> Attributes | None:
        """The row as it is now; None when the answer does not tell."""
        row: Attributes | None = self.body.get("Item")
        return answer.get("Attributes") if self.body.get("ReturnValues") == "ALL_NEW" else row


def lone_of(layout: Layout, write: Write, now: float) -> Lone | None:
    """The request for `write`, or None when it takes more than one. ItemTooLarge, InvalidValue."""
    make = _LONE.get(type(write))
    if make is None or layout.table.changes:
        return None
    try:
        return make(layout, write, now)
    except Foreign:
        return None


def _base(layout: Layout, write: Put | Update | Delete) -> dict[str, Any]:
    return {
        "Key": named(layout.key(write.team, write.id)),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _alive(terms: Terms, now: float) -> str:
    x = terms.name("x")
    return f"attribute_exists({terms.name('pk')}) AND (attribute_not_exists({x}) OR {x} > {_time(terms, now)})"


def _dead(terms: Terms, now: float) -> str:
    return f"(attribute_not_exists({terms.name('pk')}) OR {terms.name('x')} <= {_time(terms, now)})"


def _time(terms: Terms, now: float) -> str:
    return terms.raw({"N": repr(now)})


def _asked(write: Put | Update) -> list[Condition]:
    return [one for one in (write.condition, write.guard) if one is not None]


def _there(terms: Terms, asked: Sequence[Condition], if_version: int | None, now: float) -> str:
    """The row is there and is what is asked for."""
    parts = [_alive(terms, now)]
    if if_version is not None:
        parts.append(f"{terms.name('v')} = {terms.value(if_version)}")
    parts += [f"({expression(one, terms)})" for one in asked]
    return " AND ".join(parts)


def _put(layout: Layout, write: Put, now: float) -> Lone | None:
    if layout.unique:
        return None
    terms, asked = Terms(), _asked(write)
    if write.keep or write.if_version == 0:
        if asked:
            return None
        # Where a dead row is, its pointers must go with it, and it must be read for them.
        absent = f"attribute_not_exists({terms.name('pk')})" if layout.current else _dead(terms, now)
        return _whole(layout, write, next_version(None, now), absent, terms)
    if layout.current:
        return None
    if write.if_version is not None:
        there = _there(terms, asked, write.if_version, now)
        return _whole(layout, write, write.if_version + 1, there, terms)
    if not asked:
        return _over(layout, write, terms, None, now)
    there = _there(terms, asked, None, now)
    if all(evaluate(one, {}) for one in asked):
        there = f"{_dead(terms, now)} OR ({there})"
    return _over(layout, write, terms, there, now)


def _whole(layout: Layout, write: Put, version: int, condition: str, terms: Terms) -> Lone:
    """A put whose version is known beforehand."""
    request = _base(layout, write)
    body = layout.body(layout.key(write.team, write.id), write.item, write.expires_at)
    request["Item"] = request.pop("Key") | body | {"v": {"N": str(version)}}
    request["ConditionExpression"] = condition
    row = Row(write.id, dict(write.item), version, write.expires_at, write.team)
    beside = tuple(layout.pointers(row).values())
    return Lone("PutItem", request | terms.asked(), lambda _: Written(row, True), beside)


def _over(layout: Layout, write: Put, terms: Terms, condition: str | None, now: float) -> Lone:
    """A put over whatever is there: its version is the one before and one more."""
    body = layout.body(layout.key(write.team, write.id), write.item, write.expires_at)
    v, one = terms.name("v"), terms.value(1)
    sets = [f"{v} = if_not_exists({v}, {terms.value(next_version(None, now) - 1)}) + {one}"]
    sets += [f"{terms.name(name)} = {terms.raw(value)}" for name, value in body.items()]
    gone = [terms.name(name) for name in layout.movable() if name not in body]
    request = _base(layout, write)
    request["UpdateExpression"] = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(gone)}" if gone else "")
    request["ReturnValues"] = "UPDATED_NEW"
    if condition is not None:
        request["ConditionExpression"] = condition

    def read(found: Attributes) -> Written:
        version = int(found["Attributes"]["v"]["N"])
        return Written(Row(write.id, dict(write.item), version, write.expires_at, write.team), True)

    return Lone("UpdateItem", request | terms.asked(), read)


def _update(layout: Layout, write: Update, now: float) -> Lone | None:
    """Only of a row that is there, since an insert needs its defaults; and sums of whole numbers of few digits."""
    names = [*write.set, *write.add, *write.append, *write.remove]
    if len(set(names)) != len(names) or not all(_small(amount) for amount in write.add.values()):
        return None
    if write.if_version == 0 or any(set(index.attributes) & set(names) for index in layout.unique):
        return None
    terms = Terms()
    v = terms.name("v")
    sets, gone = [f"{v} = {v} + {terms.value(1)}"], [terms.path(name) for name in write.remove]
    sets += [f"{terms.path(name)} = {terms.value(value)}" for name, value in write.set.items()]
    for name, amount in write.add.items():
        sets.append(f"{terms.path(name)} = if_not_exists({terms.path(name)}, {terms.value(0)}) + {terms.value(amount)}")
    for name, more in write.append.items():
        old = f"if_not_exists({terms.path(name)}, {terms.value([])})"
        sets.append(f"{terms.path(name)} = list_append({old}, {terms.value(more)})")
    moved = _moved(layout, write)
    if moved is None:
        return None
    sets += [f"{terms.name(name)} = {terms.raw(value)}" for name, value in moved.items() if value is not None]
    gone += [terms.name(name) for name, value in moved.items() if value is None]
    growth = layout.size({**write.set, **write.append}) + SUM * len(write.add)
    b = terms.name("b")
    sets.append(f"{b} = {b} + {terms.value(growth)}")
    request = _base(layout, write)
    request["UpdateExpression"] = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(gone)}" if gone else "")
    # A row that might become too large is for who can say so.
    there = _there(terms, _asked(write), write.if_version, now)
    request["ConditionExpression"] = f"{b} <= {terms.value(ITEM_LIMIT - growth)} AND {there}" + _numbers(write, terms)
    request["ReturnValues"] = "ALL_NEW"
    return Lone("UpdateItem", request | terms.asked(), lambda found: Written(layout.row(found["Attributes"]), True))


def _small(amount: Any) -> bool:
    return type(amount) is int and abs(amount) < WHOLE


def _numbers(write: Update, terms: Terms) -> str:
    """What is added to and appended to is of its kind, and sums stay exact: DynamoDB's errors would not say so."""
    text = ""
    for name in write.add:
        path = terms.path(name)
        low, high = terms.value(-WHOLE), terms.value(WHOLE)
        text += f" AND (attribute_not_exists({path}) OR {path} BETWEEN {low} AND {high})"
    for name in write.append:
        path = terms.path(name)
        text += f" AND (attribute_not_exists({path}) OR attribute_type({path}, {terms.value('L')}))"
    return text


def _moved(layout: Layout, write: Update) -> dict[str, Any] | None:
    """The index attributes as they become, None for those that go; None when the row must be read for them."""
    found: dict[str, Any] = {}
    changed = {*write.set, *write.add, *write.append, *write.remove}
    if layout.current and write.expires_at != "same":
        return None  # pointers expire with their row
    for index in layout.table.indexes:
        touched = changed & set(index.attributes)
        if not touched:
            continue
        if index.current is True:
            return None
        keys = _keys(layout, index, write)
        if keys is _UNKNOWN:
            return None
        slot = layout.slots[index.name]
        found |= keys or {f"p{slot}": None, f"s{slot}": None}
    if write.expires_at != "same":
        key = layout.key(write.team, write.id)
        found |= dict.fromkeys(("x", "ttl", "p0", "s0")) | layout.expiry(key, write.expires_at)
    return found


_UNKNOWN: Final[dict[str, Any]] = {}


def _keys(layout: Layout, index: TableIndex, write: Update) -> dict[str, Any] | None:
    if set(index.attributes) & set(write.remove):
        return None
    if not set(index.attributes) <= write.set.keys():
        return _UNKNOWN
    return layout.index_keys(index, write.set, write.team, write.id)


def _delete(layout: Layout, write: Delete, now: float) -> Lone | None:
    if layout.unique or layout.current:
        return None
    terms, request = Terms(), _base(layout, write)
    if write.expired:
        request["ConditionExpression"] = f"{terms.name('x')} <= {_time(terms, now)}"
    elif write.condition is not None or write.if_version is not None:
        if write.if_version == 0:
            return None
        asked = [] if write.condition is None else [write.condition]
        request["ConditionExpression"] = _there(terms, asked, write.if_version, now)
    else:
        request["ReturnValues"] = "ALL_OLD"

        def read(found: Attributes) -> Written:
            old = layout.row(found["Attributes"]) if found.get("Attributes") else None
            return Written(None, changed=alive(old, now) is not None)

        return Lone("DeleteItem", request | terms.asked(), read)
    return Lone("DeleteItem", request | terms.asked(), lambda _: Written(None, changed=True))


_LONE: Final[Mapping[type, Callable[[Layout, Any, float], Lone | None]]] = {
    Put: _put,
    Update: _update,
    Delete: _delete,
}
