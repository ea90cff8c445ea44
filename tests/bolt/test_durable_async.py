"""`durable` with an AsyncApp: the same promises on the app's own loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

import stateroom as sr
from stateroom import sync
from stateroom.bolt import durable
from stateroom.emulator.config import SEED_SECRET, SEED_TEAM, SEED_TOKEN
from stateroom.engines.port import Query
from stateroom.layers import jobs
from stateroom.model.errors import StoreUnavailable, WrongUse
from support.local_slack import PATIENCE, LocalSlack

from .test_durable import Json, command, mention

pytestmark = pytest.mark.service
Say = Callable[..., Any]


class AsyncOffice:
    """A store, a local Slack, and an async app on them."""

    def __init__(
        self, slack: LocalSlack, store: sr.Store, *, lease_seconds: float = 5.0, call_seconds: float = 2.5
    ) -> None:
        self.slack = slack
        self.store = store
        client = AsyncWebClient(SEED_TOKEN, base_url=slack.api_url)
        self.app = AsyncApp(client=client, signing_secret=SEED_SECRET)
        given = {"lease_seconds": lease_seconds, "poll_seconds": 0.02, "call_seconds": call_seconds}
        self.durable = durable(self.app, store, **given)

    async def deliver(self, body: Json) -> BoltResponse:
        return await self.app.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode"))

    async def settled(self, *states: str) -> list[Json]:
        ends = time.monotonic() + PATIENCE
        while True:
            rows = (await self.store.engine.query(Query("sr_jobs", SEED_TEAM, 10))).rows
            if rows and all(row.item["state"] in states for row in rows):
                return [row.item for row in rows]
            assert time.monotonic() < ends, [row.item["state"] for row in rows]
            await asyncio.sleep(0.01)

    async def texts(self) -> list[str]:
        messages = await asyncio.to_thread(self.slack.messages)
        return [str(one["text"]) for one in messages if "bot_id" in one]


@pytest.fixture
async def office(slack: LocalSlack) -> AsyncIterator[AsyncOffice]:
    async with sr.open("memory://") as store:
        office = AsyncOffice(slack, store)
        yield office
        await office.durable.stop()


async def test_redeliveries_run_once(office: AsyncOffice) -> None:
    ran = list[str]()

    @office.app.event("app_mention")
    async def listener(say: Say) -> None:
        ran.append("ran")
        await say("once")

    told = await asyncio.gather(*(office.deliver(mention()) for _ in range(16)))
    assert {one.status for one in told} == {200}
    await office.settled("done")
    assert ran == ["ran"]
    assert await office.texts() == ["once"]


async def test_what_cannot_be_recorded_is_not_acknowledged(
    office: AsyncOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object, **__: object) -> Any:
        raise StoreUnavailable("memory", "full", "the disk is full", retryable=False)

    monkeypatch.setattr(jobs.Jobs, "claim", refusing)
    office.app.event("app_mention")(unreachable)
    assert (await office.deliver(mention())).status == 503


async def unreachable() -> None:
    raise AssertionError("was run")


async def test_a_listener_that_fails_is_tried_again_and_says_each_thing_once(office: AsyncOffice) -> None:
    ran = list[str]()

    @office.app.event("app_mention")
    async def listener(say: Say) -> None:
        ran.append("ran")
        await say(f"working, try {len(ran)}")
        if len(ran) == 1:
            raise ValueError("not yet")

    @office.app.error
    async def sorry(say: Say) -> None:
        await say("sorry")

    await office.deliver(mention())
    (job,) = await office.settled("done")
    assert await office.texts() == ["working, try 2", "sorry"]
    assert job["attempts"] == 1


async def test_an_ack_with_text_reaches_slack_and_lazy_listeners_are_part_of_the_job(office: AsyncOffice) -> None:
    ran = list[str]()

    async def acknowledge(ack: Say) -> None:
        ran.append("ack")
        await ack("at once")

    async def work(say: Say) -> None:
        ran.append("lazy")
        if len(ran) == 2:
            raise ValueError("not yet")
        await say("worked")

    office.app.command("/ticket")(ack=acknowledge, lazy=[work])
    assert (await office.deliver(command())).body == "at once"
    await office.settled("done")
    assert ran == ["ack", "lazy", "ack", "lazy"]
    assert await office.texts() == ["worked"]


async def test_a_post_without_an_answer_is_looked_for_before_it_is_repeated(slack: LocalSlack) -> None:
    await asyncio.to_thread(slack.fault, "timeout", method="chat.postMessage", count=1, apply=True)
    async with sr.open("memory://") as store:
        office = AsyncOffice(slack, store, call_seconds=0.5)

        @office.app.event("app_mention")
        async def listener(say: Say) -> None:
            await say("once")

        await office.deliver(mention())
        (job,) = await office.settled("done")
        assert job["attempts"] == 1
        assert await office.texts() == ["once"]
        await office.durable.stop()


async def test_a_store_of_the_other_face_is_refused(slack: LocalSlack) -> None:
    app = AsyncApp(client=AsyncWebClient(SEED_TOKEN, base_url=slack.api_url), signing_secret=SEED_SECRET)
    with pytest.raises(WrongUse, match="AsyncApp takes"):
        durable(app, sync.open("memory://"))  # type: ignore[call-overload]


async def test_a_listener_whose_task_is_cancelled_runs_again_in_the_same_process(slack: LocalSlack) -> None:
    async with sr.open("memory://") as store:
        office = AsyncOffice(slack, store, lease_seconds=0.3)
        ran = list[str]()

        @office.app.event("app_mention")
        async def listener(say: Say) -> None:
            ran.append("ran")
            await say("once")
            if len(ran) == 1:
                raise asyncio.CancelledError

        await office.deliver(mention())
        await office.settled("done")
        assert (ran, await office.texts()) == (["ran", "ran"], ["once"])
        await office.durable.stop()
