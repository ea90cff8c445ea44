"""The lines to apps: HTTP to an address, or envelopes over the app's sockets.

Rules of this file: the only outgoing HTTP of the local Slack, and the one place that decides which line an app is
reached by. Sockets win where an app has one open, or is in Socket Mode (its manifest says `socket_mode_enabled`, or it
has no address and has connected before); else its address is used. One attempt a connection, so a bot that was killed
is noticed by the very next attempt. What an outcome means is the caller's to decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urlencode, urlsplit, urlunsplit

import aiohttp
import msgspec

from stateroom.emulator import events
from stateroom.emulator.config import LOOPBACK_HOSTS
from stateroom.emulator.manifests import part
from stateroom.emulator.records import App, Json, Pending, dumps
from stateroom.emulator.sockets import Envelope, Hub

HTTP, SOCKET = "http", "socket"
ANSWER_LIMIT = 1 << 20
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt. `reason` is Slack's retry reason, None when the app took it; `body` what it said.

    `status` is the HTTP status, 200 for an envelope that was acknowledged, None when nothing came back.
    """

    status: int | None
    reason: str | None
    ms: float = 0.0
    no_retry: bool = False
    body: bytes = b""
    content_type: str = ""
    transport: str = HTTP

    @property
    def taken(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Ask:
    """Something that an app must answer within 3 s and that is never sent twice.

    `kind` is the kind of the envelope (`slash_commands`, `interactive`); over HTTP its fields are a form. `name` tells
    one command or action from another.
    """

    kind: str
    name: str
    payload: Json
    url: str | None
    wants_answer: bool

    def form(self) -> bytes:
        fields = self.payload if self.kind == "slash_commands" else {"payload": dumps(self.payload)}
        return urlencode(fields).encode()


class Lines:
    """Reaches apps. `ack_seconds`: how long an app has to answer."""

    def __init__(self, hub: Hub, ack_seconds: float, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._ack_seconds = ack_seconds
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def transport(self, app: App) -> str | None:
        """`socket`, `http`, or None for an app that cannot be reached in any way."""
        if app.socket_mode or self._hub.connected(app.app_id):
            return SOCKET
        return HTTP if app.event_url is not None else None

    def open_to(self, app: App) -> bool:
        """Whether an attempt makes sense now: an address, or a socket that is open."""
        transport = self.transport(app)
        return self._hub.connected(app.app_id) if transport == SOCKET else transport is not None

    async def event(self, app: App, pending: Pending) -> Outcome:
        """One attempt to deliver an event."""
        retry_num = min(pending.sent, len(events.RETRY_SECONDS))
        if self.transport(app) == SOCKET:
            body = msgspec.Raw(pending.body.encode())
            return await self._envelope(app, Envelope("events_api", body, False, retry_num, pending.reason or ""))
        data = pending.body.encode()
        headers = events.headers(app.signing_secret, data, int(self._clock()), retry_num, pending.reason)
        return await self._timed_post(app.event_url or "", data, headers)

    async def ask(self, app: App, ask: Ask) -> Outcome:
        """Send something that is answered at once, or not at all."""
        if self.transport(app) == SOCKET:
            return await self._envelope(app, Envelope(ask.kind, msgspec.Raw(dumps(ask.payload)), ask.wants_answer))
        data = ask.form()
        headers = {**events.headers(app.signing_secret, data, int(self._clock()), 0, None), "Content-Type": _FORM}
        return await self._timed_post(ask.url or "", data, headers)

    async def _envelope(self, app: App, envelope: Envelope) -> Outcome:
        started = time.perf_counter()
        ack = await self._hub.send(app.app_id, envelope, self._ack_seconds)
        ms = round((time.perf_counter() - started) * 1000, 1)
        body = b"" if ack.payload is None else dumps(ack.payload)
        status = 200 if ack.failure is None else None
        return Outcome(status, ack.failure, ms, body=body, content_type="application/json", transport=SOCKET)

    async def _timed_post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        started = time.perf_counter()
        outcome = await self._post(url, body, headers)
        return replace(outcome, ms=round((time.perf_counter() - started) * 1000, 1))

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        try:
            async with self._open().post(url, data=body, headers=headers, max_redirects=2) as response:
                if not 200 <= response.status < 300:
                    no_retry = response.headers.get("x-slack-no-retry") == "1"
                    return Outcome(response.status, "http_error", no_retry=no_retry)
                said = await _whole(response.content)
                return Outcome(response.status, None, body=said, content_type=response.content_type)
        except TimeoutError:
            return Outcome(None, "http_timeout")
        except aiohttp.TooManyRedirects:
            return Outcome(None, "too_many_redirects")
        except aiohttp.ClientConnectorSSLError:
            return Outcome(None, "ssl_error")
        except (aiohttp.ClientConnectionError, ConnectionError):
            return Outcome(None, "connection_failed")
        except (aiohttp.ClientError, ValueError):
            return Outcome(None, "unknown_error")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            timeout = aiohttp.ClientTimeout(total=self._ack_seconds)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def parts_of(url: str) -> SplitResult | None:
    """The parts of an address over HTTP; None when it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None


async def _whole(stream: aiohttp.StreamReader) -> bytes:
    """An answer to its end, or to ANSWER_LIMIT; one `read` gives what one packet brought."""
    parts, size = [], 0
    while size < ANSWER_LIMIT and (part := await stream.read(ANSWER_LIMIT - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def interactivity_url(app: App) -> str | None:
    """Where buttons, modals and shortcuts of an app go."""
    return nearby(app, part(app.manifest, ("settings", "interactivity", "request_url")))


def options_url(app: App) -> str | None:
    """Where an external select asks for its options."""
    url = part(app.manifest, ("settings", "interactivity", "message_menu_options_url"))
    return nearby(app, url) if url else interactivity_url(app)


def nearby(app: App, url: object) -> str | None:
    """An address of a manifest as it is reached from here.

    A manifest names the public addresses of a deployed app. While the app's events go to this machine, its other
    requests go there, too: same path, at the host of its events. Without an address the one for events is meant.
    """
    if not isinstance(url, str) or not url:
        return app.event_url
    here, there = parts_of(app.event_url or ""), parts_of(url)
    if here is None or there is None or there.hostname in LOOPBACK_HOSTS or here.hostname not in LOOPBACK_HOSTS:
        return url
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))
