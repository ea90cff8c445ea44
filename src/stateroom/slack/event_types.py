"""What Slack tells us, as typed values: the union `Event` and its members.

Rules of this file: plain frozen values, ids already checked, text already storable; a repr shows where an event
belongs and never what somebody wrote.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Source: TypeAlias = Literal["mention", "im", "channel"]


class FileRef(msgspec.Struct, frozen=True, gc=False):
    """A file beside a message: `size` in bytes, 0 when Slack does not say."""

    id: str
    name: str
    mimetype: str
    size: int

    def __repr__(self) -> str:
        return f"FileRef(id={self.id!r}, size={self.size})"


class _Event(msgspec.Struct, frozen=True):
    """An event's repr shows where it belongs, never what somebody wrote."""

    def __repr__(self) -> str:
        shown = ((name, getattr(self, name, None)) for name in ("team", "channel", "ts", "event_id"))
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown if value is not None)})"


class UrlVerification(_Event, frozen=True, gc=False):
    """Slack checks that the address is ours; answer 200 with the challenge."""

    challenge: str


class Message(_Event, frozen=True):
    """A person said something. `thread_ts` is None outside a thread; `event_time` in Unix seconds.

    `own_user` is our bot's user in this team, when the envelope says so; `enterprise` the grid organisation's id.
    """

    team: str
    channel: str
    ts: str
    thread_ts: str | None
    user: str
    text: str
    source: Source
    files: tuple[FileRef, ...]
    event_id: str
    event_time: int
    own_user: str | None
    channel_type: str
    mentions_own: bool
    enterprise: str | None = None

    @property
    def thread(self) -> str:
        """The thread this belongs to, or starts."""
        return self.thread_ts or self.ts


class Edited(_Event, frozen=True):
    """A person changed the text of the message `ts`. `edited_at` is a Slack timestamp."""

    team: str
    channel: str
    ts: str
    thread_ts: str | None
    user: str
    text: str
    files: tuple[FileRef, ...]
    edited_at: str
    previous_text: str | None
    own_user: str | None
    event_id: str
    enterprise: str | None = None

    @property
    def thread(self) -> str:
        """The thread this belongs to, or starts."""
        return self.thread_ts or self.ts


class Deleted(_Event, frozen=True, gc=False):
    """The message `ts` is gone. `user` wrote it, when Slack says who (it may be a bot, ours too)."""

    team: str
    channel: str
    ts: str
    thread_ts: str | None
    user: str | None
    own_user: str | None
    event_id: str
    enterprise: str | None = None

    @property
    def thread(self) -> str:
        """The thread this belonged to, or started."""
        return self.thread_ts or self.ts


class Opened(_Event, frozen=True, gc=False):
    """A person opened a conversation with us. `thread_ts` is None in the Messages tab, where threads come later."""

    team: str
    channel: str
    thread_ts: str | None
    user: str
    at: str
    event_id: str
    enterprise: str | None = None


class Stopped(_Event, frozen=True, gc=False):
    """A person stopped what we were saying in a thread, at Slack's time `at`."""

    team: str
    channel: str
    thread_ts: str
    user: str | None
    at: str
    event_id: str
    enterprise: str | None = None


class Uninstalled(_Event, frozen=True, gc=False):
    """The app was removed from the team (or, org-wide, from the enterprise). `event_time`: Unix seconds, 0 unknown."""

    team: str
    event_id: str
    enterprise: str | None = None
    event_time: int = 0


class TokensRevoked(_Event, frozen=True):
    """Tokens of these users no longer work. Slack sends user ids, never tokens."""

    team: str
    oauth: tuple[str, ...]
    bot: tuple[str, ...]
    event_id: str
    enterprise: str | None = None
    event_time: int = 0


class RateLimited(_Event, frozen=True, gc=False):
    """Slack sent us too many events and dropped some; `minute` is the Unix time of that minute."""

    team: str
    minute: int


class Ignored(_Event, frozen=True, gc=False):
    """Nothing for us to do; answer 200. `reason` is one word of a fixed set, `kind` the event's type when plain."""

    reason: Literal["type", "bot", "own", "subtype", "hidden", "unchanged"]
    team: str | None
    kind: str = ""


Event: TypeAlias = (
    UrlVerification
    | Message
    | Edited
    | Deleted
    | Opened
    | Stopped
    | Uninstalled
    | TokensRevoked
    | RateLimited
    | Ignored
)
