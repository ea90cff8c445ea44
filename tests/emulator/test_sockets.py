"""Socket Mode, by a bare client and by slack_sdk's own: handshake, envelopes, acknowledgements, retries, refresh."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.aiohttp import SocketModeClient as AioSocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.socket_mode.websockets import SocketModeClient as WebsocketsSocketModeClient
from slack_sdk.web.async_client import AsyncWebClient

from support.local_slack import PATIENCE, EventApp, Json, LocalSlack, eventually, local_slack
from support.sockets import APP_TOKEN, Socket, open_url

pytestmark = pytest.mark.service

APP, DM = "A00000001", "D00000001"


def disturb(slack: LocalSlack, do: str, app_id: str = APP) -> int:
    return int(slack.sim("POST", "sockets", {"app_id": app_id, "do": do})["sockets"])


async def refused(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(url, headers=headers)
    return caught.value.status


async def test_only_an_app_level_token_opens_a_socket_and_its_address_is_good_once(slack: LocalSlack) -> None:
    assert slack.call("apps.connections.open")["error"] == "not_allowed_token_type"
    assert slack.call("apps.connections.open", token="xapp-none")["error"] == "invalid_auth"
    assert slack.call("auth.test", token=APP_TOKEN)["error"] == "not_allowed_token_type"
    url = open_url(slack)
    assert url.startswith("ws://127.0.0.1:")
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        hello = await socket.receive_json()
        assert (hello["type"], hello["num_connections"], hello["connection_info"]) == ("hello", 1, {"app_id": APP})
        assert hello["debug_info"]["approximate_connection_time"] > 0
        assert await refused(url) == 403
    assert await refused(url.replace("ticket=", "ticket=x")) == 403


async def test_a_foreign_page_opens_no_socket(slack: LocalSlack) -> None:
    assert await refused(open_url(slack), Origin="http://evil.example") == 403
    assert await refused(open_url(slack), Host="evil.example") == 403


async def test_an_event_is_an_envelope_and_its_acknowledgement_a_delivery(slack: LocalSlack) -> None:
    async with Socket(slack) as socket:
        slack.say("hello")
        envelope = await socket.take()
        assert (envelope["type"], envelope["accepts_response_payload"]) == ("events_api", False)
        assert (envelope["retry_attempt"], envelope["retry_reason"]) == (0, "")
        assert envelope["payload"]["event"]["text"] == "hello"
        deliveries = await eventually(slack.deliveries)
        assert [(one["transport"], one["status"], one["attempt"]) for one in deliveries] == [("socket", 200, 1)]
        app = slack.state()["apps"][0]
        assert (app["transport"], app["online"]) == ("socket", True)
    await eventually(lambda: slack.state()["apps"][0]["online"] is False)


async def test_what_is_not_acknowledged_in_time_comes_again_with_slacks_words() -> None:
    with local_slack(ack_seconds=0.2, time_scale=0.001) as slack:
        async with Socket(slack) as socket:
            slack.say("hello")
            heard = [await socket.receive() for _ in range(3)]
            last = await socket.take()
            retries = [(one["retry_attempt"], one["retry_reason"]) for one in [*heard, last]]
            assert retries == [(0, ""), (1, "timeout"), (2, "timeout"), (3, "timeout")]
            assert len({one["payload"]["event_id"] for one in heard}) == 1
            assert len({one["envelope_id"] for one in heard}) == 3
            await eventually(lambda: len(slack.deliveries()) == 4)


async def test_an_event_waits_for_a_socket_and_outlives_one_that_is_cut(slack: LocalSlack) -> None:
    async with Socket(slack):
        assert disturb(slack, "cut") == 1
    await eventually(lambda: slack.state()["apps"][0]["online"] is False)
    slack.say("while nobody listens")
    async with Socket(slack) as socket:
        first = await socket.receive()
        assert first["payload"]["event"]["text"] == "while nobody listens"
        disturb(slack, "cut")
        with pytest.raises(ConnectionError):
            await socket.receive()
    async with Socket(slack) as socket:
        again = await socket.take()
    assert again["payload"]["event_id"] == first["payload"]["event_id"]
    assert (again["retry_attempt"], again["retry_reason"]) == (1, "connection_failed")


async def test_the_sockets_of_an_app_share_its_envelopes(slack: LocalSlack) -> None:
    async with Socket(slack) as one, Socket(slack) as other:
        assert other.hello["num_connections"] == 2
        for number in range(4):
            slack.say(f"m{number}")
        heard = [[(await socket.take())["payload"]["event_id"] for _ in range(2)] for socket in (one, other)]
    assert len({event for half in heard for event in half}) == 4


async def test_an_acknowledgement_may_come_over_another_socket(slack: LocalSlack) -> None:
    async with Socket(slack) as old:
        slack.say("hello")
        envelope = await old.receive()
        async with Socket(slack) as new:
            await new.ack(envelope)
            await eventually(lambda: [one["status"] for one in slack.deliveries()] == [200])


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled"])
async def test_slack_says_why_it_ends_a_socket(slack: LocalSlack, reason: str) -> None:
    async with Socket(slack) as socket:
        assert disturb(slack, reason) == 1
        message = await socket.receive()
        assert (message["type"], message["reason"]) == ("disconnect", reason)


async def test_sockets_are_refreshed_on_slacks_schedule() -> None:
    with local_slack(time_scale=0.00005) as slack:  # 18,060 s are 0.9 s
        async with Socket(slack) as socket:
            heard = [(await socket.receive())["reason"] for _ in range(2)]
            assert heard == ["warning", "refresh_requested"]
            with pytest.raises(ConnectionError):
                await socket.receive()


async def test_an_app_has_at_most_ten_sockets(slack: LocalSlack) -> None:
    sockets = [await Socket(slack).__aenter__() for _ in range(10)]
    async with Socket(slack) as eleventh:
        assert eleventh.hello == {"type": "disconnect", "reason": "too_many_websockets"}
    for socket in sockets:
        await socket.__aexit__()


async def test_an_app_in_socket_mode_keeps_its_attempts_for_a_socket() -> None:
    """Without a socket Slack's four attempts would be used up before anybody listens."""
    with local_slack(time_scale=0.0) as slack:
        slack.sim("POST", "apps", {"app_id": APP, "manifest": {"settings": {"socket_mode_enabled": True}}})
        slack.say("waits")
        assert [one["parked"] for one in slack.sim("GET", "pending")["pending"]] == [True]
        assert slack.deliveries() == []


