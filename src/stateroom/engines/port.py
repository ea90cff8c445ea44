"""The storage port: what an engine must do, in six methods and a declared record of abilities.

Rules of this file: it imports nothing of ours at run time. Everything here is a frozen value or a Protocol.
What an engine does not declare it refuses with `Unsupported`; nothing is silently approximated.

Two kinds of tables. *Items*: rows by (team, id), ordered by the UTF-8 bytes of the id. *Logs*: streams of entries by
(team, stream, number); the engine gives the next number and refuses a repeated turn id. In a log a row's `id` is
`log_id(stream, turn_id)` and its `version` is the entry's number (from 1, without gaps).

A row whose `expires_at` has passed is absent for every read, condition and `absent` check, on every engine; only
`Query.expired` finds it and only `Delete.expired` removes it as what it is.
Time is seconds since 1970 as float; engines are handed their clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

# Writes are made for every call; a frozen dataclass takes six times as long to make as a Struct.
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

if TYPE_CHECKING:
    from asyncio import Future

    from stateroom.expr.tree import Condition

CHANGES: Final = "all"  # the stream of a log of changes


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine declares. Tests check both ways: declared must work, undeclared must raise."""

    name: str
    durable: bool
    atomic_rows: int | None  # rows that one commit may hold; None: any number
    item_limit: int  # bytes of one item's JSON
    append: bool = True
    conditions: bool = True
    indexes: bool = True
    unique: bool = True
    across_teams: bool = True
    ttl_hidden: bool = True
    expired: bool = (
        True  # tells which rows are past their expiry, for a sweep; without it the engine removes them itself
    )
    changes: bool = True  # keeps a log of committed changes, in the same commit
    processes: bool = False  # several processes may share the store
    wakes: bool = False  # tells other processes of work (`Put.wake`), see `Waking`
    roles: bool = False  # says what a role of its server needs, see `Granting`
    joins: bool = False  # can be used inside of a transaction of the caller's own, see `Joining`
    holds_inbox: bool = True
    names_in_order: bool = True  # a map comes back with its names in the order given
    embedded: bool = True  # sets its tables up itself; others change only through `stateroom migrate` (invariant 9)
    hosted: bool = False  # another platform's own datastores (`Hosted`)
    drifts: bool = False  # can tell how its server differs from what the code needs (`Drifting`)
    freezes: bool = False  # can refuse every write for a while (`Freezing`)
    packs: bool = False  # writes many puts as one value (`Packing`)
    gathers: bool = False  # takes rows to keep from callers that are no tasks (`Gathering`)
    freeze_seconds: float = 0.0  # that this takes at the least, where each process must see it first


@dataclass(frozen=True, slots=True)
class TableIndex:
    """A sparse index: rows lacking one of `attributes` are not in it. Order: the values, then team, then id.

    `current`: a page by it shows what was acknowledged before. So does every index of most engines; where they lag,
    those lag that do not ask for it.
    """

    name: str
    attributes: tuple[str, ...]
    unique: bool = False
    across_teams: bool = False
    current: Literal[True] | UnsetType = UNSET  # unset where it is not asked for: catalogues then do not name it


@dataclass(frozen=True, slots=True)
class Table:
    """What `apply` must make ready.

    `expires`: rows past their expiry can be asked for (`Query.expired`). `changes`: what is committed to its rows is
    also an entry of the log `changes_table(name)`, which is made with it.
    """

    name: str
    log: bool = False
    indexes: tuple[TableIndex, ...] = ()
    expires: bool = False
    changes: bool = False


class Row(NamedTuple):
    """A stored row. `version` is opaque and grows with every write of the row (in a log: the entry's number)."""

    id: str
    item: dict[str, Any]
    version: int
    expires_at: float | None = None
    team: str = ""


class Put(Struct, frozen=True):
    """Replace the whole row. `if_version=0`: it must be absent. `keep`: a row that is there stays (`changed=False`).

    `condition` and `guard` are both asked of the row as it is, or of an empty item where there is none.
    `wake`: the row is work for somebody. An engine that declares `wakes` tells who listens, if it was written; for all
    others the flag says nothing, since it is only a hint.
    `json`: the item's JSON, where who made the write has checked both it and the id; engines that keep JSON need not
    do it again. Who gives the write another item uses `with_item`.
    `passes`: with a version of a row that is there, it may be refused (ConditionFailed) rather than wait for somebody
    who is writing the row at this moment; for engines that never wait the flag says nothing.
    """

    table: str
    team: str
    id: str
    item: Mapping[str, Any]
    expires_at: float | None = None
    condition: Condition | None = None
    if_version: int | None = None
    keep: bool = False
    guard: Condition | None = None
    wake: bool = False
    passes: bool = False
    json: str | None = None


