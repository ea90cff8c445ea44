"""The two functions in processes of their own, called by a gateway, a queue and a clock: seed 002's shape, whole."""

import asyncio
import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_TEAM
from stateroom.slack.app_manifest import Choice, app_manifest
from stateroom.store import Store
from support import browser, dynamodb
from support.bedrock import bedrock, say, throttled
from support.bot import MENTION, envelope, environment, mention, post
from support.browser import Browser, channel_of, own_bot, who
from support.lambda_host import SCHEDULED, Environment, Host, hosted, queue_event
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
KEYS = "k1:" + "A" * 43 + "="


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        yield running


@pytest.fixture
def queue() -> Iterator[str]:
    """An SQS queue of moto's; its URL."""
    client = boto3.client("sqs", region_name=dynamodb.REGION, endpoint_url=dynamodb.server())
    url = client.create_queue(QueueName=f"work-{secrets.token_hex(4)}")["QueueUrl"]
    yield url
    client.delete_queue(QueueUrl=url)


@pytest.fixture
def store() -> Iterator[str]:
    """The URL of a store in DynamoDB whose table `stateroom migrate` has made."""
    url = dynamodb.fresh_table()

    async def make() -> None:
        async with Store(url, migrating=True) as made:
            await made.migrate([], apply=True)

    asyncio.run(make())
    yield url
    dynamodb.drop_table(url)


def variables(slack: LocalSlack, store: str, queue: str, **more: str) -> dict[str, str]:
    """Of both functions. Between two looks a worker waits half a second: moto is slow, and the queue wakes it."""
    aws = {"STATEROOM_WAKE_SQS": queue, "AWS_DEFAULT_REGION": dynamodb.REGION, "STATEROOM_POLL_SECONDS": "0.5"}
    return environment(slack, store, **aws, **more)


def scanned(store: str) -> str:
    """Everything that the table has, as text."""
    name = store.partition("?")[0].rpartition("/")[2]
    pages = dynamodb.client().get_paginator("scan").paginate(TableName=name)
    return "".join(str(page["Items"]) for page in pages)


def register(slack: LocalSlack, host: Host) -> None:
    manifest = app_manifest(Choice(("mentions", "threads", "direct"), base_url=host.url))
    slack.register(f"{host.url}/slack/events", manifest=manifest)


async def test_seed_002_runs_whole_tokens_and_threads_in_dynamodb_bedrock_and_the_answer_in_slack(
    slack: LocalSlack, store: str, queue: str, tmp_path: Path
) -> None:
    """Installed over OAuth through the gateway, asked twice, redelivered, throttled by Bedrock: one answer each."""
    slack.add_team("T0LAMBDA1", install=False)
    with bedrock(
        say("The first ", "answer."),
        throttled(),
        say("The second."),
    ) as stub:
        oauth = {"SLACK_CLIENT_ID": SEED_CLIENT_ID, "SLACK_CLIENT_SECRET": SEED_CLIENT_SECRET, "STATEROOM_KEYS": KEYS}
        # Long enough for a slow machine: a turn that is taken over asks the model again, which then says its next.
        leases = {"STATEROOM_LEASE_SECONDS": "20"}
        env = variables(slack, store, queue, **stub.environment, **oauth, **leases, SLACK_BOT_TOKEN="")
        with hosted(env, tmp_path, queue) as host:
            register(slack, host)
            page = await asyncio.to_thread(lambda: Browser().install(slack, host.url, **who(slack, "T0LAMBDA1")))
            assert page.status == 200, page.text
            place = {"channel": channel_of(slack, "T0LAMBDA1"), **who(slack, "T0LAMBDA1")}
            ts = slack.say(f"<@{own_bot(slack, 'T0LAMBDA1')}> what is durable?", **place)
            first = await eventually(lambda: browser.whole(slack, ts, "T0LAMBDA1"), 30)
            assert [one["text"] for one in first] == ["The first answer."]
            slack.say("and what else?", thread_ts=ts, **place)
            await eventually(lambda: len(browser.whole(slack, ts, "T0LAMBDA1")) == 2, 30)
            said = [one["text"] for one in browser.whole(slack, ts, "T0LAMBDA1")]
            assert said == ["The first answer.", "The second."]
            asked = stub.asked[-1].body["messages"]
            texts = [part["text"] for message in asked for part in message["content"]]
            assert any("what is durable" in text for text in texts)  # the second knows the first
            assert "The first answer." in texts
            assert asked[-1]["role"] == "user"
            assert "queue" in host.calls
        assert "xox" not in scanned(store)
        logs = (tmp_path / "ingress.log").read_text() + (tmp_path / "worker.log").read_text()
        assert "xox" not in logs
        assert "durable" not in logs


