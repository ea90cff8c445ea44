"""The client against a server that misbehaves on the wire: each call ends by its deadline with an honest error."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import struct
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest

from stateroom.model.errors import SlackError, StateroomError, Throttled, WrongUse
from stateroom.slack.client import SlackClient

pytestmark = pytest.mark.service

TOKEN = "xoxb-never-shown-1234"
WORDS = "the merger is on friday"
SECRET_ANSWER = "what slack answered"
OK = {"ok": True, "ts": "1700000000.000100", "team_id": "T00000001", "user_id": "UB0000001"}

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    method: str
    verb: str
    headers: dict[str, str]
    args: dict[str, Any]


@dataclass
class FakeWire:
    """Speaks HTTP by hand, so that it can stop speaking it at any byte."""

    behaviour: Behaviour
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client went away, as some of these tests make it do
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        verb, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        path, _, query = target.partition("?")
        form = body if headers.get("content-type", "").startswith("application/x-www-form") else ""
        given = {name: values[0] for name, values in parse_qs(f"{query}&{form}").items()}
        if headers.get("content-type", "").startswith("application/json"):
            given |= json.loads(body)
        self.requests.append(Request(path.removeprefix("/api/"), verb, headers, given))
        await self.behaviour(reader, writer)
        return not writer.is_closing()


def http(status: int, body: bytes, *headers: str, kind: str = "application/json; charset=utf-8") -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(*bodies: Any, status: int = 200, headers: tuple[str, ...] = (), kind: str = "application/json") -> Behaviour:
    """Answer with each body in turn, and with the last one ever after."""
    left = list(bodies)

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = left.pop(0) if len(left) > 1 else left[0]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(http(status, raw, *headers, kind=kind))
        await writer.drain()

    return behave


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset_after_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n")
    await writer.drain()
    reset(writer)


async def half_a_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, json.dumps(OK).encode())[:-10])
    await writer.drain()
    writer.close()


async def no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff\x13 not the protocol\r\n\r\n")
    await writer.drain()
    writer.close()


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client gives up


async def stall_in_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, json.dumps(OK).encode())[:-10])
    await writer.drain()
    await reader.read()


@asynccontextmanager
async def wire(behaviour: Behaviour) -> AsyncIterator[tuple[FakeWire, SlackClient]]:
    fake = FakeWire(behaviour)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/"
    try:
        async with SlackClient(TOKEN, fake.url, clock=time.monotonic) as slack:
            yield fake, slack
    finally:
        server.close()
        for writer in fake._writers:
            writer.close()
        await server.wait_closed()


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


async def post(slack: SlackClient, deadline: float | None = None) -> str:
    return await slack.post_message(
        channel="C00000001", thread_ts="1700000000.000001", markdown=WORDS, deadline=deadline or soon()
    )


async def failure(behaviour: Behaviour) -> StateroomError:
    error = await told(behaviour, 20.0)
    assert error is not None
    return error


async def told(behaviour: Behaviour, seconds: float) -> StateroomError | None:
    """The error of a call that has so many seconds; None when it was not even sent, which a busy machine may do."""
    async with wire(behaviour) as (fake, slack):
        with pytest.raises(StateroomError) as caught:
            await post(slack, soon(seconds))
        if not fake.requests:
            return None
        assert len(fake.requests) == 1, "one call is one request"
        error = caught.value
        assert error.__context__ is None
        assert error.__cause__ is None
        shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
        assert not {secret for secret in (TOKEN, WORDS, SECRET_ANSWER) if secret in shown}
        return error


def flags(error: StateroomError) -> tuple[str, bool, bool]:
    assert isinstance(error, SlackError)
    return error.code, error.retryable, error.maybe_applied


# --- what goes wrong on the way


@pytest.mark.parametrize("behaviour", [reset_at_once, hang_up, reset_after_headers, half_a_body, no_http])
async def test_a_call_that_is_cut_after_it_was_sent_may_have_been_applied(behaviour: Behaviour) -> None:
    assert flags(await failure(behaviour)) == ("connection", True, True)


async def test_a_refused_connection_was_not_applied() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can take the port meanwhile
        async with SlackClient(TOKEN, f"http://127.0.0.1:{taken.getsockname()[1]}/api/", clock=time.monotonic) as slack:
            with pytest.raises(SlackError) as caught:
                await post(slack)
    assert flags(caught.value) == ("connection", True, False)


@pytest.mark.parametrize("behaviour", [stall, stall_in_body])
async def test_a_call_ends_by_its_deadline_and_may_have_been_applied(behaviour: Behaviour) -> None:
    for seconds in (0.3, 3.0, 20.0):
        started = time.monotonic()
        error = await told(behaviour, seconds)
        if error is not None:
            break
    assert error is not None
    assert flags(error) == ("timeout", True, True)
    assert seconds - 0.1 < time.monotonic() - started < seconds + 10


async def test_a_connection_that_is_never_accepted_ends_by_the_deadline_and_was_not_applied() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for other in waiting:  # the queue is full: further SYNs get no answer
                other.setblocking(False)
                other.connect_ex(address)
            async with SlackClient(TOKEN, f"http://127.0.0.1:{address[1]}/api/", clock=time.monotonic) as slack:
                with pytest.raises(SlackError) as caught:
                    await post(slack, soon(0.3))
        finally:
            for other in waiting:
                other.close()
    assert flags(caught.value) == ("timeout", True, False)


async def test_after_the_deadline_nothing_is_sent() -> None:
    async with wire(answer(OK)) as (fake, slack):
        with pytest.raises(SlackError) as caught:
            await post(slack, time.monotonic() - 0.001)
        assert fake.requests == []
    assert flags(caught.value) == ("timeout", True, False)


async def test_the_deadline_is_on_the_clock_that_was_handed_in() -> None:
    async with wire(stall) as (fake, _), SlackClient(TOKEN, fake.url, clock=lambda: 1_000.0) as slack:
        started = time.monotonic()
        with pytest.raises(SlackError, match="timeout"):
            await post(slack, 1_000.2)
        assert time.monotonic() - started < 10


async def test_a_cancelled_call_is_cancelled_and_the_client_goes_on() -> None:
    async with wire(stall) as (fake, slack):
        task = asyncio.create_task(post(slack))
        async with asyncio.timeout(20):
            while not fake.requests:
                await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        fake.behaviour = answer(OK)
        assert await post(slack) == OK["ts"]


# --- what Slack, or what stands before it, answers


async def test_429_says_how_long_in_whatever_case() -> None:
    error = await failure(answer({"ok": False, "error": "ratelimited"}, status=429, headers=("RETRY-AFTER: 7",)))
    assert isinstance(error, Throttled)
    assert error.retry_after == 7


@pytest.mark.parametrize(("body", "kind"), [(b"", "text/plain"), (b"<html>", "text/html"), (b"{", "application/json")])
async def test_429_without_header_and_without_json_is_one_second(body: bytes, kind: str) -> None:
    error = await failure(answer(body, status=429, kind=kind))
    assert isinstance(error, Throttled)
    assert error.retry_after == 1


async def test_a_throttled_answer_in_a_200_is_throttled() -> None:
    error = await failure(answer({"ok": False, "error": "rate_limited"}, headers=("Retry-After: 3",)))
    assert isinstance(error, Throttled)
    assert error.retry_after == 3


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_server_may_have_applied_it(status: int, kind: str) -> None:
    body = f"<html>{SECRET_ANSWER}</html>".encode()
    assert flags(await failure(answer(body, status=status, kind=kind))) == ("server_error", True, True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (f"<html>{SECRET_ANSWER}</html>".encode(), "text/html"),
        (SECRET_ANSWER.encode(), "text/plain"),
        (SECRET_ANSWER.encode(), "application/json"),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"[1]", "application/json"),
        (b'"text"', "application/json"),
        (b"null", "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b"{}", "application/json; charset=no-such-charset"),
        (b"[" * 50_000, "application/json"),
        (b"\x1f\x8b", "application/gzip"),
        (b'{"ok": true}', "application/json"),
        (b'{"ok": true, "ts": 17}', "application/json"),
    ],
)
async def test_a_200_that_is_not_slacks_answer_may_have_been_applied(body: bytes, kind: str) -> None:
    assert flags(await failure(answer(body, kind=kind))) == ("bad_response", True, True)


@pytest.mark.parametrize(
    ("code", "retryable", "maybe_applied"),
    [
        ("internal_error", True, True),
        ("fatal_error", True, True),
        ("service_unavailable", True, True),
        ("request_timeout", True, False),
        ("channel_not_found", False, False),
        ("invalid_auth", False, False),
        ("some_new_code", False, False),
    ],
)
async def test_slacks_own_codes_say_what_may_be_done(code: str, retryable: bool, maybe_applied: bool) -> None:
    body = {"ok": False, "error": code, "detail": SECRET_ANSWER}
    assert flags(await failure(answer(body))) == (code, retryable, maybe_applied)


# --- what it sends


async def test_a_post_unfurls_nothing_and_carries_its_metadata() -> None:
    metadata = {"event_type": "stateroom_turn", "event_payload": {"turn": "Ev1"}}
    async with wire(answer(OK)) as (fake, slack):
        ts = await slack.post_message(
            channel="C1", thread_ts="1700000000.000001", markdown=WORDS, metadata=metadata, deadline=soon()
        )
        await slack.post_message(channel="C1", thread_ts=None, markdown=WORDS, deadline=soon())
    sent, bare = fake.requests
    assert ts == OK["ts"]
    assert sent.method == "chat.postMessage"
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert sent.args == {
        "channel": "C1",
        "thread_ts": "1700000000.000001",
        "markdown_text": WORDS,
        "metadata": metadata,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    assert bare.args.keys() == {"channel", "markdown_text", "unfurl_links", "unfurl_media"}


async def test_each_call_sends_what_slack_names_it() -> None:
    ts, root = "1700000000.000100", "1700000000.000001"
    async with wire(answer({**OK, "channel": {"id": "C1"}, "user": {"id": "U1"}})) as (fake, slack):
        assert (await slack.auth_test(deadline=soon()))["user_id"] == "UB0000001"
        assert await slack.conversations_info(channel="C1", deadline=soon()) == {"id": "C1"}
        assert await slack.users_info(user="U1", deadline=soon()) == {"id": "U1"}
        await slack.update(channel="C1", ts=ts, markdown=WORDS, metadata={"event_type": "x"}, deadline=soon())
        await slack.delete(channel="C1", ts=ts, deadline=soon())
        stream = {"channel": "C1", "thread_ts": root, "team": "T1", "user": "U1"}
        assert await slack.start_stream(**stream, markdown="a", deadline=soon()) == ts
        await slack.start_stream(**stream, markdown="", deadline=soon())
        await slack.append_stream(channel="C1", ts=ts, markdown="b", deadline=soon())
        await slack.stop_stream(channel="C1", ts=ts, markdown="", metadata={"event_type": "x"}, deadline=soon())
        await slack.set_status(channel="C1", thread_ts=root, status="", deadline=soon())
    started = {"channel": "C1", "thread_ts": root, "recipient_team_id": "T1", "recipient_user_id": "U1"}
    assert [(request.method, request.args) for request in fake.requests] == [
        ("auth.test", {}),
        ("conversations.info", {"channel": "C1"}),
        ("users.info", {"user": "U1"}),
        ("chat.update", {"channel": "C1", "ts": ts, "markdown_text": WORDS, "metadata": {"event_type": "x"}}),
        ("chat.delete", {"channel": "C1", "ts": ts}),
        ("chat.startStream", {**started, "markdown_text": "a"}),
        ("chat.startStream", started),
        ("chat.appendStream", {"channel": "C1", "ts": ts, "markdown_text": "b"}),
        ("chat.stopStream", {"channel": "C1", "ts": ts, "metadata": {"event_type": "x"}}),
        ("assistant.threads.setStatus", {"channel_id": "C1", "thread_ts": root, "status": ""}),
    ]


def page(*numbers: int, cursor: str = "") -> dict[str, Any]:
    messages = [{"ts": f"1700000000.{number:06}", "text": str(number)} for number in numbers]
    return {"ok": True, "messages": messages, "response_metadata": {"next_cursor": cursor}}


async def test_replies_pages_to_the_end_and_gives_each_message_once() -> None:
    async with wire(answer(page(1, 2, 3, cursor="a"), page(1, 4, cursor="b"), page(1, 5))) as (fake, slack):
        found = await slack.replies(channel="C1", thread_ts="1700000000.000001", oldest="5.0", limit=3, deadline=soon())
    assert [message["text"] for message in found] == ["1", "2", "3", "4", "5"]
    assert [request.args.get("cursor") for request in fake.requests] == [None, "a", "b"]
    for request in fake.requests:
        assert request.args["include_all_metadata"] in {"1", "true"}
        assert (request.args["oldest"], request.args["limit"], request.args["ts"]) == ("5.0", "3", "1700000000.000001")


async def test_replies_that_point_at_themselves_are_an_error_and_no_endless_loop() -> None:
    async with wire(answer(page(1, cursor="a"))) as (fake, slack):
        with pytest.raises(SlackError, match="bad_response"):
            await slack.replies(channel="C1", thread_ts="1700000000.000001", deadline=soon())
        assert len(fake.requests) == 2


async def test_one_deadline_holds_for_all_pages() -> None:
    pages = [page(number, cursor=str(number)) for number in range(1, 9999)]
    slow = answer(*pages)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await slow(reader, writer)

    async with wire(behave) as (_, slack):
        started = time.monotonic()
        with pytest.raises(SlackError) as caught:
            await slack.replies(channel="C1", thread_ts="1700000000.000001", deadline=soon(0.3))
        assert time.monotonic() - started < 10
    assert flags(caught.value) == ("timeout", True, False)


@pytest.mark.parametrize("body", [{"ok": True}, {"ok": True, "messages": [1]}, {"ok": True, "messages": [{}]}])
async def test_replies_of_another_form_are_an_error_and_never_an_empty_thread(body: dict[str, Any]) -> None:
    async with wire(answer(body)) as (_, slack):
        with pytest.raises(SlackError, match="bad_response"):
            await slack.replies(channel="C1", thread_ts="1700000000.000001", deadline=soon())


async def test_a_closed_client_opens_again() -> None:
    async with wire(answer(OK)) as (_, slack):
        await slack.close()
        await slack.close()
        assert await post(slack) == OK["ts"]


# --- what nobody sees


@pytest.mark.parametrize(
    "behaviour", [answer(OK), answer({"ok": False, "error": "no_text"}), answer(b"<x>", status=503), half_a_body]
)
async def test_at_debug_level_neither_token_nor_text_is_logged(
    behaviour: Behaviour, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    asyncio.get_running_loop().set_debug(True)
    async with wire(behaviour) as (_, slack):
        try:
            await post(slack)
        except StateroomError as error:
            logging.getLogger("test").exception("failed: %r", error)
        logging.getLogger("test").debug("the client is %r", slack)
        assert TOKEN not in f"{slack!r} {slack}"
    assert any(record.name == "test" for record in caplog.records), "records are seen at all"
    shown = caplog.text + "".join(capfd.readouterr())
    shown += "".join(repr(record.args) for record in caplog.records)
    assert TOKEN not in shown
    assert WORDS not in shown


@pytest.mark.parametrize("token", ["", " ", "xoxb-1\n", "xoxb 1", "xoxb-é", "xoxb-1\r\nHost: x"])
def test_a_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(WrongUse) as caught:
        SlackClient(token, "https://slack.com/api/", clock=time.monotonic)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize("url", ["", "slack.com/api/", "ftp://slack.com/api/", "https:///api/"])
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(WrongUse):
        SlackClient(TOKEN, url, clock=time.monotonic)


async def test_a_proxy_of_the_environment_does_not_stand_before_a_local_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with wire(answer(OK)) as (_, slack):
        assert await post(slack) == OK["ts"]


def test_importing_the_client_loads_neither_slack_sdk_nor_aiohttp() -> None:
    import subprocess
    import sys

    code = "import sys, stateroom.slack.client; print(sorted(m for m in sys.modules if m in ('slack_sdk', 'aiohttp')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\[\]\s*", done.stdout)
