"""Bolt, sync and async, installed through the page's form in another team: it answers there until it is removed."""

import asyncio
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from slack_bolt import App
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk import WebClient
from slack_sdk.oauth.installation_store import FileInstallationStore
from slack_sdk.oauth.state_store import FileOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.emulator.config import SEED_APP, SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_SECRET
from support.bolt_http import served, served_async
from support.installing import press
from support.local_slack import PATIENCE, UNHURRIED, LocalSlack, eventually_now, local_slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
SCOPES = ["app_mentions:read", "chat:write"]


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """In Slack's own time: a code is good for ten minutes."""
    with local_slack(**UNHURRIED) as running:
        yield running


def get(url: str, cookie: str = "") -> tuple[int, str, str, str]:
    """As a browser goes somewhere: `(status, location, cookie, text)`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        text = response.read().decode()
        given = (response.getheader("Set-Cookie") or "").partition(";")[0]
        return response.status, response.getheader("Location") or "", given, text
    finally:
        connection.close()


def settings(slack: LocalSlack, folder: Path) -> Json:
    return {
        "client_id": SEED_CLIENT_ID,
        "client_secret": SEED_CLIENT_SECRET,
        "scopes": SCOPES,
        "authorization_url": f"{slack.url}/oauth/v2/authorize",
        "installation_store": FileInstallationStore(base_dir=str(folder / "installs"), client_id=SEED_CLIENT_ID),
        "state_store": FileOAuthStateStore(expiration_seconds=60, base_dir=str(folder / "states")),
        "install_page_rendering_enabled": False,
    }


def install_talk_remove(slack: LocalSlack, url: str, store: FileInstallationStore) -> None:
    """The whole way of one team, from the app's install page to its removal."""
    redirect = f"{url}/slack/oauth_redirect"
    manifest = {
        "display_information": {"name": "Stateroom"},
        "oauth_config": {"redirect_urls": [redirect], "scopes": {"bot": SCOPES}},
    }
    slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": manifest})
    team = slack.add_team("T0000BOLT", install=False)
    person, channel = team["users"][0], team["channel"]
    status, page, cookie, _ = get(f"{url}/slack/install")
    assert (status, page.startswith(f"{slack.url}/oauth/v2/authorize?")) == (302, True)
    path = page.removeprefix(slack.url)
    cancelled = press(slack, path, team="T0000BOLT", user=person, decision="deny")[1]
    assert "access_denied" in get(cancelled, cookie)[3]
    assert store.find_installation(enterprise_id=None, team_id="T0000BOLT") is None
    status, page, cookie, _ = get(f"{url}/slack/install")
    back = press(slack, page.removeprefix(slack.url), team="T0000BOLT", user=person)[1]
    assert back.startswith(f"{redirect}?code=")
    assert get(back, cookie)[0] == 200
    found = store.find_installation(enterprise_id=None, team_id="T0000BOLT")
    assert found is not None
    assert (found.user_id, found.bot_scopes) == (person, SCOPES)
    ts = slack.say(f"<@{found.bot_user_id}> hello", channel, team="T0000BOLT")
    (answer,) = eventually_now(lambda: slack.replies(ts, channel, team="T0000BOLT"))
    assert answer["text"] == f"hello <@{person}>"
    slack.sim("POST", f"apps/{SEED_APP}/uninstall", {"team": "T0000BOLT"})
    eventually_now(lambda: store.find_installation(enterprise_id=None, team_id="T0000BOLT") is None)


def test_bolt_is_installed_answers_and_is_removed(slack: LocalSlack, tmp_path: Path) -> None:
    given = settings(slack, tmp_path)
    app = App(
        signing_secret=SEED_SECRET, client=WebClient(base_url=slack.api_url), oauth_settings=OAuthSettings(**given)
    )

    @app.event("app_mention")
    def mentioned(event: Json, say: Any) -> None:
        say(f"hello <@{event['user']}>", thread_ts=event["ts"])

    app.enable_token_revocation_listeners()
    with served(slack, app) as url:
        install_talk_remove(slack, url, given["installation_store"])


async def test_async_bolt_is_installed_answers_and_is_removed(slack: LocalSlack, tmp_path: Path) -> None:
    given = settings(slack, tmp_path)
    app = AsyncApp(
        signing_secret=SEED_SECRET,
        client=AsyncWebClient(base_url=slack.api_url),
        oauth_settings=AsyncOAuthSettings(**given),
    )

    @app.event("app_mention")
    async def mentioned(event: Json, say: Any) -> None:
        await say(f"hello <@{event['user']}>", thread_ts=event["ts"])

    app.enable_token_revocation_listeners()
    async with served_async(slack, app) as url:
        await asyncio.to_thread(install_talk_remove, slack, url, given["installation_store"])
