"""The bar of an export or import: on stderr, only on a terminal.

Rules of this file: nothing of it reaches stdout or a log; rich is imported only when somebody looks.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from stateroom.cli.output import printable

Advance = Callable[[int], None]


@contextlib.contextmanager
def progress(title: str, total: int | None, done: int = 0, *, in_bytes: bool = False) -> Iterator[Advance]:
    """A function to be told how far it came since. `total` None: how much there is, is not known."""
    if not sys.stderr.isatty():
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(title), total=total or None, completed=done)
        yield lambda amount: bar.advance(task, amount)
