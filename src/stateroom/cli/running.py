"""What the long-running commands share: one ready line, signals, and an end within ten seconds.

Rules of this file: stdout gets exactly one line, when work is accepted. The first SIGTERM or SIGINT asks the work to
finish or hand back what it holds; a second one, or the time limit, cancels it. Whatever is cut off is under a lease
that runs out, so leaving is always safe and always 0.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from stateroom.cli import logs

GRACE_SECONDS: Final = 9.0  # Cloud Run and most others kill after 10
Work = Callable[[asyncio.Event], Awaitable[None]]
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def ready(address: str) -> None:
    """The one line on stdout: where work is accepted (`http://127.0.0.1:N`, or `worker`)."""
    sys.stdout.write(f"ready {address}\n")
    sys.stdout.flush()
    logs.warm_up()


def run(work: Work, *, supervised: bool = False) -> None:
    """Run `work(stop)` until it returns, which it should soon after `stop` is set. Its errors pass through.

    `supervised`: the process ends with the one that started it, however that ended.
    """
    if supervised:
        _die_with_parent()
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(_until_stopped(work, supervised))


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where its extra is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _until_stopped(work: Work, supervised: bool) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    logs.watch_loop(loop)
    task = asyncio.ensure_future(work(stop))

    def asked() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()
        loop.call_later(GRACE_SECONDS, task.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    if supervised:
        loop.add_reader(sys.stdin, _parent_gone, loop)
    try:
        await task
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


def _die_with_parent() -> None:
    """Linux ends us when the parent ends, even while we are stopped or busy; elsewhere stdin alone tells."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _parent_gone(loop: asyncio.AbstractEventLoop) -> None:
    """Nobody writes to a supervised process: its stdin becomes readable when the supervisor is gone."""
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin)
        os.kill(os.getpid(), signal.SIGTERM)  # to whoever handles signals now
