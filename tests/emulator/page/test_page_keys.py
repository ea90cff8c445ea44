"""Everything without a mouse: focus moves in, comes back, and is always to be seen."""

import re

import pytest
from playwright.async_api import Browser, expect

from stateroom.emulator.config import SEED_DM, SEED_OTHER_USER
from support.browsing import Bot, Shown, showing
from support.local_slack import LocalSlack

pytestmark = pytest.mark.service

NARROW = {"viewport": {"width": 390, "height": 844}}


async def focused(shown: Shown) -> str:
    return str(
        await shown.page.evaluate(
            "() => document.activeElement.getAttribute('aria-label') || document.activeElement.tagName"
        )
    )


async def test_q06_ctrl_k_goes_to_another_conversation_and_esc_comes_back(shown: Shown) -> None:
    await shown.composer.focus()
    await shown.page.keyboard.press("Control+k")
    box = shown.page.get_by_role("combobox", name="Jump to a conversation")
    await expect(box).to_be_focused()
    await shown.page.keyboard.press("Escape")
    await expect(box).to_have_count(0)
    await expect(shown.composer).to_be_focused()
    await shown.page.keyboard.press("Control+k")
    await box.press_sequentially("stat")
    await shown.page.keyboard.press("Enter")
    await expect(shown.page.get_by_role("heading", level=1)).to_have_text("stateroom")
    await expect(shown.composer).to_be_focused()
    assert SEED_DM in shown.page.url


async def test_q07_a_dialog_keeps_the_focus_inside(shown: Shown) -> None:
    ts = shown.slack.say("mine")
    await shown.message(ts).focus()
    await shown.page.keyboard.press("Delete")
    dialog = shown.page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Delete")).to_be_focused()
    for _ in range(6):
        await shown.page.keyboard.press("Tab")
        inside = "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert await shown.page.evaluate(inside)
    await shown.page.keyboard.press("Escape")
    await expect(shown.message(ts)).to_be_focused()
    assert len(shown.slack.messages()) == 1


async def test_the_list_is_walked_with_arrows_and_its_tools_with_tab(shown: Shown) -> None:
    first = shown.slack.say("first")
    second = shown.slack.say("second", user=SEED_OTHER_USER)
    await expect(shown.messages).to_have_count(2)
    await shown.composer.focus()
    await shown.page.keyboard.press("F6")
    await shown.page.keyboard.press("Shift+F6")
    await shown.page.keyboard.press("Shift+F6")
    await expect(shown.message(second)).to_be_focused()
    await shown.page.keyboard.press("ArrowUp")
    await expect(shown.message(first)).to_be_focused()
    labels = []
    for _ in range(8):
        await shown.page.keyboard.press("Tab")
        labels.append(await focused(shown))
    assert "Reply in thread" in labels
    assert "Edit message" in labels
    assert "Delete message" in labels
    await shown.message(first).focus()
    await shown.page.keyboard.press("ArrowDown")
    await shown.page.keyboard.press("ArrowDown")
    await expect(shown.composer).to_be_focused()


async def test_a_thread_opens_from_the_keyboard_and_gives_the_focus_back(shown: Shown) -> None:
    ts = shown.slack.say("root")
    await shown.message(ts).focus()
    await shown.page.keyboard.press("Enter")
    await expect(shown.reply_box).to_be_focused()
    await shown.page.keyboard.press("Escape")
    await expect(shown.page.locator("#thread")).to_be_hidden()
    await expect(shown.message(ts)).to_be_focused()
    await shown.page.keyboard.press("e")
    await expect(shown.message(ts).locator("textarea")).to_be_focused()


