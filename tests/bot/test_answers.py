"""One message, one answer: the whole way through a real server, a real client and the local Slack."""

import asyncio
import time
from typing import Any

import pytest

from stateroom.bot.lane import HELP, NOTICE, SORRY
from stateroom.store import Store
from support.bot import MENTION, bot, envelope, mention, post_async
from support.local_slack import LocalSlack, eventually

pytestmark = pytest.mark.service
DM = "D00000001"
ENDS = ("I will still know it.", "”.")  # of an answer without a model: of the first in a thread, of the others


def answered(slack: LocalSlack, thread_ts: str, count: int = 1, channel: str = "C00000001") -> list[dict[str, Any]]:
    """The bot's messages in a thread, once there are `count` that stream no more."""
    found = slack.replies(thread_ts, channel)
    return found if len(found) >= count and not any(m.get("streaming") for m in found) else []


def whole(slack: LocalSlack, thread_ts: str, count: int = 1) -> list[dict[str, Any]]:
    """`answered`, once the last of them has its end: a mended stream is ended first and then filled."""
    found = answered(slack, thread_ts, count)
    return found if found and found[-1]["text"].rstrip().endswith(ENDS) else []


async def settled(slack: LocalSlack) -> None:
    """Nothing more to come: every delivery answered."""
    await eventually(lambda: all(d["status"] for d in slack.deliveries()))


async def test_a_mention_is_answered_once_in_its_thread(slack: LocalSlack) -> None:
    async with bot(slack):
        ts = slack.say(f"{MENTION} hello")
        (answer,) = await eventually(lambda: whole(slack, ts))
        assert "offline" in answer["text"]
        assert "hello" in answer["text"]
        assert "UB0000001" not in answer["text"]
        assert answer["metadata"]["event_payload"] == {"turn": f"C00000001:{ts}", "kind": "answer", "part": 0}
        assert next(c["method"] for c in slack.calls() if c["method"].startswith("chat.")) == "chat.startStream"


async def test_a_followed_thread_is_answered_without_a_mention_and_remembers(slack: LocalSlack) -> None:
    async with bot(slack):
        ts = slack.say(f"{MENTION} the code word is heron")
        await eventually(lambda: answered(slack, ts))
        slack.say("and now?", thread_ts=ts)
        second = (await eventually(lambda: whole(slack, ts, 2)))[1]
        assert "one earlier turn" in second["text"]
        assert "heron" in second["text"]


async def test_other_channels_talk_is_left_alone(slack: LocalSlack) -> None:
    async with bot(slack):
        slack.say("just between us")
        ts = slack.say(f"{MENTION} ping")
        await eventually(lambda: answered(slack, ts))
        assert not [m for m in slack.messages() if "bot_id" in m and m.get("thread_ts") not in (ts, None)]


async def test_a_direct_message_starts_its_own_thread(slack: LocalSlack) -> None:
    async with bot(slack):
        ts = slack.say("hi", channel=DM)
        (answer,) = await eventually(lambda: answered(slack, ts, channel=DM))
        assert answer["thread_ts"] == ts


async def test_a_bare_mention_gets_one_help_reply(slack: LocalSlack) -> None:
    async with bot(slack):
        ts = slack.say(MENTION)
        (answer,) = await eventually(lambda: answered(slack, ts))
        assert answer["text"] == HELP


async def test_a_file_without_words_is_a_message(slack: LocalSlack) -> None:
    async with bot(slack):
        files = [{"id": "F00000001", "name": "plan.png", "mimetype": "image/png", "size": 10}]
        ts = slack.say("", channel=DM, files=files)
        (answer,) = await eventually(lambda: answered(slack, ts, channel=DM))
        assert "plan.png" in answer["text"]


async def test_redelivery_changes_nothing(slack: LocalSlack) -> None:
    async with bot(slack):
        slack.fault("duplicate", event="app_mention", count=1)
        slack.fault("drop_ack", event="message", count=1)
        ts = slack.say(f"{MENTION} once")
        await eventually(lambda: answered(slack, ts))
        slack.duplicate()
        await settled(slack)
        later = slack.say(f"{MENTION} flush", thread_ts=ts)
        await eventually(lambda: answered(slack, ts, 2))
        assert later
        assert len(slack.replies(ts)) == 2


async def test_follow_ups_while_answering_are_answered_next_in_order(slack: LocalSlack) -> None:
    async with bot(slack, offline_pace=0.005):
        ts = slack.say(f"{MENTION} number 0")
        said = [slack.say(f"number {n}", thread_ts=ts) for n in range(1, 6)]
        answers = await eventually(lambda: answered(slack, ts, 6), 20)
        turns = [m["metadata"]["event_payload"]["turn"] for m in answers]
        assert turns == [f"C00000001:{t}" for t in (ts, *said)]


