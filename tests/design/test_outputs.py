"""What a build writes: files that other programs read back, and runbooks whose every line is run."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from stateroom.cli import main
from stateroom.cli.design import write_all
from stateroom.design.diff import diff
from stateroom.design.document import read_design
from stateroom.design.entities import definition_of
from stateroom.design.example import TEXT
from stateroom.design.outputs import definitions, manifest, outputs
from stateroom.design.parts import Plan
from stateroom.design.plan import plan
from stateroom.model.schema import compat
from stateroom.model.schema.manifest import datastores_of
from support.tables import each

FOLDER = Path(__file__).parents[2] / "examples" / "designs"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))


def planned(name: str) -> Plan:
    return plan(read_design((FOLDER / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_file_of_the_gallery_reads_back(path: Path) -> None:
    found = plan(read_design(path.read_text()))
    made = outputs(found)
    hosted = [definition_of(one, found.design) for one in found.stores if one.home == "slack"]
    assert compat.compare(datastores_of(json.loads(made["manifest.json"])), hosted) == []
    names: dict[str, object] = {"__name__": "made"}
    exec(compile(made["definitions.py"], "definitions.py", "exec"), names)
    written = [one.__definition__ for one in names.values() if hasattr(one, "__definition__")]  # type: ignore[attr-defined]
    assert [one for one in written if one.name != "Datastore"] == definitions(found)
    rows = list(csv.DictReader(io.StringIO(made["access-patterns.csv"])))
    assert [row["pattern"] for row in rows] == [one.name for one in found.design.patterns]
    lock = json.loads(made["design.lock.json"])
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in made.items()}
    assert lock["files"] == {name: one for name, one in digests.items() if name != "design.lock.json"}


def test_the_page_loads_nothing_and_shows_what_is_written_as_text() -> None:
    text = (FOLDER / "approvals.yaml").read_text().replace("name: approvals", 'name: "<script>alert(1)</script>"')
    text = text.replace("name: approve,", 'name: "a|b <img src=x>",')
    made = outputs(plan(read_design(text)))
    assert "<script" not in made["design.html"]
    assert "<img" not in made["design.html"]
    assert not re.search(r"<[^>]*\bsrc\s*=|url\(|@import", made["design.html"])
    links = re.findall(r'href="([^"]*)"', made["design.html"])
    assert links
    assert all(f'id="{one.removeprefix("#")}"' in made["design.html"] for one in links)  # its own parts, nothing else
    assert "<svg" in made["design.html"]
    lines = made["design.md"].splitlines()
    assert any("a\\|b" in line for line in lines if line.startswith("|"))


def test_a_cell_that_a_spreadsheet_would_run_is_marked_as_text() -> None:
    text = (FOLDER / "approvals.yaml").read_text().replace("name: approve,", 'name: "=1+1",')
    assert "'=1+1" in outputs(plan(read_design(text)))["access-patterns.csv"]


@each("target", ["slack-hosted", "self-hosted", "mixed"])
def test_a_design_that_is_only_warned_of_is_built(target: str) -> None:
    """A state that nothing reaches is a warning, so the Python definitions take it, too."""
    text = (FOLDER / "approvals.yaml").read_text().replace("slack-hosted", target)
    text = text.replace("values: [open,", "values: [forgotten, open,")
    made = plan(read_design(text))
    assert "SR-303" in {one.id for one in made.findings}
    assert "forgotten" in outputs(made)["definitions.py"]


def test_a_bulk_of_nothing_calls_nothing() -> None:
    nothing = "  - {name: none of it, entity: request, kind: bulk, expected_items: 0}\n"
    text = (FOLDER / "approvals.yaml").read_text().replace("compliance:", f"{nothing}compliance:")
    made = outputs(plan(read_design(text)))["design.md"]
    assert "| none of it | bulk put on request | none | none |" in made


def test_the_same_file_gives_the_same_bytes() -> None:
    assert outputs(planned("polls")) == outputs(planned("polls"))


@pytest.mark.service
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_no_file_has_the_word_of_python_where_a_value_should_be(path: Path) -> None:
    old = path.read_text()
    head, entities, rest = old.partition("    attributes:\n")
    before, after = plan(read_design(old)), plan(read_design(f"{head}{entities}      renewed: boolean\n{rest}"))
    for name, text in {**outputs(before), **outputs(after, diff(before, after))}.items():
        if name != "definitions.py":  # where these words are Python
            assert not re.search(r"\b(None|True|NaN|Decimal)\b", text.replace("null ? NaN :", "")), name
    changes = outputs(after, diff(before, after)).get("typescript/changes.ts", "")
    assert ('"job": "backfill ' in changes) == bool(after.rollouts)


def test_a_new_attribute_is_filled_where_it_is_absent_and_stays_declared_on_the_way_back() -> None:
    old = (FOLDER / "approvals.yaml").read_text()
    new = old.replace("      created_at:", "      urgent: boolean\n      created_at:")
    found = diff(plan(read_design(old)), plan(read_design(new)))
    (part,) = found.parts
    assert part.kind == "backfill"
    gate = next(one for one in part.commands if "datastore count" in one)
    assert "attribute_not_exists(#new)" in gate
    assert "<" not in gate, "an item that lacks the attribute matches no comparison"
    assert any("schema_compatibility_error" in step.do for step in part.back)
    assert part.claim.value == 2400
    assert [(one.datastore, one.attribute, one.value) for one in found.fills] == [("request", "urgent", False)]
    made = outputs(plan(read_design(new)), found)
    assert (
        '"attribute": "urgent", "version": null }, fill: () => ({ "urgent": false })' in made["typescript/changes.ts"]
    )


def test_what_items_lack_is_filled_with_the_default_that_the_file_says() -> None:
    old = (FOLDER / "approvals.yaml").read_text()
    given = {"level: {type: integer, default: 3}": 3, "level: {type: string, values: [low, high]}": "low"}
    given |= {"level: {type: string, default: none}": "none", "level: {type: boolean, default: true}": True}
    for text, value in given.items():
        new = old.replace("      created_at:", f"      {text}\n      created_at:")
        assert [one.value for one in diff(plan(read_design(old)), plan(read_design(new))).fills] == [value]
    unknown = old.replace("      created_at:", "      owner: user_id\n      created_at:")
    assert diff(plan(read_design(old)), plan(read_design(unknown))).fills == ()


def test_what_breaks_is_replaced_beside_what_is_there() -> None:
    old = (FOLDER / "approvals.yaml").read_text()
    new = old.replace("body: {type: string, avg_bytes: 900, max_bytes: 6000}", "body: rich_text")
    found = diff(plan(read_design(old)), plan(read_design(new)))
    assert [(one.place, one.breaking) for one in found.changes] == [("request.body", True)]
    assert [one.kind for one in found.parts] == ["replace"]
    assert [one.id for one in found.findings] == ["SR-602"]


def test_a_mark_of_deletion_is_never_filled_in() -> None:
    """Its absence says that an item is there: who filled it until none lacks it would delete all."""
    old = (FOLDER / "approvals.yaml").read_text()
    found = diff(plan(read_design(old)), plan(read_design(old.replace("mode: hard", "mode: soft"))))
    (part,) = [one for one in found.parts if "deleted_at" in one.title]
    assert part.kind == "additive"
    assert not any("backfill" in line or "count" in line for line in part.commands)


def test_another_key_is_a_datastore_beside_the_old_one_and_no_attribute_to_fill() -> None:
    old = (FOLDER / "approvals.yaml").read_text()
    new = old.replace("key: request_id", "key: [requester, request_id]")
    assert new != old
    found = diff(plan(read_design(old)), plan(read_design(new)))
    assert [one.title for one in found.parts] == ["Replace the key of request"]
    assert [one.id for one in found.findings] == ["SR-602"]


STATES = "{open: [approved, rejected]}"
VALUES = "values: [open, approved, rejected]"


def kept(ways: str, target: str = "slack-hosted") -> tuple[Plan, str]:
    """A plan of approvals with a state and ways more; and the design with other ways, which no longer has them."""
    text = (FOLDER / "approvals.yaml").read_text().replace("slack-hosted", target)
    more = text.replace(VALUES, VALUES.replace("open,", "open, held,"))
    return plan(read_design(more.replace(STATES, "{open: [held, approved, rejected]}"))), text.replace(STATES, ways)


@each("target", ["slack-hosted", "self-hosted"])
def test_a_state_that_rows_may_still_hold_is_told_with_its_backfill(target: str) -> None:
    old, text = kept(STATES, target)
    new = plan(read_design(text))
    found = diff(old, new)
    (change,) = found.changes
    assert (change.place, change.kind, change.breaking) == ("request.status", "states removed", True)
    assert "no transition leads out of it" in change.detail
    (told,) = found.findings
    assert (told.id, told.place, told.line) == ("SR-603", "entities.request.attributes.status", 8)
    assert "held" in told.reason
    (part,) = found.parts
    assert part.kind == "replace"
    tool = "slack" if target == "slack-hosted" else "stateroom"
    count = next(line for line in part.commands if f"{tool} datastore count" in line)
    assert '"expression": "#a = :v0"' in count
    assert '":v0": "held"' in count
    assert ("2,400 s" in part.claim.text) == (tool == "slack")  # each of 2,000 items, at half of tier 4
    assert found.fills == ()  # what people decided is not decided anew by a program
    assert diff(new, old).findings == ()


def test_what_a_row_becomes_is_the_default_of_the_new_design() -> None:
    old, text = kept(STATES)
    new = plan(read_design(text.replace("rejected]}", "rejected], default: open}", 1)))
    found = diff(old, new)
    (fill,) = found.fills
    assert (fill.value, fill.only, fill.version) == ("open", ("open", "approved", "rejected"), None)
    row = '"version": null, "only": ["approved", "open", "rejected"] }, fill: () => ({ "status": "open" })'
    assert row in outputs(new, found)["typescript/changes.ts"]


def test_values_of_what_could_be_anything_are_asked_for_between_those_that_are_left() -> None:
    old = (FOLDER / "approvals.yaml").read_text().replace("      body:", "      width: string\n      body:")
    new = old.replace("width: string", "width: {type: string, values: [s, m]}")
    found = diff(plan(read_design(old)), plan(read_design(new)))
    assert [one.kind for one in found.changes] == ["values removed"]
    count = next(line for line in found.parts[0].commands if "count" in line)
    assert "#a < :v0 OR (#a > :v0 AND #a < :v1) OR #a > :v1" in count
    assert diff(plan(read_design(new)), plan(read_design(old))).parts == ()


@each(("ways", "stuck"), [("{open: [approved], rejected: [approved]}", False), ("{approved: [rejected]}", True)])
def test_a_transition_that_is_gone_is_told_and_what_waits_for_it(ways: str, *, stuck: bool) -> None:
    old, text = plan(read_design((FOLDER / "approvals.yaml").read_text())), kept(ways)[1]
    text = text.replace("kind: transition, from: open, to: rejected", "kind: update, attributes: [body]")
    text = text.replace("kind: transition, from: open, to: approved", "kind: update, attributes: [approver]")
    found = diff(old, plan(read_design(text)))
    assert [(one.kind, one.breaking) for one in found.changes] == [("transitions removed", stuck)]
    assert [one.id for one in found.findings] == ["SR-604"]
    assert ("stay there for good" in found.findings[0].reason) == stuck
    assert any('":v0": "open"' in line for line in found.parts[0].commands)


def test_what_changes_outside_of_slack_is_told_and_may_break_too() -> None:
    old = (FOLDER / "approvals.yaml").read_text().replace("slack-hosted", "self-hosted")
    wider = old.replace("      created_at:", "      urgent: boolean\n      created_at:")
    other = old.replace("body: {type: string, avg_bytes: 900, max_bytes: 6000}", "body: integer")
    for new, breaking in ((wider, False), (other, True)):
        found = diff(plan(read_design(old)), plan(read_design(new)))
        assert [one.breaking for one in found.changes] == [breaking]
        assert [one.id for one in found.findings] == ["SR-602"] * breaking
        assert [one.title for one in found.parts] == ["Change what is kept outside of Slack"]
        assert found.fills == ()


def test_the_same_design_has_nothing_to_migrate() -> None:
    found = diff(planned("on-call"), planned("on-call"))
    assert (found.changes, found.parts, found.findings) == ((), (), ())


def run(*args: str, stdin: str | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["design", *args], input=stdin)
    return done.exit_code, done.stdout, done.stderr


def test_init_writes_a_file_that_check_takes(tmp_path: Path) -> None:
    file = str(tmp_path / "design.yaml")
    assert run("init", file, "--name", 'my "app"')[0] == 0
    assert run("init", file)[0] == 2
    assert run("check", file)[0] == 0
    assert run("check", file, "--fail-on", "warning")[0] == 1


def test_a_wrong_file_is_told_line_by_line_and_exits_with_2() -> None:
    code, _, told = run(
        "check", "-", stdin="app: {name: x}\nentities: {a: {key: id, attributes: {size: string, b: nope}}}\n"
    )
    assert code == 2
    assert "2:" in told
    assert "nope" in told


def test_build_writes_what_check_shows_and_says_where(tmp_path: Path) -> None:
    code, shown, _ = run("build", str(FOLDER / "polls.yaml"), "--out", str(tmp_path / "out"))
    assert code == 0
    written = sorted(str(path) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == sorted(shown.split())
    assert run("build", str(FOLDER / "polls.yaml"), "--format", "json")[1].startswith("{")
    assert run("check", str(FOLDER / "polls.yaml"), "--format", "html")[1].startswith("<!doctype html>")


def test_check_takes_a_manifest_and_diff_says_no_by_its_exit_code(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps(manifest(planned("approvals"))))
    code, shown, _ = run("check", "--manifest", str(file))
    assert (code, "SR-409" in shown) == (0, True)
    old = FOLDER / "approvals.yaml"
    new = tmp_path / "new.yaml"
    new.write_text(old.read_text().replace("approver: {type: user_id, personal: true}", "approver: string"))
    assert run("diff", str(old), str(old))[0] == 0
    code, shown, _ = run("diff", str(old), str(new))
    assert (code, "request.approver" in shown) == (1, True)


# The Slack CLI and Deno are not at hand in tests. Ours takes the same JSON, and what differs is told here: a deploy and
# a trigger need the files that they name, a restore is run on Node elsewhere (test_typescript_runs.py).
SHIM = """#!{python}
import os, re, sys
from pathlib import Path
words = sys.argv[1:]
if words[0] == "deploy":
    sys.exit(0 if Path("manifest.ts").exists() and words[1:] in ([], ["--force"]) else "no project")
