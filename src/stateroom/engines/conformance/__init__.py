"""The conformance suite: what the storage port promises, as plain pytest functions that every engine passes.

To run it over an engine of your own, import the functions into a test module (`from
stateroom.engines.conformance.items import *`, and so on for the other modules here), give it a
fixture `engine_case` that yields an `EngineCase` on an empty store, and call `select` from `pytest_generate_tests`. The
functions are coroutines: run pytest-asyncio in auto mode. Those with child processes carry the mark `service`.

Rules of this suite: a test's name is the promise; no test knows an engine's name; declared capabilities must work and
undeclared ones must raise `Unsupported` (undeclared.py), so nothing is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from stateroom.engines import leases
from stateroom.engines.port import Capabilities, Engine, Table, TableIndex, Write, Written

TEAM: Final = "T00000001"
OTHER: Final = "T00000002"
ITEMS: Final = "cf_items"
LOG: Final = "cf_log"
CHANGED: Final = "cf_changed"

_INDEXES: Final = (
    TableIndex("status_rank", ("status", "rank")),
    TableIndex("email", ("email",), unique=True),
    TableIndex("due", ("due",), across_teams=True),
)

F = TypeVar("F", bound=Callable[..., Any])


class Clock:
    """The wall clock, and a way to move it: expiry is tested without waiting."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@dataclass
class EngineCase:
    """One engine, open on an empty store that has the suite's tables.

    `again` closes the engine and opens another one on the same store (engines that are durable). `recipe` is how a
    child process makes its own: ("package.module:callable", argument), called with the argument and a clock. `sound` is
    the engine's own check of its store, asked after every crash; it asserts. `share`: of the many times that tests do a
    thing, how many are asked of this one (a stand-in for a server can be a hundred times slower than it).
    """

    engine: Engine
    clock: Clock
    again: Callable[[], Awaitable[Engine]] | None = None
    recipe: tuple[str, str] | None = None
    sound: Callable[[], None] | None = None
    share: float = 1.0

    def times(self, count: int) -> int:
        """How often is often enough, where `count` is asked for."""
        return max(1, int(count * self.share))

    @property
    def capabilities(self) -> Capabilities:
        return self.engine.capabilities

    async def reopened(self) -> Engine:
        """The same store through a new engine."""
        assert self.again is not None, "a durable engine's case must say how to open it again"
        self.engine = await self.again()
        return self.engine


def tables_for(capabilities: Capabilities) -> list[Table]:
    """The tables that the suite needs and the engine can have."""
    indexes = tuple(
        i
        for i in _INDEXES
        if capabilities.indexes
        and (capabilities.unique or not i.unique)
        and (capabilities.across_teams or not i.across_teams)
    )
    tables = [
        Table(ITEMS, indexes=indexes, expires=capabilities.expired),
        replace(leases.TABLE, expires=capabilities.expired),
    ]
    if capabilities.changes:
        unique = tuple(i for i in indexes if i.unique)
        tables.append(Table(CHANGED, indexes=unique, expires=capabilities.expired, changes=True))
    return [*tables, Table(LOG, log=True, expires=capabilities.expired)] if capabilities.append else tables


def needs(*names: str) -> Callable[[F], F]:
    """Mark a test that means something only to engines which declare these capabilities.

    A name is a field of `Capabilities`; or `batches`: a commit may hold ten rows; or `own`: the engine's rows are its
    own, and not `hosted`.
    """

    def mark(function: F) -> F:
        function.needs = names  # type: ignore[attr-defined]
        return function

    return mark


_LARGER: Final[Mapping[str, Callable[[Capabilities], bool]]] = {
    "batches": lambda able: able.atomic_rows is None or able.atomic_rows >= 10,
    "own": lambda able: not able.hosted,
}


async def fill(engine: Engine, writes: Sequence[Write]) -> list[Written]:
    """Commit `writes` in batches that the engine can have: for what a test needs to be there, not for what it tests."""
    size = engine.capabilities.atomic_rows or len(writes) or 1
    done: list[Written] = []
    for start in range(0, len(writes), size):
        done += await engine.commit(writes[start : start + size])
    return done


def select(function: Callable[..., Any], engines: Mapping[str, Capabilities]) -> Sequence[str]:
    """Which of `engines` the test is run over: those that declare what it needs. For `pytest_generate_tests`."""
    wanted = getattr(function, "needs", ())
    return [name for name, able in engines.items() if all(_has(able, need) for need in wanted)]


def _has(able: Capabilities, need: str) -> bool:
    return _LARGER[need](able) if need in _LARGER else bool(getattr(able, need))
