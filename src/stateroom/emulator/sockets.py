"""Socket Mode: the sockets that apps have open, and the envelopes that go over them.

Rules of this file: each envelope goes to one of an app's sockets and is acknowledged over any of them, since a client
that was told to reconnect answers over its new socket what came over its old one. A socket that ends takes its open
envelopes with it only when the app has no other. Facts: docs.slack.dev/apis/events-api/using-socket-mode (hello,
envelopes, `disconnect` with `warning`, `refresh_requested`, `link_disabled`, at most 10 sockets an app) and what
slack_sdk's clients read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from stateroom.emulator.nesting import shallow
from stateroom.emulator.records import UNREADABLE, Json, dumps

SOCKETS_PER_APP = 10
LIFE_SECONDS = 18_060.0  # what Slack's hello calls approximate_connection_time
DEBUG_LIFE_SECONDS = 360.0  # with &debug_reconnects=true
WARNING_SECONDS = 10.0
REASONS = ("warning", "refresh_requested", "link_disabled")
_GONE = (WebSocketDisconnect, RuntimeError)


@dataclass(frozen=True, slots=True)
class Envelope:
    """`retry` counts from 0; only events carry it."""

    kind: str
    payload: msgspec.Raw
    wants_answer: bool
    retry: int | None = None
    retry_reason: str = ""

    def encoded(self, envelope_id: str) -> str:
        shown: Json = {
            "envelope_id": envelope_id,
            "payload": self.payload,
            "type": self.kind,
            "accepts_response_payload": self.wants_answer,
        }
        if self.retry is not None:
            shown |= {"retry_attempt": self.retry, "retry_reason": self.retry_reason}
        return dumps(shown).decode()


@dataclass(frozen=True, slots=True)
class Ack:
    """`failure` is None when it was acknowledged, else `timeout` or `connection_failed`."""

    failure: str | None
    payload: Any = None


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket. `draining`: it was told to go and gets nothing any more; `ending` runs its life."""

    id: str
    app_id: str
    socket: WebSocket
    opened: float
    draining: bool = False
    sent: int = 0
    ending: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True)
