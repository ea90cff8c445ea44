"""The long-running commands as processes: one line on stdout, logs on stderr, a clean end."""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .conftest import DEADLINE, Start, eventually, gone

pytestmark = pytest.mark.service

SECRET = "the-signing-secret"
TOKEN = "xoxb-17-the-bot-token"
BOT = {"SLACK_SIGNING_SECRET": SECRET, "SLACK_BOT_TOKEN": TOKEN, "STATEROOM_LOG_LEVEL": "debug"}
COMMANDS = [
    ("emulator", "--port", "0"),
    ("serve", "--port", "0"),
    ("serve", "--port", "0", "--no-worker"),
    ("worker", "--port", "0"),
    ("worker",),
]


def dead_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment() -> dict[str, str]:
    return {**BOT, "SLACK_API_URL": f"http://127.0.0.1:{dead_port()}/api/"}


def signed_post(url: str, body: bytes, secret: str = SECRET) -> int:
    at = str(int(time.time()))
    mark = "v0=" + hmac.new(secret.encode(), b"v0:%b:%b" % (at.encode(), body), hashlib.sha256).hexdigest()
    headers = {"X-Slack-Signature": mark, "X-Slack-Request-Timestamp": at, "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=DEADLINE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def mention(text: str, ts: str) -> bytes:
    event = {
        "type": "app_mention",
        "user": "U00000001",
        "text": f"<@UB0000001> {text}",
        "ts": ts,
        "channel": "C00000001",
    }
    about = {"team_id": "T00000001", "user_id": "UB0000001", "is_bot": True, "enterprise_id": None}
    return json.dumps(
        {
            "type": "event_callback",
            "team_id": "T00000001",
            "api_app_id": "A00000001",
            "event_id": "Ev" + ts.replace(".", ""),
            "event_time": int(float(ts)),
            "event": {**event, "event_ts": ts},
            "authorizations": [about],
        }
    ).encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_one_ready_line_then_a_clean_end(start: Start, args: tuple[str, ...], number: int) -> None:
    command = start(*args, **environment())
    address = command.ready()
    if args == ("worker",):
        assert address == "worker"
    else:
        port = int(address.removeprefix("http://127.0.0.1:"))
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
    code, seconds, rest = command.end(number)
    assert (code, rest) == (0, ""), command.errors
    assert seconds < 10


def test_a_busy_port_is_one_line_and_2(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for args in (("emulator",), ("serve",), ("worker",)):
            command = start(*args, "--port", port, **environment())
            assert command.process.wait(DEADLINE) == 2
            assert command.errors.splitlines()[-1].startswith("stateroom: ")
            assert port in command.errors


def test_serve_acknowledges_while_slack_is_down_and_tells_nothing_about_it(start: Start) -> None:
    command = start("serve", "--port", "0", **environment())
    url = command.ready() + "/slack/events"
    assert signed_post(url, mention("the words of a person", "1700000000.000100")) == 200
    assert signed_post(url, mention("refused words", "1700000001.000100"), secret="wrong") == 401
    code, seconds, rest = command.end(signal.SIGTERM)
    assert (code, rest) == (0, "")
    assert seconds < 10
    for secret in ("words", SECRET, TOKEN, "17-the-bot-token"):
        assert secret not in command.errors


def test_logs_are_json_lines_beyond_a_terminal(start: Start) -> None:
    command = start("serve", "--port", "0", **environment())
    url = command.ready() + "/slack/events"
    signed_post(url, mention("x", "1700000000.000100"), secret="wrong")
    command.end(signal.SIGTERM)
    lines = [json.loads(line) for line in command.errors.splitlines()]
    assert lines, "at debug level a refused request is told"
    assert all({"event", "level", "logger", "timestamp"} <= line.keys() for line in lines)


def test_a_supervised_command_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Its stdin says so, even to one that the system does not tell."""
    child = subprocess.Popen(
        [sys.executable, "-m", "stateroom", "emulator", "--port", "0", "--supervised"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline().startswith(b"ready ")
        child.stdin.close()
        assert child.wait(DEADLINE) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_even_a_stopped_command_ends_with_its_killed_supervisor(tmp_path: Path) -> None:
    """A paused process reads no stdin; the system ends it."""
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'stateroom', 'emulator', '--port', '0', '--supervised'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    eventually(lambda: gone(pid), "the child ends")
