"""A design file (YAML or JSON), a manifest or Python definitions, to a `Design`.

Rules of this file: everything that is wrong is told at once, each with line, column, field and next step. What one
field may hold is in schema.py; here names are checked against each other, and what cannot be at all is refused:
cycles, states that nothing reaches, volumes that contradict each other. What can be and is unwise is a finding
(findings.py), no error.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stateroom.design.problems import DesignInvalid
from stateroom.design.schema import DESIGN
from stateroom.design.shapes import MISSING, Reading
from stateroom.design.structs import (
    App,
    Attr,
    Compliance,
    Design,
    Entity,
    Pattern,
    Retention,
    States,
    Volume,
)
from stateroom.design.text import Mark, Unreadable, read
from stateroom.design.where import WORDS, BadWhere, read_where
from stateroom.model.attributes import SLACK, TYPES
from stateroom.model.definition import RESERVED_PREFIX, TRASH_PREFIX, Definition
from stateroom.model.lifecycle import Lifecycle

TIMESTAMP: Final = f"{SLACK}timestamp"
OWN_NAMES: Final = frozenset({"claims", "audit_trail", "sweep_state"})
"""Datastores that the compiler adds: no entity may have their names."""

_ORDERED: Final = ("string", "integer", "number", TIMESTAMP, f"{SLACK}date", f"{SLACK}message_ts")


def read_design(text: str) -> Design:
    """The design that a file says. DesignInvalid with everything that is wrong."""
    to = Reading()
    try:
        root = read(text)
    except Unreadable as error:
        to.fault(error.mark, "", error.problem, error.step)
        raise DesignInvalid(to.problems) from None
    raw = DESIGN.read(root, "", to)
    if to.problems or raw is MISSING:
        raise DesignInvalid(to.problems)
    reader = _Reader(raw, to)
    design = reader.design()
    if to.problems:
        raise DesignInvalid(to.problems)
    return design


def from_definitions(definitions: Iterable[Definition], *, name: str = "app") -> Design:
    """A design of what a manifest or Python definitions say: no volumes, no patterns."""
    entities = []
    encrypted: list[str] = []
    for one in definitions:
        attributes = {
            n: Attr(
                n,
                a.type,
                values=tuple(map(str, a.values)),
                items=None if a.items is None else a.items.type,
                required=a.required,
                personal=n in one.personal,
                encrypted=a.encrypted,
                description=a.description,
            )
            for n, a in one.attributes.items()
        }
        states = None
        if one.lifecycle is not None:
            cycle = one.lifecycle
            ways = {state: tuple(following) for state, following in cycle.transitions.items()}
            states = States(cycle.attribute, ways, cycle.initial or cycle.states)
        entities.append(Entity(one.name, (one.key,), attributes, states, ttl=one.ttl))
        encrypted += [f"{one.name}.{n}" for n in sorted(one.encrypted)]
    return Design(App(name), tuple(entities), (), Compliance(encryption=tuple(encrypted)), source="definitions")


class _Reader:
    """Makes the structs of one file, and tells what does not fit together."""

    def __init__(self, raw: Mapping[str, Any], to: Reading) -> None:
        self.raw, self.to = raw, to

    def fault(self, path: str, problem: str, step: str) -> None:
        mark, near = Mark(1, 1), path
        while near:
            if near in self.to.places:
                mark = self.to.places[near]
                break
            near = near[: max(near.rfind("."), near.rfind("["), 0)]
        self.to.fault(mark, path, problem, step)

    def design(self) -> Design:
        compliance = self.compliance(self.raw.get("compliance", {}))
        entities = tuple(self.entity(name, raw, compliance) for name, raw in self.raw["entities"].items())
        known = {entity.name: entity for entity in entities}
        self.references(known)
        patterns = tuple(
            pattern
            for number, raw in enumerate(self.raw.get("access_patterns", []))
            if (pattern := self.pattern(f"access_patterns[{number}]", raw, known)) is not None
        )
        self.names_once(patterns)
        for number, place in enumerate(compliance.encryption):
            entity, _, attribute = place.partition(".")
            if entity not in known or attribute not in known[entity].attributes:
                self.fault(f"compliance.encryption[{number}]", f"there is no {place}", "name entity.attribute")
            elif attribute in known[entity].key:
                self.fault(f"compliance.encryption[{number}]", "a key cannot be encrypted", "key by something else")
        app = App(**self.raw["app"])
        return Design(app, entities, patterns, compliance, self.to.places)

    def compliance(self, raw: Mapping[str, Any]) -> Compliance:
        return Compliance(**{**raw, "encryption": tuple(raw.get("encryption", ()))})

    # Entities

    def entity(self, name: str, raw: Mapping[str, Any], compliance: Compliance) -> Entity:
        path = f"entities.{name}"
        if name in OWN_NAMES or name.startswith((RESERVED_PREFIX, TRASH_PREFIX)):
            self.fault(path, f"{name} is a name of Stateroom's own", "rename the entity")
        attributes = {
            one: self.attribute(f"{path}.attributes.{one}", one, given, f"{name}.{one}" in compliance.encryption)
            for one, given in raw["attributes"].items()
        }
        key = tuple(raw["key"])
        for part in key:  # the key need not be written out again
            attributes.setdefault(part, Attr(part, "string", avg_bytes=16, required=True))
        self.key(path, key, attributes)
        return Entity(
            name,
            key,
            attributes,
            self.lifecycle(f"{path}.lifecycle", raw.get("lifecycle"), attributes),
            self.volume(f"{path}.volume", raw.get("volume")),
            self.retention(f"{path}.retention", raw.get("retention"), attributes),
            raw.get("isolation", "app"),
            raw.get("copy_key", False),
            description=raw.get("description"),
        )

    def attribute(self, path: str, name: str, raw: Mapping[str, Any], encrypted: bool) -> Attr:
        if name.lower() in WORDS:
            self.fault(path, f"{name} is a reserved word of the expression language", "rename the attribute")
        kind = raw["type"] if raw["type"] in TYPES else f"{SLACK}{raw['type']}"
        items = raw.get("items")
        if items is not None and kind != "array":
            self.fault(f"{path}.items", "only an array has items", "make it an array, or leave items out")
        if items is not None and items not in TYPES:
            items = f"{SLACK}{items}"
        for least, most in (("avg_bytes", "max_bytes"), ("avg_items", "max_items")):
            if least in raw and most in raw and raw[least] > raw[most]:
                self.fault(f"{path}.{least}", f"is impossible: {least} is above {most}", "exchange the two")
        values = tuple(map(str, raw.get("values", ())))
        if len(set(values)) < len(values):
            self.fault(f"{path}.values", "a value stands twice", "remove one")
        if values and kind != "string":
            self.fault(f"{path}.values", "only a string has a list of values", "make it a string")
        rest = {k: v for k, v in raw.items() if k not in ("type", "items", "values", "default")}
        default = self.default(f"{path}.default", raw.get("default"), kind, values)
        return Attr(name, kind, values, items, encrypted=encrypted, default=default, **rest)

    def default(
        self, path: str, text: str | None, kind: str, values: tuple[str, ...]
    ) -> str | int | float | bool | None:
        """A default as a value of the attribute's type."""
        if text is None:
            return None
        if kind in _CASTS:
            try:
                return _CASTS[kind](text)
            except (KeyError, ValueError):
                self.fault(path, f"{text[:40]!r} is no {kind}", "give a value of the attribute's type")
        elif kind in ("array", "object"):
            self.fault(path, f"an attribute of type {kind} has no default here", "write it in changes.ts")
        elif values and text not in values:
            self.fault(path, f"{text[:40]!r} is not among its values", f"choose one of {', '.join(values)}")
        return text

    def key(self, path: str, key: tuple[str, ...], attributes: Mapping[str, Attr]) -> None:
        if len(set(key)) < len(key):
            self.fault(f"{path}.key", "an attribute stands twice in the key", "remove one")
        for part in key:
            kind = attributes[part].type
            if len(key) == 1 and kind != "string" and kind not in _KEYS:
                self.fault(f"{path}.key", f"a key is a string, {part} is of type {kind}", "key by a string")
            if kind in ("array", "object", "boolean", "number"):
                self.fault(f"{path}.key", f"{part} of type {kind} cannot be part of a key", "choose another part")

    def lifecycle(self, path: str, raw: Mapping[str, Any] | None, attributes: Mapping[str, Attr]) -> States | None:
        if raw is None:
            return None
        name = raw["attribute"]
        if name not in attributes:
            self.fault(f"{path}.attribute", f"there is no attribute {name}", f"name one of {', '.join(attributes)}")
            return None
        cycle = Lifecycle(name, transitions=raw["transitions"])
        initial = tuple(raw.get("initial", ())) or self.beginnings(cycle)
        for state in initial:
            if state not in cycle.transitions:
                self.fault(f"{path}.initial", f"{state} is no state", f"there are {', '.join(cycle.states)}")
        if attributes[name].type != "string":
            self.fault(f"{path}.attribute", f"{name} is no string", "give the states a string attribute")
        values = set(attributes[name].values)
        unknown = [state for state in cycle.states if values and state not in values]
        if unknown:
            self.fault(f"{path}.transitions", f"{name} cannot be {', '.join(unknown)}", "add it to its values")
        ways = {state: tuple(following) for state, following in cycle.transitions.items()}
        for value in attributes[name].values:  # a value that no transition names is a state that nothing reaches
            ways.setdefault(value, ())
        return States(name, ways, initial)

    @staticmethod
    def beginnings(cycle: Lifecycle) -> tuple[str, ...]:
        """Where items begin unless the file says so: the states that nothing leads to, else the first."""
        reached = {state for following in cycle.transitions.values() for state in following}
        return tuple(state for state in cycle.states if state not in reached) or cycle.states[:1]

    def volume(self, path: str, raw: Mapping[str, Any] | None) -> Volume:
        if raw is None:
            return Volume()
        found = Volume(**raw, known=True)
        if found.peak_per_minute and found.per_day and found.peak_per_minute > found.per_day:
            self.fault(
                f"{path}.peak_per_minute",
                "is impossible: more items in a minute than in its day",
                "raise per_day or lower the peak",
            )
        if found.per_day > 1440 * found.peak_per_minute > 0:
            self.fault(
                f"{path}.per_day", "is impossible: its busiest minute, all day long, makes fewer", "raise the peak"
            )
        return found

    def retention(self, path: str, raw: Mapping[str, Any] | None, attributes: Mapping[str, Attr]) -> Retention | None:
        if raw is None:
            return None
        after = raw["after"]
        if after not in attributes:
            self.fault(f"{path}.after", f"there is no attribute {after}", f"name one of {', '.join(attributes)}")
            return None
        if attributes[after].type not in _TIMES:
            self.fault(f"{path}.after", f"{after} is no time", "count from a timestamp, date or message_ts")
        return Retention(**raw)

    def references(self, known: Mapping[str, Entity]) -> None:
        """What names another entity, and cycles of it."""
        needs: dict[str, set[str]] = {name: set() for name in known}
        copies: dict[str, set[str]] = {}
        for entity in known.values():
            for attribute in entity.attributes.values():
                path = f"entities.{entity.name}.attributes.{attribute.name}"
                if attribute.references is not None:
                    if attribute.references not in known:
                        self.fault(f"{path}.references", f"there is no entity {attribute.references}", "name one")
                    elif attribute.required:
                        needs[entity.name].add(attribute.references)
                if attribute.copy_of is not None:
                    of, _, source = attribute.copy_of.partition(".")
                    if of not in known or source not in known[of].attributes:
                        self.fault(f"{path}.copy_of", f"there is no {attribute.copy_of}", "name entity.attribute")
                    elif known[of].attributes[source].type != attribute.type:
                        self.fault(f"{path}.copy_of", f"{attribute.copy_of} has another type", "use the same type")
                    copies.setdefault(f"{entity.name}.{attribute.name}", set()).add(attribute.copy_of)
        if not self.cycle_in(copies, "copy_of", "copies of each other have no source", "say which one is the truth"):
            self.chains(copies)
        required = {f"{name}.": {f"{one}." for one in of if one != name} for name, of in needs.items()}
        self.cycle_in(required, "references", "each needs the other first", "let one reference be absent")

    def chains(self, copies: Mapping[str, set[str]]) -> None:
        """A copy of a copy: whoever changes the source reaches the first alone, and the next would be days behind."""
        for copy, (of,) in copies.items():
            entity, _, attribute = copy.partition(".")
            source = of
            while source in copies:
                (source,) = copies[source]
            if source != of:
                owner = source.partition(".")[0]
                step = f"copy_of: {source}, with an attribute of {entity} that references {owner}"
                problem = f"{of} is itself a copy, and a change of {source} would reach it and stop there"
                self.fault(f"entities.{entity}.attributes.{attribute}.copy_of", problem, step)

    def cycle_in(self, graph: Mapping[str, set[str]], what: str, problem: str, step: str) -> bool:
        """Whether there is a cycle, which is told."""
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            cycle = [one.rstrip(".") for one in error.args[1]]
            entity, _, attribute = cycle[0].partition(".")
            inner = f".attributes.{attribute}.{what}" if attribute else ".attributes"
            self.fault(f"entities.{entity}{inner}", f"a cycle, {' -> '.join(cycle)}: {problem}", step)
            return True
        return False

    # Patterns

    def names_once(self, patterns: tuple[Pattern, ...]) -> None:
        seen: set[str] = set()
        for number, pattern in enumerate(patterns):
            if pattern.name in seen:
                self.fault(f"access_patterns[{number}].name", f"{pattern.name!r} stands twice", "rename one")
            seen.add(pattern.name)

    def pattern(self, path: str, raw: Mapping[str, Any], known: Mapping[str, Entity]) -> Pattern | None:
        entity = known.get(raw["entity"])
        if entity is None:
            self.fault(f"{path}.entity", f"there is no entity {raw['entity']}", f"name one of {', '.join(known)}")
            return None
        self.needs(path, raw, entity)
        order, _, direction = raw.get("order", "").partition(" ")
        self.attributes_of(path, raw, entity, order)
        self.joins(path, raw, known)
        plain = {k: v for k, v in raw.items() if k not in ("where", "order", "from", "to", "join", "attributes")}
        return Pattern(
            **plain,
            where=self.where(path, raw, entity),
            order=order or None,
            descending=direction.strip() == "desc",
            attributes=tuple(raw.get("attributes", ())),
            from_=tuple(raw.get("from", ())),
            to=raw.get("to"),
            join=tuple(raw.get("join", ())),
        )

    def needs(self, path: str, raw: Mapping[str, Any], entity: Entity) -> None:
        """What a kind cannot do without."""
        kind = raw["kind"]
        for field in _NEEDS.get(kind, ()):
            if field not in raw:
                self.fault(path, f"a {kind} needs {field}", f"add {field}")
        if kind == "transition":
            self.transition(path, raw, entity)
        if kind == "sweep" and entity.retention is None and "where" not in raw:
            self.fault(path, "a sweep needs the entity's retention, or where", "say what is to go")
        if kind == "aggregate" and raw.get("function", "count") != "count" and "attributes" not in raw:
            self.fault(path, f"{raw['function']} needs attributes", "name the attribute that it is of")

    def transition(self, path: str, raw: Mapping[str, Any], entity: Entity) -> None:
        if entity.lifecycle is None:
            self.fault(path, f"{entity.name} has no lifecycle", "declare it in the entity")
            return
        if entity.lifecycle.attribute in entity.key:
            self.fault(path, f"{entity.lifecycle.attribute} is in the key of {entity.name}", "key by something else")
        ways = entity.lifecycle.transitions
        for field, states in (("from", raw.get("from", [])), ("to", [raw["to"]] if "to" in raw else [])):
            for state in states:
                if state not in ways:
                    self.fault(f"{path}.{field}", f"{state} is no state of {entity.name}", f"use {', '.join(ways)}")
        for state in raw.get("from", []):
            to = raw.get("to")
            if state in ways and to in ways and to not in ways[state]:
                self.fault(f"{path}.to", f"no transition leads from {state} to {to}", "add it to the lifecycle")

    def attributes_of(self, path: str, raw: Mapping[str, Any], entity: Entity, order: str) -> None:
        named = [("order", order)] if order else []
        named += [(field, raw[field]) for field in ("on", "group_by") if field in raw]
        named += [(f"attributes[{number}]", one) for number, one in enumerate(raw.get("attributes", []))]
        for field, name in named:
            if name not in entity.attributes:
                step = f"name one of {', '.join(entity.attributes)}"
                self.fault(f"{path}.{field}", f"{entity.name} has no attribute {name}", step)
        if order in entity.attributes and entity.attributes[order].type not in _ORDERED:
            self.fault(f"{path}.order", f"{order} has no order", "order by a time, a number or a text")
        for name in raw.get("attributes", []) if raw["kind"] in ("update", "increment", "append") else ():
            if name in entity.key:
                self.fault(f"{path}.attributes", f"{name} is in the key of {entity.name}", "put a new item instead")
        if raw["kind"] == "append" and raw.get("attributes"):
            for name in raw["attributes"]:
                if name in entity.attributes and entity.attributes[name].type != "array":
                    self.fault(f"{path}.attributes", f"{name} is no array to append to", "name an array")
        if raw["kind"] == "increment":
            for name in raw.get("attributes", []):
                if name in entity.attributes and entity.attributes[name].type not in ("integer", "number"):
                    self.fault(f"{path}.attributes", f"{name} is no number to add to", "name a number")

    def joins(self, path: str, raw: Mapping[str, Any], known: Mapping[str, Entity]) -> None:
        chain = [raw["entity"], *raw.get("join", [])]
        for name in chain[1:]:
            if name not in known:
                self.fault(f"{path}.join", f"there is no entity {name}", f"name one of {', '.join(known)}")
        if len(set(chain)) < len(chain):
            self.fault(f"{path}.join", f"a cycle, {' -> '.join(chain)}", "join each entity once")
        elif "on" not in raw and not _joined(chain, known):
            self.fault(f"{path}.join", "nothing says by which attribute", "add on, or references to an attribute")

    def where(self, path: str, raw: Mapping[str, Any], entity: Entity) -> Any:
        if "where" not in raw:
            return None
        allowed = dict(entity.attributes)
        key = entity.key[0] if len(entity.key) == 1 else None
        if key is not None and entity.copy_key:
            allowed[f"{key}_copy"] = Attr(f"{key}_copy", "string")
        try:
            return read_where(str(raw["where"]), allowed, key)
        except BadWhere as error:
            self.fault(f"{path}.where", error.problem, error.step)
            return None


def _joined(chain: list[str], known: Mapping[str, Entity]) -> bool:
    """Whether each entity of a join is referenced by one before it."""
    return all(
        any(
            attribute.references == name
            for before in chain[:place]
            if before in known
            for attribute in known[before].attributes.values()
        )
        for place, name in enumerate(chain)
        if place
    )


_CASTS: Final[Mapping[str, Callable[[str], int | float | bool]]] = {
    "integer": int,
    "number": float,
    TIMESTAMP: int,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}
_TIMES: Final = (TIMESTAMP, f"{SLACK}date", f"{SLACK}message_ts")
_KEYS: Final = tuple(f"{SLACK}{one}" for one in ("user_id", "channel_id", "usergroup_id", "team_id", "message_ts"))
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "transition": ("from", "to"),
    "join": ("join",),
    "top": ("order", "expected_items"),
    "increment": ("attributes",),
    "append": ("attributes",),
    "unique": ("attributes",),
    "bulk": ("expected_items",),
    "search": ("where",),
}
