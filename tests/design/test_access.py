"""The access map: which calls a pattern makes, what they cost, and when it is sent elsewhere."""

from dataclasses import replace
from pathlib import Path

from stateroom.design.document import read_design
from stateroom.design.facts import SLACK
from stateroom.design.parts import Access, Plan
from stateroom.design.plan import plan

EXAMPLES = Path(__file__).parents[2] / "examples" / "designs"
APPROVALS = (EXAMPLES / "approvals.yaml").read_text()


def planned(pattern: str, *, attributes: str = "", volume: str = "", target: str = "slack-hosted") -> Plan:
    """A plan of one entity with one pattern."""
    text = f"app: {{name: x, target: {target}}}\nentities:\n  item:\n    key: id\n"
    fields = "state: {type: string, values: [open, done]}, who: user_id, body: string, n: integer, at: timestamp"
    text += f"    attributes: {{{fields}{attributes}}}\n"
    text += "    lifecycle: {attribute: state, transitions: {open: [done]}}\n"
    text += f"    volume: {{{volume or 'initial: 500, per_day: 10'}}}\n"
    return plan(read_design(f"{text}access_patterns:\n  - {{name: p, entity: item, {pattern}}}\n"))


def served(pattern: str, **more: str) -> Access:
    return planned(pattern, **more).access("p")


def methods(access: Access) -> list[str]:
    return [f"{call.method.rpartition('.')[2]} {call.datastore}" for call in access.calls]


def test_a_key_is_one_get() -> None:
    assert methods(served("kind: get")) == ["get item"]


def test_a_small_list_is_a_query_with_the_exact_expression() -> None:
    found = served("kind: list, where: \"who = :u AND state = 'open'\", expected_items: 5")
    call = found.calls[0]
    assert (call.expression, call.names, call.values) == (
        "#who = :u AND #state = :v0",
        {"#who": "who", "#state": "state"},
        {":v0": "open"},
    )
    assert call.where is not None
    assert call.where.parameters == {":u": "who"}


def test_a_list_over_many_items_gets_a_second_datastore() -> None:
    pattern = "kind: list, where: \"who = :u AND state = 'open'\", expected_items: 60, max_ms: 1500"
    small, large = served(pattern), planned(pattern, volume="initial: 90000, per_day: 10")
    assert methods(small) == ["query item"]
    assert methods(large.access("p")) == ["get item_by_who_state", "bulkGet item"]
    assert large.access("p").year.calls == {"apps.datastore.get": 1, "apps.datastore.bulkGet": 3}
    assert large.store("item_by_who_state").attributes["ids"].max_items == 120


def test_what_no_lookup_serves_goes_to_an_external_store_with_sql() -> None:
    pattern = 'kind: list, where: "at > :t", max_ms: 1500'
    found = served(pattern, volume="initial: 90000, per_day: 10")
    assert (found.operation, found.home, found.calls) == ("external store", "external", ())
    assert found.external is not None
    assert found.external.sql[-1] == 'SELECT * FROM "item" WHERE "item"."at" > :t'
    assert found.attempted is not None
    assert found.attempted.total_calls > 10


def test_a_changed_limit_changes_the_pages() -> None:
    design = read_design(APPROVALS)
    pages = [
        plan(design, replace(SLACK, page_bytes=n)).access("nightly backup").today.pages for n in (1 << 20, 1 << 18)
    ]
    assert pages == [3, 8]


def test_calls_of_all_patterns_are_summed_by_method_and_minute() -> None:
    uses = {use.method: use for use in plan(read_design(APPROVALS)).tiers}
    put = uses["apps.datastore.put"]
    assert put.by == (("open a request", 20), ("approve", 20), ("reject", 4))
    assert (put.today, put.allowed) == (44, 100)


def test_where_tiers_are_used_up_a_run_never_ends() -> None:
    text = APPROVALS.replace("kind: get, per_minute: 20", "kind: get, per_minute: 90")
    found = plan(read_design(text))
    assert found.access("read a request").today.worst_ms is None


def test_self_hosted_apps_use_no_datastore_of_slacks() -> None:
    found = planned("kind: transition, from: open, to: done, concurrent: true", target="self-hosted")
    assert {store.home for store in found.stores} == {"external"}
    assert found.access("p").operation == "external store"


def test_mixed_apps_keep_what_races_where_conditions_hold() -> None:
    raced = "kind: transition, from: open, to: done, concurrent: {}"
    assert planned(raced.format("true"), target="mixed").home("item") == "external"
    assert planned(raced.format("false"), target="mixed").home("item") == "slack"
