"""Stores for tests of the handle: on memory and on SQLite, with a clock that tests move and no real waiting."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import stateroom as sr
from stateroom.engines.conformance import Clock
from stateroom.engines.handle_surroundings import Surroundings
from stateroom.engines.port import Engine
from stateroom.store import Store
from support import dynamodb, postgres

SERVERS: dict[str, Callable[[Clock], AbstractContextManager[Engine]]] = {
    "postgresql": postgres.self_made,
    "dynamodb": dynamodb.self_made,
}
TEAM = "T00000001"
OTHER = "T00000002"


class Frozen(Clock):
    """A clock that only tests move."""

    def __init__(self) -> None:
        super().__init__()
        self.began = float(int(time.time()))

    def __call__(self) -> float:
        return self.began + self.ahead


@asynccontextmanager
async def opened(
    engine: str, folder: Path, clock: Clock, surroundings: Surroundings | None = None, keys: str | None = None
) -> AsyncIterator[Store]:
    """`engine` is memory, sqlite, postgresql (a real server) or dynamodb (moto)."""
    if engine in SERVERS:
        with SERVERS[engine](clock) as made:
            async with Store(f"{engine}://", clock=clock, surroundings=surroundings, keys=keys, engine=made) as store:
                yield store
        return
    url = "memory://" if engine == "memory" else f"sqlite:///{folder}/store.db"
    async with Store(url, clock=clock, surroundings=surroundings, keys=keys) as store:
        yield store


async def failure(call: object) -> sr.StateroomError:
    """The error that the call ends with."""
    try:
        await call  # type: ignore[misc]
    except sr.StateroomError as error:
        return error
    raise AssertionError("the call was not refused")
