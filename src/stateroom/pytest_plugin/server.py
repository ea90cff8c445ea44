"""The process of the local Slack that a test run shares.

Rules of this file: it ends only the process that it started, by that process itself. It starts children from one
thread that lives as long as they do: on Linux a supervised child ends with the thread that started it. What is
acknowledged is on disk, so a restart, also by SIGKILL, goes on where it was.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from stateroom.model.errors import StateroomError

PATIENCE: Final = 30.0
_LAST_LINES: Final = 5


class SlackNotStarted(StateroomError):
    """The local Slack does not start; its last lines say why."""


class SlackServer:
    """`stateroom emulator` in a process of its own. `url` once it has started; it stays the same over restarts."""

    def __init__(self, folder: Path, time_scale: float) -> None:
        self.url = ""
        self.log = folder / "slack.log"
        self.time_scale = time_scale
        self._state = f"sqlite:///{folder / 'slack.db'}"
        self._process: subprocess.Popen[str] | None = None
        self._starter = ThreadPoolExecutor(1, "slack-starter")

    def start(self) -> None:
        """Start it and wait until it accepts work. Raises SlackNotStarted."""
        self._process = self._starter.submit(self._popen).result()
        assert self._process.stdout is not None
        ready = self._process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            self._process.wait(PATIENCE)
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
            raise SlackNotStarted("\n".join(["the local Slack does not start:", *lines]))
        self.url = ready[1]

    def kill(self) -> None:
        """SIGKILL, as a crash of Slack would be."""
        if self._process is not None:
            self._process.kill()
            self._reap(self._process)

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            self._reap(self._process)
        self._starter.shutdown()

    def _popen(self) -> subprocess.Popen[str]:
        port = self.url.rpartition(":")[2] or "0"
        words = ("emulator", "--port", port, "--state", self._state, "--time-scale", str(self.time_scale))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "stateroom", *words, "--supervised"],
                stdin=subprocess.PIPE,  # never written to; its end tells the child that we are gone
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for pytest alone
            )

    def _reap(self, process: subprocess.Popen[str]) -> None:
        process.wait(PATIENCE)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


@contextlib.contextmanager
def running(folder: Path, time_scale: float) -> Iterator[SlackServer]:
    """A local Slack for as long as the block lasts; its state and its log are in `folder`."""
    server = SlackServer(folder, time_scale)
    server.start()
    try:
        yield server
    finally:
        server.stop()
