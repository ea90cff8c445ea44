"""What the tests of sweep, erase and migrate share: a clock that can be moved, and stores over each engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stateroom.engines.port import Engine, Query, Row
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.store import Store
from support.handles import SERVERS

TEAM = "T00000001"
OTHER = "T00000002"
ANN = "U00000001"
BOB = "U00000002"
USER = "slack#/types/user_id"
NOW = 1_700_000_000.0

TICKETS = Definition(
    "tickets",
    "id",
    {
        "id": Attribute("string", required=True),
        "owner": Attribute(USER, personal=True),
        "notes": Attribute("string", personal=True),
        "watchers": Attribute("array", items=Attribute(USER), personal=True),
        "status": Attribute("string"),
        "approver": Attribute(USER),
        "ends": Attribute("slack#/types/timestamp"),
    },
    ttl="ends",
    indexes=(Index("status"),),
)


class Clock:
    """Time that moves when told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def store_over(kind: str, folder: Path, clock: Clock) -> AsyncIterator[Store]:
    """An open store on a new memory, SQLite, PostgreSQL or DynamoDB engine."""
    if kind in SERVERS:
        with SERVERS[kind](clock) as made:
            async with Store(f"{kind}://", clock=clock, engine=made) as store:
                yield store
        return
    url = "memory://" if kind == "memory" else f"sqlite:///{folder / 'retention.db'}"
    async with Store(url, clock=clock) as store:
        yield store


async def rows_of(engine: Engine, table: str) -> list[Row]:
    """Every row that is physically there."""
    found: list[Row] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = await engine.query(Query(table, None, 100, after=after, whole=True))
        found += page.rows
        if page.position is None:
            return found
        after = page.position
