"""How long work shows people that it goes on: one line on stderr that is written over.

Rules of this file: nothing is shown to machines (stderr is no terminal), and nothing stays behind.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from stateroom.cli.output import printable


@contextlib.contextmanager
def live(title: str) -> Iterator[Callable[[str], None]]:
    """A spinner with `title`; what is given to the function stands behind it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True, markup=False, highlight=False, emoji=False).status(printable(title)) as shown:
        yield lambda text: shown.update(f"{printable(title)} {printable(text)}")


@contextlib.contextmanager
def bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar with `title`; what is given to the function is added to it. `total` None: nobody knows."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, markup=False, highlight=False, emoji=False), transient=True) as shown:
        task = shown.add_task(printable(title), total=total)
        yield lambda more: shown.advance(task, more)
