"""A sync Bolt `App` whose listeners run from the inbox.

Rules of this file: it stands where Bolt starts listeners and replaces nothing else of Bolt. A job is claimed before
Bolt answers Slack; what a listener told Slack (`ack`) is on record before Slack is told. The listener runs where Bolt
runs it, in Bolt's own threads; the store lives on a loop thread of its own.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from slack_bolt import App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.kwargs_injection import build_required_kwargs
from slack_bolt.listener import Listener
from slack_bolt.util.utils import get_arg_names_of_callable
from slack_sdk import WebClient
from slack_sdk.web import SlackResponse
from slack_sdk.webhook import WebhookResponse

from stateroom.bolt.calls import METHODS, RESPOND, Flow, FromStore
from stateroom.bolt.reach import Reach
from stateroom.bolt.requests import is_job, patience_of
from stateroom.bolt.spine import JOB, Settings, Spine, body_of
from stateroom.engines.port import Row
from stateroom.layers.jobs import Job
from stateroom.model.errors import StateroomError, StoreUnavailable
from stateroom.store import Store

_PATIENCE: Final = 33.0  # seconds with `respond`, whose client waits for 30
log = logging.getLogger("stateroom.bolt")


class Durable:
    """What `durable` gives for a sync app. It works from the moment it is made; `stop` ends taking up jobs."""

    def __init__(self, app: App, reach: Reach, settings: Settings) -> None:
        self._app = app
        self._reach = reach
        self._settings = settings
        self._runner = app.listener_runner
        self._inner = self._runner.run
        self._lock = threading.Lock()
        self._spine: tuple[int, Spine, asyncio.Task[None]] | None = None  # of the process with that id
        self._runner.run = self.run  # type: ignore[method-assign]
        try:
            self.start()
        except StoreUnavailable as failed:
            log.error("the store cannot be reached; the first request will try again: %s", failed)

    def start(self) -> None:
        """Begin to take up what dead processes left; a request does it, too (after a fork)."""
        self.spine()

    def stop(self) -> None:
        """Take up nothing more. Jobs that run go on."""
        with self._lock:
            if self._spine is not None and self._spine[0] == os.getpid():
                task = self._spine[2]
                self._reach.ask(lambda _: _cancel(task))
            self._spine = None

    def spine(self) -> Spine:
        """This process's share of the jobs."""
        with self._lock:
            if self._spine is None or self._spine[0] != os.getpid():
                self._spine = (os.getpid(), *self._reach.ask(self._begin))
            return self._spine[1]

    async def _begin(self, store: Store) -> tuple[Spine, asyncio.Task[None]]:
        spine = Spine(store, self._settings, self._replay)
        return spine, asyncio.create_task(spine.run())

    async def _replay(self, job: Job) -> None:
        """Bring a kept request to Bolt again, as over Socket Mode: its signature was verified when it came."""
        request = BoltRequest(body=body_of(job), mode="socket_mode", context={JOB: job})
        await asyncio.to_thread(self._app.dispatch, request)

    # --- where Bolt starts a listener

    def run(
        self,
        request: BoltRequest,
        response: BoltResponse,
        listener_name: str,
        listener: Listener,
        starting_time: float | None = None,
    ) -> BoltResponse | None:
        """As `ThreadListenerRunner.run`: start the listener, give what Slack is to be told."""
        team = request.context.team_id or request.context.enterprise_id
        job: Job | None = request.context.get(JOB)
        begun = job is not None and job.started  # it fell through to a second listener, as Bolt lets it
        if request.lazy_only or begun or not is_job(request.body, team):
            return self._inner(request, response, listener_name, listener, starting_time)
        try:
            spine = self.spine()
            if job is None:
                found = self._reach.ask(lambda _: self._claim(spine, request, listener))
                if isinstance(found, Row):
                    return self._answered(spine, found, listener)
                job = request.context[JOB] = found
            job.started = True
            self._guard(request.context.client, job, spine)
            self._responding(request.context, job, spine)
            running = _Running(self, spine, job, listener)
            told = self._inner(request, response, listener_name, running, starting_time)
            if told is not None and told.status == 200 and not job.acked:
                answer = told.body
                self._reach.ask(lambda _: job.acknowledge(answer))
            if told is None and job.acked:  # Bolt forgets an ack when the listener fails right behind it
                return BoltResponse(status=200, body=job.item.get("ack", ""))
        except StateroomError as failed:
            log.error("the request is not on record, Slack is told to send it again: %s", failed)
            return BoltResponse(status=503, body="")
        return told

    async def _claim(self, spine: Spine, request: BoltRequest, listener: Listener) -> Job | Row:
        context = request.context
        team = str(context.team_id or context.enterprise_id)
        acked = listener.auto_acknowledgement
        return await spine.claim(request.body, team=team, user=context.user_id, acked=acked)

    def _answered(self, spine: Spine, row: Row, listener: Listener) -> BoltResponse | None:
        """A redelivery: told what the first one was told."""
        answer = self._reach.ask(lambda _: spine.answer(row, seconds=patience_of(listener)))
        return None if answer is None else BoltResponse(status=200, body=answer)

    # --- what the listener says

    def _guard(self, client: WebClient, job: Job, spine: Spine) -> None:
        """Lead the posts of this request's own client (and so of `say`) through the record of calls."""
        poster = copy.copy(client)
        # slack_sdk would post again after a cut connection, and so say it twice; throttling is no such case.
        poster.retry_handlers = [one for one in client.retry_handlers if "RateLimit" in type(one).__name__]
        poster.timeout = min(client.timeout, spine.settings.call_seconds)  # type: ignore[assignment]  # floats are fine
        direct = client.api_call

        def api_call(api_method: str, **form: Any) -> SlackResponse:
            flow = METHODS.get(api_method)
            if flow is None:
                return direct(api_method, **form)
            poster.token = client.token
            steps = flow(job, api_method, form, spine.clock, poster.timeout * 1.1)
            return _response(self._driven(steps, poster.api_call), poster)

        client.api_call = api_call  # type: ignore[method-assign]

    def _responding(self, context: BoltContext, job: Job, spine: Spine) -> None:
        """The same for `respond`, which goes to an address of its own."""
        direct = context.respond
        if direct is None or direct.response_url is None:
            return

        def respond(*args: Any, **kwargs: Any) -> WebhookResponse:
            steps = METHODS[RESPOND](job, RESPOND, {"args": args, "kwargs": kwargs}, spine.clock, _PATIENCE)
            told = self._driven(steps, lambda _, args, kwargs: direct(*args, **kwargs))
            if isinstance(told, WebhookResponse):
                return told
            return WebhookResponse(url=str(direct.response_url), status_code=200, body="ok", headers={})

        context["respond"] = respond

    def _driven(self, steps: Flow, call: Callable[..., Any]) -> Any:
        given: Any = None
        failed: Exception | None = None
        while True:
            try:
                step = steps.send(given) if failed is None else steps.throw(failed)
            except StopIteration as end:
                return end.value
            given, failed = None, None
            try:
                if isinstance(step, FromStore):
                    work = step.work
                    given = self._reach.ask(lambda _, work=work: work)  # type: ignore[misc]
                else:
                    given = call(step.method, **step.form)
            except Exception as error:  # noqa: BLE001  # into the flow, which decides
                failed = error

    def end(self, spine: Spine, job: Job, error: Exception | None, request: BoltRequest) -> None:
        """Record how a run ended."""
        told = request.context.ack.response
        answer = told.body if told is not None and told.status == 200 else None
        self._reach.ask(lambda _: spine.end(job, error, answer))


