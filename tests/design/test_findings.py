"""Each finding has a page, and a design that provokes it; the plain design provokes none of them by itself."""

import re
from pathlib import Path

import pytest

from stateroom.design.diff import diff
from stateroom.design.document import from_definitions, read_design
from stateroom.design.findings import FINDINGS, identified
from stateroom.design.outputs import definitions
from stateroom.design.plan import plan
from stateroom.model.errors import WrongUse
from stateroom.model.schema.manifest import datastores_of
from support.tables import each

DOCS = Path(__file__).parents[2] / "docs" / "findings"
EXPORT = "{name: out, entity: item, kind: export, per_day: 1}"
DONE = "{name: end, entity: item, kind: transition, from: open, to: done}"
STATE = "state: {type: string, values: [open, done]}"
CYCLE = "lifecycle: {attribute: state, transitions: {open: [done]}}"


def text(
    *patterns: str,
    attributes: str = "",
    key: str = "id",
    entity: str = "",
    volume: str = "initial: 10",
    cycle: str = CYCLE,
    state: str = STATE,
    app: str = "",
    rest: str = "",
    more: str = "",
) -> str:
    """A design of one entity that by itself has no finding; the arguments add to it."""
    fields = f"{state}, who: user_id, body: string, at: {{type: timestamp, required: true}}"
    held = f"key: {key}, attributes: {{{fields}{attributes}}}, volume: {{{volume}}}, {cycle}{entity}"
    lines = [f"app: {{name: x{app}}}", "entities:", f"  item: {{{held}}}"]
    lines += [f"  {more}"] if more else []
    lines += ["access_patterns:", *(f"  - {one}" for one in (EXPORT, DONE, *patterns)), rest]
    return "\n".join(lines)


def ids(design: str) -> set[str]:
    return {one.id for one in plan(read_design(design)).findings}


def pattern(fields: str, name: str = "p") -> str:
    return f"{{name: {name}, entity: item, {fields}}}"


OTHER = "other: {key: id, attributes: {a: string}}"
LARGE = "initial: 90000"
EQUAL = pattern("kind: list, where: \"who = :u AND state = 'open'\", expected_items: 30, max_ms: 1500")
GROWING = 'kind: list, where: "at > :t", expected_items: 5, per_minute: 1'

