"""Uvicorn's HTTP protocol, with the head and the body of an answer in one write.

Rules of this file: the bytes are uvicorn's, in its order; only the moment of writing is ours. uvloop makes each write
a system call of its own (and wakes the peer), so two writes an answer cost a tenth of what ingress costs. A head is
held for no longer than until its body, the end of the answer, or the close of the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol


class Joining:
    """A transport that holds the head of an answer until its body is written; the rest goes to `transport`."""

    __slots__ = ("__weakref__", "_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        # An interim answer (100 Continue) is what the client waits for before it sends its body.
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write a head that got no body, as in an answer to HEAD."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # h11's or httptools', whichever is installed
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, Joining(cast(asyncio.Transport, transport))))

    def on_response_complete(self) -> None:
        cast(Joining, self.transport).flush()
        super().on_response_complete()
