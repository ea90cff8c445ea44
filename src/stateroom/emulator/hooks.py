"""What an app may use once, or for a while: socket tickets, trigger ids, response URLs.

Rules of this file: no clock, no randomness; the moment and new ids are handed in. Tickets and triggers live for
seconds, so only response URLs (30 minutes, five uses) are kept. Facts:
docs.slack.dev/interactivity/handling-user-interaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stateroom.emulator.records import Hook

TICKET_SECONDS = 30.0
RESPONSE_SECONDS = 1_800.0
RESPONSE_USES = 5


@dataclass(slots=True)
class Trigger:
    """May open one modal for one person. `view_id` is the modal that it was pressed in."""

    id: str
    app_id: str
    team: str
    user: str
    until: float
    view_id: str | None = None
    used: bool = False


class Hooks:
    """Tickets, triggers and response URLs of all apps."""

    def __init__(self, keep: Callable[[Hook], None], forget: Callable[[str], None]) -> None:
        self._keep = keep
        self._forget = forget
        self._tickets: dict[str, tuple[str, float]] = {}
        self._triggers: dict[str, Trigger] = {}
        self._responses: dict[str, Hook] = {}

    def load(self, hook: Hook) -> None:
        self._responses[hook.id] = hook

    # ---- tickets

    def issue_ticket(self, app_id: str, ticket: str, now: float) -> None:
        self._tickets[ticket] = (app_id, now + TICKET_SECONDS)

    def take_ticket(self, ticket: str, now: float) -> str | None:
        """The app that may open a socket with it; a ticket is good once."""
        app_id, until = self._tickets.pop(ticket, ("", 0.0))
        return app_id if now <= until else None

    # ---- triggers

    def add_trigger(self, trigger: Trigger) -> None:
        self._triggers[trigger.id] = trigger

    def trigger(self, trigger_id: str) -> Trigger | None:
        return self._triggers.get(trigger_id)

    # ---- response URLs

    def add_response(self, hook: Hook) -> None:
        self._responses[hook.id] = hook
        self._keep(hook)

    def response(self, hook_id: str) -> Hook | None:
        return self._responses.get(hook_id)

    def use_response(self, hook: Hook) -> None:
        hook.left -= 1
        self._keep(hook)

    def expire(self, now: float, grace: float) -> None:
        """Forget what was over `grace` seconds ago; until then it is known as expired."""
        self._tickets = {name: one for name, one in self._tickets.items() if now <= one[1] + grace}
        self._triggers = {name: one for name, one in self._triggers.items() if now <= one.until + grace}
        for hook in [one for one in self._responses.values() if now > one.until + grace]:
            del self._responses[hook.id]
            self._forget(hook.key)
