"""What conditions know of values: their kind, when two are the same, how two are ordered, how large one is.

Rules of this file: pure; values are canonical (model/codec.py). No coercion anywhere: "5" is not 5 and true is not 1,
though Python finds the latter equal. The kinds carry DynamoDB's type codes, which `attribute_type` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

MISSING: Final = object()
"""The value of a path that leads nowhere: it has no kind, and is the same as nothing, not even as itself."""

TYPE_CODES: Final = ("S", "N", "BOOL", "NULL", "L", "M", "SS", "NS", "BS", "B")
"""What `attribute_type` may ask for. JSON has no sets and no binary, so the last four match nothing here."""

_KINDS: Final = {str: "S", int: "N", Decimal: "N", bool: "BOOL", type(None): "NULL", list: "L", dict: "M"}


def kind(value: Any) -> str:
    """The type code of a value; empty for MISSING and for what is no canonical value."""
    found = _KINDS.get(type(value))
    if found is None:
        return "M" if isinstance(value, Mapping) else "S" if isinstance(value, str) else ""
    return found


def same(left: Any, right: Any) -> bool:
    """Equality at every depth, without coercion."""
    code = kind(left)
    if not code or code != kind(right):
        return False
    if code == "M":
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if code == "L":
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def ordered(left: Any, right: Any) -> bool:
    """Whether the two have an order: both texts (by UTF-8 bytes, which is Python's order) or both numbers."""
    code = kind(left)
    return code in ("S", "N") and code == kind(right)


def size(value: Any) -> Any:
    """Bytes of a text in UTF-8, elements of a list, entries of a map; MISSING for anything else."""
    code = kind(value)
    if code == "S":
        return len(value) if value.isascii() else len(value.encode())
    return len(value) if code in ("L", "M") else MISSING
