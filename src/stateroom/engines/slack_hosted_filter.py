"""Which part of a condition Slack's own filter is asked, so that it never leaves out a row that matches.

Rules of this file: pure. Only what Slack documents for its datastores goes there: comparisons, BETWEEN, begins_with,
contains, attribute_not_exists, AND, OR, of attributes by name with texts, booleans and numbers. What cannot be asked is
left out of an AND and makes an OR not askable; `evaluate` decides on the rows that come back. The primary key may not
stand in an expression. A number that a 64-bit float does not hold is not asked: who parses it to one sees another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from stateroom.expr.tree import (
    And,
    BeginsWith,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    Literal,
    Or,
    Path,
)

_OPERATORS: Final = frozenset({"=", "<", "<=", ">", ">="})
_EXACT: Final = 2**53
_DIGITS: Final = 15
_DEPTH: Final = 16
_PARTS: Final = 40  # parts that are sent; the rest is decided here


def native(condition: Condition | None, key: str, depth: int = 0) -> Condition | None:
    """What to ask Slack: fulfilled by every item that fulfils `condition`. None: ask for all."""
    if condition is None or depth > _DEPTH:
        return None
    if isinstance(condition, And):
        some = [found for part in condition.parts if (found := native(part, key, depth + 1)) is not None][:_PARTS]
        return None if not some else some[0] if len(some) == 1 else And(tuple(some))
    if isinstance(condition, Or):
        asked = [native(part, key, depth + 1) for part in condition.parts]
        every = tuple(part for part in asked if part is not None)
        return Or(every) if len(every) == len(asked) <= _PARTS else None
    askable = _ASKABLE.get(type(condition))
    return condition if askable is not None and askable(condition, key) else None


def _compare(node: Compare, key: str) -> bool:
    return node.op in _OPERATORS and _attribute(node.left, key) and _value(node.right)


def _between(node: Between, key: str) -> bool:
    return _attribute(node.operand, key) and _value(node.low) and _value(node.high)


def _begins(node: BeginsWith, key: str) -> bool:
    return _attribute(node.operand, key) and _text(node.prefix)


def _contains(node: Contains, key: str) -> bool:
    return _attribute(node.container, key) and _text(node.operand)


def _absent(node: Exists, key: str) -> bool:
    return node.absent and _attribute(node.path, key)


_ASKABLE: Final[Mapping[type, Callable[[Any, str], bool]]] = {
    Compare: _compare,
    Between: _between,
    BeginsWith: _begins,
    Contains: _contains,
    Exists: _absent,
}


def _attribute(operand: object, key: str) -> bool:
    """An attribute by its name alone: Slack documents no paths."""
    return isinstance(operand, Path) and len(operand.parts) == 1 and operand.parts[0] != key


def _text(operand: object) -> bool:
    return isinstance(operand, Literal) and isinstance(operand.value, str) and operand.value != ""


def _value(operand: object) -> bool:
    if not isinstance(operand, Literal):
        return False
    value = operand.value
    if isinstance(value, Decimal):
        return len(value.as_tuple().digits) <= _DIGITS and -100 < value.adjusted() < 100
    if type(value) is int:
        return -_EXACT <= value <= _EXACT
    return isinstance(value, bool) or _text(operand)
