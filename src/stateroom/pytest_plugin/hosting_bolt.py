"""Bolt's apps, over HTTP or Socket Mode, with Bolt's own adapters.

Rules of this file: the adapters are Bolt's, so an app sees what it sees in production. A synchronous app's work is seen
by what it hands to its executor, an asynchronous one's by the tasks of its loop.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from stateroom.pytest_plugin.hosting_web import AsgiHost, Hosted, Loop, WsgiHost

T = TypeVar("T")
_PING_SECONDS = 0.25  # so that a client notices a restarted Slack soon


def host(app: Any, path: str, *, app_token: str, socket_mode: bool) -> Hosted:
    """Serve a Bolt app, synchronous or not."""
    is_async = hasattr(app, "async_dispatch")
    if socket_mode:
        return AsyncSocket(app, app_token) if is_async else SyncSocket(app, app_token)
    if is_async:
        from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler

        return AsgiHost(AsyncSlackRequestHandler(app, path), path)
    return BoltWsgi(app, path)


class Counted(Executor):
    """An executor that knows how much it has to do."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._open = 0

    @property
    def busy(self) -> bool:
        return self._open > 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        with self._lock:
            self._open += 1
        future = self._inner.submit(fn, *args, **kwargs)
        future.add_done_callback(self._done)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._inner.shutdown(wait, cancel_futures=cancel_futures)

    def _done(self, _: Future[Any]) -> None:
        with self._lock:
            self._open -= 1


def _counted(app: Any) -> Counted:
    """Bolt's executor, counted from now on; listeners and lazy listeners share it."""
    runner = app.listener_runner
    counted = runner.listener_executor
    if not isinstance(counted, Counted):
        counted = Counted(counted)
        runner.listener_executor = counted
        runner.lazy_listener_runner.executor = counted
    return counted


class BoltWsgi(WsgiHost):
    """A synchronous Bolt app over HTTP."""

    def __init__(self, app: Any, path: str) -> None:
        from slack_bolt.adapter.wsgi import SlackRequestHandler

        self._work = _counted(app)
        super().__init__(SlackRequestHandler(app, path), path)

    def idle(self) -> bool | None:
        return not self._work.busy


class SyncSocket:
    """A synchronous Bolt app over Socket Mode."""

    url: str | None = None

    def __init__(self, app: Any, app_token: str) -> None:
        from slack_bolt.adapter.socket_mode import SocketModeHandler

        self._work = _counted(app)
        handler: type[Any] = SocketModeHandler
        self._handler = handler(app, app_token, ping_interval=_PING_SECONDS)
        self._handler.connect()

    def idle(self) -> bool | None:
        return not self._work.busy

    def reconnected(self) -> None:
        """The executor knows its work by itself."""

    def close(self) -> None:
        """Bolt's own close waits until the socket says something; so it is ended first."""
        client = self._handler.client
        client.closed, client.auto_reconnect_enabled = True, False
        sock = getattr(client.current_session, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._handler.close()


class AsyncSocket:
    """An asynchronous Bolt app over Socket Mode, in a loop of its own."""

    url: str | None = None

    def __init__(self, app: Any, app_token: str) -> None:
        self._loop = Loop()
        self._handler = self._loop.run(self._connect(app, app_token))
        self._loop.mark()

    async def _connect(self, app: Any, app_token: str) -> Any:
        from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler

        handler: Any = AsyncSocketModeHandler(app, app_token, ping_interval=_PING_SECONDS)
        await handler.connect_async()
        return handler

    def idle(self) -> bool | None:
        return not self._loop.busy()

    def reconnected(self) -> None:
        """Its new connection has tasks of its own."""
        self._loop.mark()

    def close(self) -> None:
        self._loop.run(self._handler.close_async())
        self._loop.close()
