"""The engines that the conformance suite runs over here, and the table of promises that it writes into docs/engines.md.

Rules of this file: what an engine declares decides what it is asked (`select`); a promise that was asked and did not
pass is never a yes. `make promises` runs the suite and writes the table; tests/docs holds the page to what is asked, so
that a table which says yes stands for tests that CI runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest

from stateroom.engines.conformance import Clock, select
from stateroom.engines.dynamodb import DynamoEngine
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.port import Capabilities
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.slack_hosted import SlackHostedEngine
from stateroom.engines.sqlite import SqliteEngine
from support import objects
from support.reduced_engine import Reduced

# Modules of the suite, as headings.
SUITE: Final[Mapping[str, str]] = {
    "items": "Items",
    "pages": "Pages",
    "walks": "Whole walks",
    "conditions": "Conditions",
    "expiry": "Expiry",
    "changes": "The log of changes",
    "logs": "Streams, such as conversations",
    "lease": "Leases",
    "races": "Races",
    "crash": "Crashes",
    "freezing": "Moves",
    "wakes": "Waking",
    "undeclared": "What is not declared",
}
_OBJECTS: Final = ObjectsEngine("s3://bucket", Clock()).capabilities
ENGINES: Final[Mapping[str, Capabilities]] = {
    "postgresql": PostgresEngine.capabilities,
    "pooled": replace(PostgresEngine.capabilities, wakes=False),  # PostgreSQL behind PgBouncer in transaction mode
    "dynamodb": DynamoEngine.capabilities,
    "slack": SlackHostedEngine.capabilities,
    "memory": MemoryEngine.capabilities,
    "sqlite": SqliteEngine.capabilities,
    "reduced": Reduced.capabilities,
    "file": ObjectsEngine("file:///tmp", Clock()).capabilities,
    **dict.fromkeys(objects.SERVERS, _OBJECTS),
}
# One S3 and files run the whole suite; what tells the other stores of objects apart is races, crashes and logs.
PARTLY: Final = {"moto", "azure", "gcs"}
APART: Final = {"races", "crash", "logs"}
COLUMNS: Final[Mapping[str, str]] = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "pooled": "behind PgBouncer",
    "dynamodb": "dynamodb",
    "slack": "slack",
    "file": "file",
    "seaweedfs": "s3",
    "azure": "az",
    "gcs": "gs",
}
Held = Mapping[str, set[str]]
_MARKS: Final = ("<!-- promises, written by `make promises` -->\n", "<!-- end of promises -->\n")


def over(function: Callable[..., Any]) -> list[str]:
    """The engines that a promise of the suite is asked of."""
    names = select(function, ENGINES)
    partly = function.__module__.rpartition(".")[2] in APART
    return [name for name in names if partly or name not in PARTLY]


def promises() -> Iterator[tuple[str, Callable[..., Any]]]:
    """`(module, test)`, in the order of the suite."""
    for module in SUITE:
        found = import_module(f"stateroom.engines.conformance.{module}")
        for name, value in vars(found).items():
            if name.startswith("test_") and value.__module__ == found.__name__:
                yield module, value


def asked() -> Held:
    """What every engine is asked, as if all of it held."""
    return {test.__name__: set(over(test)) for _, test in promises()}


def table(held: Held) -> str:
    """The promises by engine, as Markdown."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", f"| --- {'| --- ' * len(COLUMNS)}|"]
    last = ""
    for module, test in promises():
        if module != last:
            lines.append(f"| **{SUITE[module]}** {'| ' * len(COLUMNS)}|")
            last = module
        words = test.__name__.removeprefix("test_").replace("_", " ")
        cells = [_cell(name, test, held.get(test.__name__, set())) for name in COLUMNS]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(name: str, test: Callable[..., Any], held: set[str]) -> str:
    if name in held:
        return "yes"
    return "–" if name not in select(test, ENGINES) else "·"


def written(page: str, held: Held) -> str:
    """The page with this table in its place."""
    before, begun, rest = page.partition(_MARKS[0])
    _, ended, after = rest.partition(_MARKS[1])
    assert begun, "docs/engines.md lacks the beginning of the table"
    assert ended, "docs/engines.md lacks the end of the table"
    return f"{before}{_MARKS[0]}\n{table(held)}\n{_MARKS[1]}{after}"


class Recorder:
    """A plugin of pytest: notes what passed, and writes the page when all did."""

    def __init__(self, page: Path) -> None:
        self._page = page
        self._passed: dict[str, set[str]] = {}
        self._failed: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = re.search(r"::(test_\w+)\[([a-z]+)", report.nodeid)
        if found is None or (report.passed and report.when != "call"):
            return
        into = self._passed if report.passed else self._failed  # skipped is not held, either
        into.setdefault(found[1], set()).add(found[2])

    def pytest_sessionfinish(self) -> None:
        held = {name: engines - self._failed.get(name, set()) for name, engines in self._passed.items()}
        self._page.write_text(written(self._page.read_text(encoding="utf-8"), held), encoding="utf-8")
