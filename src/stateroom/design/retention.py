"""Retention: how items end, what a sweep costs, what soft and hard deletion trade, and the way to forget a person.

Rules of this file: a ttl where it serves; it removes for good and up to 48 h late. Else a daily sweep, in batches,
under its share of the tier, resuming where the function's time ends. Whatever names a person is walked from the
definitions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from stateroom.design.costs import QUERY
from stateroom.design.entities import DELETED, key_attribute
from stateroom.design.facts import Facts, source
from stateroom.design.findings import finding
from stateroom.design.parts import PREFIX, Claim, Finding, Retained, Step, Store
from stateroom.design.sizes import YEAR, batches, item_bytes, items_on, pages, removed_by
from stateroom.design.structs import Attr, Design, Entity, Retention, Where
from stateroom.design.where import read_where

BULK_DELETE, BULK_PUT = f"{PREFIX}bulkDelete", f"{PREFIX}bulkPut"
TRADE: Mapping[str, str] = {
    "hard": "hard: nothing is kept, queries get quicker, a mistake can only be mended from an export",
    "soft": "soft: a mistake is mended by removing deleted_at, but every query goes on paying for what is deleted, "
    "every condition must ask attribute_not_exists(#deleted_at), and the personal data is still there",
    "none": "nothing is removed: simplest, and every query gets slower with each day",
}


def job_seconds(calls: Mapping[str, int], facts: Facts) -> int:
    """How long a batch job takes: its calls one after the other, or its share of the tier, whichever is longer."""
    latency = sum(calls.values()) * facts.call_ms / 1000
    paced = [times / (facts.tier(method) * facts.sweep_share) * 60 for method, times in calls.items()]
    return math.ceil(max([latency, *paced]))


def job_runs(seconds: int, facts: Facts) -> int:
    """Runs of a function, each within its time limit and a margin."""
    return max(1, math.ceil(seconds / (facts.function_seconds * facts.warn_share)))


def retention(design: Design, stores: Iterable[Store], facts: Facts) -> tuple[Retained, ...]:
    """How items of each entity end."""
    listed = list(stores)
    return tuple(_of(design, one, listed, facts) for one in design.entities)


def _of(design: Design, entity: Entity, stores: list[Store], facts: Facts) -> Retained:
    store = next(one for one in stores if one.name == entity.name)
    kept, how = entity.retention, removed_by(entity, facts)
    mode = "none" if kept is None else kept.mode
    size, items = item_bytes(store.attributes, facts), items_on(entity, YEAR, facts)
    due = 0 if how == "never" else math.ceil(entity.volume.per_day)
    calls: dict[str, int] = {}
    if how == "sweep" and store.home == "slack":
        method = BULK_PUT if mode == "soft" else BULK_DELETE
        audited = any(one.role == "audit" and one.home == "slack" for one in stores)
        rows = {BULK_PUT: batches(due, facts)} if audited else {}
        calls = {QUERY: pages(items, size, facts), **rows}
        calls[method] = calls.get(method, 0) + batches(due, facts)
    seconds = job_seconds(calls, facts) if calls else 0
    runs = job_runs(seconds, facts) if calls else 0
    each = facts.bulk * max(1, math.floor(facts.tier(BULK_DELETE) * facts.sweep_share * facts.warn_share))
    return Retained(
        entity.name,
        store.name,
        how,
        mode,
        store.ttl if how == "ttl" else None if kept is None else kept.after,
        _due(entity, store) if how == "sweep" else None,
        due,
        facts.bulk,
        calls,
        seconds,
        runs,
        each,
        TRADE[mode],
        tuple(_erasure(design, entity, stores, facts)),
        tuple(_claims(entity, due, calls, facts)),
    )


def _due(entity: Entity, store: Store) -> Where:
    """What a sweep asks for. An item without the time matches no comparison, so it is asked for by its absence."""
    kept = entity.retention
    assert kept is not None
    words = f"{kept.after} < :before"
    attributes: dict[str, Attr] = dict(store.attributes)
    if kept.mode == "soft":
        words = f"attribute_not_exists({DELETED}) AND {words}"
    return read_where(words, attributes, key_attribute(entity))


def _claims(entity: Entity, due: int, calls: Mapping[str, int], facts: Facts) -> Iterator[Claim]:
    kept, how = entity.retention, removed_by(entity, facts)
    if kept is None or how == "never":
        why = "there is no retention" if kept is None else "a legal hold is on"
        yield Claim(f"items of {entity.name} stay", 0, "items a day", why, source())
    elif how == "ttl":
        text = f"Slack removes {due} items of {entity.name} a day by itself, up to {facts.ttl_hours} h late"
        why = f"expires_at is {kept.after} and {kept.days:g} days; no call is needed"
        yield Claim(text, due, "items a day", why, source("ttl_hours"))
    elif calls:
        seconds = job_seconds(calls, facts)
        runs = job_runs(seconds, facts)
        text = f"a daily sweep of {entity.name} takes {sum(calls.values())} calls, {seconds} s, {runs} runs"
        why = "all pages are read, what is due goes in batches of 25, at half the tier"
        yield Claim(text, seconds, "s", why, source("page_bytes", "bulk", "tier_3", "sweep_share", "function_seconds"))
    else:
        yield Claim(
            f"stateroom sweep removes {due} items of {entity.name} a day", due, "items a day", "an index", source()
        )


def personal(store: Store) -> tuple[Attr, ...]:
    """What names a person: attributes that are marked, and ids of people."""
    return tuple(one for one in store.attributes.values() if one.personal)


def _erasure(design: Design, entity: Entity, stores: list[Store], facts: Facts) -> Iterator[Step]:
    store = next(one for one in stores if one.name == entity.name)
    marked = personal(store)
    if not marked:
        return
    if store.home == "external":
        yield Step(f"stateroom erase walks {store.name} by {', '.join(one.name for one in marked)}", "erase")
        return
    read = pages(items_on(entity, 0, facts), item_bytes(store.attributes, facts), facts)
    asked = " OR ".join(f"#{one.name} = :person" for one in marked if one.type != "string" or not one.avg_bytes)
    asked = asked or " OR ".join(f"#{one.name} = :person" for one in marked)
    yield Step(f"query {store.name} by {asked}, all pages ({read} calls today)", "query", "goes on from its cursor")
    if any(one.role == "lookup" and one.entity == entity.name for one in stores):
        yield Step("take the keys out of each lookup, or run the rebuild afterwards", "put", "the rebuild mends it")
    yield Step("bulkDelete what was found, in batches of 25", "bulkDelete", "send failed_items again, after a wait")
    for one in stores:
        if one.role == "entries" and one.entity == entity.name:
            yield Step(
                f"query {one.name} by #of_{key_attribute(entity)} and delete its entries", "bulkDelete", "as above"
            )
    if design.compliance.audit:
        yield Step("put the audit row of the erasure, with the id of the request and not of the person", "put", "retry")
    yield Step("erase the exports as well: restore and filter, or let them end", "", "docs of the runbook")


def findings(design: Design, found: Iterable[Retained], stores: Iterable[Store], facts: Facts) -> Iterator[Finding]:
    """What is told of retention."""
    homes = {one.name: one for one in stores}
    for one in found:
        entity, place = design.by_name[one.entity], f"entities.{one.entity}.retention"
        kept, slack = entity.retention, homes[one.entity].home == "slack"
        marked = bool(personal(homes[one.entity]))
        if kept is not None and kept.mode == "soft" and not kept.legal_hold:
            yield finding("SR-502", design, place, f"{one.entity}: {one.due_per_day} items a day are marked and stay")
        if kept is not None and kept.legal_hold and design.compliance.erasure:
            yield finding("SR-503", design, place, f"{one.entity} is held, and the file asks for erasure")
        if kept is not None and kept.legal_hold:
            yield from _removing(design, entity, kept)
        if one.how == "ttl" and slack:
            yield finding("SR-501", design, place, f"{one.entity} ends by {one.attribute}")
        if kept is not None and one.how == "sweep" and kept.mode == "hard" and slack:
            yield finding("SR-505", design, place, f"{one.entity} is kept for {kept.days:g} days, and swept")
        if one.where is not None and kept is not None and not entity.attributes[kept.after].required:
            yield finding(
                "SR-209", design, place, f"{one.entity}.{kept.after} may be absent, and its sweep asks for it"
            )
        if one.seconds > 86400:
            yield finding("SR-504", design, place, f"the daily sweep of {one.entity} takes {one.seconds} s")
        elif one.runs > 1:
            words = f"the sweep of {one.entity} takes {one.seconds} s in {one.runs} runs"
            yield finding("SR-407", design, place, words)
        if design.compliance.erasure and marked and kept is None:
            yield finding("SR-506", design, f"entities.{one.entity}", f"{one.entity} names people and is kept for ever")


def _removing(design: Design, entity: Entity, kept: Retention) -> Iterator[Finding]:
    """The patterns that remove items of an entity on which a legal hold is. A soft sweep only marks them."""
    for number, one in enumerate(design.patterns):
        bulk = one.kind == "bulk" and one.operation == "delete"
        swept = one.kind == "sweep" and kept.mode == "hard"
        if one.entity == entity.name and (one.kind == "delete" or bulk or swept):
            yield finding("SR-507", design, f"access_patterns[{number}]", f"{one.name} removes items of {entity.name}")
