"""What a local Slack holds: plain records, as they are kept in the journal.

Rules of this file: data only, no clock, no I/O. Each record knows its journal key; a key names the team, so two teams
may hold the same channel id and the same timestamp. Every field has a default or is an id, so a journal written by an
older version still loads.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from stateroom.model.errors import CorruptData

Json = dict[str, Any]

# Items hold exact decimals; every other record has none, so one encoder serves all.
dumps: Final = msgspec.json.Encoder(decimal_format="number").encode
# What decoding a stranger's JSON raises: it is none, of another shape, or nested deeper than can be read.
UNREADABLE: Final = (msgspec.DecodeError, RecursionError)


class Team(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    name: str
    domain: str = "local"
    enterprise: str | None = None

    @property
    def key(self) -> str:
        return f"team/{self.id}"


class User(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    team: str
    name: str
    real_name: str = ""
    is_bot: bool = False
    app_id: str | None = None
    bot_id: str | None = None
    color: str = "4a6fa5"
    deleted: bool = False

    @property
    def key(self) -> str:
        return f"user/{self.team}/{self.id}"


class Channel(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`user` is the person's side of a direct message."""

    id: str
    team: str
    name: str = ""
    is_im: bool = False
    user: str | None = None
    topic: str = ""
    purpose: str = ""
    creator: str = ""
    members: list[str] = []
    created: int = 0

    @property
    def key(self) -> str:
        return f"channel/{self.team}/{self.id}"

    @property
    def kind(self) -> str:
        return "im" if self.is_im else "channel"


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`acked` lists the apps that acknowledged its event, `touched` is when a stream last moved (Unix s)."""

    team: str
    channel: str
    ts: str
    user: str
    text: str = ""
    thread_ts: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    subtype: str | None = None
    client_msg_id: str | None = None
    ephemeral_to: str | None = None
    blocks: list[Any] = []
    attachments: list[Any] = []
    files: list[Json] = []
    chunks: list[Json] = []
    metadata: Json | None = None
    edited: Json | None = None
    reactions: dict[str, list[str]] = {}
    streaming: bool = False
    stopped: bool = False
    touched: float = 0.0
    deleted: bool = False
    acked: list[str] = []

    @property
    def key(self) -> str:
        return f"message/{self.team}/{self.channel}/{self.ts}"

    @property
    def thread(self) -> str:
        """The thread that it belongs to or would start."""
        return self.thread_ts or self.ts

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


class Enterprise(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An organisation, `E…`, with several teams."""

    id: str
    name: str

    @property
    def key(self) -> str:
        return f"enterprise/{self.id}"


