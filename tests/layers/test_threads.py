"""What a thread's history promises, on every embedded engine."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stateroom.engines.port import Append, Delete, Engine, Put, Query, in_front
from stateroom.layers.threads import ENTRIES, THREADS, Thread, Threads
from stateroom.model.content import NONE, Content
from stateroom.model.errors import CorruptData, FormatTooNew, InvalidId, InvalidValue
from support.threads import CHANNEL, ENGINES, TEAM, TS, Clock, answer, ask, call, engine_for, returned, turn, words_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Engine]:
    async with engine_for(request.param, tmp_path, clock) as opened:
        yield opened


@pytest.fixture
def threads(engine: Engine, clock: Clock) -> Threads:
    return Threads(engine, clock, TEAM)


@pytest.fixture
def thread(threads: Threads) -> Thread:
    return threads.thread(CHANNEL, TS)


class Counting:
    """An engine that notes what is committed and asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.capabilities = in_front(engine.capabilities)
        self.commits: list[list[str]] = []
        self.queries: list[Query] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def commit(self, writes: Any) -> Any:
        self.commits.append([f"{type(w).__name__} {w.table}" for w in writes])
        return await self._engine.commit(writes)

    async def query(self, query: Query) -> Any:
        self.queries.append(query)
        return await self._engine.query(query)


async def test_turns_come_back_oldest_first_and_numbered_from_one(thread: Thread) -> None:
    numbers = [await thread.append(turn(n), turn_id=f"Ev{n}") for n in range(5)]
    window = await thread.messages()
    assert numbers == [1, 2, 3, 4, 5]
    assert words_of(window.messages) == [w for n in range(5) for w in (f"question {n}", f"answer {n}")]
    assert (window.entries, window.truncated) == (5, False)


async def test_the_same_turn_again_changes_nothing_and_gives_its_first_number(thread: Thread, threads: Threads) -> None:
    await thread.append(turn(1), turn_id="Ev1")
    await thread.append(turn(2), turn_id="Ev2")
    again = await threads.thread(CHANNEL, TS).append([ask("other words")], turn_id="Ev1")
    assert again == 1
    assert "other words" not in words_of((await thread.messages()).messages)


async def test_an_entry_tells_who_said_it_when_and_where(thread: Thread, clock: Clock) -> None:
    clock.now = 1_700_000_123.25
    await thread.append(turn(1), turn_id="Ev1", author="U01234567", ts="1700000123.000200")
    (entry,) = (await thread.entries()).items
    assert entry == (1, "Ev1", 1_700_000_123.25, "U01234567", "1700000123.000200", turn(1), False)
    assert await thread.first() == entry


async def test_entries_are_paged_without_loss_or_repeat(thread: Thread) -> None:
    for n in range(7):
        await thread.append(turn(n), turn_id=f"Ev{n}")
    found, after = [], 0
    while True:
        page = await thread.entries(after=after, limit=3)
        found += [entry.number for entry in page.items]
        if page.cursor is None:
            break
        after = page.cursor
    assert found == [1, 2, 3, 4, 5, 6, 7]


async def test_many_writers_of_one_thread_keep_every_turn_once_in_the_order_of_their_numbers(
    engine: Engine, clock: Clock
) -> None:
    async def write(writer: int) -> list[tuple[int, str]]:
        own = Thread(engine, clock, TEAM, CHANNEL, TS)
        names = [f"{writer}-{n}" for n in range(10)]
        return [(await own.append([ask(name)], turn_id=name), name) for name in names]

    numbered = sorted(pair for pairs in await asyncio.gather(*map(write, range(8))) for pair in pairs)
    assert [number for number, _ in numbered] == list(range(1, 81))
    window = await Thread(engine, clock, TEAM, CHANNEL, TS).messages()
    assert words_of(window.messages) == [name for _, name in numbered]


