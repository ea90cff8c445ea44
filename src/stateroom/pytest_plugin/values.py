"""What a test holds in its hands: messages, views, and what an app answered to an action.

Rules of this file: values only, made from what the control plane shows. A test's words are its own: a repr shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the channel shows it. `thread_ts` is None for one that is in no thread; `bot_id` for a person's."""

    team: str
    channel: str
    ts: str
    user: str
    text: str
    thread_ts: str | None = None
    bot_id: str | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> Message:
        """From `GET /_sim/messages`."""
        names = ("team", "channel", "ts", "user", "text", "thread_ts", "bot_id")
        return cls(**{name: raw[name] for name in names if name in raw}, raw=raw)

    @property
    def thread(self) -> str:
        """The `thread_ts` of an answer in its thread: that of the thread it is in, or its own."""
        return self.thread_ts or self.ts

    @property
    def is_reply(self) -> bool:
        """Whether it stands inside a thread."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def blocks(self) -> list[Json]:
        """Its blocks, with the ids that Slack gave them."""
        return list(self.raw.get("blocks", ()))

    @property
    def files(self) -> list[Json]:
        """Its files, as Slack's file objects."""
        return list(self.raw.get("files", ()))

    @property
    def reactions(self) -> dict[str, list[str]]:
        """Emoji name to the people who gave it."""
        return {one["name"]: list(one["users"]) for one in self.raw.get("reactions", ())}

    @property
    def is_final(self) -> bool:
        """Whether it is there to stay: no stream goes on, and it was not deleted."""
        return not self.raw.get("streaming") and not self.raw.get("deleted")


@dataclass(frozen=True, slots=True)
class View:
    """A modal that a person has open, or an App Home."""

    id: str
    title: str
    callback_id: str
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> View:
        """From `GET /_sim/views`."""
        title = raw.get("title") or {}
        return cls(str(raw["id"]), str(title.get("text", "")), str(raw.get("callback_id", "")), raw)

    @property
    def blocks(self) -> list[Json]:
        """Its blocks, with the ids that Slack gave them."""
        return list(self.raw.get("blocks", ()))

    @property
    def text(self) -> str:
        """All the words in it, one line each."""
        return "\n".join(words(self.raw))


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of an action that an app had to answer at once."""

    raw: Json = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the app took it in time."""
        return bool(self.raw.get("ok"))

    @property
    def error(self) -> str | None:
        """`no_ack`, `app_offline`, `http_error`, `unknown_command` …"""
        return self.raw.get("error")

    @property
    def detail(self) -> str:
        """What to do about it."""
        return str(self.raw.get("detail", ""))

    @property
    def errors(self) -> dict[str, str]:
        """What a refused submission says, block id to words."""
        return dict(self.raw.get("errors") or {})

    @property
    def response_action(self) -> str | None:
        """`errors`, `update`, `push` or `clear`, when the app answered a submission so."""
        return self.raw.get("response_action")

    @property
    def options(self) -> list[Json]:
        """What a select with external data offers."""
        return list(self.raw.get("options") or ())


def words(part: Any) -> Iterator[str]:
    """Every `text` in a structure of blocks, in order."""
    if isinstance(part, dict):
        if isinstance(part.get("text"), str):
            yield part["text"]
        for value in part.values():
            yield from words(value)
    elif isinstance(part, list):
        for one in part:
            yield from words(one)
