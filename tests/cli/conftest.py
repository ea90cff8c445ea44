"""Real `stateroom` processes for the tests of this folder, each ended when its test ends."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., "Command"]
DEADLINE = 60.0


class Command:
    """A running `stateroom` command; its stderr goes to a file."""

    def __init__(self, folder: Path, args: tuple[str, ...], environ: dict[str, str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("STATEROOM_", "SLACK_")) and k != "DISPLAY"}
        self._read = b""
        self.log = folder / f"stderr-{time.monotonic_ns()}.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stateroom", *args],
                cwd=folder,
                env={**clean, **environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )

    @property
    def errors(self) -> str:
        return self.log.read_text(errors="replace")

    def line(self, seconds: float = DEADLINE) -> str:
        """The next line of stdout, without its end."""
        assert self.process.stdout is not None
        ends = time.monotonic() + seconds
        while b"\n" not in self._read:
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, ends - time.monotonic()))
            assert readable, f"no line within {seconds} s; stderr: {self.errors}"
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, f"ended with {self.process.wait(DEADLINE)}; stderr: {self.errors}"
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def ready(self) -> str:
        """The address of the ready line."""
        line = self.line()
        assert line.startswith("ready "), line
        return line.removeprefix("ready ")

    def end(self, number: int) -> tuple[int, float, str]:
        """Send a signal; exit code, seconds it took, and what was still on stdout."""
        began = time.monotonic()
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, time.monotonic() - began, (self._read + rest).decode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `stateroom ARGS` in a folder of its own with nothing set but what is given by keyword."""
    started: list[Command] = []

    def go(*args: str, **environ: str) -> Command:
        started.append(Command(tmp_path, args, environ))
        return started[-1]

    yield go
    for command in started:
        if command.process.poll() is None:
            command.process.kill()
        command.process.communicate()


def eventually(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Wait until it holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
