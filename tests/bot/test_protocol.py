"""Promises of the protocol that writes an answer's head and body together: only the moment of writing is ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from stateroom.bot.protocol import Joining, Protocol

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Wire:
    """What a connection would have written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True


def joining() -> tuple[Wire, Joining]:
    wire = Wire()
    return wire, Joining(wire)  # type: ignore[arg-type]


def test_head_and_body_are_one_write() -> None:
    wire, transport = joining()
    transport.write(HEAD)
    transport.write(b"ok")
    transport.write(b"more")
    assert wire.writes == [HEAD + b"ok", b"more"]


def test_a_head_without_a_body_goes_out_at_the_end_of_the_answer_and_before_a_close() -> None:
    wire, transport = joining()
    transport.write(HEAD)
    transport.flush()
    transport.write(HEAD)
    transport.close()
    assert wire.writes == [HEAD, HEAD]
    assert wire.closed
    assert transport.is_closing()


def test_an_interim_answer_is_not_held() -> None:
    wire, transport = joining()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert wire.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


async def app(_scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", http=Protocol)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield listener.getsockname()[1]
    finally:
        await server.shutdown(sockets=[listener])


async def test_requests_of_one_connection_are_answered_in_turn_whatever_their_kind() -> None:
    async with serving() as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for method, body, shown in ((b"POST", b"one", b"one"), (b"HEAD", b"", b""), (b"POST", b"two", b"two")):
            writer.write(method + b" / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(len(shown)) == shown
        writer.close()


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with serving() as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"ok")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
        writer.close()
