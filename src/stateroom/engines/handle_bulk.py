"""Many items in one call: written together where the engine takes them together, each on its own where one is refused.

Rules of this file: a bulk call is not a transaction. What is wrong with one item (its shape, its size, its state) is
that item's failure and harms no other; what is wrong with the store raises. Written twice is as written once, so a call
that raised may be repeated as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from stateroom.engines.handle_commit import Committer, ItemWrite
from stateroom.engines.port import Engine, Packing, Puts, Written
from stateroom.model.errors import (
    BulkFailed,
    ConditionFailed,
    CorruptData,
    InvalidValue,
    ItemTooLarge,
    KeyMissing,
    StateroomError,
    TransactionConflict,
)

T = TypeVar("T")
Single = Callable[[ItemWrite], Awaitable[Written]]
Build = Callable[[Sequence[Any]], Puts | None]

TOGETHER: Final = 250  # rows a commit
AT_ONCE: Final = 32  # single commits under way, for engines that take one row a commit
_OF_ONE_ITEM: Final = (ConditionFailed, CorruptData, InvalidValue, ItemTooLarge, KeyMissing, TransactionConflict)


@dataclass(frozen=True, slots=True)
class Bulk(Generic[T]):
    """What a bulk call did: `items` that it wrote (or ids it removed) in the order given, `failed` by position."""

    place: str
    total: int
    items: list[T] = field(default_factory=list)
    failed: Mapping[int, StateroomError] = field(default_factory=dict)

    def check(self) -> None:
        """BulkFailed unless every item was written."""
        if self.failed:
            raise BulkFailed(self.place, self.failed, self.total)


def check_count(place: str, given: Sequence[Any], limit: int | None) -> None:
    """InvalidValue when the profile does not take as many."""
    if isinstance(given, (str, bytes)):
        raise InvalidValue(place, "takes a list")
    if limit is not None and not 0 < len(given) <= limit:
        raise InvalidValue(place, f"takes 1 to {limit} in one call with this profile, not {len(given)}")


async def put_together(engine: Engine, given: Sequence[Any], build: Build) -> Puts | None:
    """Puts of all that is given, in one commit of an engine that packs them; None: nothing is written."""
    if not engine.capabilities.packs or not 0 < len(given) <= TOGETHER:
        return None
    try:
        puts = build(given)
        if puts is not None:
            await cast(Packing, engine).put_all(puts)
    except _OF_ONE_ITEM:
        return None
    return puts


async def write_all(
    committer: Committer,
    given: Sequence[Any],
    build: Callable[[Any], ItemWrite],
    single: Single | None = None,
) -> tuple[dict[int, Written], dict[int, StateroomError]]:
    """What was done and what failed, in the order of positions.

    Of several writes to one id the last one counts, for all of them.

    `single` commits a write on its own, where writes cannot share a commit.
    """
    failed: dict[int, StateroomError] = {}
    built: list[ItemWrite | None] = []
    for one in given:
        try:
            built.append(build(one))
        except _OF_ONE_ITEM as error:
            failed[len(built)] = error
            built.append(None)
    writes = {write.id: write for write in built if write is not None}
    results = dict(zip(writes, await _results(committer, list(writes.values()), single), strict=True))
    done: dict[int, Written] = {}
    for position, write in enumerate(built):
        if write is None:
            continue
        result = results[write.id]
        if isinstance(result, StateroomError):
            failed[position] = result
        else:
            done[position] = result
    return done, dict(sorted(failed.items()))


async def _results(committer: Committer, writes: Sequence[ItemWrite], single: Single | None) -> list[Any]:
    """Of each write what was written by it, or the error."""
    unit = committer.engine.capabilities.atomic_rows
    size = min(unit or TOGETHER, TOGETHER)
    alone = single is not None or size == 1
    results: list[Any] = []
    for part in _parts(writes, AT_ONCE if alone else size):
        done: Sequence[Any] | None = None if alone else await _together(committer, part)
        if done is None:
            commit = single or committer.commit
            done = await asyncio.gather(*(commit(write) for write in part), return_exceptions=True)
            for result in done:
                if isinstance(result, BaseException) and not isinstance(result, _OF_ONE_ITEM):
                    raise result
        results += done
    return results


async def _together(committer: Committer, part: Sequence[ItemWrite]) -> Sequence[Written] | None:
    try:
        return await committer.engine.commit(part)
    except _OF_ONE_ITEM:
        return None


def _parts(given: Sequence[T], size: int) -> Sequence[Sequence[T]]:
    return [given[start : start + size] for start in range(0, len(given), size)]
