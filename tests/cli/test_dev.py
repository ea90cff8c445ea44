"""`stateroom dev`: a bot that may be killed, a supervisor that may be killed, and nothing left behind."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from stateroom.cli.dev import held_port
from stateroom.cli.dev_supervisor import ChildFailed, Keeper, Part
from stateroom.cli.settings import child_environment
from support.browser import Browser, channel_of, own_bot, who, whole
from support.local_slack import LocalSlack

from .conftest import DEADLINE, Command, Start, eventually, gone

pytestmark = pytest.mark.service


class Dev:
    """A running `stateroom dev` and what it printed."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.address = command.ready()
        self.lines = [command.line() for _ in range(4)]

    @property
    def kill_command(self) -> str:
        (line,) = (line for line in self.lines if "kill -9" in line)
        return line[line.index("kill -9") :]

    @property
    def pid_file(self) -> Path:
        (path,) = re.findall(r"cat (\S+)\)", self.kill_command)
        return Path(shlex.split(path)[0])

    def bot(self) -> int:
        """The bot's pid; 0 while there is none."""
        try:
            return int(self.pid_file.read_text())
        except FileNotFoundError:
            return 0

    def children(self) -> list[int]:
        path = f"/proc/{self.command.process.pid}/task/{self.command.process.pid}/children"
        return [int(pid) for pid in Path(path).read_text().split()]

    def call(self, path: str, body: object = None) -> dict[str, object]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def say(self, text: str) -> str:
        place = {"team": "T00000001", "channel": "C00000001", "user": "U00000001"}
        return str(self.call("/_sim/messages", {**place, "text": f"<@UB0000001> {text}"})["ts"])

    def answers(self, ts: str) -> list[dict[str, object]]:
        found = self.call(f"/_sim/messages?team=T00000001&channel=C00000001&thread_ts={ts}")["messages"]
        assert isinstance(found, list)
        return [message for message in found if message.get("bot_id") and not message["streaming"]]


@pytest.fixture
def dev(start: Start) -> Callable[..., Dev]:
    def go(*args: str, **environ: str) -> Dev:
        return Dev(start("dev", "--port", "0", "--no-browser", *args, **environ))

    return go


def test_five_lines_tell_all_that_a_newcomer_needs(dev: Callable[..., Dev], tmp_path: Path) -> None:
    running = dev()
    text = "\n".join(running.lines)
    assert running.address.startswith("http://127.0.0.1:")
    assert str(tmp_path / ".stateroom" / "state.db") in text
    assert str(running.bot()) in text
    assert "docs/real-workspace.md" in text
    assert running.pid_file == tmp_path / ".stateroom" / "bot.pid"
    assert (tmp_path / ".stateroom" / "state.db").exists()
    code, seconds, rest = running.command.end(signal.SIGTERM)
    assert (code, rest) == (0, "")
    assert seconds < 10


def test_a_killed_bot_is_back_at_once_and_the_conversation_goes_on(dev: Callable[..., Dev]) -> None:
    running = dev()
    first = running.say("hello")
    eventually(lambda: len(running.answers(first)) == 1, "the first answer")
    before = running.bot()
    subprocess.run(running.kill_command, shell=True, check=True)
    second = running.say("are you there?")
    eventually(lambda: running.bot() not in (0, before), "another bot")
    eventually(lambda: len(running.answers(second)) == 1, "the second answer")
    assert len(running.answers(first)) == 1
    assert gone(before)
    assert "SIGKILL" in running.command.errors
    assert "Traceback" not in running.command.errors


def test_a_bot_killed_over_and_over_comes_back_each_time(dev: Callable[..., Dev]) -> None:
    running = dev()
    for _ in range(3):
        before = running.bot()
        os.kill(before, signal.SIGKILL)
        eventually(lambda before=before: running.bot() not in (0, before), "another bot")
    ts = running.say("hello")
    eventually(lambda: len(running.answers(ts)) == 1, "an answer")


def test_nothing_is_left_after_a_polite_end(dev: Callable[..., Dev], tmp_path: Path) -> None:
    running = dev()
    children = running.children()
    assert len(children) == 2
    code, seconds, _ = running.command.end(signal.SIGINT)
    assert code == 0
    assert seconds < 10
    assert all(gone(pid) for pid in children)
    assert not (tmp_path / ".stateroom" / "bot.pid").exists()


def test_nothing_is_left_when_the_supervisor_is_killed(dev: Callable[..., Dev]) -> None:
    running = dev()
    children = running.children()
    assert len(children) == 2
    running.command.end(signal.SIGKILL)
    eventually(lambda: all(gone(pid) for pid in children), "the children end")


def test_messages_are_still_there_after_a_restart(dev: Callable[..., Dev]) -> None:
    running = dev()
    ts = running.say("remember me")
    eventually(lambda: len(running.answers(ts)) == 1, "an answer")
    running.command.end(signal.SIGKILL)
    again = dev()
    assert len(again.answers(ts)) == 1
    later = again.call("/_sim/messages", {**place(), "text": "and now?", "thread_ts": ts})["ts"]
    eventually(lambda: len(again.answers(ts)) == 2, f"an answer to {later}")


def place() -> dict[str, str]:
    return {"team": "T00000001", "channel": "C00000001", "user": "U00000001"}