async def test_an_edit_while_answering_gets_one_short_notice(slack: LocalSlack) -> None:
    async with bot(slack, offline_pace=0.05):
        ts = slack.say(f"{MENTION} a slow one with some more words")
        await eventually(lambda: slack.replies(ts))
        slack.act("edit", ts, text=f"{MENTION} changed")
        slack.act("edit", ts, text=f"{MENTION} changed twice")
        both = await eventually(lambda: answered(slack, ts, 2), 20)
        assert [m["text"] for m in both].count(NOTICE) == 1
        assert len(both) == 2


async def test_a_deleted_message_leaves_a_tombstone_in_history(slack: LocalSlack, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with bot(slack, url):
        ts = slack.say(f"{MENTION} the secret is mauve")
        await eventually(lambda: answered(slack, ts))
        slack.act("delete", ts)
        async with Store(url) as store:
            thread = store.team("T00000001").thread("C00000001", ts)

            async def gone() -> bool:
                return any(e.tombstone for e in (await thread.entries()).items)

            deadline = time.monotonic() + 30
            while not await gone():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            assert "mauve" not in str((await thread.messages()).messages)


@pytest.mark.parametrize("code", ["method_not_supported_for_channel_type", "feature_not_enabled"])
async def test_without_streaming_the_answer_is_posted_whole(slack: LocalSlack, code: str) -> None:
    async with bot(slack):
        slack.fault("error", method="chat.startStream", code=code, count=9)
        ts = slack.say(f"{MENTION} hello")
        (answer,) = await eventually(lambda: answered(slack, ts))
        assert answer["text"].startswith("I am running offline")
        assert slack.calls("chat.postMessage")[-1]["ok"]


async def test_throttling_is_waited_out_and_the_answer_is_given_once(slack: LocalSlack) -> None:
    async with bot(slack):
        slack.fault("throttle", method="chat.startStream", retry_after=1, count=1)
        slack.fault("throttle", method="chat.postMessage", retry_after=1, count=2)
        began = time.monotonic()
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: answered(slack, ts), 20)
        assert time.monotonic() - began >= 2.0
        assert len(slack.replies(ts)) == 1


async def test_a_stream_that_expires_is_brought_to_the_full_text(slack: LocalSlack) -> None:
    async with bot(slack, offline_pace=0.01):
        slack.fault("error", method="chat.appendStream", code="message_not_in_streaming_state", count=1)
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: whole(slack, ts), 20)


@pytest.mark.parametrize("method", ["chat.startStream", "chat.stopStream", "chat.appendStream"])
async def test_a_call_that_was_applied_but_not_answered_is_not_repeated(slack: LocalSlack, method: str) -> None:
    async with bot(slack, offline_pace=0.002):
        slack.fault("timeout", method=method, apply=True, seconds=30, count=1)
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: whole(slack, ts), 25)
        assert len(slack.replies(ts)) == 1


async def test_a_post_that_was_applied_but_not_answered_is_adopted(slack: LocalSlack) -> None:
    async with bot(slack):
        slack.fault("error", method="chat.startStream", code="feature_not_enabled", count=9)
        slack.fault("timeout", method="chat.postMessage", apply=True, seconds=30, count=1)
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: answered(slack, ts), 25)
        later = slack.say("more", thread_ts=ts)
        answers = await eventually(lambda: answered(slack, ts, 2), 25)
        turns = [m["metadata"]["event_payload"]["turn"] for m in answers]
        assert turns == [f"C00000001:{ts}", f"C00000001:{later}"]


async def test_the_bot_acknowledges_while_slack_is_down_and_answers_later(slack: LocalSlack) -> None:
    slack.fault("error", method="auth.test", http=503, code="service_unavailable", count=None)
    async with bot(slack) as url:
        body = envelope(mention("hello", f"{int(time.time())}.000100"))
        assert (await post_async(url, body))[0] == 200
        slack.clear_faults()
        ts = slack.say(f"{MENTION} hello")
        await eventually(lambda: answered(slack, ts), 20)


async def test_other_teams_events_are_dropped_and_acknowledged(slack: LocalSlack) -> None:
    async with bot(slack) as url:
        ts = slack.say(f"{MENTION} settle")
        await eventually(lambda: answered(slack, ts))
        body = envelope(mention("hello", f"{int(time.time())}.000200"), team="T99999999")
        assert await post_async(url, body) == (200, {"ok": True})


async def test_when_the_model_fails_for_good_the_person_gets_one_friendly_sentence(slack: LocalSlack) -> None:
    async with bot(slack, model="no-such-provider:model"):
        ts = slack.say(f"{MENTION} hello")
        (answer,) = await eventually(lambda: answered(slack, ts), 30)
        assert answer["text"] == SORRY
