"""A small TCP proxy for tests: cut, stall, slow down, refuse or half-close what flows between a client and a server.

Rules of this file: it knows no protocol. It runs in the test's event loop, listens on a free port of 127.0.0.1, and
reaches the server by host and port or by the path of a socket. `answers` is what the server says, `asks` what the
client says: each way can be stopped alone (a stall; stop both and the connection is half-open). `doom` says what
becomes of the next few pieces that begin with some bytes:

    ask      it never comes to the server, and the connection ends
    answer   the server has answered, the client does not get it, and the connection ends
    short    the same, but for the last byte of the first piece of the answer
    silence  the server has answered, the client does not get it, and the connection stays
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar


class Proxy:
    """One before the server at `target`: (host, port), or the path of a socket."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asks = asyncio.Event()  # set: flows
        self.answers = asyncio.Event()
        self.delay = 0.0  # seconds before each piece
        self.refusing = False
        self.connections = 0
        self.doomed: list[tuple[bytes, str]] = []
        self.heard: list[bytes] = []  # what clients said, piece by piece: a small request is one
        self.asks.set()
        self.answers.set()
        self.port = 0

    def cut(self) -> None:
        """Every connection ends now, with a reset."""
        for writer in list(self._writers):
            writer.transport.abort()
        self.asks.set()
        self.answers.set()

    def doom(self, begin: bytes, fault: str, count: int = 1) -> None:
        """See above."""
        self.doomed += [(begin, fault)] * count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there, back = await self._reach()
        except OSError:  # the server is away
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        fate: list[str] = []  # what was decided for the answer

        def ask(piece: bytes) -> bytes:
            self.heard.append(piece)
            if not self.doomed or not piece.startswith(self.doomed[0][0]):
                return piece
            fate.append(self.doomed.pop(0)[1])
            return piece if fate[-1] != "ask" else b""

        def answer(piece: bytes) -> bytes:
            return piece if not fate else piece[:-1] if fate[-1] == "short" else b""

        for source, target, gate, filtered in ((reader, back, self.asks, ask), (there, writer, self.answers, answer)):
            task = asyncio.ensure_future(self._pump(source, target, gate, filtered, fate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        gate: asyncio.Event,
        filtered: Callable[[bytes], bytes],
        fate: list[str],
    ) -> None:
        try:
            while piece := await source.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await gate.wait()
                passed = filtered(piece)
                target.write(passed)
                await target.drain()
                if len(passed) < len(piece) and fate[-1] != "silence":
                    break
        except OSError:
            pass  # cut
        target.close()
        self._writers.discard(target)

    def close(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()


P = TypeVar("P", bound=Proxy)


@asynccontextmanager
async def listening(proxy: P) -> AsyncIterator[P]:
    """The proxy, reachable at `proxy.port` of 127.0.0.1 as long as the block runs."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
