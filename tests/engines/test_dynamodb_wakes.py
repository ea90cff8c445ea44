"""Workers of a store in DynamoDB are woken through SQS: a hint that costs nothing when it is lost."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

import boto3
import pytest

from stateroom.engines.dynamodb import DynamoEngine
from stateroom.engines.port import Put, Table
from stateroom.model.errors import Unsupported, WrongUse
from support import dynamodb

pytestmark = pytest.mark.service
TEAM = "T00000001"
WORK = Table("work")


@pytest.fixture
def queue() -> Iterator[str]:
    client = boto3.client("sqs", region_name=dynamodb.REGION, endpoint_url=dynamodb.server())
    url = client.create_queue(QueueName=f"work-{secrets.token_hex(4)}")["QueueUrl"]
    yield url
    client.delete_queue(QueueUrl=url)


@pytest.fixture
async def table() -> AsyncIterator[str]:
    url = dynamodb.fresh_table()
    engine = dynamodb.Quick(url, time.time)
    await engine.open()
    await engine.apply([WORK])
    await engine.close()
    yield url
    dynamodb.drop_table(url)


def with_queue(url: str, queue: str) -> DynamoEngine:
    return DynamoEngine(f"{url}&queue={quote(queue, safe='')}", time.time)


def waiting(queue: str) -> int:
    client = boto3.client("sqs", region_name=dynamodb.REGION, endpoint_url=dynamodb.server())
    found = client.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


async def test_who_listens_hears_of_work_that_another_has_made_durable(table: str, queue: str) -> None:
    telling, hearing = with_queue(table, queue), with_queue(table, queue)
    assert telling.capabilities.wakes
    assert not DynamoEngine(table, time.time).capabilities.wakes
    heard = asyncio.Event()
    await telling.open()
    await hearing.open()
    listening = asyncio.ensure_future(hearing.listen("work", heard.set))
    try:
        for number in range(3):
            heard.clear()
            await telling.commit([Put("work", TEAM, f"a{number}", {}, keep=True, wake=True)])
            await asyncio.wait_for(heard.wait(), 20)
        assert not listening.done()
    finally:
        listening.cancel()
        await asyncio.wait({listening})
        await telling.close()
        await hearing.close()


async def test_only_work_that_is_new_is_told_and_many_share_one_message(table: str, queue: str) -> None:
    engine = with_queue(table, queue)
    await engine.open()
    try:
        await engine.commit([Put("work", TEAM, "quiet", {})])
        assert waiting(queue) == 0
        await asyncio.gather(*(engine.commit([Put("work", TEAM, f"w{n}", {}, wake=True)]) for n in range(10)))
        told = waiting(queue)
        assert 1 <= told <= 10
        await asyncio.gather(*(engine._told().tell("work") for _ in range(40)))  # all at once
        assert waiting(queue) - told <= 2
        told = waiting(queue)
        await engine.commit([Put("work", TEAM, "w1", {}, keep=True, wake=True)])  # it is there already
        assert waiting(queue) == told
    finally:
        await engine.close()


@pytest.mark.parametrize("way", ["refused", "silent", "forbidden"])
async def test_a_queue_that_fails_costs_a_moment_and_a_warning(
    table: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    silent = await asyncio.start_server(lambda reader, writer: asyncio.sleep(30), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    places = {"refused": "http://127.0.0.1:9/1/q", "silent": f"http://127.0.0.1:{port}/1/q"}
    engine = with_queue(table, places.get(way, f"{dynamodb.server()}/123456789012/nobodys"))
    await engine.open()
    try:
        began = time.monotonic()
        with caplog.at_level(logging.WARNING):
            done = await engine.commit([Put("work", TEAM, "a", {"word": "secret"}, wake=True)])
        assert done[0].changed
        assert time.monotonic() - began < 15  # and not as long as the queue is silent
        assert "polling finds it" in caplog.text
        assert "secret" not in caplog.text
        assert (await engine.get("work", TEAM, ["a"]))[0] is not None
    finally:
        await engine.close()
        silent.close()


async def test_a_queue_must_be_a_url_and_listening_needs_one(table: str) -> None:
    for wrong in ("work", "sqs://x/y", "https://sqs.eu-central-1.amazonaws.com/"):
        with pytest.raises(WrongUse, match="queue"):
            with_queue(table, wrong)
    with pytest.raises(Unsupported, match="queue"):
        await DynamoEngine(table, time.time).listen("work", lambda: None)
