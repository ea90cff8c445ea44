"""An app under test as a command in a process of its own.

Rules of this file: signals go only to the process group that it started, by the id of its first process. What the app
prints goes to a file, so that it never waits for a reader; its last lines are shown when it does not start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_PATIENCE: Final = 10.0
_LAST_LINES: Final = 10


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


class AppProcess:
    """A command that runs the app. `pid` changes when it is started again."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], log: Path, url: str | None, cwd: Path | None
    ) -> None:
        self.url = url
        self.log = log
        self._words = tuple(words)
        self._environment = dict(environment)
        self._cwd = cwd
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Of the process that runs now, or ran last."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def last_lines(self) -> str:
        """The last lines of what it has printed."""
        return "\n".join(self.output.splitlines()[-_LAST_LINES:])

    def idle(self) -> bool | None:
        """Nobody can see into another process."""
        return None

    def kill(self) -> None:
        """SIGKILL to it and all that it started, as a crash would be."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Ask it to end; kill it when it does not."""
        self._end(signal.SIGTERM)

    def start_again(self) -> None:
        """Start the same command once more; what still runs is killed."""
        self.kill()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._words,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that one signal reaches all that it starts
            )

    def _end(self, number: int) -> None:
        if not self.running:
            return
        os.killpg(self.pid, number)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(_PATIENCE)
