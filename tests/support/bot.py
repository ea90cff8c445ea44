"""A bot for tests: ingress and worker in this loop, or as real child processes, against a local Slack.

Rules of this file: it starts what users start (`server.serve`, `python -m stateroom`), never parts of it. Time-outs are
short so that a crash is recovered within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stateroom.bot import server
from stateroom.bot.config import BotConfig
from stateroom.emulator.config import SEED_BOT_USER, SEED_SECRET, SEED_TEAM, SEED_TOKEN
from stateroom.slack.signing import sign
from support.local_slack import LocalSlack, eventually

MENTION = f"<@{SEED_BOT_USER}>"
LEASE = 2.0


def config(slack: LocalSlack, store: str, **more: Any) -> BotConfig:
    """Settings with short times."""
    given: dict[str, Any] = {
        "store": store,
        "signing_secret": SEED_SECRET,
        "bot_token": SEED_TOKEN,
        "slack_api_url": slack.api_url,
        "lease_seconds": LEASE,
        "poll_seconds": 0.05,
        "backoff_seconds": 0.05,
        "stream_interval": 0.0,
        "offline_pace": 0.0,
    }
    return BotConfig(**(given | more))


@contextlib.asynccontextmanager
async def bot(slack: LocalSlack, store: str = "memory://", *, worker: bool = True, **more: Any) -> AsyncIterator[str]:
    """A bot in this loop, registered with the local Slack (over its sockets with `app_token`); gives its address."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    told = config(slack, store, **more)
    task = asyncio.create_task(
        server.serve(told, host="127.0.0.1", port=0, worker=worker, on_ready=ready.set_result, stop=stop)
    )
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        if told.app_token:
            await eventually(lambda: slack.sim("GET", "sockets")["sockets"])
        else:
            slack.register(f"{ready.result()}/slack/events")
        yield ready.result()
    finally:
        stop.set()
        await task


@dataclass
class Child:
    """A `stateroom` process. `log` is its stderr."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    paused: bool = field(default=False)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def pause(self, file: Path) -> None:
        """SIGSTOP, at a moment in which it holds no lock of an SQLite file: nobody could write while it stands."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)  # it stands when the machine gets to it
            if _is_free(file):
                return
            self.resume()

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def _is_free(file: Path) -> bool:
    """Whether anybody could write now."""
    with contextlib.closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        other.execute("ROLLBACK")
        return True


def environment(slack: LocalSlack, store: str, **more: str) -> dict[str, str]:
    """The environment of a child, with short times."""
    return {
        **os.environ,
        "STATEROOM_STORE": store,
        "STATEROOM_LEASE_SECONDS": str(LEASE),
        "STATEROOM_POLL_SECONDS": "0.05",
        "STATEROOM_BACKOFF_SECONDS": "0.1",
        "STATEROOM_STREAM_INTERVAL": "0.01",
        "STATEROOM_OFFLINE_PACE": "0.002",
        "STATEROOM_LOG_LEVEL": "DEBUG",
        "SLACK_BOT_TOKEN": SEED_TOKEN,
        "SLACK_SIGNING_SECRET": SEED_SECRET,
        "SLACK_API_URL": slack.api_url,
        **more,
    }


def start(arguments: list[str], env: dict[str, str], log: Path) -> Child:
    """Start a child and wait until it is ready."""
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "stateroom", *arguments], stdout=subprocess.PIPE, stderr=stderr, env=env
        )
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("ready "), f"{arguments}: {line!r}\n{log.read_text()[-2000:]}"
    return Child(process, line.split()[1], log)


@contextlib.contextmanager
def children() -> Iterator[Callable[..., Child]]:
    """Starts children; whatever is left of them is killed at the end."""
    begun: list[Child] = []

    def begin(arguments: list[str], env: dict[str, str], log: Path) -> Child:
        child = start(arguments, env, log)
        begun.append(child)
        return child

    try:
        yield begin
    finally:
        for child in begun:
            if child.process.poll() is None:
                child.resume()
                child.kill()
            if child.process.stdout is not None:
                child.process.stdout.close()


def envelope(event: dict[str, Any], *, team: str = SEED_TEAM, event_id: str = "Ev0000001") -> bytes:
    """A request body as Slack sends it."""
    body = {
        "token": "x",
        "team_id": team,
        "api_app_id": "A00000001",
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(time.time()),
        "authorizations": [{"team_id": team, "user_id": SEED_BOT_USER, "is_bot": True}],
    }
    return json.dumps(body).encode()


def mention(text: str, ts: str, **more: Any) -> dict[str, Any]:
    """An `app_mention` event."""
    base = {"type": "app_mention", "user": "U00000001", "text": f"{MENTION} {text}", "ts": ts, "channel": "C00000001"}
    return {**base, "event_ts": ts, **more}


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """POST to /slack/events, signed unless `headers` say otherwise."""
    if headers is None:
        headers = sign(SEED_SECRET, int(time.time()), body)
    request = urllib.request.Request(
        f"{url}/slack/events", data=body, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


async def post_async(url: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """`post` for tests whose bot runs in this loop."""
    return await asyncio.to_thread(post, url, body, headers)
