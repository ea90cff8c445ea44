"""The methods that apps call beside messages, by slack_sdk's own client: channels, people, schedules, permalinks."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from support.local_slack import (
    Clock,
    EventApp,
    LocalSlack,
    eventually,
    eventually_now,
    local_slack,
    local_slack_process,
)

pytestmark = pytest.mark.service

CHANNEL, DM, ADA, GRACE, BOT = "C00000001", "D00000001", "U00000001", "U00000002", "UB0000001"


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalSlack]:
    with local_slack() as slack:
        yield slack


@pytest.fixture
def client(shared: LocalSlack) -> WebClient:
    return WebClient(token="xoxb-local-1", base_url=shared.api_url)


def error(call: object, **args: object) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(**args)  # type: ignore[operator]
    return str(caught.value.response["error"])


def test_a_channel_is_made_filled_named_and_left(client: WebClient) -> None:
    made = client.conversations_create(name="Deploys")["channel"]
    channel = made["id"]
    assert (made["name"], made["creator"], made["is_member"]) == ("deploys", BOT, True)
    assert error(client.conversations_create, name="deploys") == "name_taken"
    assert error(client.conversations_create, name="not allowed!") == "invalid_name_specials"
    assert error(client.conversations_create, name="x" * 81) == "invalid_name_maxlength"
    client.conversations_invite(channel=channel, users=[ADA, GRACE])
    assert client.conversations_members(channel=channel)["members"] == [ADA, GRACE, BOT]
    assert error(client.conversations_invite, channel=channel, users=[ADA]) == "already_in_channel"
    assert error(client.conversations_invite, channel=channel, users=["U0"]) == "user_not_found"
    assert error(client.conversations_invite, channel=channel, users=[BOT]) == "cant_invite_self"
    client.conversations_kick(channel=channel, user=GRACE)
    assert error(client.conversations_kick, channel=channel, user=GRACE) == "not_in_channel"
    assert client.conversations_setTopic(channel=channel, topic="ship it")["channel"]["topic"]["value"] == "ship it"
    assert client.conversations_setPurpose(channel=channel, purpose="why")["purpose"] == "why"
    assert error(client.conversations_setTopic, channel=channel, topic="x" * 251) == "too_long"
    assert client.conversations_mark(channel=channel, ts="1700000000.000100")["ok"]
    client.conversations_leave(channel=channel)
    assert client.conversations_leave(channel=channel)["not_in_channel"] is True
    assert error(client.chat_postMessage, channel=channel, text="x") == "not_in_channel"
    assert client.conversations_join(channel=channel)["channel"]["is_member"] is True
    assert client.conversations_join(channel=channel)["warning"] == "already_in_channel"
    assert error(client.conversations_leave, channel=CHANNEL) == "cant_leave_general"
    assert error(client.conversations_join, channel=DM) == "method_not_supported_for_channel_type"


async def test_apps_hear_who_comes_and_goes(slack: LocalSlack, app: EventApp) -> None:
    channel = slack.call("conversations.create", name="deploys")["channel"]["id"]
    slack.call("conversations.invite", channel=channel, users=GRACE)
    slack.call("conversations.kick", channel=channel, user=GRACE)
    await eventually(lambda: len(app.received) == 3)
    assert app.events("channel_created")[0]["channel"]["name"] == "deploys"
    joined = app.events("member_joined_channel")[0]
    assert (joined["user"], joined["inviter"], joined["channel"], joined["channel_type"]) == (GRACE, BOT, channel, "C")
    assert app.events("member_left_channel")[0]["user"] == GRACE


def test_bots_and_people_are_looked_up(client: WebClient) -> None:
    bot = client.bots_info(bot="B00000001")["bot"]
    assert (bot["user_id"], bot["app_id"], bot["name"]) == (BOT, "A00000001", "stateroom")
    assert error(client.bots_info, bot="B0") == "bot_not_found"
    profile = client.users_profile_get(user=ADA)["profile"]
    assert (profile["display_name"], profile["email"]) == ("ada", "ada@local.example")
    assert client.users_lookupByEmail(email="Grace@local.example")["user"]["id"] == GRACE
    assert error(client.users_lookupByEmail, email="none@local.example") == "users_not_found"
    assert client.users_getPresence(user=ADA)["presence"] == "active"
    assert client.emoji_list()["emoji"] == {}
    assert client.usergroups_list()["usergroups"] == []


def test_the_channels_of_a_user_are_listed_page_by_page(client: WebClient) -> None:
    kinds = "public_channel,im"
    first = client.users_conversations(types=kinds, limit=1)
    second = client.users_conversations(types=kinds, cursor=first["response_metadata"]["next_cursor"])
    ids = [one["id"] for page in (first, second) for one in page["channels"]]
    assert ids[0].startswith("C")
    assert {CHANNEL, DM} <= set(ids)
    of_grace = client.users_conversations(user=GRACE, types=kinds)["channels"]
    assert DM not in [one["id"] for one in of_grace]
    assert error(client.users_conversations, types="none") == "invalid_types"


def test_a_permalink_leads_to_its_message_on_the_page(client: WebClient, shared: LocalSlack) -> None:
    root = shared.say("look here")
    reply = client.chat_postMessage(channel=CHANNEL, thread_ts=root, text="there")["ts"]
    link = client.chat_getPermalink(channel=CHANNEL, message_ts=root)["permalink"]
    assert link == f"{shared.url}/archives/{CHANNEL}/p{root.replace('.', '')}"
    status, _, headers = shared.request("GET", link.removeprefix(shared.url))
    assert (status, headers["location"]) == (302, f"/#{CHANNEL}/{root}")
    assert shared.request("GET", "/archives/x/nothing")[0] == 404
    assert f"thread_ts={root}" in client.chat_getPermalink(channel=CHANNEL, message_ts=reply)["permalink"]
    assert error(client.chat_getPermalink, channel=CHANNEL, message_ts="1.1") == "message_not_found"
    client.reactions_add(channel=CHANNEL, timestamp=root, name="eyes")
    assert client.reactions_get(channel=CHANNEL, timestamp=root)["message"]["reactions"][0]["name"] == "eyes"


def test_a_scheduled_message_is_posted_at_its_time_and_not_if_it_is_deleted() -> None:
    clock = Clock()
    with local_slack(clock=clock) as slack:
        schedule_two(slack, clock)


def schedule_two(slack: LocalSlack, clock: Clock) -> None:
    client = WebClient(token="xoxb-local-1", base_url=slack.api_url)
    soon = int(clock()) + 10
    made = client.chat_scheduleMessage(channel=DM, post_at=soon, text="now")
    gone = client.chat_scheduleMessage(channel=DM, post_at=soon, text="never")["scheduled_message_id"]
    listed = client.chat_scheduledMessages_list(channel=DM)["scheduled_messages"]
    assert [one["text"] for one in listed if one["id"] == made["scheduled_message_id"]] == ["now"]
    client.chat_deleteScheduledMessage(channel=DM, scheduled_message_id=gone)
    assert error(client.chat_deleteScheduledMessage, channel=DM, scheduled_message_id=gone) == (
        "invalid_scheduled_message_id"
    )
    assert error(client.chat_scheduleMessage, channel=DM, post_at=1, text="x") == "time_in_past"
    assert error(client.chat_scheduleMessage, channel=DM, post_at=soon + 121 * 86_400, text="x") == "time_too_far"
    clock.forward(9)  # to a moment less than a second before it
    assert slack.messages(DM) == []
    clock.forward(1)
    eventually_now(lambda: [one["text"] for one in slack.messages(DM)] == ["now"])
    assert client.chat_scheduledMessages_list()["scheduled_messages"] == []


def test_thirty_messages_in_five_minutes_of_a_channel_are_enough(client: WebClient) -> None:
    at = (int(time.time()) // 300 + 2) * 300
    for _ in range(30):
        client.chat_scheduleMessage(channel=CHANNEL, post_at=at, text="x")
    assert error(client.chat_scheduleMessage, channel=CHANNEL, post_at=at, text="x") == "restricted_too_many"


def test_a_scheduled_message_outlives_a_kill_9(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path / 'slack.db'}"
    with local_slack_process(state=state) as first:
        made = first.slack.call("chat.scheduleMessage", channel=DM, post_at=int(time.time()) + 600, text="kept")
        assert made["ok"], made
        first.kill()
    clock = Clock()
    with local_slack(state=state, clock=clock) as second:
        assert second.messages(DM) == []
        clock.forward(600)
        eventually_now(lambda: [one["text"] for one in second.messages(DM)] == ["kept"])
