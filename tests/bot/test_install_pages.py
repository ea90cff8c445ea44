"""The install pages with a real browser's requests against a local Slack: who may come back, and who is refused."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET
from support.bot import bot
from support.browser import Browser, Page, channel_of, own_bot, who, whole
from support.installations import KEYS
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
APP: dict[str, Any] = {"client_id": SEED_CLIENT_ID, "client_secret": SEED_CLIENT_SECRET, "keys": KEYS, "bot_token": ""}
_teams = itertools.count(1)


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        yield running


@pytest.fixture
def team(slack: LocalSlack) -> str:
    """A workspace in which the app is not."""
    name = f"T0PAGES{next(_teams):02d}"
    slack.add_team(name, install=False)
    return name


def exchanges(slack: LocalSlack) -> int:
    return len(slack.calls("oauth.v2.access"))


async def back(browser: Browser, address: str, **headers: str) -> Page:
    return await asyncio.to_thread(lambda: browser.get(address, **headers))


async def test_a_person_installs_the_app_and_it_answers(slack: LocalSlack, team: str) -> None:
    async with bot(slack, **APP) as address:
        page = await asyncio.to_thread(lambda: Browser().install(slack, address, **who(slack, team)))
        assert page.status == 200
        assert "xox" not in page.text
        ts = slack.say(f"<@{own_bot(slack, team)}> hello", channel=channel_of(slack, team), **who(slack, team))
        answers = await eventually(lambda: whole(slack, ts, team))
        assert len(answers) == 1


@pytest.mark.parametrize("kind", ["reused", "forged", "another browser", "no cookie", "no state"])
async def test_a_state_that_is_not_this_browsers_first_is_refused(slack: LocalSlack, team: str, kind: str) -> None:
    async with bot(slack, **APP) as address:
        browser, other = Browser(), Browser()
        location = await asyncio.to_thread(lambda: browser.allow(slack, browser.leave(address), **who(slack, team)))
        if kind == "reused":
            kept = dict(browser.cookies)
            assert (await back(browser, location)).status == 200
            browser.cookies = kept
        if kind == "another browser":
            await asyncio.to_thread(lambda: other.leave(address))
            browser = other
        if kind == "no cookie":
            browser.cookies.clear()
        if kind in ("forged", "no state"):
            parts = urlsplit(location)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()} | {"state": "made-up"}
            if kind == "no state":
                del query["state"]
            location = parts._replace(query=urlencode(query)).geturl()
        before = exchanges(slack)
        page = await back(browser, location, Accept="application/json")
        assert page.status == 400
        assert "invalid_state" in page.text
        assert exchanges(slack) == before  # Slack is not even asked


async def test_a_state_that_is_over_is_refused(slack: LocalSlack, team: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stateroom.bot.install_pages._LIVES", 0)
    async with bot(slack, **APP) as address:
        page = await asyncio.to_thread(lambda: Browser().install(slack, address, **who(slack, team)))
    assert page.status == 400


async def test_a_person_may_begin_in_two_tabs_and_end_in_either(slack: LocalSlack, team: str) -> None:
    async with bot(slack, **APP) as address:
        browser = Browser()
        first, _second = [await asyncio.to_thread(lambda: browser.leave(address)) for _ in range(2)]
        location = await asyncio.to_thread(lambda: browser.allow(slack, first, **who(slack, team)))
        assert (await back(browser, location)).status == 200
        assert (await back(browser, location)).status == 400


@pytest.mark.parametrize("query", ["&".join(f"a{n}=1" for n in range(30)), "state=%ff%00&code=%00", "%", "state=;"])
async def test_a_way_back_that_is_rubbish_is_refused(slack: LocalSlack, query: str) -> None:
    async with bot(slack, **APP) as address:
        browser = Browser()
        await asyncio.to_thread(lambda: browser.leave(address))
        page = await back(browser, f"{address}/slack/oauth_redirect?{query}", Accept="application/json")
        assert page.status == 400
        assert '"detail"' in page.text


async def test_a_person_who_cancels_is_told_that_nothing_was_installed(slack: LocalSlack, team: str) -> None:
    async with bot(slack, **APP) as address:
        browser = Browser()
        way = {**who(slack, team), "decision": "deny"}
        location = await asyncio.to_thread(lambda: browser.allow(slack, browser.leave(address), **way))
        page = await back(browser, location)
        assert page.status == 403
        assert (await back(browser, location)).status == 400  # the state is used up


async def test_a_code_that_slack_refuses_is_told_and_nothing_is_kept(slack: LocalSlack, team: str) -> None:
    async with bot(slack, **APP) as address:
        browser = Browser()
        location = await asyncio.to_thread(lambda: browser.allow(slack, browser.leave(address), **who(slack, team)))
        parts = urlsplit(location)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()} | {"code": "made-up"}
        page = await back(browser, parts._replace(query=urlencode(query)).geturl(), Accept="application/json")
        assert page.status == 400
        assert "oauth_failed" in page.text
        assert "made-up" not in page.text


@pytest.mark.parametrize(
    ("lacking", "code"), [({"keys": None}, "keys_missing"), ({"client_secret": ""}, "not_configured")]
)
async def test_without_keys_or_secret_nobody_can_install_and_is_told_why(
    slack: LocalSlack, lacking: dict[str, Any], code: str
) -> None:
    async with bot(slack, **(APP | lacking)) as address:
        for path in ("install", "oauth_redirect?code=1&state=2"):
            page = await back(Browser(), f"{address}/slack/{path}", Accept="application/json")
            assert page.status == 503
            assert code in page.text
        page = await back(Browser(), f"{address}/slack/install")
        assert page.headers["content-type"].startswith("text/html")


async def test_the_pages_are_never_kept_framed_or_scripted(slack: LocalSlack) -> None:
    async with bot(slack, **APP) as address:
        page = await back(Browser(), f"{address}/slack/install")
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in page.text + policy
        cookie = page.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie


async def test_behind_https_the_cookie_is_secure_and_slack_is_told_the_public_address(slack: LocalSlack) -> None:
    async with bot(slack, **APP, public_url="https://bot.example.com") as address:
        browser = Browser()
        page = await back(browser, f"{address}/slack/install")
        assert page.headers["set-cookie"].startswith("__Host-stateroom-install=")
        assert "; Secure" in page.headers["set-cookie"]
        assert urlencode({"redirect_uri": "https://bot.example.com/slack/oauth_redirect"}) in page.text


async def test_a_host_header_of_another_machine_is_not_believed(slack: LocalSlack) -> None:
    async with bot(slack, **APP) as address:
        page = await back(Browser(), f"{address}/slack/install", Host="evil.example.com")
        assert "evil" not in page.text
        assert "redirect_uri" not in page.text


async def test_only_get_is_taken(slack: LocalSlack) -> None:
    async with bot(slack, **APP) as address:
        status, answer, _ = await asyncio.to_thread(LocalSlack(address).request, "POST", "/slack/install", {})
        assert status == 405
        assert answer["error"] == "method_not_allowed"
        status, answer, _ = await asyncio.to_thread(LocalSlack(address).request, "GET", "/slack/nowhere")
        assert (status, answer["error"]) == (404, "not_found")
