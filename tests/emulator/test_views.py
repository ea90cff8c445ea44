"""`views.*` call by call: what is refused and with which words, stacks, hashes, triggers, Home, and what is kept."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from support.bolt_apps import button, field, modal, plain
from support.local_slack import UNHURRIED, EventApp, Json, LocalSlack, eventually, local_slack, local_slack_process
from support.sockets import Socket

pytestmark = pytest.mark.service

APP, CHANNEL, ADA, GRACE = "A00000001", "C00000001", "U00000001", "U00000002"
START: Json = {
    "display_information": {"name": "stateroom"},
    "features": {"shortcuts": [{"name": "S", "type": "global", "callback_id": "s", "description": "d"}]},
}
HOME: Json = {"type": "home", "blocks": [{"type": "section", "text": plain("hi")}]}


class Person:
    """Gets triggers for an app that acknowledges everything over a socket."""

    def __init__(self, slack: LocalSlack, socket: Socket) -> None:
        self.slack = slack
        self._socket = socket

    async def trigger(self, **more: str) -> str:
        """A trigger, of a shortcut or of a press."""
        act = {"kind": "shortcut", "callback_id": "s"} if "action_id" not in more else {"kind": "press"}
        asked = asyncio.create_task(self.slack.begin(**{**act, **more}))
        envelope = await self._socket.take()
        assert (await asked)["ok"]
        return str(envelope["payload"]["trigger_id"])

    async def open(self, view: Json) -> Json:
        return self.slack.call("views.open", trigger_id=await self.trigger(), view=view)


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalSlack]:
    with local_slack(**UNHURRIED) as slack:
        slack.sim("POST", "apps", {"app_id": APP, "manifest": {**START, "settings": {"socket_mode_enabled": True}}})
        yield slack


def stack(slack: LocalSlack) -> list[Json]:
    return list(slack.sim("GET", "views")["views"])


def messages(answer: Json) -> str:
    assert answer["error"] == "invalid_arguments", answer
    return " ".join(answer["response_metadata"]["messages"])


INPUT = field("name")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ({**modal("x", []), "title": None}, "missing required field: title"),
        (
            {**modal("x", []), "title": plain("x" * 25)},
            "must be less than 25 characters",
        ),
        ({**modal("x", []), "title": plain("")}, "must be more than 0 characters"),
        ({**modal("x", []), "title": {"type": "mrkdwn", "text": "x"}}, "must be a plain_text object"),
        ({**modal("x", []), "submit": plain("x" * 25)}, "/view/submit/text"),
        ({**modal("x", []), "private_metadata": "x" * 3001}, "must be less than 3001 characters"),
        ({**modal("x", []), "callback_id": "x" * 256}, "/view/callback_id"),
        ({**modal("x", []), "notify_on_close": "yes"}, "must be a boolean"),
        ({**modal("x", []), "type": "home"}, "/view/type"),
        ({**modal("x", []), "blocks": None}, "missing required field: blocks"),
        (modal("x", [{"type": "divider"}] * 101), "no more than 100 items"),
        (modal("x", [{"text": "no type"}]), "[json-pointer:/view/blocks/0]"),
        (modal("x", [INPUT, INPUT]), "block_id already exists"),
        (modal("x", [{"type": "actions", "elements": [button("a"), button("a")]}]), "action_id already exists"),
        (modal("x", [INPUT], submit=None), "missing required field: submit"),
        (modal("x", [{**INPUT, "label": None}]), "missing required field: label"),
        (modal("x", [{**INPUT, "element": button("a")}]), "unsupported type of element"),
    ],
)
def test_a_view_that_cannot_be_is_refused_with_its_place(shared: LocalSlack, view: Json, words: str) -> None:
    assert words in messages(shared.call("views.open", trigger_id="any", view=view))


def test_what_is_too_large_or_has_no_trigger_is_refused(shared: LocalSlack) -> None:
    huge = modal("x", [{"type": "section", "text": plain("x" * 3000)} for _ in range(90)])
    assert shared.call("views.open", trigger_id="any", view=huge)["error"] == "view_too_large"
    assert shared.call("views.open", trigger_id="any", view=modal("x", []))["error"] == "invalid_trigger_id"
    assert shared.call("views.update", view_id="V0", view=modal("x", []))["error"] == "not_found"
    assert shared.call("views.publish", user_id="U0", view=HOME)["error"] == "user_not_found"


async def test_a_trigger_is_good_once_and_a_view_that_is_wrong_does_not_use_it_up(shared: LocalSlack) -> None:
    async with Socket(shared) as socket:
        trigger = await Person(shared, socket).trigger()
        assert messages(shared.call("views.open", trigger_id=trigger, view=modal("x" * 30, [])))
        opened = shared.call("views.open", trigger_id=trigger, view=modal("x", []))
        assert opened["ok"]
        assert shared.call("views.open", trigger_id=trigger, view=modal("x", []))["error"] == "exchanged_trigger_id"
        view = opened["view"]
        assert (view["app_id"], view["bot_id"], view["app_installed_team_id"]) == (APP, "B00000001", "T00000001")
        assert (view["root_view_id"], view["previous_view_id"], view["private_metadata"]) == (view["id"], None, "")


async def test_a_trigger_is_over_after_its_time() -> None:
    with local_slack(trigger_seconds=0.0) as slack:
        slack.sim("POST", "apps", {"app_id": APP, "manifest": START})
        async with Socket(slack) as socket:
            answer = await Person(slack, socket).open(modal("x", []))
        assert answer["error"] == "expired_trigger_id"


async def test_a_stack_is_at_most_three_deep_and_pushes_need_a_trigger_from_within(shared: LocalSlack) -> None:
    pushing = [{"type": "actions", "block_id": "b", "elements": [button("push")]}]
    async with Socket(shared) as socket:
        person = Person(shared, socket)
        ids = [(await person.open(modal("one", pushing)))["view"]["id"]]
        foreign = await person.trigger()
        assert shared.call("views.push", trigger_id=foreign, view=modal("two", []))["error"] == "invalid_trigger_id"
        for name in ("two", "three"):
            trigger = await person.trigger(view_id=ids[-1], action_id="push")
            pushed = shared.call("views.push", trigger_id=trigger, view=modal(name, pushing))["view"]
            assert (pushed["root_view_id"], pushed["previous_view_id"]) == (ids[0], ids[-1])
            ids.append(pushed["id"])
        trigger = await person.trigger(view_id=ids[-1], action_id="push")
        assert shared.call("views.push", trigger_id=trigger, view=modal("four", []))["error"] == "push_limit_reached"
        assert [one["id"] for one in stack(shared)] == ids


async def test_an_update_keeps_what_is_filled_in_and_checks_the_hash(shared: LocalSlack) -> None:
    date = {"type": "datepicker", "action_id": "when", "initial_date": "2026-11-21"}
    async with Socket(shared) as socket:
        first = (await Person(shared, socket).open(modal("x", [INPUT], external_id="mine")))["view"]
        filled = {"name": {"it": {"value": "typed"}}}
        await shared.begin("press", view_id=first["id"], block_id="name", action_id="it", values=filled, value="typed")
        changed = modal("x", [INPUT, {**field("d"), "element": date}], external_id="mine")
        by_name = shared.call("views.update", external_id="mine", hash=first["hash"], view=changed)["view"]
        assert by_name["state"]["values"] == {
            "name": {"it": {"type": "plain_text_input", "value": "typed"}},
            "d": {"when": {"type": "datepicker", "selected_date": "2026-11-21"}},
        }
        stale = shared.call("views.update", view_id=first["id"], hash=first["hash"], view=changed)
        assert stale["error"] == "hash_conflict"
        assert shared.call("views.update", view_id=first["id"], view=modal("y", []))["view"]["hash"] != by_name["hash"]


async def test_an_external_id_is_one_view_only(shared: LocalSlack) -> None:
    async with Socket(shared) as socket:
        person = Person(shared, socket)
        view = {**HOME, "external_id": "the-one"}
        assert shared.call("views.publish", user_id=GRACE, view=view)["ok"]
        assert (await person.open(modal("x", [], external_id="the-one")))["error"] == "duplicate_external_id"
        assert shared.call("views.publish", user_id=GRACE, view=view)["ok"]


def test_a_home_tab_is_per_person_with_a_hash_of_its_own(shared: LocalSlack) -> None:
    first = shared.call("views.publish", user_id=ADA, view=HOME)["view"]
    assert shared.call("views.publish", user_id=ADA, view=HOME, hash="old")["error"] == "hash_conflict"
    again = shared.call("views.publish", user_id=ADA, view=HOME, hash=first["hash"])["view"]
    assert (again["id"], again["hash"] != first["hash"]) == (first["id"], True)
    assert [one["id"] for one in shared.sim("GET", f"views?user={ADA}")["homes"]] == [first["id"]]
    said = {**START, "features": {**START["features"], "app_home": {"home_tab_enabled": False}}}
    shared.sim("POST", "apps", {"app_id": "A2", "manifest": said, "bot_token": "xoxb-two"})
    assert shared.call("views.publish", token="xoxb-two", user_id=ADA, view=HOME)["error"] == "not_enabled"


async def test_an_app_that_did_not_ask_is_not_told_of_its_home(slack: LocalSlack, app: EventApp) -> None:
    told = await slack.begin("open_home", app_id=APP, tab="messages")
    assert (told["ok"], told["delivered"]["transport"]) == (True, "http")
    await eventually(lambda: app.received)
    event = app.received[0].event
    assert (event["type"], event["tab"], event["channel"], event["user"]) == (
        "app_home_opened",
        "messages",
        "D00000001",
        ADA,
    )
    slack.register(app.url, manifest={**START, "settings": {"event_subscriptions": {"bot_events": ["message.im"]}}})
    told = await slack.begin("open_home", app_id=APP, tab="home")
    assert (told["ok"], told["delivered"], told["note"]) == (True, None, "not_subscribed")


async def test_an_answer_without_sense_leaves_the_modal_open_and_is_told(slack: LocalSlack, app: EventApp) -> None:
    slack.register(app.url, manifest=START)
    await slack.begin("shortcut", callback_id="s")

    trigger = json.loads(parse_qs(app.received[0].body.decode())["payload"][0])["trigger_id"]
    view = slack.call("views.open", trigger_id=trigger, view=modal("x", [INPUT]))["view"]
    values = {"name": {"it": {"value": "v"}}}
    for body, error in (
        (b"nonsense", "invalid_response"),
        (b'{"response_action": "dance"}', "invalid_response"),
        (b'{"response_action": "errors", "errors": {"none": "x"}}', "invalid_response"),
        (b'{"response_action": "update"}', "invalid_response"),
        (b'{"response_action": "push", "view": {"type": "modal"}}', "invalid_view"),
    ):
        app.body = body
        answer = await slack.begin("submit", view_id=view["id"], values=values)
        assert (answer["ok"], answer["error"], answer["delivered"]["status"]) == (False, error, 200)
        assert answer["stack"] == [view["id"]]
    app.answers = [500]
    assert (await slack.begin("submit", view_id=view["id"], values=values))["error"] == "http_error"
    assert [one["id"] for one in stack(slack)] == [view["id"]]


def test_modals_and_homes_outlive_a_kill_9(tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path / 'slack.db'}"
    with local_slack_process(state=state) as first:
        home = first.slack.call("views.publish", user_id=ADA, view=HOME)["view"]
        first.kill()
    with local_slack_process(state=state) as second:
        assert second.slack.sim("GET", "views")["homes"] == [home]
