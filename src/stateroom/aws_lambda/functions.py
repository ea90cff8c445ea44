"""What the two functions are between their invocations: settings, an event loop, an open store.

Rules of this file: one loop for all invocations of an execution environment, which calls one at a time and stands still
in between; so whatever must be done is done before the answer is given. A store that cannot be opened is tried anew at
the next call, and Slack is told 503 meanwhile, so that it sends again. The worker stops in time to hand back what it
holds: an invocation that is killed costs a lease, and the hint of the queue comes back after its visibility time-out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Self, TypeVar

from stateroom.aws_lambda.gateway import Asked, answered, asked
from stateroom.bot.assembly import Crew, directory_of, ingress_of, store_of
from stateroom.bot.config import BotConfig
from stateroom.bot.ingress import Ingress as App
from stateroom.bot.ingress import error, headers_of
from stateroom.cli import logs, settings
from stateroom.cli.serve import check_model, check_store
from stateroom.model.errors import StateroomError, WrongUse
from stateroom.store import Store

T = TypeVar("T")

IDLE: Final = 2.0  # seconds without work after which a worker ends; what is due later is the schedule's
MARGIN: Final = 3.0  # seconds before the end of the time, beside those that lanes get to end
log = logging.getLogger("stateroom.lambda")


class Function:
    """One function of this execution environment."""

    answers: bool  # whether it needs a model

    def __init__(self, config: BotConfig) -> None:
        self.config = config
        self._runner = asyncio.Runner()
        self._store: Store | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """As the function's variables say. WrongUse names what is wrong: the function fails at its first call."""
        found = settings.load()
        logs.set_up(found.log_level, found.log_format or "json")
        if not found.slack_signing_secret:
            raise WrongUse("set SLACK_SIGNING_SECRET: your app's page at api.slack.com/apps, Basic Information")
        check_store(found, allow_ephemeral=False, alone=False)
        check_model(found, worker=cls.answers)
        return cls(found.bot_config())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """`work` on the loop of this environment."""
        return self._runner.run(work)

    async def opened(self) -> Store:
        """The store, opened once. StateroomError when it cannot be."""
        if self._store is None:
            store = store_of(self.config)
            await store.__aenter__()
            self._store = store
        return self._store

    def close(self) -> None:
        """Let go of everything; for tests, since Lambda just ends the process."""
        if self._store is not None:
            self.run(self._store.__aexit__(None, None, None))
        self._runner.close()


class Ingress(Function):
    """Takes Slack's requests."""

    answers = False

    def __init__(self, config: BotConfig) -> None:
        super().__init__(config)
        self._app: App | None = None

    def ingress(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        request = asked(event)
        return self.run(self._answer(request))

    async def _answer(self, request: Asked) -> dict[str, Any]:
        try:
            app = await self._opened_app()
        except StateroomError as failed:
            log.error("the store cannot be opened, Slack will redeliver: %s", failed)
            reply = error(503, "unavailable", "the store cannot take the event now")
            return answered(request, reply[0], headers_of(reply), reply[2])
        told: list[Mapping[str, Any]] = []

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            told.append(message)

        await app(request.scope(), receive, send)
        return answered(request, told[0]["status"], told[0]["headers"], told[1]["body"])

    async def _opened_app(self) -> App:
        if self._app is None:
            store = await self.opened()
            self._app = ingress_of(self.config, store, directory_of(self.config, store))
        return self._app


class Worker(Function):
    """Answers what is due."""

    answers = True

    def __init__(self, config: BotConfig) -> None:
        super().__init__(config)
        self._crew: Crew | None = None

    def work(self, event: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Work for at most so many seconds. An event of SQS is only a hint, so none of its messages ever fails."""
        hints = event.get("Records") if isinstance(event, Mapping) else None
        scheduled = not hints
        self.run(self._work(seconds, sweeping=scheduled))
        return {} if scheduled else {"batchItemFailures": []}

    async def _work(self, seconds: float, *, sweeping: bool) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds - MARGIN - self.config.lease_seconds / 2  # opening the store counts, too
        crew = await self._opened_crew()
        stop = asyncio.Event()
        ending = loop.call_at(ends, stop.set)
        beside = [asyncio.create_task(_quietly(crew.removal.round))] if sweeping else []
        sweeper = crew.sweeper() if sweeping else None
        if sweeper is not None:
            beside.append(asyncio.create_task(_quietly(sweeper.round)))
        try:
            await crew.worker.run(stop, idle=IDLE)
            if beside:
                await asyncio.wait(beside, timeout=max(0.0, ends - loop.time()))
        finally:
            ending.cancel()
            for task in beside:
                task.cancel()
            if beside:
                await asyncio.wait(beside)

    async def _opened_crew(self) -> Crew:
        if self._crew is None:
            store = await self.opened()
            self._crew = Crew(self.config, store, directory_of(self.config, store))
        return self._crew

    def close(self) -> None:
        if self._crew is not None:
            self.run(self._crew.close())
        super().close()


async def _quietly(round: Callable[[], Awaitable[object]]) -> None:
    """What may as well be done at the next call."""
    try:
        await round()
    except StateroomError as failed:
        log.warning("not finished, the next call goes on: %s", failed)
