"""Telling workers of work through an SQS queue, where a store names one: a hint, never the work itself.

Rules of this file: a message holds the name of a table and nothing of a row. What is written is durable before anybody
is told, so a queue that is slow, away or forbidden costs a warning and a moment: polling finds the work. Commits that
wait to tell share one request. Who listens (a process; AWS Lambda is called by the queue itself) takes messages away as
it hears them, since what wakes one worker need wake no other.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

from stateroom.engines.dynamodb_line import Identity
from stateroom.model.errors import StoreUnavailable

TARGET: Final = "AmazonSQS."
PATIENCE: Final = 1.0  # seconds that a commit waits for the queue; Slack waits three for us
HEARING: Final = 20  # seconds of one long poll, SQS's longest
PAUSE: Final = 0.25  # seconds after a queue that could not be asked, doubled, jittered, at most:
LONGEST: Final = 15.0
log = logging.getLogger("stateroom.dynamodb")


class Failed(Exception):
    """The queue did not answer as it should. Its words say no secret: SQS's own code, or the kind of failure."""


class Queue:
    """One queue, for one loop. `url` is SQS's URL of it."""

    def __init__(self, url: str, region: str, place: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._endpoint = f"{parts.scheme}://{parts.netloc}/"
        self._identity = Identity(region, place, "sqs")
        self._session: aiohttp.ClientSession | None = None
        self._telling: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def tell(self, table: str) -> None:
        """Say that there is work in `table`; gives up after a second. Whoever comes while one request is under way
        shares the next."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._tell(table, self._telling))
        await asyncio.shield(self._next)

    async def listen(self, table: str, heard: Callable[[], None]) -> None:
        """Call `heard` for each word of `table`, until cancelled."""
        pause = PAUSE
        while True:
            try:
                asked = {"QueueUrl": self._url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": HEARING}
                found = (await self._ask("ReceiveMessage", asked, HEARING + 10)).get("Messages") or []
                pause = PAUSE
                if any(one.get("Body") == table for one in found):
                    heard()
                if found:
                    gone = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
                    await self._ask("DeleteMessageBatch", {"QueueUrl": self._url, "Entries": gone}, 10)
            except Failed as failed:
                log.warning("not listening for work of other processes (%s); polling finds it", failed)
                await asyncio.sleep(random.uniform(pause / 2, pause))
                pause = min(LONGEST, pause * 2)

    async def close(self) -> None:
        """Let go of the connections."""
        for task in (self._telling, self._next):
            if task is not None:
                await asyncio.wait({task})
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _tell(self, table: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._telling, self._next = self._next, None
        try:
            await self._ask("SendMessage", {"QueueUrl": self._url, "MessageBody": table}, PATIENCE)
        except Failed as failed:
            log.warning("workers are not told of work (%s); polling finds it", failed)

    async def _ask(self, action: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        data = msgspec.json.encode(body)
        headers = {"X-Amz-Target": TARGET + action, "Content-Type": "application/x-amz-json-1.0"}
        request = AWSRequest("POST", self._endpoint, data=data, headers=headers)
        try:
            async with asyncio.timeout(seconds):
                (await self._identity.signer()).add_auth(request)
                if self._session is None:
                    self._session = aiohttp.ClientSession()
                async with self._session.post(
                    self._endpoint, data=data, headers=dict(request.headers.items())
                ) as response:
                    answer = await response.read()
        except (aiohttp.ClientError, StoreUnavailable, TimeoutError) as error:
            raise Failed(type(error).__name__) from error
        try:
            found = msgspec.json.decode(answer or b"{}")
        except msgspec.DecodeError:
            found = None
        if response.status != 200 or not isinstance(found, dict):
            code = found.get("__type", "") if isinstance(found, dict) else ""
            raise Failed(str(code).rpartition("#")[2] or f"status {response.status}")
        return found
