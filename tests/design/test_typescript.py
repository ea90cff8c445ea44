"""What is written for Slack: only what the plan asks for, always the same, and no name that is more than a name."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateroom.design.document import read_design
from stateroom.design.outputs import outputs
from stateroom.design.parts import Fill
from stateroom.design.plan import plan
from stateroom.design.structs import App, Attr, Design, Entity
from stateroom.design.typescript import typescript_files
from stateroom.design.typescript_plan import literal
from stateroom.model.errors import InvalidDefinition
from support.hostile_design import HOSTILE, hostile

APPROVALS = (Path(__file__).parents[2] / "examples" / "designs" / "approvals.yaml").read_text()


def paths(text: str) -> set[str]:
    return set(typescript_files(plan(read_design(text))))


def test_equal_plans_give_equal_files() -> None:
    first, second = (typescript_files(plan(read_design(APPROVALS))) for _ in range(2))
    assert list(first.items()) == list(second.items())


def test_nothing_is_swept_where_slack_removes_by_itself() -> None:
    assert not any("sweep." in path for path in paths(APPROVALS))
    swept = paths(APPROVALS.replace("days: 90, mode: hard", "days: 90, mode: soft"))
    assert {path for path in swept if "sweep." in path} == {
        *("sweep.ts", "functions/sweep.ts", "workflows/sweep.ts", "triggers/sweep.ts")
    }


def test_a_legal_hold_removes_nothing() -> None:
    assert not any("sweep." in path for path in paths(APPROVALS.replace("mode: hard", "mode: soft, legal_hold: true")))


def test_claims_come_with_races_and_rebuilds_with_lookups() -> None:
    found = paths(APPROVALS)
    assert "claim.ts" in found
    assert "rebuild.ts" not in found
    calm = paths(APPROVALS.replace("concurrent: true", "concurrent: false"))
    assert "claim.ts" not in calm


def test_an_app_on_its_own_hosts_has_no_typescript() -> None:
    assert paths(APPROVALS.replace("slack-hosted", "self-hosted")) == set()


def test_a_sweep_with_values_of_people_is_not_scheduled() -> None:
    """A trigger has no such values: only a moment can be computed."""
    own = "  - {name: clean, entity: request, kind: sweep, where: \"status = 'open' AND created_at < :t\"}\n"
    asked = '  - {name: of one, entity: request, kind: sweep, where: "requester = :u"}\n'
    text = APPROVALS.replace("compliance:", f"{own}{asked}compliance:")
    module = typescript_files(plan(read_design(text)))["plan.ts"]
    assert '"before": [":t"]' in module
    assert ":u" not in module


def test_numbers_of_a_condition_are_written_as_numbers() -> None:
    own = '  - {name: clean, entity: request, kind: sweep, where: "size(body) > 2.5 AND created_at < 10"}\n'
    module = typescript_files(plan(read_design(APPROVALS.replace("compliance:", f"{own}compliance:"))))["plan.ts"]
    assert '": 2.5' in module
    assert '": 10 }' in module


def test_a_build_writes_it_and_locks_it() -> None:
    made = outputs(plan(read_design(APPROVALS)))
    assert made["typescript/manifest.ts"]
    assert "typescript/manifest.ts" in json.loads(made["design.lock.json"])["files"]


def test_imports_name_files_that_are_there() -> None:
    for text in (APPROVALS, APPROVALS.replace("mode: hard", "mode: soft")):
        files = typescript_files(plan(read_design(text)))
        for path, code in files.items():
            for name in re.findall(r'from "(\.[^"]+)"', code):
                assert (Path("/") / path).parent.joinpath(name).resolve().relative_to("/").as_posix() in files


def test_a_backfill_of_an_unknown_datastore_is_refused() -> None:
    with pytest.raises(KeyError):
        typescript_files(plan(read_design(APPROVALS)), [Fill("nothing", "a", 1)])


def outside_strings(code: str) -> str:
    """The code without its string literals, and without the comments' own text."""
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', code)


def test_a_datastore_of_a_name_that_is_no_name_is_refused() -> None:
    named = Design(App("x"), (Entity('"); evil("', ("id",), {"id": Attr("id", "string")}),))
    with pytest.raises(InvalidDefinition):
        typescript_files(plan(named))


def test_names_stand_in_quotes_alone() -> None:
    files = typescript_files(hostile())
    plain = typescript_files(plan(read_design(APPROVALS)))
    named = {path for path in files if path.startswith("datastores/")} | {"plan.ts", "changes.ts", "manifest.ts"}
    for path in set(files) - named:
        assert files[path] == plain[path]
    for path in named:
        left = outside_strings(files[path]).replace("`stateroom design build`", "")
        assert not re.search(r"exit|evil|\$\{|`|\u2028|\\|'[^s]", left), path


TEXT = st.text(max_size=8) | st.sampled_from(["__proto__", *HOSTILE])


@settings(max_examples=20)
@given(st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2) | st.integers() | st.booleans(), max_size=4))
def test_a_literal_reads_back_and_stays_on_its_line(value: object) -> None:
    written = literal(value)
    assert len(written.splitlines()) <= 1
    assert json.loads(written.replace('["__proto__"]:', '"__proto__":')) == value
