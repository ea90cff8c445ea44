"""A bare Socket Mode client for tests that look at single messages: `async with Socket(slack) as socket`.

Rules of this file: it acknowledges nothing by itself and never reconnects.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from support.local_slack import PATIENCE, Json, LocalSlack

APP_TOKEN = "xapp-local-1"


def open_url(slack: LocalSlack, token: str = APP_TOKEN) -> str:
    answer = slack.call("apps.connections.open", token=token)
    assert answer["ok"], answer
    return str(answer["url"])


class Socket:
    """One socket; `hello` is its first message."""

    def __init__(self, slack: LocalSlack, token: str = APP_TOKEN) -> None:
        self._url = open_url(slack, token)
        self._session = aiohttp.ClientSession()
        self.hello: Json = {}

    async def __aenter__(self) -> Socket:
        self._socket = await self._session.ws_connect(self._url)
        self.hello = await self.receive()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()

    async def receive(self) -> Json:
        """The next message. Raises TimeoutError, and ConnectionError when the socket has ended."""
        async with asyncio.timeout(PATIENCE):
            message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(message.type)
        return dict(json.loads(message.data))

    async def ack(self, envelope: Json, payload: Any = None) -> None:
        said = {"envelope_id": envelope["envelope_id"]} | ({} if payload is None else {"payload": payload})
        await self._socket.send_str(json.dumps(said))

    async def take(self) -> Json:
        """The next message, acknowledged."""
        envelope = await self.receive()
        await self.ack(envelope)
        return envelope
