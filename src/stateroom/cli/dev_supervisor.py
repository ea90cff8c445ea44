"""Child processes of `stateroom dev`: started, watched, started again, ended.

Rules of this file: it signals only processes that it started and has not yet waited for, so never a pid that went to
somebody else. A child that worked is started again at once; one that dies while it starts waits a little longer each
time. A child's stderr goes to its own log file, and its last lines are shown when it fails.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stateroom.model.errors import StateroomError

WORKED_SECONDS: Final = 1.0  # a child that lived so long had started well
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
TRIES: Final = 3  # of a child that was never ready
SHOWN_LINES: Final = 5
READY: Final = b"ready "


class ChildFailed(StateroomError):
    """A part of `stateroom dev` does not start; its log file says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """One child: `stateroom` with `arguments`. `environment` is the whole of it."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    pid_file: Path | None = None


class Keeper:
    """Keeps one part running until it is told to stop."""

    def __init__(self, part: Part, note: Callable[[str], None]) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self._note = note
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the child that runs now."""
        return None if self._process is None else self._process.pid

    async def keep(self) -> None:
        """Start the part, and again whenever it ends. ChildFailed when it never got ready."""
        failures = 0
        self.part.log.write_bytes(b"")
        while not self._stopping.is_set():
            lived, code = await self._once()
            if self._stopping.is_set():
                return
            failures = 0 if lived >= WORKED_SECONDS else failures + 1
            given_up = failures >= TRIES and not self.ready.is_set()
            self._tell(code, failures, given_up)
            if given_up:
                raise ChildFailed(f"the {self.part.name} does not start; {self.part.log} says why")
            if failures:
                await self._pause(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)))

    async def stop(self, patience: float) -> None:
        """End the child: asked first, killed when `patience` (seconds) runs out."""
        self._stopping.set()
        if self._process is None:
            return
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience):
                await self._process.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send it to the child that runs now, if one does."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _once(self) -> tuple[float, int]:
        """Seconds between ready and the end (0.0: never ready), and how it ended (negative: by that signal)."""
        part = self.part
        with part.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "stateroom", *part.arguments, "--supervised"),
                stdin=asyncio.subprocess.PIPE,  # never written to; its end tells the child that we are gone
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=part.environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone
            )
        self._process = process
        if self._stopping.is_set():
            self.send(signal.SIGTERM)
        try:
            _write_pid(part.pid_file, process.pid)
            began = await self._until_ready(process)
            code = await process.wait()
        finally:
            _write_pid(part.pid_file, None)
        return (0.0 if began is None else time.monotonic() - began), code

    async def _until_ready(self, process: asyncio.subprocess.Process) -> float | None:
        assert process.stdout is not None
        began = None
        while line := await process.stdout.readline():
            if line.startswith(READY):
                began = time.monotonic()
                if self.ready.is_set():
                    self._note(f"the {self.part.name} is back, pid {process.pid}")
                self.ready.set()
        return began

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _tell(self, code: int, failures: int, given_up: bool) -> None:
        how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with {code}"
        self._note(f"the {self.part.name} {how}" + ("" if given_up else "; starting it again"))
        if failures:
            for line in last_lines(self.part.log):
                self._note(f"  {line}")


def last_lines(path: Path, count: int = SHOWN_LINES) -> list[str]:
    """The last lines of a log file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().decode(errors="replace").splitlines()[-count:]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _write_pid(path: Path | None, pid: int | None) -> None:
    """Replace the file in one step, so that nobody ever reads half a number; None removes it."""
    if path is None:
        return
    if pid is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{pid}\n")
    fresh.replace(path)
