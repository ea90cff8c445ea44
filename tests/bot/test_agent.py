"""The agent's surface: a stop ends an answer once and for all, and what is only comfort never costs an answer."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stateroom.bot.lane import STOPPED
from stateroom.emulator.config import SEED_SECRET
from stateroom.layers.inbox import Inbox, turns
from stateroom.slack.app_manifest import Choice, app_manifest
from stateroom.slack.prompts import Prompt
from stateroom.store import Store
from support import bot as bots
from support.bot import MENTION, children, envelope, environment, post_async
from support.local_slack import LocalSlack, eventually
from support.slow_model import Slow

pytestmark = pytest.mark.service
TEAM, CHANNEL, DM = "T00000001", "C00000001", "D00000001"
AGENT = ("mentions", "threads", "direct", "agent")
PANE = ("mentions", "threads", "direct", "assistant")
bot = partial(bots.bot, lease_seconds=20.0)  # a model that is asked again because a machine is slow is no defect
PROMPTS = (Prompt("Help", "What can you do?"),)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def stop(thread_ts: str, at: float | None = None, channel: str = CHANNEL) -> dict[str, Any]:
    moment = f"{time.time() if at is None else at:.6f}"
    return {
        "type": "agent_session_stopped",
        "channel": channel,
        "thread_ts": thread_ts,
        "user": "U00000001",
        "streaming_message_ts": [],
        "event_ts": moment,
    }


def home(channel: str = DM) -> dict[str, Any]:
    at = f"{time.time():.6f}"
    return {"type": "app_home_opened", "user": "U00000001", "channel": channel, "tab": "messages", "event_ts": at}


def pane(thread_ts: str) -> dict[str, Any]:
    thread = {"user_id": "U00000001", "channel_id": DM, "thread_ts": thread_ts, "context": {}}
    return {"type": "assistant_thread_started", "assistant_thread": thread, "event_ts": thread_ts}


async def send(url: str, event: dict[str, Any], event_id: str = "Ev0000077") -> None:
    assert (await post_async(url, envelope(event, event_id=event_id)))[0] == 200


async def history(store: str, thread_ts: str) -> list[Any]:
    async with Store(store) as opened:
        return list((await opened.team(TEAM).thread(CHANNEL, thread_ts).messages()).messages)


async def state_of(store: str) -> list[tuple[str, str | None]]:
    async with Store(store) as opened:
        return [(turn["state"], turn.get("reason")) for turn in await turns(opened.engine) if turn["kind"] == "message"]


async def until_done(store: str, count: int = 1) -> list[tuple[str, str | None]]:
    ends = time.monotonic() + 30
    while True:
        found = await state_of(store)
        if [state for state, _ in found] == ["done"] * count:
            return found
        assert time.monotonic() < ends, found
        await asyncio.sleep(0.02)


def declare(slack: LocalSlack) -> None:
    """The app is an agent by its manifest, as `stateroom init --feature agent` writes it."""
    manifest = app_manifest(Choice(AGENT))
    slack.sim("POST", "apps", {"app_id": "A00000001", "manifest": manifest, "signing_secret": SEED_SECRET})


def shown(slack: LocalSlack, ts: str, text: str) -> list[dict[str, Any]]:
    return [m for m in slack.replies(ts) if m["text"] == text]


async def test_a_stop_ends_a_stream_at_once_with_what_is_there(
    slack: LocalSlack, store: str, says: Callable[..., Slow]
) -> None:
    model = says("So far this ")
    async with bot(slack, store) as url:
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in slack.replies(ts) if m.get("streaming")])
        await send(url, stop(ts))
        (answer,) = await eventually(lambda: [m for m in slack.replies(ts) if not m.get("streaming")])
        assert answer["text"].strip() == "So far this"
        assert await until_done(store) == [("done", "stopped")]
        assert (model.asked, model.cut) == (1, 1)
        kept = await history(store, ts)
        assert kept[0]["parts"][0]["content"] == "hello"
        assert kept[1]["parts"][0]["content"] == "So far this "


async def test_before_the_first_word_a_stop_leaves_one_sentence(
    slack: LocalSlack, store: str, says: Callable[..., Slow]
) -> None:
    model = says()
    async with bot(slack, store) as url:
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: model.asked)
        await send(url, stop(ts))
        await eventually(lambda: shown(slack, ts, STOPPED["text"]))
        assert await until_done(store) == [("done", "stopped")]
        assert len(slack.replies(ts)) == 1
        assert await history(store, ts) == []


async def test_a_stop_that_comes_again_does_not_end_the_next_answer(
    slack: LocalSlack, store: str, says: Callable[..., Slow]
) -> None:
    model = says()
    async with bot(slack, store) as url:
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: model.asked)
        stopped = stop(ts)
        await send(url, stopped)
        await until_done(store)
        later = slack.say("again", thread_ts=ts)
        await eventually(lambda: model.asked == 2)
        await send(url, stopped)
        async with Store(store) as opened:
            row = await Inbox(opened.engine, opened.clock).get(TEAM, f"{CHANNEL}:{later}")
            assert row is not None
            assert "stopped_at" not in row.item
        model.go.set()
        await eventually(lambda: shown(slack, ts, "the whole answer"))
        assert sorted(await until_done(store, 2)) == [("done", "answer"), ("done", "stopped")]


async def test_a_stop_when_nothing_is_said_is_only_acknowledged(slack: LocalSlack, store: str) -> None:
    async with bot(slack, store) as url:
        ts = slack.say(f"{MENTION} hello")
        await until_done(store)
        await send(url, stop(ts))
        await send(url, stop("1700000000.000100"))
        assert await state_of(store) == [("done", "answer")]


async def test_a_stop_heard_by_another_process_survives_the_workers_death(slack: LocalSlack, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/state.db"
    with children() as begin:
        ingress = begin(["serve", "--no-worker", "--port", "0"], environment(slack, store), tmp_path / "ingress.log")
        slack.register(f"{ingress.url}/slack/events")
        slow = environment(slack, store, STATEROOM_OFFLINE_PACE="0.4", STATEROOM_POLL_SECONDS="5")
        first = begin(["worker"], slow, tmp_path / "first.log")
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in slack.replies(ts) if len(m["text"]) > 20], 20)
        first.kill()  # before it can hear of the stop by itself, and end its answer with what is there
        await send(ingress.url, stop(ts))
        begin(["worker"], environment(slack, store), tmp_path / "second.log")
        await eventually(lambda: [m for m in slack.replies(ts) if not m.get("streaming")], 20)
        assert await until_done(store) == [("done", "stopped")]
        assert [m["text"] for m in slack.replies(ts)] == [STOPPED["text"]]


async def test_a_stream_that_slack_says_was_stopped_is_not_gone_on_with(
    slack: LocalSlack, store: str, says: Callable[..., Slow]
) -> None:
    model = says("One ", "One two ", "One two three ")
    slack.fault("error", method="chat.appendStream", code="stopped_by_user", count=None)
    async with bot(slack, store):
        ts = slack.say(f"{MENTION} hello")
        assert await until_done(store) == [("done", "stopped")]
        (answer,) = slack.replies(ts)
        assert answer["text"].strip() == "One two"
        assert model.cut == 1


@pytest.mark.parametrize("features", [AGENT, PANE], ids=["agent", "pane"])
async def test_prompts_are_suggested_where_a_conversation_is_opened(
    slack: LocalSlack, features: tuple[str, ...]
) -> None:
    async with bot(slack, features=features, prompts=PROMPTS) as url:
        ts = slack.say("root", channel=DM)
        event = home() if features is AGENT else pane(ts)
        await send(url, event)
        (call,) = await eventually(lambda: slack.calls("assistant.threads.setSuggestedPrompts"))
        assert call["args"]["prompts"] == [{"title": "Help", "message": "What can you do?"}]
        assert call["args"].get("thread_ts") == (None if features is AGENT else ts)
        await send(url, event)
        await send(url, {**home(), "tab": "home"}, "Ev0000078")
        await eventually(lambda: [m for m in slack.replies(ts, DM) if not m.get("streaming")])
        assert len(slack.calls("assistant.threads.setSuggestedPrompts")) == 1


async def test_an_agent_says_that_it_works_and_that_it_is_done(slack: LocalSlack, store: str) -> None:
    declare(slack)
    async with bot(slack, store, features=AGENT):
        ts = slack.say(f"{MENTION} hello  there")
        await until_done(store)
        first, last = slack.calls("agents.sessions.setStatus")
        assert (first["ok"], last["ok"]) == (True, True)
        place = {"channel_id": CHANNEL, "thread_ts": ts}
        begin = {"status": "processing", "title": "hello there", "initiator_user_id": "U00000001"}
        assert (first["args"], last["args"]) == (place | begin, place | {"status": "active"})
        assert slack.calls("assistant.threads.setStatus") == []


@pytest.mark.parametrize("app_token", ["", "xapp-local-1"], ids=["http", "socket"])
async def test_the_stop_button_of_an_agent_ends_its_answer_as_the_person_sees_it(
    slack: LocalSlack, store: str, says: Callable[..., Slow], app_token: str
) -> None:
    declare(slack)
    says("So far this ")
    async with bot(slack, store, features=AGENT, app_token=app_token):
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in slack.replies(ts) if m.get("streaming")])
        pressed = await slack.begin("stop", channel=CHANNEL, thread_ts=ts)
        assert pressed["ok"], pressed
        assert await until_done(store) == [("done", "stopped")]
        (answer,) = slack.replies(ts)
        assert (answer["text"].strip(), answer.get("streaming", False)) == ("So far this", False)
        assert slack.calls("agents.sessions.setStatus")[-1]["args"]["status"] == "active"


async def test_the_pane_gets_its_name_from_the_first_message(slack: LocalSlack, store: str) -> None:
    async with bot(slack, store, features=PANE):
        ts = slack.say("how  do I\nbegin?", channel=DM)
        await until_done(store)
        slack.say("and then?", channel=DM, thread_ts=ts)
        await until_done(store, 2)
        (call,) = slack.calls("assistant.threads.setTitle")
        assert call["args"]["title"] == "how do I begin?"


async def test_what_slack_refuses_around_an_answer_costs_nothing(slack: LocalSlack, store: str) -> None:
    slack.fault("error", method="assistant.*", code="internal_error", count=None)
    slack.fault("error", method="agents.*", code="internal_error", count=None)
    async with bot(slack, store, features=PANE, prompts=PROMPTS) as url:
        ts = slack.say("hello", channel=DM)
        await send(url, pane(ts))
        assert await until_done(store) == [("done", "answer")]


async def test_what_a_person_looks_at_is_acknowledged_and_not_kept(slack: LocalSlack, store: str) -> None:
    async with bot(slack, store, features=AGENT, prompts=PROMPTS) as url:
        await send(url, {"type": "app_context_changed", "context": {"entities": [{"id": CHANNEL}]}})
        thread = {"user_id": "U00000001", "channel_id": DM, "thread_ts": "1700000000.000100", "context": {}}
        await send(url, {"type": "assistant_thread_context_changed", "assistant_thread": thread})
        assert await state_of(store) == []
