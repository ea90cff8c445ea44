"""Each kind of pattern to calls of Slack's datastores and what they cost on a day: one function a kind, in KINDS.

Rules of this file: it says what Slack can do and what it cannot (`faults`, `doubts`); whether that is enough is
access.py's. A run's bytes and items are the sums over its calls, so that calls and costs cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from stateroom.design import entities
from stateroom.design.access_world import (
    BULK_DELETE,
    BULK_GET,
    BULK_PUT,
    DELETE,
    GET,
    PUT,
    UPDATE,
    Served,
    World,
)
from stateroom.design.costs import COUNT, QUERY, Work
from stateroom.design.parts import Call, Store
from stateroom.design.sizes import batches, entry_bytes, pages
from stateroom.design.structs import Pattern


def scan(world: World, pattern: Pattern, *, then: tuple[Call, ...] = ()) -> Served:
    """Every page of the entity's datastore, with the condition as a filter."""
    entity, facts = world.design.by_name[pattern.entity], world.facts
    size = world.size(entity.name)

    def work(day: int) -> Work:
        items = world.items(entity, day)
        read = pages(items, size, facts)
        return Work(items, items, read, ((QUERY, read),), items * size)

    words = "query with a filter" if pattern.where is not None else "query without a filter"
    call = Call(QUERY, entity.name, "pages", f"{words}, every page: Slack has no index", where=pattern.where)
    return Served("query" if pattern.where is not None else "scan", entity.name, (call, *then), work)


def _by_key(world: World, pattern: Pattern, key_of: tuple[str, ...]) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(GET, entity.name, "once", f"get by {', '.join(key_of)}", key_of)
    size = world.size(entity.name)
    return Served("get", entity.name, (call,), lambda day: Work(world.items(entity, day), 1, 0, ((GET, 1),), size))


