"""`stateroom serve` and `stateroom worker`: the bot in production, one process or many.

Rules of this file: it checks that the settings fit together, then hands over to bot/server.py. Nothing that only a
model or a person needs is imported on the way: `serve --no-worker` is ready in 300 ms.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click

from stateroom.cli import logs, running, settings
from stateroom.cli.output import store_option
from stateroom.cli.settings import Settings
from stateroom.model.errors import WrongUse

_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_supervised = click.option("--supervised", is_flag=True, hidden=True, help="Stop when stdin is closed.")
_ephemeral = click.option(
    "--allow-ephemeral", is_flag=True, help="Keep state on a disk that goes with the process; for trials."
)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=3000, show_default=True, help="Port; 0: a free one.")
@_host
@click.option(
    "--socket/--no-socket",
    default=None,
    help="Take events over Socket Mode. Default: where SLACK_APP_TOKEN is set.",
)
@click.option("--worker/--no-worker", default=True, show_default=True, help="Also answer, in the same process.")
@_ephemeral
@store_option
@_supervised
def serve(
    *,
    port: int,
    host: str,
    socket: bool | None,
    worker: bool,
    allow_ephemeral: bool,
    store: str | None,
    supervised: bool,
) -> None:
    """Take Slack's events over HTTP or Socket Mode, make them durable, acknowledge them, and answer them.

    With SLACK_APP_TOKEN, or --socket, events come over Socket Mode: no public address is needed. Else Slack's request
    URL is /slack/events, and SLACK_SIGNING_SECRET proves who calls. Prints `ready http://HOST:PORT`, where /readyz
    tells whether Slack is connected; logs go to stderr; on SIGTERM it finishes or hands back what it holds within 10 s.
    """
    found = transport(settings.load(store=store), socket)
    check_store(found, allow_ephemeral=allow_ephemeral, alone=worker)
    check_model(found, worker=worker)
    logs.set_up(found.log_level, found.log_format)
    from stateroom.bot import server

    config = found.bot_config()

    async def work(stop: asyncio.Event) -> None:
        await server.serve(config, host=host, port=port, worker=worker, on_ready=running.ready, stop=stop)

    running.run(work, supervised=supervised)


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Serve /healthz and /metrics there; 0: a free port.")
@_host
@_ephemeral
@store_option
@_supervised
def worker(*, port: int | None, host: str, allow_ephemeral: bool, store: str | None, supervised: bool) -> None:
    """Answer what `stateroom serve` received. Start as many as you like.

    Prints `ready worker`, or `ready http://HOST:PORT` with --port; logs go to stderr; on SIGTERM it finishes or hands
    back what it holds within 10 s.
    """
    found = settings.load(store=store)
    check_store(found, allow_ephemeral=allow_ephemeral, alone=False)
    check_model(found, worker=True)
    logs.set_up(found.log_level, found.log_format)
    from stateroom.bot import server

    config = found.bot_config()

    async def work(stop: asyncio.Event) -> None:
        await server.work(config, port=port, host=host, on_ready=running.ready, stop=stop)

    running.run(work, supervised=supervised)


def transport(found: Settings, socket: bool | None) -> Settings:
    """The settings with the way that events take: WrongUse when it lacks its secret."""
    if socket and not found.slack_app_token:
        raise WrongUse("set SLACK_APP_TOKEN (xapp-…): your app's page, Basic Information, App-Level Tokens")
    chosen = found if socket is not False else replace(found, slack_app_token="")
    if not chosen.slack_app_token and not chosen.slack_signing_secret:
        raise WrongUse(
            "set SLACK_SIGNING_SECRET: your app's page at api.slack.com/apps, Basic Information; "
            "or SLACK_APP_TOKEN for Socket Mode"
        )
    return chosen


def check_model(found: Settings, *, worker: bool) -> None:
    """WrongUse for a model that is not allowed, and where it is to answer, for one that cannot be made here."""
    if found.model == "offline":
        return
    from stateroom.bot import model

    model.check_model(found.bot_config())
    if worker:
        model.probe_model(found.bot_config())


def check_store(found: Settings, *, allow_ephemeral: bool, alone: bool) -> None:
    """WrongUse where what is acknowledged would be lost, or could never be answered."""
    from stateroom.store import engine_of

    able = engine_of(found.store, lambda: 0.0).capabilities
    if not able.holds_inbox:
        from stateroom.bot.assembly import no_inbox

        raise WrongUse(no_inbox(able.name))
    if found.threads:
        engine_of(found.threads, lambda: 0.0)  # a URL that means nothing is said before anything is opened
    if not able.processes and not alone:
        raise WrongUse(f"{able.name} is seen by one process alone: use `serve` with its worker, or --store sqlite:///…")
    if able.embedded and found.ephemeral and not allow_ephemeral:
        raise WrongUse(
            f"the disk of {found.ephemeral} goes with the process, and {able.name} is kept on it: "
            "give --store a server's URL, or --allow-ephemeral for a trial"
        )
