"""Two at once, or one in the middle of another: submissions, response URLs, uploads, removals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from support.bolt_apps import MANIFEST, button, field, modal, plain
from support.local_slack import UNHURRIED, Json, LocalSlack, SimError, eventually, local_slack, local_slack_process
from support.sockets import Socket, open_url

pytestmark = pytest.mark.service

APP, CHANNEL = "A00000001", "C00000001"
VIEW = modal("form", [field("name", initial_value="ada")])


@pytest.fixture(scope="module")
def running() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.05, **UNHURRIED) as slack:
        slack.sim("POST", "apps", {"app_id": APP, "manifest": MANIFEST})
        yield slack


@pytest.fixture
def slack(running: LocalSlack) -> LocalSlack:
    running.reset()
    return running


async def told(socket: Socket) -> Json:
    """The next interaction, not yet acknowledged; events are."""
    while (envelope := await socket.receive())["type"] == "events_api":
        await socket.ack(envelope)
    return envelope


async def opened(slack: LocalSlack, socket: Socket, view: Json = VIEW) -> str:
    """A modal that a person has open."""
    asked = asyncio.create_task(slack.begin("shortcut", callback_id="start"))
    envelope = await told(socket)
    await socket.ack(envelope)
    await asked
    answer = slack.call("views.open", trigger_id=envelope["payload"]["trigger_id"], view=view)
    assert answer["ok"], answer
    return str(answer["view"]["id"])


def stack(slack: LocalSlack) -> list[str]:
    return [view["id"] for view in slack.sim("GET", "views")["views"]]


# ---- submissions


async def test_a_modal_is_submitted_once_at_a_time(slack: LocalSlack) -> None:
    """Slack's client takes no second press while the first is on its way."""
    async with Socket(slack) as socket:
        view_id = await opened(slack, socket)
        first = asyncio.create_task(slack.begin("submit", view_id=view_id))
        envelope = await told(socket)
        with pytest.raises(SimError) as refused:
            await slack.begin("submit", view_id=view_id)
        assert (refused.value.status, refused.value.code) == (409, "view_submitting")
        await socket.ack(envelope, {"response_action": "errors", "errors": {"name": "again"}})
        assert (await first)["errors"] == {"name": "again"}
        again = asyncio.create_task(slack.begin("submit", view_id=view_id))  # and then it may be sent again
        await socket.ack(await told(socket))
        assert (await again)["response_action"] == "none"
    assert stack(slack) == []


ANSWERS: list[Json] = [
    {"response_action": "update", "view": VIEW},
    {"response_action": "push", "view": VIEW},
    {"response_action": "errors", "errors": {"name": "no"}},
    {},
]


@pytest.mark.parametrize("answer", ANSWERS, ids=["update", "push", "errors", "nothing"])
async def test_what_an_app_answers_for_a_modal_that_was_closed_changes_nothing(answer: Json, tmp_path: Path) -> None:
    state = f"sqlite:///{tmp_path}/slack.db"
    with local_slack(state=state, **UNHURRIED) as slack:
        slack.sim("POST", "apps", {"app_id": APP, "manifest": MANIFEST})
        async with Socket(slack) as socket:
            view_id = await opened(slack, socket, {**VIEW, "notify_on_close": False})
            submitting = asyncio.create_task(slack.begin("submit", view_id=view_id))
            envelope = await told(socket)
            await slack.begin("close", view_id=view_id)
            await socket.ack(envelope, answer)
            assert (await submitting)["response_action"] == "none"
        assert stack(slack) == []
    with local_slack(state=state) as slack:
        assert stack(slack) == []


