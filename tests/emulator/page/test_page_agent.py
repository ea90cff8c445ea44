"""An agent on the page: prompts, the name of a session, the button that stops it, the older pane's threads."""

import re

import pytest
from playwright.async_api import expect

from stateroom.emulator.config import SEED_DM
from support.browsing import Shown
from support.local_slack import Json
from support.page_app import MANIFEST, page_app

pytestmark = pytest.mark.service

PROMPTS = [{"title": "Summary", "message": "What was said here?"}]


def manifest(kind: str) -> Json:
    view = {f"{kind}_description": "It helps", "suggested_prompts": PROMPTS}
    return {**MANIFEST, "features": {**MANIFEST["features"], f"{kind}_view": view}, "oauth_config": {}}


async def test_an_agents_prompts_title_and_stop_button(shown: Shown) -> None:
    async with page_app(shown.slack, manifest("agent")) as app:
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        assert (await app.heard("app_home_opened"))["event"]["tab"] == "messages"
        await shown.page.get_by_role("button", name="Summary").click()
        await expect(shown.messages).to_contain_text("What was said here?")
        await expect(shown.page.get_by_role("button", name="Summary")).to_have_count(0)
        root = shown.slack.messages(SEED_DM)[0]["ts"]
        place = {"channel_id": SEED_DM, "thread_ts": root}
        assert shown.slack.call("agents.sessions.setStatus", **place, status="processing")["ok"]
        assert shown.slack.call("agents.sessions.rename", **place, title="The summary")["ok"]
        await shown.message(root).focus()
        await shown.page.keyboard.press("Enter")
        await expect(shown.page.locator("#thread-title")).to_have_text("The summary")
        await shown.shoot("1280-light-agent")
        await shown.page.locator("#thread-composer").get_by_role("button", name="Stop").click()
        stopped = (await app.heard("agent_session_stopped"))["event"]
        assert (stopped["channel"], stopped["thread_ts"]) == (SEED_DM, root)
        assert shown.slack.call("agents.sessions.setStatus", **place, status="active")["ok"]
        await expect(shown.page.get_by_role("button", name="Stop")).to_have_count(0)


async def test_the_older_pane_starts_threads_with_prompts_and_lists_them(shown: Shown) -> None:
    async with page_app(shown.slack, manifest("assistant")) as app:
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await shown.page.get_by_role("button", name="Conversations with this agent").click()
        await shown.page.get_by_role("option", name="New conversation").click()
        started = (await app.heard("assistant_thread_started"))["event"]["assistant_thread"]
        place = {"channel_id": SEED_DM, "thread_ts": started["thread_ts"]}
        asked = [{"title": "Plan", "message": "Plan my day"}]
        assert shown.slack.call("assistant.threads.setSuggestedPrompts", **place, title="Begin", prompts=asked)["ok"]
        assert shown.slack.call("assistant.threads.setTitle", **place, title="My day")["ok"]
        await expect(shown.page.locator("#thread-title")).to_have_text("My day")
        await shown.page.locator("#thread-composer").get_by_role("button", name="Plan").click()
        await expect(shown.replies.last).to_contain_text("Plan my day")
        await shown.page.get_by_role("button", name="Conversations with this agent").click()
        await expect(shown.page.get_by_role("option", name=re.compile("My day"))).to_have_count(1)
