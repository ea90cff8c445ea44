"""`stateroom threads`: out of a store and into one, with nothing but the store."""

import asyncio
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stateroom.cli import main
from stateroom.store import Store

pytestmark = pytest.mark.service  # each command opens a file anew

ONE = ("T01", "C01", "1700000000.000100")
OTHER = ("T01", "D02", "1700000001.000100")
ELSEWHERE = ("T02", "C01", "1700000000.000100")
EVIL = "\x1b]0;owned\x07 [bold]hi[/bold]"


def said(person: str, answer: str) -> list[dict[str, object]]:
    return [
        {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": person}]},
        {"kind": "response", "parts": [{"part_kind": "text", "content": answer}]},
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with three threads of three turns, the last of them deleted."""
    path = tmp_path_factory.mktemp("made") / "stateroom.db"

    async def fill() -> None:
        async with Store(f"sqlite:///{path}") as store:
            for team, channel, ts in (ONE, OTHER, ELSEWHERE):
                thread = store.team(team).thread(channel, ts)
                await thread.append(said(f"hello from {team}", "good day"), turn_id="Ev1", author="U01")
                await thread.append(said("東京?", EVIL), turn_id="Ev2")
                await thread.append(said("secret", "gone"), turn_id="Ev3", ts="1700000009.000100")
                await thread.tombstone("1700000009.000100")

    asyncio.run(fill())
    return path


@pytest.fixture(autouse=True)
def _store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ./stateroom.db, the default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATEROOM_STORE", raising=False)
    shutil.copy(made, "stateroom.db")


def run(*args: str, stdin: bytes | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, ["threads", *args], input=stdin, env=environ)


def lines(result: Result) -> list[dict[str, object]]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_shows_every_thread_of_every_workspace() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert result.stdout.count("1700000000.000100") == 2
    assert "D02:1700000001.000100" in result.stdout


def test_list_for_machines_is_one_object_a_line() -> None:
    found = lines(run("list", "--json"))
    assert [(t["team"], t["id"], t["turns"]) for t in found] == [
        ("T01", "C01:1700000000.000100", 3),
        ("T01", "D02:1700000001.000100", 3),
        ("T02", "C01:1700000000.000100", 3),
    ]


def test_list_may_be_narrowed_and_says_when_there_is_more() -> None:
    assert [t["id"] for t in lines(run("list", "--json", "--team", "T01", "--channel", "D02"))] == [
        f"{OTHER[1]}:{OTHER[2]}"
    ]
    result = run("list", "--json", "--limit", "1")
    assert result.stdout.count("\n") == 1
    assert "--limit" in result.stderr


def test_show_prints_what_was_said_and_no_escape_sequence() -> None:
    result = run("show", "C01:1700000000.000100", "--team", "T01")
    assert result.exit_code == 0
    assert "person: hello from T01" in result.stdout
    assert "assistant: good day" in result.stdout
    assert "東京?" in result.stdout
    assert "(deleted)" in result.stdout
    assert "secret" not in result.stdout
    assert "[bold]hi[/bold]" in result.stdout
    assert "\x1b" not in result.stdout


def test_show_for_machines_is_one_turn_a_line() -> None:
    found = lines(run("show", "--channel", "D02", "--thread", "1700000001.000100", "--json"))
    assert [(e["number"], e["turn_id"], e["author"], e["tombstone"]) for e in found] == [
        (1, "Ev1", "U01", False),
        (2, "Ev2", None, False),
        (3, "Ev3", None, True),
    ]
    assert found[0]["messages"] == said("hello from T01", "good day")


@pytest.mark.parametrize(
    ("args", "status", "expected"),
    [
        (("C01:1700000000.000100",), 2, "--team T01"),
        (("C09:1700000000.000100",), 1, "no such thread"),
        (("C01:1700000000.000100", "--team", "T09"), 1, "no such thread"),
        (("../etc/passwd:1",), 2, "channel id"),
        (("C01:yesterday",), 2, "timestamp"),
        ((), 2, "CHANNEL:TS"),
    ],
)
def test_a_thread_that_is_not_clear_is_one_line(args: tuple[str, ...], status: int, expected: str) -> None:
    for verb in (("show",), ("erase", "--yes")):
        result = run(*verb, *args)
        assert (result.exit_code, result.stdout) == (status, "")
        assert expected in result.stderr
        assert result.stderr.count("\n") == 1


def test_export_writes_every_turn_and_import_elsewhere_gives_the_same_bytes() -> None:
    exported = run("export")
    assert (exported.exit_code, exported.stderr) == (0, "")
    assert len(exported.stdout_bytes.splitlines()) == 9
    imported = run("import", "-", "--store", "sqlite:///copy.db", "--json", stdin=exported.stdout_bytes)
    assert lines(imported) == [{"imported": 9, "repeated": 0, "expired": 0, "bad": []}]
    assert run("export", "--store", "sqlite:///copy.db").stdout_bytes == exported.stdout_bytes


def test_export_may_be_narrowed() -> None:
    assert len(run("export", "--team", "T02").stdout_bytes.splitlines()) == 3
    assert len(run("export", "--channel", "C01").stdout_bytes.splitlines()) == 6
    one = run("export", "--team", "T01", "--channel", "C01", "--thread", "1700000000.000100")
    assert len(one.stdout_bytes.splitlines()) == 3


def test_an_import_may_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "export.jsonl").write_bytes(run("export").stdout_bytes)
    result = run("import", "export.jsonl")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "imported 0, there before 9" in result.stdout


def test_bad_lines_are_told_with_reasons_and_the_others_imported() -> None:
    good = run("export", "--team", "T02").stdout_bytes
    source = b"not json\n" + good + b'{"team":"../T","channel":"C01","thread_ts":"1.1","turn_id":"x","messages":[]}\n'
    result = run("import", "-", "--store", "sqlite:///copy.db", stdin=source)
    assert result.exit_code == 1
    assert "imported 3" in result.stdout
    first, second = result.stderr.splitlines()
    assert first.startswith("line 1: ")
    assert second.startswith("line 5: ")
    again = run("import", "-", "--store", "sqlite:///copy.db", "--json", stdin=source)
    assert again.exit_code == 1
    assert [bad["where"] for bad in json.loads(again.stdout)["bad"]] == ["line 1", "line 5"]


def test_a_folder_of_message_arrays_is_imported(tmp_path: Path) -> None:
    folder = tmp_path / "old" / "threads"
    folder.mkdir(parents=True)
    (folder / "1700000000.000100.json").write_text(json.dumps(said("a", "b") + said("c", "d")))
    (folder / "1700000002.000100.json").write_text("[")
    result = run("import", "--folder", "old", "--team", "T07", "--channel", "C07", "--store", "sqlite:///new.db")
    assert result.exit_code == 1
    assert result.stderr.startswith("1700000002.000100.json: ")
    found = lines(run("list", "--json", "--store", "sqlite:///new.db"))
    assert [(t["team"], t["id"], t["turns"]) for t in found] == [("T07", "C07:1700000000.000100", 2)]


def test_erase_asks_first_and_then_removes_that_thread_alone() -> None:
    place = ("C01:1700000000.000100", "--team", "T01")
    refused = run("erase", *place, stdin=b"n\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "with 3 turns?" in refused.stderr
    assert len(lines(run("list", "--json"))) == 3
    assert run("erase", *place, stdin=b"y\n").exit_code == 0
    assert [(t["team"], t["channel"]) for t in lines(run("list", "--json"))] == [("T01", "D02"), ("T02", "C01")]
    assert run("erase", *place, "--yes").exit_code == 1


def test_erase_for_machines_asks_nothing() -> None:
    told = lines(run("erase", "C01:1700000000.000100", "--team", "T02", "--yes", "--json"))
    assert told == [{"team": "T02", "id": "C01:1700000000.000100", "erased": 3}]


@pytest.mark.parametrize(
    "verb", [("list",), ("export",), ("show", "C01:1700000000.000100"), ("erase", "C1:1", "--yes")]
)
def test_reading_never_makes_a_store(verb: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*verb, "--store", "sqlite:///typo.db")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("stateroom: typo.db: there is no such database")
    assert not (tmp_path / "typo.db").exists()


def test_the_environment_names_the_store_and_the_option_goes_before_it() -> None:
    assert run("list", STATEROOM_STORE="sqlite:///typo.db").exit_code == 1
    assert run("list", "--store", "sqlite:///stateroom.db", STATEROOM_STORE="sqlite:///typo.db").exit_code == 0


def test_a_store_that_keeps_no_words_imports_none() -> None:
    result = run("import", "-", stdin=b"", STATEROOM_CONTENT="none")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


@pytest.mark.service
@pytest.mark.parametrize(
    "source", [("export.jsonl",), ("-",), ("--folder", "old", "--team", "T07", "--channel", "C07")]
)
def test_a_person_sees_progress_on_the_terminal_and_stdout_stays_clean(source: tuple[str, ...], tmp_path: Path) -> None:
    exported = run("export").stdout_bytes
    (tmp_path / "export.jsonl").write_bytes(exported)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "1700000000.000100.json").write_text(json.dumps(said("a", "b")))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "stateroom", "threads", "import", *source, "--store", "sqlite:///copy.db"]
    done = subprocess.run(command, input=exported, stdout=subprocess.PIPE, stderr=theirs, timeout=30)
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert done.returncode == 0
    assert done.stdout == f"imported {1 if 'old' in source else 9}, there before 0, too old 0, bad 0\n".encode()
    assert ("old" if "old" in source else "importing").encode() in shown


@pytest.mark.service
def test_a_reader_that_stops_early_is_no_error(made: Path) -> None:
    command = (
        f"{sys.executable} -m stateroom threads export --store sqlite:///{made} | head -c 10; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=30)
    assert len(done.stdout) == 10
    assert done.stderr == b""
    assert done.returncode in (0, 1)
