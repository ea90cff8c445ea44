"""docs/slack-parity.md promises nothing that no test holds."""

import re
from pathlib import Path

from support.tables import each

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "slack-parity.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| behaviour", "| ---"))]
BASIS = re.compile(r"(documented|inferred|our choice)( for [^;:(]+)?( \([^)]+\))?(: [^;]+)?")


def emulator_tests() -> set[str]:
    sources = (ROOT / "tests" / "emulator").glob("test_*.py")
    return {name for file in sources for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))}


TESTS = emulator_tests()


@each("row", ROWS)
def test_each_behaviour_says_its_basis_and_names_a_test_that_is_there(row: str) -> None:
    _, behaviour, basis, tests, _ = row.split("|")
    assert behaviour.strip()
    assert all(BASIS.fullmatch(part.strip()) for part in basis.split(";")), basis
    named = re.findall(r"`(test_\w+)`", tests)
    assert named
    assert set(named) <= TESTS


def test_the_page_says_that_nothing_was_compared_with_slack() -> None:
    assert "Nothing here was compared with a live Slack workspace, and nothing here claims to be the same." in PAGE