class File(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`complete`: it can be seen; `ticket` is the secret part of its upload address. `shares` are its messages."""

    id: str
    team: str
    user: str
    name: str
    created: int
    title: str = ""
    mimetype: str = ""
    alt_txt: str = ""
    app_id: str = ""
    size: int = 0
    ticket: str = ""
    uploaded: bool = False
    complete: bool = False
    channels: list[str] = []
    shares: dict[str, list[Json]] = {}

    @property
    def key(self) -> str:
        return f"file/{self.team}/{self.id}"


class Blob(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A piece of a file's bytes."""

    team: str
    file: str
    number: int
    data: bytes

    @property
    def key(self) -> str:
        return f"blob/{self.team}/{self.file}/{self.number}"


class Install(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An app's bot in one team; an org-wide install is one of these for each team, all with one bot and token."""

    team: str
    bot_user_id: str
    bot_id: str
    bot_token: str
    enterprise: str | None = None
    org_wide: bool = False


class Session(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An app's conversation in one thread; `pane`: a thread of the older assistant pane, with its `context`."""

    team: str
    channel: str
    thread_ts: str
    app_id: str
    status: str = ""
    title: str = ""
    initiator: str = ""
    icon_emoji: str = ""
    icon_url: str = ""
    username: str = ""
    prompts: list[Json] = []
    prompts_title: str = ""
    pane: bool = False
    context: Json = {}

    @property
    def key(self) -> str:
        return f"session/{self.team}/{self.channel}/{self.thread_ts}/{self.app_id}"


class Token(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A token that an app was given: `kind` bot or user, `place` a team, or an enterprise for an org-wide install.

    `scopes` None: all. `expires` in Unix s (None: never), `refresh` what renews it, `gone` the error it answers since
    it died, `exchanged`: for a pair that expires.
    """

    token: str
    app: str
    kind: str
    place: str
    user: str
    scopes: list[str] | None
    issued: float
    expires: float | None = None
    refresh: str | None = None
    gone: str | None = None
    exchanged: bool = False

    @property
    def key(self) -> str:
        return f"token/{self.token}"


class App(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`scopes` and `bot_events` are None when no manifest narrows them: everything is granted and sent.

    `manifest` is what the app was registered with, word for word; its datastores are the app's datastores.
    `rationed`: one of the apps that Slack allows one call of 15 messages a minute of history.
    `socket_mode`: its manifest says so, or it has no address and connected a socket.
    """

    app_id: str
    name: str
    signing_secret: str
    event_url: str | None = None
    scopes: list[str] | None = None
    bot_events: list[str] | None = None
    installs: dict[str, Install] = {}
    manifest: Json | None = None
    client_id: str = ""
    client_secret: str = ""
    rationed: bool = False
    app_token: str = ""
    socket_mode: bool = False

    @property
    def key(self) -> str:
        return f"app/{self.app_id}"

    @property
    def listens(self) -> bool:
        """Whether events are for it at all: it has an address, or takes them over sockets."""
        return self.event_url is not None or self.socket_mode


class Pending(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event on its way to an app. `sent` counts attempts, `due` is Unix s, `parked` means that retries ran out."""

    event_id: str
    app_id: str
    team: str
    type: str
    channel: str
    ts: str
    body: str
    subtype: str | None = None
    copy: int = 0
    sent: int = 0
    due: float = 0.0
    reason: str | None = None
    parked: bool = False

    @property
    def key(self) -> str:
        return f"pending/{self.event_id}/{self.app_id}/{self.copy}"


class Hook(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A `response_url`: what it answers (`message_ts`, None for a command) and to whom. `until` is Unix s."""

    id: str
    app_id: str
    team: str
    channel: str
    user: str
    until: float
    left: int
    message_ts: str | None = None

    @property
    def key(self) -> str:
        return f"hook/{self.id}"


class View(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A modal that a person has open, or (`depth` -1) the Home tab that an app shows them. `depth` is its place in the
    stack, `content` what the app said, `values` what is filled in.
    """

    id: str
    team: str
    app_id: str
    user: str
    bot_id: str
    root: str
    depth: int = 0
    previous: str | None = None
    content: Json = {}
    values: Json = {}
    hash: str = ""

    @property
    def key(self) -> str:
        return f"view/{self.team}/{self.id}"


class Scheduled(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message to be posted at `post_at` (Unix s)."""

    id: str
    post_at: int
    created: int
    message: Json

    @property
    def key(self) -> str:
        return f"scheduled/{self.id}"

    @property
    def team(self) -> str:
        return str(self.message["team"])

    @property
    def channel(self) -> str:
        return str(self.message["channel"])

    @property
    def app_id(self) -> str:
        return str(self.message.get("app_id"))


class Item(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One item of an app's datastore. `n` numbers items over all apps, since an id may be any text; `size` in bytes
    as DynamoDB counts. Never changed in place: an answer that is still to be written may hold `item`.
    """

    n: int
    app: str
    datastore: str
    id: str
    item: Json
    size: int

    @property
    def key(self) -> str:
        return f"item/{self.n}"


Record = (
    Enterprise
    | Team
    | User
    | Channel
    | Message
    | App
    | Pending
    | Item
    | Hook
    | View
    | Scheduled
    | Token
    | File
    | Blob
    | Session
)

KINDS: dict[str, type[Record]] = {
    "enterprise": Enterprise,
    "team": Team,
    "user": User,
    "channel": Channel,
    "message": Message,
    "app": App,
    "pending": Pending,
    "hook": Hook,
    "view": View,
    "scheduled": Scheduled,
    "item": Item,
    "token": Token,
    "file": File,
    "blob": Blob,
    "session": Session,
}
_exactly: Final = msgspec.json.Decoder(Item, float_hook=Decimal)


def encode(record: Record) -> bytes:
    return dumps(record)


def decode(key: str, data: bytes) -> Record:
    """The record behind a journal key. Raises CorruptData."""
    kind = KINDS.get(key.split("/", 1)[0])
    if kind is None:
        raise CorruptData("the local Slack's state", "it holds a kind of record that this version does not know")
    try:
        return _exactly.decode(data) if kind is Item else msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise CorruptData("the local Slack's state", f"a {kind.__name__} record cannot be read ({error})") from None
