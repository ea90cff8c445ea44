"""Identifiers for anything that has a name in Slack, where any text is one.

Rules of this file: ASCII letters and digits only, a letter first; no two alike in one file that is written.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z0-9]+")


class Names:
    """Gives identifiers that are not taken yet; `taken` are those that the written file has of its own."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

    def free(self, wanted: str) -> str:
        """`wanted`, or `wanted` with a number from 2 on."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}{number}"
        self._taken.add(name)
        return name


def capitals(text: str, otherwise: str) -> str:
    """`my-open tickets` as `MyOpenTickets`; `otherwise` when nothing is left of it that an identifier may have."""
    found = "".join(word[:1].upper() + word[1:] for word in _WORD.findall(text))
    if not found:
        return otherwise
    return found if found[0].isalpha() else otherwise + found
