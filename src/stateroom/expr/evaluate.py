"""The meaning of a condition (invariant 4): plain recursion over the tree and one item.

Rules of this file: every engine must return what this returns. No coercion: "5" never equals 5; a boolean is not a
number; a missing attribute and a value of another type match only `<>` (DynamoDB's rules).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from stateroom.expr.tree import And, Condition, Exists

_MISSING: Final = object()
_OPS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(condition: Condition, item: Mapping[str, Any]) -> bool:
    """Whether `condition` holds for `item` (a row that does not exist is an empty item)."""
    if isinstance(condition, And):
        return all(evaluate(part, item) for part in condition.parts)
    found = _lookup(condition.path, item)
    if isinstance(condition, Exists):
        return (found is _MISSING) is condition.absent
    if condition.op == "<>":
        return not _same(found, condition.value)
    if condition.op == "=":
        return _same(found, condition.value)
    if type(found) is bool or _kind(found) != _kind(condition.value) or _kind(found) not in ("text", "number"):
        return False
    return _OPS[condition.op](found, condition.value)


def _lookup(path: tuple[str, ...], item: Any) -> Any:
    for name in path:
        if not isinstance(item, Mapping) or name not in item:
            return _MISSING
        item = item[name]
    return item


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, Decimal)):
        return "number"
    return type(value).__name__


def _same(left: Any, right: Any) -> bool:
    """Equality without Python's bool/int coercion, at every depth."""
    if _kind(left) != _kind(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
