"""Socket Mode: Slack's envelopes over WebSockets that we open, each acknowledged when its receiver says: it is kept.

Rules of this file: nothing is acknowledged that `receive` did not take (invariant 1); Slack sends the rest again. A
socket that Slack wants to end is replaced before it ends, and read until it does. Each connection has a ticket of its
own from `apps.connections.open`. Failures are waited out, longer each time, for ever: serving never depends on Slack
(invariant 10). No token, no ticket and no payload is ever logged.

Not slack_sdk's client: it closes the old socket before it has a new one, tries a ticket that was used for ever again,
and logs payloads. Facts: docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from stateroom.model.errors import SlackError, StateroomError, Throttled, WrongUse
from stateroom.slack.client import is_loopback
from stateroom.slack.codes import BAD_RESPONSE, CONNECTION, TIMEOUT, error_of, error_of_answer

if TYPE_CHECKING:
    import aiohttp

METHOD: Final = "apps.connections.open"
PATIENCE: Final = 10.0  # seconds for a ticket, for a connection, for Slack's hello
HEARTBEAT: Final = 15.0  # seconds between our pings; without a pong for half of it the socket counts as dead
LINGER: Final = 60.0  # seconds that a socket is still read after Slack asked for another
AT_ONCE: Final = 64  # envelopes in work; while there are more, nothing is read
GRACE: Final = 3.0  # seconds for those in work when it ends
CAP: Final = 30.0  # seconds between two tries, at most
YOUNG: Final = 5.0  # a socket that lived for less was no success
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_NEVER_MIND: Final = (ConnectionError, RuntimeError)  # what a socket that is closing raises
log = logging.getLogger("stateroom.socket")

Answer = Mapping[str, Any]
Receive = Callable[[str, bytes], Awaitable[Answer | None]]
"""Takes an envelope's type and its payload as JSON; what to answer ({} for nothing), or None: it was not kept."""


class _Hello(msgspec.Struct):
    """What every message of the socket may have; the payload stays as Slack wrote it."""

    type: str = ""
    envelope_id: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"")
    accepts_response_payload: bool = False
    reason: str = ""


_decode: Final = msgspec.json.Decoder(_Hello).decode


@dataclass(eq=False, slots=True)
class _Line:
    """One socket. `leaving`: Slack wants it to end, or it has ended."""

    socket: aiohttp.ClientWebSocketResponse
    began: float
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""


