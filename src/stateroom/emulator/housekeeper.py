"""What a local Slack does by itself: clocks that run out, the live strip, the bot's presence, the bot's turns.

Rules of this file: loops and nothing to decide. Each loop ends when the workspace closes.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

from stateroom.emulator import bots
from stateroom.emulator.lines import HTTP
from stateroom.emulator.workspace import Workspace
from stateroom.model.errors import StateroomError

LOG = logging.getLogger(__name__)

TICK_SECONDS = 0.25
TURNS_KEPT = 200
WATCH_AGAIN_SECONDS = 2.0


class Housekeeper:
    """Runs the loops of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._counts: dict[str, int] = {}
        self._pid: int | None = None
        self._restarts = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._look_after_bots())]
        if self._workspace.config.watch is not None:
            self._tasks.append(asyncio.create_task(self._watch_turns()))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._workspace.closing.wait()
        except TimeoutError:
            return

    async def _tick(self) -> None:
        while not self._workspace.closing.is_set():
            try:
                await self._workspace.tick()
            except StateroomError as error:
                LOG.error("a local Slack tick failed: %s", error)
            self._tell_counts()
            await self._pause(TICK_SECONDS)

    def _tell_counts(self) -> None:
        if self._workspace.feed.readers == 0:
            return
        counts = self._workspace.counts()
        if counts != self._counts:
            self._counts = counts
            self._workspace.feed.publish({"type": "stats", **counts})

    async def _look_after_bots(self) -> None:
        while not self._workspace.closing.is_set():
            if self._workspace.feed.readers > 0:
                await self.look()
            await self._pause(bots.LOOK_SECONDS)

    async def look(self) -> None:
        """One look at the bots, for the page."""
        by_http = [
            (app.app_id, app.event_url)
            for app in self._workspace.world.apps.values()
            if self._workspace.lines.transport(app) == HTTP and app.event_url and urlsplit(app.event_url).hostname
        ]
        more = self._process() if by_http else {}  # told once: not before there is an app to tell it of
        for app_id, address in by_http:
            self._workspace.set_online(app_id, await bots.listens(address), **more)

    def _process(self) -> dict[str, object]:
        """The bot's pid and how often it came back, when that changed."""
        pid = bots.read_pid(self._workspace.config.bot_pid_file)
        if pid is None or pid == self._pid:
            return {}
        self._restarts += self._pid is not None
        self._pid = pid
        return {"pid": pid, "restarts": self._restarts}

    async def _watch_turns(self) -> None:
        watch = self._workspace.config.watch
        while watch is not None and not self._workspace.closing.is_set():
            try:
                async for turn in watch():
                    self._tell_turn(dict(turn))
            except (StateroomError, OSError) as error:
                LOG.warning("the turns cannot be watched now: %s", error)
            await self._pause(WATCH_AGAIN_SECONDS)

    def _tell_turn(self, turn: dict[str, object]) -> None:
        turns = self._workspace.turns
        turns[str(turn.get("id"))] = turn
        turns.move_to_end(str(turn.get("id")))
        if len(turns) > TURNS_KEPT:
            turns.popitem(last=False)
        self._workspace.feed.publish({"type": "turn", "turn": turn})
