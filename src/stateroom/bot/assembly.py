"""The bot's parts, put together from its settings: the store, the teams, ingress, a worker and what runs beside it.

Rules of this file: nothing is asked of Slack or a model here (invariant 10). What the worker alone needs is imported by
the worker alone, so that ingress starts without it. Who calls decides how long things live: a process (server.py), or
one invocation of a function (aws_lambda/).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from stateroom.bot.config import BotConfig
from stateroom.bot.directory import Directory
from stateroom.bot.ingress import Ingress
from stateroom.bot.install_pages import InstallPages
from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.engines.port import Table
from stateroom.layers.inbox import INBOX
from stateroom.model.errors import WrongUse
from stateroom.store import Store

if TYPE_CHECKING:
    from stateroom.bot.removal import Removal
    from stateroom.bot.sweeper import Sweeper
    from stateroom.bot.voices import Own, Voices
    from stateroom.bot.worker import Worker
    from stateroom.engines.port import Waking
    from stateroom.slack.client import SlackClient

_CALL: Final = 15.0  # seconds that Slack gets to exchange a token


def no_inbox(engine: str) -> str:
    """What to do where an engine cannot hold the inbox."""
    return (
        f"{engine} cannot hold the bot's inbox; give an SQL or DynamoDB store, and a bucket for the conversations as "
        "STATEROOM_THREADS (docs/engines.md)"
    )


def store_of(config: BotConfig) -> Store:
    """The store as the bot uses it. WrongUse when it cannot hold the inbox."""
    store = Store(
        config.store,
        content=config.content,
        keys=config.keys,
        kms=config.kms or None,
        encrypt_content=config.encrypt_content,
        threads=config.threads or None,
    )
    if not store.engine.capabilities.holds_inbox:
        raise WrongUse(no_inbox(store.engine.capabilities.name))
    return store


def directory_of(config: BotConfig, store: Store) -> Directory:
    """Which teams are ours. Without a worker here nobody asks Slack whom the token is for; a worker elsewhere drops."""
    kept = store.installations(client_id=config.client_id, erase_after=config.uninstall_seconds)
    return Directory(kept, time.time, fallback=lambda _: None if config.bot_token else False)


def ingress_of(
    config: BotConfig,
    store: Store,
    teams: Directory,
    *,
    wake: Callable[[], None] = lambda: None,
    unready: Callable[[], str] = str,
) -> Ingress:
    """Ingress with the pages of an install."""
    pages = InstallPages(config, teams.installations, time.time, partial(slack_of, config), installed=teams.came)
    return Ingress(
        store.engine,
        time.time,
        config.signing_secret,
        unready=unready,
        greets=bool(config.prompts),
        teams=teams,
        wake=wake,
        pages=pages.routes,
    )


def slack_of(config: BotConfig, token: str | None) -> SlackClient:
    """A client for a token; without one for what the app itself asks."""
    from stateroom.slack.client import SlackClient

    return SlackClient(token, config.slack_api_url, clock=time.time)


class Crew:
    """A worker and what works beside it. It may be let run any number of times; `close` ends it for good."""

    def __init__(self, config: BotConfig, store: Store, teams: Directory) -> None:
        from stateroom.bot.lane import Tools
        from stateroom.bot.removal import Removal
        from stateroom.bot.voices import Own, Voices
        from stateroom.bot.worker import Worker, responder_of

        tools = Tools(config, store.engine, time.time)
        self._config = config
        self._store = store
        self._own: Own = Own(slack_of(config, config.bot_token) if config.bot_token else None, time.time)
        self._voices: Voices = Voices(teams, self._own, partial(slack_of, config), _refresh(config))
        self.worker: Worker = Worker(tools, teams, self._voices, self._own, responder_of(tools))
        self.removal: Removal = Removal(store.engine, time.time, store.everything, in_use=self._own.confirm)
        teams.fallback = self._own.serves
        teams.gone = self._leave

    def _leave(self, team: str) -> None:
        self._own.left(team)
        self.worker.leave(team)
        self.removal.wake()

    def sweeper(self) -> Sweeper | None:
        """What removes the expired; None where the settings leave that to `stateroom sweep`."""
        if not self._config.sweep_seconds:
            return None
        from stateroom.bot.sweeper import Sweeper

        store = self._store

        async def tables() -> list[Table]:
            return [*(table_of(one) for one in await store.everything()), leases.TABLE]

        return Sweeper(store.engine, time.time, tables, seconds=self._config.sweep_seconds)

    async def hear(self) -> None:
        """Wake the worker when another process has made a row durable, where the engine tells; it polls anyway."""
        if self._store.raw.capabilities.wakes:
            await cast("Waking", self._store.raw).listen(INBOX.name, self.worker.wake)

    async def close(self) -> None:
        """Let go of the connections to Slack."""
        await self._voices.close()
        if self._own.slack is not None:
            await self._own.slack.close()


@asynccontextmanager
async def working(config: BotConfig, store: Store, teams: Directory, stop: asyncio.Event) -> AsyncIterator[Worker]:
    """A running worker; leaving the block waits until it handed back what it held."""
    crew = Crew(config, store, teams)
    task = asyncio.create_task(crew.worker.run(stop))
    task.add_done_callback(lambda _: stop.set())  # a worker that ended by a defect ends the process, visibly
    sweeper = crew.sweeper()
    sweeping = None if sweeper is None else asyncio.create_task(sweeper.run(stop))
    removing = asyncio.create_task(crew.removal.run())
    hearing = asyncio.create_task(crew.hear())
    try:
        yield crew.worker
    finally:
        stop.set()
        removing.cancel()
        hearing.cancel()
        await task
        if sweeping is not None:
            await sweeping
        await asyncio.wait({removing, hearing})
        await crew.close()


def _refresh(config: BotConfig) -> Callable[[str], Awaitable[Mapping[str, Any]]] | None:
    """How a refresh token is exchanged; None where the app's secret is not known."""
    if not config.client_id or not config.client_secret:
        return None

    async def refresh(token: str) -> Mapping[str, Any]:
        async with slack_of(config, None) as slack:
            return await slack.oauth_access(
                client_id=config.client_id,
                client_secret=config.client_secret,
                refresh_token=token,
                deadline=time.time() + _CALL,
            )

    return refresh
