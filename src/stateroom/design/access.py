"""The access map: each pattern to calls of Slack's datastores, or to the store that can do it.

Rules of this file: one function a kind, in the table KINDS; each gives the calls and what they cost on a day. What
Slack cannot serve within the pattern's time and the tier is served elsewhere, with the reason; what it can serve, but
not for long or not safely, names the alternative. A missing index is designed around (a composite key, a lookup, one
item an entry) before a pattern is sent away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from stateroom.design import entities
from stateroom.design.alternatives import alternative
from stateroom.design.costs import COUNT, QUERY, Work, cost, tiers, under_load
from stateroom.design.facts import Facts, source
from stateroom.design.parts import PREFIX, Access, Call, Claim, Cost, Home, Store
from stateroom.design.sizes import YEAR, batches, item_bytes, items_on, pages
from stateroom.design.structs import Design, Entity, Pattern

GET, PUT, UPDATE, DELETE = (f"{PREFIX}{verb}" for verb in ("get", "put", "update", "delete"))
BULK_GET, BULK_PUT, BULK_DELETE = (f"{PREFIX}{verb}" for verb in ("bulkGet", "bulkPut", "bulkDelete"))
READS: Final = ("get", "list", "search", "count", "aggregate", "top", "join", "export")
FIND_BY_KEY: Final = ("get", "list", "join", "unique")


@dataclass(frozen=True)
class Served:
    """How Slack would serve a pattern. `faults`: why it cannot; `doubts`: why it will not for long."""

    operation: str
    datastore: str
    calls: tuple[Call, ...]
    work: Callable[[int], Work]
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass
class World:
    """The design while it is mapped: the datastores so far, by name, and where each entity lives."""

    design: Design
    facts: Facts
    homes: dict[str, Home] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)

    def size(self, store: str) -> int:
        """Bytes of an average item of a datastore."""
        return item_bytes(self.stores[store].attributes, self.facts)

    def items(self, entity: Entity, day: int) -> int:
        """Items of an entity on a day."""
        return items_on(entity, day, self.facts)

    def lookups(self, entity: str) -> list[Store]:
        """The lookups that writers of an entity must keep right."""
        return [one for one in self.stores.values() if one.role == "lookup" and one.entity == entity]


def per_day(pattern: Pattern, facts: Facts) -> float:
    """Runs a day."""
    return pattern.per_day if pattern.per_day is not None else pattern.per_minute * 60 * facts.busy_hours


def mapped(design: Design, facts: Facts) -> tuple[tuple[Store, ...], tuple[Access, ...]]:
    """The datastores and the accesses, in the order of the file; what the compiler adds comes after the entities."""
    homes: dict[str, Home] = {one.name: "slack" for one in design.entities}
    if design.app.target == "self-hosted":
        homes = dict.fromkeys(homes, "external")
    world, accesses = _once(design, facts, homes)
    if design.app.target == "mixed":
        moved = {one.entity for one in accesses if one.home == "external" or (one.external and _unsafe(one, design))}
        moved |= _obliged(design)
        if moved:
            world, accesses = _once(design, facts, {**homes, **dict.fromkeys(moved, "external")})
    return tuple(world.stores.values()), under_load(accesses, facts)


def _obliged(design: Design) -> set[str]:
    """The entities that must not be in Slack's datastores: a region or a seal is asked for, and a store has both."""
    if design.compliance.residency is not None:
        return {one.name for one in design.entities}
    return {place.partition(".")[0] for place in design.compliance.encryption}


def _unsafe(access: Access, design: Design) -> bool:
    """Whether several may write at once: with a store at hand that decides, there is no reason to lose updates."""
    pattern = next(one for one in design.patterns if one.name == access.pattern)
    return pattern.concurrent or pattern.kind == "unique"


def _once(design: Design, facts: Facts, homes: dict[str, Home]) -> tuple[World, list[Access]]:
    world = World(design, facts, homes)
    for entity in design.entities:
        world.stores[entity.name] = entities.entity_store(design, entity, homes[entity.name], facts)
    _add_lookups(world)
    _add_entries(world)
    _add_own(world)
    return world, [_access(world, pattern) for pattern in design.patterns]


