"""kill -9 inside a user's own Bolt listener: it runs again, and what it says appears once."""

from __future__ import annotations

import pytest

from stateroom.emulator.config import SEED_BOT_USER
from support.local_slack import eventually_now

from .conftest import BoltApps

pytestmark = pytest.mark.service
MENTION = f"<@{SEED_BOT_USER}>"
FACES = ("sync", "async")


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_a_listener_that_is_killed_runs_again_and_answers_once(apps: BoltApps, face: str, place: str) -> None:
    child = apps.start(face, DIE_AT=place)
    ts = apps.slack.say(f"{MENTION} hello")
    apps.dies(child)
    apps.start(face, DIE_AT=place)
    answers = eventually_now(lambda: len(found := apps.slack.replies(ts)) == 2 and found)
    assert answers
    eventually_now(lambda: is_over(apps))
    assert [one["text"] for one in apps.slack.replies(ts)] == ["first, run 2", "second"]
    assert apps.runs == ["mention", "mention"]


def is_over(apps: BoltApps) -> bool:
    from stateroom import sync
    from stateroom.engines.port import Query

    async def look(store):  # type: ignore[no-untyped-def]
        return (await store.engine.query(Query("sr_jobs", "T00000001", 10))).rows

    with sync.open(apps.store) as store:
        return all(row.item["state"] in ("done", "failed") for row in store.ask(look))
