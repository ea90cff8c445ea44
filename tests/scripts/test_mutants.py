"""The mutation runner tells a mutant that its tests notice from one they miss, and from a row that proves nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
GUARD = "def allowed(age):\n    return age >= 18\n"
TESTS = """
import pytest
from guard import allowed

def test_children_are_refused():
    assert not allowed(5)

@pytest.mark.parametrize("age", [18, 30], ids=["of age", "older"])
def test_adults_are_let_in(age):
    assert allowed(age)
"""
REFUSED, LET_IN = (f"tests/test_guard.py::test_{name}" for name in ("children_are_refused", "adults_are_let_in"))


@pytest.fixture(scope="session")
def mutants(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("mutants")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"src/guard.py": GUARD, "tests/test_guard.py": TESTS, "pyproject.toml": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "scripts").mkdir()
    return tmp_path


def row(name: str, old: str, new: str, *tests: str, file: str = "src/guard.py") -> str:
    fields: dict[str, Any] = {"name": name, "invariant": 7, "file": file, "old": old, "new": new, "tests": list(tests)}
    return "[[mutant]]\n" + "".join(f"{key} = {value!r}\n" for key, value in fields.items())


def run(mutants: ModuleType, tree: Path, *rows: str, names: tuple[str, ...] = ()) -> int:
    (tree / "scripts/mutants.toml").write_text("\n".join(rows))
    code: int = mutants.main(list(names), root=tree)
    return code


def test_every_row_of_our_table_fits_the_tree(mutants: ModuleType) -> None:
    rows = mutants.read_table(ROOT)
    assert rows
    assert len({row.name for row in rows}) == len(rows)
    assert {row.name: why for row in rows if (why := mutants.staleness(ROOT, row))} == {}


@pytest.mark.service
def test_each_mutant_gets_the_verdict_it_deserves(
    mutants: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {
        row("nobody-enters", ">= 18", "> 99", LET_IN): "killed",
        row("slack-by-a-year", ">= 18", ">= 17", REFUSED): "survived",
        row("one-of-two-is-green", ">= 18", ">= 0", REFUSED, LET_IN): f"survived .* still green: {LET_IN}",
        row("does-not-parse", ">= 18", ">= (", REFUSED): "broken",
        row("stale", ">= 21", ">= 0", REFUSED): "stale .* old text stands 0 times",
    }
    assert run(mutants, tree, *rows) == 1
    lines = capsys.readouterr().out.splitlines()
    for line, expected in zip(lines, rows.values(), strict=False):
        assert re.match(expected, line)
    assert "5 mutants, 1 killed, 4 not" in lines
    assert (tree / "src/guard.py").read_text() == GUARD


@pytest.mark.service
def test_all_killed_is_success(mutants: ModuleType, tree: Path) -> None:
    one_of_two = row("later-by-a-year", ">= 18", ">= 19", f"{LET_IN}[of age]")
    assert run(mutants, tree, row("everybody-enters", ">= 18", ">= 0", REFUSED), one_of_two) == 0


def test_a_suite_that_a_file_takes_over_is_looked_into(mutants: ModuleType, tree: Path) -> None:
    (tree / "src/stateroom").mkdir()
    (tree / "src/stateroom/suite.py").write_text("def test_shipped(): pass\n")
    (tree / "tests/test_suite.py").write_text("from stateroom.suite import *\nfrom stateroom.gone import *\n")
    assert mutants.has_test(tree, "tests/test_suite.py::test_shipped[memory]")
    assert not mutants.has_test(tree, "tests/test_suite.py::test_ship")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (row("gone", ">= 21", ">= 0", REFUSED), "old text stands 0 times"),
        (row("twice", "age", "years", REFUSED), "old text stands 2 times"),
        (row("same", ">= 18", ">= 18", REFUSED), "changes nothing"),
        (row("no-file", "x", "y", REFUSED, file="src/gone.py"), "src/gone.py is not there"),
        (row("no-test", ">= 18", ">= 0", "tests/test_guard.py::test_gone"), "test_gone is not there"),
        (row("untested", ">= 18", ">= 0"), "names no test"),
    ],
)
def test_a_row_that_no_longer_fits_is_stale(mutants: ModuleType, tree: Path, bad: str, expected: str) -> None:
    assert run(mutants, tree, bad) == 1
    (read,) = mutants.read_table(tree)
    assert expected in mutants.staleness(tree, read)


@pytest.mark.service
def test_tests_that_are_red_without_a_mutant_prove_nothing(
    mutants: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "src/guard.py").write_text("def allowed(age):\n    return age >= 0\n")
    assert run(mutants, tree, row("everybody", ">= 0", ">= -1", REFUSED)) == 1
    assert "not green without any mutant" in capsys.readouterr().err


def test_a_name_that_is_no_row_is_wrong_use(mutants: ModuleType, tree: Path) -> None:
    assert run(mutants, tree, row("everybody", ">= 18", ">= 0", REFUSED), names=("nobody-*",)) == 2
