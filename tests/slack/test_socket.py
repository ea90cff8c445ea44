"""Our Socket Mode client against a server that misbehaves: what is not kept is not acknowledged, and it comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from stateroom.model.errors import WrongUse
from stateroom.slack import socket as subject
from stateroom.slack.socket import SocketMode

pytestmark = pytest.mark.service
TOKEN = "xapp-never-shown"
WORDS = "the merger is on friday"
Answer = Mapping[str, Any] | None


class FakeSlack:
    """`apps.connections.open` and the sockets behind its tickets, each of which serves once."""

    def __init__(self) -> None:
        self.url = ""
        self.refusals: list[web.Response] = []  # what the next tickets are refused with
        self.silent = 0  # so many sockets never say hello
        self.opened = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.acks: list[tuple[int, dict[str, Any]]] = []  # by socket
        self.tokens: list[str] = []
        self._tickets: set[str] = set()

    async def ticket(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        assert request.content_type == "application/x-www-form-urlencoded"
        self.opened += 1
        if self.refusals:
            return self.refusals.pop(0)
        ticket = f"t{self.opened}"
        self._tickets.add(ticket)
        return web.json_response({"ok": True, "url": f"{self.url.replace('http', 'ws')}/link/{ticket}"})

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        ticket = request.match_info["ticket"]
        if ticket not in self._tickets:
            raise web.HTTPForbidden
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        number = len(self.sockets)
        self.sockets.append(socket)
        if self.silent:
            self.silent -= 1
        else:
            await socket.send_json({"type": "hello", "num_connections": 1})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.acks.append((number, json.loads(message.data)))
        return socket

    async def send(self, envelope_id: str, socket: int = -1, **more: Any) -> None:
        payload = {"type": "event_callback", "text": WORDS}
        envelope = {"type": "events_api", "envelope_id": envelope_id, "payload": payload}
        await self.sockets[socket].send_json({**envelope, "accepts_response_payload": False, **more})

    @property
    def acked(self) -> list[str]:
        return [ack["envelope_id"] for _, ack in self.acks]


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    fake, app = FakeSlack(), web.Application()
    app.router.add_post("/api/apps.connections.open", fake.ticket)
    app.router.add_get("/link/{ticket}", fake.link)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield fake
    await runner.cleanup()


async def until(look: Callable[[], Any]) -> Any:
    async with asyncio.timeout(20):
        while not (seen := look()):
            await asyncio.sleep(0.005)
        return seen


@contextlib.asynccontextmanager
async def connected(slack: FakeSlack, receive: Callable[[str, bytes], Awaitable[Answer]]) -> AsyncIterator[SocketMode]:
    stop = asyncio.Event()
    client = SocketMode(TOKEN, f"{slack.url}/api/", receive, chance=lambda: 0.0)
    task = asyncio.create_task(client.run(stop))
    try:
        await until(lambda: client.connected)
        yield client
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def take(_kind: str, _payload: bytes) -> Answer:
    return {}


async def test_an_envelope_is_acknowledged_after_it_was_kept_and_not_before(slack: FakeSlack) -> None:
    kept = asyncio.Event()
    seen: list[tuple[str, dict[str, Any]]] = []

    async def receive(kind: str, payload: bytes) -> Answer:
        seen.append((kind, json.loads(payload)))
        await kept.wait()
        return {}

    async with connected(slack, receive):
        await slack.send("e1")
        await until(lambda: seen)
        await slack.sockets[0].ping()
        assert slack.acks == []
        kept.set()
        await until(lambda: slack.acks == [(0, {"envelope_id": "e1"})])
        assert seen == [("events_api", {"type": "event_callback", "text": WORDS})]


async def test_what_was_not_kept_is_not_acknowledged(slack: FakeSlack) -> None:
    async def receive(kind: str, _: bytes) -> Answer:
        return None if kind == "events_api" else {}

    async with connected(slack, receive):
        await slack.send("e1")
        await slack.send("e2", type="interactive")
        await until(lambda: slack.acked)
        assert slack.acked == ["e2"]


async def test_a_defect_of_one_envelope_is_not_acknowledged_and_the_next_one_is_taken(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    async def receive(kind: str, payload: bytes) -> Answer:
        if kind == "events_api":
            raise LookupError(payload.decode())
        return {}

    async with connected(slack, receive):
        await slack.send("e1")
        await slack.send("e2", type="interactive")
        await until(lambda: slack.acked)
        assert slack.acked == ["e2"]
    assert "LookupError" in caplog.text
    assert WORDS not in caplog.text


async def test_an_answer_goes_along_where_slack_takes_one(slack: FakeSlack) -> None:
    async def receive(_kind: str, _payload: bytes) -> Answer:
        return {"text": "hi"}

    async with connected(slack, receive):
        await slack.send("e1", accepts_response_payload=True)
        await slack.send("e2")
        await until(lambda: len(slack.acks) == 2)
        said = {ack["envelope_id"]: ack for _, ack in slack.acks}
        assert said == {"e1": {"envelope_id": "e1", "payload": {"text": "hi"}}, "e2": {"envelope_id": "e2"}}


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_socket_is_replaced_before_it_ends_and_read_until_it_does(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(subject, "YOUNG", 0.0)
    async with connected(slack, take) as client:
        await slack.sockets[0].send_json({"type": "disconnect", "reason": reason})
        await until(lambda: len(slack.sockets) == 2)
        assert client.connected
        await slack.send("old", socket=0)
        await slack.send("new", socket=1)
        await until(lambda: sorted(slack.acks, key=str) == [(0, {"envelope_id": "old"}), (1, {"envelope_id": "new"})])
        await slack.sockets[0].close()
        await slack.send("later", socket=1)
        await until(lambda: "later" in slack.acked)
        assert slack.opened == 2, "the end of the old one is no reason for a third"


async def test_what_came_over_a_socket_that_is_gone_is_acknowledged_over_the_next(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "YOUNG", 0.0)
    kept = asyncio.Event()

    async def receive(_kind: str, _payload: bytes) -> Answer:
        await kept.wait()
        return {}

    async with connected(slack, receive):
        await slack.send("e1")
        await slack.sockets[0].close()
        await until(lambda: len(slack.sockets) == 2)
        kept.set()
        await until(lambda: slack.acks == [(1, {"envelope_id": "e1"})])


async def test_a_cut_socket_is_replaced_with_a_new_ticket(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "YOUNG", 0.0)
    async with connected(slack, take):
        for number in range(3):
            transport = slack.sockets[number]._req.transport  # type: ignore[union-attr]
            transport.abort()  # type: ignore[union-attr]
            await until(lambda number=number: len(slack.sockets) == number + 2)
        await slack.send("e1")
        await until(lambda: slack.acked == ["e1"])
        assert slack.opened == 4


async def test_while_slack_refuses_it_waits_longer_each_time_and_then_serves(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    real = SocketMode._wait

    def wait(self: SocketMode, failures: int, failed: Any) -> float:
        waits.append(real(self, failures, failed))
        return 0.0

    monkeypatch.setattr(SocketMode, "_wait", wait)
    slack.refusals = [
        web.json_response({"ok": False, "error": "invalid_auth"}),
        web.Response(status=503, text="down"),
        web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "30"}),
        web.Response(text="not json"),
        web.json_response({"ok": True, "url": "https://elsewhere"}),
    ]
    async with connected(slack, take):
        assert slack.opened == 6
    assert waits == [0.25, 0.5, 30.0, 2.0, 4.0]
    assert "copy SLACK_APP_TOKEN again" in caplog.text
    assert slack.tokens == [f"Bearer {TOKEN}"] * 6
    assert TOKEN not in caplog.text


async def test_a_socket_that_never_says_hello_is_given_up(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PATIENCE", 0.2)
    slack.silent = 1
    async with connected(slack, take):
        assert len(slack.sockets) >= 2  # the next one, too, may be given up by a busy machine


async def test_too_many_sockets_is_waited_out_and_told(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slack.silent = 1
    stop = asyncio.Event()
    client = SocketMode(TOKEN, f"{slack.url}/api/", take, chance=lambda: 0.0)
    task = asyncio.create_task(client.run(stop))
    await until(lambda: slack.sockets)
    await slack.sockets[0].send_json({"type": "disconnect", "reason": "too_many_websockets"})
    await until(lambda: client.connected)
    assert "ten connections" in caplog.text
    stop.set()
    await task


async def test_no_more_is_read_than_can_be_worked_on(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "AT_ONCE", 2)
    going, most = asyncio.Event(), 0
    now = 0

    async def receive(_kind: str, _payload: bytes) -> Answer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await going.wait()
        now -= 1
        return {}

    async with connected(slack, receive):
        for number in range(6):
            await slack.send(f"e{number}")
        await until(lambda: now == 2)
        going.set()
        await until(lambda: len(slack.acks) == 6)
        assert most == 2


async def test_it_ends_with_what_is_in_work_acknowledged(slack: FakeSlack) -> None:
    began, stop = asyncio.Event(), asyncio.Event()

    async def receive(_kind: str, _payload: bytes) -> Answer:
        began.set()
        await stop.wait()
        await asyncio.sleep(0)
        return {}

    client = SocketMode(TOKEN, f"{slack.url}/api/", receive)
    task = asyncio.create_task(client.run(stop))
    await until(lambda: client.connected)
    await slack.send("e1")
    await began.wait()
    stop.set()
    await asyncio.wait_for(task, 20)
    await until(lambda: slack.acked == ["e1"])
    assert not client.connected


async def test_what_is_no_message_of_slacks_is_passed_over(slack: FakeSlack) -> None:
    async with connected(slack, take):
        for text in ("[]", "x", '{"type":7}', '{"type":"hello","envelope_id":{}}', '{"type":"of_next_year"}'):
            await slack.sockets[0].send_str(text)
        await slack.sockets[0].send_bytes(b"\x00")
        await slack.send("e1")
        await until(lambda: slack.acked == ["e1"])


async def test_payloads_and_tickets_are_never_logged(slack: FakeSlack, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected(slack, take):
        await slack.send("e1")
        await until(lambda: slack.acked)
        await slack.sockets[0].close()
        await until(lambda: len(slack.sockets) == 2)
    ours = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith(("aiohttp.access", "asyncio")))
    assert not [secret for secret in (TOKEN, WORDS, "/link/") if secret in ours]


@pytest.mark.parametrize("token", ["", "xapp 1", "xapp-1\n"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(WrongUse) as refused:
        SocketMode(token, "http://x/api/", take)
    assert "xapp" not in str(refused.value).replace("xapp-…", "")
