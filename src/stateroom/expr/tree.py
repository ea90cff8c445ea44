"""Conditions as frozen values.

Rules of this file: data alone. A node refuses truth value, so `if sr.attr("a") == 1:` fails at once instead of being
always true. There are no parentheses in a tree: whoever writes it as text decides where they go. What a tree must
fulfil to mean something is in check.py. Nodes are msgspec structs, which cost a sixth of a frozen dataclass to make.
"""

from __future__ import annotations

from typing import Any, NoReturn
from typing import Literal as _Literal

import msgspec

from stateroom.expr.values import kind, same

Comparator = _Literal["=", "<>", "<", "<=", ">", ">="]


class Path(msgspec.Struct, frozen=True):
    """Where a value is: names (str) of attributes and places (int) in lists. The first part is an attribute's name."""

    parts: tuple[str | int, ...]


class Size(msgspec.Struct, frozen=True):
    """size(path): bytes of a text in UTF-8, elements of a list, entries of a map."""

    path: Path


class Literal(msgspec.Struct, frozen=True):
    """A value in canonical form (model/codec.py). Literals are equal as conditions find values equal: 1 is not true."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and same(self.value, other.value)

    def __hash__(self) -> int:
        return hash((kind(self.value), None if isinstance(self.value, (dict, list)) else self.value))


Operand = Path | Size | Literal


class _Node(msgspec.Struct, frozen=True):
    def __bool__(self) -> NoReturn:
        raise TypeError("a condition has no truth value; join conditions with & | ~ and give them to the store")

    def __and__(self, other: Condition) -> And:
        return And(_parts(self, And) + _parts(other, And))

    def __or__(self, other: Condition) -> Or:
        return Or(_parts(self, Or) + _parts(other, Or))

    def __invert__(self) -> Not:
        return Not(_parts(self, Not)[0])


class Compare(_Node, frozen=True):
    """`left op right`. What is missing or of another type matches only `<>`."""

    left: Operand
    op: Comparator
    right: Operand


class Between(_Node, frozen=True):
    """`operand BETWEEN low AND high`, both included."""

    operand: Operand
    low: Operand
    high: Operand


class In(_Node, frozen=True):
    """`operand IN (options)`."""

    operand: Operand
    options: tuple[Operand, ...]


class Exists(_Node, frozen=True):
    """attribute_exists(path), or attribute_not_exists(path) when `absent`."""

    path: Path
    absent: bool = False


class TypeIs(_Node, frozen=True):
    """attribute_type(path, type): `type` is one of S, N, BOOL, NULL, L, M (SS, NS, BS and B never match)."""

    path: Path
    type: str


class BeginsWith(_Node, frozen=True):
    """begins_with(operand, prefix), of texts."""

    operand: Operand
    prefix: Operand


class Contains(_Node, frozen=True):
    """contains(container, operand): a part of a text, or an element of a list."""

    container: Operand
    operand: Operand


class And(_Node, frozen=True):
    """All of `parts` hold: two or more."""

    parts: tuple[Condition, ...]


class Or(_Node, frozen=True):
    """One of `parts` holds at least: two or more."""

    parts: tuple[Condition, ...]


class Not(_Node, frozen=True):
    """`part` does not hold."""

    part: Condition


Condition = Compare | Between | In | Exists | TypeIs | BeginsWith | Contains | And | Or | Not


def _parts(node: Any, kind_of: type[And | Or | Not]) -> tuple[Condition, ...]:
    """What a node contributes to And or Or: its parts when it is one itself."""
    if not isinstance(node, _Node):
        raise TypeError(f"& and | join conditions, not a condition and a {type(node).__name__}")
    if isinstance(node, kind_of) and isinstance(node, (And, Or)):
        return node.parts
    return (node,)  # type: ignore[return-value]
