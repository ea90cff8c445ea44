"""Reading a design file: wrong ones are refused with line, field and next step, all at once; YAML and JSON are one."""

import json
from pathlib import Path

import pytest
import yaml

from stateroom.design.document import from_definitions, read_design
from stateroom.design.problems import DesignInvalid
from stateroom.model.schema.manifest import datastores_of, manifest_of
from support.tables import each

EXAMPLES = Path(__file__).parents[2] / "examples" / "designs"
APPROVALS = (EXAMPLES / "approvals.yaml").read_text()

BASE = """\
app: {name: x}
entities:
  a:
    key: id
    attributes: {state: {type: string, values: [open, done]}, n: integer, who: user_id, at: timestamp}
    lifecycle: {attribute: state, transitions: {open: [done]}}
  b: {key: id, attributes: {ref: {type: string, references: a}}}
access_patterns:
"""

WRONG = [
    ("  - {name: p, entity: c, kind: get}", 9, "access_patterns[0].entity", "there is no entity c"),
    ("  - {name: p, entity: a, kind: read}", 9, "access_patterns[0].kind", "'read' is not known"),
    ("  - {name: p, entity: a, kind: get, wher: x}", 9, "access_patterns[0].wher", "no field of a design"),
    ("  - {name: p, entity: a, kind: list, where: \"id = 'x'\"}", 9, "access_patterns[0].where", "the key id"),
    ('  - {name: p, entity: a, kind: list, where: "stat = :s"}', 9, "access_patterns[0].where", "stat is no attribute"),
    ('  - {name: p, entity: a, kind: list, where: "user = :s"}', 9, "access_patterns[0].where", "reserved word"),
    ("  - {name: p, entity: a, kind: list, where: \"state = 'opne'\"}", 9, "access_patterns[0].where", "never has"),
    ("  - {name: p, entity: a, kind: list, where: \"n = '5'\"}", 9, "access_patterns[0].where", "nothing is converted"),
    ('  - {name: p, entity: a, kind: list, where: "state = "}', 9, "access_patterns[0].where", "cannot be read"),
    ("  - {name: p, entity: a, kind: transition, from: done, to: open}", 9, "access_patterns[0].to", "no transition"),
    ("  - {name: p, entity: a, kind: transition, from: opne, to: done}", 9, "access_patterns[0].from", "no state"),
    ("  - {name: p, entity: b, kind: join, join: [a, b]}", 9, "access_patterns[0].join", "a cycle, b -> a -> b"),
    ("  - {name: p, entity: a, kind: increment, attributes: [state]}", 9, "access_patterns[0].attributes", "no number"),
    ("  - {name: p, entity: a, kind: update, attributes: [id]}", 9, "access_patterns[0].attributes", "in the key of a"),
    ("  - {name: p, entity: a, kind: search}", 9, "access_patterns[0]", "needs where"),
    ("  - {name: p, entity: a, kind: list, per_minute: -1}", 9, "access_patterns[0].per_minute", "impossible"),
    (
        "  - {name: p, entity: a, kind: get}\n  - {name: p, entity: a, kind: get}",
        10,
        "access_patterns[1].name",
        "twice",
    ),
]


@each(("text", "line", "path", "problem"), WRONG)
def test_a_wrong_pattern_is_refused_with_its_line_and_field(text: str, line: int, path: str, problem: str) -> None:
    with pytest.raises(DesignInvalid) as caught:
        read_design(BASE + text)
    assert [(p.line, p.path) for p in caught.value.problems] == [(line, path)]
    assert problem in caught.value.problems[0].problem
    assert caught.value.problems[0].step


