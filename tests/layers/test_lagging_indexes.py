"""Inbox and threads on a DynamoDB whose global secondary indexes lag behind by more than the tests take."""

from collections.abc import AsyncIterator

import pytest

from stateroom.engines import leases
from stateroom.engines.handle import table_of
from stateroom.layers.assistant import CONTEXTS, Contexts
from stateroom.layers.inbox import INBOX, Inbox
from stateroom.layers.threads import DEFINITIONS, Thread
from stateroom.slack.events import Message
from support.dynamodb import Quick, drop_table, fresh_table
from support.dynamodb_lag import Lagging
from support.retention import Clock

pytestmark = pytest.mark.service
TEAM, CHANNEL = "T00000001", "C00000001"
ROOT = "1700000000.000100"
LANE = f"{CHANNEL}:{ROOT}"


@pytest.fixture(scope="module")
def lagging() -> Lagging:
    return Lagging(lambda: 60.0)


@pytest.fixture
async def engine(lagging: Lagging) -> AsyncIterator[Quick]:
    url = fresh_table(lagging.endpoint)
    made = Quick(url, Clock())
    await made.open()
    await made.apply([*map(table_of, (INBOX, CONTEXTS, *DEFINITIONS)), leases.TABLE])
    yield made
    await made.close()
    drop_table(url)


def message(number: int, **more: object) -> Message:
    return Message(
        team=TEAM, channel=CHANNEL, ts=f"170000000{number}.000100", thread_ts=ROOT, own_user="UB0000001",
        user="U00000001", text=f"{number}", source="mention", files=(), event_id=f"Ev{number}", event_time=1,
        channel_type="channel", mentions_own=True, **more,
    )  # fmt: skip


async def test_an_older_message_that_came_just_now_is_next_in_its_lane(engine: Quick, lagging: Lagging) -> None:
    inbox = Inbox(engine, Clock())
    for number in (3, 1, 2):
        assert await inbox.accept(message(number))
        (head,) = await inbox.lane(TEAM, LANE, limit=1)
        assert head.item["ts"] == ("1700000003.000100" if number == 3 else "1700000001.000100")
    lease = await leases.acquire(engine, Clock(), TEAM, f"lane:{LANE}", holder="h", seconds=30)
    assert lease is not None
    order = []
    while rows := await inbox.lane(TEAM, LANE, limit=1):
        done = await engine.commit([lease.check(), inbox.move(rows[0], "claimed", due_at=1)])
        assert done[1].row is not None
        order.append(done[1].row.item["text"])
        await engine.commit([lease.check(), inbox.close(done[1].row, "done")])
    assert order == ["1", "2", "3"]
    assert not await inbox.accept(message(2))  # a redelivery
    assert await inbox.due(limit=5) == ([], None)  # the GSI has heard of nothing, so the lag is there
    assert lagging.stale


async def test_a_stop_reaches_a_turn_that_was_accepted_just_now(engine: Quick) -> None:
    inbox = Inbox(engine, Clock())
    await inbox.accept(message(1))
    assert await inbox.stop(TEAM, LANE, before="1700000009.000000") == 1
    await inbox.accept(message(2))
    assert await inbox.stop_of(TEAM, CHANNEL, "U00000001", before="1700000009.000000") == 1


async def test_a_turn_is_read_and_repeated_right_after_its_append(engine: Quick) -> None:
    thread = Thread(engine, Clock(), TEAM, CHANNEL, ROOT)
    said = [{"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "hello", "timestamp": "2026-01-01"}]}]
    for number in (1, 2, 3):
        assert await thread.append(said, turn_id=f"Ev{number}") == number
        assert await thread.append(said, turn_id=f"Ev{number}") == number
        assert await thread.count() == number
    assert await thread.known()


async def test_the_context_of_a_thread_is_the_one_that_was_given_last(engine: Quick) -> None:
    contexts = Contexts(engine, Clock(), "1.2")
    for number in (1, 2):
        await contexts.save(CHANNEL, ROOT, {"channel_id": f"C0000000{number}", "team_id": f"T0000000{number}"})
        assert (await contexts.find(CHANNEL, ROOT) or {})["channel_id"] == f"C0000000{number}"
