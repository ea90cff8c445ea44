"""What the page hears of interactions over the feed, and what is left after a reset."""

import http.client
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from support.bolt_apps import button, field, modal, plain
from support.local_slack import PATIENCE, EventApp, Json, LocalSlack, eventually
from support.sockets import Socket

pytestmark = pytest.mark.service

APP, CHANNEL, ADA = "A00000001", "C00000001", "U00000001"
MANIFEST: Json = {
    "display_information": {"name": "stateroom"},
    "features": {
        "slash_commands": [{"command": "/c"}],
        "shortcuts": [{"name": "S", "type": "global", "callback_id": "s", "description": "d"}],
    },
}


class News:
    """A reader of `/_sim/stream`."""

    def __init__(self, slack: LocalSlack) -> None:
        parts = urlsplit(slack.url)
        after = slack.state()["cursor"]
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        self._connection.request("GET", f"/_sim/stream?after={after}")
        self._response = self._connection.getresponse()

    def of(self, kind: str) -> Json:
        """The next of a kind."""
        for line in iter(self._response.readline, b""):
            if line.startswith(b"data: ") and json.loads(line[6:])["type"] == kind:
                return dict(json.loads(line[6:]))
        raise AssertionError(f"the feed ended without {kind}")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def news(slack: LocalSlack) -> Iterator[News]:
    slack.sim("POST", "apps", {"app_id": APP, "manifest": MANIFEST})
    reader = News(slack)
    yield reader
    reader.close()


async def opened(slack: LocalSlack, app: EventApp, blocks: list[Json]) -> Json:
    """A modal over HTTP."""
    slack.register(app.url)
    await slack.begin("shortcut", callback_id="s")
    trigger = app.payload()["trigger_id"]
    return dict(slack.call("views.open", trigger_id=trigger, view=modal("x", blocks))["view"])


async def test_modals_homes_and_clicks_are_news(slack: LocalSlack, news: News, app: EventApp) -> None:
    view = await opened(slack, app, [])
    heard = news.of("interaction")["interaction"]
    assert (heard["kind"], heard["name"], heard["status"], heard["user"]) == ("shortcut", "s", 200, ADA)
    assert "token" not in heard["payload"]
    shown = news.of("view")
    assert (shown["action"], shown["user"], shown["stack"]) == ("opened", ADA, [view["id"]])
    slack.call("views.update", view_id=view["id"], view=modal("x", [], title=plain("New")))
    shown = news.of("view")
    assert (shown["action"], shown["view"]["title"]["text"]) == ("updated", "New")
    await slack.begin("close", view_id=view["id"])
    shown = news.of("view")
    assert (shown["action"], shown["stack"]) == ("closed", [])
    slack.call("views.publish", user_id=ADA, view={"type": "home", "blocks": []})
    home = news.of("home")
    assert (home["app_id"], home["user"], home["view"]["type"]) == (APP, ADA, "home")


def test_what_one_person_alone_sees_is_news_for_that_person(slack: LocalSlack, news: News) -> None:
    slack.call("chat.postEphemeral", channel=CHANNEL, user=ADA, text="psst")
    heard = news.of("ephemeral")
    assert (heard["user"], heard["channel"], heard["message"]["text"]) == (ADA, CHANNEL, "psst")
    assert slack.call("conversations.history", channel=CHANNEL)["messages"] == []


async def test_a_chosen_file_reaches_the_app_as_slacks_object(slack: LocalSlack, news: News, app: EventApp) -> None:
    element = {"type": "file_input", "action_id": "it"}
    view = await opened(slack, app, [{**field("papers"), "element": element}])
    path = f"/_sim/files?team=T00000001&channel={CHANNEL}&user={ADA}&name=a.txt"
    file = slack.request("POST", path, b"words", {"Content-Type": "application/octet-stream"})[1]["file"]
    values = {"papers": {"it": {"files": [{"id": file["id"]}]}}}
    assert (await slack.begin("submit", view_id=view["id"], values=values))["ok"]
    sent = app.payload()["view"]["state"]["values"]["papers"]["it"]["files"][0]
    assert (sent["id"], sent["name"], sent["size"]) == (file["id"], "a.txt", 5)
    assert sent["url_private"].startswith(slack.url)


async def test_a_reset_closes_modals_and_starting_over_ends_sockets(slack: LocalSlack) -> None:
    blocks = [{"type": "actions", "block_id": "b", "elements": [button("go")]}]
    async with Socket(slack) as socket:
        slack.call("views.publish", user_id=ADA, view={"type": "home", "blocks": blocks})
        slack.call("chat.scheduleMessage", channel=CHANNEL, post_at=int(time.time()) + 600, text="x")
        slack.reset()
        assert slack.sim("GET", "views") == {"views": [], "homes": []}
        assert slack.call("chat.scheduledMessages.list")["scheduled_messages"] == []
        slack.sim("POST", "reset", {"everything": True})
        with pytest.raises(ConnectionError):
            await socket.receive()
    async with Socket(slack) as socket:
        slack.say("anew")
        assert (await socket.take())["payload"]["event"]["text"] == "anew"
        await eventually(slack.deliveries)
