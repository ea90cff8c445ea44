"""Which workspaces are ours, known without asking Slack: what ingress and worker look up at each event.

Rules of this file: the store is the truth; what is known of it is at most `STALE` seconds old and refreshed off the ack
path. A workspace that is not known is looked up in the store, never in Slack (invariant 10). What Slack's events say of
a workspace in this process is known at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from stateroom.layers.installations import Installations
from stateroom.model.errors import StateroomError
from stateroom.slack.events import TokensRevoked, Uninstalled

FRESH: Final = 2.0  # seconds in which nothing is looked up
STALE: Final = 10.0  # seconds after which what is known is not used
_PAIR: Final = 10.0  # seconds between the two events of one uninstall
_KNOWN: Final = 10_000  # workspaces remembered
log = logging.getLogger("stateroom.installations")


class Where(NamedTuple):
    """The installation that serves a workspace; org-wide when it has no team."""

    enterprise: str | None
    team: str | None


class _Entry(NamedTuple):
    at: float
    where: Where | None


class Directory:
    """`fallback(team)`: whether SLACK_BOT_TOKEN serves it, None while that is not known."""

    def __init__(
        self,
        installations: Installations,
        clock: Callable[[], float],
        *,
        fallback: Callable[[str], bool | None] = lambda _: False,
        gone: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.installations = installations
        self._clock = clock
        self.fallback = fallback
        self.gone = gone
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        self._departed: dict[str, tuple[float, type]] = {}  # when the first event of an uninstall was heard, and which
        self._looking: dict[str, asyncio.Task[Where | None]] = {}

    def serves(self, team: str, enterprise: str | None = None) -> bool | None:
        """Whether the workspace is ours, from memory; None: ask `look`."""
        entry = self._entry(team, enterprise)
        return None if entry is None else entry.where is not None or self.fallback(team)

    def may_serve(self, team: str, enterprise: str | None = None) -> bool | None:
        """As `serves`, and True while the fallback cannot say: `look` knows no better then."""
        entry = self._entry(team, enterprise)
        return None if entry is None else entry.where is not None or self.fallback(team) is not False

    def _entry(self, team: str, enterprise: str | None) -> _Entry | None:
        """What is known, if it is new enough; it is looked up again in time."""
        entry = self._known.get(team)
        if entry is None:
            return None
        age = self._clock() - entry.at
        if age > STALE:
            return None
        if age > FRESH:
            self._task(team, enterprise)
        return entry

    async def look(self, team: str, enterprise: str | None = None) -> bool | None:
        """Whether it is ours, from the store; None while Slack has not said what SLACK_BOT_TOKEN is for."""
        return True if await self.where(team, enterprise) is not None else self.fallback(team)

    async def where(self, team: str, enterprise: str | None = None) -> Where | None:
        """The installation that serves a workspace, as the store has it now. StateroomError."""
        return await asyncio.shield(self._task(team, enterprise))

    def forget(self, team: str) -> None:
        """Something changed: look again."""
        self._known.pop(team, None)

    def came(self, _place: str) -> None:
        """An install: of a workspace, or of an organisation, whose workspaces we do not know."""
        self._known.clear()

    async def uninstalled(self, event: Uninstalled) -> str:
        """The app was removed: durable, and known here at once."""
        at = self._heard(event, event.event_time)
        changed = False
        # Where nothing is stored, SLACK_BOT_TOKEN served it: its data is to go as well.
        for where in await self._places(event.team) or [_place(event.team, event.enterprise)]:
            changed |= await self.installations.uninstalled(
                enterprise_id=where.enterprise, team_id=where.team, at=at, event_id=event.event_id
            )
        self._leave(event.team)
        log.info("app uninstalled", extra={"team": event.team, "changed": changed})
        return "uninstalled" if changed else "repeated"

    async def revoked(self, event: TokensRevoked) -> str:
        """Tokens were revoked: forgotten durably, and here at once."""
        at = self._heard(event, event.event_time)
        changed = False
        for where in await self._places(event.team):
            changed |= await self.installations.revoked(
                enterprise_id=where.enterprise,
                team_id=where.team,
                bot=bool(event.bot),
                users=event.oauth,
                at=at,
                event_id=event.event_id,
            )
        if event.bot:
            self._leave(event.team)
        log.info("tokens revoked", extra={"team": event.team, "changed": changed})
        return "revoked" if changed else "repeated"

    def _heard(self, event: Uninstalled | TokensRevoked, seconds: int) -> float:
        """The latest moment that the event can be of: Slack tells whole seconds.

        One uninstall is two events in either order. When an install comes between them, the second one is still of
        the time before it; all who could tell that is who heard the first one.
        """
        now = self._clock()
        at = min(now, seconds + 1.0) if seconds else now
        first, kind = self._departed.get(event.team, (0.0, type(event)))
        if kind is not type(event) and now - first < _PAIR:
            self._departed.pop(event.team)
            return min(at, first)
        self._departed[event.team] = (now, type(event))
        if len(self._departed) > _KNOWN:
            self._departed.pop(next(iter(self._departed)))
        return at

    def _leave(self, place: str) -> None:
        """Forget a workspace, or all of an organisation."""
        known = {team: entry.where for team, entry in self._known.items()}
        for team, where in known.items():
            if place in (team, None if where is None else where.enterprise):
                self.forget(team)
                self.gone(team)
        self.gone(place)

    def _task(self, team: str, enterprise: str | None) -> asyncio.Task[Where | None]:
        task = self._looking.get(team)
        if task is None:
            task = self._looking[team] = asyncio.create_task(self._read(team, enterprise))
            task.add_done_callback(lambda done: self._read_ended(team, done))
        return task

    def _read_ended(self, team: str, task: asyncio.Task[Where | None]) -> None:
        self._looking.pop(team, None)
        if task.cancelled():
            return
        if error := task.exception():  # whoever waits has it, too; without anybody it is only told
            log.warning("a workspace could not be looked up: %s", _told(error))

    async def _read(self, team: str, enterprise: str | None) -> Where | None:
        at = self._clock()  # what is read may be that old
        found = await self._found(team, enterprise)
        self._known[team] = _Entry(at, found)
        self._known.move_to_end(team)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return found

    async def _found(self, team: str, enterprise: str | None) -> Where | None:
        kept = self.installations
        here = [_place(team, inside) for inside, state in await kept.places_in(team) if state == "INSTALLED"]
        if here:
            return next((where for where in here if where.enterprise == enterprise), here[0])
        owner = enterprise or await kept.organisation_of(team)
        if owner is None or await kept.state_of(enterprise_id=owner, team_id=None) != "INSTALLED":
            return None
        if enterprise is not None:
            await kept.note_member(enterprise_id=enterprise, team_id=team)
        return Where(owner, None)

    async def _places(self, team: str) -> list[Where]:
        return [_place(team, inside) for inside, _ in await self.installations.places_in(team)]


def _place(team: str, enterprise: str | None) -> Where:
    """Slack names the organisation as the team, where all of it is meant."""
    return Where(team, None) if team[:1] == "E" else Where(enterprise, team)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, StateroomError) else type(error).__name__
