"""The least Python that keeps a promise: beside raw and ours it tells what of a bound the language takes.

Rules of this file: one caller's write, checked, in turn with other processes, in one transaction that is synced, with
its answer awaited; written out by hand for the bench's own tables. It leaves out what makes it a store: other kinds of
writes and other tables, rows of newer or older code beside the one mark that a put asks for, expiry, errors that say
what to do, slow disks (the loop stands still while they sync), checkpoints beside the loop, several loops, closing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

import msgspec
import uvloop

from stateroom.engines.sqlite_file import connect
from stateroom.engines.sqlite_pace import CHECKPOINT_FRAMES
from stateroom.engines.sqlite_tables import NOTED, Layout, anywhere, rows
from stateroom.engines.sqlite_turnstile import Turnstile
from stateroom.model.upgrades import VERSION

_MARK: Final = anywhere(VERSION)


class Floor:
    """One table of one file. `shape` is the msgspec type of its items."""

    def __init__(self, path: str, layout: Layout, team: str, shape: Any = None) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.connection = connect(path)
        for pragma in ("synchronous = FULL", "secure_delete = ON", f"wal_autocheckpoint = {CHECKPOINT_FRAMES}"):
            self.connection.execute(f"PRAGMA {pragma}")
        self._noted: dict[str, int] = {}
        self.connection.create_function(NOTED, 2, self._noted.setdefault)
        self._execute = self.connection.cursor().execute
        self._turnstile = Turnstile(path)
        self._turnstile.open()
        self._layout = layout
        self._team = team
        self._shape = shape
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder().decode
        self._waiting: list[tuple[str, str, str, asyncio.Future[int]]] = []
        self._numbers: dict[str, tuple[int, int]] = {}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def close(self) -> None:
        self.connection.close()
        self._turnstile.close()
        self.runner.close()

    async def append(self, stream: str, turn_id: str, item: Mapping[str, Any]) -> int:
        """The turn's number."""
        _check(stream, turn_id)
        text = self._encode(item).decode()
        self._noted.clear()
        self._enter()
        try:
            self._execute(self._layout.append[False], (self._team, stream, turn_id, text))
        finally:
            self._turnstile.leave()
        return self._noted[turn_id]

    def join(self, stream: str, turn_id: str, item: Mapping[str, Any]) -> asyncio.Future[int]:
        """An append that goes with all of this turn of the loop."""
        _check(stream, turn_id)
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((stream, turn_id, self._encode(item).decode(), future))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        values: list[Any] = []
        done = []
        self._enter()
        try:
            self._execute("BEGIN IMMEDIATE")
            for stream, turn_id, text, future in group:
                place, last = self._numbers.get(stream) or self._found(stream)
                self._numbers[stream] = place, last + 1
                values += (place, last + 1, turn_id, text)
                done.append((future, last + 1))
            for start in range(0, len(values), 32):
                part = values[start : start + 32]
                self._execute(f"{self._layout.put}{rows(len(part) // 4, False)}", part)
            self._execute("COMMIT")
        finally:
            self._turnstile.leave()
        for future, number in done:
            future.set_result(number)

    def _found(self, stream: str) -> tuple[int, int]:
        found = self._execute(self._layout.place, ("", self._team, stream)).fetchone()
        if found is None:
            (top,) = self._execute(self._layout.top).fetchone()
            self._execute(f"{self._layout.begin}(?,?,?)", (top + 1, self._team, stream))
            return top + 1, 0
        return found[0], found[1] or 0

    async def put(self, item: dict[str, Any]) -> dict[str, Any]:
        """The item as stored."""
        checked, text = self._checked(item)
        self._noted.clear()
        now = time.time()
        self._enter()
        try:
            values = (self._team, item["id"], int(now * 1_000_000), text, now, _MARK)
            assert self._execute(self._layout.lone_lacking[False], values).rowcount == 1
        finally:
            self._turnstile.leave()
        return checked

    async def bulk(self, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The items as stored."""
        now = time.time()
        version = int(now * 1_000_000)
        values: list[Any] = [self._team, version]
        done = {}
        for item in items:
            checked, text = self._checked(item)
            done[item["id"]] = checked, (item["id"], text)
        for _, row in done.values():
            values += row
        values += (now, _MARK)
        self._noted.clear()
        self._enter()
        try:
            self._execute(self._layout.packed(len(done), False), values)
        finally:
            self._turnstile.leave()
        return [checked for checked, _ in done.values()]

    async def change(self, id: str, item: dict[str, Any] | None = None) -> dict[str, Any]:
        """Put `item` if the row's status is open, or add 1 to the row's votes."""
        checked, text = (None, "") if item is None else self._checked(item)
        self._enter()
        try:
            self._execute("BEGIN IMMEDIATE")
            row, version, _, found = self._execute(self._layout.lone, (self._team, id)).fetchone()
            old = self._decode(found)
            if checked is None:
                checked = {**old, "votes": old["votes"] + 1}
                text = self._encode(checked).decode()
            else:
                assert old["status"] == "open"
            self._execute(self._layout.lone_update[False], (version + 1, text, row))
            self._execute("COMMIT")
        finally:
            self._turnstile.leave()
        return checked

    def _enter(self) -> None:
        assert self._turnstile.enter(wait=False)

    def _checked(self, item: dict[str, Any]) -> tuple[dict[str, Any], str]:
        found = msgspec.convert(item, self._shape)
        data = self._encode(found)
        assert b"\\u0000" not in data
        return dict(item), data.decode()


def _check(stream: str, turn_id: str) -> None:
    assert turn_id.isascii() and 0 < len(turn_id) <= 255 and "\0" not in turn_id  # noqa: PT018, as short as it can be
    assert stream.isascii() and 0 < len(stream) <= 255 and "\0" not in stream and "/" not in stream  # noqa: PT018
