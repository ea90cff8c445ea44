"""A local Slack for tests: a real server on a free port, in a thread of this process or in a process of its own.

Rules of this file: `with local_slack() as slack:` and speak through `slack`; everything goes over HTTP, as for anybody
else. The calls are plain and short, so a test may make them from a running loop, while its bot serves in that loop:
the local Slack answers them without waiting for the bot. Nothing sleeps for a fixed time: `eventually` polls with a
deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from stateroom.emulator.config import SEED_APP, SEED_CHANNEL, SEED_SECRET, SEED_TOKEN, EmulatorConfig
from stateroom.emulator.server import Server, address, create_app, listen
from stateroom.model.errors import StateroomError

Json = dict[str, Any]
T = TypeVar("T")

PATIENCE = 20.0
# For tests that are not about the seconds that Slack gives an app and a trigger: on a busy machine 3 s may be over.
UNHURRIED = {"ack_seconds": PATIENCE, "trigger_seconds": PATIENCE}


class SimError(Exception):
    """The control plane said no. `.status`, `.code`."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = body.get("error")


@dataclass(frozen=True)
class LocalSlack:
    """Talks to a local Slack at `url`. `api_url` is what clients take as their base URL; `patience` in s an answer."""

    url: str
    patience: float = PATIENCE

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    def request(self, method: str, path: str, body: Any = None, headers: Json | None = None) -> tuple[int, Json, Json]:
        """`(status, answer, headers)`; the answer is `{"text": …}` when it is no JSON."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.patience)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            raw, found = response.read(), {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        is_json = found.get("content-type", "").startswith("application/json")
        return response.status, json.loads(raw) if is_json else {"text": raw.decode()}, found

    def sim(self, method: str, path: str, body: Any = None) -> Json:
        """A control-plane call. Raises SimError."""
        status, answer, _ = self.request(method, f"/_sim/{path}", body)
        if status >= 400:
            raise SimError(status, answer)
        return answer

    def call(self, method: str, token: str | None = SEED_TOKEN, **args: Any) -> Json:
        """A Web API call as JSON."""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.request("POST", f"/api/{method}", args, headers)[1]

    def register(self, event_url: str, app_id: str = SEED_APP, signing_secret: str = SEED_SECRET, **more: Any) -> Json:
        """Send the app's events to `event_url` from now on."""
        body = {"app_id": app_id, "event_url": event_url, "signing_secret": signing_secret, **more}
        return self.sim("POST", "apps", body)

    def add_team(self, team: str, **more: Any) -> Json:
        return self.sim("POST", "teams", {"id": team, **more})

    def say(self, text: str, channel: str = SEED_CHANNEL, **more: Any) -> str:
        """A person speaks; returns the timestamp. More: user, team, thread_ts, files, ts, client_msg_id, subtype."""
        return str(self.sim("POST", "messages", {"text": text, "channel": channel, **more})["ts"])

    def act(self, kind: str, ts: str, channel: str = SEED_CHANNEL, **more: Any) -> Json:
        """edit (text), delete, react (name)."""
        return self.sim("POST", "actions", {"kind": kind, "channel": channel, "ts": ts, **more})

    async def begin(self, kind: str, **more: Any) -> Json:
        """An act that an app must answer, from a thread, so that the app may run in this loop."""
        return await asyncio.to_thread(self.sim, "POST", "actions", {"kind": kind, **more})

    def messages(
        self, channel: str = SEED_CHANNEL, thread_ts: str | None = None, team: str | None = None
    ) -> list[Json]:
        given = {"channel": channel, "thread_ts": thread_ts, "team": team}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return list(self.sim("GET", f"messages?{query}")["messages"])

    def replies(self, thread_ts: str, channel: str = SEED_CHANNEL, team: str | None = None) -> list[Json]:
        """What apps wrote in a thread, oldest first."""
        return [one for one in self.messages(channel, thread_ts, team) if "bot_id" in one]

    def fault(self, kind: str, **more: Any) -> Json:
        """Make Slack misbehave: `fault("throttle", method="chat.postMessage", retry_after=1)`."""
        return self.sim("POST", "faults", {"kind": kind, **more})

    def faults(self) -> list[Json]:
        return list(self.sim("GET", "faults")["faults"])

    def clear_faults(self) -> None:
        self.sim("DELETE", "faults")

    def calls(self, method: str | None = None) -> list[Json]:
        return list(self.sim("GET", f"calls?method={method}" if method else "calls")["calls"])

    def deliveries(self) -> list[Json]:
        return list(self.sim("GET", "deliveries")["deliveries"])

    def duplicate(self, **which: str) -> Json:
        return self.sim("POST", "duplicate", which)

    def stats(self) -> Json:
        return self.sim("GET", "stats")

    def state(self) -> Json:
        return self.sim("GET", "state")

    def reset(self) -> None:
        self.sim("POST", "reset", {})


