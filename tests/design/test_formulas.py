"""The formulas against what they predict: pages as Slack cuts them, bytes as they are stored, sums over patterns."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateroom.design import keys
from stateroom.design.costs import ready_ms, told, took
from stateroom.design.document import read_design
from stateroom.design.facts import SLACK, SOURCES, Facts, table
from stateroom.design.outputs import outputs
from stateroom.design.plan import plan
from stateroom.design.sizes import item_bytes, item_max_bytes, key_bytes, pages, value_bytes
from stateroom.design.structs import Attr, Entity
from stateroom.engines.slack_paging import Tally
from stateroom.model.attributes import SLACK as TYPE
from stateroom.model.profiles import size_of

FEW = settings(max_examples=8, deadline=None)
MANY = settings(max_examples=60, deadline=None)


def calls_of_a_walk(items: int, size: int) -> int:
    """How many pages Slack's rule makes of so many items of one size: the rule itself, not a formula."""
    calls, left = 0, items
    while True:
        calls += 1
        tally = Tally(1000)
        while left and tally.take(size):
            left -= 1
        if not left and not tally.full:
            return calls
        if not left:
            return calls + 1


@FEW
@given(st.integers(0, 4000), st.integers(20, 3000))
def test_pages_are_those_that_slacks_rule_cuts(items: int, size: int) -> None:
    # a page that ends by bytes ends on the item that did not fit, so it is never exactly full
    assert abs(pages(items, size, SLACK) - calls_of_a_walk(items, size)) <= (1024 * 1024 % size == 0)


def test_a_page_that_is_exactly_full_costs_one_more() -> None:
    assert [pages(n, 100, SLACK) for n in (0, 999, 1000, 1001, 2000)] == [1, 1, 2, 2, 3]


SAMPLES: dict[str, Any] = {
    f"{TYPE}user_id": "U0123456789",
    f"{TYPE}channel_id": "C0123456789",
    f"{TYPE}timestamp": 1700000001,
    f"{TYPE}date": "2026-11-21",
    f"{TYPE}message_ts": "1700000000.000100",
    "boolean": True,
    "integer": 4321,
}


@FEW
@given(st.dictionaries(st.from_regex("[a-z]{1,12}", fullmatch=True), st.sampled_from(sorted(SAMPLES)), max_size=8))
def test_bytes_of_an_item_are_those_that_dynamodb_counts(kinds: dict[str, str]) -> None:
    attributes = {name: Attr(name, kind) for name, kind in kinds.items()}
    assert item_bytes(attributes, SLACK) == size_of({name: SAMPLES[kind] for name, kind in kinds.items()})


@FEW
@given(st.integers(0, 500), st.integers(0, 30), st.integers(1, 40))
def test_bytes_of_texts_and_arrays_are_those_that_were_said(text: int, entries: int, each: int) -> None:
    attributes = {
        "t": Attr("t", "string", avg_bytes=text),
        "a": Attr("a", "array", items="string", avg_bytes=each, avg_items=entries, max_items=entries),
    }
    stored = {"t": "x" * text, "a": ["y" * each] * entries}
    assert item_bytes(attributes, SLACK) == size_of(stored)
    bounded = {**attributes, "t": replace(attributes["t"], max_bytes=text)}
    assert item_max_bytes(bounded, SLACK) == size_of(stored)


@FEW
@given(st.lists(st.sampled_from(["integer", "boolean", f"{TYPE}timestamp", f"{TYPE}user_id"]), min_size=1, max_size=3))
def test_bytes_of_a_key_are_those_of_its_text(kinds: list[str]) -> None:
    attributes = {f"a{n}": Attr(f"a{n}", kind) for n, kind in enumerate(kinds)}
    written = keys.encode([SAMPLES[kind] for kind in kinds])
    assert key_bytes(Entity("x", tuple(attributes), attributes), SLACK) == len(written)


@FEW
@given(st.lists(st.text(max_size=6), min_size=2, max_size=4), st.lists(st.text(max_size=6), min_size=2, max_size=4))
def test_two_lists_of_parts_never_make_one_key(one: list[str], other: list[str]) -> None:
    assert (keys.encode(one) == keys.encode(other)) == (one == other)
    assert keys.decode(keys.encode(one)) == one


@FEW
@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1))
def test_numbers_in_keys_keep_their_order(one: int, other: int) -> None:
    assert (keys.encode(["a", one]) < keys.encode(["a", other])) == (one < other)


def test_who_waits_for_a_tier_waits_for_what_is_over_it_at_its_rate() -> None:
    assert [ready_ms(n, 100) for n in (0, 1, 100, 101, 150)] == [0, 0, 0, 600, 30_000]
    query = "apps.datastore.query"
    # 150 calls take 22.5 s by themselves; the last of them may go after 30 s
    assert took({query: 100}, {}, SLACK) == 100 * SLACK.call_ms
    assert took({query: 150}, {}, SLACK) == 30_000 + SLACK.call_ms
    assert took({query: 20}, {query: 90}, SLACK) == 6_000 + SLACK.call_ms
    # while the first method is waited for, the second one refills
    assert took({query: 150, "apps.datastore.bulkPut": 60}, {}, SLACK) == 30_150 + 60 * SLACK.call_ms


