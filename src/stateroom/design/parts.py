"""What a plan is made of: frozen values that the renderers, the generators and the simulator read.

Rules of this file: data alone. Every number is of one run of a pattern unless its name says otherwise. "today" is the
first day of the design's volumes, "year" the 365th after it. A `Cost` is of Slack's datastores; where a pattern is
served by an external store, the cost is of one round trip there and `calls` is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stateroom.design.facts import Facts
from stateroom.design.structs import Attr, Design, Where

Severity = Literal["error", "warning", "info"]
Home = Literal["slack", "external"]
Role = Literal["entity", "lookup", "entries", "claims", "audit", "state"]
PREFIX = "apps.datastore."


@dataclass(frozen=True)
class Claim:
    """A statement with its number, the reason for it, and the source of the fact that it rests on."""

    text: str
    value: float | int | str | bool | None
    unit: str
    reason: str
    source: str


@dataclass(frozen=True)
class Finding:
    """Something to decide or to mend. `id` is stable (`SR-…`) and has a page; `place` as in the file, with its line."""

    id: str
    severity: Severity
    place: str
    reason: str
    cure: str
    line: int | None = None


@dataclass(frozen=True)
class KeyRecipe:
    """How a key is made: `parts` (attributes) joined by `separator`, each escaped (keys.py); `attribute` holds it."""

    attribute: str
    parts: tuple[str, ...]
    separator: str
    example: str
    reason: str


@dataclass(frozen=True)
class Copy:
    """An attribute kept twice: where, of what, which patterns keep it right, and what repairs it."""

    attribute: str
    source: str
    keepers: tuple[str, ...]
    repair: str


@dataclass(frozen=True)
class Store:
    """One datastore. `home`: Slack's own, or an external one. `of`: the attributes that a lookup or entry is keyed by.

    role lookup: from the values of `of` to the key(s) of `entity`; `many`: its attribute `ids` lists several.
    role entries: one item for each entry of the attribute `of[0]` of an item. role claims and audit: see consistency.py
    and compliance.py. role state: where the generated jobs keep their place.
    """

    name: str
    entity: str | None
    role: Role
    home: Home
    key: str
    recipe: KeyRecipe
    attributes: Mapping[str, Attr]
    reason: Claim
    ttl: str | None = None
    copies: tuple[Copy, ...] = ()
    of: tuple[str, ...] = ()
    many: bool = False
    writers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """One kind of call that a run makes, in the order of the calls.

    `method` is the full name (`apps.datastore.query`). `repeat`: once; for each page; for each batch of 25; for each
    item. `key_of`: the attributes whose values make the id, for get, put, update, delete. `purpose` in words.
    `there`: whether a get finds an item. `adds`: bytes that a write adds to an average item. `copies`: the attributes
    that the call finds or brings over in items that copy them.
    """

    method: str
    datastore: str
    repeat: Literal["once", "pages", "batches", "items"]
    purpose: str
    key_of: tuple[str, ...] = ()
    where: Where | None = None
    there: bool = True
    adds: int = 0
    copies: tuple[str, ...] = ()

    @property
    def expression(self) -> str | None:
        """Slack's `expression`."""
        return None if self.where is None else self.where.expression

    @property
    def names(self) -> Mapping[str, str]:
        """Slack's `expression_attributes`."""
        return {} if self.where is None else self.where.names

    @property
    def values(self) -> Mapping[str, Any]:
        """Slack's `expression_values` that are known now; `where.parameters` says what is given at run time."""
        return {} if self.where is None else self.where.values


@dataclass(frozen=True)
class Cost:
    """What one run costs, at one point in time.

    items: in the datastore that is read. evaluated: items that Slack looks at. pages: of queries, or walked by count.
    calls: each method's calls. bytes: of all that is evaluated or written. ms: nothing else running, tiers far away.
    alone_ms: nothing else running, a full allowance at the start. worst_ms: everything else at its busiest minute, None
    when the tier never lets it end.
    """

    items: int
    evaluated: int
    pages: int
    calls: Mapping[str, int]
    bytes: int
    ms: int
    alone_ms: int
    worst_ms: int | None

    @property
    def total_calls(self) -> int:
        """Calls of all methods."""
        return sum(self.calls.values())


@dataclass(frozen=True)
class External:
    """The store that does what Slack's cannot: which, why, and SQL that works (DDL first, the query last).

    The SQL runs on PostgreSQL, and on SQLite unless `engine` names one that only PostgreSQL can do.
    """

    engine: str
    why: str
    sql: tuple[str, ...]
    index: tuple[str, ...] = ()
    unique: bool = False


@dataclass(frozen=True)
class Access:
    """How one pattern is served. `operation`: get, bulk get, query, scan, count, put, update, …, external store.

    `external`: the store that serves it (operation "external store"), or the alternative to what is served here in a
    way that does not last; None where nothing better is needed.
    """

    pattern: str
    entity: str
    kind: str
    operation: str
    datastore: str
    home: Home
    calls: tuple[Call, ...]
    today: Cost
    year: Cost
    per_minute: float
    per_day: float
    external: External | None
    claims: tuple[Claim, ...]
    attempted: Cost | None = None  # of an external one: what Slack's datastore would cost in a year


