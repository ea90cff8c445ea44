"""Writes of one thing, as one commit or, where a commit is one row, as steps in an order from which a rerun recovers.

Rules of this file: it knows the port and no engine. Rows that say that something exists come first, then logs, then
what is removed: whoever dies in between has left nothing that cannot be found, and running it again ends it
(invariant 6). One stream's writes keep their order, and streams do not wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from stateroom.engines.port import (
    Append,
    Capabilities,
    Delete,
    Engine,
    Rewrite,
    Table,
    Truncate,
    Write,
    Written,
)
from stateroom.model.errors import ConditionFailed

AT_ONCE: Final = 16  # steps under way


class Parted(Protocol):
    """An engine whose tables differ in what one commit of them may hold."""

    def unit(self, table: str) -> int | None:
        """Rows of the table that one commit may hold; None: any number."""


def unit_of(engine: Engine, table: str) -> int | None:
    """Rows of this table that one commit may hold; None: any number."""
    if hasattr(engine, "unit"):
        return cast("Parted", engine).unit(table)
    return engine.capabilities.atomic_rows


async def together(engine: Engine, writes: Sequence[Write]) -> list[Written]:
    """One commit where the engine can have it, else steps."""
    if len(writes) > 1 and engine.capabilities.atomic_rows == 1:
        return await in_steps(engine, writes)
    return await engine.commit(writes)


async def in_steps(engine: Engine, writes: Sequence[Write]) -> list[Written]:
    """Each write a commit of its own; the results in the order given. The first error ends the steps behind it."""
    done: dict[int, Written] = {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(lane: Iterable[int]) -> None:
        for index in lane:
            async with gate:
                try:
                    (done[index],) = await engine.commit([writes[index]])
                except ConditionFailed as error:
                    error.index = index
                    error.maybe_applied = bool(done)  # steps before it were taken
                    raise

    for phase in range(3):
        lanes: dict[Any, list[int]] = {}
        for index, write in enumerate(writes):
            if _phase(write) == phase:
                lanes.setdefault(_lane(write), []).append(index)
        outcomes = await asyncio.gather(*(one(lane) for lane in lanes.values()), return_exceptions=True)
        failed = [error for error in outcomes if isinstance(error, BaseException)]
        if failed:
            raise failed[0]
    return [done[index] for index in range(len(writes))]


def fitting(tables: Iterable[Table], able: Capabilities) -> list[Table]:
    """Stateroom's own tables, as far as the engine can have them; what rests on the rest refuses by itself."""
    found = []
    for table in tables:
        indexes = tuple(
            i
            for i in table.indexes
            if able.indexes and (able.unique or not i.unique) and (able.across_teams or not i.across_teams)
        )
        found.append(replace(table, indexes=indexes, expires=table.expires and able.expired))
    return found


def _phase(write: Write) -> int:
    if isinstance(write, (Append, Rewrite, Truncate)):
        return 1
    return 2 if isinstance(write, Delete) else 0


def _lane(write: Write) -> tuple[str, ...]:
    inner = write.stream if isinstance(write, (Append, Rewrite, Truncate)) else write.id
    return (write.table, write.team, inner)


def split(writes: Sequence[Write], tables: Mapping[str, Any] | frozenset[str]) -> tuple[list[int], list[int]]:
    """Positions of the writes to these tables, and of the others."""
    inside = [index for index, write in enumerate(writes) if write.table in tables]
    return inside, [index for index, write in enumerate(writes) if write.table not in tables]