async def test_a_large_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    """Over HTTP an acknowledgement may be a modal of 200 kB, in as many packets as the network likes."""
    blocks = [{"type": "section", "text": plain("x" * 2000)} for _ in range(90)]
    answer = json.dumps({"response_action": "update", "view": modal("form", blocks)}).encode()
    given: list[Json] = []

    async def take(request: web.Request) -> web.StreamResponse:
        payload = json.loads(str((await request.post())["payload"]))
        given.append(payload)
        if payload["type"] != "view_submission":
            return web.Response()
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(answer), 50_000):
            await response.write(answer[start : start + 50_000])
        return response

    server = web.Application()
    server.router.add_post("/", take)
    async with hosted(server) as url:
        with local_slack(event_url=url, **UNHURRIED) as slack:
            slack.sim("POST", "apps", {"app_id": APP, "manifest": MANIFEST})
            await slack.begin("shortcut", callback_id="start")
            view_id = slack.call("views.open", trigger_id=given[0]["trigger_id"], view=VIEW)["view"]["id"]
            said = await slack.begin("submit", view_id=view_id)
    assert said["ok"], said.get("detail")
    assert (said["response_action"], len(said["view"]["blocks"])) == ("update", 90)


@contextlib.asynccontextmanager
async def hosted(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


# ---- what is good for so many times


async def test_a_response_url_is_good_five_times_however_many_ask_at_once(slack: LocalSlack) -> None:
    blocks = [{"type": "actions", "block_id": "do", "elements": [button("go")]}]
    ts = slack.call("chat.postMessage", channel=CHANNEL, text="press", blocks=blocks)["ts"]
    async with Socket(slack) as socket:
        asked = asyncio.create_task(slack.begin("press", channel=CHANNEL, ts=ts, action_id="go"))
        envelope = await told(socket)
        await socket.ack(envelope)
        await asked
    path = urlsplit(envelope["payload"]["response_url"]).path
    begun, released = list[str](), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        begun.append("read")  # by `Expect: 100-continue` a body begins when the server reads it
        yield b'{"text": '
        await released.wait()
        yield b'"at once"}'

    async with aiohttp.ClientSession() as session:
        posts = [asyncio.create_task(session.post(slack.url + path, data=slowly(), expect100=True)) for _ in range(12)]
        await eventually(lambda: len(begun) == 12)
        released.set()
        answers = [(one.status, (await one.json()).get("error")) for one in await asyncio.gather(*posts)]
    assert sorted(answers, key=str) == [(200, None)] * 5 + [(404, "used_url")] * 7
    assert sum(one["text"] == "at once" for one in slack.messages()) == 5


async def test_bytes_that_come_after_a_file_is_complete_are_refused(slack: LocalSlack) -> None:
    given = slack.call("files.getUploadURLExternal", filename="a.txt", length=6)
    begun, released = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        begun.set()
        yield b"sec"
        await released.wait()
        yield b"ond"

    async with aiohttp.ClientSession() as session:
        late = asyncio.create_task(session.post(given["upload_url"], data=slowly(), expect100=True))
        await begun.wait()
        assert (await session.post(given["upload_url"], data=b"first!")).status == 200
        done = slack.call("files.completeUploadExternal", files=[{"id": given["file_id"]}], channel_id=CHANNEL)
        released.set()
        assert (await late).status == 404
        headers = {"Authorization": "Bearer xoxb-local-1"}
        async with session.get(done["files"][0]["url_private"], headers=headers) as kept:
            assert await kept.read() == b"first!"


def test_of_many_exchanges_with_one_code_or_refresh_token_one_wins(slack: LocalSlack) -> None:
    rotating = {"settings": {"token_rotation_enabled": True}}
    keys = {"client_id": "ci", "client_secret": "cs"}
    slack.sim("POST", "apps", {"app_id": "A0000RACE", "manifest": rotating, **keys})
    refresh = slack.sim("POST", "apps/A0000RACE/install", {"scopes": ["chat:write"]})["refresh_token"]
    together = threading.Barrier(8)

    def renew(_: int) -> Json:
        together.wait()
        given = {**keys, "grant_type": "refresh_token", "refresh_token": refresh}
        return slack.call("oauth.v2.access", token=None, **given)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(renew, range(8)))
    assert sorted(one.get("error", "won") for one in answers) == ["invalid_refresh_token"] * 7 + ["won"]


# ---- an app that goes


