"""A page of 100 items as pydantic objects, through the datastore's handle, against the rows as SQLite gives them.

Rules of this file: raw is the same statement on the same file, fetched and decoded to dicts: what anybody needs who
keeps JSON in SQLite. An item has seven attributes of which one is an array, 220 bytes of JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, Literal

import msgspec
import uvloop

import stateroom as sr
from bench.frame import Contenders, Must, case
from stateroom.engines.sqlite_file import connect
from stateroom.store import Store

TEAM: Final = "T00000001"
ROWS: Final = 1000
PAGE: Final = 100
TIMES: Final = 20  # pages a round
BY_KEY: Final = (
    "SELECT team, id, version, expires, item FROM items_tickets WHERE team = ? AND id > ? ORDER BY id LIMIT ?"
)


class Ticket(sr.Datastore, name="tickets"):
    id: str = sr.key()
    status: Literal["open", "done"] = "open"
    owner: sr.UserId
    title: str
    votes: int = 0
    watchers: list[sr.UserId] = []  # noqa: RUF012  pydantic copies it
    opened_at: sr.Timestamp
    __indexes__ = [sr.Index("status", "opened_at")]  # noqa: RUF012


def ticket(number: int) -> Ticket:
    watchers = [f"U{n:08}" for n in range(number % 4)]
    title = f"Printer {number} on floor {number % 9} says that it has no paper, again, and it does have paper"
    state: Literal["open", "done"] = "open" if number % 2 else "done"
    return Ticket(
        id=f"T-{number:06}",
        status=state,
        owner=f"U{number % 50:08}",
        title=title,
        votes=number % 7,
        watchers=watchers,
        opened_at=1_700_000_000 + number,
    )


@case(
    "page-100",
    "A page of 100 items, as pydantic objects",
    musts=[Must("stateroom, objects", over="raw rows, decoded", at_most=2.5)],
    rounds=31,
)
@contextmanager
def page_100() -> Iterator[Contenders]:
    with TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        store = Store(f"sqlite:///{folder}/pages.db", clock=time.time)
        runner.run(store.__aenter__())
        tickets = store.team(TEAM).datastore(Ticket)
        plain = store.team(TEAM).items(Ticket.__definition__)
        runner.run(tickets.bulk_put([ticket(number) for number in range(ROWS)]))
        raw = connect(f"{folder}/pages.db")
        decode = msgspec.json.Decoder().decode
        middle = ticket(ROWS // 2).id

        def rows() -> float:
            began = perf_counter()
            for _ in range(TIMES):
                found = raw.execute(BY_KEY, (TEAM, middle, PAGE)).fetchall()
                assert len([decode(row[4]) for row in found]) == PAGE
            return (perf_counter() - began) / TIMES

        async def pages(query: Callable[[], Awaitable[Any]]) -> float:
            began = perf_counter()
            for _ in range(TIMES):
                assert len((await query()).items) == PAGE
            return (perf_counter() - began) / TIMES

        is_open = sr.attr("status") == "open"
        yield {
            "raw rows, decoded": rows,
            "stateroom, objects": lambda: runner.run(pages(lambda: tickets.query(low=middle, limit=PAGE))),
            "stateroom, dicts": lambda: runner.run(pages(lambda: plain.query(low=middle, limit=PAGE))),
            "stateroom, objects by index": lambda: runner.run(
                pages(lambda: tickets.query(is_open, order="opened_at", limit=PAGE))
            ),
        }
        raw.close()
        runner.run(store.__aexit__(None, None, None))
