"""Mistakes that designs written by hand make, over the whole gallery: none of them is made here.

docs/design.md lists each trap with its test; what needs Slack's client or a running job is in test_typescript_runs.
"""

import re
from functools import cache
from pathlib import Path

import pytest

from stateroom.design.costs import tiers
from stateroom.design.diff import diff
from stateroom.design.document import read_design
from stateroom.design.facts import SLACK
from stateroom.design.outputs import outputs
from stateroom.design.parts import Plan
from stateroom.design.plan import plan
from stateroom.design.render import markdown
from stateroom.design.render_runbooks import migration
from stateroom.design.typescript import typescript_files

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = sorted((Path(__file__).parents[2] / "examples" / "designs").glob("*.yaml"))
SHAPES = ["approvals", "assistant", "incidents", "kudos", "on-call", "polls", "stand-ups", "tickets"]
WRITES = ("put", "update", "delete", "bulkPut", "bulkDelete")
UNMET = "app: {name: x, target: slack-hosted}\nentities:\n  note: {key: id, attributes: {body: string}}\n"


@cache
def planned(name: str) -> Plan:
    return plan(read_design(next(one for one in GALLERY if one.stem == name).read_text()))


@cache
def files(name: str) -> dict[str, str]:
    return typescript_files(planned(name))


def test_the_gallery_has_the_eight_shapes() -> None:
    assert [one.stem for one in GALLERY] == SHAPES


def test_a_migration_gate_matches_items_that_lack_the_attribute() -> None:
    more = GALLERY[0].read_text().replace("approver:", "schema: {type: integer}\n      approver:")
    old, new = planned("approvals"), plan(read_design(more))
    told = markdown(migration(new, diff(old, new)))
    assert '"expression": "attribute_not_exists(#new)"' in told
    assert "attribute_not_exists(#a) OR #a < :v" in files("approvals")["backfill.ts"]


def test_the_way_back_leaves_every_attribute_declared() -> None:
    """Slack answers schema_compatibility_error to a deploy that drops one."""
    more = GALLERY[0].read_text().replace("approver:", "reason: {type: string}\n      approver:")
    old, new = planned("approvals"), plan(read_design(more))
    assert {one.kind for one in diff(new, old).changes if one.breaking}  # so the old manifest is no way back
    parts = [one for one in diff(old, new).parts if one.kind in ("additive", "backfill")]
    assert parts
    for part in parts:
        assert any("leave reason declared" in step.do for step in part.back)


def test_calls_of_all_patterns_are_summed_against_each_tier() -> None:
    for name in SHAPES:
        found = planned(name)
        for use in tiers(found.accesses, SLACK):
            by_hand = sum(one.today.calls.get(use.method, 0) * one.per_minute for one in found.accesses)
            assert use.today == pytest.approx(by_hand, abs=0.001)
            if by_hand > use.allowed:
                assert any(one.id == "SR-403" and use.method in one.reason for one in found.findings)


def test_no_run_is_promised_in_less_time_than_its_calls_have_under_the_tier() -> None:
    for name in SHAPES:
        for one in planned(name).accesses:
            for cost in (one.today, one.year) if one.home == "slack" else ():
                for method, calls in cost.calls.items():
                    least = max(calls * SLACK.call_ms, (calls - SLACK.tier(method)) * 60_000 / SLACK.tier(method))
                    assert cost.worst_ms is None or cost.worst_ms >= least


def test_an_index_is_rebuilt_from_every_row() -> None:
    for name in ("incidents", "kudos", "on-call"):
        rebuild = files(name)["rebuild.ts"]
        assert "walk(" in rebuild
        assert "expression" not in rebuild  # of all items, not of those that are open


def test_everything_that_is_kept_is_written_and_everything_called_is_kept() -> None:
    """Audit rows, lookups, claims and entries: each has a call that writes it."""
    for name in SHAPES:
        found = planned(name)
        calls = [call for access in found.accesses for call in access.calls]
        written = {call.datastore for call in calls if call.method.rpartition(".")[2] in WRITES}
        added = {one.name for one in found.stores if one.role not in ("entity", "state") and one.home == "slack"}
        assert added <= written, name
        assert {call.datastore for call in calls} <= {one.name for one in found.stores}


def test_every_transition_of_a_lifecycle_has_code() -> None:
    for name in SHAPES:
        found = planned(name)
        cycles = {
            one.name: one.lifecycle
            for one in found.design.entities
            if one.lifecycle and found.home(one.name) == "slack"
        }
        racing = any(one.kind == "transition" and one.concurrent for one in found.design.patterns)
        if not cycles or not racing:
            continue
        assert "export async function transition" in files(name)["claim.ts"]
        for entity, cycle in cycles.items():
            for state, ways in cycle.transitions.items():
                wanted = ", ".join(f'"{way}"' for way in ways)
                assert f'"{state}": [{wanted}]' in files(name)["plan.ts"], (name, entity)


# And what good ones have.


def test_the_first_table_is_what_was_decided() -> None:
    for name in SHAPES:
        text = outputs(planned(name))["design.md"]
        assert text.index("\n## ") == text.index("\n## Decisions")
        decisions = text.split("\n## ")[1]
        for pattern in planned(name).design.patterns:
            assert f"| {pattern.name} |" in decisions


def test_the_attribute_that_breaks_an_item_is_named_unasked() -> None:
    text = (GALLERY[SHAPES.index("incidents")]).read_text()
    grown = text.replace("max_bytes: 3000, personal: true", "max_bytes: 500000, personal: true")
    told = [one for one in plan(read_design(grown)).findings if one.id == "SR-401"]
    assert any("text" in one.reason for one in told)


def test_a_cure_that_does_not_close_a_race_says_what_stays_open() -> None:
    for name in SHAPES:
        for one in planned(name).races:
            assert one.closes or one.remains, one.pattern
            assert one.lost


def test_residency_is_go_or_no_go_with_the_reason() -> None:
    asked = f"{UNMET}access_patterns: []\ncompliance: {{residency: eu}}\n"
    for text, go in ((asked, False), (asked.replace("slack-hosted", "self-hosted"), True)):
        found = next(one for one in plan(read_design(text)).verdicts if one.obligation == "residency")
        assert found.go is go
        assert found.reason


def test_the_page_names_a_test_for_each_trap_and_each_promise() -> None:
    """What docs/design.md names is there."""
    folders = (Path(__file__).parent, Path(__file__).parents[1] / "cli")
    tests = "".join(path.read_text() for folder in folders for path in folder.glob("test_*.py"))
    text = (DOCS / "design.md").read_text()
    named = re.findall(r"`(test_[a-z0-9_]+)`", text)
    assert len(re.findall(r"`(test_[a-z0-9_]+)`", text.split("## Traps")[1].split("\n## ")[0])) >= 14
    assert len(named) >= 50
    for one in named:
        assert f"def {one}(" in tests
