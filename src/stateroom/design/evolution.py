"""Evolution: what it takes to give every item something new, without a pause, and the way back.

Rules of this file: the gate of a backfill is the absence of the new attribute, because an item that lacks an attribute
matches no comparison (`#v < :n` would skip exactly those that are to be filled). The way back removes nothing: Slack
refuses a deploy without the attribute (schema_compatibility_error). Items are updated one by one: bulkPut would replace
what people change meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from stateroom.design.costs import QUERY, told
from stateroom.design.facts import Facts, source
from stateroom.design.findings import finding
from stateroom.design.parts import PREFIX, Claim, Finding, Rollout, Step, Store
from stateroom.design.retention import job_runs, job_seconds
from stateroom.design.sizes import item_bytes, items_on, pages
from stateroom.design.structs import Design

UPDATE = f"{PREFIX}update"


def rollouts(design: Design, stores: Iterable[Store], facts: Facts) -> tuple[Rollout, ...]:
    """A backfill of each entity that lives in Slack's datastores."""
    return tuple(rollout(design, one, facts) for one in stores if one.role == "entity" and one.home == "slack")


def rollout(design: Design, store: Store, facts: Facts, new: str = "the new attribute") -> Rollout:
    """What a backfill of `new` takes today."""
    items = items_on(design.by_name[store.entity or ""], 0, facts)
    calls = {QUERY: pages(items, item_bytes(store.attributes, facts), facts), UPDATE: items}
    seconds = job_seconds(calls, facts)
    runs = job_runs(seconds, facts)
    window = facts.function_seconds * facts.warn_share
    each = math.floor(min(facts.tier(UPDATE) * facts.sweep_share * window / 60, window * 1000 / facts.call_ms))
    text = f"a backfill of {store.name} takes {items:,} updates, {told(seconds * 1000)} in {runs:,} runs of a function"
    why = (
        f"one update an item at half of tier 4, {each} items a run; bulkPut would replace what people change meanwhile"
    )
    claim = Claim(text, seconds, "s", why, source("tier_4", "sweep_share", "function_seconds"))
    return Rollout(
        store.name, items, calls, seconds, runs, each, tuple(_steps(store, new)), tuple(_back(new)), (claim,)
    )


def _steps(store: Store, new: str) -> Iterator[Step]:
    yield Step(f"deploy the schema with {new}, declared and not required", "slack deploy", "nothing has changed")
    yield Step(f"deploy code that writes {new} and copes with its absence", "slack deploy", "deploy the old code again")
    yield Step(
        "run the backfill: attribute_not_exists(#new), page by page, cursor kept", "query, update", "run it again"
    )
    yield Step("count attribute_not_exists(#new): go on only at 0", "count", "run the backfill again")
    yield Step(f"deploy code that relies on {new} in {store.name}", "slack deploy", "deploy the code before it")


def _back(new: str) -> Iterator[Step]:
    yield Step("deploy the code before the cut-over: it copes with absence and with presence", "slack deploy", "")
    yield Step(
        f"leave {new} declared and filled: a manifest without it is refused with schema_compatibility_error", "", ""
    )


def findings(design: Design, found: Iterable[Rollout]) -> Iterator[Finding]:
    """What is told of backfills."""
    for one in found:
        if one.runs > 1:
            took = f"{one.items:,} updates, {told(one.seconds * 1000)}, {one.runs:,} runs"
            words = f"a backfill of {one.datastore} today: {took}"
            yield finding("SR-601", design, f"entities.{one.datastore}", words)