if words[:2] == ["trigger", "create"]:
    name = re.search(r'from "[.][.]/(workflows/.*)"', Path(words[3]).read_text())[1]
    sys.exit(0 if words[2] == "--trigger-def" and Path(name).exists() else "no workflow")
if words[:2] in (["env", "add"], ["auth", "token"]):
    print("xoxp-1")
    sys.exit(0)
verb, asked, *rest = words[1:]
os.environ["STATEROOM_DEFINITIONS"] = os.environ["ON_SLACK"]
options = {{"--to-file": "--output", "--from-file": "--from-file"}}
verb = "export" if "--to-file" in rest else "import" if "--from-file" in rest else verb
rest = [options.get(one, one) for one in rest] + ["--any-state"] * (verb == "import") + ["--team", "T00000001"]
os.execv(sys.executable, [sys.executable, "-m", "stateroom", "datastore", verb, asked, *rest])
"""
DENO = """#!/bin/sh
test "$1 $2 $3" = "run -A scripts/restore.ts" && test -n "$SLACK_TOKEN" && test -f "$3" && test -f "$5"
"""


class Runbooks:
    """The files of a build in a folder, and bash that finds shims for the tools that are not here."""

    def __init__(self, folder: Path, files: dict[str, str], on_slack: str = "definitions") -> None:
        self.folder = folder
        write_all(folder, files)
        ours = f'#!/bin/sh\nexec {sys.executable} -m stateroom "$@"\n'
        scripts = {"slack": SHIM.format(python=sys.executable), "deno": DENO, "stateroom": ours}
        for name, text in scripts.items():
            script = folder / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(text)
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.environ = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "STATEROOM_STORE": f"sqlite:///{folder}/state.db",
            "STATEROOM_DEFINITIONS": "definitions",
            "ON_SLACK": on_slack,
            "STATEROOM_KEYS": f"one:{'A' * 43}=",
        }
        if shutil.which("bash") is None:
            pytest.fail("the runbooks are run in bash")

    def bash(self, script: str) -> str:
        command = ["bash", "-e", "-c", script]
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (script, done.stderr)
        return done.stdout

    def blocks(self, file: str) -> list[str]:
        return re.findall(r"```sh\n(.*?)```", (self.folder / file).read_text(), re.S)


@pytest.mark.service
@pytest.mark.parametrize("target", ["slack-hosted", "self-hosted"])
def test_every_line_of_the_runbooks_runs_and_restores_what_was_lost(target: str, tmp_path: Path) -> None:
    found = plan(read_design(TEXT.replace("NAME", "app").replace("target: slack-hosted", f"target: {target}")))
    made = Runbooks(tmp_path, outputs(found))
    kept = [store for store in found.stores if store.role != "state"]
    for store in kept:
        item = json.dumps({store.key: "one", **_required(found, store.name)})
        made.bash(f"stateroom datastore put {store.name} '{item}' --team T00000001")
    export, counted, restore, compare, *functions = made.blocks("recovery.md")
    first = kept[0].name
    lost = f"stateroom datastore delete {first} one --team T00000001"
    again = f"stateroom datastore get {first} one --json --team T00000001"
    said = made.bash("\n".join([export, counted, lost, restore, "echo ==", compare, "echo ==", again]))
    assert re.findall(r"^ *(\d+) \w+\.jsonl$", said, re.M) == ["1"] * len(kept)
    _, counts, item = said.split("==\n")
    assert re.findall(r"\b\d+\b", counts) == ["1"] * len(kept)
    assert '"one"' in item
    assert bool(functions) == (target == "slack-hosted")
    made.bash("\n".join([*functions, *made.blocks("cleanup.md"), *made.blocks("migration.md")]))


@pytest.mark.service
def test_every_line_of_a_cleanup_with_copies_runs(tmp_path: Path) -> None:
    found = planned("incidents")
    made = Runbooks(tmp_path, outputs(found))
    blocks = made.blocks("cleanup.md")
    item = json.dumps({"message_ts": "1700000000.000100", **_required(found, "entry")})
    made.bash(f"stateroom datastore put entry '{item}' --team T00000001")
    assert any("triggers/copies.ts" in one for one in blocks)
    made.bash("\n".join(blocks))


CHANGED = {
    "an attribute": ("      created_at:", "      urgent: boolean\n      created_at:"),
    "a lookup": ("expected_items: 5, per_minute: 6, max_ms: 5000", "expected_items: 5, per_minute: 6, max_ms: 400"),
    "a type": ("body: {type: string, avg_bytes: 900, max_bytes: 6000}", "body: rich_text"),
    "a removal": ("      approver: {type: user_id, personal: true}\n", ""),
    "a value": (
        "body: {type: string, avg_bytes: 900, max_bytes: 6000}",
        'body: {type: string, values: ["it\'s $HOME", "`#`"]}',
    ),
    "the target": ("target: slack-hosted", "target: self-hosted"),
}


@pytest.mark.service
@pytest.mark.parametrize("change", [*CHANGED, "a transition"])
def test_every_line_of_a_migration_runs(change: str, tmp_path: Path) -> None:
    old = (FOLDER / "approvals.yaml").read_text()
    new = old.replace(*CHANGED.get(change, ("{open: [approved, rejected]}", "{open: [approved]}")))
    if change == "a transition":
        new = "\n".join(line for line in new.splitlines() if "to: rejected" not in line)
    before, after = plan(read_design(old)), plan(read_design(new))
    files = outputs(before) | outputs(after, diff(before, after)) | {"before.py": outputs(before)["definitions.py"]}
    made = Runbooks(tmp_path, files, "before" if change == "the target" else "definitions")
    item = json.dumps({"request_id": "one", **_required(after, "request")})
    made.bash(f"stateroom datastore put request '{item}' --team T00000001")
    blocks = made.blocks("migration.md")
    assert blocks
    made.bash("\n".join(blocks))


SAMPLES = {
    "user_id": "U00000001",
    "channel_id": "C00000001",
    "timestamp": 1700000000,
    "integer": 1,
    "team_id": "T00000001",
    "date": "2026-11-21",
}


def _required(found: Plan, name: str) -> dict[str, object]:
    store = found.store(name)
    wanted = [one for one in store.attributes.values() if one.required and one.name != store.key]
    return {one.name: SAMPLES.get(one.type.rpartition("/")[2], "x") for one in wanted}


def test_json_on_the_command_line_is_taken_too(tmp_path: Path) -> None:
    file = tmp_path / "design.json"
    file.write_text(json.dumps(yaml.safe_load((FOLDER / "polls.yaml").read_text())))
    assert run("check", str(file))[0] == 0


BYTES = """
import hashlib, json, sys
from pathlib import Path
from stateroom.design.document import read_design
from stateroom.design.outputs import outputs
from stateroom.design.plan import plan
made = [outputs(plan(read_design(Path(name).read_text()))) for name in sys.argv[1:]]
print(hashlib.sha256(json.dumps(made).encode()).hexdigest())
"""


@pytest.mark.service
def test_two_processes_with_other_hashes_write_the_same_bytes() -> None:
    found = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", BYTES, *map(str, EXAMPLES)]
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        found.add(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


def test_check_takes_python_definitions_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_by_polls.py").write_text(outputs(planned("polls"))["definitions.py"])
    monkeypatch.syspath_prepend(tmp_path)
    code, shown, _ = run("check", "--definitions", "made_by_polls", "--format", "json")
    assert code == 0
    assert {one["name"] for one in json.loads(shown)["datastores"]} >= {"poll", "vote"}
    assert "SR-409" in run("check", "--definitions", "made_by_polls")[1]


def test_each_level_of_fail_on_is_an_exit_code_and_each_format_is_itself() -> None:
    asked = str(FOLDER / "approvals.yaml")  # warnings and notes, no error
    codes = {level: run("check", asked, "--fail-on", level)[0] for level in ("error", "warning", "info", "never")}
    assert codes == {"error": 0, "warning": 1, "info": 1, "never": 0}
    shown = {form: run("check", asked, "--format", form)[1] for form in ("md", "html", "json", "csv")}
    assert shown["md"].startswith("# approvals")
    assert shown["html"].startswith("<!doctype html>")
    assert {one["id"] for one in json.loads(shown["json"])["findings"]} >= {"SR-301", "SR-501"}
    assert next(csv.reader(io.StringIO(shown["csv"])))[0] == "pattern"