@dataclass(frozen=True)
class Step:
    """One step of a sequence: what is done, by which call (none: in the function), and what if it fails."""

    do: str
    call: str = ""
    if_fails: str = ""


@dataclass(frozen=True)
class Race:
    """A read-modify-write: how it goes wrong, what is lost, the cure, and what the cure leaves open ("" if nothing)."""

    pattern: str
    entity: str
    race: tuple[Step, ...]
    lost: str
    cure: Literal["idempotency key", "claim item", "one item per entry", "conditional write", "conditional append"]
    steps: tuple[Step, ...]
    closes: bool
    remains: str


@dataclass(frozen=True)
class StateCheck:
    """A lifecycle's states: which cannot be reached, which nothing leaves, which no pattern leads to."""

    entity: str
    unreachable: tuple[str, ...]
    ends: tuple[str, ...]
    dead_ends: tuple[str, ...]
    without_code: tuple[str, ...]


@dataclass(frozen=True)
class Break:
    """A limit and the day on which the design breaks it (0: today; None: not within ten years).

    `attribute`: the one that is to blame above all.
    """

    limit: str
    day: int | None
    claim: Claim
    attribute: str = ""


@dataclass(frozen=True)
class Capacity:
    """Sizes and growth of one datastore. `growth`: (day, items, bytes) for the chart."""

    datastore: str
    home: Home
    item_bytes: int
    item_max_bytes: int | None
    largest: str
    items_today: int
    items_year: int
    bytes_today: int
    bytes_year: int
    items_per_page: int
    growth: tuple[tuple[int, int, int], ...]
    breaks: tuple[Break, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class TierUse:
    """Calls of one method in the busiest minute, over all patterns. `by`: each pattern's part."""

    method: str
    tier: int
    allowed: int
    today: float
    year: float
    by: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Retained:
    """How items of one entity end. `how`: ttl, sweep, or never. `due_per_day`: items; the rest is of one sweep.

    `calls` of one daily sweep by method, `seconds` under the sweep's share of the tier, `runs` of the function that it
    takes under its time limit, `deletes_per_run`: a whole number of batches.
    """

    entity: str
    datastore: str
    how: Literal["ttl", "sweep", "never"]
    mode: Literal["soft", "hard", "none"]
    attribute: str | None
    where: Where | None
    due_per_day: int
    batch: int
    calls: Mapping[str, int]
    seconds: int
    runs: int
    deletes_per_run: int
    trade_off: str
    erasure: tuple[Step, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Rollout:
    """What it takes to add an attribute to every item of a datastore: the steps and how long they take."""

    datastore: str
    items: int
    calls: Mapping[str, int]
    seconds: int
    runs: int
    items_per_run: int
    steps: tuple[Step, ...]
    back: tuple[Step, ...]
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Failure:
    """What happens when one call of a pattern fails in one way."""

    pattern: str
    call: str
    error: str
    retry: str
    wait_ms: tuple[int, ...]
    midway: str
    person: str
    reconciled: str


@dataclass(frozen=True)
class Verdict:
    """An obligation, whether the design may go with it, and what meets it."""

    obligation: Literal["residency", "encryption", "audit", "erasure"]
    place: str
    go: bool
    meets: str
    reason: str
    source: str


@dataclass(frozen=True)
class Fill:
    """What a backfill sets: `attribute` of every item of `datastore` that lacks it, or has it below `version`.

    `only`: instead of those, of every item that has another value than these.
    """

    datastore: str
    attribute: str
    value: Any
    version: int | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One part of a migration, complete in itself: it may be left for the next day after each."""

    title: str
    kind: Literal["additive", "backfill", "replace", "remove", "move"]
    claim: Claim
    steps: tuple[Step, ...]
    back: tuple[Step, ...]
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything that is known of a design. Equal designs and facts give equal plans."""

    design: Design
    facts: Facts
    stores: tuple[Store, ...]
    accesses: tuple[Access, ...]
    tiers: tuple[TierUse, ...]
    capacity: tuple[Capacity, ...]
    races: tuple[Race, ...] = ()
    states: tuple[StateCheck, ...] = ()
    retention: tuple[Retained, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    failures: tuple[Failure, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    choices: tuple[Claim, ...] = field(default=())

    def store(self, name: str) -> Store:
        """The datastore of that name; KeyError."""
        return next(one for one in self.stores if one.name == name)

    def access(self, pattern: str) -> Access:
        """How the pattern of that name is served; StopIteration when there is none."""
        return next(one for one in self.accesses if one.pattern == pattern)

    def home(self, entity: str) -> Home:
        """Where the items of an entity live."""
        return self.store(entity).home