class Puts(Struct, frozen=True):
    """Puts of different rows of one team, of which `id`, `item`, `json` and `expires_at` alone differ (`Packing`).

    As with `Put.json`, who makes it has checked the ids, which differ from each other, and the items.
    """

    table: str
    team: str
    ids: Sequence[str]
    items: Sequence[dict[str, Any]]
    texts: Sequence[str]
    expires: Sequence[float | None] | None = None  # None: no row ends
    guard: Condition | None = None

    def each(self) -> list[Put]:
        """One by one."""
        ends = self.expires or [None] * len(self.ids)
        return [
            Put(self.table, self.team, id, item, end, guard=self.guard, json=text)
            for id, item, end, text in zip(self.ids, self.items, ends, self.texts, strict=True)
        ]


class Update(Struct, frozen=True):
    """Change attributes of a row: `set`, then `add` (numbers), `append` (to arrays), `remove`.

    Without condition and version a missing row is inserted with `base` first; with one it is ConditionFailed.
    `guard` is a condition that a missing row may fulfil, asked of the empty item: it does not stop the insert as such.
    `expires_at`: "same" keeps the row's.
    """

    table: str
    team: str
    id: str
    set: Mapping[str, Any] = {}
    add: Mapping[str, Any] = {}
    append: Mapping[str, Any] = {}
    remove: tuple[str, ...] = ()
    base: Mapping[str, Any] = {}
    expires_at: float | Literal["same"] | None = "same"
    condition: Condition | None = None
    if_version: int | None = None
    guard: Condition | None = None


class Delete(Struct, frozen=True):
    """Remove a row; a missing row is fine unless a condition or version is given.

    `expired`: remove it only if it is past its expiry by now, whatever it holds (a sweep); `changed` tells.
    """

    table: str
    team: str
    id: str
    condition: Condition | None = None
    if_version: int | None = None
    expired: bool = False


class Check(Struct, frozen=True):
    """Write nothing, but the batch fails unless the row fulfils this (used for fencing tokens)."""

    table: str
    team: str
    id: str
    condition: Condition | None = None
    if_version: int | None = None


class Append(Struct, frozen=True):
    """Add an entry to a stream. A known turn id changes nothing and gives back its first number."""

    table: str
    team: str
    stream: str
    turn_id: str
    item: Mapping[str, Any]
    expires_at: float | None = None


class Rewrite(Struct, frozen=True):
    """Replace the item of an entry that exists (tombstones); its number and turn id stay. Missing: ConditionFailed.

    `expires_at`: "same" keeps the entry's; 0 leaves an empty place that no reader sees and no sweep finds again, which
    is how an expired entry goes: numbers have no gaps. `expired`: only if it is past its expiry by now (a sweep).
    `before`: only if this is what the entry holds now, else ConditionFailed.
    """

    table: str
    team: str
    stream: str
    number: int
    item: Mapping[str, Any]
    expires_at: float | Literal["same"] | None = "same"
    expired: bool = False
    before: Mapping[str, Any] | None = None


class Truncate(Struct, frozen=True):
    """Erase a stream with all entries and its numbering."""

    table: str
    team: str
    stream: str


Write = Put | Update | Delete | Check | Append | Rewrite | Truncate


class Written(NamedTuple):
    """What a write did: the row as it is now (None after Delete, Check and Truncate), and whether it changed anything.

    For Append `row.version` is the entry's number and `row.item` is not filled on a fresh append.
    """

    row: Row | None
    changed: bool


class Query(Struct, frozen=True):
    """One page of rows in order.

    Items by key: `low <= id < high`. By index: the leading attributes equal `equals`, `low <= next attribute < high`.
    Logs: `equals=(stream,)`, `low <= number < high`. `after` is the position of the last row of the page before.
    `team=None` only with an index that is declared across teams. `condition` filters; `limit` counts matches.
    `expired`: only rows past their expiry, of a table that declares `expires`, earliest first, of one team or of all;
    no index, bounds or `descending` with it. In a log entries whose `expires_at` is 0 are not found.
    `whole`: every row, expired ones too, of one team or of all; in a log of every stream. For Stateroom's own walks
    (erase, migrate, copy); no index, bounds or `descending` with it. Rows come by team and id (stream and number).
    """

    table: str
    team: str | None
    limit: int
    index: str | None = None
    equals: tuple[Any, ...] = ()
    low: Any = None
    high: Any = None
    after: tuple[Any, ...] | None = None
    descending: bool = False
    condition: Condition | None = None
    expired: bool = False
    whole: bool = False


