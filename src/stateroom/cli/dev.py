"""`stateroom dev`: a local Slack in the browser and the bot beside it, on embedded state in one folder.

Rules of this file: what runs with which arguments and environment; dev_supervisor.py runs it. A demo never touches what
the environment points at: its store and its Slack are its own, whatever STATEROOM_STORE and SLACK_* say. stdout gets
five lines, the first of them the ready line; the rest of what happens goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from stateroom.cli import logs, running, settings
from stateroom.cli.dev_supervisor import ChildFailed, Keeper, Part
from stateroom.cli.output import note
from stateroom.cli.settings import Settings
from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_SECRET, SEED_TOKEN
from stateroom.model.errors import WrongUse
from stateroom.model.sealing import new_key
from stateroom.slack.app_manifest import Choice, app_manifest
from stateroom.slack.features import DEFAULT as FEATURES

HOST: Final = "127.0.0.1"
BOT_NAME: Final = "stateroom"
# So that a person sees within seconds what Slack and the bot do within minutes.
TIME_SCALE: Final = "0.1"
DEMO: Final = {
    "STATEROOM_LEASE_SECONDS": "3",
    "STATEROOM_STREAM_INTERVAL": "0.1",
    "STATEROOM_BACKOFF_SECONDS": "0.5",
    "STATEROOM_LOG_FORMAT": "text",
}
# Together under the ten seconds that a process has to end.
BOT_PATIENCE: Final = 6.0
SLACK_PATIENCE: Final = 2.0


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8400, show_default=True, help="Port; 0: a free one.")
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".stateroom"),
    show_default=True,
    help="Where messages, turns and logs are kept; delete it to begin anew.",
)
def dev(*, port: int, no_browser: bool, state_dir: Path) -> None:
    """A local Slack workspace in the browser, with the bot in it.

    Nothing leaves this machine. The bot runs as a process of its own: kill it with `kill -9`, and it is started again
    and goes on where it was. Ctrl-C ends everything; the next start finds all messages again.
    """
    found = settings.load()
    logs.set_up(found.log_level, "text")
    with locked(state_dir), held_port(port) as chosen, held_port(0) as bot_port:
        parts = parts_of(found, state_dir, chosen, bot_port)

        def greet(pid: int | None) -> None:
            tell(chosen, bot_port, state_dir, pid)
            if found.has_display and not no_browser:
                open_browser(f"http://{HOST}:{chosen}")

        running.run(lambda stop: supervise(parts, stop, greet))


def parts_of(found: Settings, folder: Path, port: int, bot_port: int) -> tuple[Part, Part]:
    """The local Slack on `port`, and the bot."""
    state, pid_file = f"sqlite:///{folder / 'state.db'}", folder / "bot.pid"
    tuned = {name: value for name, value in DEMO.items() if name not in found.given}
    manifest = folder / "manifest.json"
    choice = Choice(FEATURES, name=BOT_NAME, base_url=f"http://{HOST}:{bot_port}")
    manifest.write_text(json.dumps(app_manifest(choice), indent=2), encoding="utf-8")
    slack = Part(
        "local Slack",
        (
            *("emulator", "--host", HOST, "--port", str(port), "--time-scale", TIME_SCALE),
            *("--state", f"sqlite:///{folder / 'slack.db'}", "--watch-store", state, "--bot-pid-file", str(pid_file)),
            *("--event-url", f"http://{HOST}:{bot_port}/slack/events", "--manifest", str(manifest)),
        ),
        settings.child_environment(tuned),
        folder / "slack.log",
    )
    own = {
        "STATEROOM_STORE": state,
        "STATEROOM_THREADS": "",
        "STATEROOM_FEATURES": ",".join(FEATURES),
        "SLACK_BOT_TOKEN": SEED_TOKEN,
        "SLACK_SIGNING_SECRET": SEED_SECRET,
        "SLACK_CLIENT_ID": SEED_CLIENT_ID,
        "SLACK_CLIENT_SECRET": SEED_CLIENT_SECRET,
        "STATEROOM_KEYS": keyring_of(folder),
        "STATEROOM_KMS": "",
        "STATEROOM_PUBLIC_URL": "",
        "SLACK_API_URL": f"http://{HOST}:{port}/api/",
    }
    # Whatever tokens the environment has: a socket would lead out of this machine.
    arguments = ("serve", "--host", HOST, "--port", str(bot_port), "--no-socket", "--allow-ephemeral")
    bot = Part("bot", arguments, settings.child_environment(tuned | own), folder / "bot.log", pid_file)
    return slack, bot


async def supervise(parts: tuple[Part, Part], stop: asyncio.Event, greet: Callable[[int | None], None]) -> None:
    """Both parts running until `stop`; `greet(bot's pid)` once both are ready. ChildFailed when one does not start."""
    slack, bot = (Keeper(part, note) for part in parts)

    async def say_ready() -> None:
        await slack.ready.wait()
        await bot.ready.wait()
        greet(bot.pid)

    async def then_bot() -> None:
        await asyncio.wait(
            [asyncio.create_task(event.wait()) for event in (slack.ready, stop)], return_when=asyncio.FIRST_COMPLETED
        )
        if not stop.is_set():
            await bot.keep()

    async def end() -> None:
        await stop.wait()
        await bot.stop(BOT_PATIENCE)  # first, because it may still be talking to the other
        await slack.stop(SLACK_PATIENCE)

    saying = asyncio.create_task(say_ready())
    try:
        async with asyncio.TaskGroup() as group:
            for work in (slack.keep(), then_bot(), end()):
                group.create_task(work)
    except* ChildFailed as errors:
        raise errors.exceptions[0] from None
    finally:
        saying.cancel()
        for keeper in (slack, bot):
            keeper.send(signal.SIGKILL)


def keyring_of(folder: Path) -> str:
    """The demo's own keys, made once: tokens of workspaces that installed the app are sealed as they are anywhere."""
    file, made = folder / "keys", folder / "keys.new"
    if not file.exists():
        made.unlink(missing_ok=True)
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(f"{new_key('dev')}\n")
        made.rename(file)  # whole or not at all
    return file.read_text(encoding="utf-8").strip()


