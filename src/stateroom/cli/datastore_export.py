"""`stateroom datastore export`: items as JSON Lines.

Rules of this file: memory does not grow with the datastore. A file appears under its name when it is whole and durable;
until then it is FILE.part, which --resume cuts back to what is written down as done and goes on with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

import click

from stateroom.cli import datastore_argument as argument
from stateroom.cli.datastore_argument import FILTER, Request, Source, common, filtered, split, words
from stateroom.cli.datastore_progress import progress
from stateroom.cli.datastore_resume import (
    SUFFIX,
    Appended,
    Checkpoints,
    FileFailed,
    State,
    check_files,
    sync_folder,
    work_of,
)
from stateroom.cli.datastore_shown import tell
from stateroom.cli.datastore_target import Target, place_of_store, use
from stateroom.cli.datastore_where import condition_of
from stateroom.cli.output import note
from stateroom.expr.tree import Condition
from stateroom.model.codec import encode
from stateroom.model.errors import WrongUse

PART: Final = ".part"
PAGE_BYTES: Final = 1024 * 1024  # what a page is meant to hold
MOST: Final = 1000  # items of a page
FIRST: Final = 50


@dataclass(frozen=True)
class Options:
    """How an export into a file is to be done."""

    output: Path  # a file that is ordinary or not there yet
    resume: bool = False
    state: Path | None = None

    @property
    def part(self) -> Path:
        """The file until it is whole."""
        return self.output.with_name(f"{self.output.name}{PART}")

    @property
    def state_path(self) -> Path:
        """Where the state is kept: beside the output, unless said otherwise."""
        return self.state or self.output.with_name(f"{self.output.name}{SUFFIX}")


class Out(Protocol):
    """Where lines go."""

    def write(self, data: bytes) -> None:
        """One page of lines."""


class Stream:
    """stdout, a pipe, a device: whoever reads it keeps it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path or Path("stdout")
        try:
            self._out = sys.stdout.buffer if path is None else path.open("wb", buffering=0)
        except OSError as error:
            raise FileFailed(self._path, error) from None
        self._close = path is not None

    def write(self, data: bytes) -> None:
        """Pass it on."""
        try:
            self._out.write(data)
            self._out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            if not self._close:  # else the rest of it is tried once more at the end of the process
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise FileFailed(self._path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._close:
            self._out.close()


@click.command("export")
@words("[NAME]")
@filtered
@click.option("--output", "-o", metavar="FILE", default="-", help="Where to write. Default: stdout.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted export into the same file stands.")
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), help="Where to keep how far it is. [FILE.resume]"
)
@common
def export_items(
    *,
    words: tuple[str, ...],
    where: str | None,
    output: str,
    resume: bool,
    state: Path | None,
    expression: str | None,
    names: Any,
    values: Any,
    **options: Any,
) -> None:
    """Items as JSON Lines, one a line by key, as `import` and the Slack CLI read them: all, or those of a condition.

    A file appears when it is whole. An export that was interrupted goes on with --resume.

    \b
    stateroom datastore export tickets --output tickets.jsonl
    """
    source, as_json, flags = split(options)
    flags |= {"expression": expression, "expression_attributes": names, "expression_values": values}
    asked = argument.request(words, FILTER, **flags)
    run_export(source, asked, where, output, (resume, state), as_json=as_json)


def run_export(
    source: Source,
    asked: Request,
    where: str | None,
    output: str,
    going_on: tuple[bool, Path | None] = (False, None),
    *,
    as_json: bool,
) -> None:
    """Do it, and tell what was written unless that went to stdout. `going_on`: --resume and --state."""
    path = Path(output).resolve()  # a link stays a link
    ordinary = output != "-" and (path.is_file() or not path.exists())
    if not ordinary and any(going_on):
        raise WrongUse("a stream has no place to go on from; give --output FILE")
    condition = condition_of(asked, where)

    async def job(target: Target) -> int:
        if ordinary:
            return await to_file(target, condition, Options(path, *going_on))
        with ExitStack() as stack:
            out = stack.enter_context(Stream(None if output == "-" else path))
            total = await total_of(target, condition)
            advance = stack.enter_context(progress(f"exporting {target.name}", total))
            return await write_items(target, condition, out, State(work=""), advance)

    done = use(source, asked, job)
    if output != "-":
        tell(
            f"exported {done} to {output}",
            {"datastore": asked["datastore"], "exported": done, "output": output},
            as_json=as_json,
        )


async def to_file(target: Target, condition: Condition | None, options: Options) -> int:
    """Into FILE.part, then under its name; how many items."""
    check_files(options.output, options.part, options.state_path)
    work = work_of("export", place_of_store(target.store.url), target.name, target.team, condition)
    checkpoints = Checkpoints(options.state_path, work, must=options.resume or options.state is not None)
    state = where_it_stands(options.part, checkpoints) if options.resume else State(work=work)
    checkpoints.begin(state)  # before the file is touched: what an older one says is void from here on
    with ExitStack() as stack:
        out = stack.enter_context(Appended(options.part, state.place))

        def on_page(items: int) -> None:
            advance(items)
            if checkpoints.due:
                out.sync()
                checkpoints.save(state)

        total = await total_of(target, condition)
        advance = stack.enter_context(progress(f"exporting {target.name}", total, state.done))
        done = await write_items(target, condition, out, state, on_page)
        out.sync()
    try:
        options.part.replace(options.output)
        sync_folder(options.output)
    except OSError as error:
        raise FileFailed(options.output, error) from None
    checkpoints.finish()
    return done


async def write_items(
    target: Target, condition: Condition | None, out: Out, state: State, on_page: Callable[[int], None]
) -> int:
    """All pages behind the state's cursor; a page is about PAGE_BYTES, however large the items are."""
    limit, reader = FIRST, target.read
    while True:
        page = await reader.query(condition, limit=limit, cursor=state.cursor)
        data = b"".join([encode(item) + b"\n" for item in page.items])
        out.write(data)
        state.place, state.done, state.cursor = state.place + len(data), state.done + len(page.items), page.cursor
        on_page(len(page.items))
        if page.cursor is None:
            return state.done
        limit = max(1, min(MOST, 2 * limit, PAGE_BYTES * len(page.items) // max(1, len(data))))


def where_it_stands(part: Path, checkpoints: Checkpoints) -> State:
    """The state to go on from; a new one when nothing was left behind that fits."""
    state = checkpoints.load()
    if state is None:
        return State(work=checkpoints.work)
    if not part.exists() or part.stat().st_size < state.place:
        note(f"{part.name} is not what was written; beginning anew")
        return State(work=checkpoints.work)
    return state


async def total_of(target: Target, condition: Condition | None) -> int | None:
    """How many there are, when somebody looks at the bar and it is quick to tell."""
    return await target.read.count() if condition is None and sys.stderr.isatty() else None