async def test_the_sockets_of_an_app_end_when_it_is_installed_nowhere_any_more() -> None:
    with local_slack(time_scale=0.05, **UNHURRIED) as slack:
        events = ["app_uninstalled", "tokens_revoked"]
        gone = {"settings": {"event_subscriptions": {"bot_events": events}, "socket_mode_enabled": True}}
        slack.sim("POST", "apps", {"app_id": APP, "manifest": gone})
        async with Socket(slack) as socket:
            await asyncio.to_thread(slack.sim, "POST", f"apps/{APP}/uninstall", {})
            heard = [(await socket.take())["payload"]["event"]["type"] for _ in events]
            assert sorted(heard) == sorted(events)
            said = await socket.receive()
            assert (said["type"], said["reason"]) == ("disconnect", "link_disabled")
            with pytest.raises(ConnectionError):
                await socket.receive()
        async with Socket(slack) as socket:  # an app waits for its first install over a socket, too
            assert socket.hello["type"] == "hello"


async def test_the_sockets_of_an_app_stay_while_another_team_has_it() -> None:
    with local_slack(time_scale=0.05, **UNHURRIED) as slack:
        slack.add_team("T0000MORE")
        slack.sim("POST", f"apps/{APP}/install", {"team": "T0000MORE"})
        async with Socket(slack) as socket:
            await asyncio.to_thread(slack.sim, "POST", f"apps/{APP}/uninstall", {})
            heard = {(await socket.take())["payload"]["event"]["type"] for _ in range(2)}
            assert heard == {"app_uninstalled", "tokens_revoked"}
            await eventually(lambda: not slack.sim("GET", "pending")["pending"])
            assert [one["draining"] for one in slack.sim("GET", "sockets")["sockets"]] == [False]


def test_a_token_that_is_revoked_while_its_stream_runs_ends_the_stream(slack: LocalSlack) -> None:
    slack.sim("POST", "apps", {"app_id": "A0000STRM"})
    token = slack.sim("POST", "apps/A0000STRM/install", {"scopes": ["chat:write"]})["access_token"]
    ts = slack.say("hello")
    place = {"recipient_user_id": "U00000001", "recipient_team_id": "T00000001"}
    stream = slack.call("chat.startStream", token, channel=CHANNEL, thread_ts=ts, markdown_text="so far", **place)
    assert stream["ok"], stream
    slack.sim("POST", "apps/A0000STRM/revoke", {"kind": "bot"})
    said = slack.call("chat.appendStream", token, channel=CHANNEL, ts=stream["ts"], markdown_text="more")
    assert said["error"] == "account_inactive"
    (shown,) = slack.replies(ts)
    assert (shown["text"], shown["streaming"]) == ("so far", False)


# ---- kill -9 in the middle


async def test_a_kill_9_between_a_press_and_its_answer_leaves_a_response_url_that_works(tmp_path: Path) -> None:
    """The app has been asked, and the local Slack dies before the acknowledgement."""
    state = f"sqlite:///{tmp_path}/slack.db"
    blocks = [{"type": "actions", "block_id": "do", "elements": [button("go")]}]
    with local_slack_process(state=state) as first:
        slack = first.slack
        ts = slack.call("chat.postMessage", channel=CHANNEL, text="press", blocks=blocks)["ts"]
        async with aiohttp.ClientSession() as session, session.ws_connect(open_url(slack)) as socket:
            assert (await socket.receive_json())["type"] == "hello"
            asked = asyncio.create_task(slack.begin("press", channel=CHANNEL, ts=ts, action_id="go"))
            envelope = await socket.receive_json()
            first.kill()
            with pytest.raises(OSError):
                await asked
    path = urlsplit(envelope["payload"]["response_url"]).path
    with local_slack_process(state=state) as second:
        said = {"text": "late but there", "replace_original": True}
        assert second.slack.request("POST", path, said)[0] == 200
        assert [one["text"] for one in second.slack.messages() if one["ts"] == ts] == ["late but there"]
        async with Socket(second.slack) as again:  # and its app comes back
            assert again.hello["type"] == "hello"
