"""Shortcuts and modals of a user's own Bolt app: over HTTP and sockets, and kill -9 behind each acknowledgement."""

from __future__ import annotations

import pytest

from stateroom.emulator.config import SEED_CHANNEL
from support.local_slack import Json, eventually_now

from .conftest import BoltApps
from .test_durable_crashes import FACES, TRANSPORTS, jobs, over, texts

pytestmark = pytest.mark.service


def act(apps: BoltApps, kind: str, **more: object) -> Json:
    return apps.slack.sim("POST", "actions", {"kind": kind, **more})


def views(apps: BoltApps) -> list[Json]:
    return list(apps.slack.sim("GET", "views")["views"])


def ready(apps: BoltApps) -> str:
    """The form that the shortcut opens, once its listener is through with it."""
    seen = eventually_now(lambda: [one for one in views(apps) if one["private_metadata"] == "ready"])
    assert len(views(apps)) == 1
    return str(seen[0]["id"])


def opened(apps: BoltApps) -> str:
    assert act(apps, "shortcut", callback_id="start")["ok"] is True
    return ready(apps)


def named(name: str) -> Json:
    return {"name": {"it": {"value": name}}}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("face", FACES)
def test_shortcuts_and_modals_work_over_http_and_over_socket_mode(apps: BoltApps, face: str, transport: str) -> None:
    apps.start(face, transport)
    view_id = opened(apps)
    assert act(apps, "submit", view_id=view_id, values=named("bad"))["errors"] == {"name": "too bad"}
    assert act(apps, "submit", view_id=view_id, values=named("ada"))["response_action"] == "none"
    eventually_now(lambda: "thanks ada" in texts(apps))
    assert act(apps, "close", view_id=opened(apps))["ok"] is True
    eventually_now(lambda: "never mind" in texts(apps))
    ts = apps.slack.say("a thing")
    assert act(apps, "shortcut", callback_id="note", channel=SEED_CHANNEL, ts=ts)["ok"] is True
    eventually_now(lambda: "noted a thing" in texts(apps))
    assert {one["state"] for one in over(apps)} == {"done"}
    assert sorted(one["what"] for one in jobs(apps)) == [
        "message_action:note",
        "shortcut:start",
        "shortcut:start",
        "view_closed:form",
        "view_submission:form",
        "view_submission:form",
    ]
    assert apps.runs == ["start", "submitted", "submitted", "start", "closed", "note"]


CRASHES = [(face, transport) for face in FACES for transport in TRANSPORTS]


@pytest.mark.parametrize(("face", "transport"), CRASHES)
def test_a_modal_is_opened_once_over_a_crash_and_its_id_is_known_to_the_rerun(
    apps: BoltApps, face: str, transport: str
) -> None:
    child = apps.start(face, transport, DIE_AT="opened")
    act(apps, "shortcut", callback_id="start")
    apps.dies(child)
    before = [one["id"] for one in views(apps)]
    apps.start(face, transport, DIE_AT="opened")
    assert [ready(apps)] == before
    (job,) = over(apps)
    assert (job["state"], apps.runs) == ("done", ["start", "start"])
    assert sum(one["ok"] for one in apps.slack.calls("views.open")) == 1


@pytest.mark.parametrize(("face", "transport"), CRASHES)
def test_a_submission_that_was_acknowledged_runs_again_and_says_its_thing_once(
    apps: BoltApps, face: str, transport: str
) -> None:
    child = apps.start(face, transport, DIE_AT="submitted")
    view_id = opened(apps)
    act(apps, "submit", view_id=view_id, values=named("ada"))
    apps.dies(child)
    apps.start(face, transport, DIE_AT="submitted")
    eventually_now(lambda: "thanks ada" in texts(apps))
    assert {one["state"] for one in over(apps)} == {"done"}
    assert (apps.runs, texts(apps).count("thanks ada")) == (["start", "submitted", "submitted"], 1)


@pytest.mark.parametrize(("place", "said"), [("closed", "never mind"), ("noted", "noted a thing")])
def test_what_follows_a_closed_modal_or_a_message_shortcut_outlives_a_crash(
    apps: BoltApps, place: str, said: str
) -> None:
    child = apps.start("sync", DIE_AT=place)
    if place == "closed":
        act(apps, "close", view_id=opened(apps))
    else:
        act(apps, "shortcut", callback_id="note", channel=SEED_CHANNEL, ts=apps.slack.say("a thing"))
    apps.dies(child)
    apps.start("sync", DIE_AT=place)
    eventually_now(lambda: said in texts(apps))
    assert {one["state"] for one in over(apps)} == {"done"}
    assert texts(apps).count(said) == 1
