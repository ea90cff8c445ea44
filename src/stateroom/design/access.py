"""The access map: each pattern to calls of Slack's datastores, or to the store that can do it.

Rules of this file: one function a kind, in the table KINDS; each gives the calls and what they cost on a day. What
Slack cannot serve within the pattern's time and the tier is served elsewhere, with the reason; what it can serve, but
not for long or not safely, names the alternative. A missing index is designed around (a composite key, a lookup, one
item an entry) before a pattern is sent away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from stateroom.design import entities
from stateroom.design.access_kinds import KINDS, scan
from stateroom.design.access_world import FIND_BY_KEY, Served, World
from stateroom.design.access_writes import claims
from stateroom.design.alternatives import alternative
from stateroom.design.costs import Work, cost, told, under_load
from stateroom.design.facts import Facts, source
from stateroom.design.parts import Access, Claim, Cost, Home, Store
from stateroom.design.sizes import YEAR, key_bytes, removed_by
from stateroom.design.structs import Design, Entity, Pattern


def per_day(pattern: Pattern, facts: Facts) -> float:
    """Runs a day."""
    return pattern.per_day if pattern.per_day is not None else pattern.per_minute * 60 * facts.busy_hours


def mapped(design: Design, facts: Facts) -> tuple[tuple[Store, ...], tuple[Access, ...]]:
    """The datastores and the accesses, in the order of the file; what the compiler adds comes after the entities."""
    homes: dict[str, Home] = {one.name: "slack" for one in design.entities}
    if design.app.target == "self-hosted":
        homes = dict.fromkeys(homes, "external")
    world, accesses = _once(design, facts, homes)
    moved = _moved(design, accesses) if design.app.target == "mixed" else set()
    while any(homes[name] == "slack" for name in moved):  # what is joined with something that moves goes along
        homes |= dict.fromkeys(moved, "external")
        world, accesses = _once(design, facts, homes)
        moved = _moved(design, accesses)
    if apart := _apart(world, accesses):  # a lookup that cannot serve its pattern all the same is paid for in vain
        world, accesses = _once(design, facts, homes, apart)
    _drop_idle(world, accesses)
    return tuple(world.stores.values()), under_load(accesses, facts)


def _apart(world: World, accesses: Iterable[Access]) -> frozenset[str]:
    """The patterns that a lookup was made for in vain: an external store serves them, and no change of what is copied
    finds its copies by it.
    """
    listed = list(accesses)
    patterns = {one.name: one for one in world.design.patterns}
    used = {call.datastore for one in listed if one.home == "slack" for call in one.calls if call.copies}
    away = [patterns[one.pattern] for one in listed if one.home == "external"]
    here = [one for one in away if one.kind in FIND_BY_KEY and world.homes[one.entity] == "slack"]
    return frozenset(one.name for one in here if entities.lookup_name(one.entity, _looked_up(world, one)) not in used)


def _drop_idle(world: World, accesses: Iterable[Access]) -> None:
    """Without the datastores that only patterns of an external store would write."""
    away = {one.pattern for one in accesses if one.home == "external"}
    for name, store in list(world.stores.items()):
        writers = tuple(one for one in store.writers if one not in away)
        if store.role not in ("entries", "claims", "audit") or store.home != "slack" or writers == store.writers:
            continue
        if not writers:
            del world.stores[name]
        elif store.role == "audit":
            world.stores[name] = entities.audit_store("slack", writers, world.facts)


def _moved(design: Design, accesses: Iterable[Access]) -> set[str]:
    """The entities that a mixed app keeps in the external store."""
    found = list(accesses)
    asked = {one.entity for one in found if one.home == "external" or (one.external and _unsafe(one, design))}
    away = {one.pattern for one in found if one.home == "external"}
    return asked | {name for one in design.patterns if one.name in away for name in one.join} | _obliged(design)


def _obliged(design: Design) -> set[str]:
    """The entities that must not be in Slack's datastores: a region or a seal is asked for, and a store has both."""
    if design.compliance.residency is not None:
        return {one.name for one in design.entities}
    return {place.partition(".")[0] for place in design.compliance.encryption}


def _unsafe(access: Access, design: Design) -> bool:
    """Whether several may write at once: with a store at hand that decides, there is no reason to lose updates."""
    pattern = next(one for one in design.patterns if one.name == access.pattern)
    return pattern.concurrent or pattern.kind == "unique"


def _once(
    design: Design, facts: Facts, homes: dict[str, Home], apart: frozenset[str] = frozenset()
) -> tuple[World, list[Access]]:
    """Everything mapped with these homes. `apart`: patterns that no lookup is made for."""
    world = World(design, facts, homes)
    for entity in design.entities:
        world.stores[entity.name] = entities.entity_store(design, entity, homes[entity.name], facts)
    _add_lookups(world, apart)
    _add_entries(world)
    _add_own(world)
    return world, [_access(world, pattern) for pattern in design.patterns]


