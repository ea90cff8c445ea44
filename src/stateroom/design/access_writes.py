"""What goes along with a write: the claim before it, the audit row, the lookups and the copies behind it.

Rules of this file: everything that a write must keep right is a call here, so that nothing is kept for nothing and
nothing is promised without its price. The audit row comes just before the change, what is kept twice after it.
"""

from __future__ import annotations

import math

from stateroom.design import entities
from stateroom.design.access_world import DELETE, GET, PUT, UPDATE, Served, World
from stateroom.design.costs import QUERY, Work
from stateroom.design.parts import Call, Store
from stateroom.design.sizes import key_bytes, pages
from stateroom.design.structs import Attr, Entity, Pattern
from stateroom.design.where import read_where


def writes(world: World, pattern: Pattern, head: tuple[Call, ...], *, operation: str) -> Served:
    """A write with all that goes along: claims, the audit row just before the change, lookups after it."""
    entity = world.design.by_name[pattern.entity]
    change = next(place for place, one in enumerate(head) if one.method != GET and one.datastore != entities.CLAIMS)
    calls = (*head[:change], *_audit(world, pattern), *head[change:], *_lookup_calls(world, pattern))
    counted = tuple((one.method, 1) for one in calls)
    looked = sum(one.method == GET and one.there for one in calls)
    moved = sum(_bytes_of(world, one) for one in calls)
    wait = world.facts.settle_ms if any(one.datastore == entities.CLAIMS for one in calls) else 0
    copies = [_brought(world, entity, *one) for one in entities.copied(world.design, pattern).items()]
    copies = [one for one in copies if one.calls]

    def work(day: int) -> Work:
        found = [one.work(day) for one in copies]
        return Work(
            world.items(entity, day),
            looked + sum(one.evaluated for one in found),
            sum(one.pages for one in found),
            (*counted, *(call for one in found for call in one.calls)),
            moved + sum(one.bytes for one in found),
            wait_ms=wait,
        )

    return Served(
        operation,
        next((one.datastore for one in reversed(head) if one.datastore != entities.CLAIMS), entity.name),
        (*calls, *(call for one in copies for call in one.calls)),
        work,
        doubts=_doubts(world, pattern),
    )


def claims(world: World, pattern: Pattern) -> bool:
    """Whether a pattern takes a claim first: what may happen once only, on a store without conditions."""
    racing = pattern.kind in ("transition", "update") and pattern.concurrent
    return world.homes[pattern.entity] == "slack" and racing


def _bytes_of(world: World, call: Call) -> int:
    """What one call of one item reads or writes; an update writes the whole item, a deletion nothing."""
    if call.method == DELETE or not call.there:
        return 0
    return world.size(call.datastore) + call.adds


def _doubts(world: World, pattern: Pattern) -> tuple[str, ...]:
    if pattern.concurrent and pattern.kind in ("transition", "update", "put"):
        return ("Slack has no condition: a claim narrows the race and does not close it",)
    return ()


def audit_here(world: World) -> bool:
    """Whether a write here puts its audit row into Slack's datastores; one that is elsewhere costs no call of Slack."""
    return entities.AUDIT in world.stores and world.stores[entities.AUDIT].home == "slack"


def _audit(world: World, pattern: Pattern) -> tuple[Call, ...]:
    if not audit_here(world):
        return ()
    return (Call(PUT, entities.AUDIT, "once", "put the audit row first", ("event_id", "step")),)


def _lookup_calls(world: World, pattern: Pattern) -> tuple[Call, ...]:
    found: list[Call] = []
    for store in world.lookups(pattern.entity):
        touched = touches(world, pattern, store)
        one_more = 1 + key_bytes(world.design.by_name[pattern.entity], world.facts)
        for side in range(touched):
            taken = side == 1 or pattern.kind == "delete"
            words = "take the key out of" if taken else "add the key to"
            if store.many:
                found.append(Call(GET, store.name, "once", f"read {store.name}", store.of))
                adds = -one_more if taken else one_more
                found.append(Call(PUT, store.name, "once", f"{words} {store.name}", store.of, adds=adds))
            else:
                method = DELETE if taken else PUT
                found.append(Call(method, store.name, "once", f"{words} {store.name}", store.of))
    return tuple(found)


