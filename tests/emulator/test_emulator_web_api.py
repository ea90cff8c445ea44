"""The Web API as Slack's own Python clients see it."""

from urllib.parse import urlencode

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from support.local_slack import Clock, LocalSlack, eventually_now, local_slack

pytestmark = pytest.mark.service

CHANNEL, DM, TEAM, ADA = "C00000001", "D00000001", "T00000001", "U00000001"


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    return WebClient(token="xoxb-local-1", base_url=slack.api_url)


def refused(slack: LocalSlack, method: str, **args: object) -> str:
    answer = slack.call(method, **args)
    assert answer["ok"] is False
    return str(answer["error"])


async def test_slacks_async_client_posts_reads_and_finds_itself(slack: LocalSlack) -> None:
    client = AsyncWebClient(token="xoxb-local-1", base_url=slack.api_url)
    who = await client.auth_test()
    assert (who["team_id"], who["user_id"], who["bot_id"]) == (TEAM, "UB0000001", "B00000001")
    posted = await client.chat_postMessage(
        channel=CHANNEL, text="hello", metadata={"event_type": "e", "event_payload": {}}
    )
    found = await client.conversations_history(channel=CHANNEL)
    assert [message["ts"] for message in found["messages"]] == [posted["ts"]]
    assert slack.messages()[0]["metadata"] == {"event_type": "e", "event_payload": {}}


def test_slacks_sync_client_reads_people_team_and_channels(client: WebClient) -> None:
    assert client.users_info(user=ADA)["user"]["real_name"] == "Ada Lovelace"
    assert {user["id"] for user in client.users_list()["members"]} == {ADA, "U00000002", "UB0000001"}
    assert client.team_info()["team"]["id"] == TEAM
    assert client.conversations_info(channel=CHANNEL)["channel"]["name"] == "general"
    assert [one["id"] for one in client.conversations_list(types="public_channel,im")["channels"]] == [CHANNEL, DM]
    assert set(client.conversations_members(channel=CHANNEL)["members"]) == {ADA, "U00000002", "UB0000001"}
    assert client.conversations_open(users=ADA)["channel"]["id"] == DM
    other = client.conversations_open(users=["U00000002"])["channel"]["id"]
    assert client.conversations_open(users="U00000002")["channel"]["id"] == other != DM
    assert client.api_test(foo="bar")["args"]["foo"] == "bar"


def test_forms_and_json_tokens_in_header_and_body_are_the_same(slack: LocalSlack) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = {"token": "xoxb-local-1", "channel": CHANNEL, "text": "one"}
    body = urlencode({**fields, "metadata": '{"event_type":"e","event_payload":{}}'}).encode()
    assert slack.request("POST", "/api/chat.postMessage", body, form)[1]["ok"] is True
    assert slack.call("chat.postMessage", token=None, channel=CHANNEL, text="two")["error"] == "not_authed"
    answer = slack.call("chat.postMessage", token="xoxb-wrong", channel=CHANNEL, text="two")
    assert answer["error"] == "invalid_auth"
    assert slack.messages()[0]["metadata"]["event_type"] == "e"
    assert all("token" not in call["args"] for call in slack.calls())
    assert "xoxb" not in str(slack.calls())