class SocketMode:
    """One app's sockets: one, and two while one replaces the other. `connected` tells whether Slack can reach us."""

    def __init__(
        self, token: str, base_url: str, receive: Receive, *, chance: Callable[[], float] = random.random
    ) -> None:
        """`token` is app-level (`xapp-…`). WrongUse for one that cannot be one; the message does not show it."""
        if not _TOKEN.fullmatch(token):
            raise WrongUse("SLACK_APP_TOKEN is empty or holds blanks or control characters; copy it again")
        self._token = token
        self._base = base_url
        self._receive = receive
        self._chance = chance
        self._lines: set[_Line] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"SocketMode(connected={self.connected})"

    @property
    def connected(self) -> bool:
        """Whether a socket is open over which Slack sends."""
        return any(not line.socket.closed for line in self._lines)

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until `stop`; then what is in work is finished and the sockets are closed."""
        stopping = asyncio.create_task(stop.wait())
        failures = 0
        try:
            while not stopping.done():
                failed = await self._once(stopping)
                failures = 0 if failed is None else failures + 1
                if failed is not None:
                    wait = self._wait(failures, failed)
                    log.warning("Socket Mode: %s; next try in %.1f s", advice(failed), wait)
                    await asyncio.wait({stopping}, timeout=wait)
        finally:
            stopping.cancel()
            await self._end()

    async def _once(self, stopping: asyncio.Task[Any]) -> StateroomError | None:
        """One socket, until it is to be replaced; the error when it was none, or was gone at once."""
        try:
            line = await self._open()
        except (SlackError, Throttled) as failed:
            return failed
        leaving = asyncio.create_task(line.leaving.wait())
        await asyncio.wait({stopping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if stopping.done():
            return None
        log.info("Socket Mode: Slack ends the connection: %s", line.why)
        lived = asyncio.get_running_loop().time() - line.began
        return error_of(METHOD, line.why) if lived < YOUNG or line.why == "link_disabled" else None

    def _wait(self, failures: int, failed: StateroomError) -> float:
        """Doubled each time, half of it by chance, so that many bots do not come at once; never less than asked."""
        top = min(CAP, 0.5 * 2.0 ** min(failures - 1, 10))
        return max(getattr(failed, "retry_after", 0.0), top / 2 + self._chance() * top / 2)

    async def check(self) -> None:
        """Ask for a ticket and let it lapse. SlackError or Throttled when the token opens no socket."""
        import aiohttp

        session = self._open_session()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ticket(session)
        except TimeoutError:
            raise error_of(METHOD, TIMEOUT, sent=False) from None
        except (aiohttp.ClientError, OSError):
            raise error_of(METHOD, CONNECTION, sent=False) from None
        finally:
            await session.close()
            self._session = None

    # --- one connection

    async def _open(self) -> _Line:
        """A socket over which Slack has said hello, being read. SlackError, Throttled."""
        import aiohttp

        try:
            async with asyncio.timeout(PATIENCE):
                session = self._open_session()
                socket = await session.ws_connect(await self._ticket(session), heartbeat=HEARTBEAT)
                line = _Line(socket, asyncio.get_running_loop().time())
                await self._hello(line)
        except TimeoutError:
            raise error_of(METHOD, TIMEOUT, sent=False) from None
        except (aiohttp.ClientError, OSError):
            raise error_of(METHOD, CONNECTION, sent=False) from None
        self._lines.add(line)
        log.info("Socket Mode: connected")
        reader = asyncio.create_task(self._read(line))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return line

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            # A proxy of the environment cannot reach this machine's own Slack.
            here = is_loopback(urlsplit(self._base).hostname or "")
            self._session = aiohttp.ClientSession(trust_env=not here)
        return self._session

    async def _ticket(self, session: aiohttp.ClientSession) -> str:
        """The address of one connection, which serves once."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-www-form-urlencoded"}
        async with session.post(f"{self._base}{METHOD}", headers=headers) as answer:
            body = await answer.read()
            try:
                said = msgspec.json.decode(body)
            except msgspec.DecodeError:
                said = None
            if answer.status != 200 or not isinstance(said, dict) or said.get("ok") is not True:
                raise error_of_answer(METHOD, answer.status, answer.headers, said)
        url = said.get("url")
        schemes = ("wss",) if self._base.startswith("https:") else ("ws", "wss")
        if not isinstance(url, str) or urlsplit(url).scheme not in schemes:
            raise error_of(METHOD, BAD_RESPONSE, sent=False)
        return url

    async def _hello(self, line: _Line) -> None:
        """Until then Slack sends nothing, and may yet refuse."""
        import aiohttp

        message = await line.socket.receive()
        said = _said(message.data) if message.type is aiohttp.WSMsgType.TEXT else _Hello()
        if said.type != "hello":
            await line.socket.close()
            raise error_of(METHOD, _word(said.reason) or CONNECTION, sent=False)

    async def _read(self, line: _Line) -> None:
        """Everything that comes over the socket, until it ends."""
        import aiohttp

        try:
            async with asyncio.timeout(None) as limit:
                async for message in line.socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    said = _said(message.data)
                    if said.type == "disconnect":
                        self._leave(line, _word(said.reason) or "refresh_requested")
                        limit.reschedule(asyncio.get_running_loop().time() + LINGER)
                    elif said.envelope_id is not None:
                        await self._room.acquire()
                        self._begin(line, said)
        except TimeoutError:
            log.debug("Socket Mode: the old connection is closed")
        finally:
            self._leave(line, "closed")
            await line.socket.close()
            self._lines.discard(line)

    @staticmethod
    def _leave(line: _Line, why: str) -> None:
        line.why = line.why or why
        line.leaving.set()

    # --- one envelope

    def _begin(self, line: _Line, said: _Hello) -> None:
        task = asyncio.create_task(self._take(line, said))
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._room.release()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error(
                "Socket Mode: an envelope ended by a defect: %s", type(error).__name__
            )  # its words may hold content

    async def _take(self, line: _Line, said: _Hello) -> None:
        """Only what was kept is acknowledged."""
        answer = await self._receive(said.type, bytes(said.payload))
        if answer is None:
            return
        ack: dict[str, Any] = {"envelope_id": said.envelope_id}
        if answer and said.accepts_response_payload:
            ack["payload"] = answer
        text = msgspec.json.encode(ack).decode()
        for one in (line, *self._lines):  # Slack takes it over another socket, too, where this one is gone
            if one.socket.closed:
                continue
            try:
                await one.socket.send_str(text)
            except _NEVER_MIND:
                continue
            return
        log.debug("Socket Mode: no socket left for an acknowledgement; Slack sends it again")

    async def _end(self) -> None:
        if self._work:
            await asyncio.wait(set(self._work), timeout=GRACE)
        for task in (*self._work, *self._readers):
            task.cancel()
        if left := {*self._work, *self._readers}:
            await asyncio.wait(left)
        if self._session is not None:
            await self._session.close()


def advice(failed: StateroomError) -> str:
    """An error, and what to do about those that no waiting mends."""
    code = getattr(failed, "code", "")
    more = _ADVICE.get(code)
    return f"{failed}" if more is None else f"{failed} ({more})"


_NEW_TOKEN: Final = "copy SLACK_APP_TOKEN again: Basic Information, App-Level Tokens, with scope connections:write"
_ADVICE: Final[Mapping[str, str]] = {
    "invalid_auth": _NEW_TOKEN,
    "not_authed": _NEW_TOKEN,
    "token_revoked": _NEW_TOKEN,
    "missing_scope": _NEW_TOKEN,
    "not_allowed_token_type": "SLACK_APP_TOKEN is another kind of token; it begins with xapp-",
    "link_disabled": "switch Socket Mode on in the app's settings",
    "too_many_websockets": "Slack allows ten connections an app; stop some of the processes",
}


def _said(text: str) -> _Hello:
    """A message of Slack's; an empty one for what is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return _Hello()


def _word(reason: str) -> str:
    """A reason that is safe to log."""
    return reason if re.fullmatch(r"[a-z_]{1,40}", reason) else ""
