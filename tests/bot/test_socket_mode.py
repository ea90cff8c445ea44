"""The promises of ingress, over Socket Mode: acknowledged only when durable, answered once, whatever is killed or cut.

`stateroom serve` as a real process on a SQLite file, a real local Slack with real WebSockets.
"""

import asyncio
import contextlib
import itertools
import json
import random
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stateroom.bot.interactions import HELP
from stateroom.cli.dev import held_port
from stateroom.slack.app_manifest import Choice, app_manifest
from stateroom.slack.features import DEFAULT
from stateroom.store import Store
from support.bot import MENTION, Child, bot, children, envelope, environment, mention, post_async
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
APP_TOKEN = "xapp-local-1"
TEAM, APP, CHANNEL = "T00000001", "A00000001", "C00000001"
END = "I will still know it."
WORD = "heron"


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """Slack that waits two seconds for an acknowledgement, and sends again after a second and a few."""
    with local_slack(time_scale=0.02, ack_seconds=2.0) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def whole(slack: LocalSlack, ts: str) -> list[dict[str, Any]]:
    found = slack.replies(ts)
    return found if found and not any(m.get("streaming") for m in found) else []


def status(url: str, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def disturb(slack: LocalSlack, do: str) -> None:
    slack.sim("POST", "sockets", {"app_id": APP, "do": do})


def sockets(slack: LocalSlack) -> list[dict[str, Any]]:
    return [one for one in slack.sim("GET", "sockets")["sockets"] if not one["draining"]]


async def kept(store: str, ts: str) -> list[str]:
    async with Store(store) as opened:
        found = await opened.team(TEAM).thread(CHANNEL, ts).entries(limit=100)
        return [entry.turn_id for entry in found.items]


async def test_a_mention_over_a_socket_is_answered_once(slack: LocalSlack) -> None:
    async with bot(slack, app_token=APP_TOKEN, signing_secret="") as url:
        assert await asyncio.to_thread(status, url) == (200, {"ok": True})
        ts = slack.say(f"{MENTION} hello")
        (answer,) = await eventually(lambda: [m for m in whole(slack, ts) if m["text"].endswith(END)])
        assert "hello" in answer["text"]
        sent = [d for d in slack.deliveries() if d.get("status")]
        assert {(d["transport"], d["status"]) for d in sent} == {("socket", 200)}


async def test_without_a_signing_secret_nobody_comes_in_over_http(slack: LocalSlack) -> None:
    async with bot(slack, app_token=APP_TOKEN, signing_secret="", worker=False) as url:
        body = envelope(mention("x", f"{int(time.time())}.000100"))
        assert (await post_async(url, body))[0] == 401
        assert (await post_async(url, body, {}))[0] == 401


async def test_what_is_not_durable_is_not_acknowledged_and_comes_again(
    slack: LocalSlack, tmp_path: Path, store: str
) -> None:
    async with bot(slack, store, app_token=APP_TOKEN):
        with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as file:
            file.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON items_sr_inbox BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
            ts = slack.say(f"{MENTION} {WORD}")
            await eventually(lambda: [d for d in slack.deliveries() if d.get("reason")])
            assert not [d for d in slack.deliveries() if d.get("status")]
            file.execute("DROP TRIGGER refuse")
        await eventually(lambda: whole(slack, ts), 20)
        await eventually(lambda: all(d["status"] == 200 for d in slack.deliveries() if not d.get("reason")))
        assert len(slack.replies(ts)) == 1


async def test_an_envelope_that_comes_again_is_answered_once(slack: LocalSlack) -> None:
    for event in ("app_mention", "message"):
        slack.fault("duplicate", event=event, count=3)
        slack.fault("drop_ack", event=event, count=3)
    async with bot(slack, app_token=APP_TOKEN):
        said = [slack.say(f"{MENTION} {number}") for number in range(4)]
        for ts in said:
            await eventually(lambda ts=ts: whole(slack, ts), 20)
        await eventually(lambda: slack.stats() == {"acknowledged": 4, "answered": 4, "lost": 0, "doubled": 0}, 20)


@pytest.mark.parametrize("do", ["warning", "refresh_requested", "cut"])
async def test_a_socket_that_ends_is_replaced_and_nothing_is_lost(slack: LocalSlack, do: str) -> None:
    async with bot(slack, app_token=APP_TOKEN) as url:
        said = [slack.say(f"{MENTION} before")]
        before = {one["connection_id"] for one in sockets(slack)}
        disturb(slack, do)
        said.append(slack.say(f"{MENTION} while"))
        await eventually(lambda: {one["connection_id"] for one in sockets(slack)} - before, 20)
        said.append(slack.say(f"{MENTION} after"))
        for ts in said:
            await eventually(lambda ts=ts: whole(slack, ts), 20)
        await eventually(lambda: slack.stats() == {"acknowledged": 3, "answered": 3, "lost": 0, "doubled": 0}, 20)
        assert (await asyncio.to_thread(status, url))[0] == 200


@pytest.fixture
def patient() -> Iterator[LocalSlack]:
    """Slack that waits for long: what a person does is sent once, and a slow machine is no reason to tell them no."""
    with local_slack(ack_seconds=30.0) as running:
        yield running


async def test_commands_and_shortcuts_come_over_the_socket_and_are_answered_in_the_acknowledgement(
    patient: LocalSlack,
) -> None:
    slack = patient
    slack.sim("POST", "apps", {"app_id": APP, "manifest": app_manifest(Choice(DEFAULT)), "signing_secret": "s"})
    async with bot(slack, app_token=APP_TOKEN, offline_pace=0.1):
        done = await slack.begin("command", channel=CHANNEL, command="/stateroom", text="help")
        assert (done["ok"], done["delivered"]["transport"]) == (True, "socket")
        assert [m["text"] for m in slack.messages() if m.get("bot_id")] == [HELP]
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in slack.replies(ts) if len(m["text"]) > 60])
        (growing,) = slack.replies(ts)
        done = await slack.begin("shortcut", callback_id="stateroom_stop", channel=CHANNEL, ts=growing["ts"])
        assert (done["ok"], done["delivered"]["transport"]) == (True, "socket"), done
        (answer,) = await eventually(lambda: whole(slack, ts))
        assert not answer["text"].endswith(END)