def test_errors_have_slacks_names(slack: LocalSlack) -> None:
    assert refused(slack, "chat.fly") == "unknown_method"
    assert refused(slack, "chat.postMessage", text="x") == "invalid_arguments"
    assert refused(slack, "chat.postMessage", channel=CHANNEL) == "no_text"
    assert refused(slack, "chat.postMessage", channel="C0NONE", text="x") == "channel_not_found"
    assert refused(slack, "chat.postMessage", channel=CHANNEL, text="x", thread_ts="soon") == "invalid_thread_ts"
    assert refused(slack, "chat.postMessage", channel=CHANNEL, text="x", markdown_text="y") == "markdown_text_conflict"
    assert refused(slack, "chat.postMessage", channel=CHANNEL, markdown_text="y" * 12_001) == "msg_too_long"
    many = [{"type": "divider"}] * 51
    assert refused(slack, "chat.postMessage", channel=CHANNEL, blocks=many) == "msg_blocks_too_many"
    assert refused(slack, "chat.postMessage", channel=CHANNEL, text="x", metadata={}) == "invalid_metadata_schema"
    ts = slack.say("mine")
    assert refused(slack, "chat.update", channel=CHANNEL, ts=ts, text="x") == "cant_update_message"
    assert refused(slack, "chat.delete", channel=CHANNEL, ts=ts) == "cant_delete_message"
    assert refused(slack, "chat.update", channel=CHANNEL, ts="1.2", text="x") == "message_not_found"
    assert refused(slack, "reactions.remove", channel=CHANNEL, timestamp=ts, name="eyes") == "no_reaction"
    assert refused(slack, "conversations.replies", channel=CHANNEL, ts="1700000000.000100") == "thread_not_found"
    assert refused(slack, "users.info", user="U0NONE") == "user_not_found"
    assert slack.request("POST", "/api/chat.postMessage", b"[", {"Authorization": "x"})[1]["error"] == "invalid_json"


def test_text_over_forty_thousand_is_cut_with_a_warning_and_an_update_over_four_thousand_refused(
    slack: LocalSlack,
) -> None:
    posted = slack.call("chat.postMessage", channel=CHANNEL, text="x" * 40_001)
    assert posted["warning"] == "message_truncated"
    assert len(posted["message"]["text"]) == 40_000
    assert refused(slack, "chat.update", channel=CHANNEL, ts=posted["ts"], text="x" * 4_001) == "msg_too_long"
    assert slack.call("chat.update", channel=CHANNEL, ts=posted["ts"], text="é" * 4_000)["ok"] is True


def test_replies_page_oldest_first_and_show_metadata_only_to_those_who_ask(client: WebClient) -> None:
    root = client.chat_postMessage(channel=CHANNEL, text="root")["ts"]
    mark = {"event_type": "stateroom_turn", "event_payload": {"turn": "a"}}
    sent = [root] + [
        client.chat_postMessage(channel=CHANNEL, thread_ts=root, text=str(number), metadata=mark)["ts"]
        for number in range(5)
    ]
    seen, cursor = [], None
    while cursor != "":
        page = client.conversations_replies(channel=CHANNEL, ts=root, limit=2, cursor=cursor)
        seen += page["messages"]
        cursor = page["response_metadata"]["next_cursor"]
        assert page["has_more"] is (cursor != "")
    assert [message["ts"] for message in seen] == sent
    assert seen[0]["reply_count"] == 5
    assert not any("metadata" in message for message in seen)
    full = client.conversations_replies(channel=CHANNEL, ts=root, include_all_metadata=True)
    assert [message.get("metadata") for message in full["messages"]] == [None, *[mark] * 5]
    late = client.conversations_replies(channel=CHANNEL, ts=root, oldest=sent[3])
    assert [message["ts"] for message in late["messages"]] == [root, *sent[4:]]
    exact = client.conversations_replies(channel=CHANNEL, ts=root, oldest=sent[3], inclusive=True)
    assert [message["ts"] for message in exact["messages"]] == [root, *sent[3:]]


def test_history_pages_newest_first_without_replies(client: WebClient) -> None:
    sent = [client.chat_postMessage(channel=CHANNEL, text=str(number))["ts"] for number in range(5)]
    client.chat_postMessage(channel=CHANNEL, thread_ts=sent[0], text="reply")
    first = client.conversations_history(channel=CHANNEL, limit=3)
    rest = client.conversations_history(channel=CHANNEL, limit=3, cursor=first["response_metadata"]["next_cursor"])
    assert [message["ts"] for message in first["messages"] + rest["messages"]] == sent[::-1]
    window = client.conversations_history(channel=CHANNEL, oldest=sent[1], latest=sent[3])
    assert [message["ts"] for message in window["messages"]] == [sent[2]]


