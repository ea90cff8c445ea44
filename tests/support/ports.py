"""Ports for servers that cannot choose one themselves.

Rules of this file: they lie below the range from which the system takes the ports of outgoing connections, so that
none of those takes one between our look and the server's start.
"""

from __future__ import annotations

import random
import socket

FROM, TO = 20_000, 32_000


def free(count: int) -> list[int]:
    """So many ports that are free now, all different."""
    dice, found = random.SystemRandom(), set[int]()
    while len(found) < count:
        port = dice.randrange(FROM, TO)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)
