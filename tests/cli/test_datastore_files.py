"""Export and import as real processes: killed and gone on with, of any size, from anything, in constant memory."""

import json
import os
import pty
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.conftest import eventually
from stateroom.cli import main
from support import measured
from support.dying import COMMITS, READS, dying, place_of

pytestmark = pytest.mark.service  # each command opens a file anew

MODULE = """
import stateroom as sr

class Note(sr.Datastore, name="notes"):
    id: str = sr.key()
    text: str = ""
    n: int = 0
"""
MEGABYTE = 1024 * 1024
MANY = 10_000


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("STATEROOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STATEROOM_DEFINITIONS", "notes_tests")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "notes_tests.py").write_text(MODULE)
    yield
    sys.modules.pop("notes_tests", None)


def begin(*args: str, **more: Any) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-m", "stateroom", "datastore", *args], **pipes)


def run(*args: str, status: int = 0, **more: Any) -> bytes:
    process = begin(*args, **more)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err.decode() + out.decode()[:1000]
    return out


def rss_of(*args: str) -> int:
    """Bytes that a command needed at most."""
    return round(measured.run(Path.cwd(), "datastore", *args)[1] * 1024 * 1024)


def killed_when_further(state: Path, than: int, *args: str, moment: int = 5) -> int:
    """A command that is killed `moment` statements after its state says more than `than`; how far it says it is."""
    statements = COMMITS if args[0] == "import" else READS
    command = dying(moment, "datastore", *args, statements=statements, state=state, than=than)
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL, "it was done before it was killed"
    assert place_of(state) > than
    return place_of(state)


def write_lines(path: Path, count: int, bad_every: int = 0) -> list[int]:
    """Items `k00000`…, now and then a line that is none; the numbers of those."""
    bad = []
    with path.open("w") as file:
        for n in range(count):
            if bad_every and n % bad_every == bad_every - 1:
                bad.append(n + 1)
                file.write(f"rubbish {n}\n")
            else:
                file.write(json.dumps({"id": f"k{n:07d}", "text": "x" * random.randrange(120), "n": n}) + "\n")
    return bad


def fill(store: Path, count: int) -> None:
    """A store with many items, by way of its documented format: quicker than any writer of ours."""
    run_here("put", "notes", '{"id":"a"}', "--team", "T01", "--store", f"sqlite:///{store}")
    connection = sqlite3.connect(store)
    connection.execute(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?) INSERT INTO items_notes "
        "SELECT 'T01', printf('k%07d', n), 1, NULL, "
        """printf('{"id":"k%07d","text":"%s","n":%d}', n, hex(zeroblob(60)), n) FROM c""",
        (count - 1,),
    )
    connection.commit()
    connection.close()


@pytest.mark.service
def test_an_import_that_is_killed_goes_on_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    source, state, rejects = tmp_path / "in.jsonl", tmp_path / "in.jsonl.resume", tmp_path / "bad.jsonl"
    bad = write_lines(source, MANY, bad_every=350)
    command = ("import", "notes", "in.jsonl", "--team", "T01", "--rejects", "bad.jsonl", "--resume", "--json")
    place = 0
    for moment in (3, 6, 11):
        place = killed_when_further(state, place, *command, moment=moment)
    run_here("delete", "notes", "k0000000")  # would come back if it began anew
    told = json.loads(run(*command, status=1))
    assert told == {"datastore": "notes", "imported": MANY - len(bad), "there": 0, "bad": len(bad)}
    lines = [json.loads(line) for line in rejects.read_bytes().splitlines()]
    assert [line["line"] for line in lines] == bad
    assert lines[0]["item"] == f"rubbish {bad[0] - 1}"
    assert not state.exists()
    good = [line for line in source.read_bytes().splitlines() if not line.startswith(b"rubbish")]
    assert [json.loads(line) for line in run_here("export", "notes").splitlines()] == [
        json.loads(line) for line in good[1:]
    ]


@pytest.mark.service
def test_an_export_that_is_killed_goes_on_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    fill(tmp_path / "stateroom.db", 90_000)
    out, state = tmp_path / "out.jsonl", tmp_path / "out.jsonl.resume"
    out.write_text("the one before\n")
    whole = run_here("export", "notes")
    killed_when_further(state, 0, "export", "notes", "-o", "out.jsonl")
    assert out.read_text() == "the one before\n"
    run_here("put", "notes", '{"id":"A-new"}')  # would be met if it began anew
    place = 0
    for moment in (4, 7):
        place = killed_when_further(state, place, "export", "notes", "-o", "out.jsonl", "--resume", moment=moment)
    told = json.loads(run("export", "notes", "-o", "out.jsonl", "--resume", "--json"))
    assert told == {"datastore": "notes", "exported": 90_000, "output": "out.jsonl"}
    assert out.read_text() == whole
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl"]


