"""One Bolt app, sync and async, over HTTP and over sockets: what people do reaches it, and its answers are seen."""

from collections.abc import Iterator

import pytest

from support.bolt_apps import KINDS, Heard, bolt_app
from support.local_slack import UNHURRIED, Json, LocalSlack, eventually_now, local_slack

pytestmark = pytest.mark.service

APP, CHANNEL, DM, ADA, GRACE = "A00000001", "C00000001", "D00000001", "U00000001", "U00000002"


@pytest.fixture(scope="module", params=KINDS)
def bolt(request: pytest.FixtureRequest) -> Iterator[tuple[LocalSlack, Heard]]:
    with local_slack(time_scale=0.01, **UNHURRIED) as slack, bolt_app(slack, request.param) as heard:
        yield slack, heard


@pytest.mark.parametrize("kind", ["sync-socket", "async-socket"])
def test_a_socket_that_breaks_is_replaced_and_nothing_is_lost(kind: str) -> None:
    with local_slack(time_scale=0.01) as slack, bolt_app(slack, kind):
        assert slack.sim("POST", "sockets", {"app_id": APP, "do": "cut"})["sockets"] == 1
        assert mention(slack)["text"] == "hello"


def act(slack: LocalSlack, kind: str, **more: object) -> Json:
    return slack.sim("POST", "actions", {"kind": kind, **more})


def stack(slack: LocalSlack, user: str = ADA) -> list[Json]:
    return list(slack.sim("GET", f"views?user={user}")["views"])


def opened(slack: LocalSlack, callback_id: str, user: str = ADA) -> Json:
    """The modal on top, once it is the one that is waited for."""

    def look() -> Json | None:
        views = stack(slack, user)
        return views[-1] if views and views[-1]["callback_id"] == callback_id else None

    return eventually_now(look)  # type: ignore[return-value]


def mention(slack: LocalSlack) -> Json:
    ts = slack.say("@stateroom hi")
    return eventually_now(lambda: slack.replies(ts))[0]


def named(value: str) -> Json:
    return {"name": {"it": {"value": value}}}


def test_a_button_opens_a_modal_whose_errors_are_shown_and_whose_submission_changes_the_message(
    bolt: tuple[LocalSlack, Heard],
) -> None:
    slack, heard = bolt
    message = mention(slack)
    pressed = act(slack, "press", channel=CHANNEL, ts=message["ts"], action_id="open")
    assert (pressed["ok"], pressed["delivered"]["status"]) == (True, 200)
    body = heard.of("block_actions")[-1]
    assert (body["actions"][0]["value"], body["actions"][0]["block_id"]) == ("7", "do")
    assert body["container"]["message_ts"] == body["message"]["ts"] == message["ts"]
    view = opened(slack, "form")
    assert view["state"]["values"]["name"]["it"] == {"type": "plain_text_input", "value": None}

    missing = act(slack, "submit", view_id=view["id"])
    assert (missing["error"], list(missing["errors"]), missing["delivered"]) == ("missing_input", ["name"], None)
    wrong = act(slack, "submit", view_id=view["id"], values=named("bad"))
    assert (wrong["response_action"], wrong["errors"]) == ("errors", {"name": "too bad"})
    assert stack(slack)[0]["state"]["values"]["name"]["it"]["value"] == "bad"
    sent = act(slack, "submit", view_id=view["id"], values=named("Ada"))
    assert (sent["response_action"], sent["stack"]) == ("none", [])
    eventually_now(lambda: [one["text"] for one in slack.replies(message["thread_ts"])] == ["thanks Ada"])


def test_a_command_is_answered_in_place_and_later(bolt: tuple[LocalSlack, Heard]) -> None:
    slack, _ = bolt
    answer = act(slack, "command", channel=DM, command="/hello", text="you")
    assert answer["ok"]
    seen = eventually_now(lambda: len(slack.messages(DM)) >= 2 and slack.messages(DM))
    assert {one["text"] for one in seen} >= {"hello you", "and again"}
    assert {one["ephemeral_to"] for one in seen if one["text"] in ("hello you", "and again")} == {ADA}