# Datastores that patterns need


def _add_lookups(world: World) -> None:
    wanted: dict[tuple[str, tuple[str, ...]], list[Pattern]] = {}
    for pattern in world.design.patterns:
        if world.homes[pattern.entity] == "slack" and pattern.kind in FIND_BY_KEY:
            of = _looked_up(world, pattern)
            if of:
                wanted.setdefault((pattern.entity, of), []).append(pattern)
    for (name, of), patterns in wanted.items():
        entity = world.design.by_name[name]
        store = entities.lookup_store(world.design, entity, of, patterns, world.facts)
        world.stores[store.name] = store


def _looked_up(world: World, pattern: Pattern) -> tuple[str, ...]:
    """The attributes of the lookup that serves a pattern; none when its own datastore does, or no lookup could."""
    entity = world.design.by_name[pattern.entity]
    if pattern.kind == "unique":
        return () if set(pattern.attributes) == set(entity.key) else pattern.attributes
    where = pattern.where
    if where is None or not where.only_equal or set(where.equal) == set(entity.key):
        return ()
    expected = pattern.expected_items if pattern.expected_items is not None else (1 if pattern.kind == "get" else None)
    if expected is None or len(entities.lookup_name(entity.name, where.equal)) > 62:
        return ()
    room = world.facts.item_bytes * world.facts.warn_share
    if 2 * expected * (1 + entities.key_bytes(entity, world.facts)) > room:
        return ()
    if pattern.kind != "get" and not _over_budget(world, pattern, _scan(world, pattern)):
        return ()
    return tuple(where.equal)


def _add_entries(world: World) -> None:
    wanted: dict[tuple[str, str], list[str]] = {}
    for pattern in world.design.patterns:
        if pattern.kind in ("increment", "append") and pattern.concurrent and world.homes[pattern.entity] == "slack":
            for attribute in pattern.attributes:
                wanted.setdefault((pattern.entity, attribute), []).append(pattern.name)
    for (name, attribute), writers in wanted.items():
        entity = world.design.by_name[name]
        store = entities.entries_store(world.design, entity, attribute, tuple(writers), world.facts)
        world.stores[store.name] = store


def _add_own(world: World) -> None:
    patterns = world.design.patterns
    claiming = [one.name for one in patterns if _claims(world, one)]
    if claiming:
        world.stores[entities.CLAIMS] = entities.claims_store(tuple(claiming), world.facts)
    writing = tuple(one.name for one in patterns if one.kind in entities.WRITES and not entities.is_read_bulk(one))
    if world.design.compliance.audit and writing:
        home: Home = "external" if "external" in world.homes.values() else "slack"
        world.stores[entities.AUDIT] = entities.audit_store(home, writing, world.facts)
    if world.design.source == "design" and any(world.homes[one.name] == "slack" for one in world.design.entities):
        world.stores[entities.STATE] = entities.state_store()


def _claims(world: World, pattern: Pattern) -> bool:
    """Whether a pattern takes a claim first: what may happen once only, on a store without conditions."""
    racing = pattern.kind in ("transition", "update") and pattern.concurrent
    return world.homes[pattern.entity] == "slack" and racing


# One pattern


def _access(world: World, pattern: Pattern) -> Access:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    served = KINDS[pattern.kind](world, pattern)
    faults = (*served.faults, *_over_budget(world, pattern, served))
    at_home = world.homes[entity.name] == "external"
    away = at_home or bool(faults)
    attempted = cost(served.work(YEAR), facts)
    found = alternative(world.design, pattern, (*faults, *served.doubts), facts) if away or served.doubts else None
    rate, daily = pattern.per_minute, per_day(pattern, facts)
    if away:
        one = Work(world.items(entity, 0), pattern.expected_items or 1)
        today = cost(one, facts, external=True)
        return Access(
            pattern.name,
            entity.name,
            pattern.kind,
            "external store",
            entity.name,
            "external",
            (),
            today,
            cost(Work(world.items(entity, YEAR), one.evaluated), facts, external=True),
            rate,
            daily,
            found,
            (_sent_away(world, pattern, faults, attempted),),
            None if at_home else attempted,
        )
    today, year = cost(served.work(0), facts), attempted
    return Access(
        pattern.name,
        entity.name,
        pattern.kind,
        served.operation,
        served.datastore,
        "slack",
        served.calls,
        today,
        year,
        rate,
        daily,
        found,
        tuple(_claims_of(pattern, served, today, year, facts)),
    )


