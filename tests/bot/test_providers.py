"""One door for every provider: the same question, answer, limits and failures over each one's own protocol."""

from collections.abc import Iterator
from typing import Any

import pytest

from stateroom.bot.config import BotConfig
from stateroom.bot.model import Agent
from stateroom.bot.model_clients import make
from stateroom.bot.responder import Answer, Ask
from stateroom.model.errors import ModelError, WrongUse
from support.bedrock import CREDENTIALS, MODEL, REGION, Bedrock, bedrock, say
from support.model_servers import ANTHROPIC, KEY, OPENAI, Provider, Said, provider

pytestmark = pytest.mark.service
PATHS = {"anthropic": ANTHROPIC, "openai": OPENAI, "ollama": OPENAI}
# Each provider's words: an end, too long an answer, a refusal.
WORDS = {
    "anthropic": ("end_turn", "max_tokens", "refusal"),
    "openai": ("stop", "length", "content_filter"),
    "ollama": ("stop", "length", "content_filter"),
}
PAST = [
    {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "first"}]},
    {"kind": "response", "parts": [{"part_kind": "text", "content": "one"}]},
]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with provider() as running:
        yield running


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def agent(stub: Provider, name: str, stream: bool, **more: Any) -> Agent:
    url = stub.url if name == "anthropic" else f"{stub.url}/v1"
    given: dict[str, Any] = {"model_url": url, "model_stream": stream, "model_first_seconds": 30.0}
    return Agent(BotConfig(model=f"{name}:some-model", **{**given, **more}))


async def ask(asked: Agent, text: str = "second") -> tuple[list[str], Answer]:
    result = Answer()
    return [grown async for grown in asked.answer(Ask(text, PAST, 1), result)], result


@pytest.mark.parametrize("name", PATHS)
async def test_a_question_and_its_answer_go_over_each_providers_protocol(
    stub: Provider, name: str, stream: bool
) -> None:
    stub.then(Said(("two ", "words"), WORDS[name][0]))
    grown, result = await ask(agent(stub, name, stream))
    assert grown == (["two ", "two words"] if stream else ["two words"])
    assert (result.text, result.reason, result.more) == ("two words", "end_turn", False)
    ((path, body, _),) = stub.asked
    assert (path, bool(body.get("stream"))) == (PATHS[name], stream)
    assert body["model"] == "some-model"
    assert 1024 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert body["temperature"] == 1
    said = [m for m in body["messages"] if m["role"] in ("user", "assistant")]
    assert [words(m) for m in said] == ["first", "one", "second"]
    assert [m["kind"] for m in result.messages] == ["request", "response"]


def words(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize("name", PATHS)
async def test_each_providers_words_for_an_end_mean_the_same(stub: Provider, name: str, stream: bool) -> None:
    stub.then(Said(("cut",), WORDS[name][1]), Said(("bad",), WORDS[name][2]))
    _, cut = await ask(agent(stub, name, stream))
    _, refused = await ask(agent(stub, name, stream))
    assert (cut.reason, cut.more, bool(cut.messages)) == ("max_tokens", True, True)
    assert (refused.reason, refused.more, refused.messages) == ("content_filtered", False, [])


FAILURES = [
    (Said(status=429, headers={"Retry-After": "7"}), "throttled", True, 7.0),
    (Said(status=503), "unavailable", True, None),
    (Said(status=401), "access_denied", False, None),
    (Said(status=404), "model_gone", False, None),
    (Said(("late",), "stop", wait=30.0), "timeout", True, None),
]


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("case", FAILURES, ids=[one[1] for one in FAILURES])
async def test_each_failure_is_one_request_and_one_reason(
    stub: Provider, name: str, stream: bool, case: tuple[Said, str, bool, float | None]
) -> None:
    said, reason, retryable, after = case
    stub.then(said)
    patience = 1.0 if reason == "timeout" else 30.0
    with pytest.raises(ModelError) as failed:
        await ask(agent(stub, name, stream, model_first_seconds=patience))
    assert (failed.value.reason, failed.value.retryable, failed.value.retry_after) == (reason, retryable, after)
    assert len(stub.asked) == 1


@pytest.mark.parametrize("name", PATHS)
async def test_a_stream_that_is_cut_is_no_answer(stub: Provider, name: str) -> None:
    stub.then(Said(("half an",)))
    with pytest.raises(ModelError) as failed:
        await ask(agent(stub, name, stream=True))
    assert failed.value.retryable
    assert failed.value.reason in ("connection", "cut")


async def test_nobody_listening_is_a_failure_that_may_pass(stub: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PATHS:
        with pytest.raises(ModelError) as failed:
            await ask(agent(stub, name, stream=True, model_url="http://127.0.0.1:9/v1"))
        assert (failed.value.reason, failed.value.retryable) == ("connection", True)


@pytest.mark.parametrize(("name", "variable"), [("anthropic", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY")])
def test_a_missing_key_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, variable: str) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(WrongUse, match=f"set {variable}"):
        make(BotConfig(model=f"{name}:some-model"))


def test_a_server_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert make(BotConfig(model="openai:some-model", model_url="http://127.0.0.1:9/v1"))
    assert make(BotConfig(model="ollama:llama3"))


# --- Bedrock: what needs no bot


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with bedrock() as running:
        yield running


ARN = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/a1b2c3d4e5f6"


@pytest.mark.parametrize("model", [MODEL, "anthropic.claude-3-haiku-20240307-v1:0", ARN], ids=["geo", "plain", "arn"])
async def test_bedrock_is_asked_by_every_kind_of_name_whole_and_streamed(
    cloud: Bedrock, model: str, stream: bool
) -> None:
    cloud.then(say("two ", "words"))
    config = BotConfig(
        model=f"bedrock:{model}",
        model_region=REGION,
        model_url=cloud.url,
        model_stream=stream,
        guardrail="abc123:1",
        max_output_tokens=77,
        temperature=0.5,
    )
    grown, result = await ask(Agent(config))
    assert (grown[-1], result.text, result.reason) == ("two words", "two words", "end_turn")
    (asked,) = cloud.asked
    assert asked.operation == ("ConverseStream" if stream else "Converse")
    assert asked.body["modelId"] == model
    assert asked.body["inferenceConfig"] == {"maxTokens": 77, "temperature": 0.5}
    assert asked.body["guardrailConfig"] == {"guardrailIdentifier": "abc123", "guardrailVersion": "1"}
    assert [m["content"][0]["text"] for m in asked.body["messages"]] == ["first", "one", "second"]


def test_without_credentials_or_a_region_the_model_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    with pytest.raises(WrongUse, match="no AWS region is known: set STATEROOM_MODEL_REGION"):
        make(BotConfig(model=f"bedrock:{MODEL}"))
    with pytest.raises(WrongUse, match="no AWS credentials were found") as refused:
        make(BotConfig(model=f"bedrock:{MODEL}", model_region=REGION))
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with pytest.raises(WrongUse, match=r"profile \(gone\) could not be found; mend AWS_PROFILE"):
        make(BotConfig(model=f"bedrock:{MODEL}", model_region=REGION))
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "a-key")
    assert make(BotConfig(model=f"bedrock:{MODEL}", model_region=REGION))