PROVOKED: dict[str, str] = {
    "SR-101": text(more="\n  ".join(f"e{n}: {{key: id, attributes: {{a: string}}}}" for n in range(10))),
    "SR-102": text(attributes="".join(f", a{n}: string" for n in range(100))),
    "SR-103": text(more=OTHER),
    "SR-104": text(entity=", isolation: workspace", app=", workspaces: 2"),
    "SR-105": text(attributes=", t: {type: string, copy_of: other.a}", more=OTHER),
    "SR-106": text(attributes=", id: {type: string, avg_bytes: 30, max_bytes: 2000}"),
    "SR-107": text(attributes=", t: team_id"),
    "SR-201": text(pattern('kind: list, where: "at > :t", expected_items: 5, max_ms: 1500'), volume=LARGE),
    "SR-202": text(pattern('kind: list, where: "at > :t", order: at desc, expected_items: 5')),
    "SR-203": text(
        pattern('kind: join, join: other, on: who, where: "at > :t", expected_items: 5'),
        more=OTHER,
    ),
    "SR-204": text(pattern('kind: search, where: "contains(body, :w)"')),
    "SR-205": text(pattern("kind: top, order: at desc, expected_items: 5")),
    "SR-206": text(pattern("kind: unique, attributes: [body]")),
    "SR-207": text(EQUAL, volume=LARGE),
    "SR-208": text(pattern('kind: list, where: "at > :t"')),
    "SR-209": text(attributes=", gone: timestamp", entity=", retention: {after: gone, days: 9, mode: soft}"),
    "SR-210": text(app=", target: mixed", rest="compliance: {encryption: [item.body]}"),
    "SR-301": text(pattern("kind: transition, from: open, to: done, concurrent: true")),
    "SR-302": text(pattern("kind: increment, attributes: [n], concurrent: true"), attributes=", n: integer"),
    "SR-303": text(state="state: {type: string, values: [open, done, lost]}"),
    "SR-304": text(
        state="state: {type: string, values: [open, a, b, done]}",
        cycle="lifecycle: {attribute: state, transitions: {open: [a, done], a: [b], b: [a]}}",
    ),
    "SR-305": text(
        state="state: {type: string, values: [open, done, kept]}",
        cycle="lifecycle: {attribute: state, transitions: {open: [done, kept]}}",
    ),
    "SR-306": text(pattern("kind: put, concurrent: true")),
    "SR-307": text(EQUAL, volume=LARGE),
    "SR-308": text(
        pattern("kind: increment, attributes: [n], concurrent: true"),
        pattern("kind: top, order: n desc, expected_items: 3", "best"),
        attributes=", n: integer",
    ),
    "SR-309": text(EQUAL, pattern("kind: bulk, expected_items: 60", "load"), volume=LARGE),
    "SR-401": text(attributes=", big: {type: string, max_bytes: 500000}"),
    "SR-402": text(
        pattern("kind: append, attributes: [log], per_minute: 1"), attributes=", log: {type: array, items: string}"
    ),
    "SR-403": text(pattern("kind: get, per_minute: 60"), pattern("kind: get, per_minute: 60", "q")),
    "SR-404": text(pattern(GROWING), pattern(GROWING, "q"), volume="initial: 0, per_day: 200"),
    "SR-405": text(pattern("kind: get, per_minute: 85")),
    "SR-406": text(pattern("kind: get, per_minute: 99, max_ms: 500"), pattern("kind: get, per_minute: 20", "q")),
    "SR-407": text(entity=", retention: {after: at, days: 9, mode: soft}", volume="initial: 1, per_day: 50000"),
    "SR-408": text(volume="initial: 1, per_day: 5"),
    "SR-409": text(more=OTHER),
    "SR-501": text(entity=", retention: {after: at, days: 9}"),
    "SR-502": text(entity=", retention: {after: at, days: 9, mode: soft}"),
    "SR-503": text(entity=", retention: {after: at, days: 9, legal_hold: true}", rest="compliance: {erasure: true}"),
    "SR-504": text(entity=", retention: {after: at, days: 1}", volume="initial: 1, per_day: 1200000"),
    "SR-505": text(entity=", retention: {after: at, days: 1}"),
    "SR-506": text(attributes=", p: {type: user_id, personal: true}", rest="compliance: {erasure: true}"),
    "SR-507": text(
        pattern("kind: bulk, operation: delete, expected_items: 2"),
        entity=", retention: {after: at, days: 9, legal_hold: true}",
    ),
    "SR-601": text(volume="initial: 2000"),
    "SR-701": text(pattern("kind: put"), rest="compliance: {audit: true}"),
    "SR-702": text().replace(EXPORT, pattern("kind: get", "out")),
    "SR-801": text(rest="compliance: {residency: eu}"),
    "SR-802": text(rest="compliance: {encryption: [item.body]}"),
    "SR-803": text(pattern("kind: put"), rest="compliance: {audit: true}"),
    "SR-804": text(
        pattern('kind: list, where: "body = :b", expected_items: 1'), rest="compliance: {encryption: [item.body]}"
    ),
    "SR-806": text(pattern("kind: put"), entity=", retention: {after: at, days: 9}", rest="compliance: {audit: true}"),
    "SR-805": text(rest="compliance: {erasure: true}"),
}


OF_A_DIFF = ("SR-602", "SR-603", "SR-604")


@each("id", [id for id in FINDINGS if id not in OF_A_DIFF])
def test_each_finding_is_provoked_by_what_it_is_about_and_by_nothing_less(id: str) -> None:
    found = [one for one in plan(read_design(PROVOKED[id])).findings if one.id == id]
    assert found
    assert found[0].severity == FINDINGS[id].severity
    assert all(one.reason and one.cure and one.line for one in found)
    assert id not in ids(text())


OBLIGED = {"SR-801": "residency", "SR-802": "encryption", "SR-804": "encryption"}
OBLIGED |= {"SR-503": "erasure", "SR-805": "erasure", "SR-803": "audit", "SR-806": "audit"}


@each("id", PROVOKED)
@each("target", ["slack-hosted", "self-hosted", "mixed"])
def test_an_obligation_is_no_go_where_a_finding_about_it_is_an_error_and_only_there(id: str, target: str) -> None:
    design = re.sub(r"\{name: x(, target: [a-z-]+)?", f"{{name: x, target: {target}", PROVOKED[id], count=1)
    found = plan(read_design(design))
    errors = {OBLIGED[one.id] for one in found.findings if one.id in OBLIGED and one.severity == "error"}
    assert errors == {one.obligation for one in found.verdicts if not one.go}


