"""Rubbish on every door of the local Slack: refused in words, never a failure of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from stateroom.emulator.config import SEED_APP, SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_TOKEN
from support.bolt_apps import MANIFEST, button, field, modal
from support.local_slack import UNHURRIED, Json, LocalSlack, local_slack
from support.sockets import Socket

pytestmark = pytest.mark.service

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOME = "http://127.0.0.1:5/oauth"
DEEP = "[" * 5_000 + "]" * 5_000


@pytest.fixture(scope="module")
def running() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.01, **UNHURRIED) as slack:
        yield slack


# ---- the page on which an app is let in


@pytest.mark.parametrize(
    "address",
    [
        *("http://[", "http://127.0.0.1:80;script-src *", "http://127.0.0.1:８０/x", "http://localhost:port/"),
        *("http://127.0.0.1:5@evil.example/", "javascript://127.0.0.1/%0aalert(1)", "http:///x"),
    ],
)
def test_an_address_that_is_none_is_no_redirect_uri(running: LocalSlack, address: str) -> None:
    query = urlencode({"client_id": SEED_CLIENT_ID, "scope": "chat:write", "redirect_uri": address})
    status, answer, headers = running.request("GET", f"/oauth/v2/authorize?{query}")
    assert status == 400
    assert "bad_redirect_uri" in answer["text"]
    assert headers["content-security-policy"].endswith("form-action 'self'")


@pytest.mark.parametrize("scope", ["chat:write,日本", "chat:write\x01", 'a"b', "x" * 200])
def test_a_scope_that_is_no_word_is_refused(running: LocalSlack, scope: str) -> None:
    for name in ("scope", "user_scope"):
        query = urlencode({"client_id": SEED_CLIENT_ID, name: scope, "redirect_uri": HOME})
        status, answer, _ = running.request("GET", f"/oauth/v2/authorize?{query}")
        assert (status, "invalid_scope" in answer["text"]) == (400, True)
    status, denied, _ = running.request("POST", f"/_sim/apps/{SEED_APP}/install", {"scopes": [scope]})
    assert (status, denied["error"]) == (400, "invalid_arguments")


def test_a_bot_lets_no_app_in(running: LocalSlack) -> None:
    chosen = {"client_id": SEED_CLIENT_ID, "scope": "chat:write", "redirect_uri": HOME, "decision": "allow"}
    body = urlencode({**chosen, "who": "T00000001 UB0000001"}).encode()
    status, answer, _ = running.request("POST", "/oauth/v2/authorize", body, {**FORM, "Origin": running.url})
    assert (status, "invalid_user" in answer["text"]) == (400, True)


# ---- wrong types


@pytest.mark.parametrize("token", [5, True, 1.5, ["x"], {"a": 1}])
def test_a_token_that_is_no_text_is_refused(running: LocalSlack, token: object) -> None:
    keys = {"client_id": SEED_CLIENT_ID, "client_secret": SEED_CLIENT_SECRET}
    for method, args, error in (
        ("auth.test", {}, "invalid_auth"),
        ("oauth.v2.access", {"code": "x", **keys}, "invalid_code"),
        ("oauth.v2.exchange", keys, "token_rotation_not_enabled"),
    ):
        assert running.call(method, token=None, **args)["ok"] is False
        status, answer, _ = running.request("POST", f"/api/{method}", {**args, "token": token})
        assert (status, answer["error"] in (error, "invalid_arguments")) == (200, True), answer


@pytest.mark.parametrize("value", [[1], {"a": 1}, 5, True])
def test_an_org_wide_token_may_name_rubbish_for_a_team_or_a_channel(running: LocalSlack, value: object) -> None:
    if "T0000ORG1" not in {team["id"] for team in running.state()["teams"]}:
        running.add_team("T0000ORG1", enterprise_id="E00000001")
        running.sim("POST", "apps", {"app_id": "A00000009", "install": False})
    place = {"enterprise": "E00000001", "org_wide": True}
    token = running.sim("POST", "apps/A00000009/install", place)["access_token"]
    assert running.call("conversations.list", token, team_id=value)["error"] == "team_not_found"
    assert running.call("conversations.info", token, channel=value)["ok"] is False
    assert (
        running.call("agents.sessions.setStatus", token, channel_id=value, thread_ts="1.2", status="x")["ok"] is False
    )


DEEP_BODIES = [f'{{"kind":"submit","view_id":"x","values":{{"a":{DEEP}}}}}', f'{{"else":{DEEP}}}']
DOORS = ("messages", "actions", "apps", "faults", "sockets", "conversations", "duplicate", "reset", "teams")


@pytest.mark.parametrize("door", DOORS)
def test_json_that_goes_too_deep_is_refused(running: LocalSlack, door: str) -> None:
    for body in DEEP_BODIES:
        status, answer, _ = running.request("POST", f"/_sim/{door}", body.encode())
        assert (status, answer["error"]) == (400, "invalid_json")


async def test_a_frame_that_is_rubbish_leaves_the_socket_open(running: LocalSlack) -> None:
    async with Socket(running) as socket:
        for said in ("", "null", "[1]", '{"envelope_id":5}', "{", DEEP, f'{{"envelope_id":{DEEP}}}', "\x00é😀"):
            await socket._socket.send_str(said)
        await socket._socket.send_bytes(b"\xff\xfe")
        running.say("<@UB0000001> hello")
        envelope = await socket.take()
        assert envelope["type"] == "events_api"


# ---- files


def test_an_upload_address_with_a_ticket_of_any_letters_is_unknown(running: LocalSlack) -> None:
    file_id = running.call("files.getUploadURLExternal", filename="a.txt", length=3)["file_id"]
    status, answer, _ = running.request("POST", f"/upload/v1/T00000001-{file_id}/{quote('é')}", b"abc")
    assert (status, answer["text"]) == (404, "no such upload")


def test_no_ledger_holds_an_address_that_takes_bytes(running: LocalSlack) -> None:
    running.call("files.getUploadURLExternal", filename="a.txt", length=3)
    assert "/upload/v1/" not in json.dumps(running.calls("files.getUploadURLExternal"))


# ---- what apps show


async def told(socket: Socket, act: Coroutine[Any, Any, Json]) -> Json:
    """What an app is told of an act."""
    acting = asyncio.create_task(act)
    while (envelope := await socket.take())["type"] != "interactive":
        pass  # an event of another test
    assert (await acting)["ok"] is True
    return dict(envelope["payload"])


async def test_odd_blocks_that_an_app_responds_with_break_nothing(running: LocalSlack) -> None:
    blocks = [{"type": "actions", "block_id": "do", "elements": [button("go")]}]
    ts = running.call("chat.postMessage", channel="C00000001", text="press", blocks=blocks)["ts"]
    async with Socket(running) as socket:
        payload = await told(socket, running.begin("press", channel="C00000001", ts=ts, action_id="go"))
    path = urlsplit(payload["response_url"]).path
    odd = [{"blocks": 5}, {"blocks": "x"}, {"blocks": {"a": 1}}]
    assert running.request("POST", path, DEEP.encode())[:2] == (400, {"ok": False, "error": "invalid_payload"})
    said = {"text": "odd", "attachments": odd, "response_type": "in_channel"}
    assert running.request("POST", path, said)[0] == 200
    (shown,) = (one for one in running.messages() if one["text"] == "odd")
    status, answer, _ = running.request(
        "POST",
        "/_sim/actions",
        {"kind": "press", "channel": "C00000001", "ts": shown["ts"], "action_id": "none"},
    )
    assert (status, answer["error"]) == (404, "action_not_found")


async def test_a_number_is_one_whatever_limits_an_app_names(running: LocalSlack) -> None:
    limits = {"min_value": "abc", "max_value": [1], "is_decimal_allowed": True}
    element = {"type": "number_input", "action_id": "it", **limits}
    running.sim("POST", "apps", {"app_id": SEED_APP, "manifest": MANIFEST})
    async with Socket(running) as socket:
        payload = await told(socket, running.begin("shortcut", callback_id="start"))
        view = modal("odd", [{**field("count"), "element": element}])
        answer = running.call("views.open", trigger_id=payload["trigger_id"], view=view)
        view_id = answer["view"]["id"]
        for said in ("nan", "inf", "1_0", "x", "1e9999999", "١"):
            values = {"count": {"it": {"value": said}}}
            assert (await running.begin("submit", view_id=view_id, values=values))["error"] == "missing_input"
        values = {"count": {"it": {"value": "-7.5e1"}}}
        assert (await told(socket, running.begin("submit", view_id=view_id, values=values)))[
            "type"
        ] == "view_submission"


@pytest.mark.parametrize("depth", [150, 300, 972, 990])
def test_what_is_taken_in_can_always_be_shown_again(running: LocalSlack, depth: int) -> None:
    """A message nested almost too deep was taken, and the state that holds it could not be written any more."""
    payload = f'{{"event_type": "deep", "event_payload": {{"it": {"[" * depth}{"]" * depth}}}}}'
    whole = f'{{"channel": "C00000001", "text": "deep", "metadata": {payload}}}'.encode()
    form = urlencode({"channel": "C00000001", "text": "deep", "metadata": payload}).encode()
    for body, kind in ((whole, {"Content-Type": "application/json; charset=utf-8"}), (form, FORM)):
        headers = {**kind, "Authorization": f"Bearer {SEED_TOKEN}"}
        status, answer, _ = running.request("POST", "/api/chat.postMessage", body, headers)
        assert (status, answer["ok"]) == (200, depth < 200)
    for seen in ("state", "calls", "messages?channel=C00000001"):
        assert running.request("GET", f"/_sim/{seen}")[0] == 200


async def test_an_address_that_is_none_is_refused_or_unreachable_and_breaks_no_command(running: LocalSlack) -> None:
    for address in ("http://[", "ftp://127.0.0.1/x", "no address", "http://"):
        status, answer, _ = running.request("POST", "/_sim/apps", {"app_id": "A0ODDURL0", "event_url": address})
        assert (status, answer["error"]) == (400, "invalid_arguments")
    commands = [{"command": "/odd", "url": "http://[", "description": "d"}, {"command": 5}, "no object"]
    manifest = {
        "display_information": {"name": "odd"},
        "features": {"slash_commands": commands},
        "settings": {"interactivity": {"is_enabled": True, "request_url": "http://["}},
    }
    nowhere = {"app_id": "A0ODDURL1", "event_url": "http://127.0.0.1:9/", "manifest": manifest}
    running.sim("POST", "apps", nowhere)
    said = await running.begin("command", channel="C00000001", command="/odd", text="")
    assert (said["ok"], said["error"]) == (False, "http_error")


async def test_a_modal_of_an_app_that_was_removed_can_be_closed(running: LocalSlack) -> None:
    running.sim("POST", "apps", {"app_id": "A0GONE0001", "manifest": MANIFEST, "app_token": "xapp-gone"})
    async with Socket(running, "xapp-gone") as socket:
        payload = await told(socket, running.begin("shortcut", callback_id="start", app_id="A0GONE0001"))
        token = running.sim("POST", "apps/A0GONE0001/install", {"scopes": ["chat:write"]})["access_token"]
        view = modal("form", [field("name")])
        view_id = running.call("views.open", token, trigger_id=payload["trigger_id"], view=view)["view"]["id"]
        await asyncio.to_thread(running.sim, "POST", "apps/A0GONE0001/uninstall", {})
    assert (await running.begin("close", view_id=view_id))["stack"] == []
