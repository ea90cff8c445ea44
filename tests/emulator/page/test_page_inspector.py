"""The inspector: what was asked and what came back, paired; filter, search, copy, both ways; beside the message box."""

import re

import pytest
from playwright.async_api import expect

from stateroom.emulator.config import SEED_CHANNEL
from support import kit_samples as kit
from support.browsing import Bot, Shown
from support.page_app import page_app

pytestmark = pytest.mark.service


async def test_q11_events_calls_and_interactions_are_named_and_paired_with_their_answers(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        app.answers["/deploy"] = {"text": "on its way"}
        ts = shown.slack.say("hello <@UB0000001>")
        await app.heard("app_mention")
        Bot(shown.slack).say("hi", thread_ts=ts)
        await shown.write("/deploy web")
        await expect(shown.messages.last).to_contain_text("on its way")
        await shown.page.get_by_role("button", name="Inspector", exact=True).click()
        rows = shown.page.locator(".dock-row")
        detail = shown.page.locator(".dock-detail")
        await rows.filter(has_text="app_mention").click()
        await expect(detail.locator(".dock-attempts")).to_contain_text("acknowledged, 200")
        await expect(detail.locator("pre")).to_contain_text('"type": "event_callback"')
        await expect(detail.locator("pre")).not_to_contain_text('"token"')
        await rows.filter(has_text="/deploy").click()
        await expect(detail.locator("pre").first).to_contain_text('"text": "web"')
        await expect(detail.locator("pre").last).to_contain_text('"text": "on its way"')
        await rows.filter(has_text="chat.postMessage").click()
        await expect(detail.locator("pre").first).to_contain_text('"thread_ts"')
        await expect(detail.locator("pre").last).to_contain_text('"ok": true')
        await expect(rows.filter(has_text="chat.postMessage").locator(".dock-ms")).to_have_text(re.compile(r"\d m?s"))
        await shown.shoot("1280-light-inspector-detail")


async def test_q11_it_filters_searches_and_copies(shown: Shown) -> None:
    await shown.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    async with page_app(shown.slack) as app:
        ts = shown.slack.say("hello <@UB0000001>")
        await app.heard("app_mention")
        Bot(shown.slack).say("needle", thread_ts=ts)
        shown.slack.call("chat.postMessage", channel="C404", text="x")
        await shown.page.get_by_role("button", name="Inspector", exact=True).click()
        rows = shown.page.locator(".dock-row .dock-name")
        await shown.page.get_by_role("button", name="Failed").click()
        await expect(rows).to_have_text(["chat.postMessage"])
        await shown.page.get_by_role("button", name="Events", exact=True).click()
        await expect(rows).to_have_count(3)
        await shown.page.get_by_role("button", name="All", exact=True).click()
        await shown.page.get_by_role("searchbox", name="Search the traffic").fill("needle")
        await expect(rows).to_have_text(["chat.postMessage"])
        await rows.first.click()
        await shown.page.get_by_role("button", name="Copy: Arguments").click()
        copied = await shown.page.evaluate("() => navigator.clipboard.readText()")
        assert '"text": "needle"' in copied


async def test_q11_one_goes_from_a_message_to_its_traffic_and_back(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        first = shown.slack.say("first <@UB0000001>")
        for number in range(40):
            shown.slack.say(f"line {number}")
        ts = Bot(shown.slack).say("press", blocks=[{"type": "actions", "elements": [kit.button("Go", "go")]}])
        await shown.body(ts).get_by_role("button", name="Go").click()
        await app.heard("block_actions")
        await shown.message(ts).hover()
        await shown.page.get_by_role("button", name="Show its traffic").click()
        names = shown.page.locator(".dock-row .dock-name")
        await expect(names).to_contain_text(["block_actions · go", "chat.postMessage"])
        await expect(shown.page.locator(".dock-only")).to_contain_text("one message")
        await shown.page.get_by_role("button", name="Show all").click()
        await shown.page.locator(".dock-row", has_text="app_mention").click()
        await shown.page.get_by_role("button", name="Go to the message").click()
        await expect(shown.message(first)).to_be_in_viewport()
        await expect(shown.message(first)).to_be_focused()
        assert SEED_CHANNEL in shown.page.url


async def test_q11_it_never_covers_the_message_box(shown: Shown) -> None:
    await shown.page.get_by_role("button", name="Inspector", exact=True).click()
    for width in (820, 1280, 1920):
        await shown.page.set_viewport_size({"width": width, "height": 800})
        dock, box = shown.page.locator("#dock"), shown.page.locator("#composer-slot .composer")
        await expect(dock).to_be_in_viewport()
        over, under = await box.bounding_box(), await dock.bounding_box()
        assert over is not None
        assert under is not None
        assert over["y"] + over["height"] <= under["y"]
    await shown.write("still here")
    await expect(shown.messages).to_have_count(1)
    await shown.page.reload()
    await expect(shown.page.locator("#dock")).to_be_visible()
