"""An agent on the page: prompts, the name of a session, the button that stops it, the older pane's threads."""

import re

import pytest
from playwright.async_api import expect

from stateroom.emulator.config import SEED_CHANNEL, SEED_DM
from support.browsing import Shown
from support.local_slack import Json, eventually
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


async def test_the_older_pane_stays_beside_a_channel_and_its_app_is_told_where_its_person_is(shown: Shown) -> None:
    async with page_app(shown.slack, manifest("assistant")) as app:
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await shown.page.get_by_role("button", name="Conversations with this agent").click()
        await shown.page.get_by_role("option", name="New conversation").click()
        thread_ts = (await app.heard("assistant_thread_started"))["event"]["assistant_thread"]["thread_ts"]
        await expect(shown.reply_box).to_be_focused()
        await shown.page.locator(f'[data-channel="{SEED_CHANNEL}"]').click()
        told = (await app.heard("assistant_thread_context_changed"))["event"]["assistant_thread"]
        assert (told["channel_id"], told["thread_ts"]) == (SEED_DM, thread_ts)
        assert told["context"]["channel_id"] == SEED_CHANNEL
        await expect(shown.page.locator("#channel-title")).to_have_text("general")
        await shown.write("what is new here?", shown.reply_box)
        await expect(shown.replies.last).to_contain_text("what is new here?")
        assert [one["thread_ts"] for one in shown.slack.messages(SEED_DM)[-1:]] == [thread_ts]
        await shown.shoot("1280-light-pane")
        await shown.page.reload()
        await expect(shown.replies.last).to_contain_text("what is new here?")
        await expect(shown.page.locator("#channel-title")).to_have_text("general")
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await eventually(lambda: len(app.of("assistant_thread_context_changed")) == 2)
        assert (await app.heard("assistant_thread_context_changed"))["event"]["assistant_thread"]["context"] == {}


async def test_an_agent_is_told_where_its_person_is_and_other_threads_close(shown: Shown) -> None:
    async with page_app(shown.slack, manifest("agent")) as app:
        root = shown.slack.say("help me", SEED_DM)
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await shown.message(root).focus()
        await shown.page.keyboard.press("Enter")
        await shown.page.locator(f'[data-channel="{SEED_CHANNEL}"]').click()
        event = (await app.heard("app_context_changed"))["event"]
        assert event["context"]["entities"][0]["value"] == SEED_CHANNEL
        asked = shown.slack.say("of people")
        await shown.message(asked).focus()
        await shown.page.keyboard.press("Enter")
        await expect(shown.page.locator("#thread")).to_contain_text("of people")
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await expect(shown.page.locator("#thread")).not_to_have_class(re.compile("is-open"))
        assert len(app.of("app_context_changed")) == 1


async def test_an_agent_that_is_away_does_not_know_where_its_person_is_and_that_is_said(shown: Shown) -> None:
    async with page_app(shown.slack, manifest("agent")):
        root = shown.slack.say("help me", SEED_DM)
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await shown.message(root).focus()
        await shown.page.keyboard.press("Enter")
    await shown.page.locator(f'[data-channel="{SEED_CHANNEL}"]').click()
    alert = shown.page.locator("#thread-composer").get_by_role("alert")
    await expect(alert).to_contain_text("The agent does not know where you are: The app is offline.")