async def test_q06_every_control_is_reached_by_tab_and_shows_it(shown: Shown, bot: Bot) -> None:
    shown.slack.say("mine")
    await expect(shown.messages).to_have_count(1)  # nothing is drawn anew while Tab goes round
    await shown.page.locator(".skip-link").focus()
    wanted = {
        "Inspector",
        "Durability panel",
        "Deliver twice",
        "Crash the bot (kill -9)",
        "Faults",
        "Open the inspector",
    }
    wanted |= {"Jump to…", "Local workspace", "Write to somebody", "Apps", "Members", "Attach files", "Shortcuts"}
    seen, ringless = set(), []
    look = """() => {
        const el = document.activeElement;
        const style = getComputedStyle(el);
        const box = el.matches("textarea") ? getComputedStyle(el.closest(".composer")).boxShadow : "none";
        if (el === document.body) return ["BODY", true];
        const name = el.getAttribute("aria-label") || el.innerText || el.tagName;
        return [name.trim(), style.outlineStyle !== "none" || box !== "none"];
    }"""
    for _ in range(44):
        name, ring = await shown.page.evaluate(look)
        seen |= {one for one in wanted if name.startswith(one)}
        if not ring:
            ringless.append(name)
        await shown.page.keyboard.press("Tab")
    assert seen == wanted
    assert ringless == []


async def test_on_a_phone_the_sidebar_is_a_drawer_that_takes_and_gives_back_the_focus(
    browser: Browser, slack: LocalSlack
) -> None:
    async with showing(browser, slack, **NARROW) as shown:
        opener = shown.page.get_by_role("button", name="Channels", exact=True)
        await expect(shown.page.locator("#sidebar")).not_to_be_in_viewport()
        await opener.click()
        await expect(shown.page.locator("#sidebar")).to_be_in_viewport()
        assert await shown.page.evaluate("() => document.querySelector('#main').inert")
        await shown.page.keyboard.press("Escape")
        assert not await shown.page.evaluate("() => document.querySelector('#main').inert")
        await expect(opener).to_be_focused()
        await opener.click()
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await expect(shown.page.get_by_role("heading", level=1)).to_have_text("stateroom")
        assert not await shown.page.evaluate("() => document.querySelector('#main').inert")


async def test_on_a_phone_thread_and_panel_are_drawers(browser: Browser, slack: LocalSlack) -> None:
    ts = slack.say("root")
    Bot(slack).say("answer", thread_ts=ts)
    async with showing(browser, slack, **NARROW) as shown:
        await shown.message(ts).locator(".reply-bar").click()
        await expect(shown.page.locator("#thread")).to_have_class(re.compile("is-drawer"))
        await expect(shown.replies).to_have_count(2)
        await shown.page.get_by_role("button", name="Close the thread").click()
        await expect(shown.message(ts).locator(".reply-bar")).to_be_focused()
        await shown.page.get_by_role("button", name="Durability panel").click()
        await expect(shown.page.get_by_role("button", name="Deliver twice")).to_be_in_viewport()
        # A press beside the drawer closes it as well.
        await shown.page.mouse.click(8, 420)
        await expect(shown.page.get_by_role("button", name="Durability panel")).to_be_focused()


async def test_a_panel_makes_room_when_the_window_gets_narrow_and_comes_back(shown: Shown) -> None:
    panel = shown.page.get_by_role("complementary", name="Durability")
    await expect(panel).to_be_visible()
    await shown.composer.fill("in the middle of a word")
    await shown.page.set_viewport_size({"width": 390, "height": 800})
    await expect(shown.page.locator("#main")).not_to_have_attribute("inert", re.compile(""))
    await expect(shown.composer).to_be_focused()
    await shown.composer.press("Enter")
    await expect(shown.messages).to_contain_text("in the middle of a word")
    await shown.page.set_viewport_size({"width": 1280, "height": 800})
    await expect(panel).to_be_visible()
    await expect(shown.composer).to_be_focused()


async def test_the_theme_switch_goes_round_and_is_remembered(shown: Shown) -> None:
    ground = "() => getComputedStyle(document.querySelector('#main')).backgroundColor"
    light = await shown.page.evaluate(ground)
    button = shown.page.get_by_role("button", name=re.compile("^Theme"))
    await button.click()
    await button.click()
    dark = await shown.page.evaluate(ground)
    assert dark != light
    await shown.page.reload()
    assert await shown.page.evaluate(ground) == dark
    await button.click()
    assert await shown.page.evaluate(ground) == light
