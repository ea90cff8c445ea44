"""The door: what is refused, what is acknowledged, and when."""

import asyncio
import http.client
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from stateroom.bot.ingress import PROBES
from stateroom.slack.signing import SIGNATURE_HEADER as SIGNATURE
from stateroom.slack.signing import TIMESTAMP_HEADER as STAMP
from stateroom.slack.signing import sign
from support.bot import bot, envelope, mention, post_async
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service
NOW = f"{int(time.time())}.000100"


def signed(body: bytes, *, age: float = 0.0, secret: str = "local-signing-secret") -> dict[str, str]:
    return sign(secret, int(time.time() - age), body)


# How a request is signed whose body is given, now: an old signature would be wrong for another reason.
REFUSED: dict[str, Callable[[bytes], dict[str, str]]] = {
    "nothing": lambda body: {},
    "no signature": lambda body: {STAMP: signed(body)[STAMP]},
    "no timestamp": lambda body: {SIGNATURE: signed(body)[SIGNATURE]},
    "another secret": lambda body: signed(body, secret="wrong"),
    "stale": lambda body: signed(body, age=301),
    "future": lambda body: signed(body, age=-400),
    "another version": lambda body: {**signed(body), SIGNATURE: "v1" + signed(body)[SIGNATURE][2:]},
    "no number": lambda body: {**signed(body), STAMP: "1e9"},
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_proven_to_be_slack_is_401(slack: LocalSlack, case: str) -> None:
    async with bot(slack, worker=False) as url:
        body = envelope(mention("x", NOW))
        status, answer = await post_async(url, body, REFUSED[case](body))
        assert (status, answer["error"]) == (401, "invalid_signature"), case


async def test_url_verification_is_signed_too(slack: LocalSlack) -> None:
    body = b'{"type":"url_verification","challenge":"c-1"}'
    async with bot(slack, worker=False) as url:
        assert (await post_async(url, body, {}))[0] == 401
        assert await post_async(url, body) == (200, {"challenge": "c-1"})


async def test_header_names_in_capitals_work(slack: LocalSlack) -> None:
    body = envelope(mention("x", NOW))
    async with bot(slack, worker=False) as url:
        assert (await post_async(url, body, {k.upper(): v for k, v in signed(body).items()}))[0] == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"{", b"\xff", b'"a"'])
async def test_what_is_no_object_is_400(slack: LocalSlack, body: bytes) -> None:
    async with bot(slack, worker=False) as url:
        status, answer = await post_async(url, body)
        assert status == 400
        assert set(answer) == {"error", "detail"}


async def test_a_body_over_one_mebibyte_is_413(slack: LocalSlack) -> None:
    async with bot(slack, worker=False) as url:
        assert (await post_async(url, b"x" * (1024 * 1024 + 1)))[0] == 413


async def test_a_probe_answers_head_as_get_without_its_body_and_nothing_else_does(slack: LocalSlack) -> None:
    def asked(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[int, list[str | None], bytes]:
        connection.request(method, path)
        answer = connection.getresponse()
        headers = [answer.getheader(name) for name in ("content-type", "content-length")]
        return answer.status, headers, answer.read()

    async with bot(slack, worker=False) as url:
        one = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)  # kept, so that a stray body would be seen
        for path in sorted(PROBES):
            status, headers, body = await asyncio.to_thread(asked, one, "GET", path)
            assert (status, headers[1]) == (200, str(len(body)))
            assert await asyncio.to_thread(asked, one, "HEAD", path) == (200, headers, b"")
        assert (await asyncio.to_thread(asked, one, "HEAD", "/slack/events"))[0] == 405
        assert (await asyncio.to_thread(asked, one, "HEAD", "/nowhere"))[0] == 404
        assert (await asyncio.to_thread(asked, one, "POST", "/healthz"))[0] == 405
        one.close()


async def test_a_malformed_id_is_refused_and_not_stored(slack: LocalSlack) -> None:
    async with bot(slack, worker=False) as url:
        body = envelope(mention("x", NOW, channel="../../etc/passwd"))
        assert (await post_async(url, body))[0] == 400


async def test_without_a_token_events_of_unknown_teams_are_dropped(slack: LocalSlack) -> None:
    async with bot(slack, bot_token="") as url:
        assert await post_async(url, envelope(mention("x", NOW))) == (200, {"ok": True})
