"""The worker: finds conversations with something due, takes their lease, and lets `Lane` work.

Rules of this file: finding work is only a hint; the lease decides. Leases are renewed while a lane works, and the
work is cancelled at once when a renewal says that somebody else has it, or when the app was removed from the team. A
defect in one lane ends that lane's task, is logged without content, and the turn is taken up again when the lease has
run out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from stateroom.bot.asking import place_of
from stateroom.bot.directory import Directory
from stateroom.bot.lane import Lane, Tools
from stateroom.bot.responder import Responder
from stateroom.bot.turn import step
from stateroom.bot.voices import Own, Voice, Voices
from stateroom.engines import leases
from stateroom.engines.leases import Lease
from stateroom.engines.port import Row
from stateroom.layers.inbox import Inbox, waits
from stateroom.model.errors import LeaseLost, StateroomError

_PAGE: Final = 50
_PAGES: Final = 20  # how far a poll looks past conversations that others hold
_AWAY: Final = 0.25  # of a lease: how long a conversation that another worker holds is not asked for again
log = logging.getLogger("stateroom.worker")


class Worker:
    """Answers what is due. One a process is enough; any number of processes may run."""

    def __init__(self, tools: Tools, directory: Directory, voices: Voices, own: Own, responder: Responder) -> None:
        self._tools = tools
        self._directory = directory
        self._voices = voices
        self._own = own
        self._responder = responder
        self._inbox = Inbox(tools.engine, tools.clock)
        self._holder = secrets.token_hex(6)
        self._lanes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._away: dict[tuple[str, str], float] = {}  # conversations that others hold, and until when to leave them
        self._wake = asyncio.Event()
        self._after: tuple[Any, ...] | None = None  # where the last look ended, if before the end

    def wake(self) -> None:
        """There may be something to do now."""
        self._wake.set()

    def leave(self, team: str) -> None:
        """The app was removed from the team, or its token revoked: whatever is being said there ends."""
        for key, task in self._lanes.items():
            if key[0] == team:
                task.cancel()
        self._wake.set()

    async def run(self, stop: asyncio.Event, *, idle: float | None = None) -> None:
        """Work until `stop`; then lanes get a moment to end, and what is left is handed back.

        `idle`: seconds without work after which it ends by itself, for a process that is let run now and then.
        """
        stopping = asyncio.create_task(stop.wait())
        settling = asyncio.create_task(self._own.settle(self.wake))
        settling.add_done_callback(lambda done: _end_by_defect(done, stop))
        rested = self._tools.clock()
        try:
            while not stop.is_set():
                self._wake.clear()
                busy = await self._look()
                if busy or self._lanes or not self._own.known:
                    rested = self._tools.clock()
                elif idle is not None and self._tools.clock() - rested >= idle:
                    break
                await self._pause(stopping, 0.0 if busy else self._tools.config.poll_seconds)
        finally:
            stopping.cancel()
            settling.cancel()
            await self._hand_back()
            await asyncio.wait({settling})
        if not settling.cancelled():
            settling.result()  # a defect ends the process, visibly

    async def _pause(self, stopping: asyncio.Task[Any], seconds: float) -> None:
        """Until woken, stopped, or `seconds` later."""
        waking = asyncio.create_task(self._wake.wait())
        await asyncio.wait({stopping, waking}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()

    async def _look(self) -> bool:
        """Begin every due lane that is free, up to the limit; whether one was begun."""
        begun, after, seen = False, self._after, set[tuple[str, str]]()
        self._after = None
        now = self._tools.clock()
        self._away = {key: until for key, until in self._away.items() if until > now}
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
        if key in self._lanes or key in self._away or len(self._lanes) >= self._tools.config.concurrency:
            return False
        config = self._tools.config
        try:
            served = self._directory.serves(row.team)
            if served is None:
                served = await self._directory.look(row.team)
            if not served:
                await self._drop(row, known=served is False)
                return False
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
            log.error("not begun: %s", failed)
            return False
        if lease is None:  # they go on to the end of it; each look is three reads, which somebody pays for
            self._away[key] = self._tools.clock() + config.lease_seconds * _AWAY
            return False
        task = asyncio.create_task(self._work(lease, key[1]))
        self._lanes[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return True

    async def _drop(self, row: Row, *, known: bool) -> None:
        """A team that is not installed: nothing is said, nothing is kept. It waits while that is not `known`."""
        if row.item["state"] != "received" or not known:
            return
        log.warning("turn dropped: team %s is not installed", row.team)
        try:
            closing = self._inbox.close(row, step("received", "withdraw"), "not_installed")
            await self._tools.engine.commit([closing])
        except StateroomError as failed:
            log.debug("not dropped: %s", failed)  # somebody else did, or the next look will

    async def _work(self, lease: Lease, name: str) -> None:
        async with self._voices.of(lease.team) as voice:
            if voice is None:
                self._directory.forget(lease.team)  # it was uninstalled just now: the next look drops what waits
            elif not await self._speak(lease, name, voice):
                return
        await lease.release()

    async def _speak(self, lease: Lease, name: str, voice: Voice) -> bool:
        """Let the lane work; False when somebody else has it."""
        lane = Lane(self._tools, lease, name, slack=voice.slack, identity=voice.identity, responder=self._responder)
        work = asyncio.create_task(lane.run())
        try:
            await self._renew_while(work, lease)
            await work
        except LeaseLost as lost:
            log.warning("%s", lost)
            return False
        finally:
            work.cancel()
            await asyncio.wait({work})
        return True

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
            log.error("lane ended by a defect: %s at %s", type(error).__name__, place_of(error))  # words may be content

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


def _end_by_defect(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    if not task.cancelled() and task.exception() is not None:
        stop.set()


Clock = Callable[[], float]
