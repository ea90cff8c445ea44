"""A local Slack for each test that asks for one."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.local_slack import UNHURRIED, EventApp, LocalSlack, local_slack


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """Retries come after a hundredth of Slack's time; a stream may idle for as long as ever."""
    with local_slack(time_scale=0.01, stream_idle_seconds=30_000, **UNHURRIED) as running:
        yield running


@pytest.fixture
async def app(slack: LocalSlack) -> AsyncIterator[EventApp]:
    """The seeded app, noting its events."""
    async with EventApp() as running:
        slack.register(running.url)
        yield running
