"""The page at the sizes and in the themes that people use; the pictures are kept for looking at."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
from browsing import Bot, Shown, showing
from playwright.async_api import Browser, expect

from stateroom.emulator.config import SEED_APP, SEED_CHANNEL, SEED_OTHER_USER
from support.local_slack import EventApp, LocalSlack, local_slack

ANSWER = """**Nothing is lost.** The event is durable *before* Slack hears `200`:

1. the inbox row is written
2. Slack gets its answer
3. a worker claims the turn

```python
async with store.team("T00000001") as team:
    await team.inbox.accept(event)
```

> A redelivery is the same row.

See [the design](https://example.com/design) :ship:"""

SIZES = {"360": (360, 740), "390": (390, 844), "1280": (1280, 800), "1920": (1920, 1080)}


def turns_of(queue: "deque[dict[str, Any]]") -> Any:
    async def watch() -> AsyncIterator[dict[str, Any]]:
        while True:
            while queue:
                yield queue.popleft()
            await asyncio.sleep(0.02)

    return watch


def turn(ts: str, state: str, at: float, attempts: int = 1) -> dict[str, Any]:
    place = {"channel": SEED_CHANNEL, "thread_ts": ts, "ts": ts}
    return {"id": f"{SEED_CHANNEL}:{ts}", **place, "state": state, "attempts": attempts, "at": at}


async def furnish(slack: LocalSlack, queue: "deque[dict[str, Any]]") -> str:
    """A channel in the middle of a working day; returns the thread that is being answered."""
    bot = Bot(slack)
    slack.say("Morning! Did the bot survive the deploy last night?", user=SEED_OTHER_USER)
    slack.say("It did. I killed it twice while it was answering.")
    slack.say("Both answers came back *complete*, see `stateroom turns list`")
    noted = slack.say("<@UB0000001> what happens to a message when you crash?", user=SEED_OTHER_USER)
    slack.act("react", noted, user="U00000001", name="eyes")
    done = bot.begin(noted)
    bot.end(done, ANSWER)
    asked = slack.say("<@UB0000001> and when Slack delivers it twice?")
    for number, state in enumerate(["received", "claimed", "answering", "posted", "done"]):
        queue.append(turn(noted, state, float(noted) + number * 0.3))
    for number, state in enumerate(["received", "claimed", "answering"]):
        queue.append(turn(asked, state, float(asked) + number * 0.2, attempts=2))
    live = bot.begin(asked, "Then the second delivery finds the same inbox row. ")
    bot.grow(live, "It is acknowledged and **nothing else** happens, because dedup here is a lease that")
    slack.fault("throttle", method="chat.appendStream", retry_after=2, count=3)
    return asked


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_the_page_fits_and_is_kept_as_a_picture(browser: Browser, size: str, theme: str) -> None:
    width, height = SIZES[size]
    queue: deque[dict[str, Any]] = deque()
    options = {"viewport": {"width": width, "height": height}, "color_scheme": theme}
    with local_slack(watch=turns_of(queue)) as slack:
        async with EventApp() as app, showing(browser, slack, **options) as shown:
            await shown.shoot(f"{size}-{theme}-empty")
            slack.register(app.url)
            asked = await furnish(slack, queue)
            await expect(shown.page.locator(".turn")).to_have_count(2)
            await look(shown, f"{size}-{theme}", asked)


async def look(shown: Shown, name: str, asked: str) -> None:
    await expect(shown.message(asked)).to_be_visible()
    await shown.shoot(f"{name}-channel")
    await fits(shown)
    await shown.message(asked).locator(".reply-bar").click()
    await expect(shown.page.locator("#thread-scroll .caret")).to_be_visible()
    await settled(shown, "#thread")
    await shown.shoot(f"{name}-thread")
    await fits(shown)
    if await shown.page.locator("#thread.is-drawer").count():
        await shown.page.keyboard.press("Escape")
    if await shown.page.locator("#panel.is-drawer").count():
        await shown.page.get_by_role("button", name="Durability panel").click()
        await settled(shown, "#panel")
    await shown.page.locator("#panel summary", has_text="Traffic").click()
    await shown.page.locator("#panel summary", has_text="Faults").click()
    await shown.shoot(f"{name}-panel")
    await fits(shown)


async def settled(shown: Shown, selector: str) -> None:
    """A drawer has come to rest."""
    await shown.page.locator(selector).evaluate("(el) => Promise.all(el.getAnimations().map((one) => one.finished))")


async def fits(shown: Shown) -> None:
    wide = await shown.page.evaluate(
        """() => [document.documentElement, ...document.querySelectorAll("body, .topbar, .scroller, .panel-body, .side-lists")]
            .filter((el) => el.offsetParent !== null || el === document.documentElement)
            .filter((el) => el.scrollWidth > el.clientWidth + 1)
            .map((el) => `${el.tagName}.${el.className} ${el.scrollWidth} > ${el.clientWidth}`)"""
    )
    assert wide == []


async def test_the_seeded_app_is_named(shown: Shown) -> None:
    assert SEED_APP in [one["app_id"] for one in shown.slack.state()["apps"]]
    await expect(shown.page).to_have_title("Stateroom · local workspace")
