"""Conditions as frozen values.

Rules of this file: a node refuses truth value, so `if sr.attr("a") == 1:` fails at once instead of being always true.
This is the part that conditional writes need; the whole grammar of Slack's filter language follows in its own issue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn

Comparator = Literal["=", "<>", "<", "<=", ">", ">="]


class _Node:
    __slots__ = ()

    def __bool__(self) -> NoReturn:
        raise TypeError("a condition has no truth value; join conditions with & and give them to the store")

    def __and__(self, other: Condition) -> And:
        return And(_parts(self) + _parts(other))


@dataclass(frozen=True, slots=True)
class Compare(_Node):
    """`path op value`. An item without the attribute matches only `<>`; a value of another type likewise."""

    path: tuple[str, ...]
    op: Comparator
    value: Any


@dataclass(frozen=True, slots=True)
class Exists(_Node):
    """attribute_exists(path), or attribute_not_exists(path) when `absent`."""

    path: tuple[str, ...]
    absent: bool = False


@dataclass(frozen=True, slots=True)
class And(_Node):
    """All of `parts` hold."""

    parts: tuple[Condition, ...]


Condition = Compare | Exists | And


def _parts(node: Any) -> tuple[Condition, ...]:
    if isinstance(node, And):
        return node.parts
    if isinstance(node, (Compare, Exists)):
        return (node,)
    raise TypeError(f"& joins conditions, not a condition and a {type(node).__name__}")