def _over_budget(world: World, pattern: Pattern, served: Served) -> tuple[str, ...]:
    """Why a run does not fit its time or its tier a year from now; empty when it does."""
    facts = world.facts
    year = cost(served.work(YEAR), facts)
    budget = pattern.max_ms if pattern.max_ms is not None else _budget_ms(pattern, facts)
    found = []
    if pattern.kind not in BATCHES and year.alone_ms > budget:
        words = "the pattern's max_ms" if pattern.max_ms is not None else "a function's time"
        found.append(
            f"in a year a run takes {year.alone_ms} ms ({year.total_calls} calls), over {words} of {budget} ms"
        )
    for method, times in year.calls.items():
        allowed = facts.tier(method)
        if times * pattern.per_minute > allowed:
            calls = round(times * pattern.per_minute)
            found.append(f"in a year it makes {calls} calls of {method} a minute, the tier allows {allowed}")
    return tuple(found)


BATCHES: Final = ("export", "sweep", "bulk")
"""Kinds that go on in a second run of the function, so that they need not fit in one."""


def _budget_ms(pattern: Pattern, facts: Facts) -> int:
    return int(facts.function_seconds * 1000 * facts.warn_share)


def _sent_away(world: World, pattern: Pattern, faults: tuple[str, ...], attempted: Cost) -> Claim:
    if world.design.app.target == "self-hosted":
        reason = "the app runs on its own hosts, and Slack answers app_not_hosted there"
        return Claim(f"{pattern.name} is one call of the external store", 1, "calls", reason, source("call_ms"))
    reason = (
        "; ".join(faults) or f"{pattern.entity} lives in the external store, which decides conditions and keeps order"
    )
    text = f"{pattern.name} is served by an external store"
    return Claim(text, attempted.total_calls, "calls on Slack in a year", reason, source("tier_4", "function_seconds"))


def _claims_of(pattern: Pattern, served: Served, today: Cost, year: Cost, facts: Facts) -> Iterable[Claim]:
    text = f"{pattern.name} is {_article(served.operation)} on {served.datastore}: {today.total_calls} calls today, "
    text += f"{year.total_calls} in a year"
    reason = "; ".join(one.purpose for one in served.calls)
    yield Claim(text, year.total_calls, "calls", reason, source("page_items", "page_bytes", "bulk"))
    if year.evaluated:
        text = f"each run evaluates {today.evaluated} items today, {year.evaluated} in a year, on {year.pages} pages"
        reason = "the filter is applied after a page is read, so items that do not match cost as much"
        yield Claim(text, year.evaluated, "items", reason, source("page_items", "page_bytes"))


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


# Kinds


def _scan(world: World, pattern: Pattern, *, then: tuple[Call, ...] = ()) -> Served:
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
    return _looked(world, pattern) or _scan(world, pattern)


def _looked(world: World, pattern: Pattern) -> Served | None:
    """Through the lookup, if one was made: get its item, then the items that it names."""
    if pattern.where is None:
        return None
    store = world.stores.get(entities.lookup_name(pattern.entity, pattern.where.equal))
    if store is None or not pattern.where.only_equal:
        return None
    entity, facts = world.design.by_name[pattern.entity], world.facts
    found = pattern.expected_items if pattern.expected_items is not None else 1
    size, look = world.size(entity.name), world.size(store.name)
    second, times = (BULK_GET, batches(found, facts)) if store.many else (GET, 1)
    calls = (
        Call(GET, store.name, "once", f"get the keys by {', '.join(store.of)}", store.of),
        Call(second, entity.name, "batches" if store.many else "once", "get the items, drop those that moved on"),
    )
    operation = "bulk get" if store.many else "get"
    return Served(
        operation,
        store.name,
        calls,
        lambda day: Work(world.items(entity, day), 1 + found, 0, ((GET, 1), (second, times)), look + found * size),
    )


