"""`python -m bench [NAMES]`: exit 0 when every bound holds, 1 when one does not, 2 for a name that is no case."""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

from bench import cases, report, slow_disk
from bench.frame import CASES, Outcome, measure

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
SLOW_PAGE = DOCS / "benchmarks-slow-disk.md"


def load_cases() -> None:
    """Import every file of bench/cases; each registers what it has."""
    for module in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}."):
        import_module(module.name)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure against raw limits and peers.")
    parser.add_argument("names", nargs="*", help="cases, or patterns of them; default: all")
    parser.add_argument("--rounds", type=int, help="rounds that count; default: what the case says")
    parser.add_argument("--disk", type=int, metavar="US", help="with a sync that takes US microseconds longer, for all")
    parser.add_argument(
        "--write", action="store_true", help="bring docs/benchmarks.md up to date (--disk: its own page)"
    )
    parser.add_argument("--list", action="store_true", help="only list the cases")
    arguments = parser.parse_args(argv)
    slow = slow_disk.VARIABLE in os.environ
    if arguments.disk and not slow:
        return slow_disk.run_again(arguments.disk, list(sys.argv[1:] if argv is None else argv))
    load_cases()
    patterns = arguments.names or ["*"]
    chosen = [case for name, case in sorted(CASES.items()) if any(fnmatch(name, pattern) for pattern in patterns)]
    if unknown := [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in CASES)]:
        print(f"no such case: {', '.join(unknown)}; there are {', '.join(sorted(CASES))}", file=sys.stderr)
        return 2
    if arguments.list:
        print(*[f"{case.name:16} {case.title}" for case in chosen], sep="\n")
        return 0
    outcomes: list[Outcome] = []
    for case in chosen:
        outcomes.append(measure(case, arguments.rounds))
        print(report.text(outcomes[-1]) + "\n", flush=True)
    if arguments.write:
        report.write(SLOW_PAGE if slow else PAGE, outcomes)
    return 1 if any(outcome.broken for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
