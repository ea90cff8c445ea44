"""The bodies of the last events that were sent, for whoever looks at one.

Rules of this file: bounded in number and in bytes; a body goes when newer ones need the room.
"""

from __future__ import annotations

import re
from collections import OrderedDict

KEPT = 500
KEPT_BYTES = 2_000_000
_TOKEN = re.compile(rb'"token":"[^"]*",?')


class Sent:
    """Envelopes by event id, without the verification token."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def keep(self, event_id: str, body: str) -> None:
        """The same event again changes nothing."""
        if event_id in self._bodies:
            return
        data = _TOKEN.sub(b"", body.encode(), count=1)
        self._bodies[event_id] = data
        self._size += len(data)
        while len(self._bodies) > KEPT or (self._size > KEPT_BYTES and len(self._bodies) > 1):
            self._size -= len(self._bodies.popitem(last=False)[1])

    def body(self, event_id: str) -> bytes | None:
        """The envelope as JSON; None when it is not, or no longer, here."""
        return self._bodies.get(event_id)

    def clear(self) -> None:
        self._bodies.clear()
        self._size = 0
