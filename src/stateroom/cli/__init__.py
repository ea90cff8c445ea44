"""The `stateroom` command.

Rules of this file: a command's file is imported when the command is used, so that `serve` starts without what other
commands need. Errors end here, as one line that says what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from stateroom import __version__
from stateroom.cli.output import fail
from stateroom.model.errors import StateroomError

# Command, and the file of this unit that has it under the same name.
COMMANDS: Final = {
    "dev": "dev",
    "init": "init",
    "doctor": "doctor",
    "serve": "serve",
    "worker": "serve",
    "emulator": "emulator",
    "datastore": "datastore",
    "design": "design",
    "threads": "threads",
    "turns": "turns",
    "installations": "installations",
    "jobs": "jobs",
    "sweep": "sweep",
    "erase": "erase",
    "copy": "copy",
    "migrate": "migrate",
    "keys": "keys",
    "mcp": "mcp",
}


class NotInstalled(StateroomError):
    """A library of an extra is missing."""

    def __init__(self, library: str) -> None:
        name = library.partition(".")[0]
        super().__init__(f"{name} is not installed; pip install 'stateroom[all]' brings all that this command needs")


class Lazy(click.Group):
    """A group that imports a command's file on use, and prints every error of ours as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{COMMANDS[cmd_name]}"), cmd_name)
        return command

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run and exit: 0 done, 1 the answer is no, 2 wrong use."""
        given = list(sys.argv[1:] if args is None else args)
        extra |= {"standalone_mode": False, "prog_name": "stateroom"}
        try:
            status = super().main(given, **extra)
        except (StateroomError, click.ClickException) as error:
            fail(error, as_json="--json" in given)
        except click.Abort:
            click.echo("stateroom: stopped", err=True)
            sys.exit(1)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "stateroom":
                raise
            fail(NotInstalled(error.name), as_json="--json" in given)
        except BrokenPipeError:  # whoever read our output has had enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stateroom", message="%(prog)s %(version)s")
def main() -> None:
    """Durable state for Slack apps, and an AI assistant that runs on it.

    Try `stateroom dev`: a local Slack workspace in the browser, with the bot in it.
    Settings come from the environment or stateroom.toml; docs/settings.md lists them.
    """
