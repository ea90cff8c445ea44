"""Slack misbehaving on purpose."""

import asyncio
import time

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from support.local_slack import EventApp, LocalSlack, SimError, eventually, eventually_now

pytestmark = pytest.mark.service

CHANNEL = "C00000001"


def post(slack: LocalSlack, text: str = "x", **more: str) -> dict[str, object]:
    return slack.call("chat.postMessage", channel=CHANNEL, text=text, **more)


def test_a_throttled_method_answers_429_so_often_and_then_works(slack: LocalSlack) -> None:
    slack.fault("throttle", method="chat.postMessage", retry_after=7, count=2)
    client = WebClient(token="xoxb-local-1", base_url=slack.api_url)
    for _ in range(2):
        with pytest.raises(SlackApiError) as caught:
            client.chat_postMessage(channel=CHANNEL, text="x")
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["Retry-After"] == "7"
    assert client.chat_postMessage(channel=CHANNEL, text="x")["ok"]
    assert slack.faults() == []
    assert [call["ok"] for call in slack.calls("chat.postMessage")] == [False, False, True]
    assert slack.calls("chat.postMessage")[0]["retry_after"] == 7


def test_an_error_may_come_before_or_after_the_call_took_effect(slack: LocalSlack) -> None:
    slack.fault("error", method="chat.*", code="fatal_error")
    assert post(slack)["error"] == "fatal_error"
    assert slack.messages() == []
    slack.fault("error", method="chat.*", code="internal_error", http=503, after_apply=True)
    status, answer, _ = slack.request(
        "POST",
        "/api/chat.postMessage",
        {"channel": CHANNEL, "text": "there"},
        {"Authorization": "Bearer xoxb-local-1"},
    )
    assert (status, answer["error"]) == (503, "internal_error")
    assert [one["text"] for one in slack.messages()] == ["there"]


@pytest.mark.parametrize("apply", [False, True])
def test_an_answer_that_never_comes_may_hide_a_call_that_took_effect(slack: LocalSlack, apply: bool) -> None:
    slack.fault("timeout", method="chat.postMessage", seconds=30, apply=apply)
    client = WebClient(token="xoxb-local-1", base_url=slack.api_url, timeout=1)
    with pytest.raises(TimeoutError):
        client.chat_postMessage(channel=CHANNEL, text="x")
    eventually_now(lambda: slack.calls("chat.postMessage"))  # it has come, and is held
    assert len(slack.messages()) == int(apply)
    assert post(slack, "y")["ok"] is True


def test_a_delayed_call_takes_effect_late(slack: LocalSlack) -> None:
    slack.fault("delay", method="chat.postMessage", seconds=0.3)
    started = time.monotonic()
    assert post(slack)["ok"] is True
    assert time.monotonic() - started >= 0.3


def test_a_fault_skips_waits_for_its_channel_and_lasts_until_cleared(slack: LocalSlack) -> None:
    slack.fault("error", method="*", channel="D00000001", count=None, skip=1)
    post(slack)
    direct = [slack.call("chat.postMessage", channel="D00000001", text="x")["ok"] for _ in range(4)]
    assert direct == [True, False, False, False]
    fault = slack.faults()[0]
    slack.sim("DELETE", f"faults/{fault['id']}")
    assert slack.call("chat.postMessage", channel="D00000001", text="x")["ok"] is True


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "throttle"}, "method"),
        ({"kind": "drop_ack", "method": "chat.update"}, "does not fit"),
        ({"kind": "throttle", "event": "message"}, "does not fit"),
        ({"kind": "partial_failure", "method": "chat.*"}, "bulkPut"),
        ({"kind": "partial_failure", "method": "apps.datastore.*", "failures": 0}, "failures"),
        ({"kind": "error", "method": "x", "count": 0}, "count"),
        ({"kind": "error", "method": "x", "http": 99}, "http"),
        ({"kind": 7, "method": "x"}, "str"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(slack: LocalSlack, fault: dict[str, object], says: str) -> None:
    status, answer, _ = slack.request("POST", "/_sim/faults", fault)
    assert (status, answer["error"]) == (400, "invalid_arguments")
    assert says in answer["detail"]


async def test_a_dropped_ack_makes_slack_deliver_again(slack: LocalSlack, app: EventApp) -> None:
    slack.fault("drop_ack", event="message")
    slack.say("plain")
    await eventually(lambda: len(app.received) == 2)
    assert app.received[1].headers["x-slack-retry-reason"] == "http_timeout"
    assert len({one.envelope["event_id"] for one in app.received}) == 1
    await eventually(lambda: len(slack.deliveries()) == 2)
    assert [(one["status"], one.get("reason")) for one in slack.deliveries()] == [(200, "http_timeout"), (200, None)]


async def test_a_duplicated_event_comes_twice_with_one_id(slack: LocalSlack, app: EventApp) -> None:
    slack.fault("duplicate", event="app_mention")
    slack.say("@stateroom hi")
    await eventually(lambda: len(app.received) == 3)
    mentions = [one.envelope["event_id"] for one in app.received if one.event["type"] == "app_mention"]
    assert len(mentions) == 2
    assert len(set(mentions)) == 1


async def test_a_delayed_event_comes_late(slack: LocalSlack, app: EventApp) -> None:
    slack.fault("delay", event="message", seconds=0.3)
    started = time.monotonic()
    slack.say("plain")
    await eventually(lambda: app.received)
    assert time.monotonic() - started >= 0.3


async def test_deliver_twice_sends_the_newest_message_though_an_older_one_was_taken_last(
    slack: LocalSlack, app: EventApp
) -> None:
    released = asyncio.Event()
    app.answers = [released]
    slack.say("one")
    await eventually(lambda: app.received)
    newest = slack.say("two")
    await eventually(slack.deliveries)
    released.set()
    await eventually(lambda: len(slack.deliveries()) == 2)
    assert slack.duplicate()["deliveries"] == 1
    await eventually(lambda: len(app.received) == 3)
    assert app.received[-1].event["ts"] == newest


async def test_deliver_twice_sends_the_events_of_the_newest_or_of_a_named_message_again(
    slack: LocalSlack, app: EventApp
) -> None:
    with pytest.raises(SimError) as caught:
        slack.duplicate()
    assert (caught.value.status, caught.value.code) == (404, "nothing_delivered")
    first = slack.say("@stateroom one")
    slack.say("two")
    await eventually(lambda: len(slack.deliveries()) == 3)
    assert slack.duplicate()["deliveries"] == 1
    assert slack.duplicate(channel=CHANNEL, ts=first)["deliveries"] == 2
    await eventually(lambda: len(app.received) == 6)
    assert len({one.envelope["event_id"] for one in app.received}) == 3
    assert sum(one.headers.get("x-slack-retry-num") == "1" for one in app.received) == 3
