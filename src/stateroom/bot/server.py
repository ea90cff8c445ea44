"""Runs ingress and workers as processes: `serve` and `work`.

Rules of this file: serving begins before Slack or a model is asked anything (invariant 10); uvicorn serves our
sockets, signals belong to the caller, who sets `stop`.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from stateroom.bot.assembly import directory_of, ingress_of, store_of, working
from stateroom.bot.config import BotConfig
from stateroom.bot.ingress import Ingress, Receive, Scope, Send
from stateroom.bot.protocol import Protocol
from stateroom.model.errors import WrongUse

if TYPE_CHECKING:
    from stateroom.slack.socket import SocketMode

GRACE: Final = 5.0  # seconds for open requests and lanes after a SIGTERM; the whole stop takes at most 10
_SWITCH: Final = 0.0005  # seconds between threads' turns; the default of 5 ms makes the commit thread wait for the loop

_GARBAGE: Final = 10_000  # new containers between looks for cycles; 700 is a look every ten requests

Ready = Callable[[str], None]


async def serve(config: BotConfig, *, host: str, port: int, worker: bool, on_ready: Ready, stop: asyncio.Event) -> None:
    """Ingress on host:port, and a worker beside it unless told otherwise, until `stop`."""
    sys.setswitchinterval(_SWITCH)
    async with store_of(config) as store:
        teams = directory_of(config, store)
        async with working(config, store, teams, stop) if worker else _nobody() as answering:
            socket = _SocketDoor(config)
            wake = answering.wake if answering else lambda: None
            app = ingress_of(config, store, teams, wake=wake, unready=socket.unready)
            async with socket.open(app, stop):
                await _listen(app, host, port, on_ready, stop)


async def work(config: BotConfig, *, port: int | None, host: str, on_ready: Ready, stop: asyncio.Event) -> None:
    """A worker alone; with a port it also answers /healthz, /readyz and /metrics."""
    async with store_of(config) as store:
        teams = directory_of(config, store)
        async with working(config, store, teams, stop):
            if port is None:
                on_ready("worker")
                await stop.wait()
                return
            app = Ingress(store.engine, time.time, config.signing_secret or "unused", teams=teams)
            await _listen(_without_slack(app), host, port, on_ready, stop)


class _SocketDoor:
    """Socket Mode beside HTTP, where there is an app-level token."""

    def __init__(self, config: BotConfig) -> None:
        self._config = config
        self._sockets: SocketMode | None = None

    def unready(self) -> str:
        """Why Slack cannot reach us; empty when it can."""
        if not self._config.app_token:
            return ""
        connected = self._sockets is not None and self._sockets.connected
        return "" if connected else "Slack is not connected: the log says why"

    @asynccontextmanager
    async def open(self, app: Ingress, stop: asyncio.Event) -> AsyncIterator[None]:
        """Take envelopes while the block runs; its end lets those in work finish."""
        if not self._config.app_token:
            yield
            return
        from stateroom.slack.socket import SocketMode

        self._sockets = SocketMode(self._config.app_token, self._config.slack_api_url, app.envelope)
        ending = asyncio.Event()
        task = asyncio.create_task(self._sockets.run(ending))
        task.add_done_callback(lambda _: stop.set())  # a defect ends the process, visibly
        try:
            yield
        finally:
            ending.set()
            await task


@asynccontextmanager
async def _nobody() -> AsyncIterator[None]:
    yield None


def _without_slack(app: Ingress) -> Callable[[Scope, Receive, Send], Any]:
    async def health_only(scope: Scope, receive: Receive, send: Send) -> None:
        hidden: Mapping[str, Any] = scope
        if scope["type"] == "http" and str(scope["path"]).startswith("/slack/"):
            hidden = {**scope, "path": "/"}
        await app(hidden, receive, send)

    return health_only


async def _listen(
    app: Callable[[Scope, Receive, Send], Any], host: str, port: int, on_ready: Ready, stop: asyncio.Event
) -> None:
    """Serve `app` until `stop`; `on_ready` gets the address when it accepts work."""
    listener = _bind(host, port)
    gc.freeze()  # what the start has made stays: no collection need walk it
    gc.set_threshold(_GARBAGE)
    options = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        http=Protocol,
        timeout_graceful_shutdown=int(GRACE),
    )
    server = _Server(options)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _first(server.accepting.wait(), serving)
        shown = f"[{host}]" if ":" in host else host
        on_ready(f"http://{shown}:{listener.getsockname()[1]}")
        await _first(stop.wait(), serving)
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def _first(waiting: Any, serving: asyncio.Task[None]) -> None:
    """Until the awaitable or the server ends; the server's error comes through."""
    task = asyncio.ensure_future(waiting)
    await asyncio.wait({task, serving}, return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    if serving.done():
        serving.result()


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals alone and says when it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    def install_signal_handlers(self) -> None:
        """Signals belong to the caller."""

    def capture_signals(self) -> Any:
        """Signals belong to the caller."""
        from contextlib import nullcontext

        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only then
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WrongUse(f"cannot listen on {host}:{port}: {error.strerror}; give another --port") from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener
