"""What a turn makes of a model's failures: bounded tries, one message, and the person hears of it soon."""

import asyncio
import logging
import time
import urllib.request
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stateroom.bot.lane import SORRY
from stateroom.bot.responder import Answer, Ask, exchange
from stateroom.layers.inbox import turns
from stateroom.model.content import Content
from stateroom.model.errors import ModelError
from stateroom.slack.app_manifest import Choice, app_manifest
from stateroom.store import Store
from support import bot as bots
from support.bot import MENTION
from support.local_slack import LocalSlack, eventually

pytestmark = pytest.mark.service
Step = str | Exception
LEASE = 20.0  # each try is counted, and none may be lost because a slow machine took its time
bot = partial(bots.bot, lease_seconds=LEASE)


class Scripted:
    """A model that says and does what a script tells: a list for each time that it is asked."""

    def __init__(self, *script: list[Step], more: bool = False) -> None:
        self.script = list(script)
        self.more = more
        self.asked = 0
        self.first = 0.0  # when it was asked first

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        self.first = self.first or time.monotonic()
        self.asked += 1
        text = ""
        for step in self.script.pop(0) if len(self.script) > 1 else self.script[0]:
            if isinstance(step, Exception):
                raise step
            text += step
            yield text
        result.text, result.more = text, self.more
        result.messages = exchange(ask.text, text, ask.now, "scripted")


@pytest.fixture
def does(answers: Callable[[Scripted], Scripted]) -> Callable[..., Scripted]:
    return lambda *script, more=False: answers(Scripted(*script, more=more))


async def only(slack: LocalSlack, ts: str, text: str) -> dict[str, Any]:
    """The thread's one message of ours, once it is whole and says `text`."""
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == text and not m.get("streaming")], 15)
    (message,) = slack.replies(ts)
    return dict(message)


@pytest.mark.parametrize("said", [[], ["Half an answer. ", "And th"]], ids=["at once", "mid-stream"])
async def test_a_defect_in_a_responder_is_a_failed_try_and_soon_an_apology(
    slack: LocalSlack, does: Callable[..., Scripted], caplog: pytest.LogCaptureFixture, said: list[Step]
) -> None:
    model = does([*said, KeyError("the secret is mauve")])
    began = time.monotonic()
    with caplog.at_level(logging.DEBUG):
        async with bot(slack):
            ts = slack.say(f"{MENTION} hello")
            await only(slack, ts, SORRY)
    assert time.monotonic() - began < 13 * LEASE  # not 26 leases
    assert model.asked == 4
    assert "the responder has a defect: KeyError at " in caplog.text
    assert "mauve" not in caplog.text


async def test_a_defect_that_passes_leaves_one_whole_answer(slack: LocalSlack, does: Callable[..., Scripted]) -> None:
    does(["Half an answer. And th", ValueError("no")], ["The whole answer."])
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        await only(slack, ts, "The whole answer.")


async def test_a_defect_does_not_hold_up_what_comes_next_in_its_thread(
    slack: LocalSlack, does: Callable[..., Scripted]
) -> None:
    does(*[[ZeroDivisionError()]] * 4, ["Fine."])
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        slack.say("and this?", thread_ts=ts)
        await eventually(lambda: [m["text"] for m in slack.replies(ts)] == [SORRY, "Fine."], 15)


async def test_a_wait_past_the_turns_patience_is_an_apology_now(
    slack: LocalSlack, does: Callable[..., Scripted]
) -> None:
    model = does([ModelError("throttled", retryable=True, retry_after=60.0)])
    async with bot(slack, retry_seconds=5.0):
        ts = slack.say(f"{MENTION} hello")
        await only(slack, ts, SORRY)
    assert model.asked == 1


async def test_retry_after_is_waited_for_and_throttling_has_more_tries(
    slack: LocalSlack, does: Callable[..., Scripted]
) -> None:
    busy = ModelError("throttled", retryable=True, retry_after=0.3)
    model = does(*[[busy]] * 6, ["At last."])
    began = time.monotonic()
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        await only(slack, ts, "At last.")
    assert model.asked == 7  # more than the 4 tries of other failures
    assert time.monotonic() - began >= 6 * 0.3


async def test_patience_with_throttling_ends(slack: LocalSlack, does: Callable[..., Scripted], tmp_path: Path) -> None:
    model = does([ModelError("throttled", retryable=True, retry_after=0.3)])
    store = f"sqlite:///{tmp_path}/state.db"
    async with bot(slack, store, retry_seconds=1.0):
        ts = slack.say(f"{MENTION} hello")
        await only(slack, ts, SORRY)
        waited = time.monotonic() - model.first
        async with Store(store) as opened:
            while not (closed := [t for t in await turns(opened.engine) if t["state"] == "failed"]):
                await asyncio.sleep(0.02)
    assert model.asked <= 4
    assert waited >= 1.0 - 0.3, "it had patience until one more wait was too long"
    assert closed[0]["reason"] == "throttled"


@pytest.mark.parametrize("content", ["full", "none"])
async def test_continue_is_offered_where_there_is_something_to_go_on_from(
    slack: LocalSlack, does: Callable[..., Scripted], content: str
) -> None:
    does(["A part."], more=True)
    async with bot(slack, content=Content.parse(content)):
        ts = slack.say(f"{MENTION} hello")
        message = await only(slack, ts, "A part.")
    kinds = [block["type"] for block in message.get("blocks", [])]
    assert kinds == (["actions"] if content == "full" else [])


async def test_continue_stands_below_the_last_part_also_when_it_is_posted_whole(
    slack: LocalSlack, does: Callable[..., Scripted]
) -> None:
    slack.fault("error", method="chat.startStream", code="feature_not_enabled", count=9)
    text = "\n\n".join(f"Paragraph {n}. " + "word " * 100 for n in range(12)).strip()
    does([text], more=True)
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        parts = await eventually(lambda: found if len(found := slack.replies(ts)) == 2 else None, 15)
    assert [[block["type"] for block in part.get("blocks", [])] for part in parts] == [[], ["markdown", "actions"]]
    assert parts[1]["blocks"][0]["text"] == parts[1]["text"]


@pytest.mark.parametrize("value", ["good", "bad"])
async def test_an_answer_can_be_judged_where_that_is_wished(
    slack: LocalSlack, does: Callable[..., Scripted], caplog: pytest.LogCaptureFixture, value: str
) -> None:
    does(["An answer."])
    async with bot(slack, feedback=True) as url:
        slack.register(f"{url}/slack/events", manifest=app_manifest(Choice(("mentions", "threads"), base_url=url)))
        ts = slack.say(f"{MENTION} hello")
        message = await only(slack, ts, "An answer.")
        assert [block["type"] for block in message["blocks"]] == ["context_actions"]
        with caplog.at_level(logging.INFO):
            press = {"channel": "C00000001", "ts": message["ts"], "action_id": "stateroom_feedback", "value": value}
            pressed = await slack.begin("press", **press)
        assert pressed["ok"], pressed
        counted = await asyncio.to_thread(lambda: urllib.request.urlopen(f"{url}/metrics", timeout=30).read().decode())
    assert f'outcome="feedback_{value}"}} 1' in counted
    assert f"feedback: {value}" in caplog.text
    assert len(slack.replies(ts)) == 1


async def test_unasked_for_nothing_stands_below_an_answer(slack: LocalSlack, does: Callable[..., Scripted]) -> None:
    does(["An answer."])
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        assert not (await only(slack, ts, "An answer.")).get("blocks")
