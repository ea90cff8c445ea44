"""Reading a request body, up to a limit.

Rules of this file: a body over the limit is refused before it is held in memory.
"""

from __future__ import annotations

from starlette.requests import Request

from stateroom.emulator.acts import Denied


async def read_limited(request: Request, limit: int) -> bytes:
    """The whole body. Raises Denied (413) when it has more than `limit` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Denied(413, "too_large", f"a body has at most {limit} bytes")
        parts.append(part)
    return b"".join(parts)
