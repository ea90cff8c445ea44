"""The reference pages name everything that the program has. Each test reads the program and the page, and compares."""

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

import stateroom
from stateroom.cli import main
from stateroom.cli.settings import SETTINGS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="session")
def gen_docs(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("gen_docs")


def sections(page: str) -> dict[str, str]:
    """Heading to the text below it, up to the next heading."""
    parts = re.split(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def command_tree(command: click.Command, path: str = "stateroom") -> dict[str, click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None, f"{path} {name} is listed and not there"
            found |= command_tree(sub, f"{path} {name}")
    return found


def test_every_command_and_option_is_documented() -> None:
    page, tree = sections("cli.md"), command_tree(main)
    assert len(tree) > 1
    assert set(tree) - set(page) == set()
    missing = [
        f"{path} {name}"
        for path, command in tree.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        for name in (*option.opts, *option.secondary_opts)
        if not re.search(rf"{re.escape(name)}(?![\w-])", page[path])
    ]
    assert missing == []


def test_no_command_is_documented_that_is_gone() -> None:
    assert {name for name in sections("cli.md") if name.startswith("stateroom")} == set(command_tree(main))


def test_every_setting_is_documented_with_its_default() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for line in page.splitlines() if (row := re.findall(r"(?:^|(?<=\| ))([^|]+?) \|", line))}
    documented = {name.strip("|` "): rest for name, rest in rows.items()}
    for setting in SETTINGS:
        assert setting.help.strip()
        assert setting.name in documented
        assert setting.default in documented[setting.name][0].strip("`")
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_secrets_are_marked_and_have_no_default() -> None:
    named = [s for s in SETTINGS if s.name.endswith(("_TOKEN", "_SECRET", "_KEYS"))]
    assert named
    assert [s.name for s in named if not s.secret or s.default] == []


def test_every_public_name_is_documented_and_there() -> None:
    headings = {heading.strip("`") for heading in sections("api.md")}
    assert set(stateroom.__all__) - headings == set()
    assert [name for name in stateroom.__all__ if getattr(stateroom, name, None) is None] == []


def test_the_pages_are_what_the_program_would_write_now(gen_docs: ModuleType) -> None:
    assert gen_docs.stale() == [], "make reference"


def test_a_page_that_drifted_is_noticed(gen_docs: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs" / "findings").mkdir(parents=True)
    for page, make in gen_docs.PAGES.items():
        (tmp_path / page).write_text(make(), encoding="utf-8")
    assert gen_docs.stale(tmp_path) == []
    (tmp_path / "docs/settings.md").write_text("old", encoding="utf-8")
    assert gen_docs.stale(tmp_path) == ["docs/settings.md"]


def test_a_command_without_help_text_is_refused(gen_docs: ModuleType) -> None:
    option = click.Option(["--port"])
    with pytest.raises(gen_docs.MissingText, match="--port has no help text"):
        gen_docs.option_row("stateroom dev", option, click.Context(main))
