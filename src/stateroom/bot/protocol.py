"""Uvicorn's HTTP protocol, with less between Slack's events and the application.

Rules of this file: the bytes are uvicorn's, in its order; only the moment of writing is ours. uvloop makes each write
a system call of its own (and wakes the peer), so two writes an answer cost a tenth of what ingress costs. A head is
held for no longer than until its body, the end of the answer, or the close of the connection.

An application may say in `direct`, by target, what needs only a request's headers and whole body. Such a request is
answered without ASGI, which costs more than checking and reading an event, when it is an ordinary one: alone on its
connection, its length told and small, its client reading. Whatever is not ordinary goes uvicorn's way, so that its
order of pipelined answers, its pauses, and its way to end stay the only ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from msgspec import MsgspecError
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from stateroom.bot.ingress import OK, Direct, Header, Later, Reply, headers_of
from stateroom.engines.port import Written
from stateroom.model.errors import StateroomError

_CLOSE: Final = (b"connection", b"close")
_UNUSUAL: Final = frozenset({b"expect", b"upgrade", b"transfer-encoding"})
# What may go wrong in an application, as a task would catch it. What escaped from a row's callback would be logged by
# the loop with the row, so with what somebody wrote.
_FAULTS: Final = (
    *(StateroomError, asyncio.CancelledError, ArithmeticError, AssertionError, AttributeError, LookupError),
    *(ImportError, MemoryError, NameError, OSError, RuntimeError, SystemError, TypeError, ValueError, MsgspecError),
)
_FAILED: Final[Reply] = (500, b"text/plain; charset=utf-8", b"Internal Server Error", [_CLOSE])


class Joining:
    """A transport that holds the head of an answer until its body is written; the rest goes to `transport`."""

    __slots__ = ("__weakref__", "_head", "_transport", "is_closing", "whole")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing
        self.whole = transport.write  # for an answer in one piece; no head is held then

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


def wire(reply: Reply, more: Iterable[Header], keep_alive: bool) -> bytes:
    """An answer's bytes; `more` headers come first."""
    headers = [*more, *headers_of(reply)]
    if not keep_alive and _CLOSE not in headers:
        headers.append(_CLOSE)
    return b"".join([STATUS_LINE[reply[0]], *(b"%b: %b\r\n" % one for one in headers), b"\r\n", reply[2]])


_OK: Final = wire(OK, (), keep_alive=True)  # what is said most


class Exchange:
    """A request that is answered without ASGI: to its connection what uvicorn's cycle is for the others."""

    __slots__ = ("_connection", "_headers", "_take", "_then", "body", "disconnected", "keep_alive", "response_complete")

    def __init__(self, connection: Protocol, take: Direct, headers: Mapping[bytes, bytes], keep_alive: bool) -> None:
        self._connection = connection
        self._take = take
        self._headers = headers
        self.keep_alive = keep_alive
        self.body = b""
        self.disconnected = False
        self.response_complete = False

    @property
    def message_event(self) -> Exchange:
        """Whom uvicorn tells that something came, or that nothing will."""
        return self

    def set(self) -> None:
        """Nobody waits for parts of a body."""

    def begin(self) -> None:
        """All of it is there."""
        connection = self._connection
        try:
            found = self._take(self._headers, self.body)
        except _FAULTS as fault:
            connection.loop.call_soon(self._failed, fault)
            return
        if isinstance(found, tuple):
            connection.loop.call_soon(self._say, found)  # not in the parser's own call, which may have more to tell
        elif isinstance(found, Later):
            self._then = found.then
            found.row.add_done_callback(self._on_record)
        else:
            task = connection.loop.create_task(found)
            cast(set[Any], connection.tasks).add(task)  # what is under way is awaited when the server ends
            task.add_done_callback(self._done)

    def _on_record(self, row: asyncio.Future[list[Written]]) -> None:
        try:
            reply = self._then(row)
        except _FAULTS as fault:
            self._failed(fault)
        else:
            self._say(reply)

    def _done(self, task: asyncio.Task[Reply]) -> None:
        cast(set[Any], self._connection.tasks).discard(task)
        failed = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failed is None:
            self._say(task.result())
        else:
            self._failed(failed)

    def _failed(self, fault: BaseException) -> None:
        self._connection.logger.error("Exception in ASGI application\n", exc_info=fault)
        self.keep_alive = False
        self._say(_FAILED)

    def _say(self, reply: Reply) -> None:
        self.response_complete = True
        if not self.disconnected:
            self._connection.answer(reply, self.keep_alive)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._direct: Mapping[bytes, Direct] = getattr(self.app, "direct", {})
        self._exchange: Exchange | None = None  # the newest request, if it is one
        self._idle_since: float | None = None  # the loop's time of the last answer; None while a request is under way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, Joining(cast(asyncio.Transport, transport))))

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        take = self._direct.get(self.url)
        if take is not None and self._is_ordinary(given := dict(self.headers)):
            self._exchange = exchange = Exchange(self, take, given, self.parser.should_keep_alive())
            self.cycle = cast(RequestResponseCycle, exchange)
            return
        self._exchange = None
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def _is_ordinary(self, given: Mapping[bytes, bytes]) -> bool:
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return False
        if not (self.cycle is None or self.cycle.response_complete) or self.flow.write_paused:
            return False
        if len(given) < len(self.headers):
            return False  # one that comes twice
        length = given.get(b"content-length", b"")
        if not length.isdigit() or int(length) > HIGH_WATER_LIMIT:
            return False
        return self.limit_concurrency is None and _UNUSUAL.isdisjoint(given)

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None:
            self._exchange.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._exchange is not None:
            self._exchange.begin()
        else:
            super().on_message_complete()

    def answer(self, reply: Reply, keep_alive: bool) -> None:
        """Send the answer to an exchange, with the bytes that uvicorn would send."""
        more = self.server_state.default_headers
        data = _OK if reply is OK and keep_alive and not more else wire(reply, more, keep_alive)
        cast(Joining, self.transport).whole(data)
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        cast(Joining, self.transport).flush()
        if self._exchange is None or self.transport.is_closing():
            super()._unset_keepalive_if_required()
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            if self.timeout_keep_alive_task is None:
                self._wait(self.timeout_keep_alive)
        self._idle_since = None if self.timeout_keep_alive_task is None else self.loop.time()

    # A timer for each answer, and its end at the next request, would be a twentieth of what ingress costs. One timer
    # is left to run, and looks when it ends.

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # a request is under way: its answer makes the next timer
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        super()._unset_keepalive_if_required()
