"""Datastores with time, faults, rate limits and kills. docs/slack-parity.md points here."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.emulator.config import SEED_TOKEN
from stateroom.emulator.tiers import TIER_3, TIER_4, Allowances
from support.datastores import ARGS, METHODS, AppStore, Json, ids, manifest, register
from support.local_slack import Clock, LocalSlack, SlackProcess, eventually_now, local_slack, local_slack_process

pytestmark = pytest.mark.service


@pytest.fixture
def store(slack: LocalSlack) -> AppStore:
    return register(slack)


@pytest.fixture(scope="module")
def slack_of_module() -> Iterator[LocalSlack]:
    with local_slack() as running:
        register(running)
        yield running


def test_an_expired_item_is_read_found_and_counted_until_it_is_swept(store: AppStore) -> None:
    past, future = int(time.time()) - 60, int(time.time()) + 3600
    store.fill([{"key": "a", "expires": past}, {"key": "b", "expires": future}, {"key": "c"}])
    assert store.get("a") == {"key": "a", "expires": past}
    assert (ids(store.ok("query")), store.ok("count")["count"]) == (["a", "b", "c"], 3)
    assert store.slack.sim("POST", "datastores/sweep") == {"ok": True, "swept": 1}
    assert (store.get("a"), ids(store.ok("query"))) == ({}, ["b", "c"])


def test_an_expired_item_goes_by_itself_after_slacks_lag_times_the_scale() -> None:
    clock = Clock()
    with local_slack(time_scale=0.01, clock=clock) as slack:  # 48 h are 1,728 s
        store, now = register(slack), int(clock())
        store.ok("put", item={"key": "a", "expires": now})
        store.ok("put", item={"key": "b", "expires": now + 3600})
        clock.forward(1727)
        store.ok("put", item={"key": "swept", "expires": now - 1})
        eventually_now(lambda: store.get("swept") == {})
        assert store.get("a") != {}
        clock.forward(1)
        eventually_now(lambda: store.get("a") == {})
        assert store.get("b") != {}


def test_a_time_more_than_five_years_ago_is_no_expiry(store: AppStore) -> None:
    store.fill([{"key": "a", "expires": 5}, {"key": "c"}])
    store.ok("put", item={"key": "b", "expires": int(time.time()) - 4 * 365 * 86_400})
    store.slack.sim("POST", "datastores/sweep")  # if it has not gone by itself, long expired as it is
    assert ids(store.ok("query")) == ["a", "c"]


def test_an_item_that_got_a_later_time_stays(store: AppStore) -> None:
    past = int(time.time()) - 60
    store.ok("put", item={"key": "a", "expires": past})
    store.ok("update", item={"key": "a", "expires": past + 3600})
    store.ok("put", item={"key": "b", "expires": past})
    store.ok("put", item={"key": "b"})
    assert store.slack.sim("POST", "datastores/sweep")["swept"] == 0


def test_a_bulk_call_may_fail_in_part_and_the_rest_is_done(store: AppStore) -> None:
    items = [{"key": "a"}, {"key": "b"}, {"key": "c", "count": 1}]
    store.slack.fault("partial_failure", method="apps.datastore.*", failures=2, count=3)
    answer = store.refused("bulkPut", items=items)
    assert answer == {"error": "partial_failure", "datastore": "tickets", "failed_items": items[1:]}
    assert ids(store.ok("query")) == ["a"]
    store.ok("put", item={"key": "b"})
    got = store.refused("bulkGet", ids=["b", "gone", "a"])
    assert got == {
        "error": "partial_failure",
        "datastore": "tickets",
        "items": [{"key": "b"}],
        "failed_items": ["gone", "a"],
    }
    assert store.refused("bulkDelete", ids=["a", "b"]) == {"error": "partial_failure", "failed_items": ["a", "b"]}
    assert store.ok("bulkDelete", ids=["a", "b"]) == {"failed_items": []}


def test_sending_what_failed_again_ends_well(store: AppStore) -> None:
    store.slack.fault("partial_failure", method="apps.datastore.bulkPut", failures=10, count=2)
    left, calls = [{"key": f"{number:02}"} for number in range(25)], 0
    while left:
        left, calls = store.call("bulkPut", items=left)["failed_items"], calls + 1
    assert (calls, store.ok("count")["count"]) == (3, 25)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "code",
    [
        "access_denied",
        "free_team_not_allowed",
        "restricted_plan_level",
        "datastore_migration_in_progress",
        "team_quota_exceeded",
        "invalid_datastore",
        "token_revoked",
    ],
)
def test_every_other_code_can_be_had_with_a_fault(slack_of_module: LocalSlack, method: str, code: str) -> None:
    slack_of_module.fault("error", method=f"apps.datastore.{method}", code=code)
    store = AppStore(slack_of_module)
    assert store.refused(method, **ARGS[method])["error"] == code
    assert store.call(method, **ARGS[method])["ok"] is True


@pytest.mark.parametrize("method", METHODS)
def test_a_throttled_method_answers_429_with_whole_seconds(slack_of_module: LocalSlack, method: str) -> None:
    slack_of_module.fault("throttle", method=f"apps.datastore.{method}", retry_after=3)
    headers = {"Authorization": f"Bearer {SEED_TOKEN}"}
    body = {"datastore": "tickets", **ARGS[method]}
    status, answer, found = slack_of_module.request("POST", f"/api/apps.datastore.{method}", body, headers)
    assert (status, answer, found["retry-after"]) == (429, {"ok": False, "error": "ratelimited"}, "3")


@pytest.mark.parametrize("apply", [False, True])
def test_an_answer_that_never_comes_may_hide_a_put_that_took_effect(store: AppStore, apply: bool) -> None:
    store.slack.fault("timeout", method="apps.datastore.put", seconds=30, apply=apply)
    client = WebClient(token=store.token, base_url=store.slack.api_url, timeout=1)
    with pytest.raises(TimeoutError):
        client.api_call("apps.datastore.put", json={"datastore": "tickets", "item": {"key": "a"}})
    eventually_now(lambda: store.slack.calls("apps.datastore.put"))  # it has come, and is held
    assert store.get("a") == ({"key": "a"} if apply else {})


def test_an_error_may_come_after_the_put_took_effect(store: AppStore) -> None:
    store.slack.fault("error", method="apps.datastore.put", code="fatal_error", after_apply=True)
    assert store.refused("put", item={"key": "a"})["error"] == "fatal_error"
    assert store.get("a") == {"key": "a"}


@pytest.mark.parametrize(("method", "allowed"), [("query", 100), ("count", 50)])
def test_tiers_allow_so_many_a_minute_for_each_method_and_app(method: str, allowed: int) -> None:
    with local_slack(tiers=True) as slack:
        store, calls, began = register(slack), 0, time.monotonic()
        while (answer := store.call(method))["ok"]:
            calls += 1
        refilled = (time.monotonic() - began) * allowed / 60  # evenly, while we asked
        assert answer == {"ok": False, "error": "ratelimited"}
        assert allowed <= calls <= allowed + refilled + 1
        assert store.call("get", id="a")["ok"] is True
        assert register(slack, "A0OTHER").call(method)["ok"] is True
        slack.add_team("T00000002", bot_token="xoxb-two")
        assert AppStore(slack, "xoxb-two").call(method)["ok"] is True


def test_who_waits_as_long_as_it_is_told_is_served() -> None:
    for tier in (TIER_3, TIER_4):
        allowances, key = Allowances(), ("A", "T", "m", "")
        answers = [allowances.take(key, tier, 0.0, 1.0) for _ in range(tier.allowed + 1)]
        assert answers[:-1] == [None] * tier.allowed
        assert answers[-1] is not None
        assert allowances.take(key, tier, answers[-1] - 1, 1.0) == 1
        assert allowances.take(key, tier, answers[-1], 1.0) is None


def test_slacks_python_client_waits_as_long_as_it_is_told(store: AppStore) -> None:
    store.slack.fault("throttle", method="apps.datastore.get", retry_after=1)
    handler = RateLimitErrorRetryHandler(max_retry_count=1)
    client = WebClient(token=store.token, base_url=store.slack.api_url, retry_handlers=[handler])
    began = time.monotonic()
    assert client.api_call("apps.datastore.get", json={"datastore": "tickets", "id": "a"})["item"] == {}
    assert time.monotonic() - began >= 1


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    config = {"state": f"sqlite:///{tmp_path}/slack.db"}
    with local_slack_process(**config) as first:
        store = register(first.slack)
        acknowledged = asyncio.run(_write_until_killed(first, store))
    with local_slack_process(**config) as second:
        after = AppStore(second.slack, store.token, store.app_id)
        assert after.ok("count")["count"] >= len(acknowledged) > 50
        for item in acknowledged:
            assert after.get(item["key"]) == item
        assert after.get("gone") == {}
        assert after.ok("update", item={"key": "000", "state": "x"})["item"]["points"] == 0.5


async def _write_until_killed(running: SlackProcess, store: AppStore) -> list[Json]:
    """Four writers; the process is killed while they write. The items whose writing was answered."""
    client = AsyncWebClient(token=store.token, base_url=store.slack.api_url)
    done: list[Json] = []

    async def call(method: str, **args: Any) -> None:
        await client.api_call(f"apps.datastore.{method}", json={"datastore": "tickets", **args})

    await call("put", item={"key": "gone"})
    await call("delete", id="gone")

    async def write(first: int) -> None:
        for number in range(first, 1000, 4):
            item = {"key": f"{number:03}", "state": "x" * 200, "points": number + 0.5}
            try:
                await call("put", item=item)
            except (SlackApiError, OSError, aiohttp.ClientError):
                return
            done.append(item)
            if len(done) == 60:
                running.kill()

    await asyncio.gather(*(write(first) for first in range(4)))
    return done


def test_what_was_deleted_with_its_datastore_does_not_come_back_after_a_restart(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/slack.db"
    with local_slack(state=state) as slack:
        store = register(slack)
        store.ok("put", item={"key": "a"})
        register(slack, said=manifest(datastores={}))
        register(slack)
        store.ok("put", item={"key": "b", "expires": int(time.time()) - 60})
    with local_slack(state=state) as slack:
        store = AppStore(slack)
        assert ids(store.ok("query")) == ["b"]
        assert slack.sim("POST", "datastores/sweep")["swept"] == 1
    with local_slack(state=state) as slack:
        assert AppStore(slack).ok("count")["count"] == 0


def test_a_restart_shows_an_item_as_it_was_changed_last(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/slack.db"
    with local_slack(state=state) as slack:
        store = register(slack)
        store.fill([{"key": "a", "state": "first"}, {"key": "b", "state": "first"}, {"key": "c"}])
        store.ok("put", item={"key": "a", "state": "second"})
        store.ok("update", item={"key": "b", "count": 2})
        store.ok("bulkDelete", ids=["c"])
    with local_slack(state=state) as slack:
        assert AppStore(slack).ok("query")["items"] == [
            {"key": "a", "state": "second"},
            {"key": "b", "state": "first", "count": 2},
        ]


def test_a_reset_forgets_the_items_and_keeps_the_datastores(store: AppStore) -> None:
    store.ok("put", item={"key": "a"})
    store.slack.reset()
    assert store.get("a") == {}
    assert store.slack.sim("GET", "datastores") == {
        "datastores": [{"app_id": store.app_id, "datastore": "tickets", "items": 0}]
    }
