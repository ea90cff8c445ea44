"""Invariant 9: an engine that is a server is changed by `stateroom migrate` alone, an embedded one sets itself up."""

import dataclasses
import time
from collections.abc import Sequence

import pytest

from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Table
from stateroom.model.errors import MigrationNeeded
from stateroom.store import Store


class Server(MemoryEngine):
    """Memory that behaves like a server: others own its tables. `made` are those that somebody had made."""

    capabilities = dataclasses.replace(MemoryEngine.capabilities, name="server", embedded=False)

    def __init__(self) -> None:
        super().__init__(time.time)
        self.made: list[str] = []

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        if not dry_run:
            self.made += [table.name for table in tables]
        return await super().apply(tables, dry_run=dry_run)


async def test_a_server_without_our_tables_is_refused_and_left_as_it_was() -> None:
    server = Server()
    with pytest.raises(MigrationNeeded, match="stateroom migrate"):
        await Store("server://", engine=server).__aenter__()
    assert server.made == []


async def test_a_server_that_was_migrated_is_opened() -> None:
    server = Server()
    async with Store("memory://") as other:
        tables = sorted(other._tables, key=lambda table: table.name)
    await server.open()
    await server.apply(tables)
    async with Store("server://", engine=server) as store:
        assert await store.team("T00000001").thread("C00000001", "1700000000.000100").count() == 0
    assert server.made == [table.name for table in tables]


async def test_an_embedded_engine_sets_itself_up() -> None:
    async with Store("memory://") as store:
        assert await store.engine.apply(sorted(store._tables, key=lambda table: table.name), dry_run=True) == []
