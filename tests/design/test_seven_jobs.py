"""The seven jobs of a plan over generated designs: what each claims, and that it changes with what it rests on.

Every promise is computed here in another way than in design/: by walking, by counting, by the engine's own measure.
"""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings

from stateroom.cli.design_simulate_items import Stock
from stateroom.design.document import read_design
from stateroom.design.facts import SLACK, Facts
from stateroom.design.outputs import summary
from stateroom.design.parts import PREFIX, Plan
from stateroom.design.plan import plan
from stateroom.design.typescript import typescript_files
from stateroom.engines.slack_paging import Tally
from stateroom.model.profiles import size_of
from support.generated_designs import designs

pytestmark = pytest.mark.service
SOME = settings(max_examples=20, deadline=None)
WRITES = tuple(f"{PREFIX}{verb}" for verb in ("put", "update", "delete", "bulkPut", "bulkDelete"))
Raw = dict[str, Any]


def planned(raw: Raw | str, facts: Facts = SLACK) -> Plan:
    return plan(read_design(raw if isinstance(raw, str) else json.dumps(raw)), facts)


def grown(text: str, times: int) -> Plan:
    """The same design with so many times the items."""
    raw = json.loads(text)
    for entity in raw["entities"].values():
        entity["volume"] = {name: value * times for name, value in entity["volume"].items()}
    return planned(raw)


# 1: entity modelling


@SOME
@given(designs())
def test_each_entity_has_a_datastore_with_all_it_has_and_each_datastore_a_reason(text: str) -> None:
    found = planned(text)
    for entity in found.design.entities:
        store = found.store(entity.name)
        assert set(entity.attributes) <= set(store.attributes)
        assert store.attributes[store.key].required
        assert store.recipe.parts == entity.key
    for store in found.stores:
        assert store.reason.text
        assert store.reason.reason
        rebuilt = store.role == "lookup" and "rebuild.ts" in typescript_files(found)
        assert store.role in ("entity", "state") or store.writers or rebuilt, f"nothing writes {store.name}"


@SOME
@given(designs(targets=("slack-hosted",)))
def test_who_keeps_a_copy_right_really_writes_it(text: str) -> None:
    found = planned(text)
    for store in found.stores:
        for copy in store.copies if store.role == "entity" else ():
            for name in copy.keepers if not copy.attribute.endswith("_copy") else ():
                access = found.access(name)
                wrote = [call for call in access.calls if copy.attribute in call.copies and call.method in WRITES]
                assert [call.datastore for call in wrote] == [store.name] or access.home == "external"


# 2: access map


@SOME
@given(designs(targets=("slack-hosted",)))
def test_pages_and_items_are_those_of_slacks_rule_on_real_items(text: str) -> None:
    found = planned(text)
    counts = {one.name: max(1, one.volume.initial) for one in found.design.entities}
    stock = Stock(found, counts, 10**9)
    for access in found.accesses:
        first = access.calls[0] if access.calls else None
        if first is None or first.repeat != "pages" or access.kind == "join":
            continue
        sizes = [size_of(one) for one in stock.items(access.entity)]
        assert access.today.pages == pytest.approx(walked(sizes), rel=0.1)
        assert access.today.evaluated == len(sizes)


def walked(sizes: list[int]) -> int:
    """Calls that read all, as Slack cuts its pages."""
    calls, place = 0, 0
    while True:
        calls, tally, began = calls + 1, Tally(SLACK.page_items), place
        while place < len(sizes) and tally.take(sizes[place]):
            place += 1
        if place == len(sizes):
            return calls + (place - began == SLACK.page_items)


@SOME
@given(designs())
def test_expressions_ask_for_no_key_and_name_everything_they_use(text: str) -> None:
    found = planned(text)
    for access in found.accesses:
        for call in access.calls:
            if call.where is None:
                continue
            asked = call.where
            assert found.store(call.datastore).key not in asked.names.values()
            placeholders = {*asked.names, *asked.values, *asked.parameters}
            assert all(one in asked.expression for one in placeholders)
            assert set(asked.names.values()) <= set(found.store(call.datastore).attributes)


@SOME
@given(designs(targets=("slack-hosted",)))
def test_more_items_change_what_reading_them_costs(text: str) -> None:
    small, large = planned(text), grown(text, 40)
    for one in small.accesses:
        other = large.access(one.pattern)
        if one.home == other.home == "slack" and one.operation == other.operation == "scan":
            assert other.today.evaluated == 40 * one.today.evaluated
            assert other.today.total_calls > one.today.total_calls or other.today.evaluated < SLACK.page_items


# 3: consistency


@SOME
@given(designs(targets=("slack-hosted", "self-hosted")))
def test_who_may_meet_another_has_a_cure_and_it_is_among_the_calls(text: str) -> None:
    found = planned(text)
    races = {one.pattern: one for one in found.races}
    for pattern in found.design.patterns:
        if pattern.kind not in ("transition", "update", "increment", "append"):
            continue
        race, access = races[pattern.name], found.access(pattern.name)
        assert race.lost
        assert race.closes or race.remains
        if access.home == "external":
            assert race.closes
        elif pattern.concurrent:
            role = "entries" if pattern.kind in ("increment", "append") else "claims"
            assert role in {found.store(call.datastore).role for call in access.calls}


@SOME
@given(designs(targets=("slack-hosted",)))
def test_a_pattern_that_becomes_concurrent_pays_for_its_cure(text: str) -> None:
    raw = json.loads(text)
    racing = [one for one in raw["access_patterns"] if one.get("concurrent") is False and one["kind"] != "put"]
    assume(racing)
    before = planned(raw)
    racing[0]["concurrent"] = True
    after = planned(raw)
    name = racing[0]["name"]
    assume(before.access(name).home == after.access(name).home == "slack")
    assert before.access(name).calls != after.access(name).calls
    assert {one.cure for one in before.races if one.pattern == name} == {"idempotency key"}
    assert {one.cure for one in after.races if one.pattern == name} & {"claim item", "one item per entry"}


