"""What the local Slack writes to its log at debug level, and what its ledgers keep: no token, ticket or secret."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_SECRET, SEED_TOKEN
from support.bolt_apps import MANIFEST, button, field, modal
from support.local_slack import PATIENCE, Json, LocalSlack, SimError
from support.sockets import APP_TOKEN, Socket

pytestmark = pytest.mark.service

CHANNEL, WORDS = "C00000001", "my secret words"


@pytest.fixture
def loud(tmp_path: Path) -> Iterator[tuple[LocalSlack, Path, int]]:
    """The command as people start it, logging all it can, where its log is, and its pid."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "stateroom", "emulator", "--port", "0", "--state", f"sqlite:///{tmp_path}/s.db"]
    env = {**os.environ, "STATEROOM_LOG_LEVEL": "debug", "PYTHONASYNCIODEBUG": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=file, text=True)
    assert process.stdout is not None
    try:
        yield LocalSlack(process.stdout.readline().split()[1]), log, process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


async def test_neither_log_nor_ledger_holds_what_lets_others_in(loud: tuple[LocalSlack, Path, int]) -> None:
    slack, log, pid = loud
    secrets = [SEED_TOKEN, APP_TOKEN, SEED_SECRET, SEED_CLIENT_SECRET]
    secrets += await asyncio.to_thread(tokens_that_are_exchanged, slack)
    async with Socket(slack) as socket:
        secrets.append(socket._url.partition("ticket=")[2].partition("&")[0])
        secrets += await conversation(slack, socket)
        await socket._socket.send_str("[" * 3000)
    with pytest.raises(SimError):
        slack.sim("POST", "actions", {"kind": "submit", "view_id": WORDS})
    slack.request("POST", f"/api/{WORDS.replace(' ', '')}?token={SEED_TOKEN}", b"\xff")
    until_the_disk_is_full(slack, pid)
    written = log.read_text()
    assert "s.db" in written, "something was logged"
    ledgers = {name: json.dumps(slack.sim("GET", name)) for name in ("calls", "deliveries", "interactions", "pending")}
    assert [one for one in (*secrets, WORDS) if one in written] == []
    assert {name: one for name, held in ledgers.items() for one in secrets if one in held} == {}


def until_the_disk_is_full(slack: LocalSlack, pid: int) -> None:
    """What is said is written nowhere any more: the local Slack refuses it, and logs why."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
    for _ in range(100):
        status, _, _ = slack.request("POST", "/_sim/messages", {"text": WORDS * 500, "channel": CHANNEL})
        if status == 500:
            break
    else:
        raise AssertionError("it kept 700 KB where there was room for 64")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def tokens_that_are_exchanged(slack: LocalSlack) -> list[str]:
    """Every secret of an app that is installed, renewed and exchanged."""
    keys = {"client_id": "ci", "client_secret": "a-client-secret"}
    rotating = {"settings": {"token_rotation_enabled": True}}
    slack.sim("POST", "apps", {"app_id": "A0LOGS0001", "manifest": rotating, **keys})
    pair = slack.sim("POST", "apps/A0LOGS0001/install", {"scopes": ["chat:write"]})
    refresh = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    renewed = slack.call("oauth.v2.access", token=None, **keys, **refresh)
    again = slack.call("oauth.v2.access", token=None, **keys, **refresh)
    wrong = {"client_id": SEED_CLIENT_ID, "client_secret": "a-wrong-secret", "code": "a-wrong-code"}
    slack.call("oauth.v2.access", token=None, **wrong)
    slack.call("auth.revoke", token=renewed["access_token"])
    assert (renewed["ok"], again["ok"]) == (True, False)
    tokens = [one[name] for one in (pair, renewed) for name in ("access_token", "refresh_token")]
    return [*tokens, keys["client_secret"], wrong["client_secret"], wrong["code"]]


def opens(slack: LocalSlack, trigger: str) -> bool:
    """Whether a modal could be opened; a busy machine may be too late for a trigger's three seconds."""
    answer = slack.call("views.open", trigger_id=trigger, view=modal("form", [field("name")]))
    assert answer["ok"] or answer["error"] == "expired_trigger_id", answer
    return bool(answer["ok"])


async def conversation(slack: LocalSlack, socket: Socket) -> list[str]:
    """A command, a press, a modal, a file; returns what of it lets others in."""
    slack.sim("POST", "apps", {"app_id": "A00000001", "manifest": MANIFEST})
    blocks = [{"type": "actions", "block_id": "do", "elements": [button("go")]}]
    ts = slack.call("chat.postMessage", channel=CHANNEL, text=WORDS, blocks=blocks)["ts"]
    acts: list[Json] = [
        {"kind": "command", "channel": CHANNEL, "command": "/hello", "text": WORDS},
        {"kind": "press", "channel": CHANNEL, "ts": ts, "action_id": "go"},
        {"kind": "shortcut", "callback_id": "start"},
    ]
    urls = []
    for act in [*acts, *[acts[-1]] * 5]:
        asked = asyncio.create_task(slack.begin(**act))
        while (envelope := await socket.take())["type"] == "events_api":
            pass
        await asked
        urls.append(envelope["payload"].get("response_url"))
        trigger = envelope["payload"]["trigger_id"]
        if len(urls) >= len(acts) and opens(slack, trigger):
            break
    else:
        raise AssertionError("no modal could be opened")
    slack.request("POST", urlsplit(urls[1]).path, {"text": WORDS})
    upload = slack.call("files.getUploadURLExternal", filename="a.txt", length=3)["upload_url"]
    slack.request("POST", urlsplit(upload).path, b"abc")
    return [urlsplit(upload).path.rpartition("/")[2]]
