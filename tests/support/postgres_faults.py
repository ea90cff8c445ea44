"""The proxy of proxy.py before a PostgreSQL server, found by the URL of a store; and one that breaks by itself.

Rules of this file: it changes the address in the URL and nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager

from psycopg.conninfo import conninfo_to_dict

from stateroom.engines.postgresql_url import read_url
from support import proxy


class Proxy(proxy.Proxy):
    """One before the server of a store's URL; `url` leads through it."""

    def __init__(self, url: str) -> None:
        address = read_url(url)
        self._found = {name: str(value) for name, value in conninfo_to_dict(address.conninfo).items() if value}
        self._schema = address.schema
        host, port = self._found["host"], self._found.get("port", "5432")
        super().__init__(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port)))

    @property
    def url(self) -> str:
        found = self._found
        where = f"127.0.0.1:{self.port}/{found['dbname']}"
        return f"postgresql://{found['user']}:{found.get('password', '')}@{where}?schema={self._schema}"


def proxied(url: str) -> AbstractAsyncContextManager[Proxy]:
    """A proxy before the server of `url`."""
    return proxy.listening(Proxy(url))


class Breaking:
    """A proxy in a thread of its own that breaks the network in every way, one after another, from `begin` on."""

    def __init__(self, url: str) -> None:
        self.done: Counter[str] = Counter()
        self.url = ""
        self._server = url
        self._ready, self._begin, self._over = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def connections(self) -> int:
        """How many have been made through it."""
        return self._made.connections

    def begin(self) -> None:
        self._begin.set()

    def close(self) -> None:
        self._over.set()
        self._thread.join(20)

    async def _run(self) -> None:
        async with proxied(self._server) as made:
            self.url, self._made = made.url, made
            self._ready.set()
            while not self._over.is_set() and not self._begin.is_set():
                await asyncio.sleep(0.02)
            for name, way in WAYS.items():
                if self._over.is_set():
                    break
                await way(made)
                self.done[name] += 1
                await asyncio.sleep(0.3)
            while not self._over.is_set():
                await asyncio.sleep(0.02)


async def _reset(made: Proxy) -> None:
    made.cut()


async def _slow(made: Proxy) -> None:
    made.delay = 0.05
    await asyncio.sleep(1)
    made.delay = 0


async def _stall(made: Proxy) -> None:
    """What is asked is done, and nobody hears of it; then the answers come all the same."""
    made.answers.clear()
    await asyncio.sleep(0.7)
    made.answers.set()


async def _deaf(made: Proxy) -> None:
    """The same, and then the connection is gone."""
    made.answers.clear()
    await asyncio.sleep(0.2)
    made.cut()


async def _half_open(made: Proxy) -> None:
    """Neither side hears of the other, longer than a call may take, and none is told."""
    made.asks.clear()
    made.answers.clear()
    await asyncio.sleep(3)
    made.cut()


async def _refused(made: Proxy) -> None:
    made.refusing = True
    made.cut()
    await asyncio.sleep(0.7)
    made.refusing = False


WAYS: Mapping[str, Callable[[Proxy], Awaitable[None]]] = {
    "reset": _reset,
    "slow": _slow,
    "deaf": _deaf,
    "stall": _stall,
    "reset again": _reset,
    "half-open": _half_open,
    "refused": _refused,
    "deaf again": _deaf,
}


@contextmanager
def breaking(url: str) -> Iterator[Breaking]:
    """A network to the server of `url` that breaks when told to begin."""
    made = Breaking(url)
    try:
        yield made
    finally:
        made.close()
