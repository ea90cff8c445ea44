"""Carrying events to apps: one attempt after the other, on Slack's schedule, until an app takes them.

Rules of this file: the only outgoing HTTP of the local Slack. An event that waits for a retry is on record before the
wait starts; one attempt a connection, so a bot that was killed is noticed by the very next attempt. What an outcome
means for the rest of the world is decided by the `Courier` that is handed in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp

from stateroom.emulator import events
from stateroom.emulator.records import App, Pending

PARALLEL = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt. `reason` is Slack's retry reason, None when the app took the event."""

    status: int | None
    reason: str | None
    ms: float = 0.0
    no_retry: bool = False

    @property
    def taken(self) -> bool:
        return self.reason is None


class Courier(Protocol):
    """What the deliverer needs from the workspace."""

    def address_of(self, pending: Pending) -> App | None: ...

    def judge(self, pending: Pending, outcome: Outcome) -> Outcome: ...

    async def settle_attempt(self, pending: Pending, outcome: Outcome) -> bool: ...


class Deliverer:
    """Runs one task for each event on its way."""

    def __init__(self, courier: Courier, ack_seconds: float, clock: Callable[[], float]) -> None:
        self._courier = courier
        self._ack_seconds = ack_seconds
        self._clock = clock
        self._slots = asyncio.Semaphore(PARALLEL)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def submit(self, pending: list[Pending]) -> None:
        for one in pending:
            task = asyncio.create_task(self._carry(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _carry(self, pending: Pending) -> None:
        going = True
        while going:
            await asyncio.sleep(max(0.0, pending.due - self._clock()))
            async with self._slots:
                app = self._courier.address_of(pending)
                if app is None or app.event_url is None:
                    return
                outcome = self._courier.judge(pending, await self._attempt(app, app.event_url, pending))
            going = await self._courier.settle_attempt(pending, outcome)

    async def _attempt(self, app: App, url: str, pending: Pending) -> Outcome:
        body = pending.body.encode()
        retry_num = min(pending.sent, len(events.RETRY_SECONDS))
        headers = events.headers(app.signing_secret, body, int(self._clock()), retry_num, pending.reason)
        started = time.perf_counter()
        outcome = await self._post(url, body, headers)
        return replace(outcome, ms=round((time.perf_counter() - started) * 1000, 1))

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            async with self._open().post(url, data=body, headers=headers, max_redirects=2) as response:
                if 200 <= response.status < 300:
                    return Outcome(response.status, None)
                no_retry = response.headers.get("x-slack-no-retry") == "1"
                return Outcome(response.status, "http_error", no_retry=no_retry)
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
