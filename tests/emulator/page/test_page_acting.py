"""What people do that an app must answer: commands, presses, shortcuts, modals, Home; and what failing looks like."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, expect

from stateroom.emulator.config import SEED_DM, SEED_USER
from support import kit_samples as kit
from support.bolt_apps import bolt_app
from support.browsing import Bot, Shown, showing
from support.local_slack import UNHURRIED, Json, eventually, local_slack
from support.page_app import PageApp, field_of, modal, page_app

pytestmark = pytest.mark.service

OPEN = [{"type": "actions", "block_id": "b", "elements": [kit.button("Open", "open")]}]


async def opened(shown: Shown, app: PageApp, view: Json) -> None:
    """A modal, opened by a press of a message's button."""
    ts = Bot(shown.slack).say("x", blocks=OPEN)
    await shown.body(ts).get_by_role("button", name="Open").click()
    await app.heard("block_actions")
    app.open_modal(view, "block_actions")
    await expect(shown.page.get_by_role("dialog", name="A form")).to_be_visible()


# ---- commands and shortcuts


async def test_q12_commands_come_from_the_manifest_and_answer_to_one_person(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        app.answers["/deploy"] = {"text": "on its way"}
        await shown.composer.press_sequentially("/de")
        offer = shown.page.locator("#composer-slot .complete li")
        await expect(offer).to_have_text(["/deploy<what> · Sends it out · stateroom"])
        await shown.composer.press("Tab")
        await shown.composer.press_sequentially("web")
        await shown.composer.press("Enter")
        await expect(shown.messages).to_contain_text("Only visible to you")
        await expect(shown.messages).to_contain_text("on its way")
        await expect(shown.composer).to_have_value("")
        said = await app.heard("/deploy")
        assert (said["text"], said["command"]) == ("web", "/deploy")
        await shown.page.get_by_label("Acting as").select_option("U00000002")
        await expect(shown.messages.filter(visible=True)).to_have_count(0)


async def test_q04_an_unknown_command_is_told_with_the_next_step(shown: Shown) -> None:
    await shown.write("/nope now")
    alert = shown.page.locator(".composer-problems [role=alert]")
    await expect(alert).to_contain_text("No app here knows that command. ")
    await expect(alert).to_contain_text("features.slash_commands")
    await expect(shown.composer).to_have_value("/nope now")
    await expect(shown.messages).to_contain_text("Slackbot")


async def test_q04_what_an_app_does_not_answer_is_told_where_it_was_done(browser: Browser) -> None:
    with local_slack(**UNHURRIED) as slack:
        async with showing(browser, slack) as shown:
            async with page_app(slack) as app:
                ts = Bot(slack).say("x", blocks=OPEN)
                note, button = shown.message(ts).get_by_role("alert"), shown.body(ts).get_by_role("button", name="Open")
                slack.fault("drop_ack", event="block_actions")
                await button.click()
                await expect(note).to_contain_text("did not acknowledge it within 3 seconds")
                app.answers["block_actions"] = 500
                await button.click()
                await expect(note).to_contain_text("HTTP 500")
                await shown.shoot("1280-light-failed-press")
                app.answers.clear()
                await note.get_by_role("button", name="Try again").click()
                await expect(note).to_have_count(0)
            await button.click()
            await expect(note).to_contain_text("The app is offline.")
            await expect(note).to_contain_text("start it")
            await shown.write("/deploy x")
            await expect(shown.page.locator("#composer-slot .composer-problems")).to_contain_text("The app is offline.")


async def test_a_button_is_busy_until_the_app_has_answered(browser: Browser) -> None:
    with local_slack(**UNHURRIED) as slack:
        async with page_app(slack) as app, showing(browser, slack) as shown:
            held = app.answers["block_actions"] = asyncio.Event()
            ts = Bot(slack).say("x", blocks=OPEN)
            button = shown.body(ts).get_by_role("button", name="Open")
            await button.click()
            await expect(button).to_have_attribute("aria-busy", "true")
            await button.click(force=True)
            app.answers["block_actions"] = 500
            held.set()
            await expect(shown.message(ts).get_by_role("alert")).to_be_visible()
            await expect(button).not_to_have_attribute("aria-busy", "true")
            assert len(app.of("block_actions")) == 1


async def test_q12_shortcuts_are_in_the_message_box_and_on_each_message(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        ts = shown.slack.say("keep this")
        await shown.page.get_by_role("button", name="Shortcuts", exact=True).click()
        await shown.page.get_by_role("option", name="Start a form").click()
        assert (await app.heard("shortcut"))["callback_id"] == "start"
        await shown.message(ts).hover()
        await shown.page.get_by_role("button", name="Message shortcuts").click()
        await shown.page.get_by_role("option", name="Take a note").click()
        noted = await app.heard("message_action")
        assert (noted["callback_id"], noted["message"]["ts"]) == ("note", ts)


# ---- modals


async def test_q13_a_form_has_labels_marks_initial_values_and_sends_what_was_filled_in(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        await opened(shown, app, modal(kit.inputs()))
        form = shown.page.get_by_role("dialog", name="A form")
        await expect(form.locator(".input-required")).to_have_count(1)
        await expect(form.locator(".input-hint")).to_have_text("At least two letters")
        await expect(form.locator("textarea").first).to_have_value("two\nlines")
        await expect(form.locator("button.select").first).to_have_text("Pear")
        await expect(form.locator(".select-chip")).to_have_text("Grace Hopper")
        await shown.shoot("1280-light-modal")
        first = form.get_by_label("Plain text input 0")
        await expect(first).to_be_focused()
        await first.fill("ok")
        await form.get_by_label("Rich text input 5").fill("*loud* and\n• one\n• two")
        await form.get_by_role("button", name="Send").click()
        await expect(form).to_have_count(0)
        values = (await app.heard("view_submission"))["view"]["state"]["values"]
        assert values["in0"]["a0"]["value"] == "ok"
        assert values["in1"]["a1"]["value"] == "two\nlines"
        assert values["in6"]["a6"]["selected_option"]["value"] == "pear"
        assert values["in7"]["a7"]["selected_users"] == ["U00000002"]
        assert values["in9"]["a9"]["selected_option"]["value"] == "apple"
        assert values["in11"]["a11"]["selected_time"] == "09:30"
        kinds = [one["type"] for one in values["in5"]["a5"]["rich_text_value"]["elements"]]
        assert kinds == ["rich_text_section", "rich_text_list", "rich_text_list"]
        await expect(shown.page.get_by_role("button", name="Open", exact=True)).to_be_focused()


async def test_q13_errors_stand_under_their_fields(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        await opened(shown, app, modal([field_of("name"), field_of("mail", type="email_text_input", optional=True)]))
        form = shown.page.get_by_role("dialog", name="A form")
        wrong = form.locator(".has-error .input-error")
        await form.get_by_role("button", name="Send").click()
        await expect(wrong).to_have_text("Please complete this required field.")
        await expect(form.get_by_label("name")).to_be_focused()
        await form.get_by_label("name").fill("Bob")
        await form.get_by_label("mail").fill("no address")
        await form.get_by_role("button", name="Send").click()
        await expect(wrong).to_contain_text("@")
        await form.get_by_label("mail").fill("bob@example.com")
        app.answers["view_submission"] = {"response_action": "errors", "errors": {"name": "That name is taken"}}
        await form.get_by_role("button", name="Send").click()
        await expect(wrong).to_have_text("That name is taken")
        await expect(form.get_by_label("name")).to_have_attribute("aria-invalid", "true")
        await expect(form.get_by_label("name")).to_have_value("Bob")
        app.answers["view_submission"] = 500
        await form.get_by_role("button", name="Send").click()
        await expect(form.get_by_role("alert").filter(visible=True)).to_contain_text("The app answered with an error.")
        await expect(form.get_by_label("name")).to_have_value("Bob")


async def test_q13_modals_are_pushed_updated_and_cleared(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        await opened(shown, app, modal([field_of("one")], notify_on_close=True))
        title = shown.page.locator("dialog.modal h2")
        await shown.page.locator("dialog.modal input").fill("kept below")

        async def send(answer: Json, name: str) -> None:
            app.answers["view_submission"] = answer
            await shown.page.locator("dialog.modal [type=submit]").click()
            await expect(title).to_have_text(name)

        named = [modal([field_of("two", optional=True)], title=kit.plain(name), notify_on_close=True) for name in "BC"]
        await send({"response_action": "push", "view": named[0]}, "B")
        await send({"response_action": "push", "view": named[1]}, "C")
        changed = modal([field_of("three", optional=True)], title=kit.plain("Changed"), notify_on_close=True)
        await send({"response_action": "update", "view": changed}, "Changed")
        await shown.page.keyboard.press("Escape")
        await expect(title).to_have_text("B")
        assert (await app.heard("view_closed"))["is_cleared"] is False
        await shown.page.locator("dialog.modal").get_by_role("button", name="Cancel").click()
        await expect(title).to_have_text("A form")
        await expect(shown.page.locator("dialog.modal input")).to_have_value("kept below")
        app.answers["view_submission"] = {"response_action": "push", "view": named[0]}
        await shown.page.locator("dialog.modal [type=submit]").click()
        await expect(title).to_have_text("B")
        await shown.page.locator("dialog.modal").get_by_role("button", name="Close").click()
        await expect(title).to_have_count(0)
        assert (await app.heard("view_closed"))["is_cleared"] is True


async def test_q13_a_modal_keeps_the_focus_and_what_was_typed_over_a_reload(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        element = {"dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed"]}}
        await opened(shown, app, modal([{**field_of("find", **element), "dispatch_action": True}]))
        for _ in range(6):
            await shown.page.keyboard.press("Tab")
            inside = "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
            assert await shown.page.evaluate(inside)
        await shown.page.locator("dialog.modal input").fill("ship")
        await shown.page.locator("dialog.modal input").press("Enter")
        pressed = await eventually(lambda: [one["actions"][0] for one in app.of("block_actions")][1:])
        assert (pressed[-1]["action_id"], pressed[-1]["value"]) == ("it", "ship")
        await shown.page.reload()
        await expect(shown.page.locator("dialog.modal input")).to_have_value("ship")


async def test_a_real_bolt_app_is_pressed_filled_in_and_answers(shown: Shown) -> None:
    with bolt_app(shown.slack, "async-http") as heard:
        await shown.write("@stateroom open")
        await shown.page.get_by_role("button", name="open", exact=True).click()
        form = shown.page.get_by_role("dialog", name="form")
        await form.get_by_role("button", name="push").click()
        second = shown.page.get_by_role("dialog", name="second")
        await expect(second.get_by_label("detail")).to_have_value("start")
        await shown.page.keyboard.press("Escape")
        await form.get_by_role("button", name=re.compile("^City")).click()
        await shown.page.keyboard.type("Ber")
        await shown.page.get_by_role("option", name="Bern").click()
        await form.get_by_label("name").fill("Ada")
        await form.get_by_role("button", name="Send").click()
        await expect(shown.replies.last).to_contain_text("thanks Ada")
        assert heard.of("view_submission")[-1]["view"]["state"]["values"]["city"]["it"]["selected_option"] is not None


# ---- App Home


async def test_q13_app_home_is_published_pressed_and_says_when_there_is_none(browser: Browser) -> None:
    with local_slack(**UNHURRIED) as slack, bolt_app(slack, "async-http"):
        async with showing(browser, slack) as shown:
            await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
            await shown.page.get_by_role("tab", name="Home").click()
            home = shown.page.get_by_role("tabpanel", name="Home")
            await home.get_by_role("button", name="again", exact=True).click()
            await expect(home).to_contain_text("pressed 1")
            await shown.shoot("1280-light-home")
            await shown.page.get_by_role("tab", name="Home").press("ArrowRight")
            await expect(shown.page.get_by_role("tab", name="Messages")).to_be_focused()
            await expect(shown.composer).to_be_visible()


async def test_a_home_is_not_drawn_anew_under_a_persons_hand(shown: Shown) -> None:
    async with page_app(shown.slack) as app:
        view = {"type": "home", "blocks": OPEN}
        assert shown.slack.call("views.publish", user_id=SEED_USER, view=view)["ok"]
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await shown.page.get_by_role("tab", name="Home").click()
        button = shown.page.get_by_role("tabpanel", name="Home").get_by_role("button", name="Open")
        await button.hover()
        await shown.page.mouse.down()
        shown.slack.register(app.url, app_id="A00000002", name="another")
        await eventually(lambda: any(one["online"] for one in shown.slack.state()["apps"][1:]))
        shown.slack.say("the stream has come this far", SEED_DM)
        await expect(shown.messages).to_have_count(1)
        await shown.page.mouse.up()
        assert (await app.heard("block_actions"))["actions"][0]["action_id"] == "open"


async def test_q13_a_home_that_is_away_or_empty_says_so(shown: Shown) -> None:
    async with page_app(shown.slack):
        await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
        await shown.page.get_by_role("tab", name="Home").click()
        home = shown.page.get_by_role("tabpanel", name="Home")
        await expect(home).to_contain_text("has not published its Home")
        await shown.shoot("1280-light-home-empty")
    await home.get_by_role("button", name="Open it again").click()
    await expect(home.get_by_role("alert")).to_contain_text("The app is offline.")
