"""Which declared index finds the rows of a condition, for a page in key order.

Rules of this file: pure. An index is sparse, a row without one of its attributes is not in it; so an index serves only
a condition that asks of each of its attributes what a missing value cannot fulfil, in parts that all must hold.

With every attribute fixed by equality the index has the rows in the order of their ids, and a page is read from it.
With a range, a prefix or a list of values it has them in another order: then their ids are listed and sorted first,
which pays when they are few (sqlite_read.py counts). What the index finds may be rows too many, never too few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from stateroom.engines.decide import after_prefix
from stateroom.engines.port import Table, TableIndex
from stateroom.engines.sqlite_conditions import FLIPPED, bound, near
from stateroom.engines.sqlite_tables import extract
from stateroom.expr.tree import And, BeginsWith, Between, Compare, Condition, In, Literal, Path
from stateroom.expr.values import kind

Term = tuple[str, list[Any]]
"""SQL that follows an attribute's expression, and what is bound to it."""


class Ask(NamedTuple):
    """What one part of a condition asks of one attribute that has to be there."""

    attribute: str
    terms: tuple[Term, ...]
    equal: bool


class Choice(NamedTuple):
    """An index, the terms for it, whether it has the rows in key order, and the parts of the condition left over."""

    by: TableIndex
    sql: tuple[str, ...]
    values: list[Any]
    in_order: bool
    rest: tuple[Condition, ...]


def choose(table: Table, condition: Condition) -> Choice | None:
    """The index that narrows most; None when none serves."""
    if not table.indexes:
        return None
    parts = tuple(_parts(condition))
    asked = [(part, ask) for part in parts if (ask := _ask(part)) is not None]
    found = [choice for index in table.indexes if (choice := _choice(index, asked, parts)) is not None]
    return max(found, key=lambda choice: (choice.in_order, len(choice.sql)), default=None)


def _choice(index: TableIndex, asked: list[tuple[Condition, Ask]], parts: tuple[Condition, ...]) -> Choice | None:
    by_name: dict[str, list[tuple[Condition, Ask]]] = {name: [] for name in index.attributes}
    for part, ask in asked:
        if ask.attribute in by_name:
            by_name[ask.attribute].append((part, ask))
    if not all(by_name.values()):
        return None
    sql: list[str] = []
    values: list[Any] = []
    used: set[int] = set()
    for name in index.attributes:
        equal = next(((part, ask) for part, ask in by_name[name] if ask.equal), None)
        for part, ask in [equal] if equal else by_name[name]:
            for term, given in ask.terms:
                sql.append(f"{extract(name)} {term}")
                values += given
            used.add(id(part))
        if equal is None:
            break
    in_order = all(any(ask.equal for _, ask in asks) for asks in by_name.values())
    if not in_order and (index.across_teams or not sql):
        return None
    return Choice(index, tuple(sql), values, in_order, tuple(part for part in parts if id(part) not in used))


def _parts(condition: Condition) -> Iterator[Condition]:
    """The parts that all must hold."""
    if isinstance(condition, And):
        for part in condition.parts:
            yield from _parts(part)
    else:
        yield condition


def _ask(part: Condition) -> Ask | None:
    if isinstance(part, Compare):
        if isinstance(part.left, Literal):
            part = Compare(part.right, FLIPPED[part.op], part.left)
        name = _name(part.left)
        return None if name is None or not isinstance(part.right, Literal) else _compared(name, part.op, part.right)
    if isinstance(part, Between):
        name = _name(part.operand)
        if name is None or not isinstance(part.low, Literal) or not isinstance(part.high, Literal):
            return None
        low, high = _compared(name, ">=", part.low), _compared(name, "<=", part.high)
        return None if low is None or high is None else Ask(name, low.terms + high.terms, False)
    if isinstance(part, BeginsWith):
        name = _name(part.operand)
        fits = name is not None and isinstance(part.prefix, Literal)
        return _prefix(name, part.prefix.value) if fits else None  # type: ignore[arg-type, union-attr]
    return _one_of(part) if isinstance(part, In) else None


def _compared(name: str, op: str, literal: Literal) -> Ask | None:
    value, code = literal.value, kind(literal.value)
    if op == "=":
        mark, given = bound(value)
        return Ask(name, ((f"= {mark}", [given]),), True) if code in ("S", "N", "BOOL") else None
    if op not in _BEYOND or code not in ("S", "N"):
        return None
    if code == "N":
        return Ask(name, ((f"{op[0]}= ?", [near(value, _BEYOND[op])]),), False)
    return Ask(name, ((f"{op} ?", [value]),), False)


def _prefix(name: str, prefix: str) -> Ask:
    behind = after_prefix(prefix)
    terms: tuple[Term, ...] = ((">= ?", [prefix]),)
    return Ask(name, terms if behind is None else (*terms, ("< ?", [behind])), False)


def _one_of(part: In) -> Ask | None:
    name = _name(part.operand)
    if name is None:
        return None
    marks, values = [], []
    for option in part.options:
        if not isinstance(option, Literal) or kind(option.value) not in ("S", "N", "BOOL"):
            return None
        mark, given = bound(option.value)
        marks.append(mark)
        values.append(given)
    return Ask(name, ((f"IN ({', '.join(marks)})", values),), False)


def _name(operand: Any) -> str | None:
    return operand.parts[0] if isinstance(operand, Path) and len(operand.parts) == 1 else None  # type: ignore[return-value]


_BEYOND: Final[Mapping[str, int]] = {"<": 1, "<=": 1, ">": -1, ">=": -1}  # where a number's near neighbour must be