async def test_workers_that_are_killed_answer_each_message_once(
    slack: LocalSlack, store: str, queue: str, tmp_path: Path
) -> None:
    env = variables(slack, store, queue, STATEROOM_OFFLINE_PACE="0.02")
    with hosted(env, tmp_path, queue) as host:
        register(slack, host)
        asked = [slack.say(f"{MENTION} lambda {number}") for number in range(12)]
        ends, killed = time.monotonic() + 6, 0
        while time.monotonic() < ends:
            await asyncio.sleep(0.7)
            killed += host.kill_a_worker()
        for ts in asked:
            found = await eventually(lambda ts=ts: browser.whole(slack, ts, SEED_TEAM), 90)
            assert len(found) == 1
        assert killed >= 2
        assert host.died >= 1
        assert all(len(slack.replies(ts)) == 1 for ts in asked)


async def test_the_queue_is_only_a_hint(slack: LocalSlack, store: str, tmp_path: Path) -> None:
    """A queue that is not there costs nothing but a warning; the clock finds the work."""
    gone = f"{dynamodb.server()}/123456789012/nothing-here"
    with hosted(variables(slack, store, gone), tmp_path) as host:
        register(slack, host)
        ts = slack.say(f"{MENTION} hello")
        assert len(await eventually(lambda: browser.whole(slack, ts, SEED_TEAM), 30)) == 1
        assert set(host.calls) == {"schedule"}
    assert "workers are not told of work" in (tmp_path / "ingress.log").read_text()


def test_what_comes_through_the_gateway_is_judged_as_by_serve(slack: LocalSlack, store: str, tmp_path: Path) -> None:
    with hosted(variables(slack, store, ""), tmp_path) as host:
        body = envelope(mention("hi", "1700000000.000100"))
        assert post(host.url, body, headers={})[0] == 401
        assert post(host.url, body)[0] == 200
        with urllib.request.urlopen(f"{host.url}/healthz", timeout=20) as health:
            assert json.loads(health.read()) == {"ok": True}
        assert host.worker.call(queue_event(["sr_inbox"])) == {"batchItemFailures": []}
        assert host.worker.call(SCHEDULED) == {}


def test_a_store_that_cannot_be_had_is_503_and_a_disk_that_goes_away_is_refused(
    slack: LocalSlack, tmp_path: Path
) -> None:
    away = f"dynamodb://{dynamodb.REGION}/nothing?endpoint=http%3A%2F%2F127.0.0.1%3A9"
    with hosted(variables(slack, away, ""), tmp_path) as host:
        assert post(host.url, envelope(mention("hi", "1700000000.000200")))[0] == 503
    here = variables(slack, f"sqlite:///{tmp_path}/state.db", "") | {"AWS_LAMBDA_FUNCTION_NAME": "x"}
    for name in ("ingress", "worker"):
        function = Environment(name, here, tmp_path / "refused.log")
        try:
            with pytest.raises(AssertionError, match="goes with the process"):
                function.call(SCHEDULED)
        finally:
            function.end()


def test_an_invocation_ends_in_time_and_hands_back_what_it_holds(slack: LocalSlack, store: str, tmp_path: Path) -> None:
    """With twelve seconds and an answer that takes longer, it returns before they are over; a later one answers."""
    with (
        bedrock(say("too ", "slow", pace=30.0)) as stub,
        hosted(variables(slack, store, "", **stub.environment), tmp_path, workers=1) as host,
    ):
        register(slack, host)
        ts = slack.say(f"{MENTION} hello")
        host.worker.all[0].call(SCHEDULED, 12.0)
        assert host.worker.all[0].left > 0
        asyncio.run(eventually(lambda: browser.whole(slack, ts, SEED_TEAM), 40))
        assert len(slack.replies(ts)) == 1
