"""Keys made of several attributes: one text that no two recipes of parts share.

Rules of this file: pure. A part's own `%` and `#` are escaped, so that two different lists of parts never make the same
key; numbers have 12 digits, so that the order of keys is theirs. The TypeScript that is generated does the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SEPARATOR: Final = "#"
DIGITS: Final = 12
ENCODING: Final = f"% as %25 and # as %23 in each part, whole numbers with {DIGITS} digits, joined by {SEPARATOR}"


def encode(parts: Sequence[str | int]) -> str:
    """The key of these parts. A single text stays as it is. ValueError for a negative number."""
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return SEPARATOR.join(_part(part) for part in parts)


def decode(key: str) -> list[str]:
    """The parts of a key made of two or more, as texts; numbers keep their zeros."""
    return [part.replace("%23", "#").replace("%25", "%") for part in key.split(SEPARATOR)]


def _part(part: str | int) -> str:
    if isinstance(part, int):
        if part < 0:
            raise ValueError("a number in a key is not negative")
        return f"{part:0{DIGITS}d}"
    return part.replace("%", "%25").replace("#", "%23")
