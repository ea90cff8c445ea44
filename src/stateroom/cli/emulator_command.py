"""A user's own app around a local Slack: `stateroom emulator -- COMMAND`.

Rules of this file: it signals only the process group that it started, by the id of its first process. The app and the
local Slack end together, whichever ends first; the app's exit code is ours, so that CI sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from stateroom.model.errors import WrongUse

PATIENCE: Final = 8.0  # seconds from being asked to end to being killed; ours has 10
WORKED_SECONDS: Final = 1.0  # an app that lived so long had started well
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
_ASKED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


class LocalServer(Protocol):
    """What is needed of the local Slack's server."""

    should_exit: bool


class Command:
    """The app: one command in a process group of its own, whose stdin, stdout and stderr are ours."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], note: Callable[[str], None]) -> None:
        self._words = tuple(words)
        self._environment = dict(environment)
        self._note = note
        self._process: asyncio.subprocess.Process | None = None
        self._signal: int | None = None
        self._asked = asyncio.Event()

    async def run(self, *, restart: bool) -> int:
        """Run it until it ends, or with `restart` until it is asked to. Its exit code, 128 + N after signal N.

        0 when it ended by the very signal that was passed on to it. Raises WrongUse for a command that cannot start.
        """
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = self._exit_code(await self._once())
            if self._asked.is_set() or not restart:
                return code
            self._note(f"the app ended with {code}; starting it again")
            pause = FIRST_PAUSE if time.monotonic() - began >= WORKED_SECONDS else min(LONGEST_PAUSE, pause * 2)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), pause)
                return 0

    def ask(self, number: int) -> None:
        """Pass a signal on to the app and all that it started; the second time it is killed."""
        if self._process is not None and self._process.returncode is None:
            self._send(signal.SIGKILL if self._asked.is_set() else number)
        asyncio.get_running_loop().call_later(PATIENCE, self._kill)
        self._signal = number
        self._asked.set()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._send(signal.SIGKILL)

    async def _once(self) -> int:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                env=self._environment,
                start_new_session=True,  # so that one signal reaches all that it starts, and Ctrl-C is for us alone
                preexec_fn=_ends_with_us(),
            )
        except OSError as error:
            raise WrongUse(f"{self._words[0]} cannot be started ({error.strerror}); name a program after --") from None
        if self._signal is not None:
            self._send(self._signal)  # it came while the app was being started
        try:
            return await self._process.wait()
        finally:
            self._send(signal.SIGKILL)  # what it started and left behind

    def _send(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _exit_code(self, code: int) -> int:
        if code >= 0:
            return code
        return 0 if self._asked.is_set() and -code in (self._signal, signal.SIGKILL) else 128 - code


def _ends_with_us() -> Callable[[], None] | None:
    """On Linux the app is told to end when we are killed, too."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return ask_the_kernel


@contextlib.contextmanager
def signals_to(command: Command) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP go to the app."""
    loop = asyncio.get_running_loop()
    for number in _ASKED:
        loop.add_signal_handler(number, command.ask, number)
    try:
        yield
    finally:
        for number in _ASKED:
            loop.remove_signal_handler(number)


async def together(command: Command, server: LocalServer, serving: asyncio.Task[None], *, restart: bool) -> int:
    """The app beside a local Slack that is ready: when one ends, so does the other. Returns the app's exit code.

    What is wrong with the command, or went wrong with the local Slack, is raised when both have ended.
    """
    with signals_to(command):
        app = asyncio.create_task(command.run(restart=restart))
        await asyncio.wait([app, serving], return_when=asyncio.FIRST_COMPLETED)
        if not app.done():
            command.ask(signal.SIGTERM)
            await asyncio.wait([app])
        server.should_exit = True
        await serving
        return app.result()
