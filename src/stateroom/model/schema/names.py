"""Identifiers and string literals for anything that has a name in Slack, where any text is one.

Rules of this file: an identifier has ASCII letters and digits only, a letter first, and no two are alike in one file
that is written. A literal is one for TypeScript, Python and JSON.
"""

from __future__ import annotations

import json
import re
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z0-9]+")
# What a reader does not see, or sees elsewhere than it stands.
_ODD: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class Names:
    """Gives identifiers that are not taken yet; `taken` are those that the written file has of its own."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

    def __contains__(self, name: str) -> bool:
        """Whether it is taken."""
        return name in self._taken

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


def text(value: str) -> str:
    """A string literal in one line, in double quotes; what a reader could not see is escaped."""
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