def touches(world: World, pattern: Pattern, store: Store) -> int:
    """How many items of a lookup a write changes."""
    return entities.moves(world.design, pattern, store.of)


def claimed(world: World, pattern: Pattern, read: Call, write: Call) -> tuple[Call, ...]:
    """A read and a write, with the claim around them where one is taken: the calls of claim.ts, in its order."""
    if entities.CLAIMS not in world.stores or not claims(world, pattern):
        return (read, write)
    of = ("datastore", "id", "step")

    def claim(method: str, purpose: str, *, there: bool = True) -> Call:
        return Call(method, entities.CLAIMS, "once", purpose, of, there=there)

    return (
        claim(GET, "look for a claim: does another run hold it?", there=False),
        claim(PUT, "put a claim with this run as its owner"),
        claim(GET, "wait, and read the claim back: whose is it?"),
        read,
        write,
        Call(GET, read.datastore, "once", "read the item back: is it as it was written?", read.key_of),
        claim(GET, "is the claim still this run's?"),
        claim(DELETE, "give the claim back: whoever looks from now on finds the new item"),
    )


# Copies


def _brought(world: World, entity: Entity, name: str, attributes: tuple[str, ...]) -> Served:
    """Bring attributes of an item over to the items of another entity that copy them and refer to it."""
    other = world.design.by_name[name]
    link = entities.link(other, entity.name)
    if link is None or world.homes[name] != "slack":
        return Served("", name, (), lambda _: Work())
    find = _find(world, other, link, attributes)
    words = f"bring {', '.join(attributes)} over to each {name} that refers to it"
    calls = (*find.calls, Call(UPDATE, name, "items", words, other.key, copies=attributes))

    def work(day: int) -> Work:
        base, size = find.work(day), world.size(name)
        many = min(base.items, _each(world, other, link, entity, day))
        return Work(0, base.evaluated, base.pages, (*base.calls, (UPDATE, many)), base.bytes + many * size)

    return Served("update", name, calls, work)


def _find(world: World, other: Entity, link: str, attributes: tuple[str, ...]) -> Served:
    """Which items refer to one: by the key itself, by a lookup, else by reading all."""
    if other.key == (link,):
        return Served("get", other.name, (), lambda day: Work(world.items(other, day)))
    store = world.stores.get(entities.lookup_name(other.name, (link,)))
    if store is not None and store.many:
        listed, words = world.size(store.name), f"get the keys of the {other.name} that copy it"
        get = Call(GET, store.name, "once", words, store.of, copies=attributes)
        return Served("get", store.name, (get,), lambda day: Work(world.items(other, day), 1, 0, ((GET, 1),), listed))
    held: dict[str, Attr] = dict(world.stores[other.name].attributes)
    where = read_where(f"{link} = :owner", held, entities.key_attribute(other))
    words = f"query every page of {other.name} for those that copy it"

    def work(day: int) -> Work:
        items, size = world.items(other, day), world.size(other.name)
        read = pages(items, size, world.facts)
        return Work(items, items, read, ((QUERY, read),), items * size)

    return Served("query", other.name, (Call(QUERY, other.name, "pages", words, where=where, copies=attributes),), work)


def _each(world: World, other: Entity, link: str, entity: Entity, day: int) -> int:
    """How many items refer to one: as the file's own list of them says, else as many as there are for each."""
    if other.key == (link,):
        return 1
    for pattern in world.design.of(other.name):
        where = pattern.where
        if where is not None and where.only_equal and set(where.equal) == {link} and pattern.expected_items:
            return pattern.expected_items
    return math.ceil(world.items(other, day) / max(1, world.items(entity, day)))
