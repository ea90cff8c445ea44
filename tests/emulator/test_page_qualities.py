"""The fifteen qualities of the page: each has tests in a browser, and the documentation names where they are."""

import re
from pathlib import Path

HERE = Path(__file__).parent / "page"
DOCS = Path(__file__).parents[2] / "docs" / "emulator.md"


def test_each_quality_has_tests_where_the_documentation_says() -> None:
    found: dict[int, set[str]] = {}
    for file in HERE.glob("test_*.py"):
        for number in re.findall(r"^(?:async )?def test_q(\d\d)_", file.read_text(), re.MULTILINE):
            found.setdefault(int(number), set()).add(file.name)
    rows = re.findall(r"^\| (\d+) [^|]*\| `test_q(\d\d)_` in ([^|;]*)", DOCS.read_text(), re.MULTILINE)
    said = {int(number): set(re.findall(r"`(test_\w+\.py)`", files)) for number, mark, files in rows}
    assert said == found
    assert sorted(found) == list(range(1, 16))