class _Running(Listener):
    """A listener as Bolt runs it, and behind it the record of how it ended."""

    def __init__(self, durable: Durable, spine: Spine, job: Job, listener: Listener) -> None:
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

    def run_ack_function(self, *, request: BoltRequest, response: BoltResponse) -> BoltResponse | None:
        # What ends the process or the thread (SystemExit) is no outcome: the lease will run out.
        try:
            return self._run(request, response)
        finally:
            self._spine.let_go(self._job)

    def _run(self, request: BoltRequest, response: BoltResponse) -> BoltResponse | None:
        try:
            returned = self._listener.run_ack_function(request=request, response=response)
        except Exception as error:
            self._durable.end(self._spine, self._job, error, request)
            raise
        self._durable.end(self._spine, self._job, self._lazies(request), request)
        return returned

    def _lazies(self, request: BoltRequest) -> Exception | None:
        """Run them; the error that ended them, of which Bolt tells no error handler either."""
        try:
            for lazy in self._lazy:
                self._run_lazy(lazy, request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the job's record says so
            return error
        return None

    def _run_lazy(self, lazy: Callable[..., None], request: BoltRequest) -> None:
        names = get_arg_names_of_callable(lazy)
        lazy(
            **build_required_kwargs(
                logger=request.context.logger, required_arg_names=names, request=request, response=None, this_func=lazy
            )
        )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _response(value: Any, client: WebClient) -> SlackResponse:
    """Slack's own response, or one made of what is on record."""
    if not isinstance(value, Mapping):
        return value  # type: ignore[no-any-return]
    return SlackResponse(
        client=client, http_verb="POST", api_url="", req_args={}, data=dict(value), headers={}, status_code=200
    )
