"""What all commands share towards people and machines: one-line errors, exit codes, JSON Lines, the store option.

Rules of this file: stdout is for results, stderr for everything else. Exit codes: 0 done, 1 the answer is no or it
did not work, 2 wrong use. rich is imported only where something is shown to a person.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar

import click

from stateroom.model.errors import InvalidValue, StateroomError, WrongUse

F = TypeVar("F", bound=Callable[..., Any])

_WRONG_USE: Final = (WrongUse, InvalidValue)

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
    """One line for people, on stderr."""
    click.echo(text, err=True)


def fail(error: StateroomError | click.ClickException, *, as_json: bool) -> NoReturn:
    """Print the error as one line and leave with 1 or 2."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        sys.exit(2)
    if isinstance(error, click.ClickException):
        code, detail, status = "wrong_use", _usage(error), 2
    else:
        code, detail, status = code_of(error), str(error), 2 if isinstance(error, _WRONG_USE) else 1
    detail = " ".join(detail.split())
    if as_json:
        print_json({"error": code, "detail": detail})
    else:
        note(f"stateroom: {detail}")
    sys.exit(status)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    more = f" Try: {context.command_path} --help" if context is not None else ""
    return error.format_message() + more