async def test_the_same_timestamp_in_two_teams_or_channels_is_two_threads(engine: Engine, clock: Clock) -> None:
    places = [("T00000001", "C00000001"), ("T00000002", "C00000001"), ("T00000001", "D00000001")]
    for team, channel in places:
        await Thread(engine, clock, team, channel, TS).append([ask(team + channel)], turn_id="Ev1")
    for team, channel in places:
        own = Thread(engine, clock, team, channel, TS)
        assert words_of((await own.messages()).messages) == [team + channel]
    assert await Thread(engine, clock, "T00000002", "C00000001", TS).erase() == 1
    assert await Thread(engine, clock, "T00000001", "C00000001", TS).count() == 1


@pytest.mark.parametrize(
    ("team", "channel", "thread_ts"),
    [
        (TEAM, CHANNEL, "../etc/passwd"),
        (TEAM, "../etc/passwd", TS),
        ("../etc/passwd", CHANNEL, TS),
        (TEAM, CHANNEL, TS + "\n"),
        (TEAM, CHANNEL, "1700000000"),
        (TEAM, "U01234567", TS),
        (TEAM, CHANNEL, None),
    ],
)
async def test_a_foreign_id_is_refused_before_it_becomes_a_key(
    engine: Engine, clock: Clock, team: str, channel: str, thread_ts: str
) -> None:
    with pytest.raises(InvalidId) as refused:
        Threads(engine, clock, team).thread(channel, thread_ts)
    assert "passwd" not in str(refused.value)


async def test_malformed_ids_of_a_turn_are_refused(thread: Thread) -> None:
    with pytest.raises(InvalidId):
        await thread.append(turn(1), turn_id="")
    with pytest.raises(InvalidId):
        await thread.append(turn(1), turn_id="Ev1", author="nobody")
    with pytest.raises(InvalidId):
        await thread.append(turn(1), turn_id="Ev1", ts="yesterday")
    assert await thread.count() == 0


async def test_a_refused_message_stores_nothing(thread: Thread, threads: Threads) -> None:
    with pytest.raises(InvalidValue, match=r"messages\[1\]"):
        await thread.append([ask("fine"), {"kind": "request"}], turn_id="Ev1")
    assert (await threads.list()).items == []


async def test_sixty_messages_keep_the_newest(thread: Thread) -> None:
    for n in range(30):
        await thread.append(turn(n), turn_id=f"Ev{n}")
    window = await thread.messages(limit=50)
    assert words_of(window.messages) == [w for n in range(5, 30) for w in (f"question {n}", f"answer {n}")]
    assert (window.entries, window.truncated) == (25, True)
    assert (await thread.messages(limit=60)).truncated is False


async def test_a_window_spans_pages_of_single_message_entries(thread: Thread) -> None:
    for n in range(90):
        await thread.append([ask(f"{n}")], turn_id=f"Ev{n}")
    assert words_of((await thread.messages(limit=70)).messages) == [f"{n}" for n in range(20, 90)]
    assert words_of((await thread.messages(max_tokens=10**6)).messages) == [f"{n}" for n in range(90)]


async def test_a_window_never_separates_a_call_in_one_entry_from_its_return_in_another(thread: Thread) -> None:
    await thread.append([ask("old"), answer("older")], turn_id="Ev1")
    await thread.append([ask("look"), call("a", "b")], turn_id="Ev2")
    await thread.append([returned("b"), returned("a"), answer("seen")], turn_id="Ev3")
    assert [m["kind"] for m in (await thread.messages(limit=3)).messages] == ["response"]
    assert len((await thread.messages(limit=5)).messages) == 5
    assert len((await thread.messages(limit=6)).messages) == 5


async def test_a_window_reads_no_more_than_it_needs(engine: Engine, clock: Clock) -> None:
    thread = Thread(engine, clock, TEAM, CHANNEL, TS)
    for n in range(200):
        await thread.append(turn(n), turn_id=f"Ev{n}")
    counting = Counting(engine)
    await Thread(counting, clock, TEAM, CHANNEL, TS).messages(limit=20)
    assert [(q.limit, q.descending) for q in counting.queries] == [(10, True)]


