"""A thread's history: append a turn, read the newest that fit. One page over the port's logs.

Rules of this file: an append writes the turn and nothing else, at turn 10 and at turn 10,000; no row is rewritten and
no lock is taken, so any number of writers keep every entry, in order (invariant 3). The thread's own row only says that
the thread exists and holds no words. Tombstones keep their place, and the model does not see them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from stateroom.engines.handle import Page
from stateroom.engines.port import Append, Delete, Engine, Query, Rewrite, Row, Truncate, Write, log_id
from stateroom.engines.port import Page as PortPage
from stateroom.engines.steps import together
from stateroom.expr.builder import attr
from stateroom.expr.tree import Condition
from stateroom.layers.threads_entries import (
    DEFINITIONS,
    ENTRIES,
    THREADS,
    WORDS,
    Entry,
    entry_of,
    entry_write,
    messages_of,
    place_of,
    thread_write,
    tombstone_of,
)
from stateroom.layers.threads_portable import Report, export, import_folder, import_lines, teams
from stateroom.model.content import FULL, Content
from stateroom.model.errors import ConditionFailed, InvalidValue
from stateroom.model.ids import check_id, check_key, is_id
from stateroom.model.messages import Messages, decoded, to_text
from stateroom.model.window import Chooser, Window

__all__ = [
    "DEFINITIONS",
    "ENTRIES",
    "THREADS",
    "WORDS",
    "Content",
    "Entries",
    "Entry",
    "Report",
    "Thread",
    "ThreadInfo",
    "Threads",
    "Window",
    "export",
    "import_folder",
    "import_lines",
    "teams",
]

FIRST_PAGE: Final = 16  # entries of the first page where no limit tells how many are needed
LAST_PAGE: Final = 256


class Entries(NamedTuple):
    """Entries of one page, oldest first; `cursor` is the `after` of the next page, None when there is nothing more."""

    items: list[Entry]
    cursor: int | None


class ThreadInfo(NamedTuple):
    """A thread in a list. `turns` counts as `Thread.count` does; `last_at` is None where nothing is kept."""

    id: str
    channel: str
    thread_ts: str
    created_at: int
    turns: int
    last_at: float | None


class Thread:
    """The history of one thread of one team. InvalidId when an id is not of Slack's shape."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        team: str,
        channel: str,
        thread_ts: str,
        *,
        content: Content = FULL,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._content = content
        self._place = place_of(team, channel, thread_ts)
        self._followed = False
        self.id: Final = self._place.stream

    async def append(
        self, messages: Messages, *, turn_id: str, author: str | None = None, ts: str | None = None
    ) -> int:
        """Adds what a turn said; returns its number, from 1. The same turn again gives the first number, unchanged.

        With the content setting `none` nothing is kept and the number is 0; the thread is followed all the same.
        InvalidValue names the position of a message that is none.
        """
        known = self._followed
        writes = self.writes(messages, turn_id=turn_id, author=author, ts=ts)
        if not writes:
            return 0
        (done, *_) = await together(self._engine, writes)
        self._followed = True
        if not isinstance(writes[0], Append):
            return 0
        assert done.row is not None
        if known and done.changed and done.row.version == 1:  # somebody erased the thread since we made its row
            await self._engine.commit([self.follow()])
        return done.row.version

    def writes(
        self, messages: Messages, *, turn_id: str, author: str | None = None, ts: str | None = None
    ) -> list[Write]:
        """The same as writes, to be committed with others. The append is the first, unless nothing is to be kept."""
        append = entry_write(
            self._place,
            turn_id,
            at=self._clock(),
            content=self._content,
            text=to_text(messages),
            author=author,
            ts=ts,
        )
        kept: list[Write] = [] if self._content.kind == "none" else [append]
        return kept if self._followed else [*kept, self.follow()]

    def follow(self) -> Write:
        """The write that makes the thread known, without any words; a thread that is known stays as it is."""
        return thread_write(self._place, self._clock())

    async def known(self) -> bool:
        """Whether the thread is followed or has been appended to."""
        (row,) = await self._engine.get(THREADS.name, self._place.team, [self.id])
        return row is not None

    async def messages(self, *, max_tokens: int | None = None, limit: int | None = None) -> Window:
        """The newest messages that fit into `limit` messages and about `max_tokens` tokens, oldest first.

        Neither budget is ever exceeded, and no tool call is separated from its return (see `model.window.Chooser`).
        """
        chooser = Chooser(limit=limit, max_tokens=max_tokens)

        def choose(text: object) -> bool:
            return chooser.add(decoded(text))

        # Two messages a turn are the rule, so that half of the limit is mostly one page and exactly enough.
        size = FIRST_PAGE if limit is None else min(-(-limit // 2), LAST_PAGE)
        after: tuple[int, ...] | None = None
        while True:
            page = await self._page(size, after=after, descending=True)
            for index, row in enumerate(page.rows):
                room = messages_of(row, choose)
                if room is False:
                    return chooser.window(more=index + 1 < len(page.rows) or page.position is not None)
            if page.position is None:
                return chooser.window()
            after, size = page.position, min(size * 2, LAST_PAGE)

    async def entries(self, *, after: int = 0, limit: int = 100) -> Entries:
        """Turns behind number `after`, oldest first, tombstones included."""
        if limit < 1:
            raise InvalidValue("limit", "must be 1 or more")
        page = await self._page(limit, after=(after,))
        return Entries([entry_of(row) for row in page.rows], None if page.position is None else int(page.position[0]))

    async def count(self) -> int:
        """How many turns there are, tombstones included: those from the oldest that is kept to the newest."""
        return (await self.extent())[0]

    async def first(self) -> Entry | None:
        """The oldest turn that still has its words."""
        page = await self._page(1, condition=attr("tombstone").not_exists())
        return entry_of(page.rows[0]) if page.rows else None

    async def tombstone(self, ts_or_turn: str) -> bool:
        """The words of the turn with that turn id, or that Slack message, go; its place stays. Whether it was there."""
        row = await self._turn(check_key(ts_or_turn, "ts_or_turn"))
        if row is None:
            return False
        write = Rewrite(ENTRIES.name, self._place.team, self.id, row.version, tombstone_of(row.item))
        try:
            await self._engine.commit([write])
        except ConditionFailed:  # erased in between: the words are gone
            return False
        return True

    async def erase(self) -> int:
        """Everything of the thread goes, its numbering too; how many turns it had."""
        turns = await self.count()
        team = self._place.team
        gone: list[Write] = [Truncate(ENTRIES.name, team, self.id), Delete(THREADS.name, team, self.id)]
        await together(self._engine, gone)
        self._followed = False
        return turns

    async def extent(self) -> tuple[int, Row | None]:
        """How many turns, and the newest."""
        newest = (await self._page(1, descending=True)).rows
        if not newest:
            return 0, None
        oldest = (await self._page(1)).rows
        first = oldest[0].version if oldest else newest[0].version
        return newest[0].version - first + 1, newest[0]

    async def _turn(self, ts_or_turn: str) -> Row | None:
        team = self._place.team
        (row,) = await self._engine.get(ENTRIES.name, team, [log_id(self.id, ts_or_turn)])
        if row is None and is_id("ts", ts_or_turn):
            found = await self._page(1, descending=True, condition=attr("ts") == ts_or_turn)
            row = found.rows[0] if found.rows else None
        return row

    async def _page(
        self,
        limit: int,
        *,
        after: tuple[int, ...] | None = None,
        descending: bool = False,
        condition: Condition | None = None,
    ) -> PortPage:
        query = Query(
            ENTRIES.name,
            self._place.team,
            limit,
            equals=(self.id,),
            after=after,
            descending=descending,
            condition=condition,
        )
        return await self._engine.query(query)


class Threads:
    """The threads of one team."""

    def __init__(self, engine: Engine, clock: Callable[[], float], team: str, *, content: Content = FULL) -> None:
        self._engine = engine
        self._clock = clock
        self._content = content
        self.team: Final = check_id("team", team)

    def thread(self, channel: str, thread_ts: str) -> Thread:
        """One thread; nothing is read or made yet."""
        return Thread(self._engine, self._clock, self.team, channel, thread_ts, content=self._content)

    async def list(self, *, channel: str | None = None, after: str | None = None, limit: int = 100) -> Page[ThreadInfo]:
        """Threads by channel and time, from the one behind id `after`."""
        if limit < 1:
            raise InvalidValue("limit", "must be 1 or more")
        prefix = None if channel is None else check_id("channel", channel)
        query = Query(
            THREADS.name,
            self.team,
            limit,
            low=None if prefix is None else f"{prefix}:",
            high=None if prefix is None else f"{prefix};",  # the character behind the colon
            after=None if after is None else (check_key(after, "after"),),
        )
        page = await self._engine.query(query)
        infos = [await self._info(row) for row in page.rows]
        return Page(infos, None if page.position is None else str(page.position[0]))

    async def _info(self, row: Row) -> ThreadInfo:
        channel, _, thread_ts = row.id.partition(":")
        turns, newest = await self.thread(channel, thread_ts).extent()
        return ThreadInfo(
            row.id,
            channel,
            thread_ts,
            int(row.item["created_at"]),
            turns,
            None if newest is None else float(newest.item["at"]),
        )
