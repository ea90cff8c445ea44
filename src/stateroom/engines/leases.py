"""Leases with fencing tokens: one holder at a time, and a number that only grows.

Rules of this file: the token is the safety, time is only patience (invariant 2): whoever writes under a lease adds
`lease.check()` to the same commit, so a holder that was overtaken writes nothing, whatever its clock says. The lease
row stays after release, so that its token keeps growing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stateroom.engines.port import Check, Engine, Put, Row, Table, Update
from stateroom.expr.builder import attr
from stateroom.model.codec import normalise
from stateroom.model.errors import ConditionFailed, LeaseLost

TABLE: Final = Table("sr_leases", expires=True)
KEPT: Final = 7 * 86400.0  # seconds an unused lease row stays; then its token restarts at the time in microseconds


class Lease:
    """A held lease. `until` is on the clock that was handed in, in seconds."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], *, team: str, name: str, token: int, until: float
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.team = team
        self.name = name
        self.token = token
        self.until = until

    def check(self) -> Check:
        """The write that makes a commit fail when the lease has another holder by now."""
        return Check(TABLE.name, self.team, self.name, condition=attr("token") == self.token)

    async def renew(self, seconds: float) -> None:
        """Hold it for `seconds` from now; LeaseLost when somebody else has it or it was let go."""
        until = self._clock() + seconds
        mine = (attr("token") == self.token) & (attr("until") > 0)
        try:
            await self._engine.commit(
                [Update(TABLE.name, self.team, self.name, set=_times(until), expires_at=until + KEPT, condition=mine)]
            )
        except ConditionFailed:
            raise LeaseLost(self.name, self.token) from None
        self.until = until

    async def verify(self, margin: float = 0.0) -> None:
        """LeaseLost unless it is still ours for more than `margin` seconds, by the store and by our clock."""
        (row,) = await self._engine.get(TABLE.name, self.team, [self.name])
        if row is None or row.item["token"] != self.token or self._clock() + margin >= float(row.item["until"]):
            raise LeaseLost(self.name, self.token)

    async def release(self) -> None:
        """Let it go at once; harmless when it was lost."""
        mine = attr("token") == self.token
        try:
            await self._engine.commit(
                [Update(TABLE.name, self.team, self.name, set={"until": 0, "holder": ""}, condition=mine)]
            )
        except ConditionFailed:
            return


async def acquire(
    engine: Engine, clock: Callable[[], float], team: str, name: str, *, holder: str, seconds: float
) -> Lease | None:
    """The lease, or None when somebody holds it."""
    (row,) = await engine.get(TABLE.name, team, [name])
    now = clock()
    if row is not None and float(row.item["until"]) > now:
        return None
    token = _next_token(row, now)
    until = now + seconds
    item = {"name": name, "holder": holder, "token": token, **_times(until)}
    version = 0 if row is None else row.version
    try:
        put = Put(TABLE.name, team, name, item, expires_at=until + KEPT, if_version=version, passes=True)
        await engine.commit([put])
    except ConditionFailed:
        return None
    return Lease(engine, clock, team=team, name=name, token=token, until=until)


def _next_token(row: Row | None, now: float) -> int:
    return int(row.item["token"]) + 1 if row is not None else int(now * 1_000_000)


def _times(until: float) -> dict[str, object]:
    return {"until": normalise(round(until, 6), "until")}
