"""A user's own Bolt app as a process, over HTTP and over Socket Mode; and kill -9 inside of its listeners."""

from __future__ import annotations

from typing import Any

import pytest

from stateroom import sync
from stateroom.emulator.config import SEED_BOT_USER, SEED_CHANNEL, SEED_TEAM
from stateroom.engines.port import Query
from support.local_slack import Json, eventually_now

from .conftest import BoltApps

pytestmark = pytest.mark.service
MENTION = f"<@{SEED_BOT_USER}>"
FACES = ("sync", "async")
TRANSPORTS = ("http", "socket")


def jobs(apps: BoltApps) -> list[Json]:
    async def look(store: Any) -> list[Json]:
        page = await store.engine.query(Query("sr_jobs", SEED_TEAM, 20))
        return [row.item for row in page.rows]

    with sync.open(apps.store) as store:
        return store.ask(look)


def over(apps: BoltApps) -> list[Json]:
    """The jobs, once none is open."""
    return eventually_now(lambda: all(one["state"] in ("done", "failed") for one in jobs(apps)) and jobs(apps)) or []


def texts(apps: BoltApps) -> list[str]:
    return [str(one["text"]) for one in apps.slack.messages() if "bot_id" in one]


def command(apps: BoltApps, text: str = "") -> Json:
    about = {"kind": "command", "command": "/ticket", "text": text, "channel": SEED_CHANNEL}
    return apps.slack.sim("POST", "actions", about)


def press(apps: BoltApps) -> Json:
    (made,) = (one for one in apps.slack.messages() if one["text"] == "ticket made")
    about = {"kind": "press", "channel": SEED_CHANNEL, "ts": made["ts"], "block_id": "acts", "action_id": "close"}
    return apps.slack.sim("POST", "actions", about)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("face", FACES)
def test_the_same_app_works_over_http_and_over_socket_mode(apps: BoltApps, face: str, transport: str) -> None:
    apps.start(face, transport)
    ts = apps.slack.say(f"{MENTION} hello")
    eventually_now(lambda: len(apps.slack.replies(ts)) == 2)
    assert command(apps, "printer")["ok"] is True
    eventually_now(lambda: "ticket made" in texts(apps))
    shown = [one["text"] for one in apps.slack.messages()]
    assert "noted: printer" in shown  # what the ack carried
    assert press(apps)["ok"] is True
    eventually_now(lambda: "ticket closed" in texts(apps))
    assert {one["state"] for one in over(apps)} == {"done"}
    assert sorted(one["what"] for one in jobs(apps)) == ["block_actions:close", "command:/ticket", "event:app_mention"]
    assert apps.runs == ["mention", "command", "action"]


CRASHES = [(face, "http", place) for face in FACES for place in ("before", "between", "after")]
CRASHES += [(face, "socket", "between") for face in FACES]


@pytest.mark.parametrize(("face", "transport", "place"), CRASHES)
def test_a_listener_that_is_killed_runs_again_and_answers_once(
    apps: BoltApps, face: str, transport: str, place: str
) -> None:
    child = apps.start(face, transport, DIE_AT=place)
    ts = apps.slack.say(f"{MENTION} hello")
    apps.dies(child)
    apps.start(face, transport, DIE_AT=place)
    eventually_now(lambda: len(apps.slack.replies(ts)) == 2)
    (job,) = over(apps)
    assert job["state"] == "done"
    assert [one["text"] for one in apps.slack.replies(ts)] == ["first, run 2", "second"]
    assert apps.runs == ["mention", "mention"]


@pytest.mark.parametrize(("face", "place"), [("sync", "responded"), ("async", "responded")])
def test_a_command_that_was_acknowledged_runs_again(apps: BoltApps, face: str, place: str) -> None:
    child = apps.start(face, DIE_AT=place)
    command(apps, "printer")
    apps.dies(child)
    apps.start(face, DIE_AT=place)
    eventually_now(lambda: "ticket made" in texts(apps))
    (job,) = over(apps)
    shown = [one["text"] for one in apps.slack.messages()]
    assert (job["state"], apps.runs) == ("done", ["command", "command"])
    assert (shown.count("ticket made"), shown.count("seen")) == (1, 1)


def test_a_command_that_was_not_acknowledged_is_over(apps: BoltApps) -> None:
    """The person was told that it failed, and may have tried again."""
    child = apps.start("sync", DIE_AT="unacked")
    assert command(apps)["ok"] is False
    apps.dies(child)
    apps.start("sync", DIE_AT="unacked")
    (job,) = over(apps)
    assert (job["state"], job["reason"], apps.runs) == ("failed", "unacknowledged", ["command"])
