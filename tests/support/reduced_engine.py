"""An engine that declares as little as one may: over it the suite's other half runs, "undeclared raises"."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Append, Page, Put, Query, Row, Table, Write, Written
from stateroom.model.errors import Unsupported


class Reduced:
    """Memory behind one-row commits, without conditions, indexes and logs."""

    capabilities = replace(
        MemoryEngine.capabilities,
        name="reduced",
        atomic_rows=1,
        append=False,
        conditions=False,
        indexes=False,
        unique=False,
        across_teams=False,
        holds_inbox=False,
        expired=False,
        changes=False,
        freezes=False,
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self._inner = MemoryEngine(clock)

    async def open(self) -> None:
        await self._inner.open()

    async def close(self) -> None:
        await self._inner.close()

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        for table in tables:
            if table.log:
                raise Unsupported("reduced", "logs")
            if table.indexes:
                raise Unsupported("reduced", "indexes")
            if table.expires or table.changes:
                raise Unsupported("reduced", "expired rows" if table.expires else "changes")
        return await self._inner.apply(tables, dry_run=dry_run)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        return await self._inner.get(table, team, ids)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if len(writes) > 1:
            raise Unsupported("reduced", "a commit of several rows")
        for write in writes:
            if getattr(write, "condition", None) is not None or getattr(write, "if_version", None) is not None:
                raise Unsupported("reduced", "conditions")
            if getattr(write, "guard", None) is not None:
                raise Unsupported("reduced", "guards")
            if isinstance(write, Append) or (isinstance(write, Put) and write.keep):
                raise Unsupported("reduced", type(write).__name__)
        return await self._inner.commit(writes)

    async def query(self, query: Query) -> Page:
        return await self._inner.query(query)
