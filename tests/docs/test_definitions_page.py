"""docs/definitions.md: its examples run and print what it says, and it names every type and option."""

import contextlib
import inspect
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

import stateroom as sr
from stateroom.model import annotations
from stateroom.model.attributes import REFUSED, TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "definitions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = {row[1]: row for row in re.findall(r"^\| `(\S+?)`.*?\| `(\S+?)`.*?\| (.*) \|$", PAGE, re.MULTILINE)}


def test_the_examples_print_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)  # pydantic looks annotations up where a class was made
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for example in EXAMPLES:
            exec(compile(example, "definitions.md", "exec"), vars(module))
    promised = [line for example in EXAMPLES for line in re.findall(r"print\(.*\)  # (.*)", example)]
    assert len(promised) >= 3
    assert printed.getvalue().splitlines() == promised


def test_every_type_is_on_the_page_and_undocumented_ones_say_so() -> None:
    assert set(TYPES) <= set(re.findall(r"`([\w#/]+)`", PAGE))
    told = {name for name, row in ROWS.items() if row[2].endswith("not documented")}
    assert told == {name for name, kind in TYPES.items() if not kind.documented}
    assert all(f"`{name}`" in PAGE for name in REFUSED)


def test_every_annotation_is_on_the_page_with_its_type() -> None:
    names = {name for name in sr.__all__ if isinstance(getattr(annotations, name, None), type(annotations.UserId))}
    assert len(names) >= 14
    for name in names:
        slack = next(str(mark) for mark in get_args(getattr(sr, name))[1:])
        assert ROWS[slack][0] == f"sr.{name}"


def test_every_option_of_a_class_is_on_the_page() -> None:
    options = inspect.signature(sr.Datastore.__pydantic_init_subclass__).parameters
    named = [o for o, p in options.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    assert len(named) >= 5
    assert all(
        re.search(rf"^\| `{option}[`=]", PAGE, re.MULTILINE) for option in [*named, "__indexes__", "__lifecycle__"]
    )
