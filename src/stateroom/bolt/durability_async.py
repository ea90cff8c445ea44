"""A Bolt `AsyncApp` whose listeners run from the inbox.

Rules of this file: the same as durability_sync.py, for coroutines: it stands where Bolt starts listeners. Everything
runs on the app's own loop, the store included. The loop is known when `durable` is called inside of it; else `start`
or the first request tells it.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_bolt.kwargs_injection.async_utils import build_async_required_kwargs
from slack_bolt.listener.async_listener import AsyncListener
from slack_bolt.util.utils import get_arg_names_of_callable
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse
from slack_sdk.webhook import WebhookResponse

from stateroom.bolt.calls import METHODS, RESPOND, Flow, FromStore
from stateroom.bolt.reach import AsyncReach
from stateroom.bolt.requests import is_job, patience_of
from stateroom.bolt.spine import JOB, Settings, Spine, body_of
from stateroom.engines.port import Row
from stateroom.layers.jobs import Job
from stateroom.model.errors import StateroomError

_PATIENCE: Final = 33.0  # seconds with `respond`, whose client waits for 30
log = logging.getLogger("stateroom.bolt")


class AsyncDurable:
    """What `durable` gives for an async app. `start` in the app's loop; a request does it, too."""

    def __init__(self, app: AsyncApp, reach: AsyncReach, settings: Settings) -> None:
        self._app = app
        self._reach = reach
        self._settings = settings
        self._runner = app.listener_runner
        self._inner = self._runner.run
        self._spine: Spine | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting = asyncio.Lock()
        self._runner.run = self.run  # type: ignore[method-assign]
        try:
            self._tasks.add(asyncio.get_running_loop().create_task(self.start()))
        except RuntimeError:  # no loop runs yet
            return

    async def start(self) -> None:
        """Begin to take up what dead processes left."""
        try:
            await self.spine()
        except StateroomError as failed:
            log.error("the store cannot be used; the first request will try again: %s", failed)

    async def stop(self) -> None:
        """Take up nothing more. Jobs that run go on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()
        self._spine = None

    async def spine(self) -> Spine:
        """This process's share of the jobs."""
        async with self._starting:
            if self._spine is None:
                self._spine = Spine(await self._reach.store(), self._settings, self._replay)
                self._tasks.add(asyncio.create_task(self._spine.run()))
            return self._spine

    async def _replay(self, job: Job) -> None:
        """Bring a kept request to Bolt again, as over Socket Mode: its signature was verified when it came."""
        request = AsyncBoltRequest(body=body_of(job), mode="socket_mode", context={JOB: job})
        await self._app.async_dispatch(request)

    # --- where Bolt starts a listener

    async def run(
        self,
        request: AsyncBoltRequest,
        response: BoltResponse,
        listener_name: str,
        listener: AsyncListener,
        starting_time: float | None = None,
    ) -> BoltResponse | None:
        """As `AsyncioListenerRunner.run`: start the listener, give what Slack is to be told."""
        team = request.context.team_id or request.context.enterprise_id
        job: Job | None = request.context.get(JOB)
        begun = job is not None and job.started  # it fell through to a second listener, as Bolt lets it
        if request.lazy_only or begun or not is_job(request.body, team):
            return await self._inner(request, response, listener_name, listener, starting_time)
        try:
            spine = await self.spine()
            if job is None:
                found = await self._claim(spine, request, listener)
                if isinstance(found, Row):
                    answer = await spine.answer(found, seconds=patience_of(listener))
                    return None if answer is None else BoltResponse(status=200, body=answer)
                job = request.context[JOB] = found
            job.started = True
            self._guard(request.context.client, job, spine)
            self._responding(request.context, job, spine)
            running = _Running(self, spine, job, listener)
            told = await self._inner(request, response, listener_name, running, starting_time)
            if told is not None and told.status == 200 and not job.acked:
                await job.acknowledge(told.body)
            if told is None and job.acked:  # Bolt forgets an ack when the listener fails right behind it
                return BoltResponse(status=200, body=job.item.get("ack", ""))
        except StateroomError as failed:
            log.error("the request is not on record, Slack is told to send it again: %s", failed)
            return BoltResponse(status=503, body="")
        return told

    async def _claim(self, spine: Spine, request: AsyncBoltRequest, listener: AsyncListener) -> Job | Row:
        context = request.context
        team = str(context.team_id or context.enterprise_id)
        acked = listener.auto_acknowledgement
        return await spine.claim(request.body, team=team, user=context.user_id, acked=acked)

    # --- what the listener says

    def _guard(self, client: AsyncWebClient, job: Job, spine: Spine) -> None:
        """Lead the posts of this request's own client (and so of `say`) through the record of calls."""
        poster = copy.copy(client)
        # slack_sdk would post again after a cut connection, and so say it twice; throttling is no such case.
        poster.retry_handlers = [one for one in client.retry_handlers if "RateLimit" in type(one).__name__]
        poster.timeout = min(client.timeout, spine.settings.call_seconds)  # type: ignore[assignment]  # floats are fine
        direct = client.api_call

        async def api_call(api_method: str, **form: Any) -> AsyncSlackResponse:
            flow = METHODS.get(api_method)
            if flow is None:
                return await direct(api_method, **form)
            poster.token = client.token
            steps = flow(job, api_method, form, spine.clock, poster.timeout * 1.1)
            return _response(await _driven(steps, poster.api_call), poster)

        client.api_call = api_call  # type: ignore[method-assign]

    def _responding(self, context: AsyncBoltContext, job: Job, spine: Spine) -> None:
        """The same for `respond`, which goes to an address of its own."""
        direct = context.respond
        if direct is None or direct.response_url is None:
            return

        async def respond(*args: Any, **kwargs: Any) -> WebhookResponse:
            steps = METHODS[RESPOND](job, RESPOND, {"args": args, "kwargs": kwargs}, spine.clock, _PATIENCE)
            told = await _driven(steps, lambda _, args, kwargs: direct(*args, **kwargs))
            if isinstance(told, WebhookResponse):
                return told
            return WebhookResponse(url=str(direct.response_url), status_code=200, body="ok", headers={})

        context["respond"] = respond

    async def end(self, spine: Spine, job: Job, error: Exception | None, request: AsyncBoltRequest) -> None:
        """Record how a run ended."""
        told = request.context.ack.response
        answer = told.body if told is not None and told.status == 200 else None
        await spine.end(job, error, answer)


