"""One copy fills a target at a time.

Rules of this file: a lease in the target says whose turn it is. A copy that was killed is waited for; one that has lost
its turn ends before it writes on, by being cancelled.
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
from stateroom.model.errors import LeaseLost, WrongUse

LEASE: Final = 5.0  # seconds; what a killed copy holds up the next one by
LOOK: Final = 0.2  # seconds between two tries


@contextlib.asynccontextmanager
async def alone(engine: Engine, told: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the target. WrongUse while another copy does, or has come to."""
    if not engine.capabilities.conditions:
        yield
        return
    lease = await _taken(engine, told)
    owner = asyncio.current_task()
    assert owner is not None
    renewing = asyncio.create_task(_renew(lease, owner))
    try:
        yield
    except asyncio.CancelledError:
        if renewing.done():
            raise WrongUse("another copy has gone on in this target; this one has ended") from None
        raise
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await lease.release()


async def _taken(engine: Engine, told: Callable[[str], None]) -> Lease:
    ends = time.monotonic() + LEASE + 2
    while True:
        holder = secrets.token_hex(6)
        lease = await leases.acquire(engine, time.time, EVERYWHERE, "copy", holder=holder, seconds=LEASE)
        if lease is not None:
            return lease
        if time.monotonic() > ends:
            raise WrongUse("another copy into this target is running")
        told("another copy runs, or was killed a moment ago; waiting")
        await asyncio.sleep(LOOK)


async def _renew(lease: Lease, owner: asyncio.Task[object]) -> None:
    """Until it is lost: then its owner is cancelled."""
    with contextlib.suppress(LeaseLost):
        while True:
            await asyncio.sleep(LEASE / 3)
            await persist(lambda: lease.renew(LEASE), asyncio.sleep)
    owner.cancel()
