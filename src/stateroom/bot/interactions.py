"""What the assistant does when a person acts: stops an answer, says what it can; all else is acknowledged.

Rules of this file: a table of what is offered; no call of Slack (invariant 10): what is asked for is durable before the
answer to Slack, and a worker does it. What we do not know is no error: other code of the same app may have made it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from stateroom.bot.offers import CONTINUE, FEEDBACK, GO_ON, JUDGEMENTS
from stateroom.layers.inbox import Inbox
from stateroom.slack.app_manifest import COMMAND, STOP_SHORTCUT
from stateroom.slack.interactions import Acted, Command

log = logging.getLogger("stateroom.feedback")
Answer = Mapping[str, Any]
NOTHING: Final[Answer] = {}
HELP: Final = (
    f"Write to me directly, or name me in a channel; I answer in the thread. `{COMMAND} stop` ends what I am writing "
    "for you here; so does the message shortcut “Stop this answer”."
)
STOPPING: Final = "I am stopping."
IDLE: Final = "I am not writing anything for you here."


class Interactions:
    """Takes interactions and commands; each method gives the body of the answer to Slack."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Callable[[], float],
        *,
        wake: Callable[[], None] = lambda: None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._inbox = inbox
        self._wake = wake
        self._count = count
        self._clock = clock
        self._words: Mapping[str, Callable[[Command], Awaitable[str]]] = {"help": self._help, "stop": self._stop}

    async def acted(self, event: Acted) -> Answer:
        """A press, a shortcut, a modal."""
        if STOP_SHORTCUT in event.names and event.channel and event.thread:
            await self._inbox.stop(event.team, f"{event.channel}:{event.thread}", before=event.at or self._now())
        if CONTINUE in event.names and event.channel and event.thread and event.message:
            await self._go_on(event, event.channel, event.thread, event.message)
        if FEEDBACK in event.names and event.value in JUDGEMENTS:
            self._count(f"feedback_{event.value}")
            place = {"team": event.team, "answer_ts": event.message, "lane": f"{event.channel}:{event.thread}"}
            log.info("feedback: %s", event.value, extra=place)
        # A select that asks for options would show an error without them; we offer none.
        return {"options": []} if event.kind == "block_suggestion" else NOTHING

    async def _go_on(self, event: Acted, channel: str, thread: str, message: str) -> None:
        """The rest of an answer, which is a turn of its own: one, however often and by whomever it is asked for."""
        if await self._inbox.go_on(event.team, channel, thread, message, user=event.user, text=GO_ON):
            self._wake()

    async def command(self, command: Command) -> Answer:
        """`/stateroom …`; whatever else is typed gets help."""
        word = command.text.strip().lower().partition(" ")[0]
        text = await self._words.get(word, self._help)(command)
        return {"response_type": "ephemeral", "text": text}

    async def _help(self, _command: Command) -> str:
        return HELP

    async def _stop(self, command: Command) -> str:
        stopped = await self._inbox.stop_of(command.team, command.channel, command.user, before=self._now())
        return STOPPING if stopped else IDLE

    def _now(self) -> str:
        """As Slack writes times."""
        return f"{self._clock():.6f}"
