"""Capacity: sizes of items, growth, and the day on which each limit breaks.

Rules of this file: formulas over sizes.py and costs.py. A day is searched by halving, which needs no more than that
growth has one direction; beyond ten years nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from stateroom.design.access import per_day
from stateroom.design.costs import QUERY
from stateroom.design.entities import AUDIT, swept
from stateroom.design.facts import FORMULA, Facts, source
from stateroom.design.findings import finding
from stateroom.design.parts import Access, Break, Capacity, Claim, Finding, Store, TierUse
from stateroom.design.sizes import (
    YEAR,
    entry_bytes,
    item_bytes,
    item_max_bytes,
    items_on,
    items_per_page,
    kept_days,
    max_bytes,
    pages,
    removed_by,
    value_bytes,
)
from stateroom.design.structs import Attr, Design, Entity, Pattern

HORIZON = 3650
TRIMMED = "decide how long rows are kept; export those that are older, then remove them with a sweep of your own"
JOBS = 5  # kinds of job, each with one item for an entity at most (typescript_plan.py)


def capacity(design: Design, stores: Iterable[Store], accesses: Iterable[Access], facts: Facts) -> tuple[Capacity, ...]:
    """Sizes and growth of each datastore."""
    listed = list(accesses)
    return tuple(_of(design, store, listed, facts) for store in stores)


def items_of(design: Design, store: Store, day: float, facts: Facts) -> int:
    """Items of any datastore on a day: those that the compiler adds follow from the rates of their writers."""
    if store.role == "entity":
        return items_on(design.by_name[store.entity or ""], day, facts)
    writing = [one for one in design.patterns if one.name in store.writers]
    daily = sum(per_day(one, facts) * _rows(one) for one in writing)
    if store.role == "claims":
        return math.ceil(daily * min(day, 1 + facts.ttl_hours / 24))
    if store.role == "state":
        return JOBS * len(design.entities)
    if store.role == "lookup":
        entity = design.by_name[store.entity or ""]
        listed = store.attributes.get("ids")
        each = listed.avg_items if listed is not None and listed.avg_items else 1
        return math.ceil(items_on(entity, day, facts) / max(each, 1))
    if store.role == "audit":
        daily += sum(one.volume.per_day for one in design.entities if _is_swept(design, one, store))
    return math.ceil(daily * day)


def _rows(pattern: Pattern) -> int:
    """Rows that one run writes. A sweep of a retention removes what is due on its day: below."""
    if pattern.kind == "sweep" and pattern.where is None:
        return 0
    return (pattern.expected_items or 0) if pattern.kind in ("bulk", "sweep") else 1


def _is_swept(design: Design, entity: Entity, trail: Store) -> bool:
    plain = [one.name for one in design.of(entity.name) if one.kind == "sweep" and one.where is None]
    return bool({swept(entity), *plain} & set(trail.writers))


def _of(design: Design, store: Store, accesses: list[Access], facts: Facts) -> Capacity:
    size, largest = item_bytes(store.attributes, facts), item_max_bytes(store.attributes, facts)
    growth = []
    for day in (*range(0, YEAR, 30), YEAR):
        items = items_of(design, store, day, facts)
        growth.append((day, items, items * size))
    today, year = growth[0], growth[-1]
    biggest = max(store.attributes.values(), key=lambda one: _weight(one, facts))
    each = items_per_page(size, facts)
    text = f"an item of {store.name} has {size} bytes on average"
    bound = "and nothing bounds it" if largest is None else f"and {largest} at most"
    why = f"the sum of its {len(store.attributes)} names and values {bound}; {biggest.name} is the largest"
    claims = (
        Claim(text, size, "bytes", why, source("item_bytes")),
        Claim(
            f"a page of {store.name} holds {each} items",
            each,
            "items",
            f"{size} bytes each",
            source("page_bytes", "page_items"),
        ),
        Claim(f"{store.name} has {year[1]} items in a year", year[1], "items", _grows(design, store, facts), FORMULA),
    )
    breaks = tuple(_breaks(design, store, accesses, facts)) if store.home == "slack" else ()
    return Capacity(
        store.name,
        store.home,
        size,
        largest,
        biggest.name,
        today[1],
        year[1],
        today[2],
        year[2],
        each,
        tuple(growth),
        breaks,
        claims,
    )


def _weight(attribute: Attr, facts: Facts) -> tuple[int, int]:
    most = max_bytes(attribute, facts)
    return (1, value_bytes(attribute, facts)) if most is None else (0, most)


def _grows(design: Design, store: Store, facts: Facts) -> str:
    if store.role != "entity" or store.entity is None:
        if store.role == "state":
            return f"one for each job, at most {JOBS} for an entity"
        return f"it grows with {', '.join(store.writers) or 'its entity'}"
    entity = design.by_name[store.entity]
    kept = kept_days(entity, facts)
    end = "nothing removes them" if kept is None else f"each is gone after {kept:g} days"
    return f"{entity.volume.initial} on the first day, {entity.volume.per_day:g} a day, {end}"


def day_when(broken: Callable[[int], bool]) -> int | None:
    """The first day on which something is so; None within ten years. It must stay so once it is."""
    if broken(0):
        return 0
    if not broken(HORIZON):
        return None
    low, high = 0, HORIZON
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if broken(middle) else (middle, high)
    return high


def _breaks(design: Design, store: Store, accesses: list[Access], facts: Facts) -> Iterator[Break]:
    largest = item_max_bytes(store.attributes, facts)
    bounded = {n: one for n, one in store.attributes.items() if max_bytes(one, facts) is not None}
    most = item_max_bytes(bounded, facts) or 0  # what has no bound comes on top
    if most >= facts.item_bytes:
        reason = "the largest values that the file allows, together"
        biggest = max(bounded.values(), key=lambda one: _weight(one, facts)).name
        claim = Claim("the largest item is refused", most, "bytes", reason, source("item_bytes"))
        yield Break("item", 0, claim, biggest)
    if largest is None:
        yield from _arrays(design, store, facts)
    for access in accesses:
        if access.datastore == store.name and QUERY in access.today.calls and access.home == "slack":
            yield from _too_slow(design, store, access, facts)


def _arrays(design: Design, store: Store, facts: Facts) -> Iterator[Break]:
    """The day when an array that is added to fills its item."""
    for attribute in store.attributes.values():
        if max_bytes(attribute, facts) is not None:
            continue
        own = design.of(store.name) if store.role == "entity" else ()
        appends = [one for one in own if one.kind == "append" and attribute.name in one.attributes]
        if appends and all(one.concurrent for one in appends):
            continue  # each entry is an item of its own (access.py)
        adding = sum(per_day(one, facts) for one in appends if not one.concurrent)
        items = max(1, items_of(design, store, 0, facts))
        each = entry_bytes(attribute, facts)
        free = facts.item_bytes - item_bytes(store.attributes, facts)
        day = math.ceil(free / (each * adding / items)) if adding else None
        when = f"{adding:g} appends a day over {items} items" if adding else "no pattern says how fast"
        text = f"{store.name}.{attribute.name} fills its item"
        yield Break(attribute.name, day, Claim(text, day, "days", when, source("item_bytes")))


def _too_slow(design: Design, store: Store, access: Access, facts: Facts) -> Iterator[Break]:
    """The day when a query takes longer than its pattern allows, or than a function has."""
    pattern = next(one for one in design.patterns if one.name == access.pattern)
    if pattern.kind in ("export", "sweep"):
        return
    limit = pattern.max_ms if pattern.max_ms is not None else facts.function_seconds * 1000
    size = item_bytes(store.attributes, facts)

    def slow(day: int) -> bool:
        return pages(items_of(design, store, day, facts), size, facts) * facts.call_ms > limit

    day = day_when(slow)
    if day is not None:
        text = f"{access.pattern} takes longer than {limit} ms"
        reason = f"each page is a call of {facts.call_ms} ms"
        yield Break(access.pattern, day, Claim(text, day, "days", reason, source("page_bytes", "call_ms")))


def tier_day(design: Design, accesses: Iterable[Access], sizes: Mapping[str, int], facts: Facts) -> int | None:
    """The first day on which the queries of all patterns pass their tier. `sizes`: an item's bytes by datastore."""
    asked = [
        (one.per_minute, design.by_name[call.datastore], sizes[call.datastore])
        for one in accesses
        for call in one.calls
        if call.method == QUERY and one.home == "slack"
    ]

    def over(day: int) -> bool:
        used = sum(rate * pages(items_on(entity, day, facts), size, facts) for rate, entity, size in asked)
        return used > facts.tier(QUERY)

    return day_when(over)