# --- real processes


class Site:
    """`stateroom serve` over Socket Mode, started again and again on one file."""

    def __init__(self, slack: LocalSlack, folder: Path, begin: Callable[..., Child]) -> None:
        self.slack = slack
        self.folder = folder
        self.store = f"sqlite:///{folder}/state.db"
        self._begin = begin
        self._numbers = itertools.count()

    def serve(self, *options: str, **more: str) -> Child:
        log = self.folder / f"serve-{next(self._numbers)}.log"
        given = {"SLACK_APP_TOKEN": APP_TOKEN, "SLACK_SIGNING_SECRET": "", **more}
        return self._begin(["serve", "--port", "0", *options], environment(self.slack, self.store, **given), log)


@pytest.fixture
def site(slack: LocalSlack, tmp_path: Path) -> Iterator[Site]:
    with children() as begin:
        yield Site(slack, tmp_path, begin)
    for log in tmp_path.glob("*.log"):
        written = log.read_text()
        assert not [secret for secret in (WORD, APP_TOKEN, "xoxb-local-1", "ticket=") if secret in written], log.name


async def test_what_was_acknowledged_survives_kill_9_and_is_answered_once(site: Site) -> None:
    first = site.serve(STATEROOM_OFFLINE_PACE="0.05")
    await eventually(lambda: sockets(site.slack))
    said = [site.slack.say(f"{MENTION} {WORD} {number}") for number in range(3)]
    await eventually(lambda: len({d["event_id"] for d in site.slack.deliveries() if d.get("status") == 200}) >= 3)
    first.kill()
    site.serve()
    for ts in said:
        await eventually(lambda ts=ts: [m for m in whole(site.slack, ts) if m["text"].endswith(END)], 30)
        assert len(site.slack.replies(ts)) == 1
    for ts in said:
        ends = time.monotonic() + 30
        while await kept(site.store, ts) != [f"{CHANNEL}:{ts}"]:
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)


async def test_forty_messages_under_kill_9_and_cut_sockets_are_answered_once_each(site: Site) -> None:
    chance = random.Random(20261121)
    serving = [site.serve("--no-worker"), site.serve()]
    await eventually(lambda: len(sockets(site.slack)) == 2)
    said = []
    for number in range(40):
        said.append(site.slack.say(f"{MENTION} {WORD} {number}"))
        if number in (8, 20, 31):
            victim = chance.randrange(2)
            serving[victim].kill()
            serving[victim] = site.serve(*(["--no-worker"] if victim == 0 else []))
        if number in (14, 27):
            disturb(site.slack, "cut")
        await asyncio.sleep(chance.random() * 0.02)
    for ts in said:
        await eventually(lambda ts=ts: [m for m in whole(site.slack, ts) if m["text"].endswith(END)], 90)
    want = {"acknowledged": 40, "answered": 40, "lost": 0, "doubled": 0}
    await eventually(lambda: site.slack.stats() == want, 60)


async def test_serving_begins_while_slack_is_down_and_connects_when_it_is_back(tmp_path: Path) -> None:
    with held_port(0) as port, children() as begin:  # nobody else is given it meanwhile
        nobody = LocalSlack(f"http://127.0.0.1:{port}")
        given = environment(nobody, f"sqlite:///{tmp_path}/state.db", SLACK_APP_TOKEN=APP_TOKEN)
        serving = begin(["serve", "--port", "0"], given, tmp_path / "serve.log")
        code, said = await asyncio.to_thread(status, serving.url)
        assert (code, said["error"]) == (503, "disconnected")
        assert (await asyncio.to_thread(status, serving.url, "/healthz"))[0] == 200
        with local_slack(port=port) as slack:
            await eventually(lambda: sockets(slack), 20)
            assert (await asyncio.to_thread(status, serving.url))[0] == 200
            ts = slack.say(f"{MENTION} hello")
            await eventually(lambda: whole(slack, ts), 40)


async def test_on_sigterm_it_hands_back_what_it_held_within_ten_seconds(site: Site) -> None:
    first = site.serve(STATEROOM_OFFLINE_PACE="0.5")
    await eventually(lambda: sockets(site.slack))
    ts = site.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: site.slack.replies(ts))
    first.process.terminate()
    assert first.process.wait(10) == 0
    site.serve()
    await eventually(lambda: [m for m in whole(site.slack, ts) if m["text"].endswith(END)], 20)


async def test_with_no_socket_events_come_over_http_whatever_token_is_set(site: Site) -> None:
    serving = site.serve("--no-socket", SLACK_SIGNING_SECRET="local-signing-secret")
    assert (await asyncio.to_thread(status, serving.url))[0] == 200
    assert sockets(site.slack) == []
    site.slack.register(f"{serving.url}/slack/events")
    ts = site.slack.say(f"{MENTION} {WORD}")
    await eventually(lambda: whole(site.slack, ts), 20)
