"""Promises of the protocol that writes an answer's head and body together: only the moment of writing is ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from stateroom.bot.ingress import OK, Later, headers_of
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
async def serving(app: Any = app, **options: Any) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", ws="none", http=Protocol, proxy_headers=False, **options
    )
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


class Both:
    """An application that answers over ASGI and without it, in one of three ways, and counts which."""

    def __init__(self, way: str = "task") -> None:
        self.direct = {b"/direct": getattr(self, way)}
        self.taken: list[bytes] = []
        self.called: list[bytes] = []
        self.reply: Any = None  # what is said instead of the body
        self.going = asyncio.Event()  # whether a taken request may be answered, but for one that is answered at once
        self.going.set()

    def at_once(self, headers: Any, body: bytes) -> Any:
        self.taken.append(body)
        return self._said(body)

    def row(self, headers: Any, body: bytes) -> Any:
        self.taken.append(body)
        row: Any = asyncio.ensure_future(self.going.wait())
        if self.reply == "cancelled":
            row.cancel()
        return Later(row, lambda row: row.result() and self._said(body))

    async def task(self, headers: Any, body: bytes) -> Any:
        self.taken.append(body)
        await self.going.wait()
        return self._said(body)

    def _said(self, body: bytes) -> Any:
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply or (200, b"text/plain", body)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.called.append(body)
        if isinstance(self.reply, Exception):
            raise self.reply
        reply = self.reply or (200, b"text/plain", body)
        await send({"type": "http.response.start", "status": reply[0], "headers": headers_of(reply)})
        await send({"type": "http.response.body", "body": reply[2]})


@pytest.fixture(params=["task", "row"])
async def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


PLAIN = {"date_header": False, "server_header": False}


def post(body: bytes, *, path: bytes = b"/direct", more: bytes = b"", version: bytes = b"1.1") -> bytes:
    length = b"" if b"chunked" in more else b"content-length: %d\r\n" % len(body)
    return b"POST %b HTTP/%b\r\nHost: x\r\n%b%b\r\n%b" % (path, version, length, more, body)


async def told(port: int, request: bytes) -> bytes:
    """All that is answered to a last request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = await reader.read()
    writer.close()
    return found


async def one(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.partition(b":")[2]))


@pytest.mark.service
@pytest.mark.parametrize(
    "reply",
    [
        OK,
        (400, b"application/json", b'{"error":"x"}'),
        (302, b"text/plain", b"", [(b"location", b"/elsewhere")]),
        (200, b"text/plain", b"said", [(b"connection", b"close")]),
        RuntimeError("a defect"),
    ],
    ids=["ok", "refused", "more headers", "closed by the answer", "failed"],
)
@pytest.mark.parametrize("options", [PLAIN, {**PLAIN, "headers": [("x-more", "y")]}], ids=["", "headers"])
@pytest.mark.parametrize("more", [b"connection: close\r\n", b""], ids=["close", "keep-alive"])
@pytest.mark.parametrize("way", ["at_once", "row", "task"])
async def test_without_asgi_the_bytes_are_those_of_asgi(
    reply: Any, options: dict[str, Any], more: bytes, way: str
) -> None:
    both = Both(way)
    both.reply = reply
    async with serving(both, **options, timeout_keep_alive=0) as port, asyncio.timeout(10):
        direct = await told(port, post(b"x", more=more))
        over = await told(port, post(b"x", path=b"/asgi", more=more))
    assert (both.taken, both.called) == ([b"x"], [b"x"])
    assert direct == over
    assert direct.startswith(b"HTTP/1.1 ")


@pytest.mark.service
async def test_a_row_that_nobody_waits_for_any_more_is_no_answer_of_its_own() -> None:
    both = Both("row")
    both.reply = "cancelled"
    async with serving(both) as port, asyncio.timeout(10):
        assert (await told(port, post(b"x"))).startswith(b"HTTP/1.1 500")


@pytest.mark.service
async def test_what_is_known_at_once_keeps_its_place_among_pipelined_requests() -> None:
    both = Both("at_once")
    async with serving(both) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        bodies = [b"%d" % number for number in range(20)]
        writer.write(b"".join([post(body, path=b"/asgi" if body in b"37" else b"/direct") for body in bodies]))
        assert [await one(reader) for _ in bodies] == bodies
        writer.close()