async def test_an_append_writes_one_entry_and_makes_the_thread_row_once(engine: Engine, clock: Clock) -> None:
    counting = Counting(engine)
    thread = Thread(counting, clock, TEAM, CHANNEL, TS)
    for n in range(3):
        await thread.append(turn(n), turn_id=f"Ev{n}")
    one = f"Append {ENTRIES.name}"
    assert counting.commits == [[one, f"Put {THREADS.name}"], [one], [one]]


async def test_a_thread_erased_by_somebody_else_is_listed_again_after_the_next_append(
    engine: Engine, clock: Clock, threads: Threads
) -> None:
    mine, other = threads.thread(CHANNEL, TS), threads.thread(CHANNEL, TS)
    await mine.append(turn(1), turn_id="Ev1")
    assert await other.erase() == 1
    assert await mine.append(turn(2), turn_id="Ev2") == 1
    assert [info.id for info in (await threads.list()).items] == [mine.id]


async def test_the_turn_can_commit_its_history_with_its_other_rows(engine: Engine, thread: Thread) -> None:
    writes = thread.writes(turn(1), turn_id="Ev1")
    done = await engine.commit([*writes, Delete(THREADS.name, TEAM, "another")])
    assert isinstance(writes[0], Append)
    assert done[0].row is not None
    assert done[0].row.version == 1
    assert await thread.known()
    assert await thread.count() == 1


async def test_following_makes_a_thread_known_and_holds_no_words(engine: Engine, thread: Thread) -> None:
    assert not await thread.known()
    write = thread.follow()
    await engine.commit([write])
    assert isinstance(write, Put)
    assert set(write.item) == {"id", "channel", "thread_ts", "created_at"}
    assert await thread.known()
    assert await thread.first() is None
    assert await thread.messages() == ([], 0, False)


async def test_deleted_words_are_gone_from_the_store_and_their_place_stays(thread: Thread, engine: Engine) -> None:
    for n in range(3):
        await thread.append(turn(n), turn_id=f"Ev{n}", author="U01234567", ts=f"170000000{n}.000100")
    assert await thread.tombstone("Ev0") is True
    assert await thread.tombstone("1700000001.000100") is True
    assert await thread.tombstone("1700000009.000100") is False
    kept = (await thread.entries()).items
    assert [(e.number, e.turn_id, e.tombstone) for e in kept] == [(1, "Ev0", True), (2, "Ev1", True), (3, "Ev2", False)]
    assert words_of((await thread.messages()).messages) == ["question 2", "answer 2"]
    first = await thread.first()
    assert first is not None
    assert first.turn_id == "Ev2"
    assert await thread.count() == 3
    rows = (await engine.query(Query(ENTRIES.name, TEAM, 10, equals=(thread.id,)))).rows
    assert "question 0" not in str(rows)
    assert "answer 1" not in str(rows)


async def test_a_deleted_turn_stays_deleted_when_it_is_delivered_again(thread: Thread) -> None:
    await thread.append(turn(1), turn_id="Ev1")
    await thread.tombstone("Ev1")
    assert await thread.append(turn(1), turn_id="Ev1") == 1
    assert (await thread.messages()).messages == []


async def test_erasing_leaves_nothing_and_numbers_begin_anew(thread: Thread, threads: Threads) -> None:
    for n in range(3):
        await thread.append(turn(n), turn_id=f"Ev{n}")
    assert await thread.erase() == 3
    assert (await thread.count(), await thread.known(), (await threads.list()).items) == (0, False, [])
    assert await thread.erase() == 0
    assert await thread.append(turn(9), turn_id="Ev1") == 1


