"""`stateroom datastore`: each verb by the Slack CLI's JSON, by words and by flags; conditions, cursors, exit codes."""

import asyncio
import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.store import Store

pytestmark = pytest.mark.service  # each command opens a file anew

MODULE = """
import stateroom as sr
from typing import Literal

class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: Literal["open", "approved", "done"] = "open"
    votes: int = 0
    price: float | None = None
    urgent: bool = False
    title: str | None = None
    owner: sr.UserId | None = None
    tags: list[str] = []
    __indexes__ = [sr.Index("votes")]
    __lifecycle__ = sr.Lifecycle("status", open=["approved"], approved=["done"])
"""
EVIL = "\x1b]0;owned\x07 [bold]hi[/bold]"
KEY_ATTRIBUTE = "reference"
MANIFEST = {
    "display_information": {"name": "Orders"},
    "datastores": {
        "orders": {
            "primary_key": KEY_ATTRIBUTE,
            "attributes": {KEY_ATTRIBUTE: {"type": "string"}, "who": {"type": "slack#/types/user_id"}},
        }
    },
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with the module `shop_tests`, which is the project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATEROOM_STORE", raising=False)
    monkeypatch.setenv("STATEROOM_DEFINITIONS", "shop_tests")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "shop_tests.py").write_text(MODULE)
    yield
    for module in ("shop_tests", "newer_tests"):
        sys.modules.pop(module, None)


def run(*args: str, stdin: str | bytes | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, ["datastore", *args], input=stdin, env=environ)


def done(*args: str, stdin: str | bytes | None = None) -> str:
    result = run(*args, stdin=stdin)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr + result.stdout
    return result.stdout


def found(*args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done(*args, "--json").splitlines()]


def refused(*args: str, status: int = 2, stdin: str | None = None) -> str:
    result = run(*args, stdin=stdin)
    assert result.exit_code == status, result.stdout + result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("stateroom: ")
    return result.stderr


def bare(*args: str) -> Result:
    """Without anybody's definitions."""
    return run(*args, STATEROOM_DEFINITIONS="")


def fill(*items: dict[str, Any], team: str = "T01") -> None:
    text = "".join(json.dumps(item) + "\n" for item in items)
    done("import", "tickets", "-", "--team", team, stdin=text)


SIX = [{"id": f"T-{n}", "votes": n % 3, "title": f"number {n}"} for n in range(6)]


def test_every_verb_takes_the_json_argument_of_the_slack_cli() -> None:
    def ask(verb: str, **argument: Any) -> list[dict[str, Any]]:
        argument = {"datastore": "tickets", "app": "A0123", **argument}
        return found(verb, json.dumps(argument))

    (put,) = ask("put", team="T01", item={"id": "T-1", "title": "Printer"})
    assert put == {"id": "T-1", "status": "open", "votes": 0, "urgent": False, "title": "Printer", "tags": []}
    assert ask("get", id="T-1") == [put]
    (updated,) = ask("update", item={"id": "T-1", "votes": 5})
    assert updated == put | {"votes": 5}
    assert ask("bulk-put", items=[{"id": "T-2"}, {"id": "T-3", "votes": 9}])[0]["stored"] == 2
    asked = {"expression": "#v > :v", "expression_attributes": {"#v": "votes"}, "expression_values": {":v": 4}}
    assert [item["id"] for item in ask("query", **asked)] == ["T-1", "T-3"]
    assert ask("count", **asked) == [{"datastore": "tickets", "count": 2}]
    assert [item["id"] for item in ask("bulk-get", ids=["T-3", "T-1"])] == ["T-3", "T-1"]
    assert ask("delete", id="T-1") == [{"datastore": "tickets", "id": "T-1", "deleted": True}]
    assert ask("bulk-delete", ids=["T-1", "T-2"]) == [{"datastore": "tickets", "deleted": 1, "missing": 1}]
    assert [item["id"] for item in ask("export")] == ["T-3"]
    line = json.dumps({"id": "T-5", "title": "in"}) + "\n"
    Path("in.jsonl").write_text(line)
    argument = json.dumps({"datastore": "tickets"})
    assert done("bulk-put", argument, "--from-file", "in.jsonl") == "imported 1, bad 0\n"
    assert done("query", argument, "--to-file", "out.jsonl", "--where", "title = 'in'") == "exported 1 to out.jsonl\n"
    assert json.loads(Path("out.jsonl").read_text())["id"] == "T-5"


