"""Attacks: odd models, odd answers of Slack, odd moments. Every message still gets one outcome, and nobody else waits.

A responder is a script of the test: it says what it is told, differently at each try. The rest is real.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from stateroom.bot import worker as worker_module
from stateroom.bot.lane import SORRY
from stateroom.bot.responder import Answer, Ask, exchange, prompt_of
from stateroom.engines import leases, memory
from stateroom.model.errors import CorruptData
from support.bot import MENTION, bot, envelope, mention, post_async
from support.local_slack import LocalSlack, eventually

pytestmark = pytest.mark.service
TEAM, CHANNEL = "T00000001", "C00000001"


class Scripted:
    """Says what `say(ask, attempt)` gives, in pieces; an exception is raised half-way."""

    def __init__(self, say: Callable[[Ask, int], str | Exception]) -> None:
        self._say = say
        self.attempts: Counter[str] = Counter()

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        self.attempts[ask.text] += 1
        said = self._say(ask, self.attempts[ask.text])
        if isinstance(said, Exception):
            yield "This begins well"
            raise said
        step = max(400, len(said) // 50)
        for end in range(step, len(said) + step, step):
            yield said[:end]
            await asyncio.sleep(0)
        result.text = said
        result.messages = exchange(prompt_of(ask), said, ask.now, "scripted")


Script = Callable[..., Scripted]


@pytest.fixture
def script(answers: Callable[[Scripted], Scripted]) -> Script:
    """Makes the next bot of this test answer by a script."""
    return lambda say, kind=Scripted: answers(kind(say))


def quiet(slack: LocalSlack, thread_ts: str, count: int = 1) -> list[dict[str, Any]]:
    """The bot's messages in a thread, once there are `count` that stream no more."""
    found = slack.replies(thread_ts)
    return found if len(found) >= count and not any(m.get("streaming") for m in found) else []


def saying(slack: LocalSlack, thread_ts: str, text: str) -> list[dict[str, Any]]:
    """The bot's messages in a thread, once the last is `text` and none streams."""
    found = quiet(slack, thread_ts)
    return found if found and found[-1]["text"] == text else []


async def test_a_responder_with_a_defect_ends_in_one_sentence_and_no_open_stream(
    slack: LocalSlack, script: Script
) -> None:
    script(lambda ask, attempt: ValueError(ask.text))
    async with bot(slack, lease_seconds=0.15, backoff_seconds=0.01):
        ts = slack.say(f"{MENTION} break")
        (answer,) = await eventually(lambda: saying(slack, ts, SORRY), 30)
        assert answer["metadata"]["event_payload"]["kind"] == "failed"


