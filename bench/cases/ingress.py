"""A signed event at 50 connections: hello, the same door without the row, ours, and Bolt.

Each contender is a server process of its own; the load comes from this process. Ours is `stateroom serve --no-worker`
itself. "Without the row" is the same ASGI application whose inbox says yes and stores nothing. "Raw" is the least code
that checks the signature, decodes, and has the same row with the same indexes on disk before the 200, one statement for
all that wait: it knows no edits, no bots, no repeated delivery, no other process, and nobody could run it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter

from bench.frame import Contenders, Must, Sample, case
from stateroom.slack.signing import sign

SECRET = "bench-secret"
CONNECTIONS = 50
REQUESTS = 6000
_serial = count()

UVICORN = """
import asyncio, gc, socket, sys, uvicorn, uvloop
sys.setswitchinterval(0.0005)
http = "auto"
{app}
async def main():
    gc.freeze()
    gc.set_threshold(10_000)
    listener = socket.create_server(("127.0.0.1", 0))
    options = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False,
                             date_header=False, proxy_headers=False, ws="none", http=http)
    print("ready http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    await uvicorn.Server(options).serve(sockets=[listener])
uvloop.run(main())
"""

HELLO = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"11")]})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})
"""
WITHOUT_ROW = """
import asyncio, time
from stateroom.bot.directory import Directory
from stateroom.bot.ingress import Ingress
from stateroom.bot.protocol import Protocol as http
from stateroom.engines.handle import table_of
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Written
from stateroom.layers import installations
from stateroom.layers.inbox import Inbox
async def accept(self, message, *also):
    return True
Inbox.accept = accept
def accept_soon(self, message):
    future = asyncio.get_running_loop().create_future()
    future.set_result([Written(None, True)])
    return future
Inbox.accept_soon = accept_soon
engine = MemoryEngine(time.time)
asyncio.run(engine.open())
asyncio.run(engine.apply([table_of(one) for one in installations.DEFINITIONS]))
teams = Directory(installations.Installations(engine, time.time), time.time, fallback=lambda team: None)
app = Ingress(engine, time.time, "bench-secret", teams=teams)
"""
RAW = """
import asyncio, hashlib, hmac, os, sqlite3, threading, time, msgspec
from concurrent.futures import ThreadPoolExecutor
from stateroom.engines.handle import table_of
from stateroom.engines.sqlite_file import open_writer
from stateroom.engines.sqlite_tables import Layout, index_statement
from stateroom.layers.inbox import INBOX

table = table_of(INBOX)
layout = Layout(table)
database = open_writer(os.environ["RAW_FILE"])
for statement in (*layout.create, *(index_statement(layout, index) for index in table.indexes)):
    database.execute(statement)
pool = ThreadPoolExecutor(1)
inner = hashlib.sha256(bytes(b ^ 0x36 for b in b"bench-secret".ljust(64, b"\\0")))
inner.update(b"v0:")
outer = hashlib.sha256(bytes(b ^ 0x5C for b in b"bench-secret".ljust(64, b"\\0")))

class Inner(msgspec.Struct):
    channel: str
    ts: str
    user: str
    text: str

class Envelope(msgspec.Struct):
    team_id: str
    event_id: str
    event: Inner

class Item(msgspec.Struct):
    id: str
    kind: str
    state: str
    channel: str
    thread_ts: str
    ts: str
    user: str
    text: str
    event_id: str
    received_at: float
    lane: str
    due_at: float
    claims: int = 0
    attempts: int = 0

decode, encode = msgspec.json.Decoder(Envelope).decode, msgspec.json.Encoder().encode
waiting, busy = [], False

def write(loop, group):
    marks = ",".join(["(?,?,1,NULL,?)"] * len(group))
    database.execute(f"{layout.put}{marks} ON CONFLICT DO NOTHING", [v for row, _ in group for v in row])
    if database.total_changes % 1000 < len(group):
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    loop.call_soon_threadsafe(done, group)

def done(group):
    global busy
    busy = False
    for _, future in group:
        future.set_result(None)
    flush()

def flush():
    global waiting, busy
    if waiting and not busy:
        group, waiting, busy = waiting, [], True
        pool.submit(write, asyncio.get_running_loop(), group)

async def app(scope, receive, send):
    body = (await receive())["body"]
    given = dict(scope["headers"])
    stamp = given[b"x-slack-request-timestamp"]
    first, second = inner.copy(), outer.copy()
    first.update(stamp + b":" + body)
    second.update(first.digest())
    assert abs(time.time() - int(stamp)) < 300
    assert hmac.compare_digest(b"v0=" + second.hexdigest().encode(), given[b"x-slack-signature"])
    envelope = decode(body)
    said, now = envelope.event, time.time()
    id = said.channel + ":" + said.ts
    item = Item(id, "message", "received", said.channel, said.ts, said.ts, said.user, said.text, envelope.event_id, now,
                id, now)
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    waiting.append(((envelope.team_id, id, encode(item).decode()), future))
    if len(waiting) == 1:
        loop.call_soon(flush)
    await future
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"11")]})
    await send({"type": "http.response.body", "body": b'{"ok":true}'})
"""
BOLT = """
import logging
from slack_bolt.async_app import AsyncApp
from slack_bolt.adapter.asgi.async_handler import AsyncSlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
async def authorize(**_):
    return AuthorizeResult(enterprise_id=None, team_id="T00000001", bot_token="xoxb-1", bot_id="B1", bot_user_id="UB1")
bolt = AsyncApp(signing_secret="bench-secret", authorize=authorize)
@bolt.event("app_mention")
async def mention(body):
    pass
app = AsyncSlackRequestHandler(bolt, path="/slack/events")
"""


def program(app: str) -> list[str]:
    """A server process around `app`: loop, options, switch interval and collector as in bot/server.py."""
    return [sys.executable, "-c", UVICORN.replace("{app}", app)]


@contextmanager
def server(arguments: list[str], **env: str) -> Iterator[int]:
    """The port of a running server."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **env})
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("ready "), line
        yield int(line.strip().rsplit(":", 1)[1])
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def requests(number: int) -> list[bytes]:
    """Signed mentions, each a message of its own."""
    made = []
    now = int(time.time())
    for _ in range(number):
        serial = next(_serial)
        ts = f"{now - serial // 1_000_000}.{serial % 1_000_000:06d}"
        event = {
            "type": "app_mention",
            "user": "U00000001",
            "text": "<@UB0000001> what is the state of the deployment that we talked about this morning?",
            "ts": ts,
            "channel": "C00000001",
            "event_ts": ts,
        }
        envelope = {
            "token": "x",
            "team_id": "T00000001",
            "api_app_id": "A00000001",
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{serial:010d}",
            "event_time": now,
            "authorizations": [{"enterprise_id": None, "team_id": "T00000001", "user_id": "UB0000001", "is_bot": True}],
        }
        body = json.dumps(envelope).encode()
        headers = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{k}: {v}\r\n" for k, v in {**headers, **sign(SECRET, now, body)}.items())
        made.append(b"POST /slack/events HTTP/1.1\r\n" + head.encode() + b"\r\n" + body)
    return made


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last is there."""

    def __init__(self, queue: list[bytes], times: list[float], done: asyncio.Future[None]) -> None:
        self._queue, self._times, self._done = queue, times, done
        self._sent = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self._buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        if not self._buffer.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(AssertionError(self._buffer[:200]))
            return
        self._buffer = b""
        self._times.append(perf_counter() - self._sent)
        self._next()

    def _next(self) -> None:
        if not self._queue:
            if not self._done.done():
                self._done.set_result(None)
            return
        self._sent = perf_counter()
        self._transport.write(self._queue.pop())  # type: ignore[attr-defined]


def load(port: int) -> Callable[[], Sample]:
    """Seconds a request and the 99th percentile of waiting, at 50 connections."""

    async def run() -> Sample:
        queue, times = requests(REQUESTS), list[float]()
        loop = asyncio.get_running_loop()
        began = perf_counter()
        ends = [loop.create_future() for _ in range(CONNECTIONS)]
        pairs = [
            await loop.create_connection(lambda done=done: _Connection(queue, times, done), "127.0.0.1", port)
            for done in ends
        ]
        await asyncio.gather(*ends)
        took = perf_counter() - began
        for transport, _ in pairs:
            transport.close()
        times.sort()
        return {"s/op": took / REQUESTS, "p99, s": times[int(len(times) * 0.99)]}

    def measured() -> Sample:
        import uvloop

        return uvloop.run(run())

    return measured


@case(
    "ingress",
    "A signed event, durable before the 200, at 50 connections",
    musts=[
        Must("hello", over="ours", at_least=0.40),
        Must("the same without the row", over="ours", at_least=0.60),
        Must("Bolt, nothing durable", over="ours", at_least=1.7),
        Must("ours", measure="p99, s", at_most=0.020),
    ],
)
@contextmanager
def ingress() -> Iterator[Contenders]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = [sys.executable, "-m", "stateroom", "serve", "--no-worker", "--port", "0"]
        env = {
            "STATEROOM_STORE": f"sqlite:///{folder}/state.db",
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_BOT_TOKEN": "xoxb-1",
            "STATEROOM_LOG_LEVEL": "WARNING",
        }
        yield {
            "hello": load(stack.enter_context(server(program(HELLO)))),
            "the same without the row": load(stack.enter_context(server(program(WITHOUT_ROW)))),
            "ours": load(stack.enter_context(server(ours, **env))),
            "raw: the least code, same row": load(
                stack.enter_context(server(program(RAW), RAW_FILE=f"{folder}/raw.db"))
            ),
            "Bolt, nothing durable": load(stack.enter_context(server(program(BOLT)))),
        }


@case(
    "ready",
    "`stateroom serve --no-worker`, from start to its ready line",
    musts=[Must("serve --no-worker", at_most=0.300)],
    rounds=11,
)
@contextmanager
def ready() -> Iterator[Contenders]:
    with tempfile.TemporaryDirectory() as folder:
        env = {"STATEROOM_STORE": f"sqlite:///{folder}/state.db", "SLACK_SIGNING_SECRET": SECRET, "SLACK_BOT_TOKEN": ""}

        def start() -> float:
            began = perf_counter()
            with server([sys.executable, "-m", "stateroom", "serve", "--no-worker", "--port", "0"], **env):
                return perf_counter() - began

        yield {"serve --no-worker": start}
