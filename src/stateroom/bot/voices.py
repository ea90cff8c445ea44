"""With which token the worker speaks in a workspace: the stored installation's, else SLACK_BOT_TOKEN's.

Rules of this file: the token is read from the store each time a conversation begins, and refreshed if it ends soon, so
one that was revoked is used by nobody who begins later. SLACK_BOT_TOKEN is stored nowhere. A connection is shared by
all conversations of a token, and closed when the last one has ended and another token came.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stateroom.bot.directory import Directory
from stateroom.bot.lane import Identity
from stateroom.bot.turn import backoff
from stateroom.model.errors import SlackError, Throttled

if TYPE_CHECKING:
    from stateroom.slack.client import SlackClient

_CONNECTIONS: Final = 100  # tokens whose connection stays open when nobody speaks
log = logging.getLogger("stateroom.worker")


class Own:
    """SLACK_BOT_TOKEN: which team it is for is asked of Slack, off every path that somebody waits on."""

    def __init__(
        self, slack: Any | None, clock: Callable[[], float], *, chance: Callable[[], float] = random.random
    ) -> None:
        self.slack = slack
        self._clock = clock
        self._chance = chance
        self.identity: Identity | None = None
        self._again = asyncio.Event()

    @property
    def known(self) -> bool:
        """Whether there is nothing left to ask."""
        return self.slack is None or self.identity is not None

    def serves(self, team: str) -> bool | None:
        """Whether the token is for the team; None while Slack has not said."""
        if self.slack is None:
            return False
        return None if self.identity is None else self.identity.team == team

    def left(self, team: str) -> None:
        """The app was removed from the team, or its token revoked: ask again before it is used."""
        if self.identity is not None and self.identity.team == team:
            self.identity = None
            self._again.set()

    async def confirm(self, team: str) -> bool | None:
        """Whether the token works for the team now, asked of Slack; None where Slack does not say."""
        if self.slack is None:
            return False
        try:
            said = await self.slack.auth_test(deadline=self._clock() + 10.0)
        except (SlackError, Throttled) as failed:
            return None if failed.retryable else False
        return bool(said["team_id"] == team)

    async def settle(self, settled: Callable[[], None] = lambda: None) -> None:
        """Ask until cancelled whenever it is not known; `settled` hears of each answer."""
        tries = 0
        while self.slack is not None:
            self._again.clear()
            if self.identity is not None:
                tries = 0
                await self._again.wait()
                continue
            tries += 1
            try:
                said = await self.slack.auth_test(deadline=self._clock() + 10.0)
            except (SlackError, Throttled) as failed:
                wait = backoff(tries, 0.5, self._chance, asked=getattr(failed, "retry_after", 0.0), cap=30.0)
                log.warning("Slack does not say who we are: %s; next try in %.1f s", failed, wait)
                await asyncio.sleep(wait)
                continue
            self.identity = Identity(str(said["team_id"]), str(said["user_id"]), str(said.get("bot_id") or ""))
            log.info("serving team %s as %s", self.identity.team, self.identity.user)
            settled()


class Voice(NamedTuple):
    """A client with a token of the team, and who it is there."""

    slack: Any
    identity: Identity


class _Line:
    """An open connection: its token, and how many speak over it."""

    __slots__ = ("client", "token", "users")

    def __init__(self, token: str, client: SlackClient) -> None:
        self.token = token
        self.client = client
        self.users = 0


class Voices:
    """Voices by team. `refresh` exchanges a refresh token (`oauth.v2.access`); None: tokens are used to their end."""

    def __init__(
        self,
        directory: Directory,
        own: Own,
        make: Callable[[str], SlackClient],
        refresh: Callable[[str], Any] | None,
    ) -> None:
        self._directory = directory
        self._own = own
        self._make = make
        self._refresh = refresh
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def of(self, team: str) -> AsyncIterator[Voice | None]:
        """The voice for one conversation; None where we have none by now. StateroomError of the store or of Slack."""
        found = await self._installed(team)
        if found is None:
            own = self._own
            yield Voice(own.slack, own.identity) if own.serves(team) and own.identity is not None else None
            return
        line = await self._line(team, str(found["bot_token"]))
        line.users += 1
        try:
            yield Voice(line.client, Identity(team, str(found["bot_user_id"] or ""), str(found["bot_id"] or "")))
        finally:
            line.users -= 1
            if not line.users and self._lines.get(team) is not line:
                await line.client.close()

    async def close(self) -> None:
        """Close every connection."""
        for line in self._lines.values():
            await line.client.close()
        self._lines.clear()

    async def _installed(self, team: str) -> Mapping[str, Any] | None:
        where = await self._directory.where(team)
        if where is None:
            return None
        kept = self._directory.installations
        found = await kept.find_bot(
            enterprise_id=where.enterprise, team_id=where.team, is_enterprise_install=where.team is None
        )
        if found is None or self._refresh is None:
            return found
        return await kept.fresh(found, self._refresh)

    async def _line(self, team: str, token: str) -> _Line:
        line = self._lines.pop(team, None)
        if line is not None and line.token != token:
            if not line.users:
                await line.client.close()
            line = None
        if line is None:
            line = _Line(token, self._make(token))
        self._lines[team] = line  # the youngest is last
        if len(self._lines) > _CONNECTIONS:
            await self._hang_up()
        return line

    async def _hang_up(self) -> None:
        """The connection that nobody has used for longest."""
        idle = next((team for team, line in self._lines.items() if not line.users), None)
        if idle is not None:
            await self._lines.pop(idle).client.close()