def _get(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    if pattern.where is None or set(pattern.where.equal) == set(entity.key):
        return _by_key(world, pattern, entity.key)
    return _looked(world, pattern) or scan(world, pattern)


def _looked(world: World, pattern: Pattern) -> Served | None:
    """Through the lookup, if one was made: get its item, then the items that it names."""
    if pattern.where is None:
        return None
    store = world.stores.get(entities.lookup_name(pattern.entity, pattern.where.equal))
    if store is None or not pattern.where.only_equal:
        return None
    entity, facts = world.design.by_name[pattern.entity], world.facts
    listed = round(store.attributes["ids"].avg_items or 0) if store.many else 1
    size, look = world.size(entity.name), world.size(store.name)
    second = BULK_GET if store.many else GET
    calls = (
        Call(GET, store.name, "once", f"get the keys by {', '.join(store.of)}", store.of),
        Call(second, entity.name, "batches" if store.many else "once", "get the items, drop those that moved on"),
    )

    def work(day: int) -> Work:
        items = world.items(entity, day)
        found = min(listed, items)
        then = (second, batches(found, facts) if store.many else found)
        return Work(items, 1 + found, 0, ((GET, 1), then), look + found * size)

    return Served("bulk get" if store.many else "get", store.name, calls, work)


def _list(world: World, pattern: Pattern) -> Served:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    if pattern.where is not None and pattern.where.only_equal and set(pattern.where.equal) == set(entity.key):
        return _by_key(world, pattern, entity.key)
    served = _looked(world, pattern) or scan(world, pattern)
    if pattern.order is None:
        return served
    found = pattern.expected_items
    many = found is None or found > facts.sort_items
    reason = f"Slack cannot sort: {pattern.order} is sorted in the function after every page was read"
    if many:
        bound = "nothing bounds how many" if found is None else f"{found} items are more than {facts.sort_items}"
        return _but(
            served, doubts=(f"{reason}, and {bound}",) if found is None else (), faults=(reason,) if found else ()
        )
    return served


def _but(served: Served, *, faults: tuple[str, ...] = (), doubts: tuple[str, ...] = ()) -> Served:
    return Served(
        served.operation,
        served.datastore,
        served.calls,
        served.work,
        (*served.faults, *faults),
        (*served.doubts, *doubts),
    )


def _top(world: World, pattern: Pattern) -> Served:
    words = f"Slack cannot sort or limit by {pattern.order}: every item is read for the first {pattern.expected_items}"
    return _but(scan(world, pattern), doubts=(words,))


def _search(world: World, pattern: Pattern) -> Served:
    words = "Slack has no full text: contains() is case-sensitive, has no words and no rank, and reads every item"
    return _but(scan(world, pattern), doubts=(words,))


def _count(world: World, pattern: Pattern) -> Served:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    size = world.size(entity.name)

    def work(day: int) -> Work:
        items = world.items(entity, day)
        walked = pages(items, size, facts)
        return Work(items, items, walked, ((COUNT, 1),), items * size, walked)

    call = Call(COUNT, entity.name, "once", "count: Slack walks every page in one call", where=pattern.where)
    return Served("count", entity.name, (call,), work)


def _aggregate(world: World, pattern: Pattern) -> Served:
    if pattern.function == "count" and pattern.group_by is None:
        return _count(world, pattern)
    words = f"Slack cannot compute {pattern.function}"
    words += f" by {pattern.group_by}" if pattern.group_by else ""
    return _but(scan(world, pattern), doubts=(f"{words}: every item is read and the function adds up",))


def _join(world: World, pattern: Pattern) -> Served:
    """The items, then those that they refer to in calls of 25."""
    facts = world.facts
    first = _looked(world, pattern) or scan(world, pattern)
    found = pattern.expected_items
    others = [world.design.by_name[name] for name in pattern.join]
    calls = tuple(Call(BULK_GET, one.name, "batches", f"bulkGet of the {one.name} that each names") for one in others)

    def work(day: int) -> Work:
        base = first.work(day)
        each = base.items if found is None else min(found, base.items)
        named = [(one, min(each, world.items(one, day))) for one in others]
        sizes = sum(count * world.size(one.name) for one, count in named)
        more = tuple((BULK_GET, batches(count, facts)) for _, count in named)
        looked = base.evaluated + sum(count for _, count in named)
        return Work(base.items, looked, base.pages, (*base.calls, *more), base.bytes + sizes)

    words = f"Slack cannot join: {', '.join(pattern.join)} is read in further calls, at another moment"
    return Served(first.operation, first.datastore, (*first.calls, *calls), work, first.faults, (*first.doubts, words))


def _unique(world: World, pattern: Pattern) -> Served:
    """Is the value free? One get of the key, or of the lookup that is keyed by the values."""
    entity = world.design.by_name[pattern.entity]
    of = pattern.attributes
    if set(of) == set(entity.key):
        served = _by_key(world, pattern, entity.key)
    else:
        store = entities.lookup_name(entity.name, of)
        call = Call(GET, store, "once", f"get by {', '.join(of)}: is it taken?", of)
        size = world.size(store) if store in world.stores else 0
        served = Served("get", store, (call,), lambda day: Work(world.items(entity, day), 1, 0, ((GET, 1),), size))
    return _but(served, doubts=(f"Slack keeps nothing unique: two may find {', '.join(of)} free at the same time",))


def _writes(world: World, pattern: Pattern, head: tuple[Call, ...], *, operation: str) -> Served:
    """A write with all that goes along: claims, the audit row just before the change, lookups after it."""
    entity = world.design.by_name[pattern.entity]
    change = next(place for place, one in enumerate(head) if one.method != GET and one.datastore != entities.CLAIMS)
    calls = (*head[:change], *_audit(world, pattern), *head[change:], *_lookup_calls(world, pattern))
    counted = tuple((one.method, 1) for one in calls)
    looked = sum(one.method == GET and one.there for one in calls)
    moved = sum(_bytes_of(world, one) for one in calls)
    wait = world.facts.settle_ms if any(one.datastore == entities.CLAIMS for one in calls) else 0
    return Served(
        operation,
        next((one.datastore for one in reversed(head) if one.datastore != entities.CLAIMS), entity.name),
        calls,
        lambda day: Work(world.items(entity, day), looked, 0, counted, moved, wait_ms=wait),
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


def _audit_here(world: World) -> bool:
    """Whether a write here puts its audit row into Slack's datastores; one that is elsewhere costs no call of Slack."""
    return entities.AUDIT in world.stores and world.stores[entities.AUDIT].home == "slack"


def _audit(world: World, pattern: Pattern) -> tuple[Call, ...]:
    if not _audit_here(world):
        return ()
    return (Call(PUT, entities.AUDIT, "once", "put the audit row first", ("event_id", "step")),)


def _lookup_calls(world: World, pattern: Pattern) -> tuple[Call, ...]:
    found: list[Call] = []
    for store in world.lookups(pattern.entity):
        touched = _touches(world, pattern, store)
        one_more = 1 + entities.key_bytes(world.design.by_name[pattern.entity], world.facts)
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


def _touches(world: World, pattern: Pattern, store: Store) -> int:
    """How many items of a lookup a write changes: one for a new or deleted item, two where it moves, else none."""
    cycle = world.design.by_name[pattern.entity].lifecycle
    if pattern.kind in ("put", "delete"):
        return 1
    if pattern.kind == "transition":
        return 2 if cycle is not None and cycle.attribute in store.of else 0
    if pattern.kind == "update":
        return 2 if not pattern.attributes or set(pattern.attributes) & set(store.of) else 0
    return 0


def _put(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(PUT, entity.name, "once", f"put the whole item under {', '.join(entity.key)}", entity.key)
    return _writes(world, pattern, (call,), operation="put")


def _update(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(UPDATE, entity.name, "once", "update the attributes that change", entity.key)
    moved = any(store.many or store.of for store in world.lookups(entity.name) if _touches(world, pattern, store))
    if not pattern.concurrent and not moved:
        return _writes(world, pattern, (call,), operation="update")
    read = Call(GET, entity.name, "once", "get the item as it is", entity.key)
    return _writes(world, pattern, _claimed(world, pattern, read, call), operation="update")


def _transition(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    read = Call(GET, entity.name, "once", f"get the item: is it still {' or '.join(pattern.from_)}?", entity.key)
    call = Call(UPDATE, entity.name, "once", f"update to {pattern.to}", entity.key)
    return _writes(world, pattern, _claimed(world, pattern, read, call), operation="update")


def _claimed(world: World, pattern: Pattern, read: Call, write: Call) -> tuple[Call, ...]:
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


def _increment(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    if pattern.concurrent and world.homes[entity.name] == "slack":
        heads = tuple(
            Call(PUT, entities.entries_name(entity.name, one), "once", f"put one entry of {one}", ("event_id",))
            for one in pattern.attributes
        )
        return _writes(world, pattern, heads, operation="put")
    read = Call(GET, entity.name, "once", "get the item as it is", entity.key)
    arrays = [entity.attributes[one] for one in pattern.attributes] if pattern.kind == "append" else []
    more = sum(entry_bytes(one, world.facts) for one in arrays)
    call = Call(UPDATE, entity.name, "once", f"update {', '.join(pattern.attributes)}", entity.key, adds=more)
    return _writes(world, pattern, (read, call), operation="update")


def _delete(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(DELETE, entity.name, "once", "delete the item", entity.key)
    if world.lookups(entity.name):
        read = Call(GET, entity.name, "once", "get the item: its values say which lookups name it", entity.key)
        return _writes(world, pattern, (read, call), operation="delete")
    return _writes(world, pattern, (call,), operation="delete")


def _bulk(world: World, pattern: Pattern) -> Served:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    method = {"get": BULK_GET, "put": BULK_PUT, "delete": BULK_DELETE}[pattern.operation]
    size = world.size(entity.name)
    audited = pattern.operation != "get" and _audit_here(world)
    calls = [Call(method, entity.name, "batches", f"{pattern.operation} {facts.bulk} items at once")]
    if audited:
        calls.insert(0, Call(BULK_PUT, entities.AUDIT, "batches", "put the audit rows first"))

    def work(day: int) -> Work:
        items = world.items(entity, day)
        found = pattern.expected_items or 0
        found = found if pattern.operation == "put" else min(found, items)
        made = (*(((BULK_PUT, batches(found, facts)),) if audited else ()), (method, batches(found, facts)))
        each = (0 if pattern.operation == "delete" else size) + (world.size(entities.AUDIT) if audited else 0)
        return Work(items, found if pattern.operation == "get" else 0, 0, made, found * each)

    return Served(f"bulk {pattern.operation}", entity.name, tuple(calls), work)


def _sweep(world: World, pattern: Pattern) -> Served:
    """All pages, then what is due in batches: the matches are those of a day unless the file says more."""
    entity, facts = world.design.by_name[pattern.entity], world.facts
    read = scan(world, pattern)
    asked = pattern.expected_items if pattern.expected_items is not None else math.ceil(entity.volume.per_day)
    soft = entity.retention is not None and entity.retention.mode == "soft"
    method = BULK_PUT if soft else BULK_DELETE
    words = "mark as deleted, the whole item" if soft else "delete what is due"

    def work(day: int) -> Work:
        base = read.work(day)
        due = min(asked, base.items)
        written = due * world.size(entity.name) if soft else 0
        calls = (*base.calls, (method, batches(due, facts)))
        return Work(base.items, base.evaluated, base.pages, calls, base.bytes + written)

    last = Call(method, entity.name, "batches", words)
    return Served("query", entity.name, (*read.calls, last), work)


def _export(world: World, pattern: Pattern) -> Served:
    return scan(world, pattern)


Serve = Callable[[World, Pattern], Served]
KINDS: Final[Mapping[str, Serve]] = {
    "get": _get,
    "list": _list,
    "search": _search,
    "count": _count,
    "aggregate": _aggregate,
    "top": _top,
    "join": _join,
    "unique": _unique,
    "put": _put,
    "update": _update,
    "transition": _transition,
    "increment": _increment,
    "append": _increment,
    "delete": _delete,
    "bulk": _bulk,
    "sweep": _sweep,
    "export": _export,
}
