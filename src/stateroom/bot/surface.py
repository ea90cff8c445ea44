"""What Slack shows around an answer: that we are at work, what the conversation is called, what could be asked.

Rules of this file: comfort, all of it: a failure costs nothing and is said in the debug log alone. An agent has a
session for each thread (docs.slack.dev/ai/agent-sessions), whose stop button is there while it is `processing`; the
older pane and apps that are neither have a line under the thread, which Slack takes away by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from stateroom.bot.config import BotConfig
from stateroom.bot.speaker import Slack
from stateroom.engines.port import Row
from stateroom.model.errors import SlackError, Throttled

WORKING: Final = "is thinking…"
PATIENCE: Final = 2.0  # seconds for one call: the answer waits for it
TITLE: Final = 80  # characters; Slack takes 200
log = logging.getLogger("stateroom.surface")


class Surface:
    """The surroundings of one conversation. `until()` is when a call must have ended."""

    def __init__(self, slack: Slack, config: BotConfig, until: Callable[[], float]) -> None:
        self._slack = slack
        self._config = config
        self._until = until
        self._is_agent = config.surface == "agent"

    async def begin(self, row: Row, text: str) -> None:
        """We are at work on a message; `text` names a conversation that begins with it."""
        if self._is_agent:
            await self._session(row, "processing", title=title_of(text), user=str(row.item.get("user", "")))
        else:
            await self._line(row, WORKING)

    async def name(self, row: Row, text: str) -> None:
        """The conversation's first message names it in the assistant pane, which is a direct message."""
        title = title_of(text)
        if self._config.surface == "assistant" and title and row.item["channel"].startswith("D"):
            await self._comfort(self._slack.set_title(**self._place(row), title=title))

    async def end(self, row: Row, *, mended: bool) -> None:
        """We are done. A message that was mended is not new, so Slack does not take the line away."""
        if self._is_agent:
            await self._session(row, "active")
        elif mended:
            await self._line(row, "")

    async def greet(self, row: Row) -> None:
        """A conversation was opened: suggest what could be asked."""
        place = self._place(row)
        if self._is_agent:
            place["thread_ts"] = None
        await self._comfort(self._slack.set_prompts(**place, prompts=self._config.prompts))

    async def _session(self, row: Row, status: str, **first: Any) -> None:
        await self._comfort(self._slack.set_session(**self._place(row), status=status, **first))

    async def _line(self, row: Row, status: str) -> None:
        await self._comfort(self._slack.set_status(**self._place(row), status=status))

    def _place(self, row: Row) -> dict[str, Any]:
        return {"channel": row.item["channel"], "thread_ts": row.item["thread_ts"], "deadline": self._until()}

    async def _comfort(self, call: Awaitable[None]) -> None:
        try:
            await call
        except (SlackError, Throttled) as failed:
            log.debug("not shown: %s", failed)


def title_of(text: str) -> str:
    """What a conversation is called after its first message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= TITLE else flat[: TITLE - 1].rstrip() + "…"