def _list(world: World, pattern: Pattern) -> Served:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    if pattern.where is not None and pattern.where.only_equal and set(pattern.where.equal) == set(entity.key):
        return _by_key(world, pattern, entity.key)
    served = _looked(world, pattern) or _scan(world, pattern)
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
    return _but(_scan(world, pattern), doubts=(words,))


def _search(world: World, pattern: Pattern) -> Served:
    words = "Slack has no full text: contains() is case-sensitive, has no words and no rank, and reads every item"
    return _but(_scan(world, pattern), doubts=(words,))


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
    return _but(_scan(world, pattern), doubts=(f"{words}: every item is read and the function adds up",))


def _join(world: World, pattern: Pattern) -> Served:
    """The items, then those that they refer to in calls of 25."""
    facts = world.facts
    first = _looked(world, pattern) or _scan(world, pattern)
    found = pattern.expected_items
    others = [world.design.by_name[name] for name in pattern.join]
    calls = tuple(Call(BULK_GET, one.name, "batches", f"bulkGet of the {one.name} that each names") for one in others)

    def work(day: int) -> Work:
        base = first.work(day)
        each = base.items if found is None else found
        sizes = sum(each * world.size(one.name) for one in others)
        more = tuple((BULK_GET, batches(each, facts)) for _ in others)
        return Work(
            base.items, base.evaluated + each * len(others), base.pages, (*base.calls, *more), base.bytes + sizes
        )

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


def _writes(world: World, pattern: Pattern, head: tuple[Call, ...], *, reads: int, operation: str) -> Served:
    """A write with all that goes along: claims, lookups, the audit row."""
    entity = world.design.by_name[pattern.entity]
    calls = (*_audit(world, pattern), *head, *_lookup_calls(world, pattern))
    counted = tuple((one.method, 1) for one in calls)
    size = world.size(entity.name)
    return Served(
        operation,
        next((one.datastore for one in reversed(head) if one.datastore != entities.CLAIMS), entity.name),
        calls,
        lambda day: Work(world.items(entity, day), reads, 0, counted, size * max(1, reads)),
        doubts=_doubts(world, pattern),
    )


def _doubts(world: World, pattern: Pattern) -> tuple[str, ...]:
    if pattern.concurrent and pattern.kind in ("transition", "update", "put"):
        return ("Slack has no condition: a claim narrows the race and does not close it",)
    return ()


def _audited(world: World) -> bool:
    """Whether a write here puts its audit row into Slack's datastores; one that is elsewhere costs no call of Slack."""
    return entities.AUDIT in world.stores and world.stores[entities.AUDIT].home == "slack"


def _audit(world: World, pattern: Pattern) -> tuple[Call, ...]:
    if not _audited(world):
        return ()
    return (Call(PUT, entities.AUDIT, "once", "put the audit row first", ("event_id", "step")),)


def _lookup_calls(world: World, pattern: Pattern) -> tuple[Call, ...]:
    found: list[Call] = []
    for store in world.lookups(pattern.entity):
        touched = _touches(world, pattern, store)
        for side in range(touched):
            words = ("add the key to", "take the key out of")[side if touched == 2 else pattern.kind == "delete"]
            if store.many:
                found.append(Call(GET, store.name, "once", f"read {store.name}", store.of))
                found.append(Call(PUT, store.name, "once", f"{words} {store.name}", store.of))
            else:
                taken = DELETE if words.startswith("take") else PUT
                found.append(Call(taken, store.name, "once", f"{words} {store.name}", store.of))
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
    return _writes(world, pattern, (call,), reads=0, operation="put")


