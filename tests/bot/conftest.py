"""A local Slack for every test that asks for one; what needs none does not import it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.local_slack import LocalSlack
    from support.slow_model import Slow


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    from support.local_slack import local_slack

    with local_slack() as running:
        yield running


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Slow]:
    """Bots of this loop answer with the pieces it is given, and wait."""
    from stateroom.bot import worker
    from support.slow_model import Slow

    def choose(*pieces: str) -> Slow:
        model = Slow(*pieces)
        monkeypatch.setattr(worker, "responder_of", lambda _: model)
        return model

    return choose
