"""Entity modelling: the datastores of a design, their keys, what they hold, and why they are as they are.

Rules of this file: what the compiler adds to an entity (the key of a recipe, `expires_at`, `deleted_at`, a copy of the
key) is declared here and nowhere else, so that sizes, schemas and generated code agree. Every datastore names the
patterns that write it: one that nothing writes is not made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from stateroom.design import keys
from stateroom.design.facts import FORMULA, Facts, source
from stateroom.design.parts import Claim, Copy, Home, KeyRecipe, Store
from stateroom.design.sizes import MARK, key_bytes, removed_by
from stateroom.design.structs import Attr, Design, Entity, Pattern
from stateroom.model.attributes import SLACK, Attribute
from stateroom.model.definition import Definition
from stateroom.model.index import Index
from stateroom.model.lifecycle import Lifecycle

TIMESTAMP: Final = f"{SLACK}timestamp"
EXPIRES: Final = "expires_at"
DELETED: Final = MARK
WRITES: Final = ("put", "update", "transition", "increment", "append", "delete", "bulk")


def key_attribute(entity: Entity) -> str:
    """The attribute that holds the key: the one named, or `id` (`<entity>_id` where that is taken) for a recipe."""
    if len(entity.key) == 1:
        return entity.key[0]
    return "id" if "id" not in entity.attributes else f"{entity.name}_id"


def attributes_of(entity: Entity, facts: Facts) -> Mapping[str, Attr]:
    """All attributes of the entity's datastore, the key first."""
    key, size = key_attribute(entity), key_bytes(entity, facts)
    own = entity.attributes.get(key, Attr(key, "string"))
    found = {key: replace(own, type="string", required=True, avg_bytes=size, max_bytes=own.max_bytes or 2 * size)}
    if entity.copy_key:
        found[f"{key}_copy"] = replace(found[key], name=f"{key}_copy", copy_of=f"{entity.name}.{key}")
    found |= {name: one for name, one in entity.attributes.items() if name != key}
    if entity.ttl is None and removed_by(entity, facts) == "ttl":
        found.setdefault(EXPIRES, Attr(EXPIRES, TIMESTAMP, description="when Slack may remove it"))
    if entity.retention is not None and entity.retention.mode == "soft":
        found.setdefault(DELETED, Attr(DELETED, TIMESTAMP, description="set when it is deleted softly"))
    return found


def entity_store(design: Design, entity: Entity, home: Home, facts: Facts) -> Store:
    """The datastore of an entity's items."""
    ttl = entity.ttl
    if ttl is None and removed_by(entity, facts) == "ttl":
        ttl = EXPIRES
    return Store(
        entity.name,
        entity.name,
        "entity",
        home,
        key_attribute(entity),
        _recipe(entity),
        attributes_of(entity, facts),
        _why(design, entity, home),
        ttl,
        tuple(_copies(design, entity)),
        writers=writers_of(design, entity.name),
    )


def writers_of(design: Design, entity: str) -> tuple[str, ...]:
    """The patterns that change items of an entity."""
    return tuple(one.name for one in design.of(entity) if one.kind in WRITES and not is_read_bulk(one))


def swept(entity: Entity) -> str:
    """The name of the daily sweep of an entity among the writers of the audit trail."""
    return f"the sweep of {entity.name}"


def moves(design: Design, pattern: Pattern, of: tuple[str, ...]) -> int:
    """How many items of a lookup by `of` a pattern changes: one for a new or deleted item, two where it moves.

    None for what many items are written with at once: a lookup learns of these from the daily rebuild.
    """
    cycle = design.by_name[pattern.entity].lifecycle
    if pattern.kind in ("put", "delete"):
        return 1
    if pattern.kind == "transition":
        return 2 if cycle is not None and cycle.attribute in of else 0
    if pattern.kind == "update":
        return 2 if not pattern.attributes or set(pattern.attributes) & set(of) else 0
    return 0


def is_read_bulk(pattern: object) -> bool:
    """Whether a bulk pattern only reads."""
    return getattr(pattern, "kind", "") == "bulk" and getattr(pattern, "operation", "") == "get"


def _recipe(entity: Entity) -> KeyRecipe:
    key = key_attribute(entity)
    samples: list[str | int] = [_sample(entity.attributes[part]) for part in entity.key]
    if len(entity.key) == 1:
        reason = "one attribute names an item, so one get reads it; a key that comes from the work itself (an event or "
        reason += "message id) also makes a repeated put harmless"
        return KeyRecipe(key, entity.key, "", str(samples[0]), reason)
    reason = f"several attributes name an item and Slack takes one text: {keys.ENCODING}. Its parts are kept as "
    reason += "attributes, too, because no expression may look at the key"
    return KeyRecipe(key, entity.key, keys.SEPARATOR, keys.encode(samples), reason)


