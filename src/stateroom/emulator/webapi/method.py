"""What a Web API method is: its arguments, its tokens and scope, its rate tier, its handler.

Rules of this file: values and the checks that every method shares; no method of its own. A handler is a plain function
from a `Call` to the reply's fields; it raises `Refused` with Slack's own error code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stateroom.emulator.config import EmulatorConfig
from stateroom.emulator.records import App, Channel, Install, Json, Message
from stateroom.emulator.tiers import TIER_3, Tier
from stateroom.emulator.world import TS_PATTERN, Room, World
from stateroom.model.errors import StateroomError


class Refused(StateroomError):
    """Slack says no: `.code` is the `error` of the reply, `.extra` what stands beside it."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(f"the local Slack refuses: {code}")
        self.code = code
        self.extra = extra


def invalid_arguments(problem: str) -> Refused:
    return Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {problem}"]})


@dataclass(frozen=True, slots=True)
class Arg:
    """`kind` is text, flag, number, list, object, ids or keys (a list or comma-separated text),
    item, items (objects with exact numbers).

    `null`: the four letters mean that it is absent, as a client sends that turns every value into JSON text.
    """

    name: str
    kind: str = "text"
    required: bool = False
    null: bool = False


NO_APP = App(app_id="", name="", signing_secret="")


@dataclass(slots=True)
class Looked:
    """What a call on datastores looked at and wrote: items, their bytes, and the pages that Slack cuts.

    Slack tells nobody; it decides what a call costs, so the local Slack writes it down (`GET /_sim/calls`).
    """

    items: int = 0
    bytes: int = 0
    pages: int = 0

    def add(self, sizes: Iterable[int], *, pages: int = 0) -> None:
        """Items of these sizes were looked at."""
        listed = list(sizes)
        self.items += len(listed)
        self.bytes += sum(listed)
        self.pages += pages


@dataclass(slots=True)
class Call:
    """One call in one team: by an app, or by a person (`user`) for the app that they name (`NO_APP`: none).

    `token` is what it was called with. `warnings` are added to the reply, the last `failures` inputs of a bulk call
    fail.
    """

    world: World
    config: EmulatorConfig
    app: App
    install: Install
    args: Mapping[str, Any]
    now: float
    new_id: Callable[[str], str]
    base_url: str
    warnings: list[str] = field(default_factory=list)
    user: str | None = None
    failures: int = 0
    token: str = ""
    looked: Looked = field(default_factory=Looked)

    @property
    def place(self) -> str:
        """What an app is installed in: the team, or the organisation of an org-wide install."""
        return self.install.enterprise or "" if self.install.org_wide else self.install.team

    @property
    def team(self) -> str:
        return self.install.team

    def text(self, name: str) -> str | None:
        """An argument as text; an empty one counts as absent."""
        value = self.args.get(name)
        return value if isinstance(value, str) and value else None

    def items(self, name: str) -> list[Any]:
        value = self.args.get(name)
        return value if isinstance(value, list) else []

    def room(self, name: str = "channel", *, member: bool = True) -> Room:
        """The channel named by an argument: an id, `#name`, or a person (their direct message with the bot)."""
        given = self.text(name) or ""
        room = self.world.rooms.get((self.team, given)) or self._by_name(given) or self._by_person(given)
        if room is None or (room.channel.is_im and not self.is_member(room.channel)):
            raise Refused("channel_not_found")
        if member and not self.is_member(room.channel):
            raise Refused("not_in_channel")
        return room

    def is_member(self, channel: Channel) -> bool:
        return self.install.bot_user_id in channel.members

    def _by_name(self, given: str) -> Room | None:
        name = given.removeprefix("#")
        for channel in self.world.channels_of(self.team):
            if name and channel.name == name and not channel.is_im:
                return self.world.rooms[self.team, channel.id]
        return None

    def _by_person(self, given: str) -> Room | None:
        if (self.team, given) not in self.world.users:
            return None
        return self.world.rooms[self.team, self.open_dm(given).id]

    def open_dm(self, user: str) -> Channel:
        """The direct message between a person and this bot, made when it is first needed."""
        found = self.world.dm_between(self.team, user, self.install.bot_user_id)
        if found is not None:
            return found
        members = [user, self.install.bot_user_id]
        channel = Channel(
            id=self.new_id("D"), team=self.team, is_im=True, user=user, members=members, created=int(self.now)
        )
        return self.world.add_channel(channel).channel

    def timestamp(self, name: str, code: str) -> str | None:
        """A timestamp argument of Slack's shape, else the error `code`."""
        value = self.text(name)
        if value is not None and TS_PATTERN.fullmatch(value) is None:
            raise Refused(code)
        return value

    def message(self, room: Room, name: str = "ts", code: str = "message_not_found") -> Message:
        """The message that an argument names, visible to apps."""
        found = room.messages.get(self.text(name) or "")
        if found is None or found.ephemeral_to is not None or found.deleted:
            raise Refused(code)
        return found


Handler = Callable[[Call], Json]


# A bot's token, a person's own (as the Slack CLI has one), one that a person gave to an app, an app's id and secret,
# an app-level token.
BOT, USER, GRANTED, CLIENT, APP = "bot", "user", "granted", "client", "app"


@dataclass(frozen=True, slots=True)
class Method:
    """`scopes`: any one of them is enough; none are needed when empty, and a person's token has all.

    `tokens` are the kinds it takes. `of_app`: it works on one app's data, which `app_id` names when the token does not.
    `exact`: numbers are read without loss. `by_post`: it is posted, with its token in the header.
    """

    name: str
    handler: Handler
    args: tuple[Arg, ...] = ()
    scopes: tuple[str, ...] = ()
    tier: Tier = TIER_3
    tokens: tuple[str, ...] = (BOT, GRANTED)
    of_app: bool = False
    exact: bool = False
    by_post: bool = False


READ_SCOPES = ("channels:read", "groups:read", "im:read", "mpim:read")
HISTORY_SCOPES = ("channels:history", "groups:history", "im:history", "mpim:history")