# Datastores that patterns need


def _add_lookups(world: World, apart: frozenset[str]) -> None:
    wanted: dict[tuple[str, tuple[str, ...]], list[Pattern]] = {}
    for pattern in world.design.patterns:
        if world.homes[pattern.entity] == "slack" and pattern.kind in FIND_BY_KEY and pattern.name not in apart:
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
    if 2 * expected * (1 + key_bytes(entity, world.facts)) > room:
        return ()
    if _crowded(world, entity, tuple(where.equal), 2 * expected):
        return ()
    if pattern.kind != "get" and not _over_budget(world, pattern, scan(world, pattern)):
        return ()
    return tuple(where.equal)


def _crowded(world: World, entity: Entity, of: tuple[str, ...], most: int) -> bool:
    """Whether so few values are possible that a lookup's list holds more than it has room for, whatever is asked."""
    return any(_fewer(world, entity, of, most, day) for day in (0, YEAR))


def _fewer(world: World, entity: Entity, of: tuple[str, ...], most: int, day: int) -> bool:
    combinations = 1
    for attribute in (entity.attributes[one] for one in of):
        possible = 2 if attribute.type == "boolean" else len(attribute.values)
        if attribute.references is not None:
            possible = world.items(world.design.by_name[attribute.references], day)
        if not possible:
            return False
        combinations *= possible
    return world.items(entity, day) > combinations * most


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
    claiming = [one for one in patterns if claims(world, one)]
    if claiming:
        world.stores[entities.CLAIMS] = entities.claims_store(claiming, world.design, world.facts)
    writing = tuple(one.name for one in patterns if _changes(world, one))
    writing += tuple(entities.swept(one) for one in world.design.entities if _swept(world, one))
    if world.design.compliance.audit and writing:
        home: Home = "external" if "external" in world.homes.values() else "slack"
        world.stores[entities.AUDIT] = entities.audit_store(home, writing, world.facts)
    if world.design.source == "design" and any(world.homes[one.name] == "slack" for one in world.design.entities):
        world.stores[entities.STATE] = entities.state_store()


def _changes(world: World, pattern: Pattern) -> bool:
    """Whether a pattern's runs change items. What ends by its time in an external store is in its log of changes."""
    if pattern.kind == "sweep":
        return world.homes[pattern.entity] == "slack"
    return pattern.kind in entities.WRITES and not entities.is_read_bulk(pattern)


def _swept(world: World, entity: Entity) -> bool:
    """Whether the daily sweep, which no pattern asks for, removes items of an entity."""
    own = any(one.kind == "sweep" and one.where is None for one in world.design.of(entity.name))
    return world.homes[entity.name] == "slack" and removed_by(entity, world.facts) == "sweep" and not own


def at_volumes(
    design: Design, stores: Iterable[Store], accesses: Iterable[Access], items: Mapping[str, int], facts: Facts
) -> tuple[Access, ...]:
    """What the same decisions cost with other numbers of items: `today` of each access that Slack serves."""
    sized = tuple(replace(one, volume=replace(one.volume, initial=items.get(one.name, 0))) for one in design.entities)
    kept = {one.name: one for one in stores}
    homes: dict[str, Home] = {one.name: kept[one.name].home for one in sized}
    world, patterns = World(replace(design, entities=sized), facts, homes, kept), {p.name: p for p in design.patterns}

    def now(one: Access) -> Access:
        if one.home == "external":
            return one
        pattern = patterns[one.pattern]
        return replace(one, today=cost(KINDS[pattern.kind](world, pattern).work(0), facts))

    return under_load(map(now, accesses), facts)


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
            f"in a year a run takes {told(year.alone_ms)} ({year.total_calls:,} calls), over {words} of {told(budget)}"
        )
    for method, times in year.calls.items():
        allowed = facts.tier(method)
        if times * pattern.per_minute > allowed:
            calls = round(times * pattern.per_minute)
            found.append(f"in a year it makes {calls:,} calls of {method} a minute, the tier allows {allowed}")
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
    text = f"{pattern.name} is {_article(served.operation)} on {served.datastore}: {_many(today.total_calls, 'call')} "
    text += f"today, {year.total_calls} in a year"
    reason = "; ".join(one.purpose for one in served.calls)
    ways = {one.repeat for one in served.calls}
    rests = [*(("page_items", "page_bytes") if "pages" in ways else ()), *(("bulk",) if "batches" in ways else ())]
    yield Claim(text, year.total_calls, "calls", reason, source(*rests))
    if year.pages:
        text = f"each run evaluates {_many(today.evaluated, 'item')} today, {year.evaluated} in a year, on "
        text += _many(year.pages, "page")
        reason = "the filter is applied after a page is read, so items that do not match cost as much"
        yield Claim(text, year.evaluated, "items", reason, source("page_items", "page_bytes"))


def _many(number: int, word: str) -> str:
    """One call, 2 calls."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