def test_a_stream_is_written_piece_by_piece_and_carries_metadata_only_at_its_end(slack: LocalSlack) -> None:
    ts = slack.say("<@UB0000001> hi")
    place = {"channel": CHANNEL, "thread_ts": ts}
    assert refused(slack, "chat.startStream", **place) == "missing_recipient_user_id"
    assert refused(slack, "chat.startStream", **place, recipient_user_id=ADA) == "missing_recipient_team_id"
    started = slack.call(
        "chat.startStream", **place, recipient_user_id=ADA, recipient_team_id=TEAM, metadata={"event_type": "e"}
    )
    stream = {"channel": CHANNEL, "ts": started["ts"]}
    assert slack.call("chat.appendStream", **stream, markdown_text="a")["ok"] is True
    assert slack.call("chat.appendStream", **stream, chunks=[{"type": "markdown_text", "text": "b"}])["ok"] is True
    assert refused(slack, "chat.appendStream", **stream, chunks=[{"type": "dance"}]) == "invalid_chunks"
    assert refused(slack, "chat.update", **stream, text="x") == "streaming_state_conflict"
    during = slack.replies(ts)[0]
    assert (during["text"], during["streaming"], during.get("metadata")) == ("ab", True, None)
    mark = {"event_type": "stateroom_turn", "event_payload": {"turn": f"{CHANNEL}:{ts}"}}
    stopped = slack.call("chat.stopStream", **stream, markdown_text="c", metadata=mark)
    assert stopped["message"]["text"] == "abc"
    after = slack.replies(ts)[0]
    assert (after["text"], after["streaming"], after["metadata"]) == ("abc", False, mark)
    assert refused(slack, "chat.appendStream", **stream, markdown_text="d") == "message_not_in_streaming_state"
    assert refused(slack, "chat.stopStream", **stream) == "message_not_in_streaming_state"
    assert slack.call("chat.update", **stream, text="whole")["ok"] is True


def test_a_stream_in_a_direct_message_needs_no_recipient_and_belongs_to_its_app(slack: LocalSlack) -> None:
    ts = slack.say("hi", channel=DM)
    started = slack.call("chat.startStream", channel=DM, thread_ts=ts, markdown_text="x")
    assert started["ok"] is True
    other = slack.register("http://127.0.0.1:9/", app_id="A00000002")
    slack.call("conversations.open", token=other["bot_token"], users=ADA)
    mine = {"channel": CHANNEL, "thread_ts": slack.say("x"), "recipient_user_id": ADA, "recipient_team_id": TEAM}
    stream = slack.call("chat.startStream", **mine)["ts"]
    answer = slack.call("chat.appendStream", token=other["bot_token"], channel=CHANNEL, ts=stream, markdown_text="y")
    assert answer["error"] == "message_not_owned_by_app"


def test_an_idle_stream_expires_and_can_then_be_updated() -> None:
    with local_slack(stream_idle_seconds=0.2) as slack:
        ts = slack.say("hi", channel=DM)
        stream = {"channel": DM, "ts": slack.call("chat.startStream", channel=DM, thread_ts=ts)["ts"]}
        eventually_now(lambda: not slack.messages(DM)[-1]["streaming"])
        assert refused(slack, "chat.appendStream", **stream, markdown_text="x") == "message_not_in_streaming_state"
        assert slack.call("chat.update", **stream, text="whole")["ok"] is True


async def test_slacks_stream_helper_streams(slack: LocalSlack) -> None:
    client = AsyncWebClient(token="xoxb-local-1", base_url=slack.api_url)
    ts = slack.say("<@UB0000001> hi")
    stream = await client.chat_stream(channel=CHANNEL, thread_ts=ts, recipient_user_id=ADA, recipient_team_id=TEAM)
    await stream.append(markdown_text="x" * 300)
    await stream.stop(markdown_text="y")
    assert slack.replies(ts)[0]["text"] == "x" * 300 + "y"


def test_a_status_line_goes_with_the_apps_next_message_in_that_thread() -> None:
    with local_slack() as slack:
        status_lines(slack)


