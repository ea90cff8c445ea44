"""Conditions as DynamoDB's own expressions over the map `item`.

Rules of this file: names and values are placeholders, never spliced. Only that part of the language is written of which
DynamoDB says the same as `evaluate`: a comparison has one path and one literal (a text, a number, true, false or null),
and says first of which type the value must be, so that nothing rests on how values of two types compare. Where DynamoDB
refuses what `evaluate` answers (an order of booleans, a BETWEEN whose bounds are turned), and for `size`, which counts
otherwise, there is no expression (`Foreign`): the row is read, `evaluate` decides, and the version is the condition.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.engines.dynamodb_values import wire
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
from stateroom.expr.values import kind, ordered

FLIPPED: Final[Mapping[str, str]] = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
LONGEST: Final = 3500  # bytes; DynamoDB takes 4,096 a text, and ours stand beside it
OPTIONS: Final = 50  # of IN; DynamoDB takes 100
OPERATORS: Final = 200  # DynamoDB takes 300
_KINDS: Final = ("S", "N", "BOOL", "NULL")
_TYPES: Final = ("S", "N", "BOOL", "NULL", "L", "M")


class Foreign(Exception):
    """DynamoDB cannot say it as it is meant."""


class Terms:
    """The placeholders of one request."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self.count = 0

    def name(self, name: str) -> str:
        """The placeholder of an attribute's name."""
        return self._names.setdefault(name, f"#n{len(self._names)}")

    def value(self, value: Any) -> str:
        """The placeholder of a value."""
        return self.raw(wire(value))

    def raw(self, found: Mapping[str, Any]) -> str:
        """The placeholder of a value in DynamoDB's JSON."""
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = found
        return placeholder

    def path(self, *parts: str | int) -> str:
        """What is at a path within the item."""
        steps = [f".{self.name(part)}" if isinstance(part, str) else f"[{part}]" for part in parts]
        return self.name("item") + "".join(steps)

    def asked(self) -> dict[str, Any]:
        """The fields of a request that explain the placeholders."""
        found: dict[str, Any] = {}
        if self._names:
            found["ExpressionAttributeNames"] = {short: name for name, short in self._names.items()}
        if self._values:
            found["ExpressionAttributeValues"] = self._values
        return found


def expression(condition: Condition, terms: Terms) -> str:
    """The condition as an expression, to stand in parentheses (DynamoDB refuses double ones); Foreign."""
    text = _written(condition, terms)
    if len(text) > LONGEST or terms.count > OPERATORS:
        raise Foreign
    return text


def hint(condition: Condition, terms: Terms) -> str:
    """As much of the condition as DynamoDB can say, for a filter that may find too much; empty for none of it."""
    parts = condition.parts if isinstance(condition, And) else (condition,)
    found: list[str] = []
    for part in parts:
        if not _sayable(part) or sum(map(len, found)) > LONGEST:
            continue
        found.append(f"({expression(part, terms)})")
    return " AND ".join(found)


def _sayable(part: Condition) -> bool:
    try:
        expression(part, Terms())
    except Foreign:
        return False
    return True


def _written(node: Condition, terms: Terms) -> str:
    terms.count += 2
    if isinstance(node, Not):
        return f"NOT ({_written(node.part, terms)})"
    if isinstance(node, (And, Or)):
        joint = " AND " if isinstance(node, And) else " OR "
        return joint.join([f"({_written(part, terms)})" for part in node.parts])
    found: str = _WRITTEN[type(node)](node, terms)
    return found


def _path(operand: Operand, terms: Terms) -> str:
    if not isinstance(operand, Path):
        raise Foreign
    return terms.path(*operand.parts)


def _given(operand: Operand, kinds: tuple[str, ...]) -> Any:
    """The value of a literal of one of these kinds."""
    if not isinstance(operand, Literal) or kind(operand.value) not in kinds:
        raise Foreign
    return operand.value


def _typed(path: str, code: str, test: str, terms: Terms) -> str:
    """`test` of a value of that type."""
    return f"attribute_type({path}, {terms.value(code)}) AND {test}"


def _equal(path: str, value: Any, terms: Terms) -> str:
    code = kind(value)
    if code == "NULL":
        return f"attribute_type({path}, {terms.value(code)})"
    return _typed(path, code, f"{path} = {terms.value(value)}", terms)


def _compare(node: Compare, terms: Terms) -> str:
    left, op, right = node.left, str(node.op), node.right
    if isinstance(left, Literal):
        left, op, right = right, FLIPPED[op], left
    value, path = _given(right, _KINDS if op in ("=", "<>") else ("S", "N")), _path(left, terms)
    if op == "=":
        return _equal(path, value, terms)
    if op == "<>":
        return f"NOT ({_equal(path, value, terms)})"
    return _typed(path, kind(value), f"{path} {op} {terms.value(value)}", terms)


def _between(node: Between, terms: Terms) -> str:
    low, high = _given(node.low, ("S", "N")), _given(node.high, ("S", "N"))
    if not ordered(low, high) or low > high:
        raise Foreign
    path = _path(node.operand, terms)
    return _typed(path, kind(low), f"{path} BETWEEN {terms.value(low)} AND {terms.value(high)}", terms)


def _in(node: In, terms: Terms) -> str:
    """Of texts one IN, of numbers another; the rest one by one."""
    options = [_given(option, _KINDS) for option in node.options]
    if len(options) > OPTIONS:
        raise Foreign
    terms.count += len(options)
    path, found = _path(node.operand, terms), []
    for code in ("S", "N"):
        given = [terms.value(option) for option in options if kind(option) == code]
        if given:
            found.append(_typed(path, code, f"{path} IN ({', '.join(given)})", terms))
    found += [_equal(path, option, terms) for option in options if kind(option) not in ("S", "N")]
    return found[0] if len(found) == 1 else " OR ".join([f"({one})" for one in found])


def _exists(node: Exists, terms: Terms) -> str:
    return f"attribute_{'not_' * node.absent}exists({terms.path(*node.path.parts)})"


def _type_is(node: TypeIs, terms: Terms) -> str:
    if node.type not in _TYPES:
        raise Foreign
    return f"attribute_type({terms.path(*node.path.parts)}, {terms.value(node.type)})"


def _begins_with(node: BeginsWith, terms: Terms) -> str:
    prefix = _given(node.prefix, ("S",))
    if not prefix:
        raise Foreign
    return f"begins_with({_path(node.operand, terms)}, {terms.value(prefix)})"


def _contains(node: Contains, terms: Terms) -> str:
    wanted = _given(node.operand, ("S",))
    if not wanted:
        raise Foreign
    return f"contains({_path(node.container, terms)}, {terms.value(wanted)})"


_WRITTEN: Final[Mapping[type, Callable[[Any, Terms], str]]] = {
    Compare: _compare,
    Between: _between,
    In: _in,
    Exists: _exists,
    TypeIs: _type_is,
    BeginsWith: _begins_with,
    Contains: _contains,
}
