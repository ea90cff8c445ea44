"""The bot process beside a local Slack: is it there, and killing it on request.

Rules of this file: a process is known by its pid file alone; nothing is started here, and nothing but the pid in that
file is ever signalled. A listening port is looked at only while somebody watches the page.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

from stateroom.emulator.acts import Denied

LOOK_SECONDS = 1.0


def read_pid(path: Path | None) -> int | None:
    """The pid in the file, None when there is no file or no pid in it."""
    if path is None:
        return None
    try:
        pid = int(path.read_text().strip())
    except (OSError, ValueError):
        return None
    return pid if pid > 1 and pid != os.getpid() else None


def crash(path: Path | None) -> int:
    """SIGKILL the bot. Raises Denied (409) when there is none."""
    pid = read_pid(path)
    if pid is None:
        raise Denied(409, "no_bot_process", "the local Slack was started without --bot-pid-file, or the bot is down")
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        raise Denied(409, "no_bot_process", f"no process {pid} of this user; it may be restarting now") from None
    return pid


async def listens(url: str) -> bool:
    """Whether something accepts connections at an event address."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True
