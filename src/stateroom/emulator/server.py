"""The local Slack as a server: `create_app` for tests and embedders, `serve` for the command.

Rules of this file: routes, life cycle, one line on stdout; nothing else. It listens on loopback only. On SIGTERM open
streams end, what is on its way stays on record, and the process is done within 10 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stateroom.emulator import assets, authorize, control, control_apps, interact_routes, page_routes, transfer
from stateroom.emulator.acts import Denied
from stateroom.emulator.config import LOOPBACK_HOSTS, EmulatorConfig
from stateroom.emulator.door import Door
from stateroom.emulator.guard import Guard
from stateroom.emulator.housekeeper import Housekeeper
from stateroom.emulator.workspace import Workspace
from stateroom.model.errors import StoreUnavailable, WrongUse

LOG = logging.getLogger(__name__)

PAGE_FOLDER = Path(__file__).with_name("page")
PLACEHOLDER = b"<!doctype html><title>Local Slack</title><p>The local Slack runs. Its page is not installed."
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def random_id(prefix: str) -> str:
    """An id that is not used again, of Slack's shape."""
    return prefix + "0" + "".join(secrets.choice(_ALPHABET) for _ in range(9))


_ASSETS = functools.cache(lambda: assets.load(PAGE_FOLDER))


async def _page(request: Request) -> Response:
    """The page's own files, made ready when the first of them is asked for."""
    wanted = request.path_params.get("file", "index.html")
    if wanted == "index.html" and "source" in request.query_params:
        wanted = "index.html?source"
    found = _ASSETS().get(wanted)
    if found is not None:
        return assets.answer(request, found)
    if wanted == "index.html":
        return Response(PLACEHOLDER, media_type="text/html; charset=utf-8")
    raise Denied(404, "not_found", "the page has no such file")


def _store_failed(request: Request, error: Exception) -> Response:
    LOG.error("%s", error)
    return control.reply({"error": "state_unavailable", "detail": str(error)}, 500)


def _not_found(request: Request, error: Exception) -> Response:
    return control.reply({"error": "not_found", "detail": "docs/emulator.md lists what is here"}, 404)


def _wrong_method(request: Request, error: Exception) -> Response:
    return control.reply({"error": "method_not_allowed", "detail": "docs/emulator.md lists what is here"}, 405)


ROUTES = [
    Route("/", _page, methods=["GET"]),
    Route("/page/{file}", _page, methods=["GET"]),
    *authorize.ROUTES,
    *control_apps.ROUTES,
    *transfer.ROUTES,
    *control.ROUTES,
    *interact_routes.ROUTES,
    *interact_routes.SOCKET_ROUTES,
    *page_routes.ROUTES,
]


class _Life:
    """One workspace with its keeper, and another one in its place when a test wants to begin anew."""

    def __init__(self, app: Starlette, make: Callable[[], Workspace]) -> None:
        self._app = app
        self._make = make
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        workspace = self._make()
        self._app.state.workspace = workspace
        self._keeper = Housekeeper(workspace)
        workspace.world.base_url = getattr(self._app.state, "base_url", workspace.world.base_url)
        await workspace.start()
        self._keeper.start()

    async def end(self, *, wipe: bool = False) -> None:
        workspace: Workspace = self._app.state.workspace
        workspace.begin_close()
        await self._keeper.close()
        await workspace.close(wipe=wipe)

    async def start_over(self) -> None:
        """Forget everything and seed again, as if it had just been started on an empty state."""
        async with self._turn:
            await self.end(wipe=True)
            await self.begin()


def create_app(
    config: EmulatorConfig,
    clock: Callable[[], float] = time.time,
    new_id: Callable[[str], str] = random_id,
) -> Starlette:
    """The ASGI app of one local Slack; `app.state.workspace` is there once it has started up."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        life = _Life(app, lambda: Workspace(config, clock, new_id))
        await life.begin()
        app.state.start_over = life.start_over
        try:
            yield
        finally:
            await life.end()

    return Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[Middleware(Guard), Middleware(Door)],
        exception_handlers={
            Denied: control.deny,
            WrongUse: control.deny,
            StoreUnavailable: _store_failed,
            404: _not_found,
            405: _wrong_method,
        },
    )


class Server(uvicorn.Server):
    """uvicorn, ending its open streams first and leaving signals to `serve`."""

    def __init__(self, app: Starlette, on_ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_on(self, sock: socket.socket) -> None:
        """Serve until told to end. What goes wrong before the first request is raised, not logged away."""
        self._app.state.base_url = address(sock)
        async with self._app.router.lifespan_context(self._app):
            await self.serve(sockets=[sock])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.workspace.begin_close()
        await super().shutdown(sockets)


def listen(config: EmulatorConfig) -> socket.socket:
    """A bound socket. Raises WrongUse for a host that others could reach, or a port that is taken."""
    if config.host not in LOOPBACK_HOSTS:
        raise WrongUse(f"the local Slack listens on loopback only; give --host 127.0.0.1 instead of {config.host}")
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only then
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((config.host, config.port))
    except OSError as error:
        sock.close()
        raise WrongUse(f"port {config.port} cannot be used ({error.strerror}); give another --port") from None
    return sock


def address(sock: socket.socket) -> str:
    """Where a bound socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(config: EmulatorConfig) -> None:
    """Run until SIGTERM or SIGINT; prints `ready http://127.0.0.1:N` when it accepts work.

    Raises WrongUse for a host, port, manifest or state URL that cannot be, StoreUnavailable and CorruptData for a state
    that cannot be read.
    """
    sock = listen(config)

    def ready() -> None:
        sys.stdout.write(f"ready {address(sock)}\n")
        sys.stdout.flush()

    server = Server(create_app(config), ready)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, setattr, server, "should_exit", True)
    try:
        await server.run_on(sock)
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)
        sock.close()
