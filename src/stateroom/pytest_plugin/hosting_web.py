"""WSGI and ASGI applications on a free port, and a loop in a thread.

Rules of this file: loopback only; a server is ready when its constructor returns, and gone when `close` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from socketserver import ThreadingMixIn
from typing import Any, Final, Protocol, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn

T = TypeVar("T")
PATIENCE: Final = 10.0


class Hosted(Protocol):
    """An app that is served. `url` is where it takes HTTP, None over Socket Mode."""

    url: str | None

    def idle(self) -> bool | None: ...

    def close(self) -> None: ...


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """As the base class, without asking the network what our name is."""
        socket_address = self.server_address
        self.socket.bind(socket_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        return


class WsgiHost:
    """A WSGI application; each request has a thread."""

    def __init__(self, app: Any, path: str) -> None:
        self._server = make_server("127.0.0.1", 0, app, _Server, _Quiet)
        self.url: str | None = f"http://127.0.0.1:{self._server.server_port}{path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="app", daemon=True)
        self._thread.start()

    def idle(self) -> bool | None:
        return None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


class Loop:
    """An event loop in a thread of its own. `busy` counts the tasks that came after `mark`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._known: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, name="app-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def mark(self) -> None:
        """What runs now is the server's, not the app's."""
        self._known = self.run(self._tasks())

    def busy(self) -> bool:
        return bool(self.run(self._tasks()) - self._known)

    def close(self) -> None:
        self.run(self._cancel())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()

    async def _tasks(self) -> set[asyncio.Task[Any]]:
        return {one for one in asyncio.all_tasks() if one is not asyncio.current_task()}

    async def _cancel(self) -> None:
        tasks = await self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Uvicorn(uvicorn.Server):
    """uvicorn, leaving signals to pytest and saying when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class AsgiHost:
    """An ASGI application in a loop of its own, with its lifespan."""

    def __init__(self, app: Any, path: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url: str | None = f"http://127.0.0.1:{self._socket.getsockname()[1]}{path}"
        self._server = _Uvicorn(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        self._loop = Loop()
        self._served = asyncio.run_coroutine_threadsafe(self._server.serve([self._socket]), self._loop.loop)
        if not self._server.ready.wait(PATIENCE):
            self.close()
            raise TimeoutError("the ASGI application did not start; its lifespan may hang or fail")
        self._loop.mark()

    def idle(self) -> bool | None:
        return not self._loop.busy()

    def close(self) -> None:
        self._server.should_exit = True
        self._served.result(PATIENCE)
        self._loop.close()
        self._socket.close()
