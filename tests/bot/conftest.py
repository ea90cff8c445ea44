"""A local Slack for every test that asks for one."""

from collections.abc import Iterator

import pytest

from support.local_slack import LocalSlack, local_slack


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        yield running