def _sample(attribute: Attr) -> str | int:
    if attribute.type in (TIMESTAMP, "integer"):
        return 1700000000
    short = attribute.type.removeprefix(SLACK)
    samples = {"user_id": "U01234567", "channel_id": "C01234567", "team_id": "T01234567"}
    samples |= {"message_ts": "1700000000.000100", "date": "2026-11-21", "usergroup_id": "S01234567"}
    return samples.get(short, attribute.values[0] if attribute.values else f"{attribute.name}-1")


def _why(design: Design, entity: Entity, home: Home) -> Claim:
    """Single or several datastores, from the patterns."""
    patterns = design.of(entity.name)
    together = sorted({other for one in patterns for other in one.join})
    scans = [one.name for one in patterns if one.kind in ("list", "search", "count", "aggregate", "top", "join")]
    text = f"{entity.name} has a datastore of its own"
    if len(design.entities) == 1:
        reason = "there is one kind of item"
    elif scans:
        reason = f"Slack evaluates every item of a datastore for {_listed(scans)}: items of another kind in the same "
        reason += "datastore would be paid for in each page"
    else:
        reason = "it is read by key alone, so one datastore for all would save no call and mix the attributes"
    if together:
        reason += f"; {_listed(together)} is joined by key in calls of 25, so keeping both together would save none"
    if home == "external":
        text += ", in the external store"
    return Claim(text, len(patterns), "patterns", reason, FORMULA)


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def sets(pattern: Pattern, entity: Entity) -> tuple[str, ...]:
    """The attributes of an item that is there which a pattern changes. A put makes an item that nothing copies yet."""
    if pattern.kind == "transition":
        return () if entity.lifecycle is None else (entity.lifecycle.attribute,)
    if pattern.kind in ("increment", "append"):
        return pattern.attributes
    if pattern.kind == "update":
        return pattern.attributes or tuple(one for one in entity.attributes if one not in entity.key)
    return ()


def link(entity: Entity, to: str) -> str | None:
    """The attribute by which items of an entity refer to one of another; None when there is none."""
    return next((one.name for one in entity.attributes.values() if one.references == to), None)


def copied(design: Design, pattern: Pattern) -> Mapping[str, tuple[str, ...]]:
    """The entities that copy what a pattern changes, each with its attributes that are the copies."""
    changed = {f"{pattern.entity}.{one}" for one in sets(pattern, design.by_name[pattern.entity])}
    found = {
        entity.name: tuple(name for name, one in entity.attributes.items() if one.copy_of in changed)
        for entity in design.entities
    }
    return {name: attributes for name, attributes in found.items() if attributes}


def _copies(design: Design, entity: Entity) -> Iterable[Copy]:
    for attribute in entity.attributes.values():
        if attribute.copy_of is not None:
            of = attribute.copy_of.partition(".")[0]
            linked = link(entity, of) is not None
            keeping = [one for one in design.of(of) if attribute.name in copied(design, one).get(entity.name, ())]
            keepers = tuple(one.name for one in keeping if linked)
            repair = f"the job copies: it reads {entity.name} by page and {of} by key, and writes what differs"
            repair = repair if linked else "none: no attribute says of which item it is the copy"
            yield Copy(attribute.name, attribute.copy_of, keepers, repair)
    if entity.copy_key:
        key = key_attribute(entity)
        yield Copy(f"{key}_copy", f"{entity.name}.{key}", ("every put",), "a key never changes, so nothing to repair")


# Datastores that the compiler adds


def lookup_name(entity: str, of: Iterable[str]) -> str:
    """The name of the datastore that finds items by these attributes."""
    return f"{entity}_by_{'_'.join(of)}"[:63]


def entries_name(entity: str, attribute: str) -> str:
    """The name of the datastore that has one item for each entry of an attribute."""
    return f"{entity}_{attribute}_entries"[:63]


