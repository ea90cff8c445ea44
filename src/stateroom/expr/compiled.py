"""A condition as one fast function, for filters over many rows.

Rules of this file: it agrees with evaluate.py on every tree and every item in canonical form (tests compare the two on
random ones). A leaf becomes a closure that knows its path's length and its literal's kind beforehand; AND, OR and NOT
are woven into the closures of their leaves, since a call costs as much as a comparison.

The closures come from two tables, how to fetch and what to test, joined into Python text once each when first wanted.
Nothing of a condition is ever part of that text: names and literals are the closure's variables.

Why the tests differ by literal: a text equals nothing but a text, and a number other than 0 and 1 nothing but a
number, so those need no look at the type; 0 and 1 do, because Python finds them equal to false and true.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

from stateroom.expr.evaluate import evaluate, lookup, value_of
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
from stateroom.expr.values import MISSING, kind, ordered, same

Item = Mapping[str, Any]
Test = Callable[[Item], bool]

_LOOP: Final = 6  # parts of one AND or OR from which a loop runs over them instead of a chain of calls

_STEPS: Final = 4  # parts of a path that are woven in; longer ones are walked
_ONE: Final = (str,)
_INTO: Final[Mapping[type, str]] = {
    str: "(x.get({p}, MISSING) if type(x := {f}) is dict else MISSING)",
    int: "(x[{p}] if type(x := {f}) is list and {p} < len(x) else MISSING)",
}
_NUMBER: Final = "(type(v := {f}) is int or type(v) is Decimal)"
_SIZE: Final = (
    "((len(v) if v.isascii() else len(v.encode())) {op} {bound} if type(v := {f}) is str "
    "else (type(v) is list or type(v) is dict) and len(v) {op} {bound})"
)
_PYTHON: Final = {"=": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TEST: Final = {
    "equal": "{f} == {bound}",
    "equal 0 or 1": "type(v := {f}) is int and v == {bound}",
    "identical": "{f} is {bound}",
    "same": "same({f}, {bound})",
    "between S": "type(v := {f}) is str and {bound} <= v <= {high}",
    "between N": _NUMBER + " and {bound} <= v <= {high}",
    "in": "type(v := {f}) is not list and type(v) is not dict and v in {bound}",
    "exists": "{f} is not MISSING",
    "begins": "type(v := {f}) is str and v.startswith({bound})",
    "contains S": "{bound} in v if type(v := {f}) is str else type(v) is list and {bound} in v",
    "contains": "type(v := {f}) is list and {bound} in v",
    "type": "type({f}) in {bound}",
    **{f"{op} S": f"type(v := {{f}}) is str and v {op} {{bound}}" for op in ("<", "<=", ">", ">=")},
    **{f"{op} N": f"{_NUMBER} and v {op} {{bound}}" for op in ("<", "<=", ">", ">=")},
    **{f"size {op}": _SIZE.replace("{op}", python) for op, python in _PYTHON.items()},
}
_LIGHT: Final = {"equal", "equal 0 or 1", "identical", "exists", "in", "begins"} | {
    f"{op} {code}" for op in ("<", "<=", ">", ">=") for code in "SN"
}
"""Tests cheap enough for two to share a closure, where a call would cost more than either."""

_TYPES: Final[Mapping[str, list[type]]] = {
    "S": [str],
    "N": [int, Decimal],
    "BOOL": [bool],
    "NULL": [type(None)],
    "L": [list],
    "M": [dict],
}
_ORDER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


_Leaf = tuple[str, tuple[str | int, ...], Any, Any, bool]
"""A leaf that the tables know: which test, of what path, against what (one bound or two), whether it is denied."""


def compile(condition: Condition) -> Test:
    """A function that tells of an item what `evaluate(condition, item)` does. Items are in canonical form."""
    return _made(condition, negated=False)


_MET: Final = 256  # conditions that are remembered
_met: Final[dict[int, tuple[Condition, Test | None]]] = {}


def holds(condition: Condition, item: Item) -> bool:
    """`evaluate`, for conditions that may come again: the same tree is compiled when it is met for the second time."""
    known, test = _met.get(id(condition), (None, None))
    if known is not condition:
        if len(_met) >= _MET:
            _met.clear()
        _met[id(condition)] = condition, None
        return evaluate(condition, item)
    if test is None:
        test = compile(condition)
        _met[id(condition)] = condition, test
    return test(item)


def _made(node: Condition, *, negated: bool) -> Test:
    """`node`, or its opposite."""
    while isinstance(node, Not):
        node, negated = node.part, not negated
    if type(node) is And or type(node) is Or:
        return _joined(node, negated)
    leaf = _LEAVES[type(node)](node, negated)
    if leaf is not None:
        return _woven((leaf,), "and", None)
    found = _general(node)
    return _opposite(found) if negated else found


def _joined(node: And | Or, negated: bool) -> Test:
    """NOT of an AND is the OR of the opposites, and the other way round. Parts may be taken in any order."""
    joint = "and" if isinstance(node, And) is not negated else "or"
    woven: list[Sequence[_Leaf]] = []
    called: list[Test] = []
    light: list[_Leaf] = []
    for part in node.parts:
        leaf_of = _LEAVES.get(type(part))  # none of AND, OR and NOT
        leaf = None if leaf_of is None else leaf_of(part, negated)
        if leaf is None:
            called.append(_made(part, negated=negated))
        elif leaf[0] in _LIGHT and len(leaf[1]) == 1:
            light.append(leaf)
        else:
            woven.append((leaf,))
    woven += [light[n : n + 2] for n in range(0, len(light), 2)]
    if len(woven) + len(called) > _LOOP:
        tests = [*(_woven(leaves, joint, None) for leaves in woven), *called]
        return _many(tuple(tests), stops_at=joint == "or")
    found = None
    for part_test in reversed(called):
        found = part_test if found is None else _two(part_test, joint, found)
    for leaves in reversed(woven):
        found = _woven(leaves, joint, found)
    assert found is not None
    return found


def _woven(leaves: Sequence[_Leaf], joint: str, rest: Test | None) -> Test:
    """One closure of one or two leaves, and then `rest`."""
    kinds: list[tuple[tuple[type, ...], str, bool]] = []
    parts: list[str | int] = []
    getters: list[Any] = []
    bounds: list[Any] = []
    for test, path, bound, high, negated in leaves:
        if len(path) == 1:
            kinds.append((_ONE, test, negated))
            parts += path
        elif len(path) <= _STEPS:
            kinds.append((tuple(map(type, path)), test, negated))
            parts += path
        else:
            kinds.append(((), test, negated))
            getters.append(_getter(path))
        bounds += (bound, high)
    return _factory(tuple(kinds), joint if rest else "", joint)(parts, getters, bounds, rest)


@cache
def _factory(
    kinds: tuple[tuple[tuple[type, ...], str, bool], ...], ending: str, joint: str
) -> Callable[[list[str | int], list[Any], list[Any], Test | None], Test]:
    """What makes the closures of one kind; there are a few thousand kinds at most."""
    texts, steps_taken, getters = [], 0, 0
    for number, (steps, test, negated) in enumerate(kinds):
        fetch = "get(item)" if not steps else f"item.get(p{steps_taken}, MISSING)"
        getters += not steps
        for place, step in enumerate(steps[1:], steps_taken + 1):
            fetch = _INTO[step].format(p=f"p{place}", f=fetch)
        steps_taken += len(steps)
        text = _TEST[test].format(f=fetch, bound=f"b{2 * number}", high=f"b{2 * number + 1}")
        texts.append(f"not ({text})" if negated else f"({text})")
    expression = f" {joint} ".join(texts) + (f" {ending} rest(item)" if ending else "")
    taken = "".join(f"p{n}, " for n in range(steps_taken))
    lines = [
        "def make(parts, getters, bounds, rest):",
        f"    {taken} = parts" if taken else "",
        "    [get] = getters" if getters else "",
        f"    {', '.join(f'b{n}' for n in range(2 * len(kinds)))} = bounds",
        f"    return lambda item: {expression}",
    ]
    names: dict[str, Any] = {"MISSING": MISSING, "Decimal": Decimal, "same": same}
    exec("\n".join(lines), names)
    made: Callable[..., Test] = names["make"]
    return made


# Which test a leaf is.


def _compare(node: Compare, negated: bool) -> _Leaf | None:
    left, op, right = node.left, node.op, node.right
    if type(right) is not Literal:
        return None
    value = right.value
    if op == "<>":
        op, negated = "=", not negated
    if type(left) is Path:
        if op == "=":
            return _equality(value), left.parts, value, None, negated
        code = kind(value)
        return (f"{op} {code}", left.parts, value, None, negated) if code in ("S", "N") else None
    if type(left) is Size and kind(value) == "N":
        return f"size {op}", left.path.parts, value, None, negated
    return None


def _equality(value: Any) -> str:
    if type(value) is str:
        return "equal"
    code = kind(value)
    if code in ("L", "M"):
        return "same"
    if code in ("BOOL", "NULL"):
        return "identical"
    return "equal 0 or 1" if value in (0, 1) else "equal"


def _between(node: Between, negated: bool) -> _Leaf | None:
    path, low, high = node.operand, node.low, node.high
    if not (isinstance(path, Path) and isinstance(low, Literal) and isinstance(high, Literal)):
        return None
    code = kind(low.value)
    fits = code in ("S", "N") and code == kind(high.value)
    return (f"between {code}", path.parts, low.value, high.value, negated) if fits else None


def _in(node: In, negated: bool) -> _Leaf | None:
    values = [option.value for option in node.options if isinstance(option, Literal)]
    fits = len(values) == len(node.options) and all(_equality(v) == "equal" for v in values)
    if not fits or not isinstance(node.operand, Path):
        return None
    return "in", node.operand.parts, frozenset(values), None, negated


def _exists(node: Exists, negated: bool) -> _Leaf:
    return "exists", node.path.parts, None, None, node.absent is not negated


def _type_is(node: TypeIs, negated: bool) -> _Leaf:
    return "type", node.path.parts, frozenset(_TYPES.get(node.type, ())), None, negated


def _begins_with(node: BeginsWith, negated: bool) -> _Leaf | None:
    path, prefix = node.operand, node.prefix
    if not isinstance(path, Path) or not isinstance(prefix, Literal) or not isinstance(prefix.value, str):
        return None
    return "begins", path.parts, prefix.value, None, negated


def _contains(node: Contains, negated: bool) -> _Leaf | None:
    path, wanted = node.container, node.operand
    if not isinstance(path, Path) or not isinstance(wanted, Literal) or _equality(wanted.value) != "equal":
        return None
    return "contains S" if isinstance(wanted.value, str) else "contains", path.parts, wanted.value, None, negated


_LEAVES: Final[Mapping[type, Callable[[Any, bool], _Leaf | None]]] = {
    Compare: _compare,
    Between: _between,
    In: _in,
    Exists: _exists,
    TypeIs: _type_is,
    BeginsWith: _begins_with,
    Contains: _contains,
}


# What the tables do not know.


def _general(node: Condition) -> Test:
    if not isinstance(node, Compare):
        return lambda item: evaluate(node, item)
    left, right = _value(node.left), _value(node.right)
    if node.op == "=":
        return lambda item: same(left(item), right(item))
    if node.op == "<>":
        return lambda item: not same(left(item), right(item))
    op = _ORDER[node.op]

    def test(item: Item) -> bool:
        one, other = left(item), right(item)
        return ordered(one, other) and bool(op(one, other))

    return test


def _value(operand: Operand) -> Callable[[Item], Any]:
    return _getter(operand.parts) if isinstance(operand, Path) else lambda item: value_of(operand, item)


def _getter(parts: tuple[str | int, ...]) -> Callable[[Item], Any]:
    name: Any = parts[0]
    if len(parts) == 1:
        return lambda item: item.get(name, MISSING)
    return lambda item: lookup(parts, item)


def _opposite(part: Test) -> Test:
    return lambda item: not part(item)


def _two(first: Test, joint: str, rest: Test) -> Test:
    if joint == "and":
        return lambda item: first(item) and rest(item)
    return lambda item: first(item) or rest(item)


def _many(parts: tuple[Test, ...], *, stops_at: bool) -> Test:
    def test(item: Item) -> bool:
        for part in parts:
            if part(item) is stops_at:
                return stops_at
        return not stops_at

    return test
