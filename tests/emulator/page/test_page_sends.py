"""Nothing typed is lost: pending, sent, failed, tried again, drafts, a server that goes away."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from stateroom.emulator.config import SEED_CHANNEL, SEED_DM
from support.browsing import UNREACHABLE, Shown, showing
from support.local_slack import local_slack_process
from support.page_files import paste

pytestmark = pytest.mark.service

SEND = "**/_sim/messages"


async def holding(shown: Shown, path: str) -> asyncio.Event:
    """Requests to `path` are on their way until the event is set."""
    go = asyncio.Event()

    async def hold(route: Route) -> None:
        await go.wait()
        await route.continue_()

    await shown.page.route(path, hold)
    return go


async def test_a_send_is_pending_until_the_server_has_it(shown: Shown) -> None:
    go = await holding(shown, SEND)
    await shown.write("slowly")
    pending = shown.page.locator(".msg-outgoing")
    await expect(pending).to_contain_text("Sending…")
    await expect(shown.messages).to_have_count(0)
    go.set()
    await expect(pending).to_have_count(0)
    await expect(shown.messages).to_have_count(1)


async def test_q05_a_failed_send_says_why_and_retry_sends_it(shown: Shown) -> None:
    shown.excused.append(UNREACHABLE)
    await shown.page.route(SEND, lambda route: route.abort())
    await shown.write("do not lose me")
    failed = shown.page.locator(".msg-outgoing.is-failed")
    await expect(failed).to_contain_text("Not sent.")
    await expect(failed).to_contain_text("cannot be reached")
    await expect(failed).to_contain_text("do not lose me")
    await shown.page.unroute(SEND)
    await failed.get_by_role("button", name="Retry").click()
    await expect(shown.messages).to_have_count(1)
    await expect(failed).to_have_count(0)


async def test_retry_after_a_lost_answer_posts_once(shown: Shown) -> None:
    shown.excused.append(UNREACHABLE)

    async def lose_the_answer(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await shown.page.route("**/_sim/stream*", lambda route: route.abort())
    await shown.page.reload()
    await expect(shown.page.locator("#skeleton")).to_have_count(0)
    await shown.page.route("**/_sim/state*", lambda route: route.abort())  # else a fresh look may tell it was sent
    await shown.page.route(SEND, lose_the_answer)
    await shown.write("once")
    failed = shown.page.locator(".msg-outgoing.is-failed")
    await expect(failed).to_be_visible()
    await shown.page.unroute(SEND)
    await failed.get_by_role("button", name="Retry").click()
    await expect(failed).to_have_count(0)
    await shown.page.unroute("**/_sim/state*")
    await expect(shown.messages).to_have_count(1)
    assert [one["text"] for one in shown.slack.messages()] == ["once"]


async def test_a_failed_send_survives_a_reload_and_can_be_taken_back(shown: Shown) -> None:
    shown.excused.append(UNREACHABLE)
    await shown.page.route(SEND, lambda route: route.abort())
    await shown.write("ask @grace")
    await expect(shown.page.locator(".is-failed")).to_be_visible()
    await shown.page.reload()
    failed = shown.page.locator(".msg-outgoing.is-failed")
    await expect(failed).to_contain_text("ask @Grace Hopper")
    await failed.get_by_role("button", name="Edit").click()
    await expect(shown.composer).to_have_value("ask @grace")
    await expect(failed).to_have_count(0)


async def test_what_the_server_refuses_is_told_where_it_was_sent(shown: Shown) -> None:
    shown.excused.append(UNREACHABLE)
    refusal = {"error": "not_in_channel", "detail": "U1 is no member"}
    await shown.page.route(SEND, lambda route: route.fulfill(status=403, json=refusal))
    await shown.write("let me in")
    await expect(shown.page.locator(".is-failed .send-state")).to_contain_text("U1 is no member")


async def test_q05_drafts_survive_a_reload_each_in_its_place(shown: Shown) -> None:
    ts = shown.slack.say("root")
    await shown.composer.fill("for the channel")
    await shown.message(ts).hover()
    await shown.page.get_by_role("button", name="Reply in thread").click()
    await shown.reply_box.fill("for the thread")
    await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
    await expect(shown.composer).to_have_value("")
    await shown.composer.fill("for the bot")
    await shown.page.reload()
    await expect(shown.composer).to_have_value("for the bot")
    await shown.page.locator(f'[data-channel="{SEED_CHANNEL}"]').click()
    await expect(shown.composer).to_have_value("for the channel")
    await shown.message(ts).hover()
    await shown.page.get_by_role("button", name="Reply in thread").click()
    await expect(shown.reply_box).to_have_value("for the thread")


async def test_a_server_that_goes_away_is_told_and_nothing_typed_is_lost(browser: Browser) -> None:
    with local_slack_process() as running:
        async with showing(browser, running.slack) as shown:
            shown.excused.append(UNREACHABLE)
            await shown.composer.fill("still here")
            running.kill()
            lost = shown.page.locator("#page-problems [role=alert]")
            await expect(lost).to_contain_text("connection to the local Slack is lost")
            await expect(lost.get_by_role("button", name="Try now")).to_be_visible()
            await expect(shown.composer).to_have_value("still here")
            await shown.composer.press("Enter")
            await expect(shown.page.locator(".is-failed")).to_contain_text("still here")
            port = int(running.slack.url.rsplit(":", 1)[1])
            with local_slack_process(port=port) as again:
                # Pressed where it is still there: the page tries by itself, too, and may just have been quicker.
                press = "(found) => found.forEach((one) => one.click())"
                await lost.get_by_role("button", name="Try now").evaluate_all(press)
                await expect(lost).to_have_count(0)
                await shown.page.get_by_role("button", name="Retry").click()
                await expect(shown.messages).to_have_count(1)
                assert [one["text"] for one in again.slack.messages()] == ["still here"]


async def test_a_reset_forgets_what_was_said(shown: Shown) -> None:
    shown.slack.say("before")
    await expect(shown.messages).to_have_count(1)
    shown.slack.reset()
    await expect(shown.messages).to_have_count(0)
    shown.slack.say("after")
    await expect(shown.messages).to_have_count(1)


# ---- an Enter that comes too early


async def loading(shown: Shown) -> asyncio.Event:
    """The page anew, as long as its state is on the way; set the event to let it arrive."""
    arrived = await holding(shown, "**/_sim/state")
    await shown.page.goto(shown.slack.url, wait_until="commit")
    return arrived


async def test_q05_what_is_sent_while_the_page_loads_goes_as_soon_as_it_has(shown: Shown) -> None:
    await shown.composer.fill("a draft")
    arrived = await loading(shown)
    await shown.composer.press_sequentially("too early, @ada")
    await shown.composer.press("Enter")
    hint = shown.page.locator("#composer-slot .composer-hint")
    await expect(hint).to_contain_text("Goes as soon as the page has loaded")
    await expect(shown.composer).to_have_value("too early, @ada")
    arrived.set()
    await expect(shown.messages).to_have_count(1)
    await expect(shown.messages).to_contain_text("too early, @Ada Lovelace")
    await expect(shown.composer).to_have_value("a draft")
    assert [one["text"] for one in shown.slack.messages()] == ["too early, <@U00000001>"]


async def test_words_written_while_the_page_loads_stand_in_the_box(shown: Shown) -> None:
    arrived = await loading(shown)
    await shown.composer.press_sequentially("first half,")
    await shown.page.reload(wait_until="commit")
    await expect(shown.composer).to_have_value("first half,")
    await shown.composer.press_sequentially(" second")
    arrived.set()
    await expect(shown.page.locator("#skeleton")).to_have_count(0)
    await expect(shown.composer).to_have_value("first half, second")
    await shown.composer.press("Enter")
    await expect(shown.messages).to_contain_text("first half, second")


async def test_what_is_sent_while_its_file_goes_up_goes_with_the_file(shown: Shown, tmp_path: Path) -> None:
    arrived = await holding(shown, "**/_sim/files?*")
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing is lost\n")
    await shown.page.locator("#composer-slot input[type=file]").set_input_files(notes)
    await shown.write("my notes")
    hint = shown.page.locator("#composer-slot .composer-hint")
    await expect(hint).to_contain_text("Goes as soon as the file is up")
    arrived.set()
    await expect(shown.messages).to_have_count(1)
    await expect(shown.messages).to_contain_text("my notes")
    await expect(shown.messages.locator(".file-card")).to_contain_text("notes.txt")
    await expect(shown.composer).to_have_value("")
    await expect(hint).to_contain_text("Enter to send")


async def test_q04_words_do_not_go_without_the_file_that_failed(shown: Shown) -> None:
    shown.excused.append("Failed to load resource")
    await shown.page.route("**/_sim/files?*", lambda route: route.fulfill(status=413, json={"error": "file_size"}))
    await paste(shown.composer, "shot.png")
    await expect(shown.page.locator("#composer-slot .tray-chip").get_by_role("alert")).to_be_visible()
    await shown.write("look at this")
    hint = shown.page.locator("#composer-slot .composer-hint")
    await expect(hint).to_contain_text("Not sent: a file did not go up")
    await shown.shoot("1280-light-held")
    await expect(shown.composer).to_have_value("look at this")
    await shown.page.get_by_role("button", name="Remove shot.png").click()
    await expect(hint).to_contain_text("Enter to send")
    await shown.composer.press("Enter")
    await expect(shown.messages).to_contain_text("look at this")


async def test_files_wait_where_they_were_attached(shown: Shown) -> None:
    arrived = await holding(shown, "**/_sim/files?*")
    await paste(shown.composer, "shot.png")
    await shown.write("for the channel")
    chips = shown.page.locator("#composer-slot .tray-chip")
    await expect(chips).to_have_count(1)
    await shown.page.locator(f'[data-channel="{SEED_DM}"]').click()
    await expect(chips).to_have_count(0)
    arrived.set()
    await shown.write("for the bot")
    await expect(shown.messages).to_have_count(1)
    await shown.page.locator(f'[data-channel="{SEED_CHANNEL}"]').click()
    await expect(chips).to_contain_text("shot.png")
    hint = shown.page.locator("#composer-slot .composer-hint")
    await expect(hint).to_contain_text("Not sent: you left while its file went up")
    await expect(shown.page.locator("#composer-slot progress")).to_have_count(0)
    await shown.composer.press("Enter")
    await expect(shown.messages.locator(".file-card")).to_have_count(1)
    assert [len(one.get("files", [])) for one in shown.slack.messages(SEED_DM)] == [0]
