"""One browser for all tests of the page, a fresh local Slack and a fresh profile for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import NoReturn

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, async_playwright

from support.browsing import BROWSER_ARGS, Bot, Shown, find_browser, showing
from support.local_slack import UNHURRIED, LocalSlack, local_slack

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs a browser, and shares the loop in which that browser lives."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.service)
            if iscoroutinefunction(getattr(item, "function", None)):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(cannot_start: Callable[[str], NoReturn]) -> AsyncIterator[Browser]:
    path = find_browser()
    if path is None:
        cannot_start("no Chromium: install Debian's `chromium`, or name one in STATEROOM_TEST_CHROMIUM")
    async with async_playwright() as playwright:
        try:
            running = await playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        except Error as error:
            cannot_start(f"Chromium did not start: {error}")
        yield running
        await running.close()


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with local_slack(**UNHURRIED) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shown(browser: Browser, slack: LocalSlack) -> AsyncIterator[Shown]:
    """The page of a new local Slack at 1280 x 800."""
    async with showing(browser, slack) as page:
        yield page


@pytest.fixture
def bot(slack: LocalSlack) -> Bot:
    return Bot(slack)
