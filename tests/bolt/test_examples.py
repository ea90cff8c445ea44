"""examples/bolt: before and after both work, over HTTP and over Socket Mode; how they differ is in tests/docs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import FileInstallationStore, Installation

from stateroom import sync
from stateroom.emulator.config import (
    SEED_APP,
    SEED_CHANNEL,
    SEED_CLIENT_ID,
    SEED_CLIENT_SECRET,
    SEED_SECRET,
    SEED_TOKEN,
)
from stateroom.layers import jobs
from support.installations import KEYS_TEXT
from support.local_slack import Json, LocalSlack, eventually_now
from support.postgres import drop_schema, fresh_schema
from support.sockets import APP_TOKEN

from .conftest import MANIFEST, SOCKETS

pytestmark = pytest.mark.service
HERE = Path(__file__).parents[2] / "examples" / "bolt"
Start = Callable[..., None]  # before or after, http or socket, a store


def environment(slack: LocalSlack, place: Path, store: str = "") -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")]),
        "HOME": str(place),
        "STATEROOM_STORE": store or f"sqlite:///{place}/state.db",
        "STATEROOM_KEYS": KEYS_TEXT,
        "SLACK_API_URL": slack.api_url,
        "SLACK_SIGNING_SECRET": SEED_SECRET,
        "SLACK_CLIENT_ID": SEED_CLIENT_ID,
        "SLACK_CLIENT_SECRET": SEED_CLIENT_SECRET,
    }


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def start(slack: LocalSlack, tmp_path: Path) -> Iterator[Start]:
    """Starts before.py or after.py, installed in the local workspace, and waits until Slack can reach it."""
    begun: list[subprocess.Popen[bytes]] = []

    def go(name: str, transport: str, store: str = "") -> None:
        env = environment(slack, tmp_path, store)
        if name == "after":
            subprocess.run([sys.executable, HERE / "install.py"], env=env, check=True, timeout=30)
        else:
            files = FileInstallationStore(base_dir=f"{tmp_path}/.bolt-app-installation", client_id=SEED_CLIENT_ID)
            about: Json = {"bot_token": SEED_TOKEN, "bot_id": "BB0000001", "bot_user_id": "UB0000001"}
            files.save(Installation(team_id="T00000001", user_id="U00000001", **about))
        if transport == "socket":
            env["SLACK_APP_TOKEN"] = APP_TOKEN
            slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": SOCKETS, "signing_secret": SEED_SECRET})
        else:
            env["PORT"] = str(free_port())
            slack.register(f"http://127.0.0.1:{env['PORT']}/slack/events", manifest=MANIFEST)
        begun.append(subprocess.Popen([sys.executable, HERE / f"{name}.py"], env=env, cwd=tmp_path))
        eventually_now(lambda: reached(slack, env.get("PORT")))

    yield go
    for child in begun:
        child.kill()
        child.wait()


def reached(slack: LocalSlack, port: str | None) -> bool:
    if port is None:
        return bool(slack.sim("GET", "sockets")["sockets"])
    return is_up(int(port))


def texts(slack: LocalSlack, thread_ts: str | None = None) -> list[str]:
    return [str(one["text"]) for one in slack.messages(thread_ts=thread_ts)]


@pytest.mark.parametrize("transport", ["http", "socket"])
@pytest.mark.parametrize("name", ["before", "after"])
def test_a_ticket_is_made_and_closed(slack: LocalSlack, start: Start, name: str, transport: str) -> None:
    start(name, transport)
    walk(slack)


def test_only_the_url_changes_for_postgresql(slack: LocalSlack, start: Start) -> None:
    url = fresh_schema()
    with sync.open(url, migrating=True) as store:
        store.migrate([], apply=True)
    try:
        start("after", "socket", url)
        walk(slack)
        with sync.open(url) as store:
            done = store.ask(lambda opened: jobs.listed(opened.engine))
    finally:
        drop_schema(url)
    assert len(done) == 4


def walk(slack: LocalSlack) -> None:
    """A mention, a command that is refused, one that makes a ticket, and a press that closes it."""
    asked = slack.say("<@UB0000001> how?")
    eventually_now(lambda: "Write `/ticket what is broken`." in texts(slack, asked))
    about: dict[str, Any] = {"kind": "command", "command": "/ticket", "channel": SEED_CHANNEL}
    assert slack.sim("POST", "actions", {**about, "text": ""})["ok"] is True
    eventually_now(lambda: "Say what is broken: `/ticket the printer`." in texts(slack))
    assert slack.sim("POST", "actions", {**about, "text": "the printer"})["ok"] is True
    made = "<@U00000001>: the printer"
    eventually_now(lambda: made in texts(slack))
    ts = next(one["ts"] for one in slack.messages() if one["text"] == made)
    pressed = {"kind": "press", "channel": SEED_CHANNEL, "ts": ts, "block_id": "ticket", "action_id": "close"}
    assert slack.sim("POST", "actions", pressed)["ok"] is True
    eventually_now(lambda: "Closed by <@U00000001>." in texts(slack, ts))
    assert f"~{made}~" in texts(slack)


def test_the_commands_of_the_readme_bring_it_up(tmp_path: Path) -> None:
    """Word for word, but for the port, the folder of the database, and the name of Python."""
    (script,) = re.findall(r"```sh\n(.*?)```", (HERE / "README.md").read_text(), re.S)
    port = free_port()
    script = script.replace("8099", str(port)).replace("sqlite:///", f"sqlite:///{tmp_path}/")
    script = script.replace("python examples", f"{sys.executable} examples")
    script = script.replace("stateroom emulator", f"{sys.executable} -m stateroom emulator")
    script = script.replace("&\n", f"&\nuntil (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do :; done\n", 1)
    slack = LocalSlack(f"http://127.0.0.1:{port}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "STATEROOM_"))}
    clean["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(["bash", "-c", script], cwd=HERE.parents[1], env=clean, start_new_session=True) as shell:
        try:
            eventually_now(lambda: is_up(port) and reached(slack, None), 30)
            asked = slack.say("<@UB0000001> how?")
            eventually_now(lambda: "Write `/ticket what is broken`." in texts(slack, asked))
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def is_up(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


DRIVER = """
from slack_bolt import BoltRequest
from slack_sdk.oauth.installation_store import Installation

bot = {"bot_token": "xoxb-local-1", "bot_id": "B1", "bot_user_id": "UB1"}
app.installation_store.save(Installation(team_id="T00000001", user_id="U00000001", **bot))
event = {"type": "app_mention", "user": "U00000001", "text": "hi", "ts": "1700000000.000100", "channel": "C00000001"}
body = {"type": "event_callback", "team_id": "T00000001", "event": event, "event_id": "Ev1"}
for _ in range(3):
    assert app.dispatch(BoltRequest(body=body, mode="socket_mode")).status == 200
app.listener_runner.listener_executor.shutdown()
"""


def test_the_three_lines_of_the_page_work(slack: LocalSlack, tmp_path: Path) -> None:
    page = (HERE.parents[1] / "docs" / "bolt.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    local = block.replace("app = App(\n", f"app = App(\n    client=WebClient(base_url={slack.api_url!r}),\n")
    (tmp_path / "app.py").write_text(f"from slack_sdk import WebClient\n{local}\n{DRIVER}")
    subprocess.run([sys.executable, tmp_path / "app.py"], env=environment(slack, tmp_path), check=True, timeout=30)
    assert texts(slack).count("This appears once.") == 1