def status_lines(slack: LocalSlack) -> None:
    first, second = slack.say("one"), slack.say("two")
    for ts in (first, second):
        assert slack.call("assistant.threads.setStatus", channel_id=CHANNEL, thread_ts=ts, status="thinks")["ok"]
    slack.call("chat.postMessage", channel=CHANNEL, thread_ts=first, text="answer")
    assert [status["thread_ts"] for status in slack.state()["statuses"]] == [second]
    slack.call("assistant.threads.setStatus", channel_id=CHANNEL, thread_ts=second, status="")
    assert slack.state()["statuses"] == []
    assert refused(slack, "assistant.threads.setStatus", channel_id=CHANNEL, thread_ts="1.2", status="x") == (
        "invalid_thread_ts"
    )


def test_a_status_line_goes_after_two_minutes() -> None:
    clock = Clock()
    with local_slack(clock=clock) as slack:
        slack.call("assistant.threads.setStatus", channel_id=CHANNEL, thread_ts=slack.say("one"), status="thinks")
        clock.forward(119)
        assert len(slack.messages()) == 1  # which lets go what is over
        assert [one["status"] for one in slack.state()["statuses"]] == ["thinks"]
        clock.forward(1)
        eventually_now(lambda: slack.state()["statuses"] == [])


def test_titles_and_prompts_are_checked(client: WebClient, slack: LocalSlack) -> None:
    ts = slack.say("hi", channel=DM)
    assert client.assistant_threads_setTitle(channel_id=DM, thread_ts=ts, title="Hello")["ok"]
    prompt = {"title": "Ask", "message": "What is new?"}
    assert client.assistant_threads_setSuggestedPrompts(channel_id=DM, thread_ts=ts, prompts=[prompt])["ok"]
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        client.assistant_threads_setSuggestedPrompts(channel_id=DM, thread_ts=ts, prompts=[prompt] * 5)


def test_an_ephemeral_message_is_seen_by_one_person_and_by_no_app(client: WebClient, slack: LocalSlack) -> None:
    assert client.chat_postEphemeral(channel=CHANNEL, user=ADA, text="psst")["message_ts"]
    assert slack.messages()[0]["ephemeral_to"] == ADA
    assert client.conversations_history(channel=CHANNEL)["messages"] == []


def test_rate_tiers_answer_429_with_whole_seconds_and_refill() -> None:
    clock = Clock()
    with local_slack(tiers=True, clock=clock) as slack:
        client = WebClient(token="xoxb-local-1", base_url=slack.api_url)
        for _ in range(20):
            client.users_list()
        with pytest.raises(SlackApiError) as caught:
            client.users_list()
        assert caught.value.response.status_code == 429
        assert caught.value.response["error"] == "ratelimited"
        assert caught.value.response.headers["Retry-After"] == "3"
        clock.forward(3)
        assert client.users_list()["ok"]
        for _ in range(7):
            answer = slack.call("chat.postMessage", channel=CHANNEL, text="x")
        assert answer["error"] == "rate_limited"


def test_without_tiers_nothing_is_limited(slack: LocalSlack) -> None:
    assert all(slack.call("users.list")["ok"] for _ in range(30))


def test_a_manifest_limits_scopes(slack: LocalSlack) -> None:
    manifest = {"oauth_config": {"scopes": {"bot": ["chat:write"]}}}
    slack.register("http://127.0.0.1:9/", manifest=manifest)
    answer = slack.call("users.list")
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", "users:read", "chat:write")
    assert slack.call("chat.postMessage", channel=CHANNEL, text="x")["ok"] is True


def test_two_teams_may_hold_the_same_channel_and_timestamp(slack: LocalSlack) -> None:
    made = slack.add_team("T00000002", channel=CHANNEL, bot_token="xoxb-two")
    ts = "1700000000.000100"
    for team in (TEAM, "T00000002"):
        assert slack.say(f"in {team}", team=team, ts=ts, user=None) == ts
    slack.call("chat.postMessage", token="xoxb-two", channel=CHANNEL, thread_ts=ts, text="answer")
    assert made["installs"][0]["bot_token"] == "xoxb-two"
    assert [one["text"] for one in slack.messages(team=TEAM)] == [f"in {TEAM}"]
    assert [one["text"] for one in slack.messages(team="T00000002")] == ["in T00000002", "answer"]