@each("asked", ["SR-301", "sr-301", " Sr-301", "301", "sr301"])
def test_a_finding_is_found_by_its_id_in_any_case(asked: str) -> None:
    assert identified(asked) == "SR-301"


@each(("asked", "near"), [("SR-310", "SR-30"), ("sr-30", "SR-30"), ("SR-8010", "SR-801"), ("what", "docs/findings")])
def test_an_id_that_is_not_there_is_told_the_near_ones(asked: str, near: str) -> None:
    with pytest.raises(WrongUse, match="there is no finding") as caught:
        identified(asked)
    assert near in str(caught.value)
    assert len(str(caught.value)) < 160


def test_a_change_that_breaks_is_a_finding_of_the_diff() -> None:
    old, new = (plan(read_design(one)) for one in (text(), text().replace("body: string", "body: integer")))
    assert [one.id for one in diff(old, new).findings] == ["SR-602"]
    more = text().replace("[open, done]}", "[open, held, done]}", 1).replace("{open: [done]}", "{open: [held, done]}")
    assert [one.id for one in diff(plan(read_design(more)), old).findings] == ["SR-603"]
    fewer = text().replace("{open: [done]}", "{done: [open]}").replace(DONE, "{name: n, entity: item, kind: get}")
    assert [one.id for one in diff(old, plan(read_design(fewer))).findings] == ["SR-604"]


def test_a_design_that_needs_nothing_is_told_nothing() -> None:
    assert ids(text()) == set()


def test_each_finding_has_its_page_and_each_page_its_finding() -> None:
    assert {path.stem for path in DOCS.glob("SR-*.md")} == set(FINDINGS)


def test_a_manifest_alone_is_told_what_can_be_said_without_volumes() -> None:
    attributes = {"id": {"type": "string"}, "team": {"type": "slack#/types/team_id"}}
    manifest = {"tickets": {"primary_key": "id", "attributes": attributes}}
    assert {one.id for one in plan(from_definitions(datastores_of(manifest))).findings} == {"SR-107", "SR-409"}


def test_a_time_below_that_of_one_call_is_told_of_an_external_store_too() -> None:
    asked = text(pattern("kind: get, max_ms: 100"), app=", target: self-hosted")
    (found,) = [one for one in plan(read_design(asked)).findings if one.id == "SR-406"]
    assert "150 ms as one call of the external store" in found.reason
    assert "SR-406" not in ids(asked.replace("max_ms: 100", "max_ms: 200"))


def of(id: str, design: str) -> list[str]:
    return [one.reason for one in plan(read_design(design)).findings if one.id == id]


SEALED = "compliance: {encryption: [item.body]}"


@each(
    "fields",
    [
        'kind: list, where: "who = :u", expected_items: 1, order: body',
        "kind: top, expected_items: 1, order: body desc",
        "kind: aggregate, group_by: body",
        "kind: aggregate, function: min, attributes: [body]",
        "kind: unique, attributes: [body]",
    ],
)
def test_whatever_has_to_be_read_by_the_store_may_not_be_encrypted(fields: str) -> None:
    assert len(of("SR-804", text(pattern(fields), rest=SEALED))) == 1
    assert not of("SR-804", text(pattern(fields)))


def test_what_is_sealed_outside_of_slack_and_asked_for_is_one_finding() -> None:
    asked = PROVOKED["SR-804"].replace("name: x", "name: x, target: self-hosted")
    assert ids(asked) & {"SR-802", "SR-804"} == {"SR-804"}
    assert ids(PROVOKED["SR-804"]) >= {"SR-802", "SR-804"}


def test_reading_and_writing_what_is_encrypted_is_fine() -> None:
    fields = ("kind: get", "kind: update, attributes: [body]", "kind: aggregate, attributes: [body]")
    assert not of("SR-804", text(*(pattern(one, f"p{n}") for n, one in enumerate(fields)), rest=SEALED))


def test_an_array_whose_entries_are_items_of_their_own_fills_no_item() -> None:
    log = ", log: {type: array, items: string}"
    alone = text(pattern("kind: append, attributes: [log], per_minute: 1"), attributes=log)
    assert of("SR-402", alone)
    assert not of("SR-402", alone.replace("per_minute: 1", "per_minute: 1, concurrent: true"))


