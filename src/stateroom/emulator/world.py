"""The state of a local Slack: who is there, what was said, and what has just changed.

Rules of this file: no I/O, no clock, no randomness: the moment and new ids are handed in. Every change goes through a
method that also notes its effects (records to keep, news for the page, happenings to tell apps about); whoever called
drains them in the same step, so a half-noted change never leaves the process. Timestamps are unique and rising per
channel; a caller that names one (tests with the same timestamp in two teams) may name an old one.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from stateroom.emulator import views
from stateroom.emulator.datastores import Datastores
from stateroom.emulator.elements import Values
from stateroom.emulator.files import Files, absolute
from stateroom.emulator.grants import Grants
from stateroom.emulator.hooks import Hooks
from stateroom.emulator.manifests import definitions_of
from stateroom.emulator.records import (
    App,
    Blob,
    Channel,
    Enterprise,
    File,
    Hook,
    Install,
    Item,
    Json,
    Message,
    Pending,
    Record,
    Scheduled,
    Session,
    Team,
    Token,
    User,
    View,
    encode,
)
from stateroom.emulator.sessions import Sessions
from stateroom.emulator.surfaces import Surfaces

NewId = Callable[[str], str]

TS_PATTERN = re.compile(r"[0-9]{10}\.[0-9]{6}")


def user_token(user: User) -> str:
    """The token of a person, as the Slack CLI holds one."""
    return f"xoxp-{user.team}-{user.id}"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that apps may be told. `kind` is said, changed, deleted, reaction_added or reaction_removed."""

    kind: str
    team: str
    channel: str
    ts: str
    at: str
    message: Json
    previous: Json | None = None
    user: str | None = None
    reaction: str | None = None


@dataclass(frozen=True, slots=True)
class Addressed:
    """An event for one app, whatever channels its bot is in. `delay` in s holds it back behind another."""

    app_id: str
    install: Install
    event: Json
    channel: str = ""
    ts: str = ""
    delay: float = 0.0
    event_id: str | None = None


@dataclass(slots=True)
class Effects:
    """What changes did: journal records (None: forget the key), news for the page, happenings and events for apps."""

    records: dict[str, bytes | None] = field(default_factory=dict)
    news: list[Json] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    addressed: list[Addressed] = field(default_factory=list)


@dataclass(slots=True)
class Status:
    """The line "is thinking…" under a thread; `since` in Unix s."""

    channel: str
    thread_ts: str
    app_id: str
    text: str
    since: float


class Room:
    """A channel with its messages, oldest first, and its threads."""

    __slots__ = ("by_client_id", "channel", "last_us", "messages", "order", "threads")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.messages: dict[str, Message] = {}
        self.order: list[str] = []
        self.threads: dict[str, list[str]] = {}
        self.by_client_id: dict[str, str] = {}
        self.last_us = 0

    def next_ts(self, now: float) -> str:
        self.last_us = max(round(now * 1e6), self.last_us + 1)
        return f"{self.last_us // 1_000_000:010d}.{self.last_us % 1_000_000:06d}"

    def add(self, message: Message) -> None:
        insort(self.order, message.ts)
        self.messages[message.ts] = message
        self.last_us = max(self.last_us, int(message.ts.replace(".", "")))
        if message.is_reply and message.thread_ts is not None:
            insort(self.threads.setdefault(message.thread_ts, []), message.ts)
        if message.client_msg_id is not None:
            self.by_client_id[message.client_msg_id] = message.ts

    def remove(self, message: Message) -> None:
        del self.messages[message.ts]
        self.order.remove(message.ts)
        if message.is_reply and message.thread_ts is not None:
            self.threads[message.thread_ts].remove(message.ts)

    def replies(self, ts: str) -> list[Message]:
        return [self.messages[reply] for reply in self.threads.get(ts, ())]

    def listed(self) -> list[Message]:
        return [self.messages[ts] for ts in self.order]


