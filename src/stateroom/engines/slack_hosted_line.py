"""Calls of `apps.datastore.*`: one POST each, paced by Slack's tiers, each loop with connections of its own.

Rules of this file: a call leaves when its tier allows it; what Slack slows down all the same (429) is sent again when
it said, since it was not done. A read is sent again when no answer came, a write is not: who asked for it is told that
it may have been done. The token is in a header and nowhere else. Bodies are JSON with exact numbers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import aiohttp

from stateroom.engines.slack_hosted_errors import Lost, Refused, code_of, translate
from stateroom.engines.slack_hosted_pace import Pace
from stateroom.model.codec import decode, encode
from stateroom.model.errors import CorruptData

PATIENCE: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
WAIT: Final = 90.0  # seconds of Retry-After that are waited out; a longer one is the caller's to know
ATTEMPTS: Final = 6  # at what Slack slows down
READS: Final = 3  # attempts at a read that got no answer
AT_ONCE: Final = 16  # connections of one loop
READING: Final = frozenset({"get", "bulkGet", "query", "count"})
Wait = Callable[[float], Awaitable[None]]


class Line:
    """The connections of one loop to one Slack, for one app."""

    def __init__(self, endpoint: str, token: str, app_id: str, pace: Pace, *, wait: Wait = asyncio.sleep) -> None:
        self._endpoint = endpoint
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}
        self._app_id = app_id
        self._pace = pace
        self._wait = wait
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<Line {self._app_id}>"

    async def ask(self, verb: str, args: Mapping[str, Any], place: str) -> dict[str, Any]:
        """The answer of `apps.datastore.<verb>`. Errors of our tree."""
        try:
            return await self.send(verb, args)
        except (Refused, Lost) as error:
            raise translate(error, place, writing=verb not in READING) from None  # its context would hold the answer

    async def send(self, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """The same with errors as they are: Refused, Lost."""
        body = encode({**args, "app_id": self._app_id})
        lost = 0
        for attempt in range(ATTEMPTS):
            await self._turn(verb)
            try:
                return await self._once(f"apps.datastore.{verb}", body)
            except Refused as error:
                if error.retry_after is None or error.retry_after > WAIT or attempt == ATTEMPTS - 1:
                    raise
                self._pace.hold(verb, time.monotonic() + error.retry_after)
            except Lost:
                lost += 1
                if verb not in READING or lost == READS or attempt == ATTEMPTS - 1:
                    raise
                await self._wait(backoff(attempt))
        raise AssertionError("unreachable")

    async def team(self, place: str) -> str:
        """The workspace that the token is of (`auth.test`)."""
        try:
            answer = await self._once("auth.test", b"{}")
            found = answer.get("team_id")
            if not isinstance(found, str):
                raise Lost(sent=True)
        except (Refused, Lost) as error:
            raise translate(error, place, writing=False) from None
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _turn(self, verb: str) -> None:
        if (pause := self._pace.take(verb, time.monotonic())) > 0:
            await self._wait(pause)

    async def _once(self, method: str, body: bytes) -> dict[str, Any]:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=AT_ONCE)
            self._session = aiohttp.ClientSession(connector=connector, timeout=PATIENCE, headers=self._headers)
        try:
            async with self._session.post(f"{self._endpoint}{method}", data=body) as response:
                data, status, headers = await response.read(), response.status, response.headers
        except aiohttp.ClientConnectorError:
            raise Lost(sent=False) from None
        except (aiohttp.ClientError, TimeoutError):
            raise Lost(sent=True) from None
        try:
            answer = decode(data, "Slack's answer")
        except CorruptData:
            answer = None
        if status == 429:
            raise Refused("ratelimited", {}, retry_after=_seconds(headers.get("Retry-After")))
        if not isinstance(answer, dict) or status >= 500:
            if status < 500:
                raise Lost(sent=True)
            raise Refused(code_of(answer, status), {})
        if answer.get("ok") is not True:
            code = code_of(answer, status)
            slow = _seconds(headers.get("Retry-After")) if code in ("ratelimited", "rate_limited") else None
            raise Refused(code, answer, retry_after=slow)
        return answer


def backoff(attempt: int) -> float:
    """Seconds to wait after the attempt of that number, from 0."""
    return random.uniform(0.5, 1.0) * min(10.0, 0.25 * float(2**attempt))


def _seconds(text: str | None) -> float:
    try:
        return min(3600.0, max(0.0, float(text or 1.0)))
    except ValueError:
        return 1.0
