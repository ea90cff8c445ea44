"""A store over each engine that needs no server, on a clock that the test turns."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stateroom.store import Store
from support.handles import SERVERS
from support.retention import Clock, store_over


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", *(pytest.param(one, marks=pytest.mark.service) for one in SERVERS)])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    async with store_over(request.param, tmp_path, clock) as opened:
        yield opened
