"""The content setting: what is kept of people's words, and for how long (invariant 11).

Rules of this file: pure; the text form is that of `STATEROOM_CONTENT`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from stateroom.model.errors import WrongUse

_TTL: Final = re.compile(r"ttl:([1-9][0-9]{0,8})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Content:
    """`full`: kept until erased. `ttl`: kept for `seconds`. `none`: never stored in a thread's history."""

    kind: Literal["full", "ttl", "none"]
    seconds: int | None = None

    @classmethod
    def parse(cls, text: str) -> Content:
        """`full`, `none`, or `ttl:` and a whole number with s, m, h or d, such as `ttl:30d`. WrongUse otherwise."""
        if text == "full":
            return FULL
        if text == "none":
            return NONE
        found = _TTL.fullmatch(text)
        if found is None:
            raise WrongUse("the content setting is full, none or ttl:<number><s|m|h|d>, for example ttl:30d")
        return cls("ttl", int(found[1]) * _SECONDS[found[2]])

    def expires_at(self, at: float) -> float | None:
        """When something said at `at` ends; None: never by itself."""
        return None if self.seconds is None else at + self.seconds

    def __str__(self) -> str:
        return self.kind if self.seconds is None else f"ttl:{self.seconds}s"


FULL: Final = Content("full")
NONE: Final = Content("none")
