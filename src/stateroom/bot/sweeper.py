"""The sweeper: a worker's task that removes what has expired, beside the answering and never in its way.

Rules of this file: one at a time among all replicas, by a lease; losing it costs nothing, because every removal asks
for the expiry itself. It works a fifth of the time and at most a minute in a row, in small batches, so that a
commit of somebody else waits for milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from stateroom.engines import leases
from stateroom.engines.leases import Lease
from stateroom.engines.port import Engine, Table
from stateroom.layers.retention import Sweep, sweep
from stateroom.layers.walking import EVERYWHERE, Pace
from stateroom.model.errors import StateroomError

NAME: Final = "sweep"
_SHARE: Final = 0.2
_LONGEST: Final = 60.0  # seconds of one round
_FIRST: Final = 5.0  # seconds after the start, which has enough to do
_LEASE: Final = 30.0  # seconds; renewed between batches, so a crash delays the next sweep by so much
log = logging.getLogger("stateroom.sweeper")


class Sweeper:
    """Sweeps every `seconds`; `tables` says each time what there is to sweep."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        tables: Callable[[], Awaitable[Sequence[Table]]],
        *,
        seconds: float,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._tables = tables
        self._seconds = seconds
        self._holder = secrets.token_hex(6)

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep now and then until `stop`."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopping}, timeout=min(self._seconds, _FIRST))
            while not stop.is_set():
                working = asyncio.create_task(self.round())
                await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
                working.cancel()
                await asyncio.wait({working})
                if not working.cancelled() and (error := working.exception()) is not None:
                    _tell(error)
                await asyncio.wait({stopping}, timeout=self._seconds)
        finally:
            stopping.cancel()

    async def round(self) -> Sweep | None:
        """One sweep; None when another replica is at it."""
        lease = await leases.acquire(self._engine, self._clock, EVERYWHERE, NAME, holder=self._holder, seconds=_LEASE)
        if lease is None:
            return None
        try:
            done = await self._sweep(lease)
        finally:
            await lease.release()
        removed = sum(one.removed for one in done.tables)
        if removed:
            log.info("swept", extra={"removed": removed, "finished": done.finished})
        return done

    async def _sweep(self, lease: Lease) -> Sweep:
        keeping = asyncio.create_task(self._keep(lease))
        working = asyncio.create_task(self._walk())
        try:
            await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            return await working
        finally:
            for task in (keeping, working):
                task.cancel()
            await asyncio.wait({keeping, working})

    async def _keep(self, lease: Lease) -> None:
        """Renew the lease until cancelled; LeaseLost ends the round."""
        while True:
            await asyncio.sleep(_LEASE / 3)
            await lease.renew(_LEASE)

    async def _walk(self) -> Sweep:
        pace = Pace(self._clock, share=_SHARE, ends=self._clock() + _LONGEST)
        return await sweep(self._engine, await self._tables(), pace)


def _tell(error: BaseException) -> None:
    """The next round may do better; a defect's words may hold content, so only its name is told."""
    if isinstance(error, StateroomError):
        log.warning("not swept: %s", error)
    else:
        log.error("a sweep ended by a defect: %s", type(error).__name__)
