"""Where a local Slack keeps its records, so that a kill -9 loses nothing that it acknowledged.

Rules of this file: a journal is a small map from key to bytes, written in batches that are durable when `append`
returns; it stands on Stateroom's own storage port. `Scribe` joins the batches of many requests into one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from stateroom import store
from stateroom.engines.port import Delete, Put, Query, Table, Write
from stateroom.model.errors import StateroomError
from stateroom.store import Store

Batch = Mapping[str, bytes | None]

_TABLE = Table("sr_local_slack")
# A local Slack is one place with many teams in it: the team stands in the record's key.
_PLACE = "T00000000"
_PAGE_ROWS = 500


class Journal(Protocol):
    """Keeps records. `append` returns when they are durable; a value of None forgets the key.

    `keeps` False: nothing is kept, so nobody has to wait.
    """

    keeps: bool

    async def load(self) -> Iterable[tuple[str, bytes]]: ...

    async def append(self, batch: Batch) -> None: ...

    async def close(self) -> None: ...


class NoJournal:
    """Without `--state`: everything lives and dies with the process."""

    keeps = False

    async def load(self) -> Iterable[tuple[str, bytes]]:
        return ()

    async def append(self, batch: Batch) -> None:
        return

    async def close(self) -> None:
        return


class StoreJournal:
    """One table of Stateroom's own storage port, whatever engine the URL names."""

    keeps = True

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self) -> Iterable[tuple[str, bytes]]:
        await self._store.engine.open()
        await self._store.prepare([_TABLE])
        rows: list[tuple[str, bytes]] = []
        after = None
        while True:
            page = await self._store.engine.query(Query(_TABLE.name, _PLACE, limit=_PAGE_ROWS, after=after))
            rows += [(row.id, row.item["record"].encode()) for row in page.rows]
            if page.position is None:
                return rows
            after = page.position

    async def append(self, batch: Batch) -> None:
        await self._store.engine.commit([_write(key, value) for key, value in batch.items()])

    async def close(self) -> None:
        await self._store.engine.close()


def _write(key: str, value: bytes | None) -> Write:
    if value is None:
        return Delete(_TABLE.name, _PLACE, key)
    return Put(_TABLE.name, _PLACE, key, {"record": value.decode()})


def open_journal(url: str | None) -> Journal:
    """The journal behind a `--state` URL. Raises WrongUse for one that cannot hold it."""
    return NoJournal() if url is None else StoreJournal(store.open(url))


class Scribe:
    """Joins what many requests changed into few commits, in order."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: dict[str, bytes | None] = {}
        self._commit: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def write(self, batch: Batch) -> None:
        """Return when `batch`, and all that was handed in before, is durable; an empty batch waits for others only."""
        if not self._journal.keeps:
            return
        self._waiting.update(batch)
        if self._waiting and self._next is None:
            self._next = asyncio.create_task(self._flush(self._commit))
        under_way = self._next or self._commit
        if under_way is not None and not under_way.done():
            await asyncio.shield(under_way)

    async def _flush(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._commit, self._next = self._next, None
        batch, self._waiting = self._waiting, {}
        try:
            await self._journal.append(batch)
        except StateroomError:
            self._waiting = batch | self._waiting  # the world has it still: whoever comes next tries again
            raise

    async def wipe(self) -> None:
        """Forget everything, what is still on its way into the journal too."""
        await self.write({})
        await self.write({key: None for key, _ in await self._journal.load()})

    async def close(self) -> None:
        for task in (self._commit, self._next):
            if task is not None:
                await asyncio.wait([task])
        await self._journal.close()