WRONG_ENTITIES = [
    ("a: {key: id, attributes: {size: string}}", "reserved word"),
    ("sr_a: {key: id, attributes: {x: string}}", "Stateroom's own"),
    ("claims: {key: id, attributes: {x: string}}", "Stateroom's own"),
    ("a: {key: n, attributes: {n: integer}}", "a key is a string"),
    ("a: {key: [id, id], attributes: {x: string}}", "twice in the key"),
    ("a: {key: id, attributes: {x: {type: string, references: zzz}}}", "no entity zzz"),
    ("a: {key: id, attributes: {x: {type: string, avg_bytes: 9, max_bytes: 3}}}", "is impossible"),
    ("a: {key: id, attributes: {x: string}, volume: {per_day: 3, peak_per_minute: 9}}", "is impossible"),
    ("a: {key: id, attributes: {x: string}, volume: {per_day: 1500, peak_per_minute: 1}}", "is impossible"),
    ("a: {key: id, attributes: {x: string}, retention: {after: x, days: 3}}", "x is no time"),
    ("a: {key: id, attributes: {x: string}, retention: {after: y, days: 3}}", "no attribute y"),
    ("a: {key: id, attributes: {x: string}, lifecycle: {attribute: y, transitions: {o: [p]}}}", "no attribute y"),
    ("a: {key: id, attributes: {x: string, x: string}}", "stands twice"),
    ("a: {key: id, attributes: {x: {type: string, copy_of: a.x}}}", "a cycle, a.x -> a.x"),
    (
        "{a: {key: id, attributes: {x: string}}, b: {key: id, attributes: {y: {type: string, copy_of: a.x}}}, "
        "c: {key: id, attributes: {z: {type: string, copy_of: b.y}}}}",
        "b.y is itself a copy, and a change of a.x would reach it",
    ),
    ("a: {key: id, attributes: {x: &x string, y: *x}}", "alias"),
    ("a: {key: id, attributes: {x: !!python/name:os string}}", "tag"),
]


@each(("text", "problem"), WRONG_ENTITIES)
def test_a_wrong_entity_is_refused_at_its_line(text: str, problem: str) -> None:
    with pytest.raises(DesignInvalid) as caught:
        read_design(f"app: {{name: x}}\nentities:\n  {text}\n")
    assert all(p.step for p in caught.value.problems)
    assert any(problem in p.problem and p.line == 3 for p in caught.value.problems), caught.value.problems


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = BASE + "\n".join(line for line, *_ in WRONG[3:7])
    with pytest.raises(DesignInvalid) as caught:
        read_design(text)
    assert {p.line for p in caught.value.problems} >= {9, 10, 11, 12}


def test_json_says_the_same_as_yaml_and_needs_no_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    from_yaml = read_design(APPROVALS)
    text = json.dumps(yaml.safe_load(APPROVALS), indent=1)
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    assert read_design(text) == from_yaml


def test_json_that_is_wrong_is_refused_with_its_place() -> None:
    with pytest.raises(DesignInvalid) as caught:
        read_design('{"app": {"name": "x"},\n "entities": {"a": }}')
    assert (caught.value.problems[0].line, caught.value.problems[0].column) == (2, 20)


def test_states_may_be_called_what_yaml_takes_for_something_else() -> None:
    design = read_design(BASE.replace("[open, done]", "[on, off]").replace("{open: [done]}", "{on: [off]}") + "  []")
    cycle = design.by_name["a"].lifecycle
    assert cycle is not None
    assert (cycle.transitions, cycle.initial) == ({"on": ("off",), "off": ()}, ("on",))


def test_the_copy_of_a_key_may_stand_in_a_condition() -> None:
    entity = "app: {name: x}\nentities: {a: {key: id, copy_key: true, attributes: {x: string}}}\n"
    asked = 'access_patterns: [{name: p, entity: a, kind: list, where: "begins_with(id_copy, :p)"}]\n'
    where = read_design(entity + asked).patterns[0].where
    assert where is not None
    assert where.names == {"#id_copy": "id_copy"}


def test_a_design_of_a_manifest_says_what_it_can() -> None:
    definitions = datastores_of({"tickets": {"primary_key": "id", "attributes": {"id": {"type": "string"}}}})
    design = from_definitions(datastores_of(manifest_of(definitions)))
    assert (design.source, [one.name for one in design.entities], design.patterns) == ("definitions", ["tickets"], ())


@each("bounds", ["3 AND :m", ":m AND 3", ":a AND :b", ":a AND :a"])
def test_a_bound_of_the_file_and_one_of_run_time_make_a_range(bounds: str) -> None:
    for name in ("n", "at"):
        asked = f'  - {{name: p, entity: a, kind: count, where: "{name} BETWEEN {bounds}"}}\n'
        assert read_design(BASE + asked).patterns[0].where is not None
    texts = bounds.replace("3", "'open'")
    asked = f'  - {{name: p, entity: a, kind: count, where: "state BETWEEN {texts}"}}\n'
    assert read_design(BASE + asked).patterns[0].where is not None
    with pytest.raises(DesignInvalid, match="BETWEEN"):
        read_design(BASE + '  - {name: p, entity: a, kind: count, where: "n BETWEEN 4 AND 3"}\n')
