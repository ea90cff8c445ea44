"""docs/library.md: its examples are one program, and it runs."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


def program() -> str:
    """The first block opens the store; the others go on inside of it."""
    first, *others = BLOCKS
    inside = indent("".join([*others, "print(await tickets.count())\n"]), " " * 4)
    return f"import asyncio\nasync def main():\n{indent(first + inside, ' ' * 4)}\nasyncio.run(main())\n"


@pytest.mark.service
def test_the_examples_run_in_their_order(tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text(program(), encoding="utf-8")
    run = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "49\n"


@pytest.mark.service
def test_the_example_without_await_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```python sync\n(.*?)^```$", PAGE, re.M | re.S)
    ticket = BLOCKS[0].split("async with")[0]
    example = tmp_path / "example.py"
    example.write_text(f"{ticket}\n{block}", encoding="utf-8")
    run = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "['T-12']\n"), run.stderr


def test_there_are_examples() -> None:
    assert len(BLOCKS) > 8
    compile(program(), "library.md", "exec")
