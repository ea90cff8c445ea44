"""`response_url`: five uses, 30 minutes, and what each kind of response does, by slack_sdk's own webhook client."""

import asyncio
import json
from urllib.parse import parse_qs

import pytest
from slack_sdk.webhook import WebhookClient

from support.bolt_apps import button
from support.local_slack import PATIENCE, EventApp, Json, LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service

CHANNEL, ADA, BOT = "C00000001", "U00000001", "UB0000001"
BUTTONS = [{"type": "actions", "block_id": "b", "elements": [button("go")]}]
MANIFEST: Json = {"display_information": {"name": "stateroom"}, "features": {"slash_commands": [{"command": "/c"}]}}


@pytest.fixture
async def clickable(slack: LocalSlack, app: EventApp) -> EventApp:
    slack.register(app.url, manifest=MANIFEST)
    return app


async def press(slack: LocalSlack, app: EventApp, ts: str) -> Json:
    """The payload of a press."""
    assert (await slack.begin("press", channel=CHANNEL, ts=ts, action_id="go"))["ok"]
    forms = [one for one in app.received if one.body.startswith(b"payload=")]
    return dict(json.loads(parse_qs(forms[-1].body.decode())["payload"][0]))


def post(slack: LocalSlack, **more: object) -> str:
    return str(slack.call("chat.postMessage", channel=CHANNEL, text="old", blocks=BUTTONS, **more)["ts"])


async def send(url: str, **said: object) -> tuple[int, str]:
    response = await asyncio.to_thread(WebhookClient(url).send_dict, said)
    return response.status_code, response.body


async def test_five_uses_and_then_no_more(slack: LocalSlack, clickable: EventApp) -> None:
    url = (await press(slack, clickable, post(slack)))["response_url"]
    for number in range(5):
        assert (await send(url, text=f"m{number}"))[0] == 200
    status, body = await send(url, text="m5")
    assert (status, json.loads(body)) == (404, {"ok": False, "error": "used_url"})
    assert [one["text"] for one in slack.messages()] == ["old", "m0", "m1", "m2", "m3", "m4"]


async def test_after_its_time_it_is_expired() -> None:
    with local_slack(time_scale=0.0001) as slack:  # 30 minutes are 0.18 s
        async with EventApp() as app:
            slack.register(app.url, manifest=MANIFEST)
            url = (await press(slack, app, post(slack)))["response_url"]

            async def over() -> bool:
                return (await send(url, text=""))[0] == 404  # says nothing, so it uses nothing up

            async with asyncio.timeout(PATIENCE):
                while not await over():
                    await asyncio.sleep(0.02)
            assert json.loads((await send(url, text="late"))[1])["error"] == "expired_url"
            assert (await send(f"{slack.url}/response/none", text="x"))[0] == 404


async def test_a_response_is_for_one_person_unless_it_says_in_channel(slack: LocalSlack, clickable: EventApp) -> None:
    ts = post(slack)
    url = (await press(slack, clickable, ts))["response_url"]
    await send(url, text="for you")
    await send(url, text="for all", response_type="in_channel", thread_ts=ts)
    mine, all_ = slack.messages()[1:]
    assert (mine["ephemeral_to"], mine["user"]) == (ADA, BOT)
    assert ("ephemeral_to" not in all_, all_["thread_ts"]) == (True, ts)


async def test_the_original_is_replaced_or_deleted(slack: LocalSlack, clickable: EventApp) -> None:
    ts = post(slack)
    url = (await press(slack, clickable, ts))["response_url"]
    await send(url, text="new", replace_original=True)
    assert [(one["ts"], one["text"], one.get("blocks")) for one in slack.messages()] == [(ts, "new", None)]
    await eventually(
        lambda: any(one["type"] == "message" and one.get("subtype") == "message_changed" for one in events(clickable))
    )
    await send(url, delete_original=True)
    assert slack.messages() == []


def events(app: EventApp) -> list[Json]:
    return [dict(json.loads(one.body)["event"]) for one in app.received if one.body.startswith(b"{")]


async def test_an_ephemeral_message_is_replaced_by_its_response_url(slack: LocalSlack, clickable: EventApp) -> None:
    slack.call("chat.postEphemeral", channel=CHANNEL, user=ADA, text="psst", blocks=BUTTONS)
    ts = slack.messages()[0]["ts"]
    payload = await press(slack, clickable, ts)
    assert payload["container"]["is_ephemeral"] is True
    assert "message" not in payload
    await send(payload["response_url"], text="changed", replace_original=True)
    assert [(one["text"], one["ephemeral_to"]) for one in slack.messages()] == [("changed", ADA)]


async def test_what_says_nothing_is_refused_and_is_no_use(slack: LocalSlack, clickable: EventApp) -> None:
    url = (await press(slack, clickable, post(slack)))["response_url"]
    assert json.loads((await send(url, text=""))[1])["error"] == "no_text"
    status, answer, _ = slack.request("POST", url.removeprefix(slack.url), b"{nonsense")
    assert (status, answer["error"]) == (400, "invalid_payload")
    for _ in range(5):
        assert (await send(url, text="x"))[0] == 200


async def test_a_person_presses_what_they_see_and_where_they_are(slack: LocalSlack, clickable: EventApp) -> None:
    slack.call("chat.postEphemeral", channel=CHANNEL, user=ADA, text="psst", blocks=BUTTONS)
    ts = slack.messages()[0]["ts"]
    denied = [
        slack.request("POST", "/_sim/actions", {"kind": "press", "channel": CHANNEL, "ts": ts, **more})[:2]
        for more in ({"action_id": "go", "user": "U00000002"}, {"action_id": "none"})
    ]
    assert [(status, answer["error"]) for status, answer in denied] == [
        (404, "message_not_found"),
        (404, "action_not_found"),
    ]
