"""A bot process over Bedrock, end to end: however the model behaves, the person gets exactly one right answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stateroom.bot.endings import ENDINGS, REFUSED, TOO_LONG
from stateroom.bot.lane import SORRY
from stateroom.slack.app_manifest import Choice, app_manifest
from support.bedrock import CREDENTIALS, MODEL, Bedrock, Reply, bedrock, cut, fails, refuse, say, throttled, uses_tool
from support.bot import MENTION, Child, children, environment
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
LIMIT = ENDINGS["max_tokens"].note
WHOLE = say("Whole.")
OVERLONG = "Input is too long for requested model."


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        yield running


@pytest.fixture(scope="module")
def stub() -> Iterator[Bedrock]:
    with bedrock() as running:
        yield running


@pytest.fixture(scope="module")
def child(slack: LocalSlack, stub: Bedrock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("bedrock")
    # Each try is counted: none may end because a slow machine took its time.
    short = {"STATEROOM_MODEL_FIRST_SECONDS": "4", "STATEROOM_MAX_ATTEMPTS": "2", "STATEROOM_BACKOFF_SECONDS": "0.05"}
    short |= {"STATEROOM_LEASE_SECONDS": "20"}
    with children() as begin:
        env = environment(slack, f"sqlite:///{folder}/state.db", **stub.environment, **short)
        started = begin(["serve", "--port", "0"], env, folder / "bot.log")
        settings = app_manifest(Choice(("mentions", "threads", "direct"), base_url=started.url))
        slack.register(f"{started.url}/slack/events", manifest=settings)
        yield started


async def answer(slack: LocalSlack, ts: str, text: str) -> dict[str, Any]:
    """The one message in a thread, once it is whole and says `text`."""

    def settled() -> list[dict[str, Any]]:
        found = slack.replies(ts)
        return [m for m in found if not m.get("streaming") and m["text"] == text]

    await eventually(settled)
    (only,) = slack.replies(ts)
    return dict(only)


# By name: what Bedrock does, what the person sees, and the reasons of the tries that failed.
OUTCOMES: dict[str, tuple[list[Reply], str, list[str]]] = {
    "well": ([say("Hello ", "there.")], "Hello there.", []),
    "throttled twice then well": ([throttled("0"), throttled("0.2"), say("Hello.")], "Hello.", ["throttled"] * 2),
    "cut mid-stream": ([cut("Half an answer. ", "And th"), WHOLE], "Whole.", ["connection"]),
    "cut before a word": ([cut(), WHOLE], "Whole.", ["connection"]),
    "an end without a reason": ([Reply(("Half an answer. And",), ends=False), WHOLE], "Whole.", ["cut"]),
    "an exception in the stream": ([fails("Half an answer. And"), WHOLE], "Whole.", ["stream_broken"]),
    "throttled in the stream": ([fails("Half. And", exception="throttlingException"), WHOLE], "Whole.", ["throttled"]),
    "empty then well": ([say(), WHOLE], "Whole.", ["empty"]),
    "always empty": ([say(), say(" \n")], SORRY, ["empty"] * 2),
    "what is no text": ([say("Good\x00 \ud83d", "\ude00 morning \x1b\udc00")], "Good 😀 morning ", []),
    "max_tokens": ([say("As much as fits", stop="max_tokens")], f"As much as fits\n\n_{LIMIT}_", []),
    "max_tokens without a word": ([say(stop="max_tokens")], LIMIT, []),
    "guardrail": ([say("Bad words. ", "Blocked.", stop="guardrail_intervened")], REFUSED, []),
    "content filter": ([say("Bad words. ", stop="content_filtered")], REFUSED, []),
    "stop sequence": ([say("Until here", stop="stop_sequence")], "Until here", []),
    "a tool that nobody offered": ([uses_tool("Let me look. "), say("I have none.")], "I have none.", ["tool_use"]),
    "malformed": ([say("Half", stop="malformed_model_output"), WHOLE], "Whole.", ["malformed_model_output"]),
    "the window ends the answer": (
        [say("As far as it goes", stop="model_context_window_exceeded")],
        f"As far as it goes\n\n_{TOO_LONG}_",
        [],
    ),
    "too long for the model": ([refuse(400, "ValidationException", OVERLONG)], TOO_LONG, []),
    "a slow first word": ([say("Late.", wait=60), WHOLE], "Whole.", ["timeout"]),
    "a silence in the middle": ([say("First. ", "Last.", pace=60), WHOLE], "Whole.", ["timeout"]),
    "no access": ([refuse(403, "AccessDeniedException")], SORRY, ["access_denied"]),
    "gone": ([refuse(404, "ResourceNotFoundException", "reached the end of its life")], SORRY, ["model_gone"]),
    "never well": (
        [refuse(503, "ServiceUnavailableException"), cut("Half an answer. And")],
        SORRY,
        ["unavailable", "connection"],
    ),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_whatever_bedrock_does_there_is_one_right_answer(
    slack: LocalSlack, stub: Bedrock, child: Child, name: str
) -> None:
    script, text, failures = OUTCOMES[name]
    stub.then(*script)
    before = len(stub.asked)
    ts = slack.say(f"{MENTION} hello")
    await answer(slack, ts, text)
    assert [one.operation for one in stub.asked[before:]] == ["ConverseStream"] * len(script)
    assert reasons(child, ts) == failures


def reasons(child: Child, ts: str) -> list[str]:
    """Why the tries of a turn failed, as the log says."""
    lines = [json.loads(line) for line in child.log.read_text().splitlines() if ts in line]
    said = [str(line["event"]) for line in lines if str(line["event"]).startswith("turn failed:")]
    return [one.rpartition(" ")[2] for one in said]


async def test_a_request_has_the_limits_and_the_conversation(slack: LocalSlack, stub: Bedrock, child: Child) -> None:
    stub.then(say("Noted."), say("A heron."))
    ts = slack.say(f"{MENTION} the word is heron")
    await answer(slack, ts, "Noted.")
    slack.say("which word?", thread_ts=ts)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "A heron."])
    body = stub.asked[-1].body
    assert body["modelId"] == MODEL
    assert body["inferenceConfig"] == {"maxTokens": 1024, "temperature": 1.0}
    assert [(m["role"], m["content"][0]["text"]) for m in body["messages"]] == [
        ("user", "the word is heron"),
        ("assistant", "Noted."),
        ("user", "which word?"),
    ]


async def test_a_conversation_that_is_too_long_is_asked_about_with_less_of_it(
    slack: LocalSlack, stub: Bedrock, child: Child
) -> None:
    stub.then(say("One."), say("Two."))
    ts = slack.say(f"{MENTION} first")
    await answer(slack, ts, "One.")
    slack.say("second", thread_ts=ts)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "Two."])
    long = refuse(400, "ValidationException", "The model returned the following errors: prompt is too long: 9 > 8")
    stub.then(long, long, say("Three."))
    slack.say("third", thread_ts=ts)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "Three."])
    assert [len(one.body["messages"]) for one in stub.asked[-3:]] == [5, 3, 1]
    assert len(slack.replies(ts)) == 3


async def test_what_a_guardrail_took_is_not_in_the_history(slack: LocalSlack, stub: Bedrock, child: Child) -> None:
    stub.then(say("Bad.", stop="guardrail_intervened"), say("Good."))
    ts = slack.say(f"{MENTION} something bad")
    await answer(slack, ts, REFUSED)
    slack.say("something good", thread_ts=ts)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "Good."])
    assert [m["content"][0]["text"] for m in stub.asked[-1].body["messages"]] == ["something good"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("x" * 4001, "4,001 characters"), ("é" * 4001, "4,001 characters"), ("a\x07b", "no text")],
    ids=["too long", "too long in code points", "a control character"],
)
async def test_a_prompt_out_of_bounds_is_refused_and_not_sent(
    slack: LocalSlack, stub: Bedrock, child: Child, text: str, says: str
) -> None:
    before = len(stub.asked)
    ts = slack.say(f"{MENTION} {text}")
    (only,) = await eventually(lambda: slack.replies(ts))
    assert says in only["text"]
    stub.then(say("Fine."))
    slack.say("ok", thread_ts=ts)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "Fine."])
    assert stub.texts()[before:] == ["ok"]


async def test_four_thousand_characters_of_any_script_are_sent(slack: LocalSlack, stub: Bedrock, child: Child) -> None:
    stub.then(say("Read."))
    ts = slack.say(f"{MENTION} {'語' * 4000}")
    await answer(slack, ts, "Read.")
    assert stub.texts()[-1] == "語" * 4000


async def press(slack: LocalSlack, message: dict[str, Any], times: int = 1) -> None:
    for _ in range(times):
        found = await slack.begin("press", channel="C00000001", ts=message["ts"], action_id="stateroom_continue")
        assert found["ok"], found


async def test_continue_goes_on_with_a_cut_answer_once_however_often_it_is_pressed(
    slack: LocalSlack, stub: Bedrock, child: Child
) -> None:
    stub.then(say("Part one", stop="max_tokens"), say("part two."))
    ts = slack.say(f"{MENTION} a long story")
    first = await answer(slack, ts, f"Part one\n\n_{LIMIT}_")
    before = len(stub.asked)
    await press(slack, first, 2)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "part two."])
    await press(slack, first)
    stub.then(say("Done."))
    slack.say("thanks", thread_ts=ts)
    await eventually(lambda: [m for m in slack.replies(ts) if m["text"] == "Done."])
    assert [m["text"] for m in slack.replies(ts)] == [f"Part one\n\n_{LIMIT}_", "part two.", "Done."]
    assert len(stub.asked) == before + 2
    said = [m["content"][0]["text"] for m in stub.asked[-1].body["messages"]]
    assert said[:2] == ["a long story", "Part one"]
    assert said[3:] == ["part two.", "thanks"]


def test_no_word_and_no_secret_is_in_the_log(child: Child) -> None:
    log = child.log.read_text()
    assert "turn claimed" in log
    for secret in (*(v for k, v in CREDENTIALS.items() if "KEY" in k), "heron", "Half an answer", "AWS4-HMAC"):
        assert secret not in log
