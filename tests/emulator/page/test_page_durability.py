"""The Durability panel and what is said where something goes wrong."""

import asyncio
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from stateroom.emulator.config import SEED_BOT_USER
from support.browsing import Bot, Shown, Turns, showing, turn, turns_of
from support.local_slack import PATIENCE, UNHURRIED, EventApp, LocalSlack, local_slack

pytestmark = pytest.mark.service

ASK = f"<@{SEED_BOT_USER}> hello"
CLOSED_PORT = "http://127.0.0.1:9/slack/events"


async def test_the_strip_reads_exactly_as_promised(shown: Shown) -> None:
    strip = shown.page.locator("#strip")
    await expect(strip).to_have_text("acknowledged 0 · answered 0 · lost 0 · doubled 0")
    async with EventApp() as app:
        shown.slack.register(app.url)
        ts = shown.slack.say(ASK)
        await expect(strip).to_have_text("acknowledged 1 · answered 0 · lost 0 · doubled 0")
        Bot(shown.slack).say("hi", thread_ts=ts)
        await expect(strip).to_have_text("acknowledged 1 · answered 1 · lost 0 · doubled 0")
        Bot(shown.slack).say("hi again", thread_ts=ts)
        await expect(strip).to_have_text("acknowledged 1 · answered 1 · lost 0 · doubled 1")
        await expect(strip.locator(".is-bad")).to_have_text("doubled 1")
        assert await strip.evaluate("(el) => el.textContent") == "acknowledged 1 · answered 1 · lost 0 · doubled 1"


async def test_deliver_twice_sends_the_same_event_again(shown: Shown) -> None:
    async with EventApp() as app:
        shown.slack.register(app.url)
        shown.slack.say(ASK)
        await expect(shown.page.locator(".fold-note").last).to_have_text("2 so far")  # both are taken
        before = [one.envelope["event_id"] for one in app.received]
        await shown.page.get_by_role("button", name="Deliver twice").click()
        await expect(shown.page.locator(".panel-problems")).to_contain_text("again, with the same ids")
        await expect(shown.page.locator(".fold-note").last).to_have_text("4 so far")
        after = [one.envelope["event_id"] for one in app.received]
        assert sorted(after) == sorted(before * 2)
        await expect(shown.page.locator("#strip")).to_have_text("acknowledged 1 · answered 0 · lost 0 · doubled 0")


async def test_deliver_twice_says_what_to_do_when_there_is_nothing_yet(shown: Shown) -> None:
    shown.excused.append("Failed to load resource")
    await shown.page.get_by_role("button", name="Deliver twice").click()
    await expect(shown.page.locator(".panel-problems [role=alert]")).to_contain_text("first, then press again")


async def test_the_crash_button_explains_itself_where_there_is_no_process(shown: Shown) -> None:
    button = shown.page.get_by_role("button", name="Crash the bot (kill -9)")
    await expect(button).to_have_attribute("aria-disabled", "true")
    await expect(shown.page.locator("#crash-note")).to_contain_text("Works under stateroom dev")
    await button.focus()
    await button.press("Enter")
    await expect(shown.page.locator(".panel-problems")).to_contain_text("no bot process to kill here")


async def test_the_crash_button_kills_the_bot_and_the_panel_follows_its_return(
    browser: Browser, tmp_path: Path
) -> None:
    pid_file = tmp_path / "bot.pid"

    def start() -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        pid_file.write_text(str(child.pid))
        return child

    first = start()
    second = None
    try:
        with local_slack(bot_pid_file=pid_file) as slack:
            async with EventApp() as app, showing(browser, slack) as shown:
                slack.register(app.url)
                card = shown.page.locator(".bot-card")
                await expect(card).to_contain_text(f"pid {first.pid}")
                await expect(card).to_contain_text("online")
                await shown.page.get_by_role("button", name="Crash the bot (kill -9)").click()
                assert await asyncio.to_thread(first.wait, PATIENCE) == -9
                await expect(shown.page.locator(".panel-problems")).to_contain_text(f"Killed process {first.pid}")
                await expect(card).to_contain_text("restarting")
                second = start()
                await expect(card).to_contain_text(f"pid {second.pid} · 1 restart")
                await expect(card).to_contain_text("online")
                await expect(shown.page.locator(".panel-problems")).to_be_empty()
                await shown.page.reload()
                await expect(card).to_contain_text(f"pid {second.pid} · 1 restart")
    finally:
        for child in (first, second):
            if child is not None:
                child.kill()
                child.wait()


async def test_turns_are_shown_as_they_happen(browser: Browser) -> None:
    queue: Turns = deque()
    with local_slack(watch=turns_of(queue)) as slack:
        async with showing(browser, slack) as shown:
            await expect(shown.page.locator(".panel .empty-note").first).to_contain_text("No turn yet")
            ts = slack.say(ASK)
            now = time.time()
            state = shown.page.locator(".turn-word")
            for number, name in enumerate(["received", "claimed", "answering", "posted", "done"]):
                queue.append(turn(ts, name, now + number * 0.5))
                await expect(state).to_have_text(name)
                past = await shown.page.locator(".track-step.is-past").count()
                assert past == (5 if name == "done" else number)
            await expect(shown.page.locator(".turn-took")).to_have_text("2.0 s")
            await expect(shown.page.locator(".turn-words")).to_have_text("@stateroom hello")
            other = slack.say(ASK)
            queue.append(turn(other, "received", now))
            queue.append(turn(other, "failed", now + 1, attempts=3))
            await expect(shown.page.locator(".turn-failed")).to_contain_text("attempt 3")
            await expect(shown.page.locator(".turn-failed .is-bad")).to_have_count(1)


