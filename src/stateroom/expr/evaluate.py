"""The meaning of a condition (invariant 4): plain recursion over the tree and one item.

Rules of this file: every other target must return what this returns, so it is written to be read, not to be fast
(compiled.py is). The rules are DynamoDB's: no coercion; what is missing or of another type matches no comparison,
BETWEEN, IN, begins_with or contains, but it does match `<>`, NOT of any of them and attribute_not_exists.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.expr.tree import (
    And,
    BeginsWith,
    Between,
    Compare,
    Condition,
    Contains,
    Exists,
    In,
    Literal,
    Not,
    Operand,
    Or,
    Path,
    TypeIs,
)
from stateroom.expr.values import MISSING, kind, ordered, same, size

Item = Mapping[str, Any]


def evaluate(condition: Condition, item: Item) -> bool:
    """Whether `condition` holds for `item` (a row that does not exist is an empty item)."""
    return _MEANING[type(condition)](condition, item)


def value_of(operand: Operand, item: Item) -> Any:
    """The value of an operand, MISSING when it has none."""
    if isinstance(operand, Literal):
        return operand.value
    return lookup(operand.parts, item) if isinstance(operand, Path) else size(lookup(operand.path.parts, item))


def lookup(parts: tuple[str | int, ...], item: Any) -> Any:
    """What is at a path: names lead into maps, numbers into lists."""
    for part in parts:
        if isinstance(part, str):
            if (type(item) is not dict and not isinstance(item, Mapping)) or part not in item:
                return MISSING
        elif not isinstance(item, list) or part >= len(item):
            return MISSING
        item = item[part]
    return item


def _in_order(left: Any, op: Callable[[Any, Any], Any], right: Any) -> bool:
    return ordered(left, right) and bool(op(left, right))


def _compare(node: Compare, item: Item) -> bool:
    left, right = value_of(node.left, item), value_of(node.right, item)
    if node.op == "=":
        return same(left, right)
    if node.op == "<>":
        return not same(left, right)
    return _in_order(left, _ORDER[node.op], right)


def _between(node: Between, item: Item) -> bool:
    value, low, high = (value_of(o, item) for o in (node.operand, node.low, node.high))
    return _in_order(low, operator.le, value) and _in_order(value, operator.le, high)


def _in(node: In, item: Item) -> bool:
    value = value_of(node.operand, item)
    return any(same(value, value_of(option, item)) for option in node.options)


def _exists(node: Exists, item: Item) -> bool:
    return (lookup(node.path.parts, item) is MISSING) is node.absent


def _type_is(node: TypeIs, item: Item) -> bool:
    return kind(lookup(node.path.parts, item)) == node.type


def _begins_with(node: BeginsWith, item: Item) -> bool:
    value, prefix = value_of(node.operand, item), value_of(node.prefix, item)
    return isinstance(value, str) and isinstance(prefix, str) and value.startswith(prefix)


def _contains(node: Contains, item: Item) -> bool:
    container, wanted = value_of(node.container, item), value_of(node.operand, item)
    if isinstance(container, str):
        return isinstance(wanted, str) and wanted in container
    return isinstance(container, list) and any(same(one, wanted) for one in container)


def _and(node: And, item: Item) -> bool:
    return all(evaluate(part, item) for part in node.parts)


def _or(node: Or, item: Item) -> bool:
    return any(evaluate(part, item) for part in node.parts)


def _not(node: Not, item: Item) -> bool:
    return not evaluate(node.part, item)


_ORDER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MEANING: Final[Mapping[type, Callable[[Any, Item], bool]]] = {
    Compare: _compare,
    Between: _between,
    In: _in,
    Exists: _exists,
    TypeIs: _type_is,
    BeginsWith: _begins_with,
    Contains: _contains,
    And: _and,
    Or: _or,
    Not: _not,
}