async def test_a_lane_that_waits_for_slack_costs_no_commits(
    slack: LocalSlack, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: Counter[str] = Counter()
    acquire = leases.acquire

    async def counted(engine: Any, clock: Any, team: str, name: str, **more: Any) -> Any:
        taken[name] += 1
        return await acquire(engine, clock, team, name, **more)

    monkeypatch.setattr(leases, "acquire", counted)
    script(lambda ask, attempt: f"echo {ask.text}")
    slack.fault("error", method="chat.startStream", code="feature_not_enabled", count=None)
    slack.fault("throttle", method="chat.postMessage", retry_after=3, count=1)
    async with bot(slack):
        ts = slack.say(f"{MENTION} one")
        slack.say("two", thread_ts=ts)
        first, second = await eventually(lambda: quiet(slack, ts, 2), 20)
        assert (first["text"], second["text"]) == ("echo one", "echo two")
        assert taken[f"lane:{CHANNEL}:{ts}"] < 20


async def test_an_answer_whose_message_was_removed_meanwhile_is_given_again(slack: LocalSlack, script: Script) -> None:
    removed = asyncio.Event()

    class Patient(Scripted):
        async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
            yield "All of "
            await removed.wait()
            async for grown in super().answer(ask, result):
                yield grown

    script(lambda ask, attempt: "All of it.", Patient)
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        (begun,) = await eventually(lambda: slack.replies(ts))
        assert slack.call("chat.delete", channel=CHANNEL, ts=begun["ts"])["ok"]
        removed.set()
        await eventually(lambda: saying(slack, ts, "All of it."))


async def test_a_very_long_answer_that_changes_between_tries_is_whole_and_single(
    slack: LocalSlack, script: Script
) -> None:
    code = "```python\n" + "print('line')\n" * 400 + "```\n\n"
    long = "First words. " * 300 + "\n\n" + code + "Last words. " * 300
    short = "Short. " * 300

    script(lambda ask, attempt: long if attempt == 1 else short)
    # The third part cannot begin: the try fails, and the next one has another, shorter text.
    slack.fault("timeout", method="chat.startStream", apply=True, seconds=30, skip=2, count=1)
    async with bot(slack, lease_seconds=1.5):
        ts = slack.say(f"{MENTION} hello")
        found = await eventually(lambda: [m for m in quiet(slack, ts) if m["text"].strip() == short.strip()], 20)
        assert found
        await eventually(lambda: len(slack.replies(ts)) == 1)


async def test_a_history_that_cannot_be_read_is_told_and_not_hidden(
    slack: LocalSlack, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stateroom.layers.threads import Thread

    async def corrupt(*_: Any, **__: Any) -> Any:
        raise CorruptData("sr_entries/x/1", "the entry lacks its turn id or its time")

    monkeypatch.setattr(Thread, "messages", corrupt)
    script(lambda ask, attempt: "never said")
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: saying(slack, ts, SORRY))


async def test_an_answer_too_large_for_the_store_ends_in_one_sentence(
    slack: LocalSlack, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "ITEM_LIMIT", 20_000)
    script(lambda ask, attempt: "word " * 5_000)
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: [m for m in saying(slack, ts, SORRY) if len(slack.replies(ts)) == 1])


async def test_an_answer_that_slack_refuses_ends_in_one_sentence(slack: LocalSlack, script: Script) -> None:
    script(lambda ask, attempt: "what Slack will not show")
    slack.fault("error", method="chat.startStream", code="feature_not_enabled", count=1)
    slack.fault("error", method="chat.postMessage", code="invalid_blocks", count=1)
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: saying(slack, ts, SORRY))


async def test_a_part_that_slack_does_not_let_us_delete_harms_no_answer(slack: LocalSlack, script: Script) -> None:
    script(lambda ask, attempt: "Long. " * 1000 if attempt == 1 else "Short.")
    slack.fault("timeout", method="chat.startStream", apply=True, seconds=30, skip=1, count=1)
    slack.fault("error", method="chat.delete", code="cant_delete_message", count=None)
    async with bot(slack, lease_seconds=1.5):
        ts = slack.say(f"{MENTION} hello")
        found = await eventually(lambda: quiet(slack, ts, 2) if saying(slack, ts, "…") else [])
        assert [m["text"] for m in found] == ["Short.", "…"]


async def test_more_waiting_turns_than_a_look_reads_do_not_hide_another_conversation(
    slack: LocalSlack, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_PAGES", 2)  # pages of 50
    script(lambda ask, attempt: f"echo {ask.text}")
    slack.fault("error", method="chat.startStream", code="feature_not_enabled", count=None)
    slack.fault("throttle", method="chat.postMessage", retry_after=60, count=1)
    async with bot(slack) as url:
        root = slack.say(f"{MENTION} root")
        await eventually(lambda: slack.calls("chat.postMessage"))
        after = int(float(root)) + 1
        bodies = [
            envelope(mention("more", f"{after}.{number:06d}", thread_ts=root), event_id=f"Ev{number}")
            for number in range(150)
        ]
        for at in range(0, len(bodies), 50):
            said = await asyncio.gather(*(post_async(url, body) for body in bodies[at : at + 50]))
            assert {status for status, _ in said} == {200}
        other = slack.say(f"{MENTION} other")
        await eventually(lambda: saying(slack, other, "echo other"))
