"""How datastore commands show items: tables for people, one object a line for machines.

Rules of this file: values go out as text, never as markup or escape sequences. Machines get every digit and the items
as they are; what is not an item (a cursor, a hint) goes to stderr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from stateroom.cli.output import console, note, print_table, printable
from stateroom.model.codec import encode

WIDTH: Final = 48  # of a cell when there are many items
COLUMNS: Final = 8  # of a table; the rest of an item is seen with `get`
Item = Mapping[str, Any]


def print_item(item: Item, *, as_json: bool) -> None:
    """One item: its attributes below each other."""
    if as_json:
        print_line(item)
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in item.items():
        table.add_row(printable(name), printable(text(value)))
    console().print(table)


def print_items(items: Sequence[Item], *, as_json: bool, key: str | None = None) -> None:
    """Many items: one a row, the key first."""
    if as_json:
        for item in items:
            print_line(item)
        return
    names = list(dict.fromkeys(([key] if key else []) + [name for item in items for name in item]))
    if len(names) > COLUMNS:
        note(f"{len(names) - COLUMNS} more attributes; `stateroom datastore get` or --json shows them")
    shown = names[:COLUMNS]
    print_table(
        [printable(name) for name in shown],
        [[cut(text(item[name])) if name in item else "" for name in shown] for item in items],
    )


def print_line(item: Item) -> None:
    """One item as one line of JSON, decimals exact."""
    click.echo(encode(item))


def tell_cursor(cursor: str | None, *, as_json: bool) -> None:
    """That there is more, and how to go on; on stderr."""
    if cursor is None:
        return
    note(encode({"next_cursor": cursor}).decode() if as_json else f"there is more: --cursor {cursor} or --all")


def tell(words: str, values: Mapping[str, Any], *, as_json: bool) -> None:
    """What was done."""
    if as_json:
        print_line(values)
    else:
        click.echo(words)


def text(value: Any) -> str:
    """A value for a cell: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else encode(value).decode()


def cut(value: str) -> str:
    """A cell's text on one line and not too wide."""
    flat = " ".join(value.split())
    return flat if len(flat) <= WIDTH else flat[: WIDTH - 1] + "…"
