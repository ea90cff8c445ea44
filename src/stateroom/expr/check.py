"""What a tree must fulfil to mean something, whoever made it: the parser, the builder, or a caller by hand.

Rules of this file: `flaw` judges one node by itself and says which operand is at fault, so that the parser can point
at the character; `check` walks a whole tree. The rules are DynamoDB's. The limits are those of DynamoDB where it has
one (300 operators, 100 operands of IN); the depth is ours, so that plain recursion over a tree is always safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

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
    Size,
    TypeIs,
)
from stateroom.expr.values import TYPE_CODES, kind, same
from stateroom.model.codec import DEPTH, normalise
from stateroom.model.errors import InvalidCondition, InvalidValue

MAX_OPERATORS: Final = 300
"""Operators and functions of one condition: comparisons, BETWEEN, IN, functions, `size`, AND, OR, NOT."""
MAX_OPTIONS: Final = 100
"""Operands in the parentheses of one IN."""
MAX_DEPTH: Final = 64
"""How deep AND, OR, NOT and parentheses may be nested."""
MAX_PLACE: Final = 999_999_999
"""The highest place in a list that a path may name."""

_OPERATORS: Final = ("=", "<>", "<", "<=", ">", ">=")
_ORDERED: Final = frozenset("SN")
_WORDS: Final = {"S": "text", "N": "number", "BOOL": "boolean", "NULL": "null", "L": "list", "M": "map"}


class Flaw(NamedTuple):
    """What is wrong with a node, and with which of its operands (None: with the operator)."""

    detail: str
    operand: int | None = None


def check(condition: Condition, *, key: str | None = None) -> None:
    """InvalidCondition unless `condition` means something. With `key`, no path may begin at that attribute.

    Slack allows no primary key in an expression; our own engines do not mind one.
    """
    operators = 0
    for node, depth in walk(condition):
        if depth > MAX_DEPTH:
            raise InvalidCondition(f"the condition is nested deeper than {MAX_DEPTH} levels; split it")
        for operand in operands(node):
            _check_operand(operand)
            operators += isinstance(operand, Size)
        if found := flaw(node):
            raise InvalidCondition(found.detail)
        operators += len(node.parts) - 1 if isinstance(node, (And, Or)) else 1
        if operators > MAX_OPERATORS:
            raise InvalidCondition(f"the condition has more than {MAX_OPERATORS} operators; split it")
    if key is not None and key in paths(condition):
        raise InvalidCondition(
            f"the primary key {key} may not stand in an expression; use get for one item, or keep a copy of the key in "
            "another attribute"
        )


def check_sealed(condition: Condition, sealed: frozenset[str]) -> None:
    """InvalidCondition when more is asked of an encrypted attribute than whether it is there: no store can tell."""
    for node, _ in walk(condition):
        for operand in operands(node):
            path = operand.path if isinstance(operand, Size) else operand
            if isinstance(path, Literal) or str(path.parts[0]) not in sealed:
                continue
            if not isinstance(node, Exists) or len(path.parts) > 1:
                raise InvalidCondition(
                    f"{path.parts[0]} is encrypted: a condition may ask attribute_exists and attribute_not_exists of "
                    "it as a whole, and nothing else"
                )


def paths(condition: Condition) -> frozenset[str]:
    """The top-level attributes that the condition looks at."""
    found = set()
    for node, _ in walk(condition):
        for operand in operands(node):
            if not isinstance(operand, Literal):
                path = operand.path if isinstance(operand, Size) else operand
                found.add(str(path.parts[0]))
    return frozenset(found)


def walk(condition: Condition) -> Iterator[tuple[Condition, int]]:
    """Every node with its depth (from 1), without recursion. InvalidCondition for what is no node."""
    left: list[tuple[Any, int]] = [(condition, 1)]
    while left:
        node, depth = left.pop()
        if isinstance(node, (And, Or)):
            left += [(part, depth + 1) for part in reversed(node.parts)]
        elif isinstance(node, Not):
            left.append((node.part, depth + 1))
        elif not isinstance(node, _LEAVES):
            raise InvalidCondition(f"a {type(node).__name__} is no condition; make one with attr() or parse()")
        yield node, depth
        if depth > MAX_DEPTH:
            return


def operands(node: Condition) -> tuple[Operand, ...]:
    """The operands of one node, in the order of the text."""
    if isinstance(node, Compare):
        return (node.left, node.right)
    if isinstance(node, Between):
        return (node.operand, node.low, node.high)
    if isinstance(node, In):
        return (node.operand, *node.options)
    if isinstance(node, (Exists, TypeIs)):
        return (node.path,)
    if isinstance(node, BeginsWith):
        return (node.operand, node.prefix)
    return (node.container, node.operand) if isinstance(node, Contains) else ()


def flaw(node: Condition) -> Flaw | None:
    """What is wrong with this node, its parts aside; None when nothing is."""
    return _FLAWS[type(node)](node)


def _sound(node: object) -> None:
    """Whatever it is made of."""


def _junction(node: And | Or) -> Flaw | None:
    return None if len(node.parts) > 1 else Flaw("AND and OR join two conditions or more")


def _type_is(node: TypeIs) -> Flaw | None:
    known = node.type in TYPE_CODES
    return None if known else Flaw(f"attribute_type takes one of {', '.join(TYPE_CODES)}", 1)


def _compare(node: Compare) -> Flaw | None:
    left, op, right = node.left, node.op, node.right
    if op not in _OPERATORS:
        return Flaw(f"there is no operator {op!r}; use one of {' '.join(_OPERATORS)}")
    if op not in ("=", "<>"):
        for place, operand in enumerate((left, right)):
            if found := _unordered(operand, op, place):
                return found
    return _twice(left, right) if type(right) is Path else None


def _between(node: Between) -> Flaw | None:
    low, high = node.low, node.high
    for place, operand in enumerate((node.operand, low, high)):
        if found := _unordered(operand, "BETWEEN", place):
            return found
    if isinstance(low, Literal) and isinstance(high, Literal):
        if kind(low.value) != kind(high.value):
            return Flaw("the bounds of BETWEEN are of different types; give two texts or two numbers", 2)
        if low.value > high.value:
            return Flaw("the lower bound of BETWEEN is above the upper one; exchange them", 2)
    return _twice(node.operand, low) or _twice(node.operand, high, 2)


def _in(node: In) -> Flaw | None:
    if not node.options:
        return Flaw("IN needs an operand in its parentheses")
    if len(node.options) > MAX_OPTIONS:
        return Flaw(f"IN takes at most {MAX_OPTIONS} operands; split it with OR", MAX_OPTIONS + 1)
    return next((found for i, o in enumerate(node.options, 1) if (found := _twice(node.operand, o, i))), None)


def _begins_with(node: BeginsWith) -> Flaw | None:
    for place, operand in enumerate((node.operand, node.prefix)):
        if isinstance(operand, Size) or (isinstance(operand, Literal) and kind(operand.value) != "S"):
            return Flaw(f"begins_with compares texts, not a {_word(operand)}", place)
    return _twice(node.operand, node.prefix)


def _contains(node: Contains) -> Flaw | None:
    container = node.container
    if isinstance(container, Size) or (isinstance(container, Literal) and kind(container.value) not in ("S", "L")):
        return Flaw(f"contains looks into a text or a list, not into a {_word(container)}", 0)
    return _twice(container, node.operand)


def _unordered(operand: Operand, op: str, place: int) -> Flaw | None:
    if type(operand) is not Literal or kind(operand.value) in _ORDERED:
        return None
    return Flaw(f"{op} compares texts or numbers, a {_word(operand)} has no order; use = or <>", place)


def _twice(first: Operand, other: Operand, place: int = 1) -> Flaw | None:
    if isinstance(first, Path) and first == other:
        return Flaw("the operands are the same path; compare two different ones", place)
    return None


def _word(operand: Operand) -> str:
    return _WORDS.get(kind(operand.value), "value") if isinstance(operand, Literal) else "number (size)"


def _check_operand(operand: Operand) -> None:
    if isinstance(operand, Literal):
        check_literal(operand)
    elif isinstance(operand, (Path, Size)):
        check_path(operand.path if isinstance(operand, Size) else operand)
    else:
        raise InvalidCondition(f"a {type(operand).__name__} is no operand; use Path, Size or Literal")


def check_literal(literal: Literal) -> None:
    """InvalidCondition unless the value is in canonical form."""
    try:
        canonical = same(normalise(literal.value), literal.value)
    except InvalidValue as error:
        raise InvalidCondition(f"a value {error.detail}") from None
    if not canonical:
        raise InvalidCondition("a value is not in canonical form; pass it through parse() or attr()")


def check_path(path: Path) -> None:
    """InvalidCondition unless the path begins with a name, and has names and places in lists."""
    if not isinstance(path, Path) or not path.parts or not isinstance(path.parts[0], str):
        raise InvalidCondition("a path begins with the name of an attribute")
    if len(path.parts) > DEPTH + 1:
        raise InvalidCondition(f"a path leads deeper than the {DEPTH} levels that an item may have; shorten it")
    for part in path.parts:
        if isinstance(part, str):
            check_name(part)
        elif type(part) is not int or not 0 <= part <= MAX_PLACE:
            raise InvalidCondition(f"a place in a list is a whole number from 0 to {MAX_PLACE}")


def check_name(name: object) -> None:
    """InvalidCondition unless `name` can be an attribute's."""
    if not isinstance(name, str) or not name:
        raise InvalidCondition("an attribute's name is a text that is not empty")
    try:
        normalise(name)
    except InvalidValue as error:
        raise InvalidCondition(f"an attribute's name {error.detail}") from None


_LEAVES: Final = (Compare, Between, In, Exists, TypeIs, BeginsWith, Contains)
_FLAWS: Final[Mapping[type, Callable[[Any], Flaw | None]]] = {
    And: _junction,
    Or: _junction,
    Not: _sound,
    Exists: _sound,
    Compare: _compare,
    Between: _between,
    In: _in,
    TypeIs: _type_is,
    BeginsWith: _begins_with,
    Contains: _contains,
}
