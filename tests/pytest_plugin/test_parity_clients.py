"""Methods and events of the local Slack by real clients: all that no other test drives with one."""

from typing import Any

import pytest
from slack_bolt import App
from slack_sdk import WebClient

from stateroom.pytest_plugin.kit import Slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
MANIFEST = {
    "display_information": {"name": "Clerk"},
    "datastores": {"tickets": {"primary_key": "id", "attributes": {"id": {"type": "string"}, "n": {"type": "number"}}}},
}
WORDS = {"type": "section", "text": {"type": "mrkdwn", "text": "hello"}}


MORE = {"type": "button", "action_id": "more", "text": {"type": "plain_text", "text": "More"}}


def modal(title: str) -> Json:
    blocks = [WORDS, {"type": "actions", "elements": [MORE]}]
    return {"type": "modal", "title": {"type": "plain_text", "text": title}, "blocks": blocks}


def test_messages_are_changed_deleted_and_lose_reactions(slack: Slack) -> None:
    ts = slack.client.chat_postMessage(channel=slack.channel, text="one")["ts"]
    place = {"channel": slack.channel, "timestamp": ts}
    slack.client.reactions_add(name="eyes", **place)
    slack.client.reactions_remove(name="eyes", **place)
    assert slack.client.chat_update(channel=slack.channel, ts=ts, text="two")["text"] == "two"
    assert [(one.text, one.reactions) for one in slack.messages()] == [("two", {})]
    slack.client.chat_delete(channel=slack.channel, ts=ts)
    assert slack.messages() == []


def test_a_stream_and_a_status(slack: Slack) -> None:
    question = slack.say("hello")
    place = {"channel": slack.channel, "thread_ts": question.ts}
    slack.client.assistant_threads_setStatus(channel_id=slack.channel, thread_ts=question.ts, status="thinks")
    who = {"recipient_user_id": slack.user, "recipient_team_id": slack.team}
    ts = slack.client.chat_startStream(**place, **who)["ts"]
    slack.client.chat_appendStream(channel=slack.channel, ts=ts, markdown_text="one ")
    slack.client.chat_stopStream(channel=slack.channel, ts=ts, markdown_text="two")
    assert slack.messages(thread=question)[-1].text == "one two"


def test_an_app_level_token_opens_a_socket(slack: Slack) -> None:
    url = slack.client.apps_connections_open(app_token=slack.app_token)["url"]
    assert url.startswith("ws://127.0.0.1:")


def test_views_are_opened_pushed_updated_and_published(slack: Slack) -> None:
    app = App()

    @app.command("/go")
    def go(ack: Any, body: Json, client: WebClient) -> None:
        ack()
        opened = client.views_open(trigger_id=body["trigger_id"], view=modal("First"))["view"]
        client.views_update(view_id=opened["id"], view=modal("Second"))
        client.views_publish(user_id=body["user_id"], view={"type": "home", "blocks": [WORDS]})

    @app.action("more")
    def more(ack: Any, body: Json, client: WebClient) -> None:
        ack()
        client.views_push(trigger_id=body["trigger_id"], view=modal("Third"))

    slack.connect(app)
    slack.command("/go")
    slack.wait_for(lambda: slack.home() and slack.views()[-1].title == "Second")
    slack.click(slack.modal(), "More")
    slack.wait_for(lambda: [one.title for one in slack.views()] == ["Second", "Third"])


def test_hosted_datastores(slack: Slack) -> None:
    slack.start_over(MANIFEST)
    call, tickets = slack.client.api_call, {"datastore": "tickets"}
    call("apps.datastore.put", json={**tickets, "item": {"id": "1", "n": 1}})
    call("apps.datastore.update", json={**tickets, "item": {"id": "1", "n": 2}})
    assert call("apps.datastore.get", json={**tickets, "id": "1"})["item"] == {"id": "1", "n": 2}
    call("apps.datastore.bulkPut", json={**tickets, "items": [{"id": "2"}, {"id": "3"}]})
    assert len(call("apps.datastore.bulkGet", json={**tickets, "ids": ["2", "3"]})["items"]) == 2
    assert len(call("apps.datastore.query", json=tickets)["items"]) == 3
    call("apps.datastore.delete", json={**tickets, "id": "1"})
    call("apps.datastore.bulkDelete", json={**tickets, "ids": ["2"]})
    assert call("apps.datastore.count", json=tickets)["count"] == 1


def test_the_methods_of_the_slack_cli(slack: Slack) -> None:
    person = WebClient(f"xoxp-{slack.team}-{slack.user}")
    assert person.api_call("apps.manifest.validate", json={"manifest": MANIFEST})["ok"]
    app_id = person.api_call("apps.manifest.create", json={"manifest": MANIFEST})["app_id"]
    person.api_call("apps.manifest.update", json={"app_id": app_id, "manifest": MANIFEST})
    exported = person.api_call("apps.manifest.export", json={"app_id": app_id})["manifest"]
    assert exported["display_information"] == {"name": "Clerk"}
    assert person.api_call("apps.status", json={"app_ids": [app_id]})["ok"]


def test_events_reach_a_bolt_app(slack: Slack) -> None:
    heard: list[str] = []
    app = App()

    def note(event: Json) -> None:
        heard.append(event.get("subtype") or event["type"])

    changes = ["message_changed", "message_deleted"]
    plain = ["app_mention", "reaction_added", "reaction_removed", "app_home_opened"]
    plain += ["file_created", "file_shared", "file_deleted", "channel_created"]
    plain += ["member_joined_channel", "member_left_channel"]
    for name in plain:
        app.event(name)(note)
    for name in changes:
        app.event({"type": "message", "subtype": name})(note)
    app.event("message")(note)
    slack.connect(app)
    said = slack.say(f"{slack.mention} hello")
    for _ in range(2):
        slack.react(said, "eyes")
    slack.edit(said, "bye")
    slack.delete(said)
    slack.open_home()
    slack.upload(b"words", name="b.txt")
    file = slack.client.files_upload_v2(content="words", filename="a.txt", channel=slack.channel)["file"]
    slack.client.files_delete(file=file["id"])
    made = slack.client.conversations_create(name="other")["channel"]["id"]
    slack.client.conversations_invite(channel=made, users=slack.other_user)
    slack.client.conversations_kick(channel=made, user=slack.other_user)
    slack.settle()
    assert {"message", *plain, *changes} - set(heard) == set()


def test_an_app_hears_of_its_end(slack: Slack) -> None:
    heard: list[str] = []
    app = App()
    for name in ("tokens_revoked", "app_uninstalled"):
        app.event(name)(lambda event: heard.append(event["type"]))
    slack.connect(app)
    slack.client.auth_revoke()
    slack.wait_for(lambda: {"tokens_revoked", "app_uninstalled"} <= set(heard))
