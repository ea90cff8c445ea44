"""Cursors: where a page ended, as opaque text that fits only the query and team it was made for.

Rules of this file: pure, and nothing is kept: a cursor survives a restart and works in another process. The checksum
guards against mix-ups and typing, it is no secret: a forged position could only skip rows of one's own team, since the
team is the handle's and never the cursor's.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from stateroom.engines.port import Query
from stateroom.model.codec import decode, encode
from stateroom.model.errors import CorruptData, InvalidCursor

_DIGEST: Final = 12  # bytes: one mistaken cursor in 2^96 passes

Position = tuple[Any, ...]


def binding(query: Query, *words: str) -> bytes:
    """What a cursor of `query` is bound to: everything but the position and the limit."""
    asked = (query.table, query.team, query.index, query.equals, query.low, query.high, query.descending, words)
    return repr((asked, query.condition)).encode("utf-8", "backslashreplace")


def write_cursor(bound: bytes, position: Position | None) -> str | None:
    """The cursor behind `position`; None when there is nothing more."""
    if position is None:
        return None
    body = encode(list(position))
    return urlsafe_b64encode(_checksum(bound, body) + body).rstrip(b"=").decode()


def read_cursor(bound: bytes, cursor: str | None) -> Position | None:
    """The position that `cursor` holds; InvalidCursor for another query's, another team's, or no cursor at all."""
    if cursor is None:
        return None
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        body = data[_DIGEST:]
        if data[:_DIGEST] == _checksum(bound, body) and urlsafe_b64encode(data).rstrip(b"=").decode() == cursor:
            return tuple(decode(body))
    except (ValueError, TypeError, CorruptData):
        pass
    raise InvalidCursor("this cursor was not made by this query of this team; begin again without a cursor")


def _checksum(bound: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST, key=hashlib.sha256(bound).digest()).digest()
