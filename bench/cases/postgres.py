"""Items through the handle on PostgreSQL against the raw driver on the same server, table and indexes.

Rules of this file: raw is psycopg's own AsyncConnection with prepared statements and the least code that does the same
work, on the same event loop; the server is the one that tests use ($STATEROOM_TEST_POSTGRES, else from a wheel), with
fsync on. Keys are drawn at random.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from time import perf_counter
from typing import Any, Final

import msgspec
import psycopg
import uvloop
from tests.support import postgres

from bench.cases.items import OPEN, PLAIN, TEAM, Work, key_of
from bench.frame import Contenders, Must, case
from stateroom.engines.port import Append, Put, Table
from stateroom.engines.postgresql import PostgresEngine
from stateroom.engines.postgresql_url import read_url
from stateroom.model.definition import Definition
from stateroom.model.index import Index
from stateroom.store import Store

ITEMS: Final = 20_000
TIMES: Final = 200
CALLERS: Final = 64
INDEXED: Final = Definition("tickets", "id", PLAIN.attributes, indexes=(Index("owner"),))
LOG: Final = Table("turns", log=True)
os.environ.setdefault("STATEROOM_TEST_POSTGRES_FSYNC", "1")  # before any case starts the server; tests have it off


class Side:
    """A connection of the raw driver and a store of ours, on one loop and one schema."""

    def __init__(self) -> None:
        self.work = Work(ITEMS)
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.url = postgres.fresh_schema()
        self.numbers = count()
        self.run(self._open())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def _open(self) -> None:
        conninfo, schema, *_ = read_url(self.url)
        self.raw = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=0)
        self.table = f'"{schema}"."items_tickets"'
        async with Store(self.url, migrating=True) as store:
            await store.migrate([INDEXED], apply=True)
            await store.engine.apply([LOG])
        self.store = Store(self.url)
        await self.store.__aenter__()
        assert isinstance(self.store.engine, PostgresEngine)
        await self.store.engine.apply([LOG])
        self.items = self.store.team(TEAM).items(INDEXED)
        for start in range(0, ITEMS, 2000):
            rows = [
                Put("tickets", TEAM, key_of(n), {**self.work.item(key_of(n)), "owner": f"U{n // 200:08}"})
                for n in range(start, start + 2000)
            ]
            await self.store.engine.commit(rows)
        await self.raw.execute(f"ANALYZE {self.table}")

    def close(self) -> None:
        self.run(self.store.__aexit__(None, None, None))
        self.run(self.raw.close())
        self.runner.close()
        postgres.drop_schema(self.url)

    # Raw.

    async def raw_get(self) -> None:
        sql = f"SELECT version, expires, item::text FROM {self.table} WHERE team = %s AND id = %s"
        row = await (await self.raw.execute(sql, (TEAM, self.work.key()))).fetchone()
        assert row is not None
        assert msgspec.json.decode(row[2])

    async def raw_put(self) -> None:
        key = self.work.key()
        sql = (
            f"INSERT INTO {self.table} AS t (team, id, version, item) VALUES (%s, %s, 1, %s::jsonb) ON CONFLICT "
            "(team, id) DO UPDATE SET version = t.version + 1, item = excluded.item RETURNING version"
        )
        text = msgspec.json.encode(self.work.item(key)).decode()
        assert await (await self.raw.execute(sql, (TEAM, key, text))).fetchone()

    async def raw_put_if(self) -> None:
        key = self.work.key()
        sql = (
            f"UPDATE {self.table} SET version = version + 1, item = %s::jsonb WHERE team = %s AND id = %s "
            "AND item->>'status' = 'open' RETURNING version"
        )
        text = msgspec.json.encode(self.work.item(key)).decode()
        assert await (await self.raw.execute(sql, (text, TEAM, key))).fetchone()

    async def raw_filter(self) -> None:
        """By the index that is there: its two expressions, as somebody who knows them would write."""
        name = self.table.partition(".")[0]
        sql = (
            f"SELECT id, version, item::text FROM {self.table} WHERE team = %s AND "
            f"{name}.sr_number(item->'owner') = 'Infinity' AND {name}.sr_text(item->'owner') COLLATE \"C\" = %s "
            "ORDER BY id LIMIT 201"
        )
        rows = await (await self.raw.execute(sql, (TEAM, f"U{next(self.numbers) % 100:08}"))).fetchall()
        assert all(msgspec.json.decode(row[2]) for row in rows)

    # Ours.

    async def get(self) -> None:
        assert await self.items.get(self.work.key()) is not None

    async def put(self) -> None:
        await self.items.put(self.work.item(self.work.key()))

    async def put_if(self) -> None:
        await self.items.put(self.work.item(self.work.key()), condition=OPEN)

    async def filter(self) -> None:
        import stateroom as sr

        await self.items.query(sr.attr("owner") == f"U{next(self.numbers) % 100:08}", limit=200)

    async def append(self) -> None:
        number = next(self.numbers)
        await self.store.engine.commit([Append("turns", TEAM, f"s{number % 64}", f"Ev{number}", {"n": number})])

    # In turns.

    def one(self, work: Callable[[], Awaitable[None]], times: int = TIMES) -> Callable[[], float]:
        async def run() -> float:
            began = perf_counter()
            for _ in range(times):
                await work()
            return (perf_counter() - began) / times

        return lambda: float(self.run(run()))

    def many(self, work: Callable[[], Awaitable[None]], times: int = 12) -> Callable[[], float]:
        async def run() -> float:
            async def caller() -> None:
                for _ in range(times):
                    await work()

            began = perf_counter()
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            return (perf_counter() - began) / (times * CALLERS)

        return lambda: float(self.run(run()))


@contextmanager
def side() -> Iterator[Side]:
    found = Side()
    try:
        yield found
    finally:
        found.close()


@case(
    "postgres-get",
    "Getting one of 20,000 items from PostgreSQL",
    musts=[Must("stateroom", over="raw driver", at_most=1.2)],
    rounds=31,
)
@contextmanager
def postgres_get() -> Iterator[Contenders]:
    with side() as s:
        yield {"raw driver": s.one(s.raw_get), "stateroom": s.one(s.get)}


@case(
    "postgres-put",
    "Replacing one of 20,000 items on PostgreSQL, one caller",
    musts=[Must("stateroom", over="raw driver", at_most=1.2)],
    rounds=31,
)
@contextmanager
def postgres_put() -> Iterator[Contenders]:
    with side() as s:
        yield {"raw driver": s.one(s.raw_put), "stateroom": s.one(s.put)}


@case(
    "postgres-put-if",
    "Replacing one of 20,000 items on PostgreSQL if it is still open, one caller",
    musts=[Must("stateroom", over="raw driver", at_most=1.2)],
    rounds=31,
)
@contextmanager
def postgres_put_if() -> Iterator[Contenders]:
    with side() as s:
        yield {"raw driver": s.one(s.raw_put_if), "stateroom": s.one(s.put_if)}


@case(
    "postgres-64",
    "Writes of 64 callers on PostgreSQL, each",
    musts=[Must("stateroom, 64 callers", over="raw, one statement after the other", at_most=1 / 3)],
    rounds=15,
)
@contextmanager
def postgres_many() -> Iterator[Contenders]:
    with side() as s:
        yield {
            "raw, one statement after the other": s.one(s.raw_put),
            "stateroom, 64 callers": s.many(s.put),
            "stateroom, 64 appenders": s.many(s.append),
        }


@case(
    "postgres-filter",
    "200 of 20,000 items by an index on PostgreSQL",
    musts=[Must("stateroom", over="raw driver", at_most=1.3)],
    rounds=31,
)
@contextmanager
def postgres_filter() -> Iterator[Contenders]:
    with side() as s:
        yield {"raw driver": s.one(s.raw_filter, 20), "stateroom": s.one(s.filter, 20)}
