"""The bench frame measures in turns, compares round by round, and is red when a bound does not hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench import __main__ as command
from bench import report, slow_disk
from bench.frame import CASES, Case, Contenders, Must, Outcome, case, measure

RESULTS = {"raw": {"s/op": [1.0, 2.0, 10.0]}, "ours": {"s/op": [1.2, 2.4, 12.0], "p99, s": [0.02, 0.01, 0.03]}}


def fake(order: list[str], *names: str) -> Case:
    @contextmanager
    def contenders() -> Iterator[Contenders]:
        yield {name: lambda name=name: order.append(name) or 1.0 for name in names}  # type: ignore[misc]
        order.append("tidied up")

    return Case("fake", "A fake", contenders, rounds=2)


def test_contenders_take_turns_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []
    outcome = measure(fake(order, "raw", "ours"))
    assert order == ["raw", "ours", "ours", "raw", "raw", "ours", "tidied up"]
    assert outcome.results == {"raw": {"s/op": [1.0, 1.0]}, "ours": {"s/op": [1.0, 1.0]}}


@pytest.mark.parametrize(
    ("must", "holds"),
    [
        (Must("ours", over="raw", at_most=1.2), True),
        (Must("ours", over="raw", at_most=1.19), False),
        (Must("ours", over="raw", at_least=1.2), True),
        (Must("ours", over="raw", at_least=1.21), False),
        (Must("ours", minus="raw", at_most=0.41), True),
        (Must("ours", minus="raw", at_most=0.39), False),
        (Must("ours", measure="p99, s", at_most=0.02), True),
        (Must("ours", measure="p99, s", at_most=0.019), False),
    ],
)
def test_a_bound_holds_up_to_its_limit_and_not_beyond(must: Must, holds: bool) -> None:
    assert must.holds({**RESULTS, "raw": {"s/op": [1.0, 2.0, 10.0]}}) is holds


def test_what_is_no_number_meets_no_bound() -> None:
    assert not Must("ours", at_most=1.0).holds({"ours": {"s/op": [float("nan")]}})


def test_a_broken_bound_ends_the_run_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_cases", lambda: None)
    good = fake([], "raw", "ours")
    bad = Case("bad", "Bad", good.contenders, (Must("ours", over="raw", at_most=0.5),), 1)
    monkeypatch.setattr(command, "CASES", {"good": good, "bad": bad})
    assert command.main(["good"]) == 0
    assert command.main([]) == 1
    assert "BROKEN: ours / raw, s/op: at most 0.5 (found 1)" in capsys.readouterr().out
    assert command.main(["no-such-case"]) == 2


def test_two_cases_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "taken", fake([], "raw"))
    with pytest.raises(ValueError, match="two cases are named taken"):
        case("taken", "Again")(fake([], "raw").contenders)


def test_writing_one_case_keeps_the_others(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    outcome = Outcome(fake([], "raw", "ours"), RESULTS)
    page.write_text(report.merged("", {"append": "## append\n\nkept\n", "fake": "## fake\n\nold\n"}))
    report.write(page, [outcome])
    text = page.read_text()
    assert "kept" in text
    assert "old" not in text
    assert "| ours | s/op | 2.4 s | 1.2 s … 12 s | 1.20 |" in text
    assert text.index("## append") < text.index("## fake")


def test_every_real_case_is_listed_with_bounds_that_name_real_contenders(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert {"import", "noise"} <= set(CASES)
    for name, found in CASES.items():
        assert f"{name} " in listed
        assert all(must.at_most is not None or must.at_least is not None for must in found.musts)


@pytest.mark.service
def test_a_slower_disk_is_slower_for_whoever_syncs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = "import os, time; f = os.open('x', os.O_CREAT | os.O_RDWR); t = time.perf_counter(); os.fsync(f); "
    program += "os.fdatasync(f); print(time.perf_counter() - t)"
    (tmp_path / "bench.py").write_text(program)  # what `-m bench` finds in this folder
    monkeypatch.chdir(tmp_path)
    assert slow_disk.run_again(50_000, []) == 0
    assert float(capfd.readouterr().out) > 0.1
