"""Requests to DynamoDB: signed by botocore, sent over aiohttp, each loop with connections of its own.

Rules of this file: what DynamoDB slows down is sent again with growing, jittered pauses, since it was not done; a read
is sent again when no answer came, and so is a transaction, which DynamoDB knows by its token and does once; any other
write is not: who asked for it is told that it may have been done. Credentials come from the platform's own chain
(environment, profile, role), and are asked for in a thread.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import ReadOnlyCredentials  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from stateroom.engines.dynamodb_errors import IN_PROGRESS, Lost, Refused, throttled, translate
from stateroom.model.errors import StoreUnavailable

TARGET: Final = "DynamoDB_20120810."
AT_ONCE: Final = 64  # connections of one loop
IDLE: Final = 15.0  # seconds a connection is kept unused
PATIENCE: Final = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)
ATTEMPTS: Final = 9  # at what DynamoDB slows down: about four seconds in all
PAUSE: Final = 0.025  # seconds, doubled each time, and jittered
TOKEN: Final = "ClientRequestToken"  # by which DynamoDB knows a transaction that it has had
READS: Final = 3  # attempts at a read that got no answer
_READING: Final = frozenset(("GetItem", "BatchGetItem", "Query", "DescribeTable", "DescribeTimeToLive"))


class Identity:
    """Who signs: the platform's credentials, fresh ones when they run out."""

    def __init__(self, region: str, place: str, service: str = "dynamodb") -> None:
        self._region = region
        self._place = place
        self._service = service
        self._found: Any = None
        self._frozen: ReadOnlyCredentials | None = None

    async def signer(self) -> SigV4Auth:
        """A signer. StoreUnavailable when there are no credentials."""
        if self._frozen is None or self._stale():
            try:
                await asyncio.to_thread(self._find)
            except BotoCoreError as error:
                told = f"the AWS credentials cannot be had ({type(error).__name__})"
                raise StoreUnavailable(self._place, "refused", told, retryable=False) from error
        return SigV4Auth(self._frozen, self._service, self._region)

    def _stale(self) -> bool:
        return hasattr(self._found, "refresh_needed") and bool(self._found.refresh_needed())

    def _find(self) -> None:
        if self._found is None:
            self._found = Session().get_credentials()
        if self._found is None:
            told = "there are no AWS credentials; set AWS_PROFILE, AWS_ACCESS_KEY_ID, or give the machine a role"
            raise StoreUnavailable(self._place, "refused", told, retryable=False)
        self._frozen = self._found.get_frozen_credentials()


class Line:
    """The connections of one loop to one endpoint."""

    def __init__(self, endpoint: str, identity: Identity, place: str) -> None:
        self._endpoint = endpoint
        self._identity = identity
        self._place = place
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer. Refused when a condition did not hold or rows were met by others; else errors of our tree."""
        try:
            return await self.send(action, body)
        except Refused as error:
            if (error.failed or error.met) and not error.slow:
                raise
            raise translate(error, self._place, writing=action not in _READING) from error
        except Lost as error:
            raise translate(error, self._place, writing=action not in _READING) from error

    async def send(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The same with errors as they are: Refused, Lost."""
        data = msgspec.json.encode(body)
        if TOKEN in body:
            return await self._known(action, data)
        lost = 0
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(action, data)
            except Refused as error:
                again = error.slow or (error.unclear and action in _READING)
                if not again or attempt == ATTEMPTS - 1:
                    raise
            except Lost:
                lost += 1
                if action not in _READING or lost == READS:
                    raise
            await asyncio.sleep(pause(attempt))
        raise AssertionError("unreachable")

    async def _known(self, action: str, data: bytes) -> dict[str, Any]:
        """The answer to a transaction, which is sent again with its token until one comes, in the time of one request.

        A token holds for ten minutes
        (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html), and a store that
        is frozen waits for one request's time. Once an answer is lost, an acknowledgement alone says what became of it:
        a refusal is of the later request, and the first may be on its way still.
        """
        unknown: Refused | Lost | None = None
        ends, patience = time.monotonic() + (PATIENCE.total or 0.0), PATIENCE
        for attempt in range(ATTEMPTS):
            wait = pause(attempt)
            try:
                return await self._once(action, data, patience)
            except (Refused, Lost) as error:
                unknown = unknown or _open_end(error)
                again = unknown is not None if isinstance(error, Lost) else error.slow or _open_end(error) is not None
                left = ends - time.monotonic() - wait
                if not again or left <= 0 or attempt == ATTEMPTS - 1:
                    raise unknown or error from None
            await asyncio.sleep(wait)
            patience = aiohttp.ClientTimeout(left, sock_connect=min(left, PATIENCE.sock_connect or left))
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Let go of the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _once(self, action: str, data: bytes, patience: aiohttp.ClientTimeout | None = None) -> dict[str, Any]:
        request = AWSRequest("POST", self._endpoint, data=data, headers=_headers(action))
        (await self._identity.signer()).add_auth(request)
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=AT_ONCE, keepalive_timeout=IDLE)
            self._session = aiohttp.ClientSession(connector=connector)
        headers = dict(request.headers.items())
        try:
            asking = self._session.post(self._endpoint, data=data, headers=headers, timeout=patience or PATIENCE)
            async with asking as response:
                answer = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Lost(sent=False) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Lost(sent=True) from error
        if response.status == 200:
            try:
                return msgspec.json.decode(answer, type=dict[str, Any])
            except msgspec.DecodeError as error:  # something between us and DynamoDB, or half of an answer
                raise Lost(sent=True) from error
        raise _refusal(response.status, answer)


def _headers(action: str) -> dict[str, str]:
    return {"X-Amz-Target": TARGET + action, "Content-Type": "application/x-amz-json-1.0"}


def _open_end(error: Refused | Lost) -> Refused | Lost | None:
    """The error, if the request may have been done all the same, or may be yet."""
    if isinstance(error, Lost):
        return error if error.sent else None
    if error.code == IN_PROGRESS:
        return Lost(sent=True)
    return error if error.unclear else None


def _refusal(status: int, answer: bytes) -> Refused:
    try:
        told = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    code = str(told.get("__type", status)).rpartition("#")[2]
    return Refused(code, status, str(told.get("message") or told.get("Message") or ""), told)


async def rest(attempt: int, place: str) -> None:
    """Wait before what DynamoDB left over is sent again. Throttled, when that was often enough."""
    if attempt >= ATTEMPTS:
        raise throttled(place)
    await asyncio.sleep(pause(attempt))


def pause(attempt: int) -> float:
    """Seconds to wait after the attempt of that number, from 0."""
    return random.uniform(0.2, 1.0) * min(1.0, PAUSE * float(2**attempt))
