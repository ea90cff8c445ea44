"""What an append to object storage and a page of the newest turns cost, counted before real servers."""

import asyncio
import time
from typing import Any

import pytest

from stateroom.engines.objects import ObjectsEngine
from stateroom.engines.objects_cloud import CloudBucket
from stateroom.engines.objects_forms import Entry, Snapshot, Turn, Turns, entry_data
from stateroom.engines.objects_names import Stream
from stateroom.engines.port import Append, Query, Table
from support import objects
from support.proxy import Proxy, listening

pytestmark = pytest.mark.service
TEAM = "T00000001"
TABLES = [Table("items"), Table("log", log=True)]


async def opened(url: str) -> ObjectsEngine:
    engine = ObjectsEngine(url, time.time)
    await engine.open()
    await engine.apply(TABLES)
    return engine


@pytest.mark.parametrize("kind", ["seaweedfs", "moto", "azure"])
async def test_before_each_server_a_warm_append_is_one_put_and_the_newest_twenty_of_10_000_turns_five_requests(
    kind: str,
) -> None:
    url = objects.fresh(kind)
    await (await opened(url)).close()
    fill_stream(objects.bucket(url), 10_000)
    async with listening(Proxy(objects.place_of(url))) as between:
        asked = between.heard
        writer = await opened(objects.through(url, between.port))
        await writer.commit([Append("log", TEAM, "s", "t9990", {})])  # now it knows the stream
        for number in range(10_001, 10_009):
            asked.clear()
            (done,) = await writer.commit([Append("log", TEAM, "s", f"t{number}", {"words": f"words {number}"})])
            assert done.row
            assert done.row.version == number
            await quiet(writer)
            assert [piece.split(b" ")[0] for piece in asked] == [b"PUT"] * (2 if number % 4 == 0 else 1)
            assert f"{number:010}.json" in asked[0].decode("ascii", "replace").split("\r\n")[0]
            reader = await opened(objects.through(url, between.port))
            asked.clear()
            page = await reader.query(Query("log", TEAM, 20, equals=("s",), descending=True))
            assert [row.version for row in page.rows] == list(range(number, number - 20, -1))
            assert len(asked) <= 5, asked
            await reader.close()
        await writer.close()


def fill_stream(bucket: CloudBucket, count: int) -> None:
    """A stream as it is after `count` turns; of the entries themselves only the last 64."""
    stream = Stream("log", TEAM, "s")
    base = count - count % 256
    entries = {n: Entry(n, f"t{n}", {"words": f"words {n}"}, None) for n in range(count - 63, count + 1)}
    recent = {n: entries[n] for n in sorted(entries)[-32:]}
    turns = tuple(Turn(f"t{n}", None) for n in range(1, count + 1))
    made = {stream.entry(0, n): entry_data(stream, entry) for n, entry in entries.items()}
    made[stream.turns(0)] = Turns(turns[:base]).data(stream, 0)
    made[stream.snapshot] = Snapshot(0, count, base, turns[base:], recent).data(stream)
    for key, data in made.items():
        bucket.put(key, data, None)


async def quiet(engine: ObjectsEngine) -> None:
    """Nothing of ours is under way: a snapshot follows its append."""
    within: Any = engine._within
    ends = time.monotonic() + 20
    while within._lines:
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)
