"""Sixty-four requests in four processes and a token about to expire: one refresh, and none fails."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stateroom.emulator.config import SEED_CLIENT_ID
from stateroom.slack.oauth import installation_of
from stateroom.store import Store
from support.browser import who
from support.installations import KEYS, KEYS_TEXT
from support.installing import app_manifest, authorize_path, installed
from support.local_slack import LocalSlack, local_slack

pytestmark = pytest.mark.service
TEAM, PROCESSES, EACH = "T0RACE0001", 4, 16
WORKER = Path(__file__).parents[1] / "support" / "refreshing_worker.py"


async def store_one(slack: LocalSlack, url: str, seconds: int) -> None:
    """A bot whose token ends so soon."""
    answer = installed(slack, authorize_path(), **who(slack, TEAM))
    async with Store(url, keys=KEYS) as store:
        found = installation_of(answer, {"bot_id": "B1"})
        ends = {"bot_token_expires_at": int(time.time()) + seconds}
        await store.installations(client_id=SEED_CLIENT_ID).save({**found, **ends})


def raced(slack: LocalSlack, url: str) -> list[dict[str, Any]]:
    """What each process got."""
    env = {**os.environ, "STATEROOM_KEYS": KEYS_TEXT}
    command = [sys.executable, str(WORKER), url, slack.api_url, str(EACH), TEAM]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, env=env, **pipes) for _ in range(PROCESSES)]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [json.loads(child.communicate(timeout=30)[0]) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()


@pytest.mark.parametrize("seconds", [60, -60], ids=["about to expire", "expired"])
async def test_sixty_four_requests_in_four_processes_are_one_refresh(tmp_path: Path, seconds: int) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    with local_slack() as slack:
        slack.register("http://127.0.0.1:9/", manifest=app_manifest(token_rotation_enabled=True))
        slack.add_team(TEAM, install=False)
        await store_one(slack, url, seconds)
        before = len(slack.calls("oauth.v2.access"))
        done = raced(slack, url)
        assert [one["errors"] for one in done] == [[]] * PROCESSES
        got = [token for one in done for token in one["got"]]
        assert len(got) == PROCESSES * EACH
        assert len(set(got)) == 1
        assert len(slack.calls("oauth.v2.access")) == before + 1
