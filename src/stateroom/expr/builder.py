"""`attr("status") == "open"`: conditions written in Python.

Rules of this file: it only builds trees; literals are normalised and each node is checked here, so that a NaN, or a
boolean that is to be ordered, is met where it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from stateroom.expr.check import check_path, flaw
from stateroom.expr.tree import (
    BeginsWith,
    Between,
    Comparator,
    Compare,
    Contains,
    Exists,
    In,
    Literal,
    Operand,
    Path,
    Size,
    TypeIs,
)
from stateroom.model.codec import normalise
from stateroom.model.errors import InvalidCondition

N = TypeVar("N", Compare, Between, In, Exists, TypeIs, BeginsWith, Contains)


class Term:
    """Something that can be compared: with a value, or with another term."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("operand",)

    def __init__(self, operand: Path | Size) -> None:
        self.operand = operand

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.operand!r})"

    def __bool__(self) -> NoReturn:
        raise TypeError("an attribute has no truth value; compare it, or use .exists()")

    def __eq__(self, value: object) -> Compare:  # type: ignore[override]
        return self._compare("=", value)

    def __ne__(self, value: object) -> Compare:  # type: ignore[override]
        return self._compare("<>", value)

    def __lt__(self, value: Any) -> Compare:
        return self._compare("<", value)

    def __le__(self, value: Any) -> Compare:
        return self._compare("<=", value)

    def __gt__(self, value: Any) -> Compare:
        return self._compare(">", value)

    def __ge__(self, value: Any) -> Compare:
        return self._compare(">=", value)

    def between(self, low: Any, high: Any) -> Between:
        """low <= this <= high"""
        return _sound(Between(self.operand, self._operand(low), self._operand(high)))

    def is_in(self, options: Iterable[Any]) -> In:
        """Equal to one of `options`, at most 100."""
        if isinstance(options, (str, bytes)):
            raise InvalidCondition("is_in() takes several values; give them as a list")
        return _sound(In(self.operand, tuple(self._operand(o) for o in options)))

    def _compare(self, op: Comparator, value: Any) -> Compare:
        return _sound(Compare(self.operand, op, self._operand(value)))

    def _operand(self, value: Any) -> Operand:
        if isinstance(value, Term):
            return value.operand
        path = self.operand if isinstance(self.operand, Path) else self.operand.path
        return Literal(normalise(value, ".".join(map(str, path.parts))))


class Attr(Term):
    """The attribute at a path."""

    __slots__ = ()
    operand: Path

    def exists(self) -> Exists:
        """attribute_exists"""
        return Exists(self.operand)

    def not_exists(self) -> Exists:
        """attribute_not_exists"""
        return Exists(self.operand, absent=True)

    def begins_with(self, prefix: Any) -> BeginsWith:
        """A text that begins with `prefix`."""
        return _sound(BeginsWith(self.operand, self._operand(prefix)))

    def contains(self, value: Any) -> Contains:
        """A text of which `value` is a part, or a list of which it is an element."""
        return _sound(Contains(self.operand, self._operand(value)))

    def is_type(self, code: str) -> TypeIs:
        """attribute_type: S, N, BOOL, NULL, L or M."""
        return _sound(TypeIs(self.operand, code))

    def size(self) -> Term:
        """Bytes of a text in UTF-8, elements of a list, entries of a map: to be compared."""
        return Term(Size(self.operand))


def attr(*path: str | int) -> Attr:
    """The attribute at `path`, to be compared: `attr("address", "city")`, `attr("tags", 0)`."""
    found = Path(path)
    check_path(found)
    return Attr(found)


def _sound(node: N) -> N:
    if found := flaw(node):
        raise InvalidCondition(found.detail)
    return node