def test_an_array_grows_by_the_appends_to_its_own_entity() -> None:
    log = ", log: {type: array, items: string}"
    other = "other: {key: id, attributes: {log: {type: array, items: string, max_items: 9}}}"
    appends = "{name: elsewhere, entity: other, kind: append, attributes: [log], per_minute: 1}"
    (reason,) = of("SR-402", text(appends, attributes=log, more=other))
    assert "no pattern says how fast" in reason


def test_what_grows_for_another_reason_than_a_lack_of_retention_is_not_told_to_get_one() -> None:
    grows = "initial: 1, per_day: 5"
    kept = ", retention: {after: at, days: 9, mode: soft}"
    assert not of("SR-408", text(entity=kept, volume=grows))
    found = plan(read_design(text(entity=kept.replace("soft", "soft, legal_hold: true"), volume=grows))).findings
    (held,) = [one for one in found if one.id == "SR-408"]
    assert "hold" in held.cure


def test_a_soft_sweep_of_what_is_held_removes_nothing() -> None:
    held = ", retention: {after: at, days: 9, mode: soft, legal_hold: true}"
    assert not of("SR-507", text(pattern("kind: sweep"), entity=held))
    assert of("SR-507", text(pattern("kind: sweep"), entity=held.replace("soft", "hard")))


def test_a_lookup_names_as_its_writers_those_that_write_it() -> None:
    patterns = ("kind: put", "kind: append, attributes: [log]", "kind: bulk, expected_items: 9")
    more = ", log: {type: array, items: string, max_items: 9}"
    written = text(EQUAL, *(pattern(one, f"w{n}") for n, one in enumerate(patterns)), attributes=more, volume=LARGE)
    (reason,) = of("SR-307", written)
    assert reason.endswith("is written by end, w0")


@each(("fields", "told"), [
    ("operation: put", "item_by_who_state does not list what is put"),
    ("operation: delete", "item_by_who_state goes on naming what is deleted"),
    ("operation: get", None),
])  # fmt: skip
def test_a_bulk_write_says_which_lookup_learns_of_it_later(fields: str, told: str | None) -> None:
    reasons = of("SR-309", text(EQUAL, pattern(f"kind: bulk, {fields}, expected_items: 9", "load"), volume=LARGE))
    assert [told in one for one in reasons if told] == [True] * (told is not None)
    assert not of("SR-309", text(pattern(f"kind: bulk, {fields}, expected_items: 9"), volume=LARGE))


def test_a_bulk_write_says_which_copies_follow_later() -> None:
    fields = "ref: {type: string, references: item}, b: {type: string, copy_of: item.body}"
    load, other = pattern("kind: bulk, expected_items: 9"), f"other: {{key: id, attributes: {{{fields}}}}}"
    (reason,) = of("SR-309", text(load, more=other))
    assert "b of other follow with the daily job copies" in reason
    assert not of("SR-309", text(load, more=other, app=", target: self-hosted"))
    assert not of("SR-309", text(load, more=other.replace(", references: item", "")))  # no job could: SR-105 says so


def test_a_trail_that_grows_without_an_end_is_told() -> None:
    (reason,) = of("SR-408", text(pattern("kind: put, per_day: 10"), rest="compliance: {audit: true}"))
    assert reason.startswith("audit_trail gets 3,650 rows")


def test_nobody_is_promised_who_does_not_exist() -> None:
    """What mends a failure is a job of the generated project, or a person."""
    found = plan(read_design(PROVOKED["SR-307"])).failures
    assert found
    assert not any("reconcil" in word for one in found for word in (one.retry, one.midway, one.reconciled))
    assert not any("reconcil" in kind.cure + kind.why for kind in FINDINGS.values())


def test_an_item_that_is_too_large_is_told_beside_an_array_without_an_end() -> None:
    fields = ", big: {type: string, max_bytes: 300000}, ids: {type: array, items: user_id, max_items: 20000}"
    (reason,) = of("SR-401", text(attributes=f"{fields}, log: {{type: array, items: string}}"))
    assert "540," in reason
    assert "above all because of big" in reason


def test_a_workspace_in_the_key_may_be_a_string_as_slack_documents_no_type_for_it() -> None:
    rest = {"entity": ", isolation: workspace", "app": ", workspaces: 2"}
    apart = text(key="[team_id, id]", attributes=", team_id: string", **rest)
    assert not ids(apart) & {"SR-104", "SR-107"}
    assert "SR-104" in ids(apart.replace("team_id", "id_of"))


