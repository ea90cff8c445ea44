"""`open(url)`, `Store`, `Team`: hands out datastores, threads and the other layers for one team.

Rules of this file: it chooses the engine from the URL and nothing else; engines are imported when their URL is used,
so `import stateroom` loads no client library. Embedded engines make their tables on first use; servers never do
(invariant 9).
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from stateroom.engines import leases
from stateroom.engines.handle import Datastore, table_of
from stateroom.engines.port import Engine, Table
from stateroom.model.content import FULL, Content
from stateroom.model.definition import Definition
from stateroom.model.errors import MigrationNeeded, WrongUse
from stateroom.model.ids import check_id

if TYPE_CHECKING:
    from stateroom.layers.threads import Thread, Threads
    from stateroom.model.datastore import Datastore as Model

    M = TypeVar("M", bound=Model)

DEFAULT_URL = "sqlite:///stateroom.db"
_LATER = {"postgresql", "postgres", "dynamodb", "s3", "gs", "az", "file", "slack"}


def engine_of(url: str, clock: Callable[[], float]) -> Engine:
    """The engine for `url`: memory://, sqlite:///relative.db, sqlite:////absolute.db. WrongUse for others."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        from stateroom.engines.memory import MemoryEngine

        return MemoryEngine(clock)
    if parts.scheme == "sqlite":
        from stateroom.engines.sqlite import SqliteEngine

        if parts.netloc or not parts.path.strip("/"):
            raise WrongUse("give a path: sqlite:///relative.db has three slashes, sqlite:////absolute.db has four")
        return SqliteEngine(parts.path[1:], clock)
    if parts.scheme in _LATER:
        raise WrongUse(f"{parts.scheme}:// is planned and not there yet; use sqlite:///state.db for now")
    raise WrongUse("a store URL begins with memory:// or sqlite:///")


class Team:
    """Everything of one workspace. No call through it can see another team's rows (invariant 5)."""

    def __init__(self, store: Store, team: str) -> None:
        self.id = check_id("team", team)
        self._store = store

    def datastore(self, model: type[M]) -> Datastore[M]:
        """The datastore of a `sr.Datastore` class."""
        definition = model.__definition__
        return Datastore(self._store.engine, definition, self.id, prepare=self._store.preparer(definition))

    def items(self, definition: Definition) -> Datastore[dict[str, Any]]:
        """A datastore by definition, with plain dicts."""
        return Datastore(self._store.engine, definition, self.id, prepare=self._store.preparer(definition))

    def thread(self, channel: str, thread_ts: str) -> Thread:
        """A conversation; it need not exist yet."""
        return self.threads.thread(channel, thread_ts)

    @property
    def threads(self) -> Threads:
        """All conversations of the team."""
        from stateroom.layers.threads import Threads

        return Threads(self._store.engine, self._store.clock, self.id, content=self._store.content)


class Store:
    """A store by URL; `async with` opens and closes it. `.engine` is the port underneath."""

    def __init__(
        self, url: str, *, content: Content = FULL, clock: Callable[[], float] = time.time, engine: Engine | None = None
    ) -> None:
        self.url = url
        self.clock = clock
        self.content = content
        self.engine = engine_of(url, clock) if engine is None else engine
        self._tables: set[Table] = set()

    def __repr__(self) -> str:
        return f"<Store {urlsplit(self.url).scheme}>"  # never the URL: some carry credentials

    async def __aenter__(self) -> Store:
        from stateroom.layers import inbox, outbox, threads

        await self.engine.open()
        definitions = (*threads.DEFINITIONS, *inbox.DEFINITIONS, *outbox.DEFINITIONS)
        await self.prepare([*(table_of(d) for d in definitions), leases.TABLE])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.close()

    def team(self, team: str) -> Team:
        """The part of one workspace, by its team id."""
        return Team(self, team)

    async def prepare(self, tables: Iterable[Table]) -> None:
        """Make tables exist on an embedded engine; on a server, MigrationNeeded when they do not."""
        missing = [t for t in tables if t not in self._tables]
        if not missing:
            return
        steps = await self.engine.apply(missing, dry_run=not self.engine.capabilities.embedded)
        if steps and not self.engine.capabilities.embedded:
            raise MigrationNeeded("the store lacks tables of your definitions; run `stateroom migrate plan`")
        self._tables.update(missing)

    def preparer(self, definition: Definition) -> Callable[[], Awaitable[None]]:
        """What a handle awaits before its first call."""
        table = table_of(definition)

        async def ready() -> None:
            await self.prepare([table])

        return ready


def open(url: str | None = None, *, content: Content = FULL) -> Store:
    """The store at `url` (default $STATEROOM_STORE, else sqlite:///stateroom.db), to be used with `async with`."""
    return Store(url or os.environ.get("STATEROOM_STORE") or DEFAULT_URL, content=content)
