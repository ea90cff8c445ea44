"""`stateroom datastore schema`: every format on stdout, what is lost on stderr, and what a change means to Slack."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.cli.definitions import from_file, from_modules
from support.node import Workspace

pytestmark = pytest.mark.service  # each command opens a file anew

MODULE = """
from typing import Annotated, Literal
from pydantic import BaseModel, SecretStr
import stateroom as sr

class Tag(BaseModel):
    label: str

class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: Literal["open", "done"] = "open"
    tags: list[Annotated[Tag, sr.custom("Tag")]] = []
    token: SecretStr | None = sr.encrypted()
    ends: sr.Timestamp | None = sr.ttl()
    __indexes__ = [sr.Index("status")]
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with the module `schema_tests`, which is the project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATEROOM_DEFINITIONS", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "schema_tests.py").write_text(MODULE)
    yield
    for name in ("schema_tests", "schema_again"):
        sys.modules.pop(name, None)


def run(*args: str, stdin: str | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, ["datastore", "schema", *args], input=stdin, env=environ)


def written(form: str, *args: str) -> str:
    done = run("--definitions", "schema_tests", "--format", form, *args)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_manifest_is_written_with_the_app_s_name_and_what_is_lost_is_told() -> None:
    done = run("--format", "manifest", "--app-name", "Ticketer", STATEROOM_DEFINITIONS="schema_tests")
    made = json.loads(done.stdout)
    assert (done.exit_code, made["display_information"]["name"]) == (0, "Ticketer")
    assert list(made["datastores"]) == ["tickets"]
    assert list(made["types"]) == ["Tag"]
    assert done.stderr.splitlines() == [
        "stateroom: tickets: the index on status is left out; Slack reads every item for a query",
        "stateroom: tickets.status: Slack takes any value; name a custom type to list those allowed",
        "stateroom: tickets.token: is not encrypted on Slack",
        "stateroom: tickets.tags: Slack advises a custom type for an array of the custom type Tag",
    ]


def test_json_of_ours_comes_back_whole_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "ours.json").write_text(written("json"))
    assert from_file("ours.json") == from_modules(["schema_tests"])
    assert run("--definitions", "schema_tests", "--format", "json").stderr == ""


def test_python_can_be_imported_and_is_equal(tmp_path: Path) -> None:
    (tmp_path / "schema_again.py").write_text(written("python"))
    assert from_modules(["schema_again"]) == from_modules(["schema_tests"])


@pytest.mark.service
def test_the_circle_over_slack_s_sdk_ends_where_it_began(tmp_path: Path, node_workspace: Workspace) -> None:
    """Our classes as TypeScript, its manifest as Slack's SDK exports it, and that as classes again."""
    text = written("ts").replace('"deno-slack-sdk/mod.ts"', '"@slack/deno-slack-sdk"')
    node_workspace.write("manifest.ts", text)
    compiled = node_workspace.tsc(
        "--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck", "manifest.ts"
    )
    assert compiled.returncode == 0, compiled.stdout
    show = 'import manifest from "./manifest.js"; console.log(JSON.stringify(manifest));'
    printed = node_workspace.node(node_workspace.write("get-manifest.js", show)).stdout
    again = run("--manifest", "-", "--format", "python", stdin=printed)
    assert again.exit_code == 0, again.stderr
    (tmp_path / "schema_again.py").write_text(again.stdout)
    compared = run("--definitions", "schema_again", "--compare", "-", stdin=written("manifest"))
    assert (compared.stdout, compared.exit_code) == ("no change that Slack sees\n", 0)


def test_for_machines_everything_is_one_line_of_json() -> None:
    assert json.loads(written("manifest", "--json")) == json.loads(written("manifest"))
    assert written("manifest", "--json").count("\n") == 1
    assert json.loads(written("ts", "--json")) == {"format": "ts", "text": written("ts")}


def test_a_breaking_change_is_told_with_slack_s_code_and_exit_1(tmp_path: Path) -> None:
    old = json.loads(written("manifest"))
    old["datastores"]["tickets"]["attributes"]["gone"] = {"type": "string"}
    del old["datastores"]["tickets"]["attributes"]["tags"], old["types"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    done = run("--definitions", "schema_tests", "--compare", "old.json")
    assert done.exit_code == 1
    assert [line.partition(".")[0].split("  ")[0] for line in done.stdout.splitlines()] == ["breaking", "fine"]
    assert "tickets.gone: attribute removed. Slack refuses the deploy with schema_compatibility_error" in done.stdout
    told = [
        json.loads(line)
        for line in run("--definitions", "schema_tests", "--compare", "old.json", "--json").stdout.splitlines()
    ]
    assert [(one["datastore"], one["attribute"], one["kind"], one["breaking"], one["code"]) for one in told] == [
        ("tickets", "gone", "attribute removed", True, "schema_compatibility_error"),
        ("tickets", "tags", "attribute added", False, None),
    ]


def test_an_addition_is_fine_and_exit_0(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps({"datastores": {}}))
    done = run("--definitions", "schema_tests", "--compare", "old.json")
    assert (done.exit_code, done.stdout) == (0, "fine      tickets: datastore added. Slack takes it\n")
    gone = run("--manifest", "old.json", "--compare", "-", stdin=written("json"))
    assert (gone.exit_code, gone.stdout.partition(".")[0]) == (1, "breaking  tickets: datastore removed")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "give --format ts|manifest|python|json, or --compare OLD"),
        (("--format", "ts", "--compare", "x"), "give --format"),
        (("--format", "ts"), "which datastores? give --definitions pkg.module"),
        (
            ("--format", "ts", "--manifest", "m.json", "--definitions", "m"),
            "give --definitions or --manifest, not both",
        ),
        (("--compare", "-", "--manifest", "-"), "stdin can be one of"),
        (("--format", "json", "--definitions", "schema_tests", "--app-name", "x"), "--app-name goes with"),
        (("--format", "ts", "--app-name", "x" * 36), "--app-name: Slack takes names of 1 to 35 characters"),
    ],
)
def test_wrong_use_is_told_in_one_line(args: tuple[str, ...], told: str) -> None:
    done = run(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_slack_would_refuse_is_refused_with_its_place(tmp_path: Path) -> None:
    many = {f"s{n}": {"primary_key": "id", "attributes": {"id": {"type": "string"}}} for n in range(11)}
    (tmp_path / "many.json").write_text(json.dumps(many))
    done = run("--manifest", "many.json", "--format", "manifest")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "s10: is one of 11 datastores, slack allows 10" in done.stderr
    assert run("--manifest", "many.json", "--format", "python").exit_code == 0


@pytest.mark.parametrize("old", ['{"stateroom": 1}', '{"version": 99}', '{"datastores": {"a": 5}}', "[]", "no JSON"])
def test_a_file_that_is_no_manifest_is_wrong_use_and_no_answer(old: str) -> None:
    done = run("--definitions", "schema_tests", "--compare", "-", stdin=old)
    assert done.exit_code == 2
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
