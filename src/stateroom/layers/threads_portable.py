"""Histories out of a store and into one: JSON Lines, and the folder that an older bot left.

Rules of this file: a line is one turn and stands alone; nothing in it depends on the store it came from, so that a
copy exports the same bytes. Importing again changes nothing, because each turn brings its id. A bad line is reported
with its number and its reason, never with its words, and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from stateroom.engines.port import Append, Engine, Put, Query, Row, Write
from stateroom.engines.steps import together
from stateroom.layers.threads_entries import (
    ENTRIES,
    THREADS,
    Place,
    entry_write,
    messages_of,
    place_of,
    thread_write,
)
from stateroom.model.content import FULL, Content
from stateroom.model.errors import InvalidValue, ItemTooLarge, StateroomError, WrongUse
from stateroom.model.ids import check_id
from stateroom.model.messages import FORMAT, VERSION, check_format, from_text, to_text, turns_of

PAGE: Final = 100
BATCH: Final = 100  # turns a commit when importing
LAST_KEY: Final = "\U0010ffff" * 256  # behind every key: 1,024 bytes of the highest character


class Line(msgspec.Struct, omit_defaults=True):
    """One line of an export. The order of the fields is the order in the line."""

    team: str
    channel: str
    thread_ts: str
    turn_id: str
    created_at: int | None = None
    at: int | Decimal | None = None
    author: str | None = None
    ts: str | None = None
    format: str = ""
    version: int = 0
    tombstone: bool = False
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Bad(NamedTuple):
    """What was not imported: the line's number from 1 (or the file's name), and why."""

    where: str
    reason: str


class Report(NamedTuple):
    """What an import did. `repeated`: turns that were there; `expired`: too old for the content setting."""

    imported: int
    repeated: int
    expired: int
    bad: list[Bad]


_lines: Final = msgspec.json.Decoder(Line, float_hook=Decimal)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


async def teams(engine: Engine) -> list[str]:
    """The teams that have threads, in order: one short look each."""
    found: list[str] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = await engine.query(Query(THREADS.name, None, 1, after=after, whole=True))
        if not page.rows:
            return found
        found.append(page.rows[0].team)
        after = (found[-1], LAST_KEY)


async def export(
    engine: Engine, *, team: str | None = None, channel: str | None = None, thread_ts: str | None = None
) -> AsyncIterator[bytes]:
    """Every turn as one line of JSON with its line end, by team, channel, thread and number.

    Damaged entries raise CorruptData or FormatTooNew: an export that left them out would look whole.
    """
    chosen = [check_id("team", team)] if team is not None else await teams(engine)
    for one in chosen:
        async for row in _threads(engine, one, channel, thread_ts):
            place = place_of(row.team, row.item.get("channel"), row.item.get("thread_ts"))
            async for entry in _pages(engine, Query(ENTRIES.name, one, PAGE, equals=(place.stream,))):
                yield _line_of(place, int(row.item["created_at"]), entry)


async def import_lines(
    engine: Engine,
    clock: Callable[[], float],
    lines: Iterable[bytes | str] | AsyncIterable[bytes | str],
    *,
    content: Content = FULL,
) -> Report:
    """Reads what `export` wrote; also lines with no more than team, channel, thread_ts, turn_id and messages.

    `content` decides how long turns are kept, counted from when they were said. WrongUse when it is `none`.
    """
    importer = _Importer(engine, clock, content)
    number = 0
    async for line in _each(lines):
        number += 1
        turn = importer.turn_of_line(f"line {number}", line) if line.strip() else None
        if turn is not None:
            await importer.add(turn)
    return await importer.finish()


async def import_folder(
    engine: Engine,
    clock: Callable[[], float],
    folder: str | Path,
    *,
    team: str,
    channel: str,
    content: Content = FULL,
) -> Report:
    """Reads `<thread_ts>.json` files, each an array of pydantic-ai messages, in `folder` or its subfolder `threads`.

    Each becomes a thread of `team` and `channel`, one entry a turn. A file that grew since brings only what is new.
    """
    check_id("team", team)
    check_id("channel", channel)
    importer = _Importer(engine, clock, content)
    for path in await asyncio.to_thread(_files, Path(folder)):
        for turn in await asyncio.to_thread(importer.turns_of_file, path, team, channel):
            await importer.add(turn)
    return await importer.finish()


class _Turn(NamedTuple):
    """The writes of one turn, and where it was read."""

    where: str
    append: Append
    thread: Put


class _Importer:
    """Collects writes into commits, counts what they did, and keeps what was refused."""

    def __init__(self, engine: Engine, clock: Callable[[], float], content: Content) -> None:
        if content.kind == "none":
            raise WrongUse("the content setting is none, so no history may be imported; set it to full or ttl:<time>")
        self._engine = engine
        self._clock = clock
        self._content = content
        self._waiting: list[_Turn] = []
        self._imported = 0
        self._repeated = 0
        self._expired = 0
        self._bad: list[Bad] = []
        atomic = engine.capabilities.atomic_rows
        self._size = BATCH if atomic in (None, 1) else max(1, min(BATCH, atomic // 2))

    def turn_of_line(self, where: str, line: bytes | str) -> _Turn | None:
        """The turn of an exported line; None when it was refused and noted."""
        try:
            return self._line(where, line)
        except StateroomError as error:
            self._bad.append(Bad(where, str(error)))
            return None

    def turns_of_file(self, path: Path, team: str, channel: str) -> list[_Turn]:
        """The turns of a file of messages; none when it was refused and noted."""
        try:
            place = place_of(team, channel, path.stem)
            turns = turns_of(to_text(path.read_bytes()))
            return [self._found(path.name, place, number, turn) for number, turn in enumerate(turns, start=1)]
        except (StateroomError, OSError) as error:
            reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            self._bad.append(Bad(path.name, reason))
            return []

    async def add(self, turn: _Turn) -> None:
        """Takes a turn that is not too old; commits when there are enough."""
        expires_at = turn.append.expires_at
        if expires_at is not None and expires_at <= self._clock():
            self._expired += 1
            return
        self._waiting.append(turn)
        if len(self._waiting) >= self._size:
            await self._flush()

    async def finish(self) -> Report:
        """Commits what waits, and tells what was done."""
        await self._flush()
        return Report(self._imported, self._repeated, self._expired, self._bad)

    def _line(self, where: str, line: bytes | str) -> _Turn:
        try:
            read = _lines.decode(line)
        except msgspec.ValidationError as error:
            raise InvalidValue("line", f"is not an exported turn: {error}") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise InvalidValue("line", "is not JSON") from None
        place = place_of(read.team, read.channel, read.thread_ts)
        if read.format or read.version:
            check_format(read.format, read.version, "line")
        at = self._clock() if read.at is None else float(read.at)
        text = None if read.tombstone else to_text(b"" if read.messages is msgspec.UNSET else bytes(read.messages))
        append = entry_write(
            place, read.turn_id, at=at, content=self._content, text=text, author=read.author, ts=read.ts
        )
        return _Turn(where, append, thread_write(place, at if read.created_at is None else read.created_at))

    def _found(self, name: str, place: Place, number: int, text: str) -> _Turn:
        started = float(place.thread_ts)
        turn_id = f"import:{place.thread_ts}:{number:06d}"
        at = _said_at(from_text(text)) or started
        append = entry_write(place, turn_id, at=at, content=self._content, text=text)
        return _Turn(f"{name}, turn {number}", append, thread_write(place, started))

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            await self._commit(waiting)
        except ItemTooLarge:  # the batch was refused as a whole, so each turn says for itself
            for turn in waiting:
                await self._alone(turn)

    async def _alone(self, turn: _Turn) -> None:
        try:
            await self._commit([turn])
        except ItemTooLarge as error:
            self._bad.append(Bad(turn.where, str(error)))

    async def _commit(self, turns: list[_Turn]) -> None:
        writes: list[Write] = [write for turn in turns for write in (turn.append, turn.thread)]
        for done in (await together(self._engine, writes))[::2]:
            self._imported += done.changed
            self._repeated += not done.changed


def _line_of(place: Place, created_at: int, row: Row) -> bytes:
    item = row.item
    words = messages_of(row, from_text)
    line = Line(
        team=place.team,
        channel=place.channel,
        thread_ts=place.thread_ts,
        turn_id=row.id.partition("/")[2],
        created_at=created_at,
        at=item.get("at"),
        author=item.get("author"),
        ts=item.get("ts"),
        format=FORMAT,
        version=VERSION,
        tombstone=words is None,
        messages=msgspec.UNSET if words is None else msgspec.Raw(item["messages"].encode()),
    )
    return _encoder.encode(line) + b"\n"


async def _threads(engine: Engine, team: str, channel: str | None, thread_ts: str | None) -> AsyncIterator[Row]:
    """The rows of a team's threads in order of their ids, those of one channel, or one."""
    low = high = None
    if channel is not None:
        low, high = f"{check_id('channel', channel)}:", f"{channel};"
    if thread_ts is not None:
        if channel is None:
            raise WrongUse("a thread is named by its channel and its thread_ts; give the channel, too")
        low = f"{channel}:{check_id('ts', thread_ts, 'thread_ts')}"
        high = f"{low}\x01"
    async for row in _pages(engine, Query(THREADS.name, team, PAGE, low=low, high=high)):
        yield row


async def _pages(engine: Engine, query: Query) -> AsyncIterator[Row]:
    while True:
        page = await engine.query(query)
        for row in page.rows:
            yield row
        if page.position is None:
            return
        query = replace(query, after=page.position)


async def _each(lines: Iterable[bytes | str] | AsyncIterable[bytes | str]) -> AsyncIterator[bytes | str]:
    if isinstance(lines, AsyncIterable):
        async for line in lines:
            yield line
        return
    for line in lines:
        yield line


def _files(folder: Path) -> list[Path]:
    inner = folder / "threads"
    chosen = inner if inner.is_dir() else folder
    if not chosen.is_dir():
        raise WrongUse("there is no such folder; give the one that holds threads/<thread_ts>.json")
    return sorted(path for path in chosen.iterdir() if path.suffix == ".json" and path.is_file())


def _said_at(messages: list[dict[str, Any]]) -> float | None:
    """When the first part with a time was said, in seconds; None without one."""
    stamps = (part.get("timestamp") for message in messages for part in (*message["parts"], message))
    for stamp in stamps:
        if isinstance(stamp, str):
            try:
                said = datetime.fromisoformat(stamp)
            except ValueError:
                continue
            return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    return None
