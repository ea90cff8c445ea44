"""From text to tokens: names, values, words, signs.

Rules of this file: one regular expression decides what a token is; it never fails, since what is no token becomes a
token of one character, and the parser says what to do about it. Linear in the text: no alternative can be tried twice.
A token is its text, and its first character tells its kind; where it stood is asked only when there is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product
from typing import Final

END: Final = ""
"""The last token."""

_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(
        [\#:][0-9A-Za-z_]+
      | [A-Za-z_][0-9A-Za-z_]*
      | <>|<=|>=
      | -?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?
      | '(?:[^']|'')*'
      | \Z
      | .
    )""",
    re.VERBOSE | re.DOTALL,
)
KEYWORDS: Final[Mapping[str, str]] = {
    "".join(letters): word
    for word in ("AND", "OR", "NOT", "BETWEEN", "IN")
    for letters in product(*((letter, letter.lower()) for letter in word))
}
"""Every way of writing a keyword, to the one that the parser sees."""

_DIGITS: Final = frozenset("0123456789")
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


def tokens(text: str) -> list[str]:
    """All tokens, keywords in capitals; the last one is END."""
    keyword = KEYWORDS.get
    return [keyword(token, token) for token in _TOKEN.findall(text)]


def position(text: str, number: int) -> int:
    """Where the token of that number begins, 0-based."""
    return next(match.start(1) for place, match in enumerate(_TOKEN.finditer(text)) if place == number)


def sign_of(token: str) -> str:
    """The sign of a placeholder, # or :, and of any other token its first character; empty where that is all of it."""
    return token[:1] if len(token) > 1 else ""


def is_word(token: str) -> bool:
    """A name, a function, or (in capitals) a keyword."""
    return token[:1] in _LETTERS


def is_number(token: str) -> bool:
    return token[:1] in _DIGITS or (token[:1] == "-" and len(token) > 1)


def is_text(token: str) -> bool:
    """A text in quotes, which has both of them."""
    return token[:1] == "'" and len(token) > 1