# 4: capacity


@SOME
@given(designs())
def test_items_are_as_large_as_what_is_stored(text: str) -> None:
    found = planned(text)
    stock = Stock(found, {one.name: 40 for one in found.design.entities}, 10**9)
    for one in found.capacity:
        if found.store(one.datastore).role == "entity":
            stored = [size_of(item) for item in stock.items(one.datastore)]
            assert one.item_bytes == pytest.approx(sum(stored) / len(stored), rel=0.1)


@SOME
@given(designs(targets=("slack-hosted",)))
def test_growth_ends_in_the_year_that_is_told_and_a_break_has_its_day(text: str) -> None:
    found = planned(text)
    for one in found.capacity:
        days = [day for day, *_ in one.growth]
        assert (days[0], days[-1]) == (0, 365)
        assert (one.items_today, one.items_year) == (one.growth[0][1], one.growth[-1][1])
        for broken in one.breaks:
            assert broken.day is None or broken.day >= 0
            assert broken.claim.source
    fuller = planned(text, replace(SLACK, item_bytes=SLACK.item_bytes // 4))
    for one in found.capacity:
        sooner = {x.limit: x.day for c in fuller.capacity if c.datastore == one.datastore for x in c.breaks}
        for broken in one.breaks:
            if broken.limit in found.store(one.datastore).attributes and broken.day is not None:
                assert sooner[broken.limit] < broken.day


# 5: retention


@SOME
@given(designs(targets=("slack-hosted",)))
def test_what_is_kept_for_a_time_ends_in_time_and_by_a_way_that_exists(text: str) -> None:
    found = planned(text)
    for one in found.retention:
        kept, store = found.design.by_name[one.entity].retention, found.store(one.entity)
        if kept is None:
            assert one.how == "never"
        elif kept.mode == "hard" and kept.days * 24 > SLACK.ttl_hours:
            assert (one.how, one.attribute) == ("ttl", store.ttl)
        else:
            assert (one.how, one.batch, one.where is not None) == ("sweep", 25, True)
            batches = math.ceil(one.due_per_day / 25)
            audited = any(store.role == "audit" and store.home == "slack" for store in found.stores)
            assert sum(n for method, n in one.calls.items() if "bulk" in method) == batches * (2 if audited else 1)
            slowest = max(n / (SLACK.tier(method) * SLACK.sweep_share) * 60 for method, n in one.calls.items())
            assert one.seconds >= slowest
            assert one.runs * SLACK.function_seconds >= one.seconds


@SOME
@given(designs(targets=("slack-hosted",)))
def test_a_shorter_retention_keeps_fewer_items(text: str) -> None:
    raw = json.loads(text)
    kept = [
        e for e in raw["entities"].values() if e.get("retention", {}).get("mode") == "hard" and e["volume"]["per_day"]
    ]
    assume(kept)
    years = []
    for days in (30, 300):
        for entity in kept:
            entity["retention"]["days"] = days
        found = planned(raw)
        years.append(sum(one.items_year for one in found.capacity if found.store(one.datastore).role == "entity"))
    assert years[0] < years[1]


# 6: evolution


@SOME
@given(designs(targets=("slack-hosted",)))
def test_a_backfill_takes_what_its_updates_take_under_half_of_the_tier(text: str) -> None:
    for one in planned(text).rollouts:
        assert one.items_per_run * one.runs >= one.items
        assert one.seconds >= one.items / (SLACK.tier_4 * SLACK.sweep_share) * 60
        assert any("attribute_not_exists" in step.do for step in one.steps)
        assert any("declared" in step.do for step in one.back)
    faster = planned(text, replace(SLACK, tier_4=10 * SLACK.tier_4))
    for one, other in zip(planned(text).rollouts, faster.rollouts, strict=True):
        assert other.seconds < one.seconds or one.seconds <= 1


# 7: failure


@SOME
@given(designs())
def test_every_call_says_what_is_done_when_it_fails(text: str) -> None:
    found = planned(text)
    for access in found.accesses:
        told = [one for one in found.failures if one.pattern == access.pattern]
        assert all(one.midway and one.person and one.reconciled for one in told)
        if access.home == "external":
            continue
        for call in access.calls:
            own = {one.error for one in told if one.call == f"{call.method.removeprefix(PREFIX)} {call.datastore}"}
            assert own >= {"ratelimited", "no answer, 5xx", "datastore_error"}
            assert ("partial_failure" in own) or call.repeat != "batches"
    waits = {one.wait_ms for one in found.failures if one.error == "ratelimited"}
    assert all(sum(one) < SLACK.function_seconds * 1000 / 2 for one in waits)


# All of them


LIMITS: dict[str, Facts] = {
    "page_items": replace(SLACK, page_items=7),
    "page_bytes": replace(SLACK, page_bytes=5000),
    "call_ms": replace(SLACK, call_ms=90),
    "function_seconds": replace(SLACK, function_seconds=20),
}


@SOME
@given(designs(targets=("slack-hosted",)))
def test_what_is_written_changes_with_a_volume_a_pattern_and_a_limit(text: str) -> None:
    first = summary(planned(text))
    assert summary(grown(text, 3)) != first
    raw = json.loads(text)
    raw["access_patterns"].append({"name": "one more", "entity": "a", "kind": "export"})
    assert summary(planned(raw)) != first
    walks = any(one.today.pages and one.today.items > 100 for one in planned(text).accesses)
    for name, facts in LIMITS.items():
        assert summary(planned(text, facts)) != first or not (walks or name == "call_ms"), name
