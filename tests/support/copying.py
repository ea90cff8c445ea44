"""Stores to copy between: one of each engine, filled with one of everything; and a copy as the command makes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import stateroom as sr
from stateroom.engines.handle import table_of
from stateroom.engines.handle_surroundings import Surroundings
from stateroom.engines.memory import MemoryEngine
from stateroom.engines.port import Append, Engine, Put, Query, Rewrite, Row
from stateroom.engines.sqlite import SqliteEngine
from stateroom.layers import catalogue
from stateroom.layers.copy import Copier
from stateroom.layers.copy_items import Side
from stateroom.layers.copy_plan import plan_of
from stateroom.layers.copy_state import Notes
from stateroom.layers.inbox import INBOX, Inbox
from stateroom.layers.outbox import OUTBOX
from stateroom.layers.threads import ENTRIES
from stateroom.layers.walking import Pace
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition, Index
from stateroom.store import Store, bot_tables, held, own_definitions, own_tables
from support import dynamodb, postgres
from support.installations import CLIENT, KEYS_TEXT, installation
from support.retention import Clock, rows_of

TEAM, OTHER = "T00000001", "T00000002"
CHANNEL, THREAD = "C00000001", "1700000000.000100"
TICKETS = Definition(
    "tickets",
    "id",
    {
        "id": Attribute("string", required=True),
        "status": Attribute("string"),
        "email": Attribute("string"),
        "n": Attribute("number"),
        "urgent": Attribute("boolean"),
        "deep": Attribute("object"),
        "token": Attribute("string", encrypted=True),
        "ends": Attribute("slack#/types/timestamp"),
    },
    ttl="ends",
    indexes=(Index("status", "n"), Index("email", unique=True)),
    keep_deleted=86400,
)
LOGGED = Definition("logged", "id", {"id": Attribute("string", required=True), "n": Attribute("number")}, changes=True)


@asynccontextmanager
async def engine_over(kind: str, folder: Path, clock: Callable[[], float]) -> AsyncIterator[Engine]:
    """An open engine on a new store, whose tables make themselves."""
    if kind in ("postgresql", "dynamodb"):
        with (postgres if kind == "postgresql" else dynamodb).self_made(clock) as made:
            if kind == "dynamodb":
                made.patience = 0.0  # type: ignore[union-attr]
            await made.open()
            yield made
            await made.close()
        return
    engine: Engine = (
        MemoryEngine(clock) if kind == "memory" else SqliteEngine(folder / f"{id(folder)}-{kind}.db", clock)
    )
    await engine.open()
    yield engine
    await engine.close()


def store_of(engine: Engine, clock: Clock) -> Store:
    """A store over an engine that is open; it is not closed with it."""
    return Store("memory://", clock=clock, engine=engine, keys=KEYS_TEXT, surroundings=Surroundings(clock))


async def filled(engine: Engine, clock: Clock, *, logged: bool) -> None:
    """One of everything: see the code."""
    store = store_of(engine, clock)
    await store.prepare(own_tables())
    for team in (TEAM, OTHER):
        tickets = store.team(team).items(TICKETS)
        await tickets.bulk_put(
            [
                {"id": f"k{n:03}", "status": f"s{n % 3}", "n": n, "email": f"e{n}@{team}", "token": "secret"}
                for n in range(24)
            ]
        )
        await tickets.put(
            {"id": "deep", "urgent": True, "n": 1, "deep": {"b": [1, True, None, {"a": "é\u2028"}], "a": {}}}
        )
        await tickets.put({"id": "ended", "ends": int(clock()) - 5})
        await tickets.put({"id": "ends", "ends": int(clock()) + 1000})
        await tickets.put({"id": "once", "n": 1}, idempotency_key="Ev0001")
        await tickets.delete("k001")
        thread = store.team(team).thread(CHANNEL, THREAD)
        for number in range(12):
            words = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": f"{team} {number}"}]}]
            await thread.append(words, turn_id=f"{CHANNEL}:17000000{number:02}.000100", author="U00000001")
        await thread.tombstone(f"{CHANNEL}:1700000003.000100")
        await engine.commit([Rewrite(ENTRIES.name, team, thread.id, 5, {}, expires_at=0)])  # as a sweep leaves it
        for number in range(9):
            await engine.commit(
                [Append(ENTRIES.name, team, f"C0000000{number % 3 + 2}:{THREAD}", f"t{number}", {"at": number})]
            )
        if logged:
            await store.team(team).items(LOGGED).bulk_put([{"id": f"k{n:03}", "n": n} for n in range(20)])
    await filled_inbox(engine, clock)
    await store.installations(client_id=CLIENT).save(installation(1, team_id=TEAM))


async def filled_inbox(engine: Engine, clock: Clock) -> None:
    """A turn in each state, and what was said about them."""
    inbox = Inbox(engine, clock)
    for number, state in enumerate(("received", "claimed", "answering", "posted", "done", "failed")):
        ts = f"17000000{number:02}.000100"
        item: dict[str, Any] = {
            "id": f"{CHANNEL}:{ts}", "kind": "message", "state": "received", "channel": CHANNEL, "thread_ts": THREAD,
            "ts": ts, "user": "U00000001", "text": "words", "received_at": int(clock()), "lane": f"{CHANNEL}:{THREAD}",
            "due_at": int(clock()), "claims": 0, "attempts": 0,
        }  # fmt: skip
        await engine.commit([Put(INBOX.name, TEAM, item["id"], item, keep=True)])
        (row,) = await engine.get(INBOX.name, TEAM, [item["id"]])
        assert row is not None
        if state in ("done", "failed"):
            await engine.commit([inbox.close(row, state, "answer", keep_words=state == "failed")])
        elif state != "received":
            await engine.commit([inbox.move(row, state, due_at=int(clock()) + 10)])
    said = {"id": "x:000", "turn": f"{CHANNEL}:{THREAD}", "kind": "answer", "part": 0, "state": "posted"}
    await engine.commit([Put(OUTBOX.name, TEAM, "x:000", said)])


async def definitions_of(source: Engine) -> list[Definition]:
    """As the command finds them."""
    known = catalogue.everything((*own_definitions(), TICKETS), await catalogue.known(source))
    return [one for one in known if one.name not in (catalogue.PROGRESS.name, catalogue.KNOWN.name)]


async def copier_of(source: Engine, target: Engine, clock: Clock, **more: Any) -> Copier:
    """A copy between two open engines, with the target's tables made."""
    tables = [(one, table_of(one)) for one in await definitions_of(source)]
    plan = plan_of(tables, source.capabilities, target.capabilities, bot=bot_tables())
    mine = {work.target.name: work.target for work in plan.to_do}
    await target.apply([*(one for one in own_tables() if one.name not in mine), *mine.values()])

    async def wait(seconds: float) -> None:
        if isinstance(clock, Clock):
            clock.now += seconds
        await asyncio.sleep(0)

    sides = Side(source, clock, wait), Side(target, clock, wait)
    notes = Notes(target, clock, wait, "the source")
    return Copier(*sides, plan, notes, Pace(clock, wait=wait), held=held(), **more)


async def everything(engine: Engine, tables: list[str], now: float) -> dict[str, list[tuple[Any, ...]]]:
    """All live rows of items, and all rows of logs, without versions of items."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name in tables:
        rows = await rows_of(engine, name)
        log = name == ENTRIES.name
        found[name] = [
            (row.team, row.id, row.version if log else 0, row.item, row.expires_at)
            for row in rows
            if log or row.expires_at is None or row.expires_at > now
        ]
    return found


def unheld(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """As it was in the source."""
    team, id, number, item, expires = row
    rest = {name: value for name, value in item.items() if name != "held"}
    return team, id, number, {**rest, **item.get("held", {})}, expires


__all__ = ["Query", "Row", "replace", "sr"]
