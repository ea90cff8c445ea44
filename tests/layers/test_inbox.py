"""The inbox on its own: one row a message, edits and deletions before and after the claim."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from stateroom.engines.handle import table_of
from stateroom.engines.memory import MemoryEngine
from stateroom.layers import inbox
from stateroom.layers.inbox import INBOX, Inbox
from stateroom.slack.events import Deleted, Edited, FileRef, Message, Opened

NOW = 1_700_000_100.0
TS = "1700000000.000100"
PLACE: dict[str, Any] = {
    "team": "T00000001",
    "channel": "C00000001",
    "ts": TS,
    "thread_ts": None,
    "own_user": "UB0000001",
}


def message(**more: Any) -> Message:
    base = {"user": "U00000001", "text": "first", "source": "mention", "files": (), "event_id": "Ev1", "event_time": 1}
    return Message(**{**PLACE, **base, "channel_type": "channel", "mentions_own": True, **more})


def edit(text: str, at: str = "1700000001.000000", **more: Any) -> Edited:
    base = {"user": "U00000001", "files": (), "previous_text": None, "event_id": "Ev2"}
    return Edited(**{**PLACE, **base, "text": text, "edited_at": at, **more})


def deletion(**more: Any) -> Deleted:
    return Deleted(**{**PLACE, "user": "U00000001", "event_id": "Ev3", **more})


@pytest.fixture
async def engine() -> AsyncIterator[MemoryEngine]:
    made = MemoryEngine(lambda: NOW)
    await made.open()
    await made.apply([table_of(INBOX)])
    yield made
    await made.close()


@pytest.fixture
def rows(engine: MemoryEngine) -> Inbox:
    return Inbox(engine, lambda: NOW)


async def claimed(engine: MemoryEngine, rows: Inbox) -> None:
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    await engine.commit([rows.move(row, "claimed", due_at=NOW + 10, claims=1)])


async def text(rows: Inbox) -> Any:
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    return row.item.get("text")


async def test_a_row_fits_its_definition(rows: Inbox) -> None:
    await rows.accept(message(files=(FileRef("F00000001", "a.png", "image/png", 3),)))
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    INBOX.check(row.item)


async def test_the_same_message_is_one_row_whatever_delivery_brings_it(rows: Inbox) -> None:
    assert await rows.accept(message())
    assert not await rows.accept(message(event_id="Ev9", source="channel", text="first"))
    assert [r.id for r in (await rows.due(limit=10))[0]] == [f"C00000001:{TS}"]


async def test_the_same_message_id_in_two_teams_is_two_rows(rows: Inbox) -> None:
    assert await rows.accept(message())
    assert await rows.accept(message(team="T00000002"))
    assert len((await rows.due(limit=10))[0]) == 2
    assert len(await rows.lane("T00000002", f"C00000001:{TS}")) == 1


async def test_files_that_come_with_the_second_event_are_taken(rows: Inbox) -> None:
    await rows.accept(message())
    await rows.accept(message(files=(FileRef("F00000001", "a.png", "image/png", 3),), source="channel"))
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    assert row.item["files"][0]["name"] == "a.png"


async def test_an_edit_before_the_claim_replaces_the_text_and_an_older_one_does_not(rows: Inbox) -> None:
    await rows.accept(message())
    assert await rows.edited(edit("second", "1700000002.000000")) == "replaced"
    assert await rows.edited(edit("older", "1700000001.000000")) == "ignored"
    assert await text(rows) == "second"


async def test_an_edit_after_the_claim_makes_one_notice(engine: MemoryEngine, rows: Inbox) -> None:
    await rows.accept(message())
    await claimed(engine, rows)
    assert await rows.edited(edit("first")) == "ignored"
    assert await rows.edited(edit("second")) == "notice"
    assert await rows.edited(edit("third", "1700000009.000000")) == "notice"
    assert await text(rows) == "first"
    side = await rows.lane("T00000001", f"C00000001:{TS}:edit")
    assert [r.item["kind"] for r in side] == ["edit"]
    INBOX.check(side[0].item)


async def test_a_message_deleted_before_the_claim_is_withdrawn_with_its_words(rows: Inbox) -> None:
    await rows.accept(message())
    assert await rows.deleted(deletion(), followed=True) == "withdrawn"
    assert await text(rows) is None
    assert (await rows.due(limit=10))[0] == []
    assert not await rows.accept(message())  # a late redelivery does not bring it back


async def test_a_message_deleted_after_the_claim_leaves_a_tombstone_to_be_made(
    engine: MemoryEngine, rows: Inbox
) -> None:
    await rows.accept(message())
    await claimed(engine, rows)
    assert await rows.deleted(deletion(), followed=True) == "tombstone"
    line = await rows.lane("T00000001", f"C00000001:{TS}")
    assert [r.item["kind"] for r in line] == ["message", "deleted"]


async def test_a_deletion_of_a_message_that_aged_out_still_reaches_history(rows: Inbox) -> None:
    assert await rows.deleted(deletion(), followed=False) == "ignored"
    assert await rows.deleted(deletion(thread_ts="1699999999.000100"), followed=True) == "tombstone"


async def test_what_is_closed_keeps_its_id_and_loses_its_words(engine: MemoryEngine, rows: Inbox) -> None:
    await rows.accept(message())
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    await engine.commit([rows.close(row, "done", "answer")])
    (shown,) = await inbox.turns(engine)
    assert shown["state"] == "done"
    assert "first" not in str(shown)
    assert await text(rows) is None


async def test_a_failed_turn_can_be_tried_again(engine: MemoryEngine, rows: Inbox) -> None:
    await rows.accept(message())
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    await engine.commit([rows.close(row, "failed", "timeout", keep_words=True)])
    again = await inbox.retry(engine, lambda: NOW, "T00000001", row.id)
    assert again is not None
    assert again["state"] == "received"
    assert await text(rows) == "first"
    assert [r.id for r in (await rows.due(limit=10))[0]] == [row.id]
    assert await inbox.retry(engine, lambda: NOW, "T00000001", "C00000001:1700000009.000000") is None


LANE = f"C00000001:{TS}"
LATER = "1700000050.000000"


async def stopped(rows: Inbox, ts: str = TS) -> bool:
    row = await rows.get("T00000001", f"C00000001:{ts}")
    return row is not None and "stopped_at" in row.item


async def test_a_stop_is_written_on_the_open_turns_of_its_conversation_once(engine: MemoryEngine, rows: Inbox) -> None:
    await rows.accept(message())
    await rows.accept(message(ts="1700000000.000300", thread_ts=None))
    await claimed(engine, rows)
    assert await rows.stop("T00000001", LANE, before=LATER) == 1
    assert await stopped(rows)
    assert not await stopped(rows, "1700000000.000300")
    assert await rows.stop("T00000001", LANE, before=LATER) == 0
    assert await rows.stop("T00000002", LANE, before=LATER) == 0


async def test_a_stop_is_not_for_what_was_said_after_it(rows: Inbox) -> None:
    await rows.accept(message(ts="1700000060.000000", thread_ts=TS))
    assert await rows.stop("T00000001", LANE, before=LATER) == 0
    assert not await stopped(rows, "1700000060.000000")


async def test_one_persons_stop_is_for_what_is_said_to_them_there(rows: Inbox) -> None:
    await rows.accept(message())
    await rows.accept(message(ts="1700000000.000300", user="U00000002"))
    await rows.accept(message(ts="1700000000.000400", channel="C00000002"))
    assert await rows.stop_of("T00000001", "C00000001", "U00000001", before=LATER) == 1
    assert await stopped(rows)
    assert not await stopped(rows, "1700000000.000300")


async def test_a_stopped_turn_that_is_over_stays_as_it_is(engine: MemoryEngine, rows: Inbox) -> None:
    await rows.accept(message())
    row = await rows.get("T00000001", f"C00000001:{TS}")
    assert row is not None
    await engine.commit([rows.close(row, "done")])
    assert await rows.stop("T00000001", LANE, before=LATER) == 0


async def test_an_opened_conversation_is_one_row_however_often_it_is_told(rows: Inbox) -> None:
    event = Opened("T00000001", "D00000001", None, "U00000001", LATER, "Ev9")
    assert await rows.opened(event)
    assert not await rows.opened(event)
    row = await rows.get("T00000001", f"D00000001:{LATER}:opened")
    assert row is not None
    INBOX.check(row.item)