def test_modals_are_pushed_updated_and_cleared_by_what_a_submission_answers(bolt: tuple[LocalSlack, Heard]) -> None:
    slack, heard = bolt
    act(slack, "shortcut", callback_id="start", user=GRACE)
    assert heard.of("shortcut")[-1]["callback_id"] == "start"
    first = opened(slack, "form", GRACE)
    act(slack, "press", view_id=first["id"], action_id="push", user=GRACE)
    second = opened(slack, "second", GRACE)
    assert (second["root_view_id"], second["previous_view_id"]) == (first["id"], first["id"])
    assert second["state"]["values"]["detail"]["it"]["value"] == "start"

    def detail(value: str) -> Json:
        return act(slack, "submit", view_id=second["id"], values={"detail": {"it": {"value": value}}}, user=GRACE)

    updated = detail("update")
    assert (updated["response_action"], updated["view"]["title"]["text"]) == ("update", "Changed")
    assert updated["view"]["state"]["values"]["detail"]["it"]["value"] == "update"
    assert updated["view"]["state"]["values"]["new"]["it"]["value"] == "n"
    pushed = detail("push")
    assert (len(pushed["stack"]), pushed["view"]["callback_id"]) == (3, "third")
    closed = act(slack, "close", view_id=pushed["view"]["id"], user=GRACE)
    assert (closed["ok"], closed["delivered"]["status"], len(closed["stack"])) == (True, 200, 2)
    assert heard.of("view_closed")[-1]["is_cleared"] is False
    cleared = detail("clear")
    assert (cleared["response_action"], cleared["stack"]) == ("clear", [])


def test_closing_all_tells_of_each_modal(bolt: tuple[LocalSlack, Heard]) -> None:
    slack, heard = bolt
    act(slack, "shortcut", callback_id="start")
    first = opened(slack, "form")
    act(slack, "press", view_id=first["id"], action_id="push")
    before = len(heard.of("view_closed"))
    answer = act(slack, "close", view_id=opened(slack, "second")["id"], cleared=True)
    assert (answer["ok"], answer["stack"]) == (True, [])
    told = heard.of("view_closed")[before:]
    assert [(one["view"]["callback_id"], one["is_cleared"]) for one in told] == [("second", True), ("form", True)]


def test_a_message_shortcut_knows_its_message(bolt: tuple[LocalSlack, Heard]) -> None:
    slack, heard = bolt
    ts = slack.say("keep this")
    assert act(slack, "shortcut", callback_id="note", channel=CHANNEL, ts=ts)["ok"]
    eventually_now(lambda: [one["text"] for one in slack.replies(ts)] == ["noted keep this"])
    body = heard.of("message_action")[-1]
    assert (body["message"]["user"], body["channel"]["name"], body["message_ts"]) == (ADA, "general", ts)
    assert body["response_url"].startswith(slack.url)


def test_an_external_select_gets_its_options_from_the_app(bolt: tuple[LocalSlack, Heard]) -> None:
    slack, heard = bolt
    act(slack, "shortcut", callback_id="start")
    view = opened(slack, "form")
    found = act(slack, "suggest", view_id=view["id"], block_id="city", action_id="it", value="Ber")
    assert [one["value"] for one in found["options"]] == ["bern", "berlin"]
    assert heard.of("block_suggestion")[-1]["block_id"] == "city"
    act(slack, "close", view_id=view["id"], cleared=True)


def test_the_home_tab_is_published_when_it_is_opened_and_changes_when_pressed(bolt: tuple[LocalSlack, Heard]) -> None:
    slack, heard = bolt
    answer = act(slack, "open_home", app_id=APP, tab="home", user=GRACE)
    assert (answer["ok"], answer["delivered"]["status"]) == (True, 200)
    home = eventually_now(lambda: slack.sim("GET", f"views?user={GRACE}")["homes"])[0]
    assert (home["type"], home["callback_id"]) == ("home", "home")
    act(slack, "press", view_id=home["id"], action_id="again", user=GRACE)
    eventually_now(
        lambda: "pressed 1" in str(slack.sim("GET", f"views?user={GRACE}")["homes"][0]["blocks"]),
    )
    act(slack, "open_home", app_id=APP, tab="home", user=GRACE)
    eventually_now(lambda: len(heard.events("app_home_opened")) >= 2)
    assert heard.events("app_home_opened")[-1]["view"]["id"] == home["id"]
    assert "view" not in heard.events("app_home_opened")[0]
    eventually_now(lambda: len(slack.calls("views.publish")) >= 3)