class World:
    """Everything a local Slack knows. `journaled`: its records are kept somewhere, so they are worth encoding."""

    def __init__(self, *, journaled: bool = True) -> None:
        self.journaled = journaled
        self.enterprises: dict[str, Enterprise] = {}
        self.teams: dict[str, Team] = {}
        self.users: dict[tuple[str, str], User] = {}
        self.rooms: dict[tuple[str, str], Room] = {}
        self.apps: dict[str, App] = {}
        self.pending: dict[str, Pending] = {}
        self.statuses: dict[tuple[str, str, str], Status] = {}
        self.streams: dict[str, Message] = {}
        self.left: set[str] = set()  # apps that were removed from their last team just now
        self.scheduled: dict[str, Scheduled] = {}
        self.touched: dict[tuple[str, str], Values] = {}
        self.datastores = Datastores(self.keep, self.forget)
        self.grants = Grants(self.keep, self.forget)
        self.hooks = Hooks(self.keep, self.forget)
        self.surfaces = Surfaces(self.keep, self.forget, self.tell)
        self.files = Files(self.keep, self.forget)
        self.sessions = Sessions(self.keep, self.forget, self.tell)
        self.base_url = "http://127.0.0.1"
        self._effects = Effects()

    # ---- effects

    def drain(self) -> Effects:
        """What changed since the last drain."""
        effects, self._effects = self._effects, Effects()
        return effects

    def keep(self, record: Record) -> None:
        if self.journaled:
            self._effects.records[record.key] = encode(record)

    def forget(self, key: str) -> None:
        if self.journaled:
            self._effects.records[key] = None

    def tell(self, kind: str, **fields: object) -> None:
        self._effects.news.append({"type": kind, **fields})

    def happen(self, happening: Happening) -> None:
        self._effects.happenings.append(happening)

    def address(self, addressed: Addressed) -> None:
        self._effects.addressed.append(addressed)

    # ---- who is there

    def load(self, records: Iterable[Record]) -> None:
        """Take in journal records, in any order."""
        takers = {
            Enterprise: self._load_enterprise,
            Team: self._load_team,
            User: self._load_user,
            Channel: self._load_channel,
            Token: self.grants.load,
            File: self.files.load,
            Blob: self.files.load,
            Session: self.sessions.load,
        }
        late = []
        for record in records:
            taker = takers.get(type(record))
            if taker is None:
                late.append(record)
            else:
                taker(record)  # type: ignore[operator]
        messages, items = [], []
        for record in late:
            if isinstance(record, App):
                self.apps[record.app_id] = record
                self.datastores.define(record.app_id, definitions_of(record.manifest))
            elif isinstance(record, Item):
                items.append(record)
            elif isinstance(record, Pending):
                self.pending[record.key] = record
            elif isinstance(record, Scheduled):
                self.scheduled[record.id] = record
            elif isinstance(record, View):
                self.surfaces.load(record)
            elif isinstance(record, Hook):
                self.hooks.load(record)
            elif isinstance(record, Message):
                messages.append(record)
        for message in sorted(messages, key=attrgetter("ts")):
            self._load_message(message)
        self.datastores.load(items)

    def _load_enterprise(self, enterprise: Enterprise) -> None:
        self.enterprises[enterprise.id] = enterprise

    def _load_team(self, team: Team) -> None:
        self.teams[team.id] = team

    def _load_user(self, user: User) -> None:
        self.users[user.team, user.id] = user

    def _load_channel(self, channel: Channel) -> None:
        self.rooms[channel.team, channel.id] = Room(channel)

    def _load_message(self, message: Message) -> None:
        self.rooms[message.team, message.channel].add(message)
        if message.streaming:
            self.streams[message.key] = message

    def add_enterprise(self, enterprise: Enterprise) -> None:
        self._load_enterprise(enterprise)
        self.keep(enterprise)

    def add_team(self, team: Team) -> None:
        self._load_team(team)
        self.keep(team)

    def add_user(self, user: User) -> None:
        self._load_user(user)
        self.keep(user)

    def add_channel(self, channel: Channel) -> Room:
        self._load_channel(channel)
        self.keep(channel)
        return self.rooms[channel.team, channel.id]

    def add_app(self, app: App) -> None:
        self.apps[app.app_id] = app
        self.keep(app)

    def by_token(self, token: str) -> tuple[App, Install] | None:
        for app in self.apps.values():
            for install in app.installs.values():
                if install.bot_token == token:
                    return app, install
        return None

    def by_client_id(self, client_id: str) -> App | None:
        return next((app for app in self.apps.values() if client_id and app.client_id == client_id), None)

    def by_app_token(self, token: str) -> App | None:
        """The app whose app-level token it is."""
        return next((app for app in self.apps.values() if token and app.app_token == token), None)

    def by_user_token(self, token: str) -> User | None:
        """The person whose token it is: each has one, `xoxp-<team>-<user>`."""
        _, team, user_id = [*token.split("-"), "", ""][:3]
        user = self.users.get((team, user_id))
        return user if user is not None and not user.is_bot and token == user_token(user) else None

    def people(self, team: str) -> list[User]:
        return [user for user in self.users.values() if user.team == team and not user.is_bot]

    def members_of(self, team: str) -> list[User]:
        return [user for user in self.users.values() if user.team == team]

    def channels_of(self, team: str) -> list[Channel]:
        return [room.channel for room in self.rooms.values() if room.channel.team == team]

    def dm_between(self, team: str, user: str, other: str) -> Channel | None:
        for channel in self.channels_of(team):
            if channel.is_im and set(channel.members) == {user, other}:
                return channel
        return None

    # ---- how a message looks now

    def slack_view(self, message: Message, *, metadata: bool = False) -> Json:
        room = self.rooms[message.team, message.channel]
        parent = room.messages.get(message.thread_ts) if message.thread_ts else None
        view = views.slack_message(message, parent, room.replies(message.ts), metadata=metadata)
        if message.files:
            view["files"] = [absolute(file, self.base_url) for file in message.files]
        return view

    def sim_view(self, message: Message) -> Json:
        room = self.rooms[message.team, message.channel]
        return views.sim_message(message, len(room.threads.get(message.ts, ())))

    def show(self, message: Message) -> None:
        """Keep a changed message and let the page draw it again, with the parent whose reply count it changes."""
        self.keep(message)
        self.tell("message", team=message.team, channel=message.channel, ts=message.ts)
        if message.is_reply and message.thread_ts in self.rooms[message.team, message.channel].messages:
            self.tell("message", team=message.team, channel=message.channel, ts=message.thread_ts)

    # ---- reset

    def forget_messages(self) -> None:
        """What was said, stored and begun goes, with events on their way; teams, people and apps stay."""
        for room in self.rooms.values():
            for message in room.messages.values():
                self.forget(message.key)
        for key in self.pending:
            self.forget(key)
        for place, room in list(self.rooms.items()):
            fresh = Room(room.channel)
            fresh.last_us = room.last_us
            self.rooms[place] = fresh
        self.pending.clear()
        self.statuses.clear()
        self.streams.clear()
        self.touched.clear()
        self.surfaces.forget_all()
        self.files.clear()
        for made in self.scheduled.values():
            self.forget(made.key)
        self.scheduled.clear()
        self.sessions.clear()
        for collection in self.datastores.all():
            self.datastores.clear(collection)
        self.tell("reset")
