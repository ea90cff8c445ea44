"""Switch each mechanism off and expect its tests red: `make mutants`, rows in scripts/mutants.toml.

Rules of this file: it works on a copy of the tree, never on the tree. A mutant is killed when every test that its row
names has failed, as a test: a tree that does not import, or a test that is not there, proves nothing and is an error.
The named tests must first be green on the unchanged copy.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TABLE: Final = "scripts/mutants.toml"
COPIED: Final = (
    "src",
    "tests",
    "scripts",
    "bench",
    "docs",
    "examples",
    "pyproject.toml",
    "README.md",
    "Makefile",
    "LICENSE",
)
INVARIANTS: Final = range(1, 13)
TIMEOUT: Final = 300.0  # seconds for the tests of one row
BASELINE: Final = 1800.0  # seconds for all named tests on the unchanged copy
FAILED: Final = 1  # pytest: some tests failed; 2 to 5 are interruptions, wrong use and nothing collected


@dataclass(frozen=True)
class Mutant:
    """One row: `old` stands exactly once in `file` and becomes `new`; then each of `tests` must fail."""

    name: str
    invariant: int
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """`killed` is what we want; `survived`, `stale` and `broken` are not. `why` says more where there is more."""

    verdict: str
    why: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """What one pytest run gave: its exit code, or None after the time-out, and the ids that failed."""

    code: int | None
    red: tuple[str, ...]
    tail: str


def read_table(root: Path) -> list[Mutant]:
    """The rows of the table, in its order. KeyError or TypeError for a row that lacks or misnames a field."""
    rows = tomllib.loads((root / TABLE).read_text(encoding="utf-8")).get("mutant", [])
    return [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def staleness(root: Path, mutant: Mutant) -> str:
    """Why the row no longer fits the tree; empty when it does."""
    path = root / mutant.file
    if not path.is_file():
        return f"{mutant.file} is not there"
    if (count := path.read_text(encoding="utf-8").count(mutant.old)) != 1:
        return f"old text stands {count} times in {mutant.file}, not once"
    if mutant.old == mutant.new or not mutant.tests:
        return "it changes nothing, or names no test"
    if mutant.invariant not in INVARIANTS:
        return "the invariant is none of 1 to 12"
    return next((f"{test} is not there" for test in mutant.tests if not has_test(root, test)), "")


def has_test(root: Path, node: str) -> bool:
    """Whether file and function of a pytest id exist; parameters are pytest's to know."""
    file, _, inside = node.partition("::")
    function = inside.partition("[")[0].rpartition("::")[2] or inside.partition("[")[0]
    path = root / file
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    texts = [text, *star_imported(root, text)]
    return any(re.search(rf"def {re.escape(function)}\(", one) for one in texts)


def star_imported(root: Path, text: str) -> Iterator[str]:
    """The sources of our modules whose tests a file takes over by `import *`, as the conformance suite is."""
    for module in re.findall(r"^from (stateroom[\w.]*) import \*", text, re.MULTILINE):
        source = root / "src" / f"{module.replace('.', '/')}.py"
        if source.is_file():
            yield source.read_text(encoding="utf-8")


def run_tests(tree: Path, tests: Sequence[str], timeout: float = TIMEOUT) -> Run:
    """Run ids in the copied tree: its `src` goes before the installed package, for child processes, too."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tree / "src"), str(tree)]),
        "PYTHONDONTWRITEBYTECODE": "1",  # a mutant of the same length within a second would meet the old bytecode
        "STATEROOM_TEST_PROFILE": "ci",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=line",
        "-rfE",
        "--color=no",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the servers it has started
        process.communicate()
        return Run(None, (), "")
    red = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)  # an id may hold blanks
    return Run(process.returncode, tuple(red), "\n".join(output.strip().splitlines()[-5:]))


def judge(run: Run, mutant: Mutant) -> tuple[str, str]:
    """The verdict over a run with the mutant in place. A test that hangs is red, too: CI would end it."""
    if run.code is None:
        return "killed", f"timed out after {TIMEOUT:.0f} s"
    if run.code == 0:
        return "survived", "all named tests are green"
    if run.code != FAILED:
        return "broken", f"pytest left with {run.code}: {run.tail.rpartition(chr(10))[2]}"
    green = [test for test in mutant.tests if not any(red == test or red.startswith(f"{test}[") for red in run.red)]
    return ("survived", f"still green: {', '.join(green)}") if green else ("killed", "")


@contextmanager
def applied(tree: Path, mutant: Mutant) -> Iterator[None]:
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def try_one(tree: Path, mutant: Mutant) -> Outcome:
    if why := staleness(tree, mutant):
        return Outcome("stale", why)
    began = time.monotonic()
    with applied(tree, mutant):
        verdict, why = judge(run_tests(tree, mutant.tests), mutant)
    return Outcome(verdict, why, time.monotonic() - began)


def copy_tree(root: Path, to: Path) -> None:
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
        elif source.exists():
            shutil.copy(source, to / name)


def chosen(mutants: Sequence[Mutant], patterns: Sequence[str]) -> list[Mutant]:
    """Rows whose name, or `invariant-N`, matches one of the patterns; all without patterns."""
    names = [(m, (m.name, f"invariant-{m.invariant}")) for m in mutants]
    return [m for m, own in names if not patterns or any(fnmatch(n, p) for n in own for p in patterns)]


def baseline(tree: Path, mutants: Sequence[Mutant]) -> str:
    """What is wrong with the named tests on the unchanged copy; empty when all are green."""
    tests = sorted({test for m in mutants if not staleness(tree, m) for test in m.tests})
    run = run_tests(tree, tests, BASELINE) if tests else Run(0, (), "")
    return "" if run.code == 0 else f"the tests are not green without any mutant:\n{run.tail}"


def report(results: dict[str, Outcome], mutants: Sequence[Mutant]) -> None:
    without = [str(n) for n in INVARIANTS if n not in {m.invariant for m in mutants}]
    bad = sum(outcome.verdict != "killed" for outcome in results.values())
    print(f"{len(results)} mutants, {len(results) - bad} killed, {bad} not")
    print(f"invariants without a mutant: {', '.join(without)}" if without else "every invariant has a mutant")


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """0: all killed; 1: one was not; 2: no such row."""
    parser = argparse.ArgumentParser(description="Switch each mechanism off and expect its tests red.")
    parser.add_argument("names", nargs="*", help="names or patterns of rows, or invariant-N; default: all")
    everything = read_table(root)
    mutants = chosen(everything, parser.parse_args(argv).names)
    if not mutants:
        print("no such mutant; the names are in scripts/mutants.toml", file=sys.stderr)
        return 2
    results: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        copy_tree(root, tree)
        if why := baseline(tree, mutants):
            print(why, file=sys.stderr)
            return 1
        for mutant in mutants:
            outcome = results[mutant.name] = try_one(tree, mutant)
            print(f"{outcome.verdict:9} {outcome.seconds:6.1f} s  {mutant.invariant:2}  {mutant.name}  {outcome.why}")
    report(results, everything)
    return 0 if all(outcome.verdict == "killed" for outcome in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
