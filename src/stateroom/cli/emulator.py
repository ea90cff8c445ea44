"""`stateroom emulator`: a local Slack for any client and any bot.

Rules of this file: options to one EmulatorConfig, and the serving to emulator/server.py.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stateroom.cli import logs, running, settings
from stateroom.emulator.config import LOOPBACK_HOSTS, SEED_APP, SEED_SECRET, EmulatorConfig
from stateroom.model.errors import WrongUse

if TYPE_CHECKING:
    from stateroom.emulator.config import TurnWatch


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--port", type=click.IntRange(0, 65535), default=8400, show_default=True, help="Port; 0: a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback only.")
@click.option("--state", metavar="URL", help="Keep messages and pending events, e.g. sqlite:///slack.db.")
@click.option(
    "--manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Manifest of the app to register."
)
@click.option("--event-url", metavar="URL", help="Where events go, e.g. http://127.0.0.1:3000/slack/events.")
@click.option("--app-id", default=SEED_APP, show_default=True, help="Id of the app that is registered.")
@click.option("--signing-secret", default=SEED_SECRET, show_default=True, help="Its signing secret.")
@click.option(
    "--time-scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Multiplies Slack's waits: 0.05 makes a minute 3 s.",
)
@click.option("--tiers", type=click.Choice(["on", "off"]), default="off", show_default=True, help="Rate tiers.")
@click.option("--oauth", is_flag=True, help="Give COMMAND a client id and secret, too: it is installed by OAuth.")
@click.option("--restart", is_flag=True, help="Start COMMAND again whenever it ends.")
@click.option("--bot-pid-file", type=click.Path(path_type=Path), hidden=True)
@click.option("--watch-store", metavar="URL", hidden=True)
@click.option("--supervised", is_flag=True, hidden=True)
def emulator(
    *,
    command: tuple[str, ...],
    port: int,
    host: str,
    state: str | None,
    manifest: Path | None,
    event_url: str | None,
    app_id: str,
    signing_secret: str,
    time_scale: float,
    tiers: str,
    oauth: bool,
    restart: bool,
    bot_pid_file: Path | None,
    watch_store: str | None,
    supervised: bool,
) -> None:
    """A local Slack: Web API under /api/, signed events, and a workspace page at /.

    The bot token is xoxb-local-1. Prints `ready http://HOST:PORT`; logs go to stderr.

    With a COMMAND (`stateroom emulator -- python app.py`) it runs your app beside it, with SLACK_API_URL,
    SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET and SLACK_APP_TOKEN set. Both end together, with the exit code of your app.
    Events go to --event-url, else to the app's Socket Mode connection.
    """
    if restart and not command:
        raise WrongUse("--restart is about a COMMAND; give one after --")
    if host not in LOOPBACK_HOSTS:
        raise WrongUse("--host: the local Slack listens on loopback only; give 127.0.0.1")
    found = settings.load()
    logs.set_up(found.log_level, found.log_format)
    from stateroom.emulator import server

    config = EmulatorConfig(
        host=host,
        port=port,
        state=state,
        manifest=manifest,
        event_url=event_url,
        app_id=app_id,
        signing_secret=signing_secret,
        time_scale=time_scale,
        tiers=tiers == "on",
        bot_pid_file=bot_pid_file,
        watch=watch_of(watch_store),
    )

    codes = []

    async def work(_: asyncio.Event) -> None:
        if command:
            codes.append(await beside(config, command, oauth=oauth, restart=restart))
        else:
            await server.serve(config)  # has its own ready line and signal handlers

    running.run(work, supervised=supervised)
    if codes:
        raise SystemExit(codes[0])


async def beside(config: EmulatorConfig, command: tuple[str, ...], *, oauth: bool, restart: bool) -> int:
    """Serve with the user's app running; its exit code."""
    from stateroom.cli.emulator_command import Command, together
    from stateroom.emulator import server

    sock, ready = server.listen(config), asyncio.Event()
    slack = server.Server(server.create_app(config), ready.set)
    with sock:
        serving = asyncio.create_task(slack.run_on(sock))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            await serving
        running.ready(server.address(sock))
        app = Command(command, settings.child_environment(variables(config, server.address(sock), oauth=oauth)), note)
        return await together(app, slack, serving, restart=restart)


def variables(config: EmulatorConfig, url: str, *, oauth: bool) -> dict[str, str]:
    """What an app needs to find this local Slack, under the names that Slack's own libraries and samples use.

    Bolt ignores the bot token where a client id is set, so that is given on request only.
    """
    found = {
        "SLACK_API_URL": f"{url}/api/",
        "SLACK_BOT_TOKEN": config.bot_token,
        "SLACK_SIGNING_SECRET": config.signing_secret,
        "SLACK_APP_TOKEN": config.app_token,
    }
    client = {"SLACK_CLIENT_ID": config.client_id, "SLACK_CLIENT_SECRET": config.client_secret}
    return found | client if oauth else found


def note(text: str) -> None:
    """A line for people, beside the logs."""
    click.echo(f"stateroom: {text}", err=True)


def watch_of(url: str | None) -> TurnWatch | None:
    """What the page shows beside the conversation: the turns in a bot's store."""
    if url is None:
        return None
    from stateroom.cli.emulator_watch import watch_turns

    return lambda: watch_turns(url)
