"""What a design file says, as frozen values.

Rules of this file: data, checked by document.py. Sizes are bytes of UTF-8, times are as the field's name says. `places`
maps a field's path to its line and column, so that a finding can point at the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from stateroom.design.text import Mark
from stateroom.expr.tree import Condition

Target = Literal["slack-hosted", "self-hosted", "mixed"]


@dataclass(frozen=True)
class Attr:
    """One attribute. `type` is a full name of `model.attributes.TYPES`, `items` that of an array's entries.

    `default`: what a backfill gives to items that lack it.
    """

    name: str
    type: str
    values: tuple[str, ...] = ()
    items: str | None = None
    avg_bytes: int | None = None
    max_bytes: int | None = None
    avg_items: float | None = None
    max_items: int | None = None
    required: bool = False
    personal: bool = False
    encrypted: bool = False
    default: str | int | float | bool | None = None
    copy_of: str | None = None
    references: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class States:
    """A lifecycle: `transitions` from each state; `initial`: where an item may begin."""

    attribute: str
    transitions: Mapping[str, tuple[str, ...]]
    initial: tuple[str, ...]

    def reached(self) -> frozenset[str]:
        """The states that items come to from where they begin."""
        return walk(self.transitions, self.initial)


def walk(ways: Mapping[str, tuple[str, ...]], start: Iterable[str]) -> frozenset[str]:
    """Every state that some transitions lead to, those of the start among them."""
    found: set[str] = set()
    ahead = list(start)
    while ahead:
        state = ahead.pop()
        if state not in found:
            found.add(state)
            ahead += ways.get(state, ())
    return frozenset(found)


@dataclass(frozen=True)
class Volume:
    """Items of the whole app. `known`: whether the file said so, or nothing is known (a manifest has no volumes)."""

    initial: int = 0
    per_day: float = 0
    peak_per_minute: float = 0
    known: bool = False


@dataclass(frozen=True)
class Retention:
    """How long an item is kept, counted from the attribute `after`."""

    after: str
    days: float
    mode: Literal["soft", "hard"] = "hard"
    legal_hold: bool = False


@dataclass(frozen=True)
class Entity:
    """What the app remembers. `key`: one attribute, or the parts of a recipe in their order."""

    name: str
    key: tuple[str, ...]
    attributes: Mapping[str, Attr]
    lifecycle: States | None = None
    volume: Volume = Volume()
    retention: Retention | None = None
    isolation: Literal["workspace", "app"] = "app"
    copy_key: bool = False
    ttl: str | None = None  # only from a manifest or definitions, which declare it
    description: str | None = None


@dataclass(frozen=True)
class Where:
    """A condition. `names` and `values` are Slack's maps; `parameters`: placeholder to the attribute it is given for.

    `equal`: the attributes that the condition asks to equal one value each, all of which must hold; `only_equal`: and
    nothing else is asked.
    """

    text: str
    expression: str
    condition: Condition
    names: Mapping[str, str]
    values: Mapping[str, Any]
    parameters: Mapping[str, str]
    equal: Mapping[str, str]
    only_equal: bool
    attributes: frozenset[str]


@dataclass(frozen=True)
class Pattern:
    """How the app reads or writes an entity. Fields that a kind does not use are empty."""

    name: str
    entity: str
    kind: str
    where: Where | None = None
    order: str | None = None
    descending: bool = False
    attributes: tuple[str, ...] = ()
    from_: tuple[str, ...] = ()
    to: str | None = None
    join: tuple[str, ...] = ()
    on: str | None = None
    group_by: str | None = None
    function: str = "count"
    operation: Literal["get", "put", "delete"] = "put"
    expected_items: int | None = None
    per_minute: float = 0
    per_day: float | None = None
    concurrent: bool = False
    max_ms: int | None = None
    description: str | None = None


@dataclass(frozen=True)
class App:
    """The app. `workspaces` share one app's datastores; tiers count for each workspace."""

    name: str
    target: Target = "slack-hosted"
    workspaces: int = 1


@dataclass(frozen=True)
class Compliance:
    """What must be fulfilled. `encryption`: `entity.attribute`."""

    erasure: bool = False
    audit: bool = False
    residency: str | None = None
    encryption: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """A whole design. `source`: "design", or "definitions" when no volumes and patterns are known."""

    app: App
    entities: tuple[Entity, ...]
    patterns: tuple[Pattern, ...] = ()
    compliance: Compliance = Compliance()
    places: Mapping[str, Mark] = field(default_factory=dict, compare=False)
    source: Literal["design", "definitions"] = "design"

    @cached_property
    def by_name(self) -> Mapping[str, Entity]:
        """Entities by their names."""
        return {entity.name: entity for entity in self.entities}

    def of(self, entity: str) -> tuple[Pattern, ...]:
        """The patterns of one entity."""
        return tuple(pattern for pattern in self.patterns if pattern.entity == entity)

    def line(self, path: str) -> int | None:
        """The line of a path, or of what holds it; None when the design came from elsewhere."""
        while path:
            if path in self.places:
                return self.places[path].line
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None
