"""What one caller wants written together, where it stands, and how its caller hears of it.

Rules of this file: nothing here touches SQLite. A batch is waiting, then started or given up; who changes that, and
under which lock, is the writer's to say. A caller hears on the loop that it waits on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from stateroom.engines.decide import is_bare
from stateroom.engines.port import Append, Put, Rewrite, Truncate, Write, Written

WAITING, STARTED, GIVEN_UP = 0, 1, 2
HERE_ROWS: Final = 64  # callers, and bytes of items, that are committed on the loop thread
HERE_BYTES: Final = 128 * 1024
Future = asyncio.Future[list[Written]]


class Batch(Struct, eq=False):  # made for every write: with an __init__ of Python's it takes four times as long
    """What one caller wants written together. `texts` are the items' JSON, made in the caller's task."""

    writes: Sequence[Write]
    texts: Sequence[str | None]
    size: int  # of the texts
    keep: str = ""  # the table, when this is one `Put(keep=True)` and nothing else
    log: str = ""  # the table, when this is one Append and nothing else
    bare: str = ""  # the table, when this is several puts that ask for nothing
    alone: bool = False  # Rewrite and Truncate go to the file at once, so they cannot share a transaction
    future: Future | None = None  # none when it is committed where it was made
    timer: asyncio.TimerHandle | None = None
    state: int = WAITING
    results: list[Written] = []
    error: BaseException | None = None


def batch_of(writes: Sequence[Write], texts: Sequence[str | None], size: int, bare: str = "") -> Batch:
    """A batch of anything but a row to keep. `bare` as of `bare_table`."""
    first = writes[0]
    if len(writes) == 1 and type(first) is Append:
        return Batch(writes, texts, size, log=first.table)
    if bare:
        return Batch(writes, texts, size, bare=bare)
    return Batch(writes, texts, size, alone=any([isinstance(w, (Rewrite, Truncate)) for w in writes]))  # noqa: C419


def bare_table(writes: Sequence[Write]) -> str:
    """The table of several puts that ask for nothing, no two of one id, in whichever teams; else ""."""
    first = writes[0]
    if len(writes) == 1 or type(first) is not Put or not is_bare(first):
        return ""
    table, puts = first.table, [w for w in writes if type(w) is Put and is_bare(w) and not w.keep]
    if len(puts) < len(writes) or any([put.table != table for put in puts]):  # noqa: C419
        return ""
    return table if len({put.id for put in puts}) == len(puts) else ""


def fits_here(batches: Sequence[Batch]) -> bool:
    """Whether a group is written in well under `SLOW` on a quick disk: 20 µs a row of a kilobyte."""
    return len(batches) <= HERE_ROWS and sum([b.size for b in batches]) <= HERE_BYTES


def is_refused_alone(batches: Sequence[Batch]) -> bool:
    """A lone batch that was refused may have written already: its transaction is rolled back."""
    return len(batches) == 1 and batches[0].error is not None


def split(batches: list[Batch]) -> list[list[Batch]]:
    """Groups in order."""
    groups: list[list[Batch]] = [[]]
    for batch in batches:
        if batch.alone:
            groups += [[batch], []]
        else:
            groups[-1].append(batch)
    return [g for g in groups if g]


def resolve(batches: Iterable[Batch]) -> None:
    """Tell the callers, with one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Batch]] = {}
    for batch in batches:
        if batch.future is not None:
            by_loop.setdefault(batch.future.get_loop(), []).append(batch)
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(settle, own)
        except RuntimeError:  # the loop is closed: its callers are gone, what they wrote is written
            continue


def settle(batches: Iterable[Batch]) -> None:
    """Give the callers their results; on the loop that they wait on."""
    for batch in batches:
        if batch.timer is not None:
            batch.timer.cancel()
        if batch.future is None or batch.future.done():  # cancelled while it waited
            continue
        if batch.error is not None:
            batch.future.set_exception(batch.error)
        else:
            batch.future.set_result(batch.results)


def outcome(batch: Batch) -> list[Written]:
    """The results, or the error raised."""
    if batch.error is not None:
        raise batch.error
    return batch.results