async def test_words_end_when_their_time_is_over(engine: Engine, clock: Clock) -> None:
    thread = Thread(engine, clock, TEAM, CHANNEL, TS, content=Content.parse("ttl:1h"))
    await thread.append(turn(1), turn_id="Ev1")
    clock.now += 3000
    await thread.append(turn(2), turn_id="Ev2")
    assert await thread.count() == 2
    clock.now += 700
    assert words_of((await thread.messages()).messages) == ["question 2", "answer 2"]
    assert await thread.count() == 1
    first = await thread.first()
    assert first is not None
    assert first.turn_id == "Ev2"
    clock.now += 3600
    assert await thread.messages() == ([], 0, False)
    assert await thread.count() == 0


async def test_with_content_none_nothing_that_was_said_is_stored(engine: Engine, clock: Clock) -> None:
    counting = Counting(engine)
    thread = Thread(counting, clock, TEAM, CHANNEL, TS, content=NONE)
    assert await thread.append(turn(1), turn_id="Ev1") == 0
    assert await thread.append(turn(2), turn_id="Ev2") == 0
    assert counting.commits == [[f"Put {THREADS.name}"]]
    assert await thread.known()
    assert await thread.messages() == ([], 0, False)


async def test_a_list_shows_each_thread_with_its_turns_by_channel(threads: Threads, clock: Clock) -> None:
    places = [("C00000001", "1700000000.000100"), ("C00000001", "1700000001.000100"), ("D00000001", TS)]
    for channel, ts in places:
        clock.now += 10
        await threads.thread(channel, ts).append(turn(1), turn_id="Ev1")
    clock.now += 10
    await threads.thread(*places[0]).append(turn(2), turn_id="Ev2")
    page = await threads.list(limit=2)
    rest = await threads.list(limit=2, after=page.cursor)
    found = [(i.channel, i.thread_ts, i.turns, i.created_at, i.last_at) for i in page.items + rest.items]
    assert found == [
        (*places[0], 2, 1_700_000_010, 1_700_000_040.0),
        (*places[1], 1, 1_700_000_020, 1_700_000_020.0),
        (*places[2], 1, 1_700_000_030, 1_700_000_030.0),
    ]
    assert rest.cursor is None
    assert [i.thread_ts for i in (await threads.list(channel="D00000001")).items] == [TS]


GOOD = {"at": 1, "format": "pydantic-ai", "version": 1}


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ({**GOOD, "messages": '[{"kind":"request","par'}, CorruptData),
        ({**GOOD, "messages": ""}, CorruptData),
        ({**GOOD, "messages": "{}"}, CorruptData),
        ({**GOOD, "messages": "[1]"}, CorruptData),
        ({**GOOD, "messages": '[{"kind":"request"}]'}, CorruptData),
        ({**GOOD, "messages": 7}, CorruptData),
        (GOOD, CorruptData),
        ({**GOOD, "messages": "[]", "format": "other"}, CorruptData),
        ({"at": 1, "messages": "[]"}, CorruptData),
        ({**GOOD, "messages": "[]", "version": "1"}, CorruptData),
        ({**GOOD, "messages": "[]", "version": 2}, FormatTooNew),
    ],
)
async def test_a_damaged_entry_is_an_error_and_never_an_empty_history(
    engine: Engine, thread: Thread, item: dict[str, Any], error: type[Exception]
) -> None:
    await engine.commit([Append(ENTRIES.name, TEAM, thread.id, "Ev1", item)])
    for read in (thread.messages(), thread.messages(limit=1), thread.entries(), thread.first()):
        with pytest.raises(error) as found:
            await read
        assert "Ev1" not in str(found.value)
    await thread.append(turn(2), turn_id="Ev2")
    with pytest.raises(error):
        await thread.messages()


async def test_numbers_inside_messages_survive_as_they_were_written(engine: Engine, thread: Thread) -> None:
    text = '[{"kind":"request","parts":[],"metadata":{"a":123456789012345678901234567890,"b":1.50,"c":1e-7}}]'
    await thread.append(text, turn_id="Ev1")
    (row,) = (await engine.query(Query(ENTRIES.name, TEAM, 1, equals=(thread.id,)))).rows
    assert row.item["messages"] == text
    (entry,) = (await thread.entries()).items
    assert entry.messages == json.loads(text)
