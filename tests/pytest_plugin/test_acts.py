"""What a person does through the fixture reaches a real Bolt app, over HTTP and over Socket Mode alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import App
from slack_bolt.async_app import AsyncApp

from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin.kit import NotTaken, Slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
MODAL = {
    "type": "modal",
    "callback_id": "order",
    "title": {"type": "plain_text", "text": "Order"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [
        {
            "type": "input",
            "block_id": "what",
            "label": {"type": "plain_text", "text": "What"},
            "element": {"type": "plain_text_input", "action_id": "words"},
        },
        {
            "type": "input",
            "block_id": "size",
            "label": {"type": "plain_text", "text": "Size"},
            "element": {
                "type": "static_select",
                "action_id": "chosen",
                "options": [
                    {"text": {"type": "plain_text", "text": "Small"}, "value": "s"},
                    {"text": {"type": "plain_text", "text": "Large"}, "value": "l"},
                ],
            },
        },
    ],
}
BUTTON = {
    "type": "actions",
    "elements": [
        {"type": "button", "action_id": "order", "text": {"type": "plain_text", "text": "Order now"}, "value": "7"}
    ],
}


def shop() -> App:
    """An app that sells something, as anybody would write it: nothing in it knows of a test."""
    app = App()

    @app.command("/shop")
    def open_shop(ack: Callable[..., None], command: Json, say: Callable[..., None]) -> None:
        ack(f"welcome, you said {command['text']}")
        say("choose", blocks=[BUTTON])

    @app.action("order")
    def pressed(ack: Callable[..., None], body: Json, client: Any) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view("order")
    def submitted(ack: Callable[..., None], view: Json, body: Json, client: Any) -> None:
        values = view["state"]["values"]
        if values["what"]["words"]["value"] == "nothing":
            ack(response_action="errors", errors={"what": "we have something"})
            return
        ack()
        size = values["size"]["chosen"]["selected_option"]["value"]
        client.chat_postMessage(channel=body["user"]["id"], text=f"ordered {values['what']['words']['value']}, {size}")

    @app.shortcut("remember")
    def remember(ack: Callable[..., None], shortcut: Json, client: Any) -> None:
        ack()
        client.reactions_add(
            channel=shortcut["channel"]["id"], timestamp=shortcut["message"]["ts"], name="white_check_mark"
        )

    @app.event("app_home_opened")
    def home(event: Json, client: Any) -> None:
        words = {"type": "section", "text": {"type": "mrkdwn", "text": "your orders"}}
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [words]})

    @app.event("message")
    def shared(event: Json, client: Any, say: Callable[..., None]) -> None:
        for file in event.get("files", ()):
            say(f"got {file['name']}, {file['size']} bytes", thread_ts=event["ts"])

    return app


@pytest.mark.parametrize("socket_mode", [False, True], ids=["http", "socket"])
def test_a_whole_order_from_command_to_modal(slack: Slack, socket_mode: bool) -> None:
    slack.connect(shop(), socket_mode=socket_mode)
    assert slack.command("/shop", "hello").ok
    offer = slack.wait_for("choose")
    assert "welcome, you said hello" in [one.text for one in slack.messages()]
    slack.click(offer, "Order now")
    assert slack.modal().title == "Order"
    refused = slack.submit({"What": "nothing", "Size": "Small"})
    assert (refused.response_action, refused.errors) == ("errors", {"what": "we have something"})
    assert len(slack.views()) == 1, "a refused modal stays open"
    slack.submit({"words": "tea", "size": "l"})
    assert slack.wait_for("ordered").text == "ordered tea, l"
    assert slack.views() == []


def test_a_shortcut_a_home_and_a_file(slack: Slack, tmp_path: Path) -> None:
    slack.connect(shop())
    note = slack.say("buy milk")
    slack.shortcut("remember", note)
    slack.wait_for(lambda: slack.now(note).reactions == {"white_check_mark": [slack.bot_user]})
    slack.open_home()
    home = slack.wait_for(slack.home)
    assert home.text == "your orders"
    (tmp_path / "list.txt").write_text("milk\n")
    sent = slack.upload(tmp_path / "list.txt", text="the list")
    slack.assert_one_answer(sent, text="got list.txt, 5 bytes")
    assert slack.client.files_info(file=sent.files[0]["id"])["file"]["name"] == "list.txt"


def test_an_asynchronous_app_over_socket_mode(slack: Slack) -> None:
    app = AsyncApp()

    @app.event("app_mention")
    async def listener(event: Json, say: Any) -> None:
        await say("hello", thread_ts=event["ts"])

    slack.connect(app, socket_mode=True)
    question = slack.say(f"{slack.mention} hello")
    slack.assert_one_answer(question)
    assert {one["transport"] for one in slack.deliveries()} == {"socket"}


async def test_the_fixture_serves_asynchronous_tests(slack: Slack) -> None:
    app = AsyncApp()

    @app.event("app_mention")
    async def listener(event: Json, say: Any) -> None:
        await say("hello", thread_ts=event["ts"])

    slack.connect(app)
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))
    assert (await slack.async_client.auth_test())["user_id"] == slack.bot_user


def test_an_app_that_does_not_acknowledge_is_told_of(slack: Slack) -> None:
    with pytest.raises(NotTaken, match="/shop: app_offline"):
        slack.command("/shop")
    app = App()

    @app.command("/shop")
    def broken() -> None:
        raise LookupError("nothing to sell")

    slack.connect(app)
    with pytest.raises(NotTaken, match="/shop: http_error") as caught:
        slack.command("/shop")
    assert not caught.value.reply.ok


def test_people_edit_delete_and_react(slack: Slack) -> None:
    slack.connect(App())
    said = slack.say("first", user=slack.other_user, channel=slack.channel)
    slack.react(said, "eyes")
    assert slack.edit(said, "second").text == "second"
    assert slack.now(said).reactions == {"eyes": [slack.user]}
    slack.delete(said)
    with pytest.raises(WrongUse, match="was deleted"):
        slack.now(said)


def test_what_is_not_there_is_named_with_what_is(slack: Slack) -> None:
    slack.connect(shop())
    slack.command("/shop")
    offer = slack.wait_for("choose")
    with pytest.raises(WrongUse, match="nothing here is called 'Pay'; there is: 'Order now'"):
        slack.click(offer, "Pay")
    slack.click(offer, "order")
    with pytest.raises(WrongUse, match="no input here is called 'Colour'; there is: 'What', 'Size'"):
        slack.submit({"Colour": "red"})
    with pytest.raises(WrongUse, match="chosen has no option 'Huge'; there is: 's', 'l'"):
        slack.submit({"What": "tea", "Size": "Huge"})
