"""What `stateroom doctor` can see on this machine: the store, its keys, the disk below it, how Slack reaches the bot.

Rules of this file: a check never raises what it is there to find. The store is written to in a way that leaves nothing:
a row that is not there is deleted. A database that is not there yet is not made.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stateroom.cli.doctor_finding import Finding, Status
from stateroom.cli.settings import Settings
from stateroom.engines.port import Delete
from stateroom.layers.inbox import INBOX
from stateroom.layers.threads_entries import THREADS
from stateroom.model.errors import MigrationNeeded, StateroomError
from stateroom.model.sealing import Place
from stateroom.store import Store

LITTLE: Final = 100 * 1024**2  # bytes of disk below which a store is soon full
LARGE_LOG: Final = 256 * 1024**2  # bytes of a write-ahead log that somebody keeps from being folded in
_SQLITE: Final = "sqlite:///"
_NOBODY: Final = "T00000000"
_PLACE: Final = Place(_NOBODY, "doctor", "probe", "value")
_PROBE: Final = b"a value to seal"


def transport(found: Settings) -> Iterator[Finding]:
    """How events reach the bot."""
    if found.slack_app_token and not found.slack_app_token.startswith("xapp-"):
        yield Finding("transport", "wrong", "SLACK_APP_TOKEN is no app-level token", "give the one that begins xapp-")
    elif found.slack_app_token:
        yield Finding("transport", "ok", "Socket Mode, by SLACK_APP_TOKEN")
    elif found.slack_signing_secret:
        yield Finding("transport", "ok", "HTTP, signed with SLACK_SIGNING_SECRET")
    else:
        advice = "set SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (HTTP); `stateroom init` says where to look"
        yield Finding("transport", "wrong", "no way for events to reach the bot", advice)


def keys(found: Settings) -> Iterator[Finding]:
    """Whether what is sealed now could be opened again."""
    if found.keys is None:
        advice = "set STATEROOM_KEYS (`stateroom init` makes one): without it no token of an installation is stored"
        yield Finding("keys", "warning", "no keys: encrypted attributes are refused", advice)
        return
    try:
        whole = found.keys.open(found.keys.seal(_PROBE, _PLACE), _PLACE) == _PROBE
    except StateroomError as failed:
        yield Finding("keys", "wrong", str(failed), "see docs/keys.md")
        return
    status: Status = "ok" if whole else "wrong"
    yield Finding("keys", status, f"{found.keys.first} seals and opens; {len(found.keys.ids)} can open")


async def store(found: Settings) -> list[Finding]:
    """Whether the store can be read and written, and has room."""
    path = file_of(found.store)
    room = [] if path is None else list(disk(path))
    if path is not None and not path.exists():
        return [*_to_be_made(path), *room]
    try:
        async with Store(found.store, content=found.content, keys=found.keys, threads=found.threads or None) as opened:
            able = opened.engine.capabilities
            await opened.engine.get(INBOX.name, _NOBODY, ["doctor"])
            await opened.engine.commit([Delete(INBOX.name, _NOBODY, "doctor")])
            if found.threads:  # another store, which is first asked for when it is used
                await opened.engine.get(THREADS.name, _NOBODY, ["doctor"])
                await opened.engine.commit([Delete(THREADS.name, _NOBODY, "doctor")])
    except MigrationNeeded as needed:
        return [Finding("store", "wrong", str(needed), "stateroom migrate plan, then apply"), *room]
    except StateroomError as failed:
        which = "STATEROOM_STORE or STATEROOM_THREADS" if found.threads else "--store or STATEROOM_STORE"
        return [Finding("store", "wrong", str(failed), f"give {which}, or mend what it says"), *room]
    lost = able.embedded and found.ephemeral
    inbox = (
        []
        if able.holds_inbox
        else [Finding("store", "wrong", f"{able.name} cannot hold the inbox", "see docs/engines.md")]
    )
    gone = f"the disk of {found.ephemeral} goes with the process" if lost else ""
    ephemeral = [Finding("store", "wrong", gone, "give --store a server's URL")] if lost else []
    return [Finding("store", "ok", f"{able.name} can be read and written"), *inbox, *ephemeral, *room]


def file_of(url: str) -> Path | None:
    """The database's file, where the store is one."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def disk(path: Path) -> Iterator[Finding]:
    """Room on the disk, and the log beside the database."""
    folder = next((one for one in (path, *path.absolute().parents) if one.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free
    if free < LITTLE:
        yield Finding("disk", "wrong", f"{free // 1024**2} MiB are free", "free space, or move the database")
    else:
        yield Finding("disk", "ok", f"{free / 1024**3:.1f} GiB are free")
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LARGE_LOG:
        advice = "a process reads for a long time, or was stopped: look for it, then restart the bot"
        yield Finding("write-ahead log", "warning", f"it has {size // 1024**2} MiB", advice)
    elif log.exists():
        yield Finding("write-ahead log", "ok", f"it has {size // 1024} KiB")


def _to_be_made(path: Path) -> Iterator[Finding]:
    folder = path.absolute().parent
    if folder.is_dir() and os.access(folder, os.W_OK):
        yield Finding("store", "ok", f"{path.name} is not there yet; `serve` makes it")
    else:
        yield Finding("store", "wrong", f"the folder of {path.name} is not there, or cannot be written", "make it")


def clock_skew(date: float | None) -> Iterator[Finding]:
    """Slack's signatures are refused when they are five minutes off, either way."""
    if date is None:
        return
    off = time.time() - date
    if abs(off) > 240:
        advice = "set this machine's clock (NTP): signed requests are refused from 300 s on"
        yield Finding("clock", "wrong", f"{off:+.0f} s against Slack's", advice)
    elif abs(off) > 30:
        yield Finding("clock", "warning", f"{off:+.0f} s against Slack's", "set this machine's clock (NTP)")
    else:
        yield Finding("clock", "ok", "agrees with Slack's")
