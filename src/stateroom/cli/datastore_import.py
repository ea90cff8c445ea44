"""`stateroom datastore import`: items from JSON Lines.

Rules of this file: what is written down as done is durable in the store, so a kill at any instant loses nothing; an
item is put under its own key, so doing some of it twice doubles nothing. Memory does not grow with the input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import click

from stateroom.cli import datastore_argument as argument
from stateroom.cli.datastore_argument import Request, Source, common, split
from stateroom.cli.datastore_lines import BadLine, Line, Lines, item_of, reject
from stateroom.cli.datastore_loader import Loader
from stateroom.cli.datastore_progress import Advance, progress
from stateroom.cli.datastore_resume import HEAD, SUFFIX, Appended, Checkpoints, State, check_files, head_of, work_of
from stateroom.cli.datastore_shown import tell
from stateroom.cli.datastore_target import THERE, Target, place_of_store, use
from stateroom.cli.output import note
from stateroom.model.errors import StateroomError, WrongUse

SHOWN: Final = 20  # bad lines that are told on stderr when there is no file for them


class InputFailed(StateroomError):
    """The input cannot be read, or not to its end."""


@dataclass(frozen=True)
class Options:
    """How an import is to be done."""

    source: str
    rejects: Path | None = None
    resume: bool = False
    state: Path | None = None
    if_absent: bool = False
    any_state: bool = False

    @property
    def state_path(self) -> Path | None:
        """Where the state is kept: beside the input, unless said otherwise."""
        if self.state is not None:
            return self.state
        return None if self.source == "-" else Path(f"{self.source}{SUFFIX}")


@dataclass
class Run:
    """One import under way: what was settled, and where it is written down."""

    options: Options
    target: Target
    key: str
    state: State
    checkpoints: Checkpoints
    rejects: Appended | None
    advance: Advance
    told: int = 0

    def settled(self, lines: list[tuple[Line, dict[str, Any] | None, str | None]]) -> None:
        """A batch is durable in the store."""
        state = self.state
        before = state.place
        for line, item, refusal in lines:
            if refusal is not None and refusal != THERE:
                state.bad += 1
                self.refuse(line, refusal)
            elif item is not None:
                state.done += 1
                state.there += refusal == THERE
                state.last_id = item[self.key]
            state.place, state.line = line.end, line.number
        self.advance(state.place - before)
        if self.checkpoints.due:
            self.checkpoint()

    def refuse(self, line: Line, reason: str) -> None:
        """Collect a bad line, or tell the first of them."""
        if self.rejects is not None:
            self.rejects.write(reject(line, reason))
            return
        self.told += 1
        if self.told <= SHOWN:
            note(f"line {line.number}: {reason}")
        elif self.told == SHOWN + 1:
            note("and more; --rejects FILE collects all bad lines with their reasons")

    def checkpoint(self) -> None:
        """Write down where it stands."""
        if self.rejects is not None:
            self.rejects.sync()
            self.state.bad_bytes = self.rejects.size
        self.checkpoints.save(self.state)

    async def write(self, items: list[dict[str, Any]]) -> Mapping[int, str]:
        """A batch into the store; why items were refused, by position."""
        return await (self.target.put_new(items) if self.options.if_absent else self.target.put_all(items))


@click.command("import")
@click.argument("words", nargs=-1, metavar="['{JSON}' | NAME] [FILE|-]")
@click.option("--from-file", metavar="FILE", help="The input; - for stdin.")
@click.option(
    "--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Collect bad lines there, with reasons."
)
@click.option("--resume", is_flag=True, help="Go on where an interrupted import of the same input stands.")
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), help="Where to keep how far it is. [FILE.resume]"
)
@click.option("--if-absent", is_flag=True, help="Leave items that are there as they are.")
@click.option("--any-state", is_flag=True, help="Take items in any state of their lifecycle: they were in it before.")
@common
def import_items(
    *,
    words: tuple[str, ...],
    from_file: str | None,
    rejects: Path | None,
    resume: bool,
    state: Path | None,
    if_absent: bool,
    any_state: bool,
    **options: Any,
) -> None:
    """Put items from JSON Lines, one a line, as `export` and the Slack CLI write them. Importing again changes nothing.

    Bad lines are told or collected with their reasons, the others go on; the exit code is then 1. An import that was
    interrupted goes on with --resume.

    \b
    stateroom datastore import tickets tickets.jsonl --rejects bad.jsonl
    """
    source, as_json, flags = split(options)
    if from_file is None and len(words) > (0 if options["datastore"] else 1):
        *rest, from_file = words
        words = tuple(rest)
    asked = argument.request(words, (), **flags)
    if from_file is None:
        raise WrongUse("import what? Give a file, or - for stdin")
    chosen = Options(from_file, rejects, resume, state, if_absent, any_state)
    run_import(source, asked, chosen, as_json=as_json)


def run_import(source: Source, asked: Request, options: Options, *, as_json: bool) -> None:
    """Do it, tell what was done, and leave with 1 when there were bad lines."""
    if options.resume and options.state_path is None:
        raise WrongUse("stdin has no place to go on from by itself; add --state FILE to --resume")
    if options.source != "-" and (not os.path.exists(options.source) or os.path.isdir(options.source)):
        raise WrongUse(f"there is no file {options.source}; give one, or - for stdin")

    given = Path(options.source)
    check_files(given if given.is_file() else None, options.rejects, options.state_path)

    with opened(options.source) as file:

        async def job(target: Target) -> Run:
            return await load(target, file, options)

        run = use(source, asked, job, makes=True, any_state=options.any_state)
    state = run.state
    said = {
        "datastore": asked["datastore"],
        "imported": state.done - state.there,
        "there": state.there,
        "bad": state.bad,
    }
    words = f"imported {state.done - state.there}, bad {state.bad}"
    if options.if_absent:
        words += f", there before {state.there}"
    tell(words, said, as_json=as_json)
    if state.bad:
        if options.rejects is not None:
            note(f"the bad lines are in {options.rejects}, with their reasons")
        sys.exit(1)


@contextlib.contextmanager
def opened(source: str) -> Iterator[IO[bytes]]:
    """The input; whatever reading it fails with is one line."""
    try:
        with click.open_file(source, "rb") as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputFailed(f"{source} cannot be read: {error.strerror}; nothing behind that place is imported") from None


async def load(target: Target, file: IO[bytes], options: Options) -> Run:
    """Everything behind the place where the state says it stands."""
    key = target.known.key
    ways = (options.if_absent, options.any_state, options.rejects is not None)
    work = work_of("import", place_of_store(target.store.url), target.name, target.team, ways)
    checkpoints = Checkpoints(options.state_path, work, must=options.resume or options.state is not None)
    state = await where_it_stands(target, file, options, checkpoints)
    checkpoints.begin(state)  # before the rejects are touched: what an older one says is void from here on
    total = size_of(file) if is_file(file) else None
    rejects = None if options.rejects is None else Appended(options.rejects, state.bad_bytes)
    with progress(f"importing {target.name}", total, state.place, in_bytes=True) as advance:
        run = Run(options, target, key, state, checkpoints, rejects, advance)
        loader: Loader[Line] = Loader(run.write, key, run.settled)
        try:
            await feed(loader, file, state)
            await loader.finish()
        finally:
            await loader.stop()
            run.checkpoint()  # also when it ends here: to go on is less work then
            if rejects is not None:
                rejects.close()
    checkpoints.finish()
    return run


async def feed(loader: Loader[Line], file: IO[bytes], state: State) -> None:
    """Every line that is still to do to the loader; a pipe brings those before them, too.

    What a slow pipe has brought so far is written at once.
    """
    done = state.line
    lines = Lines(file, offset=state.place, number=done) if is_file(file) else Lines(file)
    while True:
        await readable(file)
        chunk = lines.chunk()
        if chunk is None:
            return
        for line in chunk:
            if line.number <= done:
                continue
            try:
                item = item_of(line)
            except BadLine as error:
                await loader.add(line, None, str(error))
            else:
                await loader.add(line, item, size=len(line.data or b""))
        await loader.send()


async def where_it_stands(target: Target, file: IO[bytes], options: Options, checkpoints: Checkpoints) -> State:
    """The state to go on from; a new one when nothing was left behind, or the input or the store is another one."""
    new = State(work=checkpoints.work)
    if is_file(file):
        new.head_bytes = min(HEAD, size_of(file))
        new.head = head_of(file, new.head_bytes)
    state = checkpoints.load() if options.resume else None
    if state is None:
        return new
    if is_file(file) and (size_of(file) < state.place or head_of(file, state.head_bytes) != state.head):
        note("the input is not the one that was begun with; beginning anew")
        return new
    if options.rejects is not None and (not options.rejects.exists() or size_at(options.rejects) < state.bad_bytes):
        note(f"{options.rejects} is not what was written; beginning anew")
        return new
    if state.last_id is not None and await target.read.get(state.last_id) is None:
        note("the store has not what was imported last; beginning anew")
        return new
    return state


async def readable(file: IO[bytes]) -> None:
    """Wait until a pipe brings something, while everything else goes on; what is no pipe can be read at any time."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(file.fileno(), ready.set)
    except (OSError, ValueError, NotImplementedError):
        return
    try:
        await ready.wait()
    finally:
        loop.remove_reader(file.fileno())


def is_file(file: IO[bytes]) -> bool:
    """Whether it can be read from any place. stdin may be a file, too, but is nobody's to seek in."""
    return file.seekable() and getattr(file, "name", "<stdin>") != "<stdin>"


def size_at(path: Path) -> int:
    """Bytes of a file."""
    return path.stat().st_size


def size_of(file: IO[bytes]) -> int:
    """Its bytes."""
    return os.fstat(file.fileno()).st_size
