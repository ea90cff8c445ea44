"""What words must be: a person's, to be given to a model, not too many and text; a model's, to be shown and kept, text.

Rules of this file: pure. Lengths are code points, not bytes and not words: four thousand characters of Japanese are
four thousand. A refusal is a sentence for the person; nothing was sent to the model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NamedTuple

_LAYOUT: Final = "\n\r\t"  # control characters that text is written with
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all others
_HALF: Final = re.compile("[\ud800-\udfff]")


class Refusal(NamedTuple):
    """`reason` is one word for logs, `says` the sentence for the person."""

    reason: str
    says: str


def refusal_of(text: str, most: int) -> Refusal | None:
    """What is wrong with a prompt of at most `most` characters, or None."""
    if len(text) > most:
        says = f"Your message has {len(text):,} characters, and I can read {most:,} at once. Please send a shorter one."
        return Refusal("prompt_too_long", says)
    if any(is_control(one) for one in text):
        return Refusal("prompt_control", "Your message has characters in it that are no text. Please write it again.")
    return None


def is_control(character: str) -> bool:
    """Whether it is a control character (NUL is one) that nobody writes with."""
    return unicodedata.category(character) == "Cc" and character not in _LAYOUT


def legible(text: str) -> str:
    """What a model wrote without what no store and no reader takes: control characters, halves of a character.

    Of a text that grows, the last half of a character waits for the other one.
    """
    if _HALF.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return _CONTROL.sub("", text)


def plain(names: Iterable[str]) -> list[str]:
    """Names of files, whose control characters are nobody's wish to say anything."""
    return ["".join(one for one in name if not is_control(one)) for name in names]