def tell(port: int, bot_port: int, folder: Path, pid: int | None) -> None:
    """The five lines, in one piece."""
    pid_file = shlex.quote(str((folder / "bot.pid").absolute()))
    lines = (
        f"ready http://{HOST}:{port}",
        f"database  {(folder / 'state.db').absolute()}",
        f"bot       pid {pid}, log {folder / 'bot.log'}",
        f"crash it  kill -9 $(cat {pid_file})",
        f"install   http://{HOST}:{bot_port}/slack/install; in a real workspace: docs/real-workspace.md",
    )
    click.echo("\n".join(lines))


@contextlib.contextmanager
def held_port(wanted: int) -> Iterator[int]:
    """`wanted` if it is free, else any that is (and say so).

    It is ours while the block runs, also while the process that listens on it is being started again: a connection of
    anybody would otherwise be given it. A bound socket that does not listen keeps everybody off but those who share
    addresses (SO_REUSEADDR), as our servers do. Only Linux lets them, so elsewhere the port is let go.
    """
    with bound(wanted) as holder:
        port: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port


def bound(wanted: int) -> socket.socket:
    """A socket on the port that is wanted, or on a free one."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, wanted))
    except OSError:
        found.close()
        free = bound(0)
        note(f"port {wanted} is taken; using {free.getsockname()[1]}")
        return free
    return found


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made if need be, for us alone; WrongUse when another `stateroom dev` has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "dev.lock").open("a")
    except OSError as error:
        raise WrongUse(f"--state-dir cannot be used: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongUse("another `stateroom dev` runs on this state; stop it, or give another --state-dir") from None
        (folder / ".gitignore").write_text("*\n")
        (folder / "bot.pid").unlink(missing_ok=True)  # of a run that was killed
        yield


def open_browser(url: str) -> None:
    """In a process of its own: some browsers write to our stdout, and some do not return."""
    silent = subprocess.DEVNULL
    subprocess.Popen(
        [sys.executable, "-m", "webbrowser", "-t", url],
        stdin=silent,
        stdout=silent,
        stderr=silent,
        start_new_session=True,
    )