async def test_a_fault_is_set_seen_and_cleared(shown: Shown) -> None:
    await shown.page.locator("summary", has_text="Faults").click()
    await shown.page.get_by_label("Fault", exact=True).select_option("throttle")
    await shown.page.get_by_label("Of", exact=True).select_option("method:chat.postMessage")
    await shown.page.get_by_label("Times").fill("2")
    await shown.page.get_by_label("Retry after, s").fill("7")
    await shown.page.get_by_role("button", name="Set the fault").click()
    row = shown.page.locator(".fault-list li")
    await expect(row).to_contain_text("throttle chat.postMessage")
    await expect(row).to_contain_text("2 left")
    status, _, headers = shown.slack.request(
        "POST", "/api/chat.postMessage", {"channel": "C00000001", "text": "x"}, {"Authorization": "Bearer xoxb-local-1"}
    )
    assert (status, headers["retry-after"]) == (429, "7")
    await expect(row).to_contain_text("1 left")
    await row.get_by_role("button", name="Clear").click()
    await expect(row).to_have_count(0)
    assert shown.slack.faults() == []


async def test_every_kind_of_fault_can_be_set(shown: Shown) -> None:
    await shown.page.locator("summary", has_text="Faults").click()
    kinds = ["throttle", "error", "timeout", "delay", "drop_ack", "duplicate"]
    for number, kind in enumerate(kinds):
        await shown.page.get_by_label("Fault", exact=True).select_option(kind)
        await shown.page.get_by_role("button", name="Set the fault").click()
        await expect(shown.page.locator(".fault-list li")).to_have_count(number + 1)
    assert [one["kind"] for one in shown.slack.faults()] == kinds
    await shown.page.get_by_role("button", name="Clear all").click()
    await expect(shown.page.locator(".fault-list li")).to_have_count(0)


async def test_traffic_is_counted_and_the_inspector_lists_it(shown: Shown) -> None:
    async with EventApp() as app:
        app.answers = [500, 200]
        shown.slack.register(app.url)
        ts = shown.slack.say("in #general")
        await expect(shown.page.locator(".fold-note").last).to_have_text("2 so far")
        Bot(shown.slack).say("hi", thread_ts=ts)
        await expect(shown.page.locator(".fold-note").last).to_have_text("4 so far")
        await shown.page.get_by_role("button", name="Open the inspector").click()
        rows = shown.page.locator(".dock-row")
        await expect(rows.filter(has_text="chat.postMessage").filter(has_text="ok")).to_have_count(1)
        await expect(rows.filter(has_text="#2").filter(has_text="200")).to_have_count(1)
        assert await rows.first.locator(".dock-ms").inner_text() != ""


async def test_q04_an_event_that_nobody_acknowledges_is_told_under_its_message(browser: Browser) -> None:
    with local_slack(time_scale=0.005, **UNHURRIED) as slack:
        async with EventApp() as app, showing(browser, slack) as shown:
            released = asyncio.Event()
            app.answers = [200, 200, released]
            slack.fault("drop_ack", event="message", count=2)
            slack.register(app.url)
            ts = slack.say("hello?")
            note = shown.message(ts).locator(".problem")
            await expect(note).to_contain_text("did not acknowledge this within 3 seconds")
            await expect(note).to_contain_text("sent again")
            released.set()
            # The third attempt is taken: the trouble is over, and so is the note.
            await expect(note).to_have_count(0)
            assert len(app.received) == 3


async def test_q04_a_bot_that_is_away_is_told_above_the_message_box(shown: Shown) -> None:
    page = shown.page.locator("#page-problems")
    await expect(page).to_contain_text("No bot listens to this workspace yet.")
    shown.slack.register(CLOSED_PORT)
    await expect(page).to_contain_text("stateroom is offline.")
    await expect(page).to_contain_text("messages are kept")
    await expect(shown.page.locator(".bot-card")).to_contain_text("offline")
    ts = shown.slack.say(ASK)
    await expect(shown.message(ts).locator(".problem")).to_contain_text("nothing listens at its address")
    async with EventApp() as app:
        shown.slack.register(app.url)
        await expect(page).to_be_empty()
        await expect(shown.page.locator(".bot-card")).to_contain_text("online")


async def test_an_answer_that_stopped_halfway_says_so_while_the_bot_is_away(shown: Shown) -> None:
    async with EventApp() as app:
        shown.slack.register(app.url)
        ts = shown.slack.say(ASK)
        Bot(shown.slack).begin(ts, "Half an")
        await shown.message(ts).locator(".reply-bar").click()
        await expect(shown.replies.locator(".caret")).to_have_count(1)
    shown.slack.register(CLOSED_PORT)
    await expect(shown.replies.locator(".msg-stalled")).to_contain_text("completes it after its restart")


async def test_an_action_that_fails_is_told_where_it_was_made(shown: Shown, slack: LocalSlack) -> None:
    shown.excused.append("Failed to load resource")
    ts = slack.say("mine")
    await expect(shown.message(ts)).to_be_visible()
    broken = {"error": "state_unavailable", "detail": "the disk is full"}
    await shown.page.route("**/_sim/actions", lambda route: route.fulfill(status=500, json=broken))
    await shown.composer.press("ArrowUp")
    editor = shown.message(ts).locator("textarea")
    await editor.fill("changed")
    await editor.press("Enter")
    alert = shown.message(ts).get_by_role("alert")
    await expect(alert).to_contain_text("The edit did not work: the disk is full")
    await shown.page.unroute("**/_sim/actions")
    await alert.get_by_role("button", name="Try again").click()
    await expect(alert).to_have_count(0)
    await expect(shown.body(ts)).to_contain_text("changed")
