"""A small TCP proxy between the engine and its PostgreSQL server, to cut, stall, slow down and half-close what flows.

Rules of this file: it runs in the test's event loop, listens on 127.0.0.1, and reaches the server by the socket or port
of its URL. `answers` is what the server says, `asks` what the engine says: each way can be stopped alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg.conninfo import conninfo_to_dict

from stateroom.engines.postgresql_url import read_url


class Proxy:
    """One that is listening. `url` leads through it."""

    def __init__(self, url: str) -> None:
        address = read_url(url)
        self._target = {name: str(value) for name, value in conninfo_to_dict(address.conninfo).items() if value}
        self._schema = address.schema
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asks = asyncio.Event()  # set: flows
        self.answers = asyncio.Event()
        self.delay = 0.0  # seconds before each piece
        self.refusing = False
        self.connections = 0
        self.asks.set()
        self.answers.set()
        self.port = 0

    @property
    def url(self) -> str:
        found = self._target
        where = f"127.0.0.1:{self.port}/{found['dbname']}"
        return f"postgresql://{found['user']}:{found.get('password', '')}@{where}?schema={self._schema}"

    def cut(self) -> None:
        """Every connection ends now, with a reset."""
        for writer in list(self._writers):
            writer.transport.abort()
        self.asks.set()
        self.answers.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        host, port = self._target["host"], self._target.get("port", "5432")
        if host.startswith("/"):
            there, back = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there, back = await asyncio.open_connection(host, int(port))
        self._writers |= {writer, back}
        for source, target, gate in ((reader, back, self.asks), (there, writer, self.answers)):
            task = asyncio.ensure_future(self._pump(source, target, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            while piece := await source.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await gate.wait()
                target.write(piece)
                await target.drain()
        except OSError:
            pass  # cut
        target.close()

    def close(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A proxy before the server of `url`."""
    proxy = Proxy(url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.close()
