"""From text to tokens: names, values, words, signs, each with its place.

Rules of this file: one regular expression decides what a token is; it never fails, since what is no token becomes a
token of its own kind, and the parser says what to do about it. Linear in the text: no alternative can be tried twice.
"""

from __future__ import annotations

import re
from typing import Any, Final

Token = tuple[str, str, int]
"""Kind, text, place (0-based). Kinds: name, value, word, sign, text, number, bad, end, and each keyword by itself."""

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<name>\#[0-9A-Za-z_]+)
      | (?P<value>:[0-9A-Za-z_]+)
      | (?P<word>[A-Za-z_][0-9A-Za-z_]*)
      | (?P<sign><>|<=|>=|[=<>().,\[\]])
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<text>'(?:[^']|'')*')
      | (?P<end>\Z)
      | (?P<bad>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS: Final = frozenset(("AND", "OR", "NOT", "BETWEEN", "IN"))


def tokens(text: str) -> list[Token]:
    """All tokens; the last one is of kind end."""
    found: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind: Any = match.lastgroup
        word = match[kind]
        if kind == "word" and word.upper() in _KEYWORDS:
            kind = word = word.upper()
        found.append((kind, word, match.start(match.lastindex or 0)))
    return found