def test_the_demo_never_touches_a_real_store_or_token(dev: Callable[..., Dev], tmp_path: Path) -> None:
    real = {"STATEROOM_STORE": f"sqlite:///{tmp_path / 'real.db'}", "SLACK_BOT_TOKEN": "xoxb-real"}
    real |= {"SLACK_SIGNING_SECRET": "real", "SLACK_APP_TOKEN": "xapp-real"}
    running = dev(**real, SLACK_API_URL="http://127.0.0.1:9/api/")
    ts = running.say("hello")
    eventually(lambda: len(running.answers(ts)) == 1, "an answer from the local Slack")
    assert not (tmp_path / "real.db").exists()
    assert running.call("/_sim/calls?method=apps.connections.open")["calls"] == []


def test_the_demos_app_has_its_command(dev: Callable[..., Dev]) -> None:
    running, about = dev(), {"kind": "command", **place(), "command": "/stateroom", "text": "help"}
    # An app has three seconds, by which a bot that has just begun may be late on a slow machine.
    eventually(lambda: bool(running.call("/_sim/actions", about)["ok"]), "the command is taken")


def test_histories_and_turns_are_read_while_the_bot_runs(dev: Callable[..., Dev], start: Start) -> None:
    running = dev(STATEROOM_LOG_LEVEL="debug")
    ts = running.say("the quick brown fox")
    eventually(lambda: len(running.answers(ts)) == 1, "an answer")
    store = ("--store", "sqlite:///.stateroom/state.db")
    eventually(lambda: '"state":"done"' in output(start("turns", "list", "--json", *store)), "the turn is done")
    (line,) = output(start("threads", "export", *store)).splitlines()
    assert json.loads(line)["thread_ts"] == ts
    assert "person: the quick brown fox" in output(start("threads", "show", f"C00000001:{ts}", *store))
    for log in ("bot.log", "slack.log"):
        told = (running.pid_file.parent / log).read_text()
        assert "quick brown" not in told
        assert "xoxb-local-1" not in told
        assert "local-signing-secret" not in told


def output(command: Command) -> str:
    """What a command that ends prints; it says nothing else."""
    out, _ = command.process.communicate(timeout=DEADLINE)
    assert command.process.returncode == 0, command.errors
    assert command.errors == ""
    return str(out.decode())


def test_a_newcomer_adds_the_app_to_another_workspace(dev: Callable[..., Dev], tmp_path: Path) -> None:
    """Where `dev` says, by the page of the bot and the page of the local Slack; and it answers there."""
    running = dev(STATEROOM_KEYS=f"real:{'A' * 43}=", SLACK_CLIENT_ID="real", SLACK_CLIENT_SECRET="real")
    (bot,) = re.findall(r"(http://\S+)/slack/install", "\n".join(running.lines))
    slack, team = slack_of(running), "T0NEWCOMER"
    slack.add_team(team, install=False)
    page = Browser().install(slack, bot, **who(slack, team))
    assert page.status == 200, page.text
    channel = channel_of(slack, team)
    ts = slack.say(f"<@{own_bot(slack, team)}> hello", channel=channel, **who(slack, team))
    eventually(lambda: len(whole(slack, ts, team)) == 1, "an answer in the other workspace")
    keys = tmp_path / ".stateroom" / "keys"
    assert keys.stat().st_mode & 0o777 == 0o600
    before = keys.read_text()
    assert not [file for file in keys.parent.glob("state.db*") if b"xoxb-" in file.read_bytes()]
    running.command.end(signal.SIGTERM)
    slack = slack_of(dev())
    assert keys.read_text() == before
    ts = slack.say(f"<@{own_bot(slack, team)}> still there?", channel=channel, **who(slack, team))
    eventually(lambda: len(whole(slack, ts, team)) == 1, "an answer with the token that was sealed before")


def slack_of(running: Dev) -> LocalSlack:
    return LocalSlack(running.address)


def test_a_port_that_dev_chose_is_given_to_nobody_else_until_its_servers_have_it() -> None:
    """What was chosen and let go could be anybody's a moment later, and is while a killed bot is started again."""
    with held_port(0) as first, held_port(0) as second:
        assert first != second
        with socket.socket() as other, pytest.raises(OSError):
            other.bind(("127.0.0.1", first))
        for _ in range(2):  # a server, and the one that is started after it was killed
            with socket.create_server(("127.0.0.1", first)) as server, socket.create_connection(server.getsockname()):
                server.accept()[0].close()
        with socket.create_server(("127.0.0.1", first)), held_port(first) as instead:
            assert instead not in (first, second)


def test_one_folder_has_one_dev(dev: Callable[..., Dev], start: Start) -> None:
    dev()
    other = start("dev", "--port", "0", "--no-browser")
    assert other.process.wait(DEADLINE) == 2
    assert other.errors.startswith("stateroom: another `stateroom dev` runs")
    assert other.errors.count("\n") == 1


def test_a_busy_port_is_said_and_another_one_used(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = Dev(start("dev", "--port", str(port), "--no-browser"))
    assert not running.address.endswith(f":{port}")
    assert f"port {port} is taken; using {running.address.rpartition(':')[2]}" in running.command.errors


async def test_a_part_that_does_not_start_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    told: list[str] = []
    bare = child_environment({"SLACK_SIGNING_SECRET": "", "STATEROOM_CONFIG": ""})
    part = Part("bot", ("serve", "--port", "0"), bare, tmp_path / "bot.log", tmp_path / "bot.pid")
    with pytest.raises(ChildFailed, match=r"bot\.log says why"):
        await Keeper(part, told.append).keep()
    assert any("set SLACK_SIGNING_SECRET" in line for line in told)
    assert told.count("the bot ended with 2; starting it again") == 2
    assert not (tmp_path / "bot.pid").exists()