def findings(
    design: Design, found: Iterable[Capacity], accesses: Iterable[Access], uses: Iterable[TierUse], facts: Facts
) -> Iterator[Finding]:
    """What is told of sizes and tiers."""
    listed, held = list(accesses), list(found)
    sizes = {one.datastore: one.item_bytes for one in held}
    for one in held:
        if one.home == "slack":
            yield from _of_sizes(design, one)
    for use in uses:
        yield from _of_tier(design, use, listed, sizes, facts)
    for one in held:
        if one.datastore == AUDIT and one.home == "slack" and one.items_year:
            reason = f"{AUDIT} gets {one.items_year:,} rows in the first year and loses none"
            yield finding("SR-408", design, "compliance.audit", reason, TRIMMED)
    places = {one.name: f"access_patterns[{number}]" for number, one in enumerate(design.patterns)}
    for pattern in design.patterns:
        access = next(one for one in listed if one.pattern == pattern.name)
        worst = access.today.worst_ms
        if pattern.max_ms is not None and (worst is None or worst > pattern.max_ms):
            took = "never ends" if worst is None else f"takes {worst} ms"
            when = "in the busiest minute" if access.home == "slack" else "as one call of the external store"
            reason = f"{pattern.name} {took} {when}, asked are {pattern.max_ms} ms"
            yield finding("SR-406", design, places[pattern.name], reason)
    for entity in design.entities:
        if design.source == "definitions" or not entity.volume.known:
            yield finding("SR-409", design, f"entities.{entity.name}", f"{entity.name} has no volume")
        elif entity.volume.per_day and removed_by(entity, facts) == "never":
            reason = f"{entity.name} gets {entity.volume.per_day:g} items a day and loses none"
            cure = None if entity.retention is None else "have the legal hold's end decided; until then it grows"
            yield finding("SR-408", design, f"entities.{entity.name}", reason, cure)


