"""The claim "answered once" against real Bolt apps: good ones pass, each kind of bad one is caught and shown."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from stateroom.pytest_plugin.kit import Slack

pytestmark = pytest.mark.service

Say = Callable[..., Any]


def bolt(slack: Slack, listener: Callable[..., Any]) -> App:
    app = App(token=slack.bot_token, signing_secret=slack.signing_secret)
    app.event("app_mention")(listener)
    return app


def test_a_bolt_app_that_answers_once_passes_over_http(slack: Slack) -> None:
    def listener(event: dict[str, Any], say: Say) -> None:
        say("hello yourself", thread_ts=event["ts"])

    slack.connect(bolt(slack, listener))
    question = slack.say(f"{slack.mention} hello")
    answer = slack.assert_one_answer(question, text="yourself")
    assert (answer.thread_ts, answer.user) == (question.ts, slack.bot_user)
    assert slack.assert_one_answer(question, in_thread=True) == answer
    slack.duplicate(question)
    slack.settle()
    with pytest.raises(AssertionError, match="2 answers where one was expected"):
        slack.assert_one_answer(question)  # this app does not know that it has answered


def test_an_answer_beside_the_message_counts_unless_the_thread_is_meant(slack: Slack) -> None:
    slack.connect(bolt(slack, lambda say: say("hi")))
    question = slack.say(f"{slack.mention} hello")
    assert slack.assert_one_answer(question, in_thread=False).thread_ts is None
    with pytest.raises(AssertionError, match="not where an answer belongs"):
        slack.assert_one_answer(question, within=0.1, in_thread=True)
    again = slack.say(f"{slack.mention} again")
    slack.assert_one_answer(question)
    slack.assert_one_answer(again)


def test_an_app_that_answers_twice_is_caught_also_when_it_takes_its_time(slack: Slack) -> None:
    go_on = threading.Event()

    def listener(event: dict[str, Any], say: Say) -> None:
        say("one", thread_ts=event["ts"])
        go_on.wait(0.7)  # longer than the quiet that would do for an app that cannot be seen
        say("two", thread_ts=event["ts"])

    slack.connect(bolt(slack, listener))
    question = slack.say(f"{slack.mention} hello")
    with pytest.raises(AssertionError) as caught:
        slack.assert_one_answer(question)
    words = str(caught.value)
    assert words.startswith("2 answers where one was expected")
    for line in ("this message", "answer 1", "answer 2", "call chat.postMessage: ok", "event app_mention to A00000001"):
        assert line in words


def test_an_app_that_never_answers_is_caught(slack: Slack) -> None:
    slack.connect(bolt(slack, lambda event: None))
    question = slack.say(f"{slack.mention} hello")
    slack.assert_no_answer(question)
    with pytest.raises(AssertionError, match=r"no answer within 0\.2 s") as caught:
        slack.assert_one_answer(question, within=0.2)
    assert "ada: <@UB0000001> hello" in str(caught.value)


def test_an_answer_in_the_wrong_thread_is_caught(slack: Slack) -> None:
    first = slack.say("an old thread")

    def listener(say: Say) -> None:
        say("here?", thread_ts=first.ts)

    slack.connect(bolt(slack, listener))
    question = slack.say(f"{slack.mention} hello")
    slack.wait_for("here?")
    with pytest.raises(AssertionError, match="not where an answer belongs") as caught:
        slack.assert_one_answer(question, within=0.3)
    assert "said here instead" in str(caught.value)


def test_an_unwanted_answer_is_caught(slack: Slack) -> None:
    app = App(token=slack.bot_token, signing_secret=slack.signing_secret)
    app.event("message")(lambda say: say("who asked?"))
    slack.connect(app)
    chat = slack.say("people talk")
    with pytest.raises(AssertionError, match="1 answers where none was expected"):
        slack.assert_no_answer(chat)


def test_a_follow_up_in_a_thread_has_its_own_answer(slack: Slack) -> None:
    def listener(event: dict[str, Any], say: Say) -> None:
        say(f"re: {event['text']}", thread_ts=event.get("thread_ts", event["ts"]))

    slack.connect(bolt(slack, listener))
    first = slack.say(f"{slack.mention} one")
    slack.assert_one_answer(first, text="one")
    second = slack.say(f"{slack.mention} two", thread=first)
    slack.assert_one_answer(second, text="two")
    slack.assert_one_answer(first, text="one")
    assert [one.text[:3] for one in slack.messages(thread=first)] == ["<@U", "re:", "<@U", "re:"]


def test_an_asynchronous_app_over_http_is_seen_to_be_idle(slack: Slack) -> None:
    app = AsyncApp(token=slack.bot_token, signing_secret=slack.signing_secret)

    @app.event("app_mention")
    async def listener(event: dict[str, Any], say: Say) -> None:
        await say("hello", thread_ts=event["ts"])

    slack.connect(app)
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))


def test_throttling_and_failures_reach_the_app(slack: Slack) -> None:
    def listener(event: dict[str, Any], client: Any) -> None:
        for _ in range(3):
            try:
                client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="at last")
                return
            except SlackApiError as error:
                print(type(error).__name__)

    slack.connect(bolt(slack, listener))
    slack.throttle("chat.postMessage", retry_after=7)
    slack.fail("chat.postMessage", "fatal_error")
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))
    codes = [one.get("error") for one in slack.calls("chat.postMessage")]
    assert codes == ["rate_limited", "fatal_error", None]