class _Waiting:
    connection: Connection
    ack: asyncio.Future[Ack] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Hub:
    """All sockets. `on_change` hears an app's id when it connects or has lost its last socket.

    `scaled` turns Slack's seconds into ours.
    """

    def __init__(
        self, clock: Callable[[], float], scaled: Callable[[float], float], on_change: Callable[[str, bool], None]
    ) -> None:
        self._clock = clock
        self._scaled = scaled
        self._on_change = on_change
        self._connections: dict[str, list[Connection]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._changed = asyncio.Event()

    def connected(self, app_id: str) -> bool:
        """Whether an app has a socket that takes envelopes."""
        return self._choose(app_id) is not None

    def listed(self) -> list[Json]:
        return [
            {
                "connection_id": one.id,
                "app_id": one.app_id,
                "opened": one.opened,
                "sent": one.sent,
                "draining": one.draining,
            }
            for many in self._connections.values()
            for one in many
        ]

    def _choose(self, app_id: str) -> Connection | None:
        """The socket that got least."""
        usable = [one for one in self._connections.get(app_id, ()) if not one.draining]
        return min(usable, key=lambda one: one.sent, default=None)

    # ---- envelopes

    async def send(self, app_id: str, envelope: Envelope, ack_seconds: float) -> Ack:
        """Send an envelope over one socket and wait for its acknowledgement.

        While an app changes sockets, which takes some clients seconds, the envelope waits for the new one.
        """
        connection = self._choose(app_id) or await self._next(app_id, ack_seconds)
        if connection is None:
            return Ack("connection_failed")
        envelope_id, waiting = str(uuid4()), _Waiting(connection)
        self._waiting[envelope_id] = waiting
        connection.sent += 1
        try:
            async with asyncio.timeout(ack_seconds):
                await connection.socket.send_text(envelope.encoded(envelope_id))
                return await waiting.ack
        except TimeoutError:
            return Ack("timeout")
        except _GONE:
            return Ack("connection_failed")
        finally:
            del self._waiting[envelope_id]

    async def _next(self, app_id: str, seconds: float) -> Connection | None:
        """The socket that an app opens in place of one that was told to go; None if it does not, or had none."""
        ends = asyncio.get_running_loop().time() + seconds
        while self._connections.get(app_id) and (left := ends - asyncio.get_running_loop().time()) > 0:
            changed = self._changed
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                return None
            if connection := self._choose(app_id):
                return connection
        return None

    def _signal(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _heard(self, text: str) -> None:
        try:
            said = msgspec.json.decode(shallow(text.encode()))
        except UNREADABLE:
            return
        envelope_id = said.get("envelope_id") if isinstance(said, dict) else None
        waiting = self._waiting.get(envelope_id) if isinstance(envelope_id, str) else None
        if waiting is not None and not waiting.ack.done():
            waiting.ack.set_result(Ack(None, said.get("payload")))

    # ---- the life of a socket

    async def serve(self, socket: WebSocket, app_id: str, *, debug: bool) -> None:
        """Hold a socket until either side ends it."""
        await socket.accept()
        connection = Connection(uuid4().hex[:12], app_id, socket, self._clock())
        others = self._connections.setdefault(app_id, [])
        life = self._scaled(DEBUG_LIFE_SECONDS if debug else LIFE_SECONDS)
        if len(others) >= SOCKETS_PER_APP:
            await self._tell(connection, {"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return
        others.append(connection)
        connection.ending = asyncio.create_task(self._age(connection, life))
        try:
            await self._tell(connection, self._hello(connection, life))
            self._signal()
            self._on_change(app_id, True)
            await self._listen(connection)
        finally:
            connection.ending.cancel()
            self._forget(connection)

    def _hello(self, connection: Connection, life: float) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._connections[connection.app_id]),
            "debug_info": {"host": "local-slack", "build_number": 1, "approximate_connection_time": int(life)},
            "connection_info": {"app_id": connection.app_id},
        }

    async def _listen(self, connection: Connection) -> None:
        while True:
            message = await connection.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            self._heard(message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace"))

    async def _age(self, connection: Connection, life: float) -> None:
        """Slack refreshes each socket after some hours: a warning, a request, the end."""
        await asyncio.sleep(life - min(self._scaled(WARNING_SECONDS), life / 2))
        await self._retire(connection, "warning", "refresh_requested")

    async def _retire(self, connection: Connection, *reasons: str) -> None:
        """Tell it to go, and end it some seconds later."""
        for reason in reasons:
            await self._say_goodbye(connection, reason)
            await asyncio.sleep(self._scaled(WARNING_SECONDS))
        await self._close(connection)

    async def _say_goodbye(self, connection: Connection, reason: str) -> None:
        connection.draining = True
        await self._tell(connection, {"type": "disconnect", "reason": reason, "debug_info": {"host": "local-slack"}})

    async def _tell(self, connection: Connection, message: Json) -> None:
        try:
            await connection.socket.send_text(dumps(message).decode())
        except _GONE:
            connection.draining = True  # its reader notices and ends it

    async def _close(self, connection: Connection) -> None:
        connection.draining = True
        try:
            await connection.socket.close()
        except _GONE:
            return

    def _forget(self, connection: Connection) -> None:
        left = self._connections[connection.app_id]
        left.remove(connection)
        self._signal()
        if left:
            return
        for waiting in self._waiting.values():
            if waiting.connection.app_id == connection.app_id and not waiting.ack.done():
                waiting.ack.set_result(Ack("connection_failed"))
        self._on_change(connection.app_id, False)

    async def disconnect(self, app_id: str, reason: str) -> int:
        """Tell an app's sockets to go: one of REASONS. Returns how many were told."""
        told = list(self._connections.get(app_id, ()))
        for connection in told:
            if connection.ending is not None:
                connection.ending.cancel()
            connection.ending = asyncio.create_task(self._retire(connection, reason))
        return len(told)

    async def close(self) -> None:
        """End every socket; their apps connect anew, to whatever is here then."""
        for app_id in list(self._connections):
            await self.cut(app_id)

    async def cut(self, app_id: str) -> int:
        """End an app's sockets without a word, as a broken network does. Returns how many."""
        cut = list(self._connections.get(app_id, ()))
        for connection in cut:
            await self._close(connection)
        return len(cut)
