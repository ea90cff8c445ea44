"""Where a text may be cut without tearing a character that people see as one.

Rules of this file: pure; a conservative reading of Unicode's extended grapheme clusters (UAX 29) from the standard
library's tables: it may keep together a little more than the annex, never less of what is in use.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ZWJ: Final = "\u200d"
_REGIONAL: Final = range(0x1F1E6, 0x1F200)
_MARKS: Final = frozenset({"Mn", "Mc", "Me"})


def _extends(char: str) -> bool:
    """Say whether the character belongs to the one before it."""
    code = ord(char)
    if code < 0x300:
        return False
    return (
        unicodedata.category(char) in _MARKS
        or char in "\u200c\u200d"
        or 0x1F3FB <= code <= 0x1F3FF  # skin tones
        or 0xE0020 <= code <= 0xE007F  # tags, as in the flag of Wales
        or 0xFF9E <= code <= 0xFF9F  # half-width voicing marks
        or code in (0x0E33, 0x0EB3)  # Thai and Lao AM
        or 0x1160 <= code <= 0x11FF  # Hangul vowels and finals
        or 0xD7B0 <= code <= 0xD7FF
    )


def _joins_next(char: str) -> bool:
    """Say whether the character belongs to the one after it."""
    code = ord(char)
    return char == _ZWJ or 0x0600 <= code <= 0x0605 or code in (0x06DD, 0x070F, 0x08E2, 0x110BD)


def _hangul_lead(char: str) -> bool:
    return 0x1100 <= ord(char) <= 0x115F or 0xA960 <= ord(char) <= 0xA97C


def _odd_flags_before(text: str, at: int) -> bool:
    start = at
    while start > 0 and ord(text[start - 1]) in _REGIONAL:
        start -= 1
    return (at - start) % 2 == 1


def breakable(text: str, at: int) -> bool:
    """Say whether a cut between text[at-1] and text[at] leaves every visible character whole."""
    if not 0 < at < len(text):
        return True
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return not (before == "\r" and after == "\n")
    if _extends(after) or _joins_next(before):
        return False
    if _hangul_lead(before):
        return not (_hangul_lead(after) or 0xAC00 <= ord(after) <= 0xD7A3)
    if ord(before) in _REGIONAL and ord(after) in _REGIONAL:
        return not _odd_flags_before(text, at)
    return True


def last_break(text: str, at: int) -> int:
    """Return the greatest position up to `at` where the text may be cut; 0 when one character reaches that far."""
    while at > 0 and not breakable(text, at):
        at -= 1
    return at
