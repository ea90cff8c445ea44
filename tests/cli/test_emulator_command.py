"""`stateroom emulator -- COMMAND`: a user's own app beside the local Slack, from its variables to its end."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from stateroom.cli.emulator_command import PATIENCE, Command
from stateroom.pytest_plugin.processes import free_port, listens
from stateroom.pytest_plugin.wire import Wire

from .conftest import DEADLINE, Start, eventually, gone

pytestmark = pytest.mark.service

NAMES = ("SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "SLACK_CLIENT_ID")
# It says what it sees, starts a child of its own, and ends when a line of its file says how.
APP = """
import os, pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
print("app", os.getpid(), child.pid, *(os.environ.get(name, "-") for name in sys.argv[2:]), flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
sys.exit(int(pathlib.Path(sys.argv[1]).read_text()))
"""


@pytest.fixture
def around(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "app.py").write_text(APP)
    return ("--port", "0", "--", sys.executable, "app.py", "ends", *NAMES)


def until_ended(*pids: str) -> None:
    """A signal that nobody can refuse is sent; the process ends when the machine has time for it."""
    eventually(lambda: all(gone(int(pid)) for pid in pids), "they end")


def test_the_app_sees_where_its_slack_is_and_its_exit_code_is_ours(
    start: Start, around: tuple[str, ...], tmp_path: Path
) -> None:
    command = start("emulator", *around)
    address = command.ready()
    _, app, child, *seen = command.line().split()
    assert seen == [f"{address}/api/", "xoxb-local-1", "local-signing-secret", "xapp-local-1", "-"]
    (tmp_path / "ends").write_text("7")
    assert command.process.wait(DEADLINE) == 7
    until_ended(app, child)  # what the app started and left behind, too


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_us_ends_the_app_and_all_that_it_started(
    start: Start, around: tuple[str, ...], number: signal.Signals
) -> None:
    command = start("emulator", *around)
    command.ready()
    _, app, child, *_ = command.line().split()
    code, seconds, _ = command.end(number)
    assert code == 0, "ending by the signal that was passed on is what was asked for"
    assert seconds < PATIENCE, "it was not killed because its time was up"
    until_ended(app, child)


@pytest.mark.parametrize("restart", [False, True], ids=["at first", "again"])
async def test_a_signal_that_comes_while_the_app_is_being_started_reaches_it(
    monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    """The system has the process already, and we have not heard of it yet."""
    begin, begun = asyncio.create_subprocess_exec, list[asyncio.subprocess.Process]()

    async def late(*words: Any, **more: Any) -> Any:
        process = await begin(*words, **more)
        begun.append(process)
        if len(begun) > restart:
            command.ask(signal.SIGTERM)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", late)
    command = Command([sys.executable, "-c", "import time; time.sleep(120)"], dict(os.environ), lambda _: None)
    running = asyncio.create_task(command.run(restart=restart))
    while restart and not begun:
        await asyncio.sleep(0.01)
    if restart:
        begun[0].kill()
    assert await asyncio.wait_for(running, DEADLINE) == 0
    assert [one.returncode for one in begun] == [-signal.SIGKILL] * restart + [-signal.SIGTERM]


def test_an_app_that_dies_is_started_again_when_asked(start: Start, around: tuple[str, ...]) -> None:
    command = start("emulator", "--restart", *around)
    command.ready()
    first = command.line().split()[1]
    os.kill(int(first), signal.SIGKILL)
    second = command.line().split()[1]
    assert second != first
    assert "the app ended with 137; starting it again" in command.errors
    assert command.end(signal.SIGTERM)[0] == 0
    until_ended(first, second)


def test_the_app_ends_when_we_are_killed(start: Start, around: tuple[str, ...]) -> None:
    command = start("emulator", *around)
    command.ready()
    _, app, child, *_ = command.line().split()
    command.process.kill()
    command.process.wait(DEADLINE)
    try:
        eventually(lambda: gone(int(app)), "the app ends")
    finally:
        os.kill(int(child), signal.SIGKILL)  # only the app itself is told by the kernel


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "0", "--", "no-such-program"), "no-such-program cannot be started"),
        (("--port", "0", "--restart"), "--restart is about a COMMAND"),
    ],
)
def test_what_cannot_be_run_is_wrong_use(start: Start, arguments: tuple[str, ...], words: str) -> None:
    command = start("emulator", *arguments)
    assert command.process.wait(DEADLINE) == 2
    assert words in command.errors


def test_an_app_that_is_installed_by_oauth_gets_a_client_id_when_asked(start: Start, around: tuple[str, ...]) -> None:
    command = start("emulator", "--oauth", *around)
    command.ready()
    assert command.line().split()[-1] == "local-client-id"
    assert command.end(signal.SIGTERM)[0] == 0


BOLT = """
import os, sys
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

client = WebClient(os.environ["SLACK_BOT_TOKEN"], base_url=os.environ.get("SLACK_API_URL", WebClient.BASE_URL))
app = App(client=client)

@app.event("app_mention")
def greet(event, say):
    say("hello", thread_ts=event["ts"])

SocketModeHandler(app).start() if sys.argv[1] == "socket" else app.start(int(sys.argv[2]))
"""


@pytest.mark.parametrize("transport", ["socket", "http"])
def test_a_bolt_app_with_the_one_line_of_the_page_answers(start: Start, tmp_path: Path, transport: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    assert next(line for line in BOLT.splitlines() if line.startswith("client = ")) in page
    (tmp_path / "app.py").write_text(BOLT)
    port = str(free_port())
    over = ("--event-url", f"http://127.0.0.1:{port}/slack/events") if transport == "http" else ()
    command = start("emulator", "--port", "0", *over, "--", sys.executable, "app.py", transport, port)
    slack = Wire(command.ready())
    up = (lambda: bool(slack.get("sockets")["sockets"])) if transport == "socket" else (lambda: listens(int(port)))
    eventually(up, "the app is reached")
    question = slack.post("messages", {"channel": "C00000001", "text": "<@UB0000001> hello"})["ts"]

    def answered() -> bool:
        said = slack.get("messages", channel="C00000001", thread_ts=question)["messages"]
        return {one["text"] for one in said if "bot_id" in one} == {"hello"}  # again for each time that Slack sends it

    eventually(answered, "the app answers")
    assert command.end(signal.SIGTERM)[0] == 0