@pytest.mark.service
async def test_what_is_not_ordinary_goes_over_asgi_and_is_answered_the_same() -> None:
    both = Both()
    large = b"l" * 70_000
    async with serving(both, timeout_keep_alive=0) as port, asyncio.timeout(10):
        for request, body in (
            (post(b"2\r\nab\r\n0\r\n\r\n", more=b"Transfer-Encoding: chunked\r\n"), b"ab"),
            (post(large), large),
            (post(b"old", version=b"1.0"), b"old"),
            (post(b"ab", path=b"/direct?x=1"), b"ab"),
            (post(b"ab").replace(b"POST", b"PUT"), b"ab"),
        ):
            assert (await told(port, request)).endswith(b"\r\n\r\n" + body)
            assert both.called.pop() == body
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, body = post(b"ok", more=b"Expect: 100-continue\r\n").split(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(body)
        assert await one(reader) == b"ok"
        writer.close()
    assert both.taken == []


@pytest.mark.service
async def test_a_length_that_two_readers_could_read_differently_is_refused_and_taken_by_nobody() -> None:
    both = Both()
    twice = post(b"ab", more=b"content-length: 3\r\n")
    mixed = post(b"0\r\n\r\n", more=b"transfer-encoding: identity, Chunked\r\n")
    async with serving(both, timeout_keep_alive=0) as port, asyncio.timeout(10):
        for request in (twice, mixed):
            assert (await told(port, request)).startswith(b"HTTP/1.1 400")
    assert both.taken == []


@pytest.mark.service
async def test_pipelined_requests_are_answered_in_order_though_the_first_is_slow(both: Both) -> None:
    both.going.clear()
    async with serving(both) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        bodies = [b"%d" % number for number in range(20)]
        writer.write(b"".join([post(body, path=b"/asgi" if body == b"3" else b"/direct") for body in bodies]))
        while not both.taken:
            await asyncio.sleep(0.001)
        both.going.set()
        assert [await one(reader) for _ in bodies] == bodies
        writer.write(post(b"later"))
        assert await one(reader) == b"later"
        writer.close()
    assert both.taken == [b"0", b"later"]


@pytest.mark.service
async def test_a_body_that_comes_in_pieces_is_taken_whole() -> None:
    both = Both()
    async with serving(both) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head, body = post(b"b" * 9).split(b"\r\n\r\n")
        for part in (head[:20], head[20:], b"\r\n\r\n" + body[:1], body[1:]):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.005)  # so that the parts are read one by one; right whether they are or not
        assert await one(reader) == b"b" * 9
        writer.close()
    assert both.taken == [b"b" * 9]


@pytest.mark.service
async def test_a_server_that_ends_answers_what_it_has_taken_and_then_closes(both: Both) -> None:
    both.going.clear()
    async with asyncio.timeout(10), serving(both) as port:
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"last"))
        while not both.taken:
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.15, both.going.set)  # behind the server's own first look
    answer = await reader.read()
    assert answer.endswith(b"connection: close\r\n\r\nlast")
    for stream in (idle, writer):
        stream.close()


@pytest.mark.service
async def test_a_client_that_goes_away_takes_nothing_with_it(both: Both) -> None:
    both.going.clear()
    async with serving(both) as port, asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"gone"))
        while not both.taken:
            await asyncio.sleep(0.001)
        writer.transport.abort()
        both.going.set()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"here"))
        assert await one(reader) == b"here"
        writer.close()


@pytest.mark.service
async def test_a_client_that_does_not_read_is_not_read_from(both: Both) -> None:
    both.reply = (200, b"text/plain", b"w" * 4_000_000)
    async with serving(both) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for _ in range(8):
                writer.write(post(b"x"))
                await asyncio.sleep(0.01)  # one by one, so that none of them is a pipelined one when it comes
            assert len(both.taken) + len(both.called) < 4
            assert [len(await one(reader)) for _ in range(8)] == [4_000_000] * 8
        finally:
            writer.transport.abort()  # or a server that has taken them all would not end


@pytest.mark.service
async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with serving(Both(), timeout_keep_alive=0.05) as port, asyncio.timeout(10):
        assert (await told(port, post(b"x"))).endswith(b"\r\n\r\nx")


@pytest.mark.service
async def test_a_connection_is_not_idle_while_a_request_is_under_way(both: Both) -> None:
    async with serving(both, timeout_keep_alive=0.1) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in (b"/direct", b"/asgi", b"/direct"):
            writer.write(post(b"first", path=path))
            assert await one(reader) == b"first"
        both.going.clear()
        writer.write(post(b"long"))
        asyncio.get_running_loop().call_later(0.25, both.going.set)
        assert await one(reader) == b"long"
        writer.write(post(b"next"))
        assert await one(reader) == b"next"
        assert await reader.read() == b""
        writer.close()
