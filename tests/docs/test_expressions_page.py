"""docs/expressions.md: its examples run and print what it says, its limits and functions are those of the code."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from stateroom import InvalidCondition
from stateroom.engines.sqlite_conditions import where
from stateroom.expr import check, parser
from stateroom.expr.parser import parse
from stateroom.expr.reserved import RESERVED
from stateroom.expr.values import TYPE_CODES
from stateroom.model.codec import DEPTH

PAGE = (Path(__file__).parents[2] / "docs" / "expressions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_print_what_the_page_says() -> None:
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for example in EXAMPLES:
            exec(compile(example, "expressions.md", "exec"), names)
    promised = [line for example in EXAMPLES for line in re.findall(r"print\(.*\)  # (.*)", example)]
    assert len(promised) >= 11
    assert printed.getvalue().splitlines() == promised


@pytest.mark.parametrize(
    "number",
    [
        f"{check.MAX_OPERATORS} operators",
        f"{check.MAX_OPTIONS} operands",
        f"{check.MAX_DEPTH} levels",
        f"{parser.MAX_TEXT:,}\n  characters",
        f"{DEPTH} steps",
        f"{check.MAX_PLACE:,}",
        f"{len(RESERVED)} reserved words",
    ],
)
def test_every_limit_is_on_the_page(number: str) -> None:
    assert number in PAGE


def test_every_function_and_type_is_on_the_page() -> None:
    functions = ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"]
    assert all(f"`{name}(a" in PAGE for name in functions)
    with pytest.raises(InvalidCondition) as caught:
        parse("nothing(a)")
    assert all(name in str(caught.value) for name in functions)
    told = re.search(r"^\| `attribute_type.*$", PAGE, re.MULTILINE)
    assert told is not None
    assert all(re.search(rf"\b{code}\b", told[0]) for code in TYPE_CODES)


def test_the_forms_are_where_the_page_says() -> None:
    root = Path(__file__).parents[2] / "src" / "stateroom"
    for file, function in re.findall(r"^\| `(\S+\.py)` `(\w+)\(", PAGE, re.MULTILINE):
        assert f"\ndef {function}(" in (root / file).read_text(encoding="utf-8")
    assert callable(where)