async def eventually(look: Callable[[], T], patience: float = PATIENCE) -> T:
    """Look until there is something to see. Raises AssertionError."""
    ends = time.monotonic() + patience
    while not (seen := look()):
        assert time.monotonic() < ends, f"not within {patience} s; last seen: {seen!r}"
        await asyncio.sleep(0.01)
    return seen


def eventually_now(look: Callable[[], T], patience: float = PATIENCE) -> T:
    """`eventually` for tests without a loop."""
    return asyncio.run(eventually(look, patience))


class Clock:
    """A clock that stands until it is moved: what takes hours is then over at once, and nothing is over by chance."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))  # so that whole seconds add up exactly

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class _Thread(threading.Thread):
    """One server in one thread with a loop of its own."""

    def __init__(self, config: EmulatorConfig, clock: Callable[[], float]) -> None:
        super().__init__(name="local-slack", daemon=True)
        self._sock = listen(config)
        self._ready = threading.Event()
        self._failure: StateroomError | None = None
        self.url = address(self._sock)
        self._server = Server(create_app(config, clock), self._ready.set)

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except StateroomError as error:
            self._failure = error
        finally:
            self._sock.close()
            self._ready.set()

    async def _serve(self) -> None:
        await self._server.run_on(self._sock)

    def begin(self) -> None:
        self.start()
        assert self._ready.wait(PATIENCE), "the local Slack did not start"
        if self._failure is not None:
            raise self._failure
        assert self._server.started, "the local Slack ended before it was ready"

    def end(self) -> None:
        self._server.should_exit = True
        self.join(PATIENCE)
        assert not self.is_alive(), "the local Slack did not end"


@contextlib.contextmanager
def local_slack(*, clock: Callable[[], float] = time.time, **config: Any) -> Iterator[LocalSlack]:
    """A local Slack in a thread of this process; `config` are EmulatorConfig's fields, `clock` gives Unix seconds."""
    thread = _Thread(EmulatorConfig(**config), clock)
    thread.begin()
    try:
        yield LocalSlack(thread.url)
    finally:
        thread.end()


_CHILD = """
import asyncio, json, sys
from pathlib import Path
from stateroom.emulator.config import EmulatorConfig
from stateroom.emulator.server import serve
given = json.loads(sys.argv[1])
for name in ("manifest", "bot_pid_file"):
    if name in given:
        given[name] = Path(given[name])
asyncio.run(serve(EmulatorConfig(**given)))
"""


@dataclass(frozen=True)
class SlackProcess:
    """A local Slack in a process of its own, to be killed."""

    slack: LocalSlack
    process: subprocess.Popen[str]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def local_slack_process(**config: Any) -> Iterator[SlackProcess]:
    """As `local_slack`, in a child process; `config` must be JSON."""
    command = [sys.executable, "-c", _CHILD, json.dumps(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready.startswith("ready "), f"the local Slack did not start: {ready!r}"
        yield SlackProcess(LocalSlack(ready.split()[1]), process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


@dataclass
class Received:
    """One event as it reached the app."""

    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> Json:
        return dict(json.loads(self.body))

    @property
    def event(self) -> Json:
        return dict(self.envelope["event"])


class EventApp:
    """An app over plain sockets that notes what it gets and answers as it is told: a status (with `body`), `None` for
    silence, or an event to wait for before it answers 200.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[int | asyncio.Event | None] = []
        self.headers: dict[str, str] = {}
        self.body = b""
        self.paths: list[str] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._waiting: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> EventApp:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/slack/events"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        for task in list(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)
        self._server.close()
        await self._server.wait_closed()

    def events(self, kind: str | None = None) -> list[Json]:
        return [one.event for one in self.received if kind in (None, one.event["type"])]

    def payload(self) -> Json:
        """The last interaction: what came in a form's `payload`."""
        forms = [one.body for one in self.received if one.body.startswith(b"payload=")]
        return dict(json.loads(parse_qs(forms[-1].decode())["payload"][0]))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self._waiting.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        self.paths.append(first.split(" ")[1])
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.received.append(Received(headers, body))
        status = self.answers.pop(0) if self.answers else 200
        if status is None:
            await asyncio.Event().wait()
        if isinstance(status, asyncio.Event):
            await status.wait()
            status = 200
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        length = f"Content-Length: {len(self.body)}\r\n"
        writer.write(f"HTTP/1.1 {status} Told\r\n{length}{more}Connection: close\r\n\r\n".encode() + self.body)
        await writer.drain()
