"""Where an export or import stands, in a small file beside it, so that a kill at any instant loses and doubles nothing.

Rules of this file: a state never says more than what is already durable, and is replaced as a whole. It fits only the
work it was made for: another store, datastore, workspace, condition or input begins anew. Format: docs/format.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from stateroom.cli.output import note
from stateroom.model.errors import StateroomError, WrongUse

VERSION: Final = 1
EVERY: Final = 0.5  # seconds between two checkpoints
HEAD: Final = 65536  # bytes of an input that tell it from another
SUFFIX: Final = ".resume"
NEW: Final = ".new"  # a state that is being written


class FileFailed(StateroomError):
    """A file beside the work cannot be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path.name} cannot be written: {error.strerror}; name another file, or make room")


class State(msgspec.Struct, kw_only=True):
    """Where the work stands. `work`: what it is, hashed. `place`: bytes of the file that are done.

    `done`, `bad`, `there`: items. `head`: a hash of the first `head_bytes`. `bad_bytes`: of the file of rejects.
    """

    version: int = VERSION
    work: str
    place: int = 0
    line: int = 0
    done: int = 0
    bad: int = 0
    bad_bytes: int = 0
    cursor: str | None = None
    last_id: str | None = None
    there: int = 0
    head: str = ""
    head_bytes: int = 0


class Checkpoints:
    """The state file of one piece of work. Written at most every EVERY seconds; gone when the work is complete."""

    def __init__(
        self, path: Path | None, work: str, *, must: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._must = must
        self._clock = clock
        self._last = -math.inf  # the first is due at once
        self.work = work

    def load(self) -> State | None:
        """The state that was left behind, or None: there is none, or it is of other work."""
        if self._path is None:
            return None
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeError, OSError):
            note(f"{self._path.name} cannot be read; beginning anew")
            return None
        if state.version != VERSION or state.work != self.work:
            note(f"{self._path.name} is of another store, datastore, workspace or condition; beginning anew")
            return None
        return state

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self._path is not None and self._clock() - self._last >= EVERY

    def save(self, state: State) -> None:
        """Replace the state. What it claims must be durable by now."""
        self.begin(state)
        self._last = self._clock()

    def begin(self, state: State) -> None:
        """`save` before anything is done: what an older state says is void from here on."""
        if self._path is None:
            return
        try:
            replace_file(self._path, msgspec.json.encode(state))
        except OSError as error:
            if self._must:
                raise FileFailed(self._path, error) from None
            self._path = None  # nobody asked for it, and it is only comfort

    def finish(self) -> None:
        """The work is complete: nothing is left to go on with."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
                self._path.with_name(f"{self._path.name}{NEW}").unlink(missing_ok=True)


def check_files(*paths: Path | None) -> None:
    """WrongUse unless these are different files, and ordinary ones: others must not be replaced or cut."""
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        if path.exists() and not path.is_file():
            raise WrongUse(f"{path} is no file; name one, or leave the option away")
        if path.resolve() in seen:
            raise WrongUse(f"{path} is named twice; each needs a file of its own")
        seen.add(path.resolve())


def work_of(*words: object) -> str:
    """A short name for a piece of work, from all that makes it what it is; nothing can be read out of it."""
    return hashlib.sha256(repr(words).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def head_of(file: IO[bytes], size: int) -> str:
    """What the first `size` bytes of an input say about which input it is; reads from its beginning."""
    file.seek(0)
    return hashlib.sha256(file.read(size)).hexdigest()[:32]


def replace_file(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all, durably."""
    part = path.with_name(f"{path.name}{NEW}")
    with part.open("wb") as file:
        file.write(data)
        sync(file)
    part.replace(path)
    sync_folder(path)


def sync(file: IO[bytes]) -> None:
    """What was written is durable from here on."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """A new name in the folder of `path` is durable from here on."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Appended:
    """A file that grows and can be cut back to where a state says it was."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self.size = size
        try:
            self._file = path.open("r+b" if size else "wb")
            self._file.truncate(size)
            self._file.seek(size)
        except OSError as error:
            raise FileFailed(path, error) from None

    def write(self, data: bytes) -> None:
        """At its end."""
        try:
            self._file.write(data)
        except OSError as error:
            raise FileFailed(self.path, error) from None
        self.size += len(data)

    def sync(self) -> None:
        """All of it is durable from here on."""
        try:
            sync(self._file)
        except OSError as error:
            raise FileFailed(self.path, error) from None

    def close(self) -> None:
        """Give the file back."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
