"""The turns of a bot's store as they change, for the emulator's page.

Rules of this file: it only reads, through the store, so it works while the bot is dead. Whoever stops listening stops
the polling.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from stateroom.layers import inbox
from stateroom.store import Store

POLL_SECONDS: Final = 0.1
NEWEST: Final = 50
Turn = Mapping[str, Any]
_SHOWN: Final = ("id", "team", "channel", "thread_ts", "ts", "state", "attempts", "reason")


async def watch_turns(
    url: str, *, poll: Callable[[float], Awaitable[None]] = asyncio.sleep, clock: Callable[[], float] = time.time
) -> AsyncGenerator[Turn, None]:
    """`{id, team, channel, thread_ts, ts, state, attempts, at, reason}` of each turn that is new or changed."""
    seen: dict[tuple[str, str], Turn] = {}
    async with Store(url, clock=clock) as store:
        while True:
            rows = await inbox.turns(store.engine, limit=NEWEST)
            now = {(row["team"], row["id"]): shown(row) for row in rows if row.get("kind", "message") == "message"}
            for turn in changed(seen, now.items()):
                yield {**turn, "at": clock()}
            seen = now
            await poll(POLL_SECONDS)


def shown(row: Turn) -> Turn:
    """What the page is told of a turn."""
    return {"reason": "", "attempts": 0, **{name: row[name] for name in _SHOWN if name in row}}


def changed(before: Mapping[tuple[str, str], Turn], now: Iterable[tuple[tuple[str, str], Turn]]) -> list[Turn]:
    """The turns that are not what they were, oldest message first."""
    return sorted((turn for key, turn in now if before.get(key) != turn), key=lambda turn: str(turn.get("ts", "")))
