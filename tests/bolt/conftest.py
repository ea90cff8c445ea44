"""A local Slack, and Bolt apps as child processes of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stateroom.emulator.config import SEED_APP, SEED_SECRET, SEED_TOKEN
from support.local_slack import PATIENCE, Json, LocalSlack, local_slack
from support.sockets import APP_TOKEN

CHILD = Path(__file__).parents[1] / "support" / "bolt_child.py"

ADDRESS = "https://app.example/slack/events"
MANIFEST: Json = {
    "display_information": {"name": "Tickets"},
    "features": {
        "slash_commands": [{"command": "/ticket", "url": ADDRESS, "description": "Make a ticket"}],
        "shortcuts": [
            {"name": "Start", "type": "global", "callback_id": "start", "description": "Opens a form"},
            {"name": "Note", "type": "message", "callback_id": "note", "description": "Notes a message"},
        ],
    },
    "settings": {"interactivity": {"is_enabled": True, "request_url": ADDRESS}},
}
SOCKETS: Json = {**MANIFEST, "settings": {**MANIFEST["settings"], "socket_mode_enabled": True}}


@pytest.fixture(scope="module")
def running_slack() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.05) as running:
        yield running


@pytest.fixture
def slack(running_slack: LocalSlack) -> LocalSlack:
    running_slack.reset()
    return running_slack


@dataclass
class BoltApps:
    """Starts `tests/support/bolt_child.py` and brings it back when it was killed."""

    slack: LocalSlack
    place: Path
    begun: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def store(self) -> str:
        return f"sqlite:///{self.place}/state.db"

    @property
    def runs(self) -> list[str]:
        path = self.place / "runs"
        return path.read_text().split() if path.exists() else []

    def start(self, face: str, transport: str = "http", **more: str) -> subprocess.Popen[str]:
        (self.place / "runs").touch()
        if transport == "socket":
            self.slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": SOCKETS, "signing_secret": SEED_SECRET})
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(CHILD.parents[2] / "src"), os.environ.get("PYTHONPATH", "")]),
            "STATEROOM_STORE": self.store,
            "SLACK_BOT_TOKEN": SEED_TOKEN,
            "SLACK_SIGNING_SECRET": SEED_SECRET,
            "SLACK_API_URL": self.slack.api_url,
            "SLACK_APP_TOKEN": APP_TOKEN,
            "RUNS": str(self.place / "runs"),
            **more,
        }
        with (self.place / "log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, str(CHILD), face, transport], env=env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.begun.append(child)
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("ready"), (self.place / "log").read_text()[-2000:]
        if transport == "http":
            self.slack.register(f"{line.split()[1]}/slack/events", manifest=MANIFEST)
        return child

    def dies(self, child: subprocess.Popen[str]) -> None:
        """Wait until it was killed by itself."""
        assert child.wait(PATIENCE) == -9, (self.place / "log").read_text()[-2000:]

    def end(self) -> None:
        for child in self.begun:
            if child.poll() is None:
                child.kill()
            child.wait(PATIENCE)
            if child.stdout is not None:
                child.stdout.close()


@pytest.fixture
def apps(slack: LocalSlack, tmp_path: Path) -> Iterator[BoltApps]:
    begun = BoltApps(slack, tmp_path)
    yield begun
    begun.end()