def lookup_store(
    design: Design, entity: Entity, of: tuple[str, ...], patterns: Iterable[Pattern], facts: Facts
) -> Store:
    """From values of `of` to keys: one item for each combination of values."""
    name, target, served = lookup_name(entity.name, of), key_bytes(entity, facts), list(patterns)
    many = any(one.kind in ("list", "join") for one in served)
    expected = max(one.expected_items or 1 for one in served)
    names = [one.name for one in served]
    taking = [one.name for one in served if one.kind == "unique"]  # who takes a value puts it there
    keeping = [one.name for one in design.of(entity.name) if moves(design, one, of)]
    writers = tuple(dict.fromkeys((*keeping, *taking)))
    held = {"lookup_key": Attr("lookup_key", "string", avg_bytes=lookup_key_bytes(entity, of, facts), required=True)}
    if many:
        limit = 2 * max(expected, 1)
        held["ids"] = Attr("ids", "array", items="string", avg_bytes=target, avg_items=expected, max_items=limit)
    else:
        held["target"] = Attr("target", "string", avg_bytes=target)
    held["updated_at"] = Attr("updated_at", TIMESTAMP)
    reason = f"Slack has no index, so {_listed(names)} would read every {entity.name}; this datastore holds the keys "
    reason += f"by {', '.join(of)}: one get, then bulkGet. Each answer is checked against the item itself, and a daily "
    reason += f"rebuild reads all of {entity.name}, not only what is listed, so that a lost entry comes back"
    recipe = KeyRecipe("lookup_key", of, keys.SEPARATOR, keys.encode([_sample(entity.attributes[a]) for a in of]), "")
    copy = Copy(
        "ids" if many else "target",
        f"{entity.name}.{key_attribute(entity)}",
        writers,
        "rebuild",
    )
    return Store(
        name,
        entity.name,
        "lookup",
        "slack",
        "lookup_key",
        recipe,
        held,
        Claim(f"{name} is a second datastore for {_listed(names)}", expected, "keys", reason, source("page_items")),
        copies=(copy,),
        of=of,
        many=many,
        writers=writers,
    )


def lookup_key_bytes(entity: Entity, of: tuple[str, ...], facts: Facts) -> int:
    """Bytes of an average key of a lookup."""
    return key_bytes(replace(entity, key=of), facts)


def entries_store(design: Design, entity: Entity, attribute: str, writers: tuple[str, ...], facts: Facts) -> Store:
    """One item for each entry: what many people add to at once without reading it first."""
    name, owner = entries_name(entity.name, attribute), key_attribute(entity)
    one = entity.attributes[attribute]
    held = Attr(attribute, one.items or "integer" if one.type == "array" else one.type, avg_bytes=one.avg_bytes)
    if one.type == "array" and one.max_bytes:
        held = replace(held, max_bytes=one.max_bytes)
    owned = Attr(f"of_{owner}", "string", avg_bytes=key_bytes(entity, facts), required=True)
    found = [Attr("entry_id", "string", avg_bytes=key_bytes(entity, facts) + 20, required=True), owned]
    found += [held, Attr("added_at", TIMESTAMP)]
    reason = (
        f"{_listed(writers)} may meet at one {entity.name}: adding to {attribute} inside of it is a read and a write, "
    )
    reason += "and the later write drops the earlier one. One put a piece, keyed by the event that caused it, reads "
    reason += "nothing, so nothing is lost and a repeat changes nothing"
    recipe = KeyRecipe(
        "entry_id", (owner, "event_id"), keys.SEPARATOR, keys.encode([f"{owner}-1", "Ev01234567"]), reason
    )
    return Store(
        name,
        entity.name,
        "entries",
        "slack",
        "entry_id",
        recipe,
        {attribute.name: attribute for attribute in found},
        Claim(f"{name} has one item for each entry of {attribute}", None, "", reason, FORMULA),
        of=(attribute,),
        writers=writers,
    )


CLAIMS: Final = "claims"
AUDIT: Final = "audit_trail"
STATE: Final = "sweep_state"


def claims_store(writers: Iterable[Pattern], design: Design, facts: Facts) -> Store:
    """Who does what is to be done once: an item with a key that is the same for all who try."""
    claiming = list(writers)
    sizes = [claim_bytes(design.by_name[one.entity], state, facts) for one in claiming for state in claimed_states(one)]
    long = math.ceil(sum(sizes) / len(sizes))
    held = [Attr("claim_id", "string", avg_bytes=long, required=True), Attr("owner", "string", avg_bytes=36)]
    held += [Attr("state", "string", values=("taken", "done")), Attr(EXPIRES, TIMESTAMP)]
    names = tuple(one.name for one in claiming)
    reason = f"Slack has no conditional write, so {_listed(names)} first put a claim under a key that all who try "
    reason += "share, and read it back: whoever is named in it goes on. It narrows the race, it does not close it"
    recipe = KeyRecipe("claim_id", ("datastore", "id", "step"), keys.SEPARATOR, "request#R-1#open", reason)
    claim = Claim(f"{CLAIMS} holds one item for each step that must happen once", None, "", reason, source("ttl_hours"))
    held_by = {one.name: one for one in held}
    return Store(
        CLAIMS,
        None,
        "claims",
        "slack",
        "claim_id",
        recipe,
        held_by,
        claim,
        EXPIRES,
        writers=names,
    )


