"""Where a person was when they opened a thread with an assistant: the context that Slack tells once.

Rules of this file: one page over the port. Bolt asks by channel and thread alone, so a context is found by them across
teams; it is kept in the team that it names, and goes with that team's data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.engines.port import Delete, Engine, Put, Query, Row, Write
from stateroom.layers.walking import EVERYWHERE
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.model.ids import check_id, is_id

KEPT: Final = 180 * 86400.0  # seconds after the last save
_NAMES: Final = ("enterprise_id", "team_id", "channel_id")

CONTEXTS: Final = Definition(
    name="sr_contexts",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # <client id, or - >/<channel>:<thread_ts>
        "context": Attribute("object", required=True),
    },
    indexes=(Index("id", across_teams=True, current=True),),
    expires=True,
)
DEFINITIONS: Final = (CONTEXTS,)


class Contexts:
    """The contexts of one app's threads."""

    def __init__(self, engine: Engine, clock: Callable[[], float], client_id: str) -> None:
        self._engine = engine
        self._clock = clock
        self._client = client_id or "-"

    async def save(self, channel: str, thread_ts: str, context: Mapping[str, Any]) -> None:
        """Keep it in place of what is there. InvalidId for a channel or thread that is none."""
        key = self._key(channel, thread_ts)
        named = context.get("team_id") or context.get("enterprise_id")
        team = str(named) if is_id("team", named) else EVERYWHERE
        kept = {name: context[name] for name in _NAMES if isinstance(context.get(name), str)}
        expires = self._clock() + KEPT
        writes: list[Write] = [Put(CONTEXTS.name, team, key, {"id": key, "context": kept}, expires_at=expires)]
        writes += [Delete(CONTEXTS.name, row.team, key) for row in await self._rows(key) if row.team != team]
        await self._engine.commit(writes)

    async def find(self, channel: str, thread_ts: str) -> dict[str, Any] | None:
        """The context of a thread, or None."""
        rows = await self._rows(self._key(channel, thread_ts))
        return dict(rows[0].item["context"]) if rows else None

    def _key(self, channel: str, thread_ts: str) -> str:
        return f"{self._client}/{check_id('channel', channel)}:{check_id('ts', thread_ts, 'thread_ts')}"

    async def _rows(self, key: str) -> list[Row]:
        return (await self._engine.query(Query(CONTEXTS.name, None, 10, index="id", equals=(key,)))).rows
