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


COPIES = """\
app: {name: x, target: TARGET}
entities:
  team: {key: team_id, attributes: {title: {type: string, avg_bytes: 30}, level: integer}, volume: {initial: 100}}
  task:
    key: id
    attributes:
      team: {type: string, references: team}
      team_title: {type: string, copy_of: team.title}
      state: {type: string, values: [open, done]}
      body: string
    lifecycle: {attribute: state, transitions: {open: [done]}}
    volume: {initial: 2000}
access_patterns:
  - {name: rename, entity: team, kind: update, attributes: [title]}
  - {name: promote, entity: team, kind: update, attributes: [level]}
  - {name: end, entity: task, kind: transition, from: open, to: done}
  - {name: found, entity: team, kind: put}
"""


def test_a_change_of_what_is_copied_pays_for_each_copy() -> None:
    found = plan(read_design(COPIES.replace("TARGET", "slack-hosted")))
    rename, promote = found.access("rename"), found.access("promote")
    assert methods(rename) == ["update team", "query task", "update task"]
    assert [call.copies for call in rename.calls] == [(), ("team_title",), ("team_title",)]
    assert rename.calls[1].expression == "#team = :owner"
    # 2000 tasks on three pages, 20 of each team
    assert rename.today.calls == {"apps.datastore.update": 21, "apps.datastore.query": 3}
    assert (rename.today.evaluated, methods(promote)) == (2000, ["update team"])


def test_a_list_of_the_copies_says_how_many_there_are_and_its_lookup_finds_them() -> None:
    listed = (
        '  - {name: tasks of a team, entity: task, kind: list, where: "team = :t", expected_items: 50, max_ms: 300}\n'
    )
    found = plan(read_design(COPIES.replace("TARGET", "slack-hosted") + listed))
    rename = found.access("rename")
    assert methods(rename) == ["update team", "get task_by_team", "update task"]
    assert rename.today.calls == {"apps.datastore.update": 51, "apps.datastore.get": 1}


def test_only_what_changes_the_source_keeps_a_copy_right() -> None:
    text = COPIES.replace("TARGET", "slack-hosted")
    (copy,) = plan(read_design(text)).store("task").copies
    assert copy.keepers == ("rename",)
    (lone,) = plan(read_design(text.replace("references: team", "description: of it"))).store("task").copies
    assert lone.keepers == ()
    states = text.replace("copy_of: team.title", "copy_of: task.state")
    (kept,) = plan(read_design(states.replace("references: team", "references: task"))).store("task").copies
    assert kept.keepers == ("end",)


def test_a_name_of_another_item_is_as_long_as_its_key() -> None:
    text = COPIES.replace("TARGET", "slack-hosted")
    task = plan(read_design(text)).store("task").attributes
    assert (task["team"].avg_bytes, task["team_title"].avg_bytes) == (16, 30)
    longer = text.replace(
        "key: team_id, attributes: {", "key: team_id, attributes: {team_id: {type: string, avg_bytes: 90}, "
    )
    assert plan(read_design(longer)).store("task").attributes["team"].avg_bytes == 90


def test_what_is_joined_lives_in_one_place() -> None:
    joined = '  - {name: with team, entity: task, kind: join, join: team, where: "team = :t", expected_items: 9}\n'
    raced = COPIES.replace("TARGET", "mixed").replace("attributes: [level]", "attributes: [level], concurrent: true")
    assert [plan(read_design(raced)).home(one) for one in ("team", "task")] == ["external", "slack"]
    assert [plan(read_design(raced + joined)).home(one) for one in ("team", "task")] == ["external", "external"]
    other = COPIES.replace("TARGET", "mixed").replace("to: done}", "to: done, concurrent: true}")
    assert [plan(read_design(other)).home(one) for one in ("team", "task")] == ["slack", "external"]
    assert [plan(read_design(other + joined)).home(one) for one in ("team", "task")] == ["external", "external"]


def test_a_lookup_that_cannot_serve_its_pattern_is_not_paid_for_by_every_write() -> None:
    listed = "name: p, entity: item, kind: list, where: \"who = :u AND state = 'open'\", expected_items: 30"
    text = "app: {name: x}\nentities:\n  item: {key: id, attributes: {state: {type: string, values: [open, done]}, "
    text += "who: user_id}, volume: {initial: 90000}}\naccess_patterns:\n  - {name: new, entity: item, kind: put}\n"
    fits, not_even_so = (plan(read_design(f"{text}  - {{{listed}, max_ms: {ms}}}\n")) for ms in (1500, 200))
    assert len(fits.access("new").calls) == 3
    assert not_even_so.access("p").home == "external"
    assert methods(not_even_so.access("new")) == ["put item"]
    assert "item_by_who_state" not in {one.name for one in not_even_so.stores}


def test_datastores_that_only_an_external_store_would_write_are_not_made() -> None:
    text = "app: {name: x}\nentities: {item: {key: id, attributes: {n: integer, b: string}, volume: {initial: 5}}}\n"
    text += "access_patterns:\n"
    for name, fields in (("up", "kind: increment, attributes: [n]"), ("claim", "kind: update, attributes: [b]")):
        text += f"  - {{name: {name}, entity: item, {fields}, concurrent: true, per_minute: R}}\n"
    text += "  - {name: small, entity: item, kind: delete}\ncompliance: {audit: true}\n"
    few, many = (plan(read_design(text.replace("R", rate))) for rate in ("2", "900"))
    assert {one.role for one in few.stores} == {"entity", "entries", "claims", "audit", "state"}
    assert {one.role for one in many.stores} == {"entity", "audit", "state"}
    assert few.store("audit_trail").writers == ("up", "claim", "small")
    assert many.store("audit_trail").writers == ("small",)
