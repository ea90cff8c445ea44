"""Findings about entities and accesses: limits of the schema, keys, copies, and what the access map decided.

Rules of this file: it reads the stores and accesses that entities.py and access.py made, and computes nothing anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from stateroom.design.entities import WRITES, is_read_bulk, link
from stateroom.design.facts import Facts
from stateroom.design.findings import finding
from stateroom.design.parts import Access, Finding, Store
from stateroom.design.sizes import key_bytes
from stateroom.design.structs import Design, Entity, Pattern
from stateroom.model.attributes import IN_ARRAYS, SLACK, TYPES

TEAM = f"{SLACK}team_id"
TEAM_NAMES = ("team_id", "team", "workspace_id", "workspace")  # of a string: the type is not documented (SR-107)
_BY_KIND = {"join": "SR-203", "search": "SR-204", "aggregate": "SR-205", "top": "SR-205", "unique": "SR-206"}


def of_entities(design: Design, stores: Iterable[Store], facts: Facts) -> Iterator[Finding]:
    """What is told of entities and datastores."""
    hosted = [one for one in stores if one.home == "slack"]
    if len(hosted) > facts.datastores:
        words = f"{len(hosted)} datastores ({', '.join(one.name for one in hosted)}), Slack takes {facts.datastores}"
        yield finding("SR-101", design, "entities", words)
    for one in hosted:
        place = f"entities.{one.name}" if one.role == "entity" else "entities"
        if len(one.attributes) > facts.attributes:
            words = f"{one.name} has {len(one.attributes)} attributes, Slack takes {facts.attributes}"
            yield finding("SR-102", design, place, words)
        for attribute in one.attributes.values() if one.role == "entity" else ():
            known = TYPES[attribute.type].documented
            listed = attribute.items is None or TYPES[attribute.items].documented or attribute.items in IN_ARRAYS
            if not known or not listed:
                words = f"{one.name}.{attribute.name} is of type {attribute.type if not known else attribute.items}"
                yield finding("SR-107", design, f"{place}.attributes.{attribute.name}", words)
    for entity in design.entities:
        yield from _of_entity(design, entity, {one.name for one in hosted}, facts)


def _of_entity(design: Design, entity: Entity, hosted: set[str], facts: Facts) -> Iterator[Finding]:
    place = f"entities.{entity.name}"
    if design.source == "design" and not design.of(entity.name) and not _joined_by(design, entity.name):
        yield finding("SR-103", design, place, f"no pattern reads or writes {entity.name}")
    apart = any(entity.attributes[part].type == TEAM or part in TEAM_NAMES for part in entity.key)
    if entity.isolation == "workspace" and design.app.workspaces > 1 and entity.name in hosted and not apart:
        words = f"{entity.name} is apart in {design.app.workspaces} workspaces, its key is {', '.join(entity.key)}"
        yield finding("SR-104", design, f"{place}.key", words)
    longest = sum(entity.attributes[part].max_bytes or 0 for part in entity.key) + len(entity.key) - 1
    if entity.name in hosted and max(longest, key_bytes(entity, facts)) > facts.key_bytes:
        words = f"the key of {entity.name} may have {max(longest, key_bytes(entity, facts))} bytes"
        yield finding("SR-106", design, f"{place}.key", words)


def _joined_by(design: Design, entity: str) -> bool:
    return any(entity in one.join for one in design.patterns)


def of_copies(design: Design, stores: Iterable[Store]) -> Iterator[Finding]:
    """Copies that no pattern keeps."""
    for one in stores:
        for copy in one.copies if one.role == "entity" else ():
            if not copy.keepers:
                place = f"entities.{one.name}.attributes.{copy.attribute}"
                of = copy.source.partition(".")[0]
                lone = "" if link(design.by_name[one.name], of) else f", and no attribute of it references {of}"
                yield finding("SR-105", design, place, f"{one.name}.{copy.attribute} copies {copy.source}{lone}")


def _moved(design: Design, homes: Mapping[str, str], accesses: list[Access]) -> Iterator[Finding]:
    """Entities that mixed apps keep outside, with the pattern that asked for it."""
    for entity in design.entities:
        if homes[entity.name] == "external":
            own = [one for one in accesses if one.entity == entity.name and one.external is not None]
            named = [one for one in own if one.external is not None and one.external.why.startswith(_ASKED)]
            why = f"{named[0].pattern}: {named[0].external.why}" if named and named[0].external else "an obligation"
            yield finding("SR-210", design, f"entities.{entity.name}", f"{entity.name} moves: {why}")


def looks_at(pattern: Pattern) -> frozenset[str]:
    """The attributes of the items that decide what a pattern finds, in which order, and what it computes."""
    names = {one for one in (pattern.order, pattern.group_by, pattern.on) if one is not None}
    names |= pattern.where.attributes if pattern.where is not None else frozenset()
    return frozenset(names | (set(pattern.attributes) if pattern.kind == "aggregate" else set()))


def _behind(design: Design, stores: Iterable[Store], pattern: Pattern) -> Iterator[str]:
    """What a bulk write does not keep right, and until when."""
    if pattern.kind != "bulk" or is_read_bulk(pattern):
        return
    put = pattern.operation == "put"
    for one in stores:
        if one.role == "lookup" and one.entity == pattern.entity:
            words = "does not list what is put" if put else "goes on naming what is deleted"
            yield f"{one.name} {words} until the daily rebuild"
        if put and one.role == "entity" and one.home == "slack":
            of = [n for n, a in one.attributes.items() if (a.copy_of or "").partition(".")[0] == pattern.entity]
            if of and one.name != pattern.entity and link(design.by_name[one.name], pattern.entity):
                yield f"{', '.join(of)} of {one.name} follow with the daily job copies"


MOVE = (
    "a write beside its items would leave them as they are: let the whole entity move (target: mixed), or have it make "
    "fewer calls (fewer copies and lookups, a lower rate)"
)
REBUILD = "the daily rebuild alone, since the file has no pattern that does"
_ASKED = ("in a year", "Slack ", "nothing")


def of_accesses(design: Design, stores: Iterable[Store], accesses: Iterable[Access], facts: Facts) -> Iterator[Finding]:
    """What is told of the access map."""
    places = {one.name: f"access_patterns[{number}]" for number, one in enumerate(design.patterns)}
    patterns = {one.name: one for one in design.patterns}
    homes = {one.name: one.home for one in stores if one.role == "entity"}
    listed = list(accesses)
    if design.app.target == "mixed":
        yield from _moved(design, homes, listed)
    for access in listed:
        pattern, place = patterns[access.pattern], places[access.pattern]
        if homes[access.entity] == "external":
            continue
        why = access.external.why if access.external is not None else ""
        if access.kind in _BY_KIND and access.external is not None:
            yield finding(_BY_KIND[access.kind], design, place, f"{access.pattern}: {why}")
        if access.home == "external":
            cure = MOVE if pattern.kind in WRITES else None
            yield finding("SR-201", design, place, f"{access.pattern}: {why}", cure)
        elif pattern.order is not None and access.kind == "list":
            many = "any number of" if pattern.expected_items is None else str(pattern.expected_items)
            read = f"{access.today.pages} pages" if access.today.pages else f"{access.today.total_calls} calls"
            words = f"{access.pattern} sorts {many} items by {pattern.order} after {read}"
            yield finding("SR-202", design, place, words)
        if access.kind == "list" and pattern.expected_items is None and access.operation != "get":
            yield finding("SR-208", design, place, f"{access.pattern} has no expected_items")
        if access.home == "slack":
            if behind := "; ".join(_behind(design, stores, pattern)):
                yield finding("SR-309", design, place, f"{access.pattern}: {behind}")
            for store in stores:
                if store.role == "entries" and store.entity == access.entity and looks_at(pattern) & set(store.of):
                    words = f"{access.pattern} looks at {store.of[0]}, whose additions are in {store.name}"
                    yield finding("SR-308", design, place, words)
    for one in stores:
        if one.role == "lookup":
            words = f"{one.reason.text}, written by {', '.join(one.writers) or REBUILD}"
            yield finding("SR-207", design, f"entities.{one.entity}", words)
