"""Who may ask the local Slack: this machine, and no page of anybody else, with or without an Origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import aiohttp
import pytest
from starlette.routing import Route

from stateroom.emulator.config import SEED_TOKEN
from stateroom.emulator.server import ROUTES
from support.local_slack import UNHURRIED, LocalSlack, local_slack
from support.sockets import open_url

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def running() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.01, **UNHURRIED) as slack:
        yield slack


SPEAK = "/api/chat.postMessage?" + urlencode({"token": SEED_TOKEN, "channel": "C00000001", "text": "from elsewhere"})


@pytest.mark.parametrize("path", [SPEAK, "/_sim/state", "/_sim/files/F1", "/files-pri/T00000001-F1/a.txt"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["no-cors", "navigate"])
def test_a_foreign_page_cannot_ask_without_an_origin(running: LocalSlack, path: str, site: str, mode: str) -> None:
    """An image, a script or a link of a foreign page carries no Origin; the seeded token is known to everybody."""
    status, answer, _ = running.request("GET", path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})
    assert (status, answer["error"]) == (403, "forbidden_origin")
    assert not any("from elsewhere" in one["text"] for one in running.messages())


@pytest.mark.parametrize("path", ["/", "/archives/C00000001/p1700000000000100", "/oauth/v2/authorize"])
def test_a_link_from_elsewhere_opens_a_page(running: LocalSlack, path: str) -> None:
    status, _, _ = running.request("GET", path, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert status in (200, 302, 400)  # 400: authorize without a client id


def test_what_the_browsers_own_bar_or_page_asks_is_answered(running: LocalSlack) -> None:
    for site in ("none", "same-origin"):
        assert running.request("GET", "/_sim/state", headers={"Sec-Fetch-Site": site})[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1:80@evil.example", "localhost:x", "localhost:", "127.0.0.1:5;x", "[::1]x"])
def test_a_host_that_only_begins_like_this_machine_is_refused(running: LocalSlack, host: str) -> None:
    headers = {"Host": host, "Authorization": f"Bearer {SEED_TOKEN}"}
    status, answer, _ = running.request("GET", "/api/auth.test", headers=headers)
    assert (status, answer["error"]) == (403, "forbidden_host")


async def test_a_socket_of_a_foreign_page_is_refused_before_its_ticket_is_spent(running: LocalSlack) -> None:
    url = open_url(running)
    async with aiohttp.ClientSession() as session:
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url, headers=headers)
            assert refused.value.status == 403
        async with session.ws_connect(url) as socket:
            assert (await socket.receive_json())["type"] == "hello"


DOORS = [(route.path, sorted(route.methods or ())) for route in ROUTES if isinstance(route, Route)]
DOORS += [("/api/chat.postMessage", ["GET", "POST"])]


@pytest.mark.parametrize(("path", "methods"), DOORS, ids=[path for path, _ in DOORS])
def test_every_door_asks_who_is_there(running: LocalSlack, path: str, methods: list[str]) -> None:
    there = re.sub(r"\{[^}]*\}", "x", path)
    for method in (one for one in methods if one != "HEAD"):
        body = b"{}" if method == "POST" else None
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
            status, answer, told = running.request(method, there, body, headers)
            assert (status, answer["error"][:10]) == (403, "forbidden_")
            assert "default-src 'none'" in told["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["/", "/?source", "/oauth/v2/authorize", "/oauth/v2/authorize?client_id=local-client-id&scope=a", "/files-pri/x/y"],
)
def test_every_page_has_a_policy_without_foreign_scripts(running: LocalSlack, path: str) -> None:
    _, answer, headers = running.request("GET", path)
    assert headers["content-type"].startswith("text/html"), answer
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not any(word in policy for word in ("*", "http:", "https:"))
