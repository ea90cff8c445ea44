"""What an uninstall leaves: everything of the workspace is erased when its time has come.

Rules of this file: a worker's task beside the answering. It walks what `stateroom erase --team` walks and knows no
layer. Leases go first, so that no conversation that still runs writes anything more; then the inbox; the rows about the
install go last. Whoever erases holds the place (layers/installations_leaving.py), so an install meanwhile waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.port import Engine, Row, Table, changes_table
from stateroom.layers.inbox import INBOX
from stateroom.layers.installations_entity import MEMBERS, PLACES
from stateroom.layers.installations_leaving import Hold, due, is_used, teams_of
from stateroom.layers.retention_erase import erase_team
from stateroom.model.definition import Definition
from stateroom.model.errors import LeaseLost, StateroomError

_LAST: Final = (PLACES.name, MEMBERS.name)  # rows about the install itself
log = logging.getLogger("stateroom.installations")


class Removal:
    """Looks every `seconds`, and when woken. `in_use(team)`: whether SLACK_BOT_TOKEN serves it; None: ask later."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        definitions: Callable[[], Awaitable[Sequence[Definition]]],
        *,
        in_use: Callable[[str], Awaitable[bool | None]],
        seconds: float = 5.0,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._definitions = definitions
        self._in_use = in_use
        self._seconds = seconds
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Erase what is due, until cancelled."""
        while True:
            try:
                await self.round()
            except StateroomError as failed:
                log.warning("what was uninstalled is not erased yet: %s", failed)
            waiting = asyncio.create_task(self._wake.wait())
            await asyncio.wait({waiting}, timeout=self._seconds)
            waiting.cancel()
            self._wake.clear()

    async def round(self) -> int:
        """Everything that is due now; how many places are done with."""
        done = 0
        for row in await due(self._engine, self._clock()):
            try:
                done += await self._place(row)
            except LeaseLost as lost:
                log.warning("%s", lost)
        return done

    async def _place(self, row: Row) -> bool:
        if row.item.get("is_enterprise_install"):
            used = False
        else:
            asked = await self._in_use(row.team)
            if asked is None:
                return False
            used = asked
        hold = Hold(self._engine, self._clock, row)
        if not await hold.take():
            return False
        removed = 0
        for team in await teams_of(self._engine, row):
            if not used and not await is_used(self._engine, team, row):
                removed += await self._team(hold, team)
        await hold.finish()
        log.info("erased after uninstall", extra={"team": row.team, "removed": removed, "in_use": used})
        return True

    async def _team(self, hold: Hold, team: str) -> int:
        removed = 0
        for table in ordered(await self._definitions()):
            removed += (await erase_team(hold, self._clock, team, table, lambda _: None)).removed
        return removed


def ordered(definitions: Sequence[Definition]) -> list[Table]:
    """Every table that has rows of a team, in the order in which they are emptied."""
    first = [leases.TABLE, table_of(INBOX)]
    rest = [table_of(one) for one in definitions if one.name not in (INBOX.name, *_LAST)]
    logs = [Table(changes_table(one.name), log=True) for one in definitions if one.changes]
    return [*first, *rest, *logs, leases.TABLE]
