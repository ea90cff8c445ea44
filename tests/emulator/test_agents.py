"""Agents and the older assistant pane: sessions, the stop button, contexts, Bolt's helpers sync and async, streams."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from slack_bolt import App, Assistant
from slack_bolt.async_app import AsyncApp, AsyncAssistant
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import ContextActionsBlock, FeedbackButtonObject, FeedbackButtonsElement
from slack_sdk.models.messages.chunk import MarkdownTextChunk, PlanUpdateChunk, TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.emulator.config import SEED_APP, SEED_CHANNEL, SEED_DM, SEED_SECRET, SEED_TOKEN
from support.bolt_http import served, served_async
from support.local_slack import UNHURRIED, LocalSlack, eventually, eventually_now, local_slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
TEAM, ADA = "T00000001", "U00000001"
PROMPTS = [{"title": "Summary", "message": "What was said here?"}]
EVENTS = (
    *("message.im", "message.channels", "app_home_opened", "app_context_changed", "agent_session_stopped"),
    *("assistant_thread_started", "assistant_thread_context_changed"),
)
RECIPIENT = {"recipient_team_id": TEAM, "recipient_user_id": ADA}


def manifest(events: tuple[str, ...] = EVENTS, **features: Json) -> Json:
    return {
        "display_information": {"name": "Helper"},
        "features": {"bot_user": {"display_name": "helper"}, **features},
        "oauth_config": {"scopes": {"bot": ["chat:write", "assistant:write", "im:history"]}},
        "settings": {"event_subscriptions": {"bot_events": list(events)}},
    }


AGENT = manifest(agent_view={"agent_description": "It helps", "suggested_prompts": PROMPTS})
PANE = manifest(assistant_view={"assistant_description": "It helps", "suggested_prompts": PROMPTS})


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack(**UNHURRIED) as running:
        yield running


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    return WebClient(token=SEED_TOKEN, base_url=slack.api_url)


def declare(slack: LocalSlack, said: Json) -> None:
    slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": said})


def session(slack: LocalSlack, thread_ts: str) -> Json:
    return next(one for one in slack.state()["sessions"] if one.get("thread_ts") == thread_ts)


def test_a_session_is_processing_then_active_and_has_a_title(slack: LocalSlack, client: WebClient) -> None:
    declare(slack, AGENT)
    ts = slack.say("help", SEED_DM)
    place = {"channel_id": SEED_DM, "thread_ts": ts}
    answer = client.agents_sessions_setStatus(**place, status="processing", title="Help", initiator_user_id=ADA)
    assert (answer["status"], answer["agent_status"], answer["title"]) == ("processing", "processing", "Help")
    assert "warning" not in answer.data
    client.agents_sessions_setStatus(**place, status="active", title="Another")
    client.agents_sessions_rename(**place, title="Renamed")
    seen = session(slack, ts)
    assert (seen["status"], seen["title"], seen["initiator"], seen["app_id"]) == ("active", "Renamed", ADA, SEED_APP)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": "busy"}, "invalid_arguments"),
        ({"thread_ts": ""}, "invalid_arguments"),
        ({"thread_ts": "1700000000.000100"}, "invalid_thread_ts"),
        ({"title": "x" * 201}, "invalid_arguments"),
        ({"initiator_user_id": "U0NOBODY"}, "user_not_in_channel"),
        ({"channel_id": "C0NONE"}, "channel_not_found"),
    ],
)
def test_a_session_that_cannot_be_is_refused(slack: LocalSlack, changed: Json, code: str) -> None:
    declare(slack, AGENT)
    ts = slack.say("help", SEED_DM)
    asked = {"channel_id": SEED_DM, "thread_ts": ts, "status": "active", **changed}
    assert slack.call("agents.sessions.setStatus", **asked)["error"] == code


def test_only_an_agent_has_sessions_and_one_that_cannot_be_stopped_is_warned(slack: LocalSlack) -> None:
    ts = slack.say("help", SEED_DM)
    place = {"channel_id": SEED_DM, "thread_ts": ts}
    declare(slack, manifest())
    assert slack.call("agents.sessions.setStatus", **place, status="active")["error"] == "not_an_agent"
    declare(slack, manifest(("message.im",), agent_view={"agent_description": "It helps"}))
    answer = slack.call("agents.sessions.setStatus", **place, status="processing")
    assert answer["warning"] == "missing_agent_session_stopped_event_subscription"
    stopped = slack.request("POST", "/_sim/actions", {"kind": "stop", "channel": SEED_DM, "thread_ts": ts})
    assert (stopped[0], stopped[1]["error"]) == (409, "not_subscribed")


def test_a_person_stops_an_agent_and_its_stream_grows_no_more(slack: LocalSlack, client: WebClient) -> None:
    declare(slack, AGENT)
    heard: list[Json] = []
    app = App(token=SEED_TOKEN, signing_secret=SEED_SECRET, client=client)
    app.event("agent_session_stopped")(lambda event: heard.append(dict(event)))
    ts = slack.say("write a book", SEED_CHANNEL)
    place = {"channel_id": SEED_CHANNEL, "thread_ts": ts}
    stop = {"kind": "stop", "channel": SEED_CHANNEL, "thread_ts": ts}
    assert slack.request("POST", "/_sim/actions", stop)[1]["error"] == "not_processing"
    client.agents_sessions_setStatus(**place, status="processing")
    stream = client.chat_startStream(channel=SEED_CHANNEL, thread_ts=ts, markdown_text="Once", **RECIPIENT)
    with served(slack, app):
        answer = slack.sim("POST", "actions", stop)
        assert answer["ok"] is True
        assert answer["delivered"]["status"] == 200
        (event,) = eventually_now(lambda: heard)
    assert (event["channel"], event["thread_ts"], event["user"]) == (SEED_CHANNEL, ts, ADA)
    assert event["streaming_message_ts"] == [stream["ts"]]
    with pytest.raises(SlackApiError, match="stopped_by_user"):
        client.chat_appendStream(channel=SEED_CHANNEL, ts=str(stream["ts"]), markdown_text=" upon")
    assert session(slack, ts)["status"] == "processing"
    client.chat_stopStream(
        channel=SEED_CHANNEL, ts=str(stream["ts"]), markdown_text=" (stopped)", session_status="active"
    )
    assert session(slack, ts)["status"] == "active"
    assert slack.replies(ts)[0]["text"] == "Once (stopped)"
    with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
        client.chat_stopStream(channel=SEED_CHANNEL, ts=str(stream["ts"]))


async def test_an_agent_hears_of_its_tab_and_of_what_the_person_looks_at(slack: LocalSlack) -> None:
    declare(slack, AGENT)
    heard: dict[str, Json] = {}
    client = AsyncWebClient(token=SEED_TOKEN, base_url=slack.api_url)
    app = AsyncApp(token=SEED_TOKEN, signing_secret=SEED_SECRET, client=client)

    @app.event("app_home_opened")
    async def opened(event: Json) -> None:
        heard["opened"] = event
        await client.assistant_threads_setSuggestedPrompts(channel_id=event["channel"], prompts=PROMPTS)

    @app.event("app_context_changed")
    async def changed(event: Json) -> None:
        heard["changed"] = event

    async with served_async(slack, app):
        seen = {"app_id": SEED_APP, "tab": "messages", "context_channel": SEED_CHANNEL}
        await asyncio.to_thread(slack.sim, "POST", "actions", {"kind": "open_home", **seen})
        await asyncio.to_thread(slack.sim, "POST", "actions", {"kind": "context", "channel": SEED_DM})
        await eventually(lambda: len(heard) == 2 and any("prompts" in one for one in slack.state()["sessions"]))
    entity = {"type": "slack#/types/channel_id", "value": SEED_CHANNEL, "team_id": TEAM}
    assert (heard["opened"]["tab"], heard["opened"]["context"]) == ("messages", {"entities": [entity]})
    assert (heard["changed"]["user"], heard["changed"]["channel"], heard["changed"]["context"]) == (ADA, SEED_DM, {})
    (known,) = [one for one in slack.state()["apps"] if one["app_id"] == SEED_APP]
    assert known["features"]["agent"] == {"kind": "agent", "description": "It helps", "prompts": PROMPTS}
    refused = slack.request("POST", "/_sim/actions", {"kind": "open_assistant", "app_id": SEED_APP})
    assert (refused[0], refused[1]["error"]) == (409, "no_assistant")


def talk(slack: LocalSlack) -> tuple[str, str]:
    """Open the pane, go to another channel, ask. Returns the direct message and the thread."""
    opened = slack.sim("POST", "actions", {"kind": "open_assistant", "app_id": SEED_APP, "channel": SEED_CHANNEL})
    assert opened["ok"] is True, opened
    channel, thread_ts = opened["channel"], opened["thread_ts"]
    eventually_now(lambda: slack.replies(thread_ts, channel)[1:])
    context = {"kind": "context", "channel": channel, "thread_ts": thread_ts, "context_channel": SEED_CHANNEL}
    assert slack.sim("POST", "actions", context)["ok"] is True
    slack.say("What do you see?", channel, thread_ts=thread_ts)
    return channel, thread_ts


def settled(slack: LocalSlack, channel: str, thread_ts: str) -> Json:
    """The streamed answer, once it is whole."""
    last = slack.replies(thread_ts, channel)[-1]
    return last if last["text"] == f"I see {SEED_CHANNEL}" and not last["streaming"] else {}


def test_bolts_assistant_runs(slack: LocalSlack, client: WebClient) -> None:
    declare(slack, PANE)
    app = App(token=SEED_TOKEN, signing_secret=SEED_SECRET, client=client)
    assistant = Assistant()

    @assistant.thread_started
    def started(say: Any, set_suggested_prompts: Any, get_thread_context: Any) -> None:
        say(f"Hello from {get_thread_context().channel_id}")
        set_suggested_prompts(prompts=PROMPTS, title="Try")

    @assistant.user_message
    def asked(set_status: Any, set_title: Any, get_thread_context: Any, say_stream: Any, payload: Json) -> None:
        set_status("is looking...", loading_messages=["looking"])
        set_title(payload["text"])
        stream = say_stream(buffer_size=1)
        stream.append(markdown_text="I see ")
        stream.stop(markdown_text=get_thread_context().channel_id)

    app.use(assistant)
    with served(slack, app):
        channel, thread_ts = talk(slack)
        answer = eventually_now(lambda: settled(slack, channel, thread_ts))
    seen = session(slack, thread_ts)
    assert (seen["title"], seen["prompts"], seen["prompts_title"]) == ("What do you see?", PROMPTS, "Try")
    assert slack.replies(thread_ts, channel)[1]["text"] == f"Hello from {SEED_CHANNEL}"
    assert answer["app_id"] == SEED_APP
    assert slack.state()["statuses"] == []
    assert {"assistant.threads.setStatus", "assistant.threads.setTitle"} <= {one["method"] for one in slack.calls()}


async def test_bolts_async_assistant_runs(slack: LocalSlack) -> None:
    declare(slack, PANE)
    client = AsyncWebClient(token=SEED_TOKEN, base_url=slack.api_url)
    app = AsyncApp(token=SEED_TOKEN, signing_secret=SEED_SECRET, client=client)
    assistant = AsyncAssistant()

    @assistant.thread_started
    async def started(say: Any, set_suggested_prompts: Any) -> None:
        await say("Hello")
        await set_suggested_prompts(prompts=["Help me"])

    @assistant.user_message
    async def asked(set_status: Any, get_thread_context: Any, say_stream: Any) -> None:
        await set_status("is looking...")
        stream = await say_stream(buffer_size=1)
        await stream.append(markdown_text="I see ")
        await stream.stop(markdown_text=(await get_thread_context()).channel_id)

    app.use(assistant)
    async with served_async(slack, app):
        channel, thread_ts = await asyncio.to_thread(talk, slack)
        await eventually(lambda: settled(slack, channel, thread_ts))
    assert session(slack, thread_ts)["prompts"] == [{"title": "Help me", "message": "Help me"}]


def test_chunks_and_feedback_buttons_are_shown(slack: LocalSlack, client: WebClient) -> None:
    ts = slack.say("plan", SEED_DM)
    stream = client.chat_stream(channel=SEED_DM, thread_ts=ts, buffer_size=1)
    stream.append(
        chunks=[
            PlanUpdateChunk(title="The plan"),
            TaskUpdateChunk(id="1", title="Look", status="in_progress"),
            MarkdownTextChunk(text="Looking."),
        ]
    )
    positive = FeedbackButtonObject(text="Good", value="good")
    negative = FeedbackButtonObject(text="Bad", value="bad")
    buttons = FeedbackButtonsElement(action_id="f", positive_button=positive, negative_button=negative)
    stream.append(chunks=[TaskUpdateChunk(id="1", title="Look", status="complete")])
    stream.stop(blocks=[ContextActionsBlock(elements=[buttons])])
    (message,) = slack.replies(ts, SEED_DM)
    assert message["text"] == "Looking."
    assert [(one["type"], one.get("status")) for one in message["chunks"]] == [
        ("plan_update", None),
        ("task_update", "complete"),
    ]
    assert message["blocks"][0]["elements"][0]["type"] == "feedback_buttons"


def test_a_stream_expires_by_itself_or_by_a_fault() -> None:
    with local_slack(time_scale=0.001) as slack:
        client = WebClient(token=SEED_TOKEN, base_url=slack.api_url)
        ts = str(client.chat_startStream(channel=SEED_DM, thread_ts=slack.say("hi", SEED_DM), markdown_text="a")["ts"])
        eventually_now(lambda: not slack.messages(SEED_DM)[-1]["streaming"])
        with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
            client.chat_appendStream(channel=SEED_DM, ts=ts, markdown_text="b")
    with local_slack() as slack:
        client = WebClient(token=SEED_TOKEN, base_url=slack.api_url)
        ts = str(client.chat_startStream(channel=SEED_DM, thread_ts=slack.say("hi", SEED_DM), markdown_text="a")["ts"])
        slack.fault("error", method="chat.appendStream", code="message_not_in_streaming_state")
        with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
            client.chat_appendStream(channel=SEED_DM, ts=ts, markdown_text="b")


def test_a_rationed_app_reads_fifteen_messages_once_a_minute() -> None:
    with local_slack(tiers=True) as slack:
        slack.sim("POST", "apps", {"app_id": SEED_APP, "rationed": True})
        for number in range(20):
            slack.say(f"line {number}")
        page = slack.call("conversations.history", channel=SEED_CHANNEL, limit=100)
        assert (len(page["messages"]), page["has_more"]) == (15, True)
        status, answer, headers = slack.request(
            "POST",
            "/api/conversations.history",
            {"channel": SEED_CHANNEL},
            {"Authorization": f"Bearer {SEED_TOKEN}", "Content-Type": "application/json; charset=utf-8"},
        )
        assert (status, answer["error"]) == (429, "ratelimited")
        assert 50 <= int(headers["retry-after"]) <= 60
        assert slack.call("conversations.replies", channel=SEED_CHANNEL, ts=page["messages"][0]["ts"])["ok"] is True
        assert slack.call("users.list")["ok"] is True