def test_words_and_flags_are_its_equals() -> None:
    assert found("put", "tickets", '{"id":"T-1"}', "--team", "T01") == found(
        "put", "--datastore", "tickets", "--item", '{"id":"T-1"}'
    )
    assert found("get", "tickets", "T-1") == found("get", "--datastore", "tickets", "--id", "T-1")
    assert found("update", "tickets", "T-1", "--set", "votes=2") == found(
        "update", "tickets", "--id", "T-1", "--item", "{}", "--set", "votes=2"
    )
    assert found("bulk-get", "tickets", "T-1") == found("bulk-get", "tickets", "--id", "T-1")
    assert found("get", "T-1", "--datastore", "tickets") == found("get", "tickets", "T-1", "--datastore", "tickets")
    assert found("delete", "tickets", "T-1")[0]["deleted"]
    assert not found("delete", "--datastore", "tickets", "--id", "T-1", "--team", "T01")[0]["deleted"]


def test_a_big_item_may_come_on_stdin() -> None:
    big = json.dumps({"id": "T-1", "title": "x" * 400_000})
    (item,) = [json.loads(done("put", "tickets", "--item", "-", "--team", "T01", "--json", stdin=big))]
    assert len(item["title"]) == 400_000
    whole = json.dumps({"datastore": "tickets", "item": {"id": "T-2"}})
    assert json.loads(done("put", "-", "--json", stdin=whole))["id"] == "T-2"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("get",), "which datastore"),
        (("get", "tickets"), "id is missing"),
        (("get", "tickets", "a", "b"), "too many"),
        (("get", "tickets", "a", "--id", "b"), "--id"),
        (("get", '{"datastore":"tickets","id":"a"}', "--datastore", "other"), "--datastore"),
        (("get", '{"datastore":"tickets","id":"a"}', "b"), "nothing follows"),
        (("get", '{"datastore":"tickets","idd":"a"}'), "idd"),
        (("get", '{"datastore":"tickets","id":5}'), "id must be a string"),
        (("get", '{"datastore":"tickets",'), "not JSON"),
        (("bulk-get", '{"datastore":"tickets","ids":["a",1]}'), "ids must be"),
        (("put", "tickets"), "item is missing"),
        (("put", "tickets", "--item", "nonsense"), "--item is not JSON"),
        (("put", "tickets", '{"id":"a"}', "--if-absent", "--if-version", "3"), "contradict"),
        (("update", "tickets", "a"), "what shall change"),
        (("update", "tickets", "a", "--set", "votes"), "name=value"),
        (("update", "tickets", "a", "--set", "votes=many"), "votes: is of type integer"),
        (("update", "tickets", "a", "--set", "nope=1"), "is not declared"),
        (("update", "tickets", "a", "--item", '{"id":"b","votes":1}'), "two ids differ"),
        (("query", "tickets", "--where", "votes >"), "at character"),
        (("query", "tickets", "--where", "votes > 1", "--expression", "#v > :v"), "one of them"),
        (("query", "tickets", "--names", '{"#v":"votes"}'), "--expression"),
        (("query", "tickets", "--expression", "status = :v", "--values", '{":v":1}'), "reserved"),
        (("query", "tickets", "--cursor", "nonsense"), "cursor"),
        (("query", "sr_inbox"), "Stateroom's own"),
        (("query", "tickets", "--to-file", "x", "--order", "votes"), "--to-file"),
        (("get", "tick\udcffets", "a"), "letters, digits"),
        (("update", "tickets", "a", "--set", "n\udcff=1"), "is not declared"),
        (("import", "tickets"), "import what"),
        (("import", "tickets", "missing.jsonl"), "no file missing.jsonl"),
        (("import", "tickets", "-", "--resume"), "--state"),
        (("export", "tickets", "--resume"), "--output"),
        (("get", "tickets", "a", "--team", "../T"), "team id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_one_line_that_says_what_to_give(args: tuple[str, ...], told: str) -> None:
    fill(*SIX)
    assert told in refused(*args)


def test_a_missing_item_is_an_answer_and_no() -> None:
    fill(*SIX)
    assert "no such item" in refused("get", "tickets", "T-9", status=1)
    machine = run("get", "tickets", "T-9", "--json")
    assert (machine.exit_code, json.loads(machine.stdout)["error"]) == (1, "no_such_item")
    many = run("bulk-get", "tickets", "T-1", "T-9", "T-2", "--json")
    assert many.exit_code == 1
    assert [json.loads(line)["id"] for line in many.stdout.splitlines()] == ["T-1", "T-2"]
    assert many.stderr == "not there: T-9\n"


def test_the_only_workspace_need_not_be_named_and_several_are_listed() -> None:
    assert "stateroom.db is not there yet; to make it, give --team" in refused("put", "tickets", '{"id":"a"}')
    assert not Path("stateroom.db").exists()
    fill(*SIX)
    assert len(found("query", "tickets")) == 6
    fill(SIX[0], team="T02")
    told = refused("query", "tickets")
    assert "T01, T02" in told
    assert "--team T01" in told
    assert len(found("query", "tickets", "--team", "T02")) == 1


def test_workspaces_are_found_without_reading_their_items() -> None:
    """Each is one short look: 3 workspaces of 200 items answer with their names, in order."""
    for team in ("T03", "T01", "T02"):
        fill(*({"id": f"k{n}\U0010ffff"} for n in range(200)), team=team)
    assert "T01, T02, T03;" in refused("count", "tickets")


def test_conditions_of_the_handle_are_flags() -> None:
    fill({"id": "a", "votes": 1})
    assert "does not hold" in refused("put", "tickets", '{"id":"a"}', "--if-absent", status=1)
    assert "does not hold" in refused("update", "tickets", "a", "--set", "votes=2", "--if", "votes = 7", status=1)
    assert found("update", "tickets", "a", "--set", "votes=2", "--if", "votes = 1")[0]["votes"] == 2
    (seen,) = found("get", "tickets", "a", "--with-version")
    assert seen["item"]["votes"] == 2
    version = str(seen["version"])
    assert found("put", "tickets", '{"id":"a","votes":3}', "--if-version", version)[0]["votes"] == 3
    refused("put", "tickets", '{"id":"a","votes":4}', "--if-version", version, status=1)
    refused("delete", "tickets", "a", "--if", "votes = 1", status=1)
    assert found("delete", "tickets", "a", "--if", "votes = 3")[0]["deleted"]


def test_atomic_changes_and_a_repetition_that_changes_nothing() -> None:
    fill({"id": "a", "title": "old"})
    change = (
        "update",
        "tickets",
        "a",
        "--add",
        "votes=2",
        "--append",
        "tags=x",
        "--append",
        "tags=5",
        "--remove",
        "title",
    )
    expected = {"id": "a", "status": "open", "votes": 2, "urgent": False, "tags": ["x", "5"]}
    assert found(*change, "--idempotency-key", "Ev1") == [expected]
    assert found(*change, "--idempotency-key", "Ev1") == [expected]
    assert found("get", "tickets", "a") == [expected]


def test_a_value_is_read_by_the_type_of_its_attribute() -> None:
    fill({"id": "a"})
    (item,) = found(
        "update",
        "tickets",
        "a",
        "--set",
        "title=12",
        "--set",
        "urgent=true",
        "--set",
        "price=1.50",
        "--set",
        'tags=["a"]',
    )
    assert (item["title"], item["urgent"], item["price"], item["tags"]) == ("12", True, 1.5, ["a"])
    assert "user id" in refused("update", "tickets", "a", "--set", "owner=me")


def test_a_transition_that_is_not_allowed_is_refused() -> None:
    fill({"id": "a"})
    refused("update", "tickets", "a", "--set", "status=done", status=1)
    assert found("update", "tickets", "a", "--set", "status=approved")[0]["status"] == "approved"


def test_a_copy_brings_items_in_the_states_they_had() -> None:
    strict = MODULE.replace('("status", open', '("status", initial="open", open')
    assert strict != MODULE
    Path("newer_tests.py").write_text(strict)
    words = ("--definitions", "newer_tests", "--team", "T01")
    lines = '{"id":"a","status":"done"}\n{"id":"b"}\n{"id":"c","status":"nonsense"}\n'
    held = run("import", "tickets", "-", *words, "--json", stdin=lines)
    assert (json.loads(held.stdout)["imported"], json.loads(held.stdout)["bad"]) == (1, 2)
    free = run("import", "tickets", "-", *words, "--json", "--any-state", stdin=lines)
    assert (json.loads(free.stdout)["imported"], json.loads(free.stdout)["bad"]) == (2, 1)
    again = run("import", "tickets", "-", *words, "--json", stdin=lines)
    assert (json.loads(again.stdout)["imported"], json.loads(again.stdout)["bad"]) == (2, 1)
    assert run("update", "tickets", "a", "--set", "status=open", *words).exit_code == 1
    assert bare("update", "tickets", "a", "--set", "status=open").exit_code == 1  # remembered with its lifecycle


def test_a_page_ends_with_a_cursor_and_all_is_all() -> None:
    fill(*SIX)
    first = run("query", "tickets", "--where", "votes < 2", "--limit", "3", "--json")
    cursor = json.loads(first.stderr)["next_cursor"]
    rest = run("query", "tickets", "--where", "votes < 2", "--limit", "3", "--json", "--cursor", cursor)
    ids = [json.loads(line)["id"] for line in (first.stdout + rest.stdout).splitlines()]
    assert ids == ["T-0", "T-1", "T-3", "T-4"]
    assert rest.stderr == ""
    assert "cursor" in refused("query", "tickets", "--where", "votes < 1", "--cursor", cursor)
    assert [item["id"] for item in found("query", "tickets", "--where", "votes < 2", "--limit", "1", "--all")] == ids
    assert "--all" in run("query", "tickets", "--limit", "1").stderr


def test_an_order_is_that_of_a_declared_index() -> None:
    fill(*SIX)
    ordered = [item["votes"] for item in found("query", "tickets", "--order", "votes", "--descending")]
    assert ordered == [2, 2, 1, 1, 0, 0]
    refused("query", "tickets", "--order", "title", status=1)


def test_people_see_tables_without_escape_sequences_and_machines_every_digit() -> None:
    fill({"id": "a", "title": EVIL, "price": 0.1}, {"id": "東京", "title": "x" * 400})
    for shown in (done("query", "tickets"), done("get", "tickets", "a"), done("bulk-get", "tickets", "a")):
        assert "\x1b" not in shown
        assert "[bold]hi[/bold]" in shown
    assert "東京" in done("query", "tickets")
    assert done("get", "tickets", "a", "--json").count("0.1") == 1
    assert found("get", "tickets", "a")[0]["title"] == EVIL


def test_names_of_others_reach_the_terminal_as_text() -> None:
    result = run("import", "tickets", "-", "--team", "T01", stdin=json.dumps({"id": "a", EVIL: 1}))
    assert "is not declared" in result.stderr
    assert "\x1b" not in result.stderr


def test_what_is_wrong_with_one_of_many_is_told_and_the_others_are_stored() -> None:
    result = run(
        "bulk-put", "tickets", "--team", "T01", '{"id":"a"}', '{"id":"b","votes":"x"}', '{"no":"key"}', '{"id":"c"}'
    )
    assert result.exit_code == 1
    assert result.stdout == "stored 2, failed 2\n"
    first, second = result.stderr.splitlines()
    assert first.startswith("item 2: tickets.votes")
    assert second.startswith("item 3: ")
    assert [item["id"] for item in found("query", "tickets")] == ["a", "c"]
    machine = run("bulk-put", "tickets", '{"id":"b","votes":"x"}', "--json")
    assert machine.exit_code == 1
    assert json.loads(machine.stdout)["failed"][0]["item"] == {"id": "b", "votes": "x"}


def test_removing_many_asks_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(*SIX)
    assert done("bulk-delete", "tickets", "T-0", "T-9") == "deleted 1, not there 1\n"

    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    def at_terminal(*args: str, answer: bytes = b"") -> Result:
        return CliRunner().invoke(main, ["datastore", "bulk-delete", *args], input=Terminal(answer))

    monkeypatch.setattr("stateroom.cli.datastore_bulk.on_terminal", lambda: True)
    refusal = at_terminal("tickets", "T-1", answer=b"n\n")
    assert (refusal.exit_code, "Remove 1 items of tickets?" in refusal.stderr) == (1, True)
    assert at_terminal("tickets", "T-1", "--json").exit_code == 2
    assert len(found("query", "tickets")) == 5
    assert at_terminal("tickets", "T-1", answer=b"y\n").exit_code == 0
    assert at_terminal("tickets", "T-2", "--yes").exit_code == 0
    assert len(found("query", "tickets")) == 3


def test_a_manifest_gives_the_definitions_too() -> None:
    Path("manifest.json").write_text(json.dumps(MANIFEST))
    words = ("--manifest", "manifest.json")
    stored = found("put", "orders", '{"reference":"A","who":"U01"}', "--team", "T01", *words)
    assert stored == found("get", "orders", "A", *words)
    assert "user id" in refused("put", "orders", '{"reference":"A","who":"me"}', *words)
    assert "there are: orders" in refused("get", "tickets", "A", *words, status=1)


def test_without_definitions_those_count_that_the_store_remembers() -> None:
    fill(*SIX)
    ordered = ("query", "tickets", "--order", "votes", "--json")
    assert bare(*ordered).stdout == run(*ordered).stdout
    assert json.loads(bare("put", "tickets", '{"id":"a","votes":1}', "--json").stdout) == {"id": "a", "votes": 1}
    assert "votes" in bare("put", "tickets", '{"id":"a","votes":"x"}').stderr
    assert bare("update", "tickets", "T-1", "--set", "status=done").exit_code == 1
    assert bare("export", "tickets").stdout == done("export", "tickets")


def test_items_of_an_older_version_are_read_without_its_code_too() -> None:
    fill(*SIX)
    steps = "    @sr.upgrade(from_version=1)\n    def two(item):\n        return item | {'title': 'upgraded'}\n"
    newer = MODULE.replace('name="tickets"', 'name="tickets", version=2') + steps
    Path("newer_tests.py").write_text(newer)
    words = ("--definitions", "newer_tests")
    assert found("put", "tickets", '{"id":"T-9"}', *words)[0]["id"] == "T-9"
    assert found("get", "tickets", "T-1", *words)[0]["title"] == "upgraded"
    plain = json.loads(bare("get", "tickets", "T-1", "--json").stdout)
    assert (plain["title"], "$v" in plain) == ("number 1", False)
    assert len(bare("query", "tickets", "--json").stdout.splitlines()) == 7
    assert "newer" in run("get", "tickets", "T-9").stderr or "version 2" in run("get", "tickets", "T-9").stderr


def test_what_nobody_defines_is_read_as_it_is_and_not_written() -> None:
    fill(*SIX)
    known = found("query", "tickets", "--where", "votes > 0")
    exported = done("export", "tickets")
    with sqlite3.connect("stateroom.db") as connection:
        connection.execute("DELETE FROM items_sr_definitions")
    connection.close()
    plain = bare("query", "tickets", "--where", "votes > 0", "--json")
    assert [json.loads(line) for line in plain.stdout.splitlines()] == known
    assert json.loads(bare("get", "tickets", "T-1", "--json").stdout)["title"] == "number 1"
    assert bare("bulk-get", "tickets", "T-1", "T-9").exit_code == 1
    assert bare("count", "tickets", "--where", "votes = 0").stdout == "2\n"
    assert bare("export", "tickets").stdout == exported
    first = bare("query", "tickets", "--limit", "4", "--json")
    cursor = json.loads(first.stderr)["next_cursor"]
    assert len(bare("query", "tickets", "--cursor", cursor, "--json").stdout.splitlines()) == 2
    assert "cursor" in bare("query", "tickets", "--cursor", cursor, "--where", "votes = 1").stderr
    for verb in (
        ("put", "tickets", '{"id":"a"}'),
        ("delete", "tickets", "T-1"),
        ("import", "tickets", "shop_tests.py"),
        ("query", "tickets", "--order", "votes"),
    ):
        result = bare(*verb)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--definitions" in result.stderr
    assert bare("query", "ticket").exit_code == 1
    assert "no datastore ticket" in bare("query", "ticket").stderr


def test_a_name_that_the_modules_do_not_have_is_told_with_those_they_have() -> None:
    assert "there are: tickets" in refused("get", "ticket", "a", status=1)


@pytest.mark.parametrize(
    "verb", [("get", "tickets", "a"), ("query", "tickets"), ("export", "tickets"), ("delete", "tickets", "a")]
)
def test_reading_and_removing_never_make_a_store(verb: tuple[str, ...], tmp_path: Path) -> None:
    assert "no such database" in refused(*verb, "--store", "sqlite:///typo.db", "--team", "T01", status=1)
    assert not (tmp_path / "typo.db").exists()


def test_items_are_those_that_the_library_sees() -> None:
    fill({"id": "a", "votes": 3})

    async def look() -> Any:
        from shop_tests import Ticket  # type: ignore[import-not-found]

        async with Store("sqlite:///stateroom.db") as store:
            return await store.team("T01").datastore(Ticket).get("a")

    ticket = asyncio.run(look())
    assert (ticket.votes, ticket.status) == (3, "open")
