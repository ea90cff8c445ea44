"""What all commands share towards people and machines: one-line errors, exit codes, JSON Lines, the store option.

Rules of this file: stdout is for results, stderr for everything else. Exit codes: 0 done, 1 the answer is no or it
did not work, 2 wrong use. rich is imported only where something is shown to a person.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from stateroom.model.errors import InvalidCondition, InvalidCursor, InvalidValue, StateroomError, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

_WRONG_USE: Final = (WrongUse, InvalidValue, InvalidCondition, InvalidCursor)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON for machines: one object a line where there are many."
)
store_option: Callable[[F], F] = click.option(
    "--store", metavar="URL", help="Where state is kept. Default: $STATEROOM_STORE, else sqlite:///stateroom.db."
)


def code_of(error: Exception) -> str:
    """An error's stable name for machines: `InvalidId` is `invalid_id`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON line on stdout."""
    import msgspec

    click.echo(msgspec.json.encode(value))


def note(text: str) -> None:
    """One line for people, on stderr; names in it may be anybody's text."""
    click.echo(printable(text), err=True)


def fail(error: StateroomError | click.ClickException, *, as_json: bool) -> NoReturn:
    """Print the error as one line and leave with 1 or 2."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        sys.exit(2)
    if isinstance(error, click.ClickException):
        code, detail, status = "wrong_use", _usage(error), 2
    else:
        code, detail, status = code_of(error), str(error), 2 if isinstance(error, _WRONG_USE) else 1
    detail = " ".join(detail.split()).encode(errors="backslashreplace").decode()  # arguments may be any bytes
    if as_json:
        print_json({"error": code, "detail": detail})
    else:
        note(f"stateroom: {detail}")
    sys.exit(status)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    more = f" Try: {context.command_path} --help" if context is not None else ""
    return error.format_message() + more


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people on stdout; beyond a terminal it is as wide as it needs to be."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    console().print(table)


def console() -> Console:
    """rich on stdout, without markup: what people wrote is never read as instructions to the terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    return Console(markup=False, highlight=False, emoji=False, width=width)


def printable(text: str) -> str:
    """Text that a terminal takes as text: control characters (escape sequences begin with one) are replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def moment(seconds: float | None) -> str:
    """A time as people here read it: local, to the second."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"