@pytest.mark.service
def test_an_import_that_is_interrupted_says_so_and_goes_on(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", 2 * MANY)
    words = ("datastore", "import", "notes", "in.jsonl", "--team", "T01")
    command = dying(5, *words, number=signal.SIGINT, state=tmp_path / "in.jsonl.resume")
    stopped = subprocess.run(command, capture_output=True, check=False)
    assert stopped.returncode == 1
    assert stopped.stderr.decode().splitlines()[-1] == "stateroom: stopped"
    assert run("import", "notes", "in.jsonl", "--resume").startswith(f"imported {2 * MANY}, bad 0".encode())


@pytest.mark.service
def test_a_state_of_other_work_is_not_gone_on_with(tmp_path: Path) -> None:
    source, state = tmp_path / "in.jsonl", tmp_path / "in.jsonl.resume"
    write_lines(source, MANY)
    killed_when_further(state, 0, "import", "notes", "in.jsonl", "--team", "T01")
    kept = state.read_bytes()

    def goes_on(*args: str) -> str:
        state.write_bytes(kept)
        result = CliRunner().invoke(main, ["datastore", "import", "notes", "in.jsonl", "--resume", *args])
        assert result.exit_code == 0, result.output
        return result.stdout + result.stderr

    assert goes_on("--team", "T01", "--rejects", "bad").startswith(f"imported {MANY}, bad 0\n")
    write_lines(source, 40)
    assert "input is not the one" in goes_on("--team", "T01")
    assert "another store, datastore, workspace" in goes_on("--team", "T02")
    told = goes_on("--team", "T01", "--store", "sqlite:///other.db")
    assert "another store" in told
    assert "imported 40, bad 0" in told


@pytest.mark.service
def test_a_store_that_lost_what_was_imported_is_filled_anew(tmp_path: Path) -> None:
    source, state = tmp_path / "in.jsonl", tmp_path / "in.jsonl.resume"
    write_lines(source, MANY)
    killed_when_further(state, 0, "import", "notes", "in.jsonl", "--team", "T01")
    for path in tmp_path.glob("stateroom.db*"):
        path.unlink()
    result = CliRunner().invoke(main, ["datastore", "import", "notes", "in.jsonl", "--team", "T01", "--resume"])
    assert "beginning anew" in result.stderr
    assert run_here("count", "notes") == f"{MANY}\n"


@pytest.mark.service
def test_what_a_slow_pipe_brings_is_stored_before_it_ends() -> None:
    process = begin("import", "notes", "-", "--team", "T01", stdin=subprocess.PIPE)
    assert process.stdin is not None
    for count in (1, 3):
        process.stdin.write(b"".join(b'{"id":"p%d-%d"}\n' % (count, n) for n in range(count)) + b'{"id":"ha')
        process.stdin.flush()
        eventually(lambda: stored() == [f"p{count}-{n}" for n in range(count)], "it is stored")  # noqa: B023
        process.stdin.write(b'lf"}\n{"id":"half"}\n')
        process.stdin.flush()
        eventually(lambda: "half" in stored(), "the other half, too")
        run_here("bulk-delete", "notes", "half", *(f"p{count}-{n}" for n in range(count)))
    out, _ = process.communicate(timeout=60)
    assert out == b"imported 8, bad 0\n"


def stored() -> list[str]:
    if not Path("stateroom.db").exists():
        return []
    result = CliRunner().invoke(main, ["datastore", "query", "notes", "--team", "T01", "--json"])
    return [json.loads(line)["id"] for line in result.stdout.splitlines()] if result.exit_code == 0 else []


@pytest.mark.service
def test_items_of_400_kilobytes_go_out_and_in_and_out_the_same() -> None:
    big = "".join(chr(random.choice((0x41, 0xE9, 0x6771, 0x1F600))) for _ in range(165_000))
    lines = b"".join(json.dumps({"id": f"b{n}", "text": big[n:]}).encode() + b"\n" for n in range(5))
    assert len(lines) > 5 * 400_000
    Path("big.jsonl").write_bytes(lines)
    assert run("import", "notes", "big.jsonl", "--team", "T01") == b"imported 5, bad 0\n"
    run("export", "notes", "-o", "one.jsonl")
    assert run("import", "notes", "one.jsonl", "--team", "T01", "--store", "sqlite:///two.db") == b"imported 5, bad 0\n"
    assert run("export", "notes", "--store", "sqlite:///two.db") == Path("one.jsonl").read_bytes()
    found = {item["id"]: item["text"] for item in map(json.loads, Path("one.jsonl").read_bytes().splitlines())}
    assert found == {f"b{n}": big[n:] for n in range(5)}


@pytest.mark.service
def test_an_export_needs_no_more_memory_for_ten_times_as_much(tmp_path: Path) -> None:
    fill(tmp_path / "small.db", 10_000)
    fill(tmp_path / "large.db", 100_000)
    small, large = (
        rss_of("export", "notes", "-o", "out.jsonl", "--store", f"sqlite:///{n}.db") for n in ("small", "large")
    )
    assert large - small < 20 * MEGABYTE
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 100_000


@pytest.mark.service
def test_an_import_needs_no_more_memory_for_ten_times_as_much(tmp_path: Path) -> None:
    write_lines(tmp_path / "small.jsonl", 1_000)
    write_lines(tmp_path / "large.jsonl", 10_000)
    small, large = (rss_of("import", "notes", f"{name}.jsonl", "--team", "T01") for name in ("small", "large"))
    assert large - small < 20 * MEGABYTE


@pytest.mark.soak
@pytest.mark.service
def test_a_million_items_go_out_and_in_in_constant_memory(tmp_path: Path) -> None:
    fill(tmp_path / "small.db", 100_000)
    fill(tmp_path / "large.db", 1_000_000)
    small, large = (
        rss_of("export", "notes", "-o", f"{name}.jsonl", "--store", f"sqlite:///{name}.db")
        for name in ("small", "large")
    )
    assert large - small < 20 * MEGABYTE
    copies = (
        ("import", "notes", f"{n}.jsonl", "--team", "T01", "--store", f"sqlite:///{n}2.db") for n in ("small", "large")
    )
    small, large = (rss_of(*copy) for copy in copies)
    assert large - small < 20 * MEGABYTE
    run("export", "notes", "-o", "again.jsonl", "--store", "sqlite:///large2.db")
    assert subprocess.run(["cmp", "large.jsonl", "again.jsonl"], cwd=tmp_path).returncode == 0


@pytest.mark.service
@pytest.mark.parametrize("verb", ["export", "import"])
def test_a_person_sees_progress_on_the_terminal_and_stdout_stays_clean(verb: str, tmp_path: Path) -> None:
    fill(tmp_path / "stateroom.db", 50)
    (tmp_path / "in.jsonl").write_text('{"id":"x"}\n')
    ours, theirs = pty.openpty()
    args = ("export", "notes") if verb == "export" else ("import", "notes", "in.jsonl")
    process = begin(*args, stderr=theirs)
    out, _ = process.communicate(timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536)
    os.close(ours)
    assert process.returncode == 0
    assert f"{verb}ing notes".encode() in shown
    assert out.count(b"\n") == (50 if verb == "export" else 1)
    assert b"\x1b" not in out


@pytest.mark.service
def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    fill(tmp_path / "stateroom.db", 3_000)
    for verb in ("export notes", "query notes --limit 3000"):
        command = f"{sys.executable} -m stateroom datastore {verb} | head -c 10; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
        assert len(done.stdout) >= 10
        assert done.stderr == b""
        assert done.returncode in (0, 1)


@pytest.mark.service
def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    fill(tmp_path / "stateroom.db", 5_000)
    with Path("/dev/full").open("wb") as full:
        process = begin("export", "notes", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == b"stateroom: stdout cannot be written: No space left on device; name another file, or make room\n"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.text(max_size=12).map(lambda t: json.dumps({"id": t}).encode())),
        max_size=8,
    )
)
def test_no_input_whatever_breaks_an_import(lines: list[bytes]) -> None:
    source = b"\n".join(lines)
    result = CliRunner().invoke(
        main,
        ["datastore", "import", "notes", "-", "--team", "T01", "--store", "memory://", "--json", "--rejects", "bad"],
        input=source,
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    told = json.loads(result.stdout)
    bad = [json.loads(line) for line in Path("bad").read_bytes().splitlines()]
    assert told["bad"] == len(bad)
    assert result.exit_code == (1 if bad else 0)
    assert told["imported"] + told["bad"] == sum(
        1 for line in source.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()
    )


def test_importing_twice_is_importing_once(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", 300)
    run_here("import", "notes", "in.jsonl", "--team", "T01")
    once = run_here("export", "notes")
    run_here("import", "notes", "in.jsonl")
    assert run_here("export", "notes") == once
    assert json.loads(run_here("import", "notes", "in.jsonl", "--if-absent", "--json")) == {
        "datastore": "notes",
        "imported": 0,
        "there": 300,
        "bad": 0,
    }


def test_items_that_are_there_stay_when_only_new_ones_are_wanted(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id":"a","n":1}\n')
    run_here("import", "notes", "in.jsonl", "--team", "T01")
    (tmp_path / "in.jsonl").write_text('{"id":"a","n":2}\n{"id":"b","n":"x"}\n{"id":"c"}\n')
    result = CliRunner().invoke(main, ["datastore", "import", "notes", "in.jsonl", "--if-absent"])
    assert result.stdout == "imported 1, bad 1, there before 1\n"
    assert result.stderr.startswith("line 2: notes.n")
    assert '"n":1' in run_here("get", "notes", "a", "--json")


def test_the_last_of_a_key_wins_also_far_apart(tmp_path: Path) -> None:
    with (tmp_path / "in.jsonl").open("w") as file:
        for n in range(3_000):
            file.write(json.dumps({"id": f"k{n % 700}", "n": n}) + "\n")
    run_here("import", "notes", "in.jsonl", "--team", "T01")
    found = {json.loads(line)["id"]: json.loads(line)["n"] for line in run_here("export", "notes").splitlines()}
    assert found == {f"k{n % 700}": n for n in range(3_000)}


def test_an_export_may_be_of_some() -> None:
    run_here("bulk-put", "notes", '{"id":"a","n":1}', '{"id":"b","n":2}', "--team", "T01")
    assert run_here("export", "notes", "--where", "n > 1", "-o", "some.jsonl") == "exported 1 to some.jsonl\n"
    assert json.loads(Path("some.jsonl").read_text())["id"] == "b"


@pytest.mark.parametrize(
    "args",
    [
        ("export", "notes", "-o", "gone/out.jsonl"),
        ("export", "notes", "-o", "out.jsonl", "--state", "gone/state"),
        ("import", "notes", "in.jsonl", "--rejects", "gone/bad"),
        ("import", "notes", "in.jsonl", "--state", "gone/state"),
        ("import", "notes", "in.jsonl", "--if-absent", "--rejects", "."),
        ("import", "notes", "/proc/self/mem"),
        ("export", "notes", "-o", "/dev/full"),
    ],
    ids=" ".join,
)
def test_a_file_that_cannot_be_written_is_one_line(args: tuple[str, ...]) -> None:
    run_here("put", "notes", '{"id":"a"}', "--team", "T01")
    Path("in.jsonl").write_text('{"id":"b"}\n')
    result = CliRunner().invoke(main, ["datastore", *args])
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_no_file_is_written_over_that_is_read_or_is_no_file(tmp_path: Path) -> None:
    run_here("put", "notes", '{"id":"a"}', "--team", "T01")
    Path("in.jsonl").write_text('{"id":"b"}\n')
    for args in (
        ("import", "notes", "in.jsonl", "--rejects", "in.jsonl"),
        ("import", "notes", "in.jsonl", "--rejects", "./x/../in.jsonl"),
        ("import", "notes", "in.jsonl", "--state", "in.jsonl"),
        ("import", "notes", "in.jsonl", "--rejects", "bad", "--state", "bad"),
        ("import", "notes", "in.jsonl", "--state", "/dev/null"),
        ("export", "notes", "-o", "out", "--state", "out"),
        ("export", "notes", "-o", "out", "--state", "out.part"),
        ("export", "notes", "-o", "/dev/null", "--resume"),
    ):
        (tmp_path / "x").mkdir(exist_ok=True)
        result = CliRunner().invoke(main, ["datastore", *args])
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), args
    assert Path("in.jsonl").read_text() == '{"id":"b"}\n'
    assert run_here("export", "notes", "-o", os.devnull) == f"exported 1 to {os.devnull}\n"
    assert not Path(os.devnull).is_file()


def test_an_export_through_a_link_leaves_the_link(tmp_path: Path) -> None:
    run_here("put", "notes", '{"id":"a"}', "--team", "T01")
    (tmp_path / "real").mkdir()
    Path("out.jsonl").symlink_to("real/out.jsonl")
    run_here("export", "notes", "-o", "out.jsonl")
    assert Path("out.jsonl").is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["out.jsonl"]


def test_an_import_beside_which_nothing_can_be_written_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is comfort; an input in a folder that is only to be read is imported all the same."""
    Path("in.jsonl").write_text('{"id":"b"}\n')
    Path("in.jsonl.resume.new").mkdir()  # where the state would be written first
    assert run_here("import", "notes", "in.jsonl", "--team", "T01") == "imported 1, bad 0\n"


def run_here(*args: str) -> str:
    result = CliRunner().invoke(main, ["datastore", *args])
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return result.stdout