async def test_an_address_is_used_until_a_socket_opens_and_socket_mode_means_no_address() -> None:
    with local_slack(time_scale=0.01) as slack:
        async with EventApp() as app:
            slack.register(app.url)
            slack.say("over HTTP")
            await eventually(lambda: app.received)
            async with Socket(slack) as socket:
                slack.say("over the socket")
                assert (await socket.take())["payload"]["event"]["text"] == "over the socket"
            slack.register(app.url, manifest={"settings": {"socket_mode_enabled": True}})
            slack.say("waits")
            async with Socket(slack) as socket:
                assert (await socket.take())["payload"]["event"]["text"] == "waits"
            assert len(app.received) == 1


async def test_a_second_app_has_a_token_of_its_own(slack: LocalSlack) -> None:
    made = slack.sim("POST", "apps", {"app_id": "A2", "app_token": "xapp-mine"})
    assert made["app_token"] == "xapp-mine"
    assert slack.sim("POST", "apps", {"app_id": "A3"})["app_token"] == "xapp-local-2"
    async with Socket(slack, "xapp-mine") as mine, Socket(slack) as seeded:
        slack.say("for the seeded bot alone", channel=DM)
        assert (await seeded.take())["payload"]["api_app_id"] == APP
        slack.say("for all")
        assert (await mine.take())["payload"]["api_app_id"] == "A2"


class Heard:
    """What slack_sdk's listeners heard, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.texts: list[str] = []

    def add(self, payload: Json) -> None:
        with self._lock:
            self.texts.append(payload["event"]["text"])


def last_status(slack: LocalSlack) -> dict[str, int | None]:
    return {one["event_id"]: one["status"] for one in slack.deliveries()}


@pytest.fixture
def quick() -> Iterator[LocalSlack]:
    """Gives up on an acknowledgement after 2 s: a client that changes sockets may drop what it had not read yet."""
    with local_slack(ack_seconds=2.0, time_scale=0.02) as running:
        yield running


async def say_while_refreshing(slack: LocalSlack, heard: Heard) -> None:
    """Twelve messages with three refreshes in between: all arrive."""
    said = []
    for number in range(12):
        said.append(f"m{number}")
        slack.say(said[-1])
        if number % 4 == 2:
            disturb(slack, "warning" if number == 6 else "refresh_requested")
        await asyncio.sleep(0)
    await eventually(lambda: set(heard.texts) >= set(said), 2 * PATIENCE)
    await eventually(lambda: set(last_status(slack).values()) == {200}, 2 * PATIENCE)


async def test_the_builtin_client_loses_nothing_over_refreshes(quick: LocalSlack) -> None:
    heard = Heard()

    def listen(client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        heard.add(request.payload)

    client = SocketModeClient(app_token=APP_TOKEN, web_client=WebClient(base_url=quick.api_url))
    client.socket_mode_request_listeners.append(listen)
    client.connect()
    try:
        await say_while_refreshing(quick, heard)
    finally:
        await asyncio.to_thread(client.close)


@pytest.fixture(params=[AioSocketModeClient, WebsocketsSocketModeClient], ids=["aiohttp", "websockets"])
async def aio_client(quick: LocalSlack, request: pytest.FixtureRequest) -> AsyncIterator[AsyncBaseSocketModeClient]:
    client = request.param(app_token=APP_TOKEN, web_client=AsyncWebClient(base_url=quick.api_url))
    yield client
    await client.close()


async def test_the_async_clients_lose_nothing_over_refreshes(
    quick: LocalSlack, aio_client: AsyncBaseSocketModeClient
) -> None:
    heard = Heard()

    async def listen(client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        heard.add(request.payload)

    aio_client.socket_mode_request_listeners.append(listen)
    await aio_client.connect()  # type: ignore[no-untyped-call]
    await say_while_refreshing(quick, heard)


def test_an_app_level_token_goes_in_the_header_of_a_post(slack: LocalSlack) -> None:
    bearer = {"Authorization": f"Bearer {APP_TOKEN}"}
    path = "/api/apps.connections.open"
    assert slack.request("POST", path, {"token": APP_TOKEN})[1]["error"] == "missing_args"
    assert slack.request("GET", path, headers=bearer)[1]["error"] == "insecure_request"
    assert slack.request("POST", path, {})[1]["error"] == "not_authed"
    assert slack.request("POST", path, {}, bearer)[1]["ok"] is True