class Page(NamedTuple):
    """Rows of one page; `position` continues behind them, None when there is nothing more.

    Position: `(id,)` by key, `(number,)` in a log, `(*index values, team, id)` by index, `(team, id)` in a whole
    walk over items, the engine's own in one over a log and for expired.
    """

    rows: list[Row]
    position: tuple[Any, ...] | None


class Engine(Protocol):
    """The port. Errors are those of model/errors.py."""

    capabilities: Capabilities

    async def open(self) -> None:
        """Make ready; embedded engines create their files."""

    async def close(self) -> None:
        """Finish what is acknowledged or under way, then release everything. Closing twice is fine."""

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        """Make the tables and indexes exist; returns the steps done (or, with `dry_run`, to do), empty when none."""

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        """Rows by id, in the order asked, None for each that is absent. Reads what was acknowledged before."""

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        """All writes or none, durable when it returns, one result each. The first refused one raises ConditionFailed.

        Several writes to one row see each other in order.
        """

    async def query(self, query: Query) -> Page:
        """One page."""


class Waking(Engine, Protocol):
    """An optional method of the port, of engines that declare `wakes`.

    A wake is a hint and nothing else: it may be lost, late, doubled or false, and it holds no word of the row. Who
    listens looks for work as if the time to poll had come, and polls all the same.
    """

    async def listen(self, table: str, heard: Callable[[], None]) -> None:
        """Call `heard` soon after any process has committed a Put with `wake` to `table`, and when one may have been
        missed (a connection that was lost and is there again). Runs until it is cancelled; outages raise nothing."""


class Packing(Engine, Protocol):
    """An engine that writes many rows at once for less than one by one."""

    async def put_all(self, puts: Puts) -> None:
        """As `commit` of `puts.each()`, and nothing is told of the rows."""


class Drifting(Engine, Protocol):
    """An engine that declares `drifts`: what its server keeps for it can be changed by others."""

    async def drift(self, tables: Sequence[Table]) -> list[str]:
        """What `apply` would mend beside the steps that it tells, one line each."""


class Hosted(Engine, Protocol):
    """An engine over datastores that a platform keeps for an app: the platform alone makes them.

    Rows are of one team, the key and the expiry are attributes of the item, versions tell nothing, and pages come in
    the platform's order; an update sets attributes and does nothing else.
    """

    def know(self, name: str, key: str, ttl: str | None) -> None:
        """The key's attribute and the expiry's, which no table says; before the datastore is first used."""


class Freezing(Engine, Protocol):
    """An engine that can be frozen, so that its rows move elsewhere and none is written behind the move."""

    async def freeze(self, *, frozen: bool) -> None:
        """From its return on every write of every process is refused (StoreUnavailable `frozen`, retryable), or taken
        again. What was acknowledged before is there to be read. Twice is as once."""

    async def frozen(self) -> bool:
        """Whether writes are refused."""


class Gathering(Engine, Protocol):
    """An engine that makes one commit of what many callers want kept at the same time, and tells each by a callback."""

    def keep(self, write: Put) -> Future[list[Written]]:
        """As `commit([write])` for a `Put(keep=True)` that depends on nothing else, without a task that waits: this is
        what each of Slack's events costs. What is wrong with the write or with the store here and now is raised."""


class Joining(Engine, Protocol):
    """For engines that declare `joins`: on a database that the caller's own tables may share."""

    async def joined(self, connection: Any) -> Engine:
        """The same store inside of the transaction that `connection`, one of the engine's client library, is in.

        What it writes is the caller's to commit; its reads see what was written there. WrongUse for a connection that
        leads elsewhere or cannot go on. Close it to end it; that commits nothing and closes no connection.
        """


class Granting(Engine, Protocol):
    """An engine whose server has roles (`roles`)."""

    async def grants(self, role: str, team: str | None) -> list[str]:
        """The statements that let `role` use the tables there are and will be; with `team`, read its rows alone."""


def in_front(able: Capabilities, **changes: Any) -> Capabilities:
    """What an engine in front of one with these abilities declares: all rows are to pass it, so none go another way."""
    return dataclasses.replace(able, packs=False, gathers=False, **changes)


def with_item(write: Put, item: Mapping[str, Any]) -> Put:
    """The same write of another item."""
    return write if item is write.item else replace(write, item=item, json=None)


def changes_table(name: str) -> str:
    """The log of the committed changes of table `name`: stream `CHANGES` a team, numbered in the order of commits.

    Its entries' items are `{kind, id, version, item?}`: `put` and `update` with the row's new version and whole item;
    `delete` and `expire` (a row past its expiry was removed) with the last version. Read it with an ordinary Query.
    """
    return f"{name}.changes"


def log_id(stream: str, turn_id: str) -> str:
    """The id of a log row; a stream name never contains a slash."""
    return f"{stream}/{turn_id}"
