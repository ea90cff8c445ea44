"""Who writes the answer: the interface between a turn and a model, and the offline responder.

Rules of this file: a responder gets the stored history as plain JSON and yields text as it comes; what it gives back
for history is pydantic-ai's message JSON, so every responder leaves the same history. It raises ModelError only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. `history`: messages of earlier turns, oldest first; `turns`: how many there are in all."""

    text: str = field(repr=False)
    history: Sequence[Mapping[str, Any]] = field(repr=False)
    turns: int = 0
    first: str = field(default="", repr=False)  # what was said first in this thread
    files: Sequence[str] = field(default=(), repr=False)
    now: float = 0.0


@dataclass(slots=True)
class Answer:
    """What came of it: `messages` are this turn's, in pydantic-ai's JSON form; none: history keeps nothing of it.

    `reason` is why it ended, one word; `more`: there would be more, so offer to go on.
    """

    text: str = field(default="", repr=False)
    messages: list[dict[str, Any]] = field(default_factory=list, repr=False)
    reason: str = ""
    more: bool = False


class Responder(Protocol):
    """Answers one question; yields the text so far, again and again, the last time whole."""

    def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        """Yields the growing text; fills `result` before it ends."""


def prompt_of(ask: Ask) -> str:
    """The person's words, with the names of files they sent."""
    return "\n".join([ask.text, *(f"[file: {name}]" for name in ask.files)]).strip()


def exchange(prompt: str, text: str, now: float, model: str) -> list[dict[str, Any]]:
    """One request and one response in pydantic-ai's JSON form."""
    at = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    asked = {"content": prompt, "timestamp": at, "part_kind": "user-prompt"}
    said = {"content": text, "part_kind": "text"}
    return [
        {"parts": [asked], "timestamp": at, "kind": "request"},
        {"parts": [said], "model_name": model, "timestamp": at, "kind": "response"},
    ]


class Offline:
    """The honest local responder: no network; it says so and answers from the stored thread."""

    def __init__(self, pace: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._pace = pace
        self._sleep = sleep

    async def answer(self, ask: Ask, result: Answer) -> AsyncGenerator[str, None]:
        """Word by word, `pace` seconds apart."""
        words = self.words(ask)
        text = ""
        for word in words:
            text += word
            yield text
            await self._sleep(self._pace)
        result.text = text
        result.messages = exchange(prompt_of(ask), text, ask.now, "offline")

    @staticmethod
    def words(ask: Ask) -> list[str]:
        """The answer, cut behind its blanks."""
        said = "I am running offline, without a language model, so here is what I know. "
        said += f"You said: “{_short(prompt_of(ask))}”. "
        if ask.turns == 0:
            said += "This is the first turn of this thread that I have stored. "
            said += "Write again, crash me in between, and I will still know it."
        else:
            many = "one earlier turn" if ask.turns == 1 else f"{ask.turns} earlier turns"
            said += f"I have {many} of this thread in my store. It began with: “{_short(ask.first)}”."
        return [word + " " for word in said.split(" ")[:-1]] + [said.rsplit(" ", 1)[-1]]


def _short(text: str, limit: int = 200) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[:limit].rstrip() + "…"
