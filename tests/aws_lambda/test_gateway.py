"""API Gateway's payloads as requests, and answers as it wants them."""

import base64
from typing import Any

import pytest

from stateroom.aws_lambda.gateway import answered, asked
from stateroom.model.errors import WrongUse
from support.lambda_host import queue_event, request_event

BODY = '{"text":"grüße 🎉"}'.encode()
HEADERS = {"X-Slack-Signature": "v0=ab", "Content-Type": "application/json", "Cookie": "a=1; b=2"}


@pytest.mark.parametrize("old", [False, True], ids=["2.0", "1.0"])
def test_a_request_is_what_the_gateway_was_sent(old: bool) -> None:
    found = asked(request_event("POST", "/slack/events?a=1&b=x%20y&a=2", HEADERS, BODY, old=old))
    assert (found.method, found.path, found.body, found.old) == ("POST", "/slack/events", BODY, old)
    assert dict(found.headers)[b"x-slack-signature"] == b"v0=ab"
    assert dict(found.headers)[b"cookie"] == b"a=1; b=2"
    assert sorted(found.query.replace(b"+", b"%20").split(b"&")) == [b"a=1", b"a=2", b"b=x%20y"]


def test_a_body_may_come_as_text_and_a_stage_before_the_path() -> None:
    event = request_event("POST", "/prod/slack/events", HEADERS, b"")
    event["requestContext"]["stage"] = "prod"
    found = asked({**event, "body": BODY.decode(), "isBase64Encoded": False})
    assert (found.path, found.body) == ("/slack/events", BODY)
    assert asked(request_event("GET", "/production", {}, b"")).path == "/production"


@pytest.mark.parametrize("old", [False, True], ids=["2.0", "1.0"])
def test_a_request_without_headers_is_one(old: bool) -> None:
    event = request_event("POST", "/slack/events", {}, b"x", old=old)
    without = {name: value for name, value in event.items() if "eaders" not in name}
    for one in (without, {**without, "headers": None}):
        assert (asked(one).headers, asked(one).body) == ((), b"x")


def test_an_answer_has_the_form_of_its_request() -> None:
    headers = [(b"content-type", b"text/html"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"location", b"/x")]
    new = answered(asked(request_event("GET", "/", {}, b"")), 302, headers, b"ok")
    assert new == {
        "statusCode": 302,
        "headers": {"content-type": "text/html", "location": "/x"},
        "cookies": ["a=1", "b=2"],
        "body": "ok",
        "isBase64Encoded": False,
    }
    old = answered(asked(request_event("GET", "/", {}, b"", old=True)), 302, headers, b"\xff")
    assert old["multiValueHeaders"]["set-cookie"] == ["a=1", "b=2"]
    assert (base64.b64decode(old["body"]), old["isBase64Encoded"]) == (b"\xff", True)


@pytest.mark.parametrize(
    "event",
    [
        {},
        queue_event(["work"]),
        {"requestContext": {"http": {}}},
        {"requestContext": {}, "path": 1, "httpMethod": "GET"},
        {**request_event("POST", "/", {}, b"x"), "body": "no base64!"},
        {**request_event("POST", "/", {}, b"x"), "body": "é"},
        {**request_event("POST", "/", {}, b""), "body": "\ud800"},
        request_event("POST", "/", {"x-日": "1"}, b""),
        None,
        ["work"],
    ],
    ids=["nothing", "of a queue", "no method", "no path", "no base64", "no ASCII", "no text", "header", "null", "list"],
)
def test_what_is_no_request_is_refused_with_a_reason(event: Any) -> None:
    with pytest.raises(WrongUse, match="API Gateway"):
        asked(event)
