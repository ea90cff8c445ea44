"""Items through the handle against raw SQL on the same table, in the same state of the log: one caller, 300 B an item.

Rules of this file: raw is the least code that does the same work durably: the engine's own table, pragmas and page
size, one statement between BEGIN and COMMIT, JSON made and read by the same library. Both files hold the same items and
have been written to until their log is recycled before anything counts. Keys are drawn at random.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any, Final

import msgspec
import uvloop

import stateroom as sr
from bench.floor import Floor
from bench.frame import Contenders, Must, Sample, case
from stateroom.engines.handle import Datastore, table_of
from stateroom.engines.port import Put
from stateroom.engines.sqlite_file import connect
from stateroom.engines.sqlite_pace import CHECKPOINT_FRAMES
from stateroom.engines.sqlite_tables import Layout
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.store import Store

TEAM: Final = "T00000001"
ITEMS: Final = 100_000
FEW: Final = 1_000
MANY: Final = 1_000_000
GETS: Final = 300
PUTS: Final = 60  # a round: many short rounds see through a noisy neighbour
BULK: Final = 25
PAGE: Final = 100

OPEN: Final = sr.attr("status") == "open"
SELECT: Final = "SELECT item FROM items_tickets WHERE team = ? AND id = ? AND (expires IS NULL OR expires > ?)"
UPSERT: Final = (
    "INSERT INTO items_tickets (team, id, version, expires, item) VALUES (?, ?, ?, NULL, ?) ON CONFLICT (team, id) "
    "DO UPDATE SET version = version + 1, expires = NULL, item = excluded.item"
)
IF_OPEN: Final = (
    "UPDATE items_tickets SET version = version + 1, expires = NULL, item = ? "
    "WHERE team = ? AND id = ? AND json_extract(item, '$.status') = 'open'"
)
ADD: Final = (
    "UPDATE items_tickets SET version = version + 1, "
    "item = json_set(item, '$.votes', json_extract(item, '$.votes') + 1) WHERE team = ? AND id = ? RETURNING item"
)
NEXT: Final = "SELECT id, item FROM items_tickets WHERE team = ? AND id > ? ORDER BY id LIMIT ?"


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: str = "open"
    owner: sr.UserId
    votes: int = 0
    text: str
    tags: list[str]


PLAIN: Final = Definition(
    "tickets",
    "id",
    {
        "id": Attribute("string", required=True),
        "status": Attribute("string"),
        "owner": Attribute("slack#/types/user_id", required=True),
        "votes": Attribute("integer"),
        "text": Attribute("string", required=True),
        "tags": Attribute("array", items=Attribute("string")),
    },
)


def key_of(number: int) -> str:
    return f"K{number:08}"


class Work:
    """What is written: keys of one sequence, items that differ each time."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.runs = 0  # a working set of FEW items, in so many places; 0: any item
        self._dice = random.Random(1)
        self._numbers = count()

    def key(self, room: int = 0) -> str:
        """A key with at least `room` items behind it."""
        if self.runs:
            place = self._dice.randrange(self.runs) * (self.items // self.runs)
            return key_of(place + self._dice.randrange(FEW // self.runs))
        return key_of(self._dice.randrange(self.items - room))

    def item(self, key: str) -> dict[str, Any]:
        """300 bytes of JSON."""
        text = f"{next(self._numbers):08} " + "how is it done? it is done like so. " * 5
        return {"id": key, "status": "open", "owner": "U01234567", "votes": 3, "text": text, "tags": ["a", "bb", "ccc"]}


class Raw:
    """The same file by plain SQL, written on one connection and read on another."""

    def __init__(self, path: str, work: Work) -> None:
        self.work = work
        self.writer, self.reader = connect(path), connect(path)
        self.writer.execute("PRAGMA synchronous = FULL")
        self.writer.execute("PRAGMA secure_delete = ON")
        self.writer.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_FRAMES}")

    def get(self) -> None:
        row = self.reader.execute(SELECT, (TEAM, self.work.key(), time.time())).fetchone()
        assert msgspec.json.decode(row[0])["votes"] is not None

    def put(self) -> None:
        key = self.work.key()
        text = msgspec.json.encode(self.work.item(key)).decode()
        self._one(UPSERT, (TEAM, key, 1, text))

    def put_if_open(self) -> None:
        key = self.work.key()
        text = msgspec.json.encode(self.work.item(key)).decode()
        assert self._one(IF_OPEN, (text, TEAM, key)) == 1

    def add(self) -> None:
        self.writer.execute("BEGIN IMMEDIATE")
        found = self.writer.execute(ADD, (TEAM, self.work.key())).fetchall()
        self.writer.execute("COMMIT")
        assert msgspec.json.decode(found[0][0])["votes"] > 0

    def bulk(self) -> None:
        self.writer.execute("BEGIN IMMEDIATE")
        for _ in range(BULK):
            key = self.work.key()
            self.writer.execute(UPSERT, (TEAM, key, 1, msgspec.json.encode(self.work.item(key)).decode()))
        self.writer.execute("COMMIT")

    def page(self) -> None:
        rows = self.reader.execute(NEXT, (TEAM, self.work.key(PAGE), PAGE)).fetchall()
        assert all(msgspec.json.decode(item) for _, item in rows)

    def _one(self, statement: str, values: tuple[Any, ...]) -> int:
        self.writer.execute("BEGIN IMMEDIATE")
        changed = self.writer.execute(statement, values).rowcount
        self.writer.execute("COMMIT")
        return changed

    def close(self) -> None:
        self.writer.close()
        self.reader.close()


class Ours:
    """The handle, with dicts and with a pydantic class, on uvloop as `stateroom serve` has it."""

    def __init__(self, path: str, work: Work) -> None:
        self.work = work
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.store = Store(f"sqlite:///{path}")
        self.run(self.store.__aenter__())
        team = self.store.team(TEAM)
        self.items: Datastore[dict[str, Any]] = team.items(PLAIN)
        self.tickets: Datastore[Any] = team.datastore(Ticket)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def get(self) -> None:
        assert await self.items.get(self.work.key()) is not None

    async def get_object(self) -> None:
        assert await self.tickets.get(self.work.key()) is not None

    async def put(self) -> None:
        await self.items.put(self.work.item(self.work.key()))

    async def put_object(self) -> None:
        await self.tickets.put(Ticket(**self.work.item(self.work.key())))

    async def put_if_open(self) -> None:
        await self.items.put(self.work.item(self.work.key()), condition=OPEN)

    async def update_if_open(self) -> None:
        await self.items.update(self.work.key(), {"text": "how is it done? " * 12}, condition=OPEN)

    async def add(self) -> None:
        await self.items.update(self.work.key(), add={"votes": 1})

    async def bulk(self) -> None:
        done = await self.items.bulk_put([self.work.item(self.work.key()) for _ in range(BULK)])
        assert not done.failed

    async def page(self) -> None:
        assert (await self.items.query(low=self.work.key(PAGE), limit=PAGE)).items

    def close(self) -> None:
        self.run(self.store.__aexit__(None, None, None))
        self.runner.close()


async def fill(path: str, items: int) -> None:
    """The items, and the tables that they are in."""
    work = Work(items)
    async with Store(f"sqlite:///{path}") as store:
        await store.team(TEAM).items(PLAIN).get("none")
        for start in range(0, items, 5000):
            keys = [key_of(n) for n in range(start, min(items, start + 5000))]
            await store.engine.commit([Put("tickets", TEAM, key, work.item(key)) for key in keys])


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """What PLAIN says, for the floor."""

    id: str
    owner: Annotated[str, msgspec.Meta(pattern=r"^[UW][A-Z0-9]{2,30}\Z")]
    text: str
    status: str | msgspec.UnsetType = msgspec.UNSET
    votes: int | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET


@contextmanager
def least() -> Iterator[tuple[Floor, Work]]:
    """The floor (bench/floor.py), on a file like the others'."""
    with TemporaryDirectory() as folder:
        asyncio.run(fill(f"{folder}/floor.db", ITEMS))
        floor, work = Floor(f"{folder}/floor.db", Layout(table_of(PLAIN)), TEAM, Item), Work(ITEMS)
        try:
            awaited(floor, lambda: floor.put(work.item(work.key())), 1500)()
            yield floor, work
        finally:
            floor.close()


def timed(work: Callable[[], None], times: int, each: int = 1) -> Callable[[], float]:
    def run() -> float:
        began = perf_counter()
        for _ in range(times):
            work()
        return (perf_counter() - began) / (times * each)

    return run


def awaited(ours: Ours | Floor, work: Callable[[], Awaitable[Any]], times: int, each: int = 1) -> Callable[[], float]:
    async def run() -> float:
        began = perf_counter()
        for _ in range(times):
            await work()
        return (perf_counter() - began) / (times * each)

    return lambda: float(ours.run(run()))


@contextmanager
def both(items: int = ITEMS) -> Iterator[tuple[Raw, Ours]]:
    """Raw and ours, each on a file of its own whose log has been through a checkpoint."""
    with TemporaryDirectory() as folder:
        for name in ("raw", "ours"):
            asyncio.run(fill(f"{folder}/{name}.db", items))
        raw, ours = Raw(f"{folder}/raw.db", Work(items)), Ours(f"{folder}/ours.db", Work(items))
        try:
            timed(raw.put, 1500)()
            awaited(ours, ours.put, 1500)()
            yield raw, ours
        finally:
            ours.close()
            raw.close()


@case(
    "item-get",
    "Getting one of 100,000 items",
    musts=[Must("stateroom", over="raw select and decode", at_most=2)],
    rounds=31,
)
@contextmanager
def item_get() -> Iterator[Contenders]:
    with both() as (raw, ours):
        yield {
            "raw select and decode": timed(raw.get, GETS),
            "stateroom": awaited(ours, ours.get, GETS),
            "stateroom, as an object": awaited(ours, ours.get_object, GETS),
        }


@case(
    "item-put",
    "Replacing one of 100,000 items, durably, one caller",
    musts=[Must("stateroom", over="raw upsert and commit", at_most=1.3)],
    rounds=61,
)
@contextmanager
def item_put() -> Iterator[Contenders]:
    with both() as (raw, ours), least() as (floor, work):
        yield {
            "raw upsert and commit": timed(raw.put, PUTS),
            "stateroom": awaited(ours, ours.put, PUTS),
            "stateroom, from an object": awaited(ours, ours.put_object, PUTS),
            "floor": awaited(floor, lambda: floor.put(work.item(work.key())), PUTS),
        }


@case(
    "item-put-if",
    "Replacing one of 100,000 items if it is still open, durably, one caller",
    musts=[Must("stateroom", over="raw update where and commit", at_most=1.3)],
    rounds=61,
)
@contextmanager
def item_put_if() -> Iterator[Contenders]:
    with both() as (raw, ours), least() as (floor, work):
        yield {
            "raw update where and commit": timed(raw.put_if_open, PUTS),
            "stateroom": awaited(ours, ours.put_if_open, PUTS),
            "stateroom, update": awaited(ours, ours.update_if_open, PUTS),
            "floor": awaited(floor, lambda: floor.change(key := work.key(), work.item(key)), PUTS),
        }


@case(
    "item-add",
    "Adding to a number of one of 100,000 items, durably, one caller",
    musts=[Must("stateroom", over="raw update returning and commit", at_most=1.3)],
    rounds=61,
)
@contextmanager
def item_add() -> Iterator[Contenders]:
    with both() as (raw, ours), least() as (floor, work):
        yield {
            "raw update returning and commit": timed(raw.add, PUTS),
            "stateroom": awaited(ours, ours.add, PUTS),
            "floor": awaited(floor, lambda: floor.change(work.key()), PUTS),
        }


@case(
    "item-bulk-put",
    "Replacing 25 of 100,000 items in one call, durably, each",
    musts=[Must("stateroom", over="raw, 25 upserts a commit", at_most=1.2)],
    rounds=61,
)
@contextmanager
def item_bulk_put() -> Iterator[Contenders]:
    with both() as (raw, ours), least() as (floor, work):
        yield {
            "raw, 25 upserts a commit": timed(raw.bulk, 12, BULK),
            "stateroom": awaited(ours, ours.bulk, 12, BULK),
            "floor": awaited(floor, lambda: floor.bulk([work.item(work.key()) for _ in range(BULK)]), 12, BULK),
        }


@case(
    "item-flat",
    "The same calls on 1,000 and on 1,000,000 items, of which a thousand in ten places, or any",
    musts=[
        Must("a thousand of 1,000,000 items", over="1,000 items", at_most=1.2, measure=f"{verb}, s")
        for verb in ("get", "put", "page")
    ],
    rounds=31,
)
@contextmanager
def item_flat() -> Iterator[Contenders]:
    """Any of a million: each call reads leaves that are in no cache of SQLite's, as it would by hand ("raw")."""
    with both(FEW) as (raw, small), both(MANY) as (large_raw, large):

        def verbs(ours: Ours, runs: int) -> Callable[[], Sample]:
            def run() -> Sample:
                ours.work.runs = runs
                return {
                    "get, s": awaited(ours, ours.get, GETS)(),
                    "put, s": awaited(ours, ours.put, PUTS)(),
                    "page, s": awaited(ours, ours.page, 10, PAGE)(),
                }

            return run

        def by_hand(raw: Raw) -> Callable[[], Sample]:
            return lambda: {
                "get, s": timed(raw.get, GETS)(),
                "put, s": timed(raw.put, PUTS)(),
                "page, s": timed(raw.page, 10, PAGE)(),
            }

        yield {
            "1,000 items": verbs(small, 0),
            "a thousand of 1,000,000 items": verbs(large, 10),
            "any of 1,000,000 items": verbs(large, 0),
            "raw, 1,000 items": by_hand(raw),
            "raw, any of 1,000,000 items": by_hand(large_raw),
        }
