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
from stateroom.design.access_writes import audit_here, claimed, touches, writes
from stateroom.design.costs import COUNT, QUERY, Work
from stateroom.design.parts import Call
from stateroom.design.sizes import batches, entry_bytes, pages
from stateroom.design.structs import Pattern

AUDIT_FIRST: Final = "put the audit rows first"


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
    away = [name for name in pattern.join if world.homes[name] != "slack"]
    others = [world.design.by_name[name] for name in pattern.join if name not in away]
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
    apart = (f"{', '.join(away)} lives in the external store",) if away else ()
    faults, doubts = (*first.faults, *apart), (*first.doubts, words)
    return Served(first.operation, first.datastore, (*first.calls, *calls), work, faults, doubts)


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


def _put(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(PUT, entity.name, "once", f"put the whole item under {', '.join(entity.key)}", entity.key)
    return writes(world, pattern, (call,), operation="put")


def _update(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(UPDATE, entity.name, "once", "update the attributes that change", entity.key)
    moved = any(store.many or store.of for store in world.lookups(entity.name) if touches(world, pattern, store))
    if not pattern.concurrent and not moved:
        return writes(world, pattern, (call,), operation="update")
    read = Call(GET, entity.name, "once", "get the item as it is", entity.key)
    return writes(world, pattern, claimed(world, pattern, read, call), operation="update")


def _transition(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    read = Call(GET, entity.name, "once", f"get the item: is it still {' or '.join(pattern.from_)}?", entity.key)
    call = Call(UPDATE, entity.name, "once", f"update to {pattern.to}", entity.key)
    return writes(world, pattern, claimed(world, pattern, read, call), operation="update")


def _increment(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    if pattern.concurrent and world.homes[entity.name] == "slack":
        heads = tuple(
            Call(PUT, entities.entries_name(entity.name, one), "once", f"put one entry of {one}", ("event_id",))
            for one in pattern.attributes
        )
        return writes(world, pattern, heads, operation="put")
    read = Call(GET, entity.name, "once", "get the item as it is", entity.key)
    arrays = [entity.attributes[one] for one in pattern.attributes] if pattern.kind == "append" else []
    more = sum(entry_bytes(one, world.facts) for one in arrays)
    call = Call(UPDATE, entity.name, "once", f"update {', '.join(pattern.attributes)}", entity.key, adds=more)
    return writes(world, pattern, (read, call), operation="update")


def _delete(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(DELETE, entity.name, "once", "delete the item", entity.key)
    if world.lookups(entity.name):
        read = Call(GET, entity.name, "once", "get the item: its values say which lookups name it", entity.key)
        return writes(world, pattern, (read, call), operation="delete")
    return writes(world, pattern, (call,), operation="delete")


def _bulk(world: World, pattern: Pattern) -> Served:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    method = {"get": BULK_GET, "put": BULK_PUT, "delete": BULK_DELETE}[pattern.operation]
    size = world.size(entity.name)
    audited = pattern.operation != "get" and audit_here(world)
    calls = [Call(method, entity.name, "batches", f"{pattern.operation} {facts.bulk} items at once")]
    if audited:
        calls.insert(0, Call(BULK_PUT, entities.AUDIT, "batches", AUDIT_FIRST))

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
    audited = audit_here(world)

    def work(day: int) -> Work:
        base = read.work(day)
        due = min(asked, base.items)
        each = (world.size(entity.name) if soft else 0) + (world.size(entities.AUDIT) if audited else 0)
        rows = ((BULK_PUT, batches(due, facts)),) if audited else ()
        calls = (*base.calls, *rows, (method, batches(due, facts)))
        return Work(base.items, base.evaluated, base.pages, calls, base.bytes + due * each)

    trail = (Call(BULK_PUT, entities.AUDIT, "batches", AUDIT_FIRST),) if audited else ()
    last = Call(method, entity.name, "batches", words)
    return Served("query", entity.name, (*read.calls, *trail, last), work)


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
