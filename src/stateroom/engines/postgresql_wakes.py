"""Hearing of work that other processes have committed: LISTEN, on a connection of its own.

Rules of this file: it is the one place that keeps something in a session, so its connection is no line that others
borrow, and there is none behind a transaction-mode pooler. A wake is a hint: what is missed while the connection is
away is found by polling, and looked for once it is back. A dead network is found by TCP's keepalives (the URL's).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from stateroom.engines.postgresql_tables import channel_of, identifier

PAUSE: Final = 0.25  # seconds after the first connection that was lost, doubled, jittered, at most:
LONGEST: Final = 15.0
log = logging.getLogger("stateroom.postgresql")


async def listen(conninfo: str, schema: str, table: str, heard: Callable[[], None]) -> None:
    """Call `heard` for each wake of `table`, until cancelled."""
    pause = PAUSE
    while True:
        try:
            async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
                await connection.execute(f"LISTEN {identifier(channel_of(schema))}".replace("%%", "%"))
                pause = PAUSE
                heard()  # what was told while nobody listened
                await _hear(connection, table, heard)
        except psycopg.Error:
            log.warning("not listening for work of other processes; polling finds it until the server is back")
        await asyncio.sleep(random.uniform(pause / 2, pause))
        pause = min(LONGEST, pause * 2)


async def _hear(connection: AsyncConnection[Any], table: str, heard: Callable[[], None]) -> None:
    async for told in connection.notifies():
        if told.payload == table:
            heard()
