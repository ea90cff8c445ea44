"""`attr("status") == "open"`: conditions written in Python.

Rules of this file: it only builds trees; literals are normalised here, so that a float or a NaN is met at the door.
"""

from __future__ import annotations

from typing import Any

from stateroom.expr.tree import Comparator, Compare, Exists
from stateroom.model.codec import normalise
from stateroom.model.errors import InvalidCondition


class Attr:
    """A path to an attribute; comparing it makes a condition. Nested names: `attr("address", "city")`."""

    __hash__ = None  # type: ignore[assignment]
    __slots__ = ("_path",)

    def __init__(self, *path: str) -> None:
        if not path or not all(isinstance(p, str) and p for p in path):
            raise InvalidCondition("attr() takes one or more attribute names")
        self._path = path

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

    def __bool__(self) -> bool:
        raise TypeError("an attribute has no truth value; compare it, or use .exists()")

    def exists(self) -> Exists:
        """attribute_exists"""
        return Exists(self._path)

    def not_exists(self) -> Exists:
        """attribute_not_exists"""
        return Exists(self._path, absent=True)

    def _compare(self, op: Comparator, value: Any) -> Compare:
        if op not in ("=", "<>") and isinstance(value, bool):
            raise InvalidCondition(f"{op} has no meaning for a boolean; use = or <>")
        return Compare(self._path, op, normalise(value, ".".join(self._path)))


def attr(*path: str) -> Attr:
    """The attribute at `path`, to be compared."""
    return Attr(*path)
