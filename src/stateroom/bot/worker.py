"""The worker: finds conversations with something due, takes their lease, and lets `Lane` work.

Rules of this file: finding work is only a hint; the lease decides. Leases are renewed while a lane works, and the
work is cancelled at once when a renewal says that somebody else has it. A defect in one lane ends that lane's task,
is logged without content, and the turn is taken up again when the lease has run out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final, Protocol

from stateroom.bot.lane import Identity, Lane, Tools
from stateroom.bot.responder import Responder
from stateroom.bot.speaker import Slack
from stateroom.bot.turn import backoff, step
from stateroom.engines import leases
from stateroom.engines.leases import Lease
from stateroom.engines.port import Row
from stateroom.layers.inbox import Inbox, waits
from stateroom.model.errors import LeaseLost, SlackError, StateroomError, Throttled

_PAGE: Final = 50
_PAGES: Final = 20  # how far a poll looks past conversations that others hold
log = logging.getLogger("stateroom.worker")


class Tester(Slack, Protocol):
    """A Slack client that can also say who it is."""

    async def auth_test(self, *, deadline: float) -> dict[str, Any]:
        """Slack's `auth.test`."""


class Worker:
    """Answers what is due. One a process is enough; any number of processes may run."""

    def __init__(self, tools: Tools, slack: Tester | None, responder: Responder) -> None:
        self._tools = tools
        self._slack = slack
        self._responder = responder
        self._inbox = Inbox(tools.engine, tools.clock)
        self._holder = secrets.token_hex(6)
        self._lanes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._after: tuple[Any, ...] | None = None  # where the last look ended, if before the end
        self.identity: Identity | None = None

    def wake(self) -> None:
        """There may be something to do now."""
        self._wake.set()

    def serves(self, team: str) -> bool | None:
        """Whether the team is ours; None while Slack has not said who we are."""
        if self._slack is None:
            return False
        return None if self.identity is None else self.identity.team == team

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then lanes get a moment to end, and what is left is handed back."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await self._settle(stopping)
            while not stop.is_set():
                self._wake.clear()
                busy = await self._look()
                await self._pause(stopping, 0.0 if busy else self._tools.config.poll_seconds)
        finally:
            stopping.cancel()
            await self._hand_back()

    async def _settle(self, stopping: asyncio.Task[Any]) -> None:
        """Learn from `auth.test` which team the token is for; until then events only queue."""
        tries = 0
        while self._slack is not None and self.identity is None and not stopping.done():
            tries += 1
            try:
                said = await self._slack.auth_test(deadline=self._tools.clock() + 10.0)
            except (SlackError, Throttled) as failed:
                wait = backoff(tries, 0.5, self._tools.chance, asked=getattr(failed, "retry_after", 0.0), cap=30.0)
                log.warning("Slack does not say who we are: %s; next try in %.1f s", failed, wait)
                await self._pause(stopping, wait, woken=False)
                continue
            self.identity = Identity(str(said["team_id"]), str(said["user_id"]), str(said.get("bot_id") or ""))
            log.info("serving team %s as %s", self.identity.team, self.identity.user)

    async def _pause(self, stopping: asyncio.Task[Any], seconds: float, *, woken: bool = True) -> None:
        """Until woken, stopped, or `seconds` later."""
        waking = asyncio.create_task(self._wake.wait()) if woken else stopping
        await asyncio.wait({stopping, waking}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if woken:
            waking.cancel()

    async def _look(self) -> bool:
        """Begin every due lane that is free, up to the limit; whether one was begun."""
        begun, after, seen = False, self._after, set[tuple[str, str]]()
        self._after = None
        for _ in range(_PAGES):
            try:
                rows, after = await self._inbox.due(limit=_PAGE, after=after)
            except StateroomError as failed:
                log.error("the store cannot be read: %s", failed)
                return False
            for row in rows:
                key = (row.team, str(row.item["lane"]))
                if key not in seen:
                    seen.add(key)
                    begun |= await self._begin(row)
            if after is None or len(self._lanes) >= self._tools.config.concurrency:
                return begun
        self._after = after  # else conversations behind a thousand waiting rows would never be seen
        return begun

    async def _begin(self, row: Row) -> bool:
        key = (row.team, str(row.item["lane"]))
        if key in self._lanes or len(self._lanes) >= self._tools.config.concurrency:
            return False
        if self.serves(row.team) is not True:
            await self._drop(row)
            return False
        config = self._tools.config
        try:
            head = await self._inbox.lane(*key, limit=1)
            if not head or waits(head[0], self._tools.clock()):
                return False  # a lease would be two commits for nothing, at every look
            lease = await leases.acquire(
                self._tools.engine,
                self._tools.clock,
                row.team,
                f"lane:{key[1]}",
                holder=self._holder,
                seconds=config.lease_seconds,
            )
        except StateroomError as failed:
            log.error("no lease: %s", failed)
            return False
        if lease is None:
            return False
        task = asyncio.create_task(self._work(lease, key[1]))
        self._lanes[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return True

    async def _drop(self, row: Row) -> None:
        """A team that is not installed: nothing is said, nothing is kept."""
        if row.item["state"] != "received":
            return
        log.warning("turn dropped: team %s is not installed", row.team)
        try:
            closing = self._inbox.close(row, step("received", "withdraw"), "not_installed")
            await self._tools.engine.commit([closing])
        except StateroomError as failed:
            log.debug("not dropped: %s", failed)  # somebody else did, or the next look will

    async def _work(self, lease: Lease, name: str) -> None:
        assert self._slack is not None
        assert self.identity is not None
        lane = Lane(self._tools, lease, name, slack=self._slack, identity=self.identity, responder=self._responder)
        work = asyncio.create_task(lane.run())
        try:
            await self._renew_while(work, lease)
            await work
        except LeaseLost as lost:
            log.warning("%s", lost)
            return
        finally:
            work.cancel()
            await asyncio.wait({work})
        await lease.release()

    async def _renew_while(self, work: asyncio.Task[None], lease: Lease) -> None:
        """Keep the lease as long as `work` runs; LeaseLost when it is gone."""
        seconds = self._tools.config.lease_seconds
        while True:
            await asyncio.wait({work}, timeout=seconds / 3)
            if work.done():
                return
            await lease.renew(seconds)

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        del self._lanes[key]
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StateroomError):
            log.error("lane ended: %s", error)
        elif error is not None:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
            log.error("lane ended by a defect: %s at %s", type(error).__name__, place)  # its words may hold content

    async def _hand_back(self) -> None:
        """Let lanes end by themselves for a moment, then cancel; their leases run out or are let go."""
        tasks = set(self._lanes.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._tools.config.lease_seconds / 2)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


def responder_of(tools: Tools) -> Responder:
    """The responder that the settings name."""
    from stateroom.bot.responder import Offline

    config = tools.config
    if config.model == "offline":
        return Offline(config.offline_pace)
    from stateroom.bot.model import Agent

    return Agent(config)


Clock = Callable[[], float]
