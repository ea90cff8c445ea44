"""The page from end to end with one real app: install, mention, button, modal, App Home, upload.

Rules of this file: one flow, as a person goes through it; each step waits for what that person would see.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import expect
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.bolt import AsyncInstallationStore, AsyncOAuthStateStore
from stateroom.emulator.config import SEED_APP, SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_DM, SEED_SECRET, SEED_TEAM
from stateroom.model.sealing import Keyring
from stateroom.store import Store
from support.bolt_apps import MANIFEST, Heard, listening
from support.bolt_http import served_async
from support.browsing import Shown
from support.local_slack import LocalSlack

SCOPES = ["app_mentions:read", "chat:write", "commands", "im:history"]
# Bolt's install page shows a picture from Slack, which no test asks for, and has no icon of its own.
BOLT = ["Failed to load resource: net::ERR_FAILED", "Failed to load resource: .* 401"]
KEYS = Keyring.parse("k1:" + "A" * 43 + "=")


@asynccontextmanager
async def installable(slack: LocalSlack, store: Store, heard: Heard) -> AsyncIterator[str]:
    """A Bolt app that nobody has let in yet, which keeps its installations in `store`; yields its address.

    Bolt's own page after an install leads to slack://. Chromium then asks, in a dialog of its own that a headless
    browser does not show, whether a program may open that, and drops each key and click of the tab meanwhile, on
    whatever page it goes to next. So the app names where its people go.
    """
    slack.sim("POST", f"apps/{SEED_APP}/uninstall", {"team": SEED_TEAM})
    settings = AsyncOAuthSettings(
        client_id=SEED_CLIENT_ID,
        client_secret=SEED_CLIENT_SECRET,
        scopes=SCOPES,
        authorization_url=f"{slack.url}/oauth/v2/authorize",
        success_url=slack.url,
        installation_store=AsyncInstallationStore(store, client_id=SEED_CLIENT_ID),
        state_store=AsyncOAuthStateStore(store, client_id=SEED_CLIENT_ID),
    )
    client = AsyncWebClient(base_url=slack.api_url)
    app = listening(AsyncApp(client=client, signing_secret=SEED_SECRET, oauth_settings=settings), heard)
    async with served_async(slack, app) as url:
        oauth = {"redirect_urls": [f"{url}/slack/oauth_redirect"], "scopes": {"bot": SCOPES}}
        slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": {**MANIFEST, "oauth_config": oauth}})
        yield url


async def install(shown: Shown, url: str) -> None:
    """From the app's own install page, through Slack's, back to the app, which leads to the workspace."""
    shown.excused += BOLT
    await shown.page.route(re.compile("^https:"), lambda route: route.abort())
    await shown.page.goto(f"{url}/slack/install")
    await shown.page.get_by_role("link").click()
    await expect(shown.page.get_by_role("heading", level=1)).to_contain_text("wants to enter a workspace")
    await shown.page.get_by_role("button", name="Allow").click()
    await expect(shown.page).to_have_url(re.compile(f"^{re.escape(shown.slack.url)}/#"))


async def test_an_app_is_installed_mentioned_pressed_filled_in_opened_at_home_and_given_a_file(
    shown: Shown, tmp_path: Path
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing is lost\n")
    heard, page = Heard(), shown.page
    async with (
        Store(f"sqlite:///{tmp_path}/installs.db", keys=KEYS) as store,
        installable(shown.slack, store, heard) as url,
    ):
        await install(shown, url)
        await shown.write("@stateroom open")
        await page.get_by_role("button", name="open", exact=True).click()
        form = page.get_by_role("dialog", name="form")
        await form.get_by_label("name").fill("Ada")
        await form.get_by_role("button", name="Send").click()
        await expect(form).to_have_count(0)
        await expect(shown.replies.last).to_contain_text("thanks Ada")
        await page.locator(f'[data-channel="{SEED_DM}"]').click()
        await page.get_by_role("tab", name="Home").click()
        home = page.get_by_role("tabpanel", name="Home")
        await home.get_by_role("button", name="again", exact=True).click()
        await expect(home).to_contain_text("pressed 1")
        await page.get_by_role("tab", name="Messages").click()
        await page.locator("#composer-slot input[type=file]").set_input_files(notes)
        await shown.write("my notes")
        await expect(shown.messages.locator(".file-card")).to_contain_text("notes.txt")
