"""One copy fills a target at a time, and none its own source.

Rules of this file: a lease in the target says whose turn it is. A copy that was killed is waited for; one that has lost
its turn ends before it writes on, by being cancelled. Two URLs may be one store in ways that no URL tells (names of a
host, poolers, mounts); but a lease that was taken in the target and is found in the source shows it, whatever the
engine, and no restored backup is taken for its origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from stateroom.engines import leases
from stateroom.engines.leases import Lease
from stateroom.engines.port import Engine
from stateroom.layers.copy_write import persist
from stateroom.layers.walking import EVERYWHERE
from stateroom.model.errors import LeaseLost, StoreUnavailable, WrongUse

LEASE: Final = 5.0  # seconds; what a killed copy holds up the next one by
LOOK: Final = 0.2  # seconds between two tries
NAME: Final = "copy"
SAME: Final = "--from and --to are the same store; give another one to fill"


@contextlib.asynccontextmanager
async def alone(source: Engine, engine: Engine, told: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the target. WrongUse while another copy does, or has come to, and where it is the source."""
    if not engine.capabilities.conditions:
        yield
        return
    holder = secrets.token_hex(6)
    lease = await _taken(engine, holder, told)
    owner = asyncio.current_task()
    assert owner is not None
    renewing = asyncio.create_task(_renew(lease, owner))
    try:
        if await _holder(source) == holder:
            raise WrongUse(SAME)
        yield
    except asyncio.CancelledError:
        if renewing.done():
            raise WrongUse("another copy has gone on in this target; this one has ended") from None
        raise
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await lease.release()


async def _taken(engine: Engine, holder: str, told: Callable[[str], None]) -> Lease:
    ends = time.monotonic() + LEASE + 2
    while True:
        lease = await leases.acquire(engine, time.time, EVERYWHERE, NAME, holder=holder, seconds=LEASE)
        if lease is not None:
            return lease
        if time.monotonic() > ends:
            raise WrongUse("another copy into this target is running")
        told("another copy runs, or was killed a moment ago; waiting")
        await asyncio.sleep(LOOK)


async def _holder(engine: Engine) -> str:
    """Which copy holds a store; empty where none does."""
    if engine.capabilities.hosted:
        return ""
    try:
        (row,) = await engine.get(leases.TABLE.name, EVERYWHERE, [NAME])
    except StoreUnavailable as error:
        if error.reason != "missing":
            raise
        return ""
    return "" if row is None else str(row.item["holder"])


async def _renew(lease: Lease, owner: asyncio.Task[object]) -> None:
    """Until it is lost: then its owner is cancelled."""
    with contextlib.suppress(LeaseLost):
        while True:
            await asyncio.sleep(LEASE / 3)
            await persist(lambda: lease.renew(LEASE), asyncio.sleep)
    owner.cancel()
