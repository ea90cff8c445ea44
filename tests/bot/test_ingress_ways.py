"""A message comes by a request (mostly without a task of its own) or by an envelope: to us it is the same."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stateroom.bot.directory import Directory
from stateroom.bot.ingress import OK, Ingress, Later
from stateroom.engines.handle import table_of
from stateroom.engines.port import Query
from stateroom.engines.sqlite import SqliteEngine
from stateroom.layers import inbox, installations, threads
from stateroom.layers.inbox import INBOX
from stateroom.slack.signing import sign
from support.bot import envelope, mention

pytestmark = pytest.mark.service
SECRET, TEAM = "secret", "T00000001"
NOW = int(time.time())


class Site:
    """An ingress over a file of its own."""

    def __init__(self, engine: SqliteEngine) -> None:
        self.engine = engine
        self.woken = 0
        teams = Directory(installations.Installations(engine, time.time), time.time, fallback=TEAM.__eq__)
        self.ingress = Ingress(engine, time.time, SECRET, teams=teams, wake=self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def request(self, body: bytes) -> tuple[int, bytes]:
        headers = {k.lower().encode(): v.encode() for k, v in sign(SECRET, int(time.time()), body).items()}
        found = self.ingress.direct[b"/slack/events"](headers, body)
        if isinstance(found, Later):
            await asyncio.wait({found.row})
            found = found.then(found.row)
        reply = found if isinstance(found, tuple) else await found
        return reply[0], reply[2]

    async def socket(self, body: bytes) -> tuple[int, bytes]:
        reply = await self.ingress._event(body)
        return reply[0], reply[2]

    async def rows(self) -> list[dict[str, Any]]:
        found = (await self.engine.query(Query(INBOX.name, TEAM, 100))).rows
        return [{k: v for k, v in row.item.items() if k not in {"received_at", "due_at"}} for row in found]


@asynccontextmanager
async def site(path: Path, before_commit: Callable[[], None] | None = None) -> AsyncIterator[Site]:
    engine = SqliteEngine(path, time.time, before_commit=before_commit)
    await engine.open()
    try:
        definitions = (*inbox.DEFINITIONS, *threads.DEFINITIONS, *installations.DEFINITIONS)
        await engine.apply([table_of(one) for one in definitions])
        yield Site(engine)
    finally:
        await engine.close()


def said(text: str, at: int, **more: Any) -> dict[str, Any]:
    """A message in a channel that names nobody."""
    return {**mention(text, f"{NOW - 60}.{at:06d}"), "type": "message", "text": text, "channel_type": "channel", **more}


def story() -> list[tuple[str, bytes]]:
    """What comes, one after another."""
    first = mention("first", f"{NOW - 60}.000001")
    file = {"id": "F1", "name": "a.txt", "mimetype": "text/plain", "size": 3}
    reply = {"thread_ts": first["ts"]}
    return [
        ("a mention", envelope(first)),
        ("it again", envelope(first)),
        ("its other event", envelope({**first, "type": "message", "channel_type": "channel", "text": "cut"})),
        ("nobody's thread", envelope(said("x", 9, thread_ts=f"{NOW - 90}.000009"))),
        ("a followed thread", envelope(said("more", 2, **reply))),
        ("with a file", envelope(said("see", 3, **reply, subtype="file_share", files=[file]))),
        ("a direct message", envelope(said("dm", 4, channel="D00000001", channel_type="im"))),
        ("an edit", envelope(_edit(first["ts"]))),
        ("our own", envelope(said("me", 5, bot_id="B00000001"))),
        ("malformed", envelope(mention("x", f"{NOW}.000006", channel="../../etc"))),
        ("a half", envelope(mention("x", f"{NOW}.000006"))[:-1]),
        ("too large", envelope(mention("x" * 17_000_000, f"{NOW - 60}.000007"))),
        ("a check", b'{"type":"url_verification","challenge":"c"}'),
        ("another team", envelope(mention("x", f"{NOW - 60}.000008")).replace(TEAM.encode(), b"T00000002")),
    ]


def _edit(ts: str) -> dict[str, Any]:
    message = {"type": "message", "user": "U00000001", "text": "changed", "ts": ts, "edited": {"ts": f"{NOW}.000001"}}
    changed = {"message": message, "previous_message": {"text": "first", "ts": ts}, "ts": f"{NOW}.000002"}
    return {"type": "message", "subtype": "message_changed", "channel": "C00000001", **changed}


async def test_a_message_is_the_same_to_us_whichever_way_it_comes(tmp_path: Path) -> None:
    async with site(tmp_path / "a.db") as one, site(tmp_path / "b.db") as two:
        for name, body in story():
            assert await one.request(body) == await two.socket(body), name
            assert await one.rows() == await two.rows(), name
            assert (one.ingress.counts, one.woken) == (two.ingress.counts, two.woken), name
        assert one.woken == 4
        assert one.ingress.counts["repeated"] == 1
        assert one.ingress.counts["dropped"] == 1


@pytest.mark.parametrize("way", ["request", "socket"])
async def test_nothing_is_said_before_the_commit_has_ended(tmp_path: Path, way: str) -> None:
    begun, may = threading.Event(), threading.Event()
    may.set()

    def before() -> None:
        begun.set()
        assert may.wait(20)

    async with site(tmp_path / "a.db", before) as here:
        ask = getattr(here, way)
        assert await ask(envelope(mention("x", f"{NOW}.000001"))) == (200, OK[2])  # the team is known from here on
        may.clear()
        begun.clear()
        asked = [asyncio.ensure_future(ask(envelope(mention("x", f"{NOW}.00001{n}")))) for n in range(3)]
        assert await asyncio.to_thread(begun.wait, 20)
        assert len(await here.rows()) == 1
        assert not any(one.done() for one in asked)
        may.set()
        assert [await one for one in asked] == [(200, OK[2])] * 3
        assert len(await here.rows()) == 4


async def test_a_store_that_is_closed_is_503_without_a_task_too(tmp_path: Path) -> None:
    async with site(tmp_path / "a.db") as here:
        assert (await here.request(envelope(mention("x", f"{NOW}.000001"))))[0] == 200
        await here.engine.close()
        assert (await here.request(envelope(mention("x", f"{NOW}.000002"))))[0] == 503
        assert here.ingress.counts["unavailable"] == 1
