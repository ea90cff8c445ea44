"""The stub of Bedrock is strict: what AWS would refuse, it refuses, so that our requests are known to be right."""

from collections.abc import Iterator
from typing import Any

import pytest

from support.bedrock import CREDENTIALS, MODEL, REGION, Bedrock, bedrock, cut, faults, say, throttled, unsigned

pytestmark = pytest.mark.service
GOOD: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "hello"}]}],
    "inferenceConfig": {"maxTokens": 1024, "temperature": 1.0},
}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with bedrock() as running:
        yield running


def client(stub: Bedrock) -> Any:
    import boto3
    from botocore.config import Config

    once = Config(retries={"total_max_attempts": 1}, read_timeout=5)
    return boto3.client("bedrock-runtime", region_name=REGION, endpoint_url=stub.url, config=once)


def test_a_right_request_has_no_fault() -> None:
    assert faults("Converse", GOOD) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_tokens": 5}, "max_tokens"),
        ({"inferenceConfig": {"maxTokens": "1024"}}, "maxTokens"),
        ({"inferenceConfig": {"temperature": 1.5}}, "out of range"),
        ({"messages": [{"role": "robot", "content": [{"text": "x"}]}]}, "not one of"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "alternate"),
        ({"messages": [*GOOD["messages"], *GOOD["messages"]]}, "alternate"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "blank"),
        ({"messages": [{"role": "user", "content": [{"words": "x"}]}]}, "words"),
        ({"modelId": ""}, "length"),
    ],
)
def test_a_wrong_request_is_named(change: dict[str, Any], says: str) -> None:
    assert says in " ".join(faults("ConverseStream", {**GOOD, **change}))


def test_a_request_without_a_signature_is_wrong() -> None:
    assert unsigned({}) == ["the request is not signed"]
    assert unsigned({"authorization": "Bearer key"}) == []


def test_a_wrong_request_fails_the_test_that_sent_it(stub: Bedrock) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="ValidationException"):
        client(stub).converse(modelId=MODEL, messages=[*GOOD["messages"], *GOOD["messages"]])
    with pytest.raises(AssertionError, match="alternate"):
        stub.check()
    stub.problems.clear()


def test_botocore_reads_what_the_stub_says(stub: Bedrock) -> None:
    stub.then(say("one ", "two", stop="max_tokens"), say("whole"))
    streamed = list(client(stub).converse_stream(**GOOD)["stream"])
    texts = [one["contentBlockDelta"]["delta"]["text"] for one in streamed if "contentBlockDelta" in one]
    assert texts == ["one ", "two"]
    assert {"messageStop": {"stopReason": "max_tokens"}} in streamed
    assert client(stub).converse(**GOOD)["output"]["message"]["content"] == [{"text": "whole"}]


def test_botocore_sees_the_stub_fail_as_bedrock_fails(stub: Bedrock) -> None:
    from botocore.exceptions import ClientError
    from urllib3.exceptions import ProtocolError

    stub.then(throttled("2"), cut("half an"))
    with pytest.raises(ClientError, match="ThrottlingException") as refused:
        client(stub).converse_stream(**GOOD)
    assert refused.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "2"
    with pytest.raises(ProtocolError):
        list(client(stub).converse_stream(**GOOD)["stream"])
