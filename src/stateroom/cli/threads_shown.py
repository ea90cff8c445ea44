"""How `stateroom threads` shows turns, imports and their progress to people.

Rules of this file: words go to stdout as text, never as markup or escape sequences; progress goes to stderr, and only
to a terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

import click
import msgspec

from stateroom.cli.output import console, moment, note, print_json, printable
from stateroom.layers.threads import Entry, Report

# Parts of pydantic-ai's messages, and who says them.
WHO: Final = {
    "user-prompt": "person",
    "text": "assistant",
    "system-prompt": "system",
    "thinking": "assistant thinks",
    "tool-call": "assistant calls",
    "tool-return": "answer of",
    "retry-prompt": "try again",
}


def print_entry(entry: Entry) -> None:
    """One turn, for people."""
    from rich.text import Text

    out = console()
    by = f"  {entry.author}" if entry.author else ""
    out.print(Text(f"#{entry.number}  {moment(entry.at)}{by}", style="bold"))
    if entry.tombstone:
        out.print(Text("  (deleted)", style="dim"))
    for message in entry.messages:
        for part in message.get("parts", ()):
            who, said = said_by(part)
            out.print(Text.assemble((f"  {who}: ", "cyan"), printable(said)))


def said_by(part: Mapping[str, Any]) -> tuple[str, str]:
    """Who says a part of a pydantic-ai message, and what, in short where it is not text."""
    kind, content = str(part.get("part_kind", "part")), part.get("content", part.get("args", ""))
    who = WHO.get(kind, kind)
    if "tool_name" in part:
        who = f"{who} {part['tool_name']}"
    if isinstance(content, list):  # a person's text with files beside it
        content = " ".join(piece if isinstance(piece, str) else f"[{_kind_of(piece)}]" for piece in content)
    return printable(who), content if isinstance(content, str) else msgspec.json.encode(content).decode()


def _kind_of(piece: object) -> str:
    return str(piece.get("kind", "file")) if isinstance(piece, dict) else "file"


def tell(report: Report, *, as_json: bool) -> None:
    """What an import did; what it refused goes to stderr, unless it is for machines."""
    if as_json:
        print_json({**report._asdict(), "bad": [bad._asdict() for bad in report.bad]})
        return
    for bad in report.bad:
        note(f"{bad.where}: {bad.reason}")
    click.echo(
        f"imported {report.imported}, there before {report.repeated}, too old {report.expired}, bad {len(report.bad)}"
    )


@contextlib.contextmanager
def progress(title: str, file: IO[bytes] | None = None) -> Iterator[Iterable[bytes]]:
    """A bar on stderr while the lines of `file` are read; a spinner without its size; nothing for machines."""
    lines: Iterable[bytes] = file or ()
    if not sys.stderr.isatty():
        yield lines
        return
    from rich.console import Console
    from rich.progress import Progress

    size = os.fstat(file.fileno()).st_size if file is not None and file.seekable() else 0
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(title), total=size or None)

        def counted() -> Iterator[bytes]:
            for line in lines:
                bar.advance(task, len(line))
                yield line

        yield counted()