def test_a_write_that_slack_cannot_serve_is_told_to_take_its_entity_along() -> None:
    cures = {one.id: one.cure for one in plan(read_design(text(pattern("kind: put, per_minute: 150")))).findings}
    assert "the whole entity move" in cures["SR-201"]


@each("app", ["x", "Ünï *| z", "☕"])
def test_the_store_of_a_region_is_named_as_it_can_be(app: str) -> None:
    named = text(rest="compliance: {residency: eu}").replace("name: x", f"name: '{app}'")
    found = plan(read_design(named)).verdicts[0].meets
    assert re.match(r"dynamodb://eu-central-1/[A-Za-z0-9_.-]+ or ", found)
    assert "dynamodb://" not in plan(read_design(named.replace("residency: eu", "residency: fr"))).verdicts[0].meets


AUDITED = {"rest": "compliance: {audit: true}"}


def test_a_sweep_writes_audit_rows_and_a_ttl_says_that_it_cannot() -> None:
    swept, ended = (
        plan(read_design(text(pattern("kind: sweep"), entity=f", retention: {{after: at, days: {days}}}", **AUDITED)))
        for days in (1, 9)
    )
    (of_sweep, of_ttl) = (next(one for one in found.verdicts if one.obligation == "audit") for found in (swept, ended))
    assert "ttl" not in of_sweep.reason
    assert "item ends by its ttl: Slack removes it by itself" in of_ttl.reason
    assert not [one for one in swept.findings if one.id == "SR-806"]
    made = [call.datastore for call in swept.access("p").calls]
    assert made == ["item", "audit_trail", "item"]
    assert "p" in swept.store("audit_trail").writers


def test_the_daily_sweep_alone_is_audited_and_counted() -> None:
    """No pattern asks for it, and nothing else changes anything."""
    quiet = {"state": "state: string", "cycle": "copy_key: false", "volume": "initial: 1, per_day: 100"}
    kept = text(entity=", retention: {after: at, days: 1}", **AUDITED, **quiet).replace(f"  - {DONE}\n", "")
    found = plan(read_design(kept))
    assert found.store("audit_trail").writers == ("the sweep of item",)
    assert [one.items_year for one in found.capacity if one.datastore == "audit_trail"] == [36500]
    (of,) = found.retention
    without = plan(read_design(kept.replace("audit: true", "audit: false"))).retention[0]
    assert sum(of.calls.values()) == sum(without.calls.values()) + 4


@each("target", ["self-hosted", "mixed"])
def test_what_ends_outside_of_slack_is_in_the_log_of_changes(target: str) -> None:
    kept = text(pattern("kind: put, concurrent: true"), entity=", retention: {after: at, days: 9}", **AUDITED)
    found = plan(read_design(kept.replace("name: x", f"name: x, target: {target}")))
    assert not of("SR-806", kept.replace("name: x", f"name: x, target: {target}"))
    assert {one.name: one.changes for one in definitions(found)}["item"] is True
    assert not any(one.changes for one in definitions(plan(read_design(kept))))


def test_what_is_added_in_the_item_itself_may_be_looked_at() -> None:
    alone = PROVOKED["SR-308"].replace(", concurrent: true", "")
    assert not of("SR-308", alone)
    assert not of("SR-308", PROVOKED["SR-308"].replace("name: x", "name: x, target: self-hosted"))
    assert not of("SR-308", PROVOKED["SR-308"].replace("order: n desc", "order: at desc"))


@each("first", [0, 1])
def test_the_day_on_which_a_tier_is_passed_is_that_of_the_pages(first: int) -> None:
    """208 items of 5,036 bytes fill a page, so two scans pass 100 calls with the 10,401st item."""
    fields = "body: {type: string, avg_bytes: 5006}, at: {type: timestamp, required: true}"
    scans = [f'  - {{name: s{n}, entity: item, kind: count, where: "at > :t", per_minute: 1}}' for n in range(2)]
    scans = [one.replace("kind: count", "kind: list, expected_items: 5") for one in scans]
    held = f"  item: {{key: id, attributes: {{{fields}}}, volume: {{initial: {first}, per_day: 40}}}}"
    grows = plan(read_design("\n".join(["app: {name: x}", "entities:", held, "access_patterns:", *scans])))
    (capacity, _) = grows.capacity
    assert capacity.items_per_page == 208
    (reason,) = [one.reason for one in grows.findings if one.id == "SR-404"]
    assert reason.endswith(f"passed on day {261 - first}")