def _of_sizes(design: Design, one: Capacity) -> Iterator[Finding]:
    place = f"entities.{one.datastore}" if one.datastore in design.by_name else "entities"
    for broken in one.breaks:
        attribute = f"{place}.attributes.{broken.limit}"
        if broken.limit == "item":
            reason = f"an item of {one.datastore} may have {broken.claim.value:,} bytes, above all because of "
            reason += broken.attribute
            yield finding("SR-401", design, f"{place}.attributes.{broken.attribute}", reason)
        elif broken.claim.text.endswith("fills its item"):
            when = "on a day that no pattern tells" if broken.day is None else f"on day {broken.day}"
            reason = f"{one.datastore}.{broken.limit} has no max_items and fills the item {when}: {broken.claim.reason}"
            yield finding("SR-402", design, attribute, reason)


def _of_tier(
    design: Design, use: TierUse, accesses: list[Access], sizes: Mapping[str, int], facts: Facts
) -> Iterator[Finding]:
    most = ", ".join(f"{name} {calls:g}" for name, calls in sorted(use.by, key=lambda one: -one[1])[:3])
    words = f"{use.method}: {use.today:g} calls in the busiest minute, tier {use.tier} allows {use.allowed} ({most})"
    if use.today > use.allowed:
        yield finding("SR-403", design, "access_patterns", words)
    elif use.year > use.allowed:
        day = tier_day(design, accesses, sizes, facts) if use.method == QUERY else None
        when = "" if day is None else f", passed on day {day}"
        yield finding("SR-404", design, "access_patterns", f"{words}; {use.year:g} in a year{when}")
    elif use.today > use.allowed * facts.warn_share:
        yield finding("SR-405", design, "access_patterns", words)
