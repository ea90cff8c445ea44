"""One process's share of an app's jobs: it claims, holds and ends them, and takes up what dead processes left.

Rules of this file: async, and of no Bolt face; a listener is run by whoever is handed in as `replay`. Holding is
renewing: a process that stops renewing loses its jobs to others, whose runs are safe by the jobs' tokens, not by time.
Logs name jobs and reasons, never a word of a request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from slack_sdk.errors import SlackApiError

from stateroom.bolt.calls import meaning
from stateroom.bolt.requests import what_of
from stateroom.engines.port import Row
from stateroom.layers.jobs import Job, Jobs
from stateroom.model.errors import KeyMissing, LeaseLost, SealBroken, StateroomError
from stateroom.store import Store

CRASHES: Final = 10  # a job that was begun this often in a row and never ended kills its process, or opens nowhere
JOB: Final = "stateroom_job"  # under which a request's context holds its job
_LOOK: Final = 0.05  # seconds between two looks at a job that another process runs
log = logging.getLogger("stateroom.bolt")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `durable` is told. Seconds are floats."""

    name: str = "app"  # apps that share a store have different names
    lease_seconds: float = 10.0
    poll_seconds: float = 0.5
    attempts: int = 4
    backoff_seconds: float = 1.0
    call_seconds: float = 10.0  # patience with one post; after it a rerun looks whether Slack shows it
    at_once: int = 16  # jobs that a process holds before it takes up no others


class Spine:
    """The jobs that this process holds, and the loop that keeps them and finds more."""

    def __init__(self, store: Store, settings: Settings, replay: Callable[[Job], Awaitable[None]]) -> None:
        self.settings = settings
        self.clock = store.clock
        self._replay = replay
        self._jobs = Jobs(
            store.engine, store.clock, settings.name, seconds=settings.lease_seconds, content=store.content
        )
        self._held: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- one job

    async def claim(self, body: Mapping[str, Any], *, team: str, user: str | None, acked: bool) -> Job | Row:
        """The job of a request, durable and ours; or its row, when another has it or it is over."""
        found = await self._jobs.claim(team, body, what=what_of(body), user=user, acked=acked)
        if isinstance(found, Job):
            self._held[found.id] = found
        return found

    async def answer(self, row: Row, *, seconds: float) -> str | None:
        """What Slack is told of a job that somebody else runs; None when that is not known within `seconds`."""
        ends = self.clock() + seconds
        found: Row | None = row
        while found is not None and not found.item["acked"]:
            if self.clock() >= ends:
                return None
            await asyncio.sleep(_LOOK)
            found = await self._jobs.get(row.team, row.id)
        return None if found is None else str(found.item.get("ack", ""))

    async def end(self, job: Job, error: Exception | None, answer: str | None) -> None:
        """The run is over. `answer`: what the listener told Slack, if it did."""
        self._held.pop(job.id, None)
        try:
            if error is None:
                await job.finish(answer)
                log.debug("job done: %s", job.id)
            elif not isinstance(error, LeaseLost):
                await self._failed(job, error, answer)
        except LeaseLost as lost:
            log.warning("job taken by another process: %s", lost)

    def let_go(self, job: Job) -> None:
        """Hold it no longer, if it is held: a run that was cut off has no outcome, and its lease is to run out."""
        if self._held.get(job.id) is job:
            del self._held[job.id]

    async def _failed(self, job: Job, error: Exception, answer: str | None) -> None:
        reason, final, asked = _reason(error)
        attempts = int(job.item.get("attempts", 0)) + 1
        told = job.acked or answer is not None  # else Slack shows the error, and a rerun would surprise
        over = final or not told or attempts >= self.settings.attempts
        again = None if over else max(asked, _backoff(attempts, self.settings.backoff_seconds))
        await job.fail(reason, again=again, answer=answer)
        log.warning("job %s: %s (%s, try %d)", "failed" if over else "to be tried again", job.id, reason, attempts)

    # --- the loop

    async def run(self) -> None:
        """Renew what is held, take up what is due, until cancelled."""
        while True:
            try:
                await self._renew()
                await self._look()
            except StateroomError as failed:
                log.error("the store cannot be used: %s", failed)
            await asyncio.sleep(min(self.settings.poll_seconds, self.settings.lease_seconds / 6))

    async def _renew(self) -> None:
        for job in list(self._held.values()):
            if self.clock() - job.renewed_at < self.settings.lease_seconds / 3:
                continue
            try:
                await job.renew()
            except LeaseLost as lost:
                self._held.pop(job.id, None)
                log.warning("job taken by another process: %s", lost)

    async def _look(self) -> None:
        free = self.settings.at_once - len(self._held)
        for row in await self._jobs.due(free) if free > 0 else ():
            try:
                job = await self._jobs.take(row)
            except (KeyMissing, SealBroken) as failed:  # others are not held up, and another process may have the key
                log.error("job cannot be opened: %s (%s)", row.id, failed)
                if int(row.item.get("claims", 0)) >= CRASHES:
                    await self._jobs.set_aside(row, type(failed).__name__)
                continue
            if job is None:
                continue
            if (hopeless := _hopeless(job)) is not None:
                await job.fail(hopeless, again=None)
                log.warning("job failed: %s (%s)", job.id, hopeless)
                continue
            log.info("job taken up: %s", job.id, extra={"claims": job.item["claims"]})
            self._held[job.id] = job
            task = asyncio.create_task(self._rerun(job))
            self._tasks.add(task)
            task.add_done_callback(lambda done, job=job: self._reran(job, done))  # type: ignore[misc]

    def _reran(self, job: Job, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a defect of ours or of Bolt's: no longer held, so it comes again within bounds
            self._held.pop(job.id, None)
            log.error("job not brought to its listener: %s (%s)", job.id, type(error).__name__)

    async def _rerun(self, job: Job) -> None:
        await self._replay(job)
        if not job.started:  # no listener takes it any more, or the app is not installed there
            await self.end(job, NotRun(), None)


class NotRun(StateroomError):
    """A request led to no listener: its code is gone, or the workspace is."""


def body_of(job: Job) -> dict[str, Any]:
    """The request, as it was kept."""
    return dict(json.loads(job.item["body"]))


def _hopeless(job: Job) -> str | None:
    """Why a job that nobody runs is not begun again."""
    if not job.acked:
        return "unacknowledged"  # the process died before Slack was told, so the person was told that it failed
    if "body" not in job.item:
        return "erased"
    return "crashed" if int(job.item["claims"]) > CRASHES else None


def _reason(error: Exception) -> tuple[str, bool, float]:
    """The name of a failure, whether it is final, and the seconds that the other side asked for."""
    told: Exception = meaning("api", error) if isinstance(error, SlackApiError) else error
    name = str(getattr(told, "code", "") or type(told).__name__)
    final = told is not error and not getattr(told, "retryable", False)
    return name, final, float(getattr(told, "retry_after", 0.0) or 0.0)


def _backoff(attempt: int, base: float) -> float:
    """Seconds until the next try: doubled, at most a minute, half of it jitter."""
    top = min(60.0, base * 2.0 ** (attempt - 1))
    return top / 2 + random.random() * top / 2