def claimed_states(pattern: Pattern) -> tuple[str, ...]:
    """The last part of a claim's key: the states that are left, or what is done."""
    return pattern.from_ or (pattern.kind,)


def claim_bytes(entity: Entity, state: str, facts: Facts) -> int:
    """Bytes of a claim's average key: the entity, its item, and what is claimed of it."""
    return len(entity.name) + len(state.encode()) + key_bytes(entity, facts) + 2


def audit_store(home: Home, writers: tuple[str, ...], facts: Facts) -> Store:
    """A row for each change, which nothing changes afterwards."""
    held = [Attr("audit_id", "string", avg_bytes=48, required=True), Attr("datastore", "string", avg_bytes=16)]
    held += [Attr("item", "string", avg_bytes=36), Attr("action", "string", avg_bytes=12)]
    held += [Attr("actor", f"{SLACK}user_id", personal=True), Attr("at", TIMESTAMP)]
    held += [Attr("before", "string", avg_bytes=16), Attr("after", "string", avg_bytes=16)]
    reason = (
        f"the file asks for audit: {_listed(writers)} put one row each, before they change the item, so that a crash "
    )
    reason += "leaves a row without a change, never a change without a row"
    recipe = KeyRecipe("audit_id", ("event_id", "step"), keys.SEPARATOR, "Ev01234567#approve", reason)
    claim = Claim(f"{AUDIT} has one row for each change", len(writers), "writers", reason, FORMULA)
    held_by = {one.name: one for one in held}
    return Store(AUDIT, None, "audit", home, "audit_id", recipe, held_by, claim, writers=writers)


def state_store() -> Store:
    """Where the jobs that run on Slack (typescript.py) keep their place: one item a job."""
    held = [Attr("job", "string", avg_bytes=40, required=True), Attr("cursor", "string", avg_bytes=80)]
    held += [Attr("started_at", TIMESTAMP), Attr("finished_at", TIMESTAMP)]
    held += [Attr("pages", "integer"), Attr("touched", "integer")]
    reason = "a function on Slack has 60 s, so sweeps, backfills, exports and rebuilds go on in a later run, and each "
    reason += "finds here how far the one before it came. It counts for Slack's limit of datastores like any other"
    recipe = KeyRecipe("job", ("job",), "", "sweep request", reason)
    claim = Claim(f"{STATE} has one item for each job", None, "", reason, source("function_seconds", "datastores"))
    return Store(STATE, None, "state", "slack", "job", recipe, {one.name: one for one in held}, claim)


def definition_of(store: Store, design: Design, *, indexes: Iterable[tuple[tuple[str, ...], bool]] = ()) -> Definition:
    """The datastore as the rest of Stateroom knows it: for manifests, TypeScript and Python."""
    entity = None if store.role != "entity" or store.entity is None else design.by_name[store.entity]
    cycle = None
    if entity is not None and entity.lifecycle is not None and store.home == "external":
        states = entity.lifecycle
        # Items of a state that nothing leads to (SR-303) are there already or never: refusing them would mend neither.
        beginning = (*states.initial, *(one for one in states.transitions if one not in states.reached()))
        cycle = Lifecycle(states.attribute, initial=beginning, transitions=states.transitions)
    attributes = {name: _attribute(one, states_too=cycle is not None) for name, one in store.attributes.items()}
    found = tuple(Index(*names, unique=unique) for names, unique in indexes) if store.home == "external" else ()
    # The log of changes has what ends by its time as well, which no code of the app would write a row for.
    logged = entity is not None and design.compliance.audit and store.home == "external"
    return Definition(store.name, store.key, attributes, ttl=store.ttl, indexes=found, lifecycle=cycle, changes=logged)


def _attribute(one: Attr, *, states_too: bool) -> Attribute:
    items = None if one.type != "array" else Attribute(one.items or "string")
    return Attribute(
        one.type,
        items=items,
        required=one.required,
        personal=one.personal,
        encrypted=one.encrypted,
        values=one.values,
        description=one.description,
    )
