"""A local Slack for every test that asks for one; what needs none does not import it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.local_slack import LocalSlack


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    from support.local_slack import local_slack

    with local_slack() as running:
        yield running
