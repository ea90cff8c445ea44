"""Every way to attach an app under test, and what is left of it afterwards."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from slack_bolt import App
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin.kit import Slack

pytestmark = pytest.mark.service

Json = dict[str, Any]

BOLT = """
import os
from slack_bolt import App
from slack_sdk import WebClient
app = App(client=WebClient(os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"]))

@app.event("app_mention")
def answer(event, say):
    say("hello from " + os.environ["WHO"], thread_ts=event["ts"])
"""
MENTIONS = {
    "display_information": {"name": "Quiet"},
    "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}},
}
OVER_HTTP = BOLT + 'app.start(int(os.environ["PORT"]))\n'
OVER_SOCKETS = BOLT + "from slack_bolt.adapter.socket_mode import SocketModeHandler\nSocketModeHandler(app).start()\n"


def wsgi(slack: Slack) -> Callable[..., Iterable[bytes]]:
    """An app without any framework: slack_sdk and a web server."""
    client, verifier = WebClient(slack.bot_token), SignatureVerifier(slack.signing_secret)

    def app(environ: Json, start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        stamp, mark = environ["HTTP_X_SLACK_REQUEST_TIMESTAMP"], environ["HTTP_X_SLACK_SIGNATURE"]
        if not verifier.is_valid(body, stamp, mark):
            start_response("401 Unauthorized", [])
            return [b""]
        event = json.loads(body)["event"]
        if event["type"] == "app_mention":
            client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="hello")
        start_response("200 OK", [])
        return [b""]

    return app


def asgi(slack: Slack) -> Starlette:
    async def events(request: Request) -> Response:
        event = (await request.json())["event"]
        if event["type"] == "app_mention":
            await slack.async_client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="hello")
        return PlainTextResponse("")

    return Starlette(routes=[Route("/in", events, methods=["POST"])])


def test_a_plain_wsgi_application(slack: Slack) -> None:
    slack.connect(wsgi(slack))
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))


def test_an_asgi_application_at_a_path_of_its_own(slack: Slack) -> None:
    slack.connect(asgi(slack), path="/in")
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))


@pytest.mark.parametrize(("source", "socket_mode"), [(OVER_HTTP, False), (OVER_SOCKETS, True)], ids=["http", "socket"])
def test_a_command_with_its_variables(slack: Slack, tmp_path: Path, source: str, socket_mode: bool) -> None:
    (tmp_path / "app.py").write_text(source)
    app = slack.run(
        sys.executable, "app.py", cwd=tmp_path, env={"WHO": "a process"}, socket_mode=socket_mode, manifest=MENTIONS
    )
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"), text="hello from a process")
    first = app.pid
    slack.restart(app)
    assert app.pid != first
    slack.assert_one_answer(slack.say(f"{slack.mention} again"), text="hello from a process")
    slack.close()
    assert not app.running


def test_a_command_that_does_not_start_shows_its_last_lines(slack: Slack) -> None:
    with pytest.raises(AssertionError, match="no such thing"):
        slack.run(sys.executable, "-c", "raise SystemExit('no such thing')")


def test_what_no_app_had_taken_comes_after_a_restart_of_slack(slack: Slack) -> None:
    app = App()
    app.event("app_mention")(lambda event, say: say("hello", thread_ts=event["ts"]))
    slack.wire.post("apps", {"app_id": slack.app_id, "event_url": "http://127.0.0.1:9/slack/events"})
    question = slack.say(f"{slack.mention} hello")
    slack.wait_for(lambda: any(one["reason"] == "connection_failed" for one in slack.deliveries()))
    slack.restart()
    assert slack.now(question).text == question.text
    slack.connect(app)
    slack.assert_one_answer(question, within=30)


def test_a_socket_mode_app_finds_a_restarted_slack(slack: Slack) -> None:
    app = App()
    app.event("app_mention")(lambda event, say: say("hello", thread_ts=event["ts"]))
    slack.connect(app, socket_mode=True)
    slack.restart()
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))


def test_an_app_made_elsewhere_keeps_its_own_token_and_secret(slack: Slack) -> None:
    client = WebClient("xoxb-of-mine", base_url="https://slack.com/api/")
    app = App(client=client, signing_secret="mine", token_verification_enabled=False)
    app.event("app_mention")(lambda event, say: say("hello", thread_ts=event["ts"]))
    slack.connect(app)
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))
    assert slack.client.auth_test()["user_id"] == slack.bot_user


def test_a_manifest_limits_what_is_sent(slack: Slack) -> None:
    app = App()
    app.event("app_mention")(lambda event, say: say("hello", thread_ts=event["ts"]))
    slack.connect(app, manifest=MENTIONS)
    slack.assert_one_answer(slack.say(f"{slack.mention} hello"))
    assert [one["type"] for one in slack.deliveries()] == ["app_mention"]


@pytest.mark.parametrize("app", [7, object()])
def test_what_cannot_be_served_is_refused_in_words(slack: Slack, app: object) -> None:
    with pytest.raises(WrongUse, match="cannot be served; give a Bolt App"):
        slack.connect(app)


def test_socket_mode_is_for_bolt(slack: Slack) -> None:
    with pytest.raises(WrongUse, match=r"slack\.run"):
        slack.connect(wsgi(slack), socket_mode=True)
