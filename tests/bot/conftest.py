"""A local Slack for every test that asks for one; what needs none does not import it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from support.local_slack import LocalSlack
    from support.slow_model import Slow


M = TypeVar("M")


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    from support.local_slack import local_slack

    with local_slack() as running:
        yield running


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[M], M]:
    """From now on bots of this loop answer by the responder it is given."""
    from stateroom.bot import worker

    def use(responder: M) -> M:
        monkeypatch.setattr(worker, "responder_of", lambda _: responder)
        return responder

    return use


@pytest.fixture
def says(answers: Callable[[Slow], Slow]) -> Callable[..., Slow]:
    """Bots answer with the pieces it is given, and wait."""
    from support.slow_model import Slow

    return lambda *pieces: answers(Slow(*pieces))
