"""examples/bolt: before and after differ in three lines."""

import difflib
import re
from pathlib import Path

HERE = Path(__file__).parents[2] / "examples" / "bolt"


def changes() -> list[str]:
    before, after = ((HERE / f"{name}.py").read_text().splitlines() for name in ("before", "after"))
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
    return [line for line in lines if line[0] in "+-" and line[1:].strip()]


def test_three_lines_differ_and_the_page_shows_them() -> None:
    shown = re.findall(r"```diff\n(.*?)```", (HERE / "README.md").read_text(), re.S)[0].splitlines()
    assert changes() == shown
    assert len([line for line in shown if line.startswith("+")]) == 3