def _update(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(UPDATE, entity.name, "once", "update the attributes that change", entity.key)
    moved = any(store.many or store.of for store in world.lookups(entity.name) if _touches(world, pattern, store))
    if not pattern.concurrent and not moved:
        return _writes(world, pattern, (call,), reads=0, operation="update")
    read = Call(GET, entity.name, "once", "get the item as it is", entity.key)
    return _writes(world, pattern, _claimed(world, pattern, read, call), reads=1, operation="update")


def _transition(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    read = Call(GET, entity.name, "once", f"get the item: is it still {' or '.join(pattern.from_)}?", entity.key)
    call = Call(UPDATE, entity.name, "once", f"update to {pattern.to}", entity.key)
    return _writes(world, pattern, _claimed(world, pattern, read, call), reads=1, operation="update")


def _claimed(world: World, pattern: Pattern, read: Call, write: Call) -> tuple[Call, ...]:
    """A read and a write, with the claim around the write where one is taken (consistency.py has the same steps)."""
    if entities.CLAIMS not in world.stores or not _claims(world, pattern):
        return (read, write)
    of = ("datastore", "id", "step")
    return (
        read,
        Call(PUT, entities.CLAIMS, "once", "put a claim with this run as its owner", of),
        Call(GET, entities.CLAIMS, "once", "read the claim back: whose is it?", of),
        Call(GET, read.datastore, "once", "get the item again: is it still as it was?", read.key_of),
        write,
        Call(PUT, entities.CLAIMS, "once", "put the claim as done", of),
    )


def _increment(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    if pattern.concurrent and world.homes[entity.name] == "slack":
        heads = tuple(
            Call(PUT, entities.entries_name(entity.name, one), "once", f"put one entry of {one}", ("event_id",))
            for one in pattern.attributes
        )
        return _writes(world, pattern, heads, reads=0, operation="put")
    read = Call(GET, entity.name, "once", "get the item as it is", entity.key)
    call = Call(UPDATE, entity.name, "once", f"update {', '.join(pattern.attributes)}", entity.key)
    return _writes(world, pattern, (read, call), reads=1, operation="update")


def _delete(world: World, pattern: Pattern) -> Served:
    entity = world.design.by_name[pattern.entity]
    call = Call(DELETE, entity.name, "once", "delete the item", entity.key)
    if world.lookups(entity.name):
        read = Call(GET, entity.name, "once", "get the item: its values say which lookups name it", entity.key)
        return _writes(world, pattern, (read, call), reads=1, operation="delete")
    return _writes(world, pattern, (call,), reads=0, operation="delete")


def _bulk(world: World, pattern: Pattern) -> Served:
    entity, facts = world.design.by_name[pattern.entity], world.facts
    method = {"get": BULK_GET, "put": BULK_PUT, "delete": BULK_DELETE}[pattern.operation]
    found, size = pattern.expected_items or 0, world.size(entity.name)
    times = batches(found, facts)
    read = found if pattern.operation == "get" else 0
    audited = () if pattern.operation == "get" or not _audited(world) else ((BULK_PUT, times),)
    calls = [Call(method, entity.name, "batches", f"{pattern.operation} {facts.bulk} items at once")]
    if audited:
        calls.insert(0, Call(BULK_PUT, entities.AUDIT, "batches", "put the audit rows first"))
    work = ((method, times), *audited)
    return Served(
        f"bulk {pattern.operation}",
        entity.name,
        tuple(calls),
        lambda day: Work(world.items(entity, day), read, 0, work, found * size),
    )


def _sweep(world: World, pattern: Pattern) -> Served:
    """All pages, then what is due in batches: the matches are those of a day unless the file says more."""
    entity, facts = world.design.by_name[pattern.entity], world.facts
    scan = _scan(world, pattern)
    due = pattern.expected_items if pattern.expected_items is not None else round(entity.volume.per_day)
    soft = entity.retention is not None and entity.retention.mode == "soft"
    method = BULK_PUT if soft else BULK_DELETE
    words = "mark as deleted, the whole item" if soft else "delete what is due"

    def work(day: int) -> Work:
        base = scan.work(day)
        return Work(base.items, base.evaluated, base.pages, (*base.calls, (method, batches(due, facts))), base.bytes)

    last = Call(method, entity.name, "batches", words)
    return Served("query", entity.name, (*scan.calls, last), work)


def _export(world: World, pattern: Pattern) -> Served:
    return _scan(world, pattern)


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

__all__ = ["KINDS", "Served", "World", "mapped", "per_day", "tiers"]
