"""How deep JSON from outside may be nested.

Rules of this file: pure. What is taken in is written again later, inside of other things (a message in a channel in the
whole state), and both reading and writing end at some depth; so what comes near it is refused at the door.
"""

from __future__ import annotations

import re
from typing import Final

DEEPEST: Final = 200
# The last quote may be missing: then there is one match to the end, not one attempt at each quote.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_OTHERS: Final = bytes(set(range(256)) - set(b"[]{}"))


def shallow(data: bytes) -> bytes:
    """The same bytes. Raises RecursionError when they are nested deeper than DEEPEST."""
    if data.count(b"[") + data.count(b"{") > DEEPEST and _depth(data) > DEEPEST:
        raise RecursionError("nested too deep")
    return data


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for one in _STRINGS.sub(b"", data).translate(None, _OTHERS):
        depth += 1 if one in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
