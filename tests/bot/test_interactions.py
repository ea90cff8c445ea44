"""The doors for what people press and type: signed, tolerant, and a stop that leaves exactly one outcome."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from stateroom.bot.interactions import HELP, IDLE, STOPPING
from stateroom.slack.signing import sign
from support.bot import MENTION, bot
from support.local_slack import LocalSlack, eventually
from support.slow_model import Slow

pytestmark = pytest.mark.service
SECRET = "local-signing-secret"
USER = {"id": "U00000001"}
TEAM = {"id": "T00000001"}
SO_FAR, WHOLE = "So far this", "the whole answer"
DOORS = ("/slack/interactions", "/slack/commands")


@pytest.fixture
def model(says: Callable[..., Slow]) -> Slow:
    return says(f"{SO_FAR} ")


@pytest.fixture
async def url(slack: LocalSlack, model: Slow) -> AsyncIterator[str]:
    """A bot that says as much as `SO_FAR`, then nothing until its model is let go."""
    async with bot(slack) as address:
        yield address


async def post(url: str, body: bytes, *, secret: str | None = SECRET) -> tuple[int, bytes]:
    headers = {} if secret is None else sign(secret, int(time.time()), body)
    headers["Content-Type"] = "application/x-www-form-urlencoded"

    def send() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    return await asyncio.to_thread(send)


async def interact(url: str, **payload: Any) -> tuple[int, bytes]:
    body = urlencode({"payload": json.dumps({"team": TEAM, "user": USER, **payload})}).encode()
    return await post(f"{url}/slack/interactions", body)


async def command(url: str, text: str, **more: str) -> dict[str, Any]:
    given = {"team_id": "T00000001", "user_id": "U00000001", "channel_id": "C00000001", "command": "/stateroom"}
    status, answer = await post(f"{url}/slack/commands", urlencode({**given, "text": text, **more}).encode())
    assert status == 200
    return dict(json.loads(answer))


async def streaming(slack: LocalSlack, ts: str) -> dict[str, Any]:
    """The answer while it grows."""
    return (await eventually(lambda: [m for m in slack.replies(ts) if m.get("streaming") and SO_FAR in m["text"]]))[0]


async def ended(slack: LocalSlack, ts: str) -> dict[str, Any]:
    (answer,) = await eventually(lambda: [m for m in slack.replies(ts) if not m.get("streaming")])
    return answer


@pytest.mark.parametrize("door", DOORS)
async def test_what_is_not_signed_by_slack_is_401(url: str, door: str) -> None:
    body = urlencode({"payload": "{}"}).encode()
    assert (await post(f"{url}{door}", body, secret="wrong"))[0] == 401
    assert (await post(f"{url}{door}", body, secret=None))[0] == 401


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("body", [b"", b"payload=%7B", b"payload=%5B%5D", b"\xff", b"team_id=..&command=x"])
async def test_what_is_malformed_is_400_and_never_500(url: str, door: str, body: bytes) -> None:
    status, answer = await post(f"{url}{door}", body)
    assert status == 400
    assert set(json.loads(answer)) == {"error", "detail"}


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "block_actions", "actions": [{"action_id": "of somebody else"}]},
        {"type": "view_submission", "view": {"callback_id": "v", "state": {}}},
        {"type": "view_closed"},
        {"type": "shortcut", "callback_id": "unknown"},
        {"type": "message_action", "callback_id": "stateroom_stop"},
        {"type": "invented_next_year", "actions": "no list"},
    ],
    ids=lambda value: value["type"],
)
async def test_what_we_do_not_offer_is_acknowledged_without_a_word(url: str, payload: dict[str, Any]) -> None:
    assert await interact(url, **payload) == (200, b"")


async def test_a_select_that_asks_for_options_gets_none(url: str) -> None:
    assert await interact(url, type="block_suggestion", action_id="x", value="y") == (200, b'{"options":[]}')


async def test_slacks_check_of_the_address_is_200(url: str) -> None:
    assert await post(f"{url}/slack/commands", b"ssl_check=1") == (200, b"")


async def test_a_get_of_the_doors_is_405(url: str) -> None:
    def status() -> int:
        try:
            return int(urllib.request.urlopen(f"{url}/slack/commands", timeout=10).status)
        except urllib.error.HTTPError as refused:
            return refused.code

    assert await asyncio.to_thread(status) == 405


@pytest.mark.parametrize("text", ["", "help", "HELP me", "make coffee"])
async def test_the_command_helps_the_one_who_asked(url: str, text: str) -> None:
    assert await command(url, text) == {"response_type": "ephemeral", "text": HELP}


async def test_a_team_that_is_not_ours_gets_nothing_done(url: str) -> None:
    await asyncio.sleep(0)
    given = {"team_id": "T99999999", "user_id": "U1", "channel_id": "C1", "command": "/stateroom", "text": "stop"}
    status, answer = await post(f"{url}/slack/commands", urlencode(given).encode())
    assert status == 200
    assert b"stop" not in answer.lower()


async def test_the_shortcut_on_a_streamed_answer_ends_it_with_what_is_there(slack: LocalSlack, url: str) -> None:
    ts = slack.say(f"{MENTION} hello")
    answer = await streaming(slack, ts)
    message = {"ts": answer["ts"], "thread_ts": ts}
    stop = {"type": "message_action", "callback_id": "stateroom_stop", "channel": {"id": "C00000001"}}
    assert (await interact(url, **stop, message=message, action_ts=f"{time.time():.6f}"))[0] == 200
    assert (await ended(slack, ts))["text"].strip() == SO_FAR


async def test_the_command_stops_what_is_said_to_the_one_who_asks_and_to_nobody_else(
    slack: LocalSlack, url: str, model: Slow
) -> None:
    mine = slack.say(f"{MENTION} hello", user="U00000001")
    theirs = slack.say(f"{MENTION} hello", user="U00000002")
    await streaming(slack, mine)
    await streaming(slack, theirs)
    assert (await command(url, "stop"))["text"] == STOPPING
    assert (await ended(slack, mine))["text"].strip() == SO_FAR
    model.go.set()
    await eventually(lambda: [m["text"] for m in slack.replies(theirs)] == [WHOLE])
    assert (await command(url, "stop"))["text"] == IDLE
