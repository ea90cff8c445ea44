"""A local Slack's page in a real browser, and a bot that does on the Web API what a test says.

Rules of this file: nothing here looks into the page's own modules. What a browser reports as wrong (an error on the
console, an exception, a violation of the content security policy) is collected, and fails the test that did not
excuse it beforehand.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from stateroom.emulator.config import SEED_CHANNEL, SEED_TEAM, SEED_USER
from support.local_slack import LocalSlack

BROWSER_ARGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SCREENSHOTS = Path(__file__).parents[2] / "artifacts" / "screenshots"
PATIENCE = 20_000  # ms that a browser on a busy machine gets to show something
UNREACHABLE = r"Failed to load resource|ERR_CONNECTION|ERR_INCOMPLETE"

_WATCH = """
window.__violations = [];
addEventListener("securitypolicyviolation", (event) => {
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


def find_browser() -> str | None:
    """The Chromium to use: the one named in the environment, Debian's, or whatever is on the path."""
    named = os.environ.get("STATEROOM_TEST_CHROMIUM")
    if named:
        return named
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")]
    return next((path for path in ["/usr/bin/chromium", *found] if path and Path(path).exists()), None)


expect.set_options(timeout=PATIENCE)


@dataclass
class Shown:
    """The page as a test sees it."""

    page: Page
    slack: LocalSlack
    wrong: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)

    @property
    def composer(self) -> Locator:
        return self.page.locator("#composer-slot textarea")

    @property
    def reply_box(self) -> Locator:
        return self.page.locator("#thread-composer textarea")

    @property
    def messages(self) -> Locator:
        return self.page.locator("#channel-scroll article.msg")

    @property
    def replies(self) -> Locator:
        return self.page.locator("#thread-scroll article.msg")

    def message(self, ts: str) -> Locator:
        return self.page.locator(f'#channel-scroll article[data-ts="{ts}"]')

    def body(self, ts: str) -> Locator:
        return self.message(ts).locator(".msg-body")

    async def write(self, text: str, box: Locator | None = None) -> None:
        """Types into the message box as a person does, and sends."""
        target = box if box is not None else self.composer
        await target.fill(text)
        await target.press("Enter")

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.slack.url + path)
        await expect(self.page.locator("#skeleton")).to_have_count(0)

    async def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    async def verdict(self) -> list[str]:
        """What went wrong in the browser and was not excused."""
        violations = await self.page.evaluate("() => window.__violations || []")
        found = [*self.wrong, *(f"csp: {one}" for one in violations)]
        return [one for one in found if not any(re.search(pattern, one) for pattern in self.excused)]


@asynccontextmanager
async def showing(browser: Browser, slack: LocalSlack, **options: Any) -> AsyncIterator[Shown]:
    """A fresh browser profile on the page; `options` are those of a browser context."""
    given = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "UTC", **options}
    context: BrowserContext = await browser.new_context(**given)
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    shown = Shown(page, slack)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            shown.wrong.append(f"{message.type}: {message.text}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: shown.wrong.append(f"exception: {error}"))
    await page.add_init_script(_WATCH)
    await shown.open()
    try:
        yield shown
        found = await shown.verdict()
        assert not found, found
    finally:
        await context.close()


@dataclass
class Bot:
    """Speaks as the seeded bot."""

    slack: LocalSlack
    channel: str = SEED_CHANNEL

    def _call(self, method: str, **args: Any) -> dict[str, Any]:
        answer = self.slack.call(method, **args)
        assert answer["ok"], answer
        return answer

    def say(self, text: str, thread_ts: str | None = None, **more: Any) -> str:
        place = {"thread_ts": thread_ts} if thread_ts else {}
        return str(self._call("chat.postMessage", channel=self.channel, text=text, **place, **more)["ts"])

    def status(self, thread_ts: str, words: str) -> None:
        self._call("assistant.threads.setStatus", channel_id=self.channel, thread_ts=thread_ts, status=words)

    def begin(self, thread_ts: str, text: str = "") -> str:
        place = {"channel": self.channel, "thread_ts": thread_ts}
        person = {"recipient_user_id": SEED_USER, "recipient_team_id": SEED_TEAM}
        more = {"markdown_text": text} if text else {}
        return str(self._call("chat.startStream", **place, **person, **more)["ts"])

    def grow(self, ts: str, text: str) -> None:
        self._call("chat.appendStream", channel=self.channel, ts=ts, markdown_text=text)

    def end(self, ts: str, text: str = "") -> None:
        more = {"markdown_text": text} if text else {}
        self._call("chat.stopStream", channel=self.channel, ts=ts, **more)


Turns = deque[dict[str, Any]]


def turns_of(queue: Turns) -> Callable[[], AsyncIterator[dict[str, Any]]]:
    """What EmulatorConfig calls `watch`: turns as the test appends them."""

    async def watch() -> AsyncIterator[dict[str, Any]]:
        while True:
            while queue:
                yield queue.popleft()
            await asyncio.sleep(0.02)

    return watch


def turn(ts: str, state: str, at: float, attempts: int = 1) -> dict[str, Any]:
    place = {"channel": SEED_CHANNEL, "thread_ts": ts, "ts": ts}
    return {"id": f"{SEED_CHANNEL}:{ts}", **place, "state": state, "attempts": attempts, "at": at}