def design_of(initial: int, per_day: int, rates: list[int], body: int, kind: str) -> str:
    found = 'where: "who = :u", expected_items: 5' if kind in ("list", "count") else "expected_items: 60"
    lines = [
        "app: {name: x}",
        "entities:",
        f"  item: {{key: id, attributes: {{who: user_id, body: {{type: string, avg_bytes: {body}}}}},",
        f"    volume: {{initial: {initial}, per_day: {per_day}}}}}",
        "access_patterns:",
    ]
    lines += [f"  - {{name: p{n}, entity: item, kind: {kind}, {found}, per_minute: {r}}}" for n, r in enumerate(rates)]
    return "\n".join(lines)


designs = st.tuples(
    st.integers(0, 30000),
    st.integers(0, 300),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.integers(10, 4000),
    st.sampled_from(["list", "get", "count", "bulk", "export", "put"]),
)


@pytest.mark.service  # many examples
@MANY
@given(designs)
def test_more_items_never_cost_less_and_sums_are_sums(given_one: tuple[int, int, list[int], int, str]) -> None:
    initial, per_day, rates, body, kind = given_one
    plans = [plan(read_design(design_of(n, per_day, rates, body, kind))) for n in (initial, 2 * initial + 1000)]
    small, large = ({one.pattern: one for one in found.accesses} for found in plans)
    for name, one in small.items():
        if one.home == large[name].home == "slack" and one.operation == large[name].operation:
            assert one.today.total_calls <= large[name].today.total_calls
            assert one.today.evaluated <= one.year.evaluated
        assert not (one.home == "external" and large[name].home == "slack")
    for found in plans:
        for use in found.tiers:
            total = sum(one.today.calls.get(use.method, 0) * one.per_minute for one in found.accesses)
            assert use.today == total == sum(calls for _, calls in use.by)


@pytest.mark.service  # many examples
@settings(max_examples=20, deadline=None)
@given(designs)
def test_the_same_input_gives_the_same_bytes(given_one: tuple[int, int, list[int], int, str]) -> None:
    text = design_of(*given_one)
    assert outputs(plan(read_design(text))) == outputs(plan(read_design(text)))


CHANGES = {
    "page_items": lambda f: replace(f, page_items=10),
    "page_bytes": lambda f: replace(f, page_bytes=2000),
    "bulk": lambda f: replace(f, bulk=5),
    "call_ms": lambda f: replace(f, call_ms=20),
    "tier_4": lambda f: replace(f, tier_4=10),
    "ttl_hours": lambda f: replace(f, ttl_hours=480),
    "item_bytes": lambda f: replace(f, item_bytes=200),
    "datastores": lambda f: replace(f, datastores=0),
    "function_seconds": lambda f: replace(f, function_seconds=15),
    "sweep_share": lambda f: replace(f, sweep_share=0.25),
}


def test_a_limit_that_changes_changes_what_is_claimed() -> None:
    text = (
        "app: {name: x}\nentities:\n  item: {key: id, attributes: {who: user_id, at: timestamp, body: string},\n"
        "    volume: {initial: 900, per_day: 20}, retention: {after: at, days: 30}}\naccess_patterns:\n"
        '  - {name: p, entity: item, kind: list, where: "who = :u", expected_items: 5, per_minute: 9}\n'
        "  - {name: b, entity: item, kind: bulk, expected_items: 60, per_minute: 1}\n"
    )
    design = read_design(text)
    for name, change in CHANGES.items():
        changed: Facts = change(SLACK)
        before, after = plan(design), plan(design, changed)
        assert replace(before, facts=changed) != after, name


def test_every_fact_has_a_source() -> None:
    assert {name for name, *_ in table()} == set(SOURCES)


def test_an_array_that_grows_names_the_day_on_which_it_is_full() -> None:
    text = (
        "app: {name: x}\nentities:\n  item: {key: id, attributes: {log: {type: array, items: string, avg_bytes: 99,"
        " avg_items: 0}}, volume: {initial: 10}}\naccess_patterns:\n"
        "  - {name: p, entity: item, kind: append, attributes: [log], per_day: RATE}\n"
    )
    days = []
    for rate in (100, 200):
        found, *_ = plan(read_design(text.replace("RATE", str(rate)))).capacity
        (broken,) = found.breaks
        days.append(broken.day)
    free = SLACK.item_bytes - (2 + 40) - (3 + 3)
    assert days == [math.ceil(free / (rate / 10 * 100)) for rate in (100, 200)]
    assert value_bytes(Attr("log", "array", items="string", avg_bytes=99, avg_items=0), SLACK) == 3


def test_a_long_time_is_told_in_hours_and_days() -> None:
    seconds = [0.15, 9.9, 12.34, 2400, 7200, 144_000, 2_400_000]
    found = [told(round(one * 1000)) for one in seconds]
    assert found == ["150 ms", "9900 ms", "12.3 s", "2,400 s", "2.0 h", "40.0 h", "27.8 days"]
