"""Events as an app gets them: signed, paired, repeated until taken, and answered by a real Bolt app."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from support.local_slack import UNHURRIED, Clock, EventApp, LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service

CHANNEL, DM, TEAM, ADA, BOT = "C00000001", "D00000001", "T00000001", "U00000001", "UB0000001"


async def test_a_mention_is_two_signed_events_with_two_ids(slack: LocalSlack, app: EventApp) -> None:
    ts = slack.say("@stateroom hello")
    await eventually(lambda: len(app.received) == 2)
    verifier = SignatureVerifier("local-signing-secret")
    assert all(verifier.is_valid_request(one.body, one.headers) for one in app.received)
    events = {one.event["type"]: one for one in app.received}
    assert set(events) == {"message", "app_mention"}
    assert len({one.envelope["event_id"] for one in app.received}) == 2
    envelope = events["app_mention"].envelope
    assert (envelope["type"], envelope["team_id"], envelope["api_app_id"]) == ("event_callback", TEAM, "A00000001")
    authorization = {"enterprise_id": None, "team_id": TEAM, "user_id": BOT}
    assert envelope["authorizations"] == [{**authorization, "is_bot": True, "is_enterprise_install": False}]
    assert isinstance(envelope["event_time"], int)
    for one in app.received:
        assert (one.event["ts"], one.event["user"], one.event["text"]) == (ts, ADA, f"<@{BOT}> hello")
    assert events["message"].event["channel_type"] == "channel"
    assert "x-slack-retry-num" not in app.received[0].headers


async def test_a_direct_message_is_one_message_event(slack: LocalSlack, app: EventApp) -> None:
    slack.say(f"<@{BOT}> hi", channel=DM)
    slack.say("plain")
    await eventually(lambda: len(app.received) == 2)
    first, second = sorted(app.events(), key=lambda event: event["ts"])
    assert (first["type"], first["channel_type"]) == ("message", "im")
    assert (second["type"], second["channel_type"]) == ("message", "channel")


async def test_a_reply_names_its_thread_and_a_file_comes_with_the_message_alone(
    slack: LocalSlack, app: EventApp
) -> None:
    root = slack.say("root")
    slack.say(f"<@{BOT}> look", thread_ts=root, files=[{"name": "a.txt", "mimetype": "text/plain"}])
    await eventually(lambda: len(app.received) == 5)
    reply = next(event for event in app.events("message") if event.get("subtype") == "file_share")
    assert (reply["thread_ts"], reply["parent_user_id"], reply["files"][0]["name"]) == (root, ADA, "a.txt")
    assert "files" not in app.events("app_mention")[0]
    assert {event["file_id"] for event in app.events("file_shared")} == {reply["files"][0]["id"]}


async def test_edits_and_deletions_tell_what_was_there(slack: LocalSlack, app: EventApp) -> None:
    ts = slack.say("before")
    slack.act("edit", ts, text="after")
    await eventually(lambda: len(app.received) == 2)
    edit = next(event for event in app.events() if event.get("subtype") == "message_changed")
    assert (edit["message"]["text"], edit["previous_message"]["text"]) == ("after", "before")
    assert (edit["message"]["ts"], edit["message"]["edited"]["user"]) == (ts, ADA)
    slack.act("delete", ts)
    await eventually(lambda: len(app.received) == 3)
    gone = next(event for event in app.events() if event.get("subtype") == "message_deleted")
    assert (gone["deleted_ts"], gone["previous_message"]["text"]) == (ts, "after")
    assert slack.messages() == []


async def test_what_the_bot_writes_is_an_event_too_and_marked_as_its_own(slack: LocalSlack, app: EventApp) -> None:
    slack.call("chat.postMessage", channel=CHANNEL, text=f"<@{BOT}> me")
    slack.say("plain")
    await eventually(lambda: len(app.received) == 2)
    assert app.events("app_mention") == []
    event = next(event for event in app.events() if "bot_id" in event)
    assert (event["bot_id"], event["app_id"], event["user"]) == ("B00000001", "A00000001", BOT)


async def test_a_reaction_is_an_event(slack: LocalSlack, app: EventApp) -> None:
    ts = slack.say("nice")
    slack.act("react", ts, name="thumbsup", user="U00000002")
    await eventually(lambda: app.events("reaction_added"))
    assert app.events("reaction_added")[0]["item"] == {"type": "message", "channel": CHANNEL, "ts": ts}
    slack.act("react", ts, name="thumbsup", user="U00000002")
    await eventually(lambda: app.events("reaction_removed"))


async def test_an_event_that_is_refused_comes_again_with_the_same_id_and_slacks_headers(
    slack: LocalSlack, app: EventApp
) -> None:
    app.answers = [500, 503, 404, 200]
    slack.say("plain")
    await eventually(lambda: len(app.received) == 4)
    heard = [(one.headers.get("x-slack-retry-num"), one.headers.get("x-slack-retry-reason")) for one in app.received]
    assert heard == [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    assert len({one.envelope["event_id"] for one in app.received}) == 1
    await eventually(lambda: len(slack.deliveries()) == 4)
    assert [one["status"] for one in slack.deliveries()] == [500, 503, 404, 200]
    assert [one["attempt"] for one in slack.deliveries()] == [1, 2, 3, 4]
    waits = [b["at"] - a["at"] for a, b in zip(slack.deliveries(), slack.deliveries()[1:], strict=False)]
    assert waits[1] >= 0.59  # 60 s and 300 s at a hundredth
    assert waits[2] >= 2.99


async def test_the_first_retry_is_due_at_once_and_the_second_after_a_minute() -> None:
    clock, released = Clock(), asyncio.Event()
    with local_slack(clock=clock, **UNHURRIED) as slack:

        def waiting(sent: int) -> list[float]:
            return [one["due"] for one in slack.sim("GET", "pending")["pending"] if one["sent"] == sent]

        async with EventApp() as app:
            slack.register(app.url)
            app.answers = [500, released]
            slack.fault("drop_ack", event="message")
            slack.say("plain")
            await eventually(lambda: len(app.received) == 2)
            assert waiting(1) == [clock()]
            released.set()
            assert await eventually(lambda: waiting(2)) == [clock() + 60]


async def test_after_three_retries_slack_gives_up_and_no_retry_is_honoured(slack: LocalSlack, app: EventApp) -> None:
    app.answers, app.headers = [500], {"X-Slack-No-Retry": "1"}
    slack.say("plain")
    await eventually(slack.deliveries)
    app.headers = {}
    app.answers = [500] * 5
    slack.say("again")
    await eventually(lambda: len(slack.deliveries()) == 5)
    assert len(app.received) == 5
    assert len({one.envelope["event_id"] for one in app.received}) == 2


async def test_an_app_that_is_silent_for_too_long_hears_http_timeout() -> None:
    with local_slack(ack_seconds=0.2, time_scale=0.001) as slack:
        async with EventApp() as app:
            app.answers = [None, 200]
            slack.register(app.url)
            slack.say("plain")
            retried = await eventually(lambda: [one for one in app.received if "x-slack-retry-num" in one.headers])
            assert retried[0].headers["x-slack-retry-reason"] == "http_timeout"


async def test_an_app_that_is_down_gets_its_event_when_it_is_back() -> None:
    with local_slack(time_scale=0.03, **UNHURRIED) as slack:  # it has more than 10 s to come back
        slack.register("http://127.0.0.1:9/slack/events")  # where nothing listens
        slack.say("plain")
        await eventually(slack.deliveries)
        assert slack.deliveries()[0]["reason"] == "connection_failed"
        assert slack.deliveries()[0]["status"] is None
        assert slack.state()["apps"][0]["online"] is False
        async with EventApp() as app:
            slack.register(app.url)
            await eventually(lambda: app.received)
            assert app.received[0].headers["x-slack-retry-reason"] == "connection_failed"


async def test_a_manifest_limits_what_is_sent(slack: LocalSlack, app: EventApp) -> None:
    manifest = {"settings": {"event_subscriptions": {"bot_events": ["message.im"]}}}
    slack.register(app.url, manifest=manifest)
    slack.say(f"<@{BOT}> hi")
    slack.say("hi", channel=DM)
    await eventually(lambda: app.received)
    assert [event["channel_type"] for event in app.events()] == ["im"]


async def test_only_members_and_only_the_app_that_is_named_hear(slack: LocalSlack, app: EventApp) -> None:
    async with EventApp() as second:
        made = slack.register(second.url, app_id="A00000002", name="Helper", signing_secret="other")
        slack.say(f"<@{made['bot_user_id']}> hi")
        slack.say("hi", channel=DM)
        await eventually(lambda: len(app.received) == 2 and len(second.received) == 2)
        assert SignatureVerifier("other").is_valid_request(second.received[0].body, second.received[0].headers)
        assert {event["type"] for event in second.events()} == {"message", "app_mention"}
        assert {event["channel"] for event in app.events("message")} == {CHANNEL, DM}


@pytest.fixture
async def bolt(slack: LocalSlack) -> AsyncIterator[list[str]]:
    """A Bolt app that answers mentions in their thread."""
    client = AsyncWebClient(token="xoxb-local-1", base_url=slack.api_url)
    answering = AsyncApp(client=client, signing_secret="local-signing-secret")
    heard: list[str] = []

    @answering.event("app_mention")
    async def answer(event: dict[str, str], say: object) -> None:
        heard.append(event["text"])
        await say(text=f"You said: {event['text'][-5:]}", thread_ts=event["ts"])  # type: ignore[operator]

    @answering.event("message")
    async def ignore(event: dict[str, str]) -> None:
        return

    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await answering.async_dispatch(await to_bolt_request(request)))

    site = web.Application()
    site.router.add_post("/slack/events", handle)
    runner = web.AppRunner(site, shutdown_timeout=1.0)
    await runner.setup()
    port = web.TCPSite(runner, "127.0.0.1", 0)
    await port.start()
    slack.register(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
    yield heard
    await runner.cleanup()


async def test_a_bolt_app_answers_a_mention(slack: LocalSlack, bolt: list[str]) -> None:
    ts = slack.say("@stateroom hello")
    await eventually(lambda: slack.replies(ts))
    assert [one["text"] for one in slack.replies(ts)] == ["You said: hello"]
    assert bolt == [f"<@{BOT}> hello"]
    await eventually(lambda: slack.stats()["answered"] == 1)
    assert slack.stats() == {"acknowledged": 1, "answered": 1, "lost": 0, "doubled": 0}


async def test_url_verification_is_not_needed_and_bodies_are_plain_json(slack: LocalSlack, app: EventApp) -> None:
    slack.say("日本語 <&>")
    await eventually(lambda: app.received)
    assert json.loads(app.received[0].body)["event"]["text"] == "日本語 <&>"
    assert app.received[0].headers["content-type"] == "application/json"
