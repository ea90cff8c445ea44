"""Runs ingress and workers as processes: `serve` and `work`.

Rules of this file: serving begins before Slack or a model is asked anything (invariant 10); uvicorn serves our
sockets, signals belong to the caller, who sets `stop`. What the worker alone needs is imported by the worker alone.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from stateroom.bot.config import BotConfig
from stateroom.bot.directory import Directory
from stateroom.bot.ingress import Ingress, Receive, Scope, Send
from stateroom.bot.install_pages import InstallPages
from stateroom.bot.protocol import Protocol
from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.port import Table
from stateroom.layers.inbox import INBOX
from stateroom.model.errors import WrongUse
from stateroom.store import Store

if TYPE_CHECKING:
    from stateroom.bot.worker import Worker
    from stateroom.engines.port import Waking
    from stateroom.slack.client import SlackClient
    from stateroom.slack.socket import SocketMode

GRACE: Final = 5.0  # seconds for open requests and lanes after a SIGTERM; the whole stop takes at most 10
_SWITCH: Final = 0.0005  # seconds between threads' turns; the default of 5 ms makes the commit thread wait for the loop

_CALL: Final = 15.0  # seconds that Slack gets to exchange a token
_GARBAGE: Final = 10_000  # new containers between looks for cycles; 700 is a look every ten requests

Ready = Callable[[str], None]


async def serve(config: BotConfig, *, host: str, port: int, worker: bool, on_ready: Ready, stop: asyncio.Event) -> None:
    """Ingress on host:port, and a worker beside it unless told otherwise, until `stop`."""
    sys.setswitchinterval(_SWITCH)
    async with _store(config) as store:
        _must_hold_inbox(store)
        teams = _directory(config, store)
        async with _worker(config, store, teams, stop) if worker else _nobody() as working:
            socket = _SocketDoor(config)
            pages = InstallPages(config, teams.installations, time.time, partial(_slack, config), installed=teams.came)
            app = Ingress(
                store.engine,
                time.time,
                config.signing_secret,
                unready=socket.unready,
                greets=bool(config.prompts),
                teams=teams,
                wake=working.wake if working else lambda: None,
                pages=pages.routes,
            )
            async with socket.open(app, stop):
                await _listen(app, host, port, on_ready, stop)


async def work(config: BotConfig, *, port: int | None, host: str, on_ready: Ready, stop: asyncio.Event) -> None:
    """A worker alone; with a port it also answers /healthz, /readyz and /metrics."""
    async with _store(config) as store:
        _must_hold_inbox(store)
        teams = _directory(config, store)
        async with _worker(config, store, teams, stop):
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


def _store(config: BotConfig) -> Store:
    """The store as the bot uses it."""
    return Store(
        config.store,
        content=config.content,
        keys=config.keys,
        kms=config.kms or None,
        encrypt_content=config.encrypt_content,
    )


def _must_hold_inbox(store: Store) -> None:
    if not store.engine.capabilities.holds_inbox:
        raise WrongUse(
            f"{store.engine.capabilities.name} cannot hold the inbox; docs/engines.md lists the engines that can"
        )


def _directory(config: BotConfig, store: Store) -> Directory:
    """Which teams are ours. Without a worker here nobody asks Slack whom the token is for; a worker elsewhere drops."""
    kept = store.installations(client_id=config.client_id, erase_after=config.uninstall_seconds)
    return Directory(kept, time.time, fallback=lambda _: None if config.bot_token else False)


def _slack(config: BotConfig, token: str | None) -> SlackClient:
    """A client for a token; without one for what the app itself asks."""
    from stateroom.slack.client import SlackClient

    return SlackClient(token, config.slack_api_url, clock=time.time)


@asynccontextmanager
async def _worker(config: BotConfig, store: Store, teams: Directory, stop: asyncio.Event) -> AsyncIterator[Worker]:
    """A running worker; leaving the block waits until it handed back what it held."""
    from stateroom.bot.lane import Tools
    from stateroom.bot.removal import Removal
    from stateroom.bot.voices import Own, Voices
    from stateroom.bot.worker import Worker, responder_of

    tools = Tools(config, store.engine, time.time)
    own = Own(_slack(config, config.bot_token) if config.bot_token else None, time.time)
    voices = Voices(teams, own, partial(_slack, config), _refresh(config))
    working = Worker(tools, teams, voices, own, responder_of(tools))
    removal = Removal(store.engine, time.time, store.everything, in_use=own.confirm)
    teams.fallback = own.serves

    def leave(team: str) -> None:
        own.left(team)
        working.leave(team)
        removal.wake()

    teams.gone = leave
    task = asyncio.create_task(working.run(stop))
    task.add_done_callback(lambda _: stop.set())  # a worker that ended by a defect ends the process, visibly
    sweeping = asyncio.create_task(_sweep(config, store, stop))
    removing = asyncio.create_task(removal.run())
    hearing = asyncio.create_task(_hear(store, working))
    try:
        yield working
    finally:
        stop.set()
        removing.cancel()
        hearing.cancel()
        await task
        await sweeping
        await asyncio.wait({removing, hearing})
        await voices.close()
        if own.slack is not None:
            await own.slack.close()


async def _hear(store: Store, working: Worker) -> None:
    """Wake the worker when another process has made a row durable, where the engine tells of it; it polls anyway."""
    if store.raw.capabilities.wakes:
        await cast("Waking", store.raw).listen(INBOX.name, working.wake)


def _refresh(config: BotConfig) -> Callable[[str], Awaitable[Mapping[str, Any]]] | None:
    """How a refresh token is exchanged; None where the app's secret is not known."""
    if not config.client_id or not config.client_secret:
        return None

    async def refresh(token: str) -> Mapping[str, Any]:
        async with _slack(config, None) as slack:
            return await slack.oauth_access(
                client_id=config.client_id,
                client_secret=config.client_secret,
                refresh_token=token,
                deadline=time.time() + _CALL,
            )

    return refresh


async def _sweep(config: BotConfig, store: Store, stop: asyncio.Event) -> None:
    """Remove what has expired, now and then, as long as the worker runs."""
    if not config.sweep_seconds:
        return
    from stateroom.bot.sweeper import Sweeper

    async def tables() -> list[Table]:
        return [*(table_of(one) for one in await store.everything()), leases.TABLE]

    await Sweeper(store.engine, time.time, tables, seconds=config.sweep_seconds).run(stop)


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