class _Running(AsyncListener):
    """A listener as Bolt runs it, and behind it the record of how it ended."""

    def __init__(self, durable: AsyncDurable, spine: Spine, job: Job, listener: AsyncListener) -> None:
        self._durable = durable
        self._spine = spine
        self._job = job
        self._listener = listener
        self.matchers, self.middleware = listener.matchers, listener.middleware
        self.ack_function = listener.ack_function
        self.auto_acknowledgement = listener.auto_acknowledgement
        self.ack_timeout = patience_of(listener)
        # On a platform that freezes after the response Bolt must start these itself; they are then no part of the job.
        left_to_bolt = durable._runner.process_before_response
        self.lazy_functions = listener.lazy_functions if left_to_bolt else ()
        self._lazy = () if left_to_bolt else listener.lazy_functions

    async def run_ack_function(self, *, request: AsyncBoltRequest, response: BoltResponse) -> BoltResponse | None:
        # What cancels the task is no outcome: the lease will run out.
        try:
            return await self._run(request, response)
        finally:
            self._spine.let_go(self._job)

    async def _run(self, request: AsyncBoltRequest, response: BoltResponse) -> BoltResponse | None:
        try:
            returned = await self._listener.run_ack_function(request=request, response=response)
        except Exception as error:
            await self._durable.end(self._spine, self._job, error, request)
            raise
        await self._durable.end(self._spine, self._job, await self._lazies(request), request)
        return returned

    async def _lazies(self, request: AsyncBoltRequest) -> Exception | None:
        """Run them; the error that ended them, of which Bolt tells no error handler either."""
        try:
            for lazy in self._lazy:
                await self._run_lazy(lazy, request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the job's record says so
            return error
        return None

    async def _run_lazy(self, lazy: Callable[..., Awaitable[None]], request: AsyncBoltRequest) -> None:
        names = get_arg_names_of_callable(lazy)
        await lazy(
            **build_async_required_kwargs(
                logger=request.context.logger, required_arg_names=names, request=request, response=None, this_func=lazy
            )
        )


async def _driven(steps: Flow, call: Callable[..., Awaitable[Any]]) -> Any:
    given: Any = None
    failed: Exception | None = None
    while True:
        try:
            step = steps.send(given) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return end.value
        given, failed = None, None
        try:
            given = await (step.work if isinstance(step, FromStore) else call(step.method, **step.form))
        except Exception as error:  # noqa: BLE001  # into the flow, which decides
            failed = error


def _response(value: Any, client: AsyncWebClient) -> AsyncSlackResponse:
    """Slack's own response, or one made of what is on record."""
    if not isinstance(value, Mapping):
        return value  # type: ignore[no-any-return]
    return AsyncSlackResponse(
        client=client, http_verb="POST", api_url="", req_args={}, data=dict(value), headers={}, status_code=200
    )
