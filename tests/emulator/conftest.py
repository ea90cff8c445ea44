"""A local Slack for each test that asks for one."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.local_slack import EventApp, LocalSlack, local_slack


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.01) as running:
        yield running


@pytest.fixture
async def app(slack: LocalSlack) -> AsyncIterator[EventApp]:
    """The seeded app, noting its events."""
    async with EventApp() as running:
        slack.register(running.url)
        yield running
