"""What the README shows, works: its Python runs, its commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from stateroom.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in FENCE.findall(README) if name == language]


def programs() -> list[str]:
    """Examples that run by themselves; tests among them are run by tests/pytest_plugin."""
    return [text for text in blocks("python") if "def test_" not in text]


def shell_commands() -> list[str]:
    """Lines of shell blocks, and code spans in running text that begin with a command of ours."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return lines + re.findall(r"`((?:make|stateroom) [^`]+)`", FENCE.sub("", README))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def is_known(command: str) -> bool:
    """A make target, or words that lead to a command of `stateroom`; options and values are not looked at."""
    program, *words = command.split()
    if program == "make":
        return bool(words) and words[0] in make_targets()
    found: click.Command | None = main
    for word in words:
        if word.startswith("-") or not isinstance(found, click.Group):
            break
        found = found.get_command(click.Context(found), word)
    return program == "stateroom" and found is not None


@pytest.mark.service
@pytest.mark.parametrize("number", range(len(programs())))
def test_the_python_example_runs(number: int, tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text(programs()[number], encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("STATEROOM_", "SLACK_"))}
    run = subprocess.run(
        [sys.executable, example], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "status='approved'" in run.stdout
    assert run.stdout.endswith("1 Who owns T-1?\n")  # one entry, though the turn was appended twice
    assert (tmp_path / "state.db").exists()


def test_there_is_an_example_of_readable_length() -> None:
    (example,) = programs()
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 30


def test_the_two_commands_are_the_first_ones() -> None:
    assert [block.strip() for block in blocks("sh")][:2] == ["make demo", "make test"]


@pytest.mark.parametrize("command", shell_commands())
def test_each_command_in_the_readme_exists(command: str) -> None:
    assert is_known(command)


@pytest.mark.parametrize("command", ["make coffee", "make", "stateroom fly", "rm -rf /"])
def test_a_command_that_is_not_ours_is_noticed(command: str) -> None:
    assert not is_known(command)


def test_the_help_of_make_lists_every_target_that_has_a_text() -> None:
    assert {"install", "demo", "test", "check", "bench", "mutants", "soak", "clean"} <= make_targets()
