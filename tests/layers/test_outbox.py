"""Which Slack message an interrupted intent became: pure."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stateroom.engines.port import Row
from stateroom.layers import outbox

TURN = Row(
    "C00000001:1700000005.000000",
    {"channel": "C00000001", "thread_ts": "1700000000.000100", "ts": "1700000005.000000"},
    1,
    team="T00000001",
)
OWN = ("UB0000001", "B00000001")


def intent(part: int = 0, *, stream: bool = True, kind: str = "answer") -> Row:
    write = outbox.intend(TURN, kind, part, stream=stream, deadline=1.0)
    outbox.OUTBOX.check(write.item)
    return Row(write.id, dict(write.item), 1, team=write.team)


def said(ts: str, *, user: str = "UB0000001", row: Row | None = None, kind: str = "answer") -> dict[str, Any]:
    message: dict[str, Any] = {"ts": ts, "user": user, "text": "x"}
    return message if row is None else {**message, "metadata": outbox.metadata(row, kind)}


def test_a_message_that_carries_our_metadata_is_ours_also_when_it_became_an_apology() -> None:
    row = intent(stream=False)
    assert outbox.adopt(row, [said("1700000006.000000", row=row)], OWN, []) == "1700000006.000000"
    assert outbox.adopt(row, [said("1700000006.000000", row=row, kind="failed")], OWN, []) == "1700000006.000000"


def test_another_parts_metadata_is_never_adopted() -> None:
    assert outbox.adopt(intent(0), [said("1700000006.000000", row=intent(1))], OWN, []) is None
    assert (
        outbox.adopt(intent(0), [said("1700000006.000000", row=intent(0, kind="notice"), kind="notice")], OWN, [])
        is None
    )


def test_a_stream_without_metadata_is_found_by_exclusion() -> None:
    thread = [
        said("1700000004.000000"),  # before the message that is answered
        said("1700000006.000000"),  # another row's
        said("1700000007.000000", user="U00000002"),  # a person
        said("1700000008.000000"),
    ]
    assert outbox.adopt(intent(), thread, OWN, ["1700000006.000000"]) == "1700000008.000000"


def test_a_post_is_never_found_by_exclusion() -> None:
    assert outbox.adopt(intent(stream=False), [said("1700000008.000000")], OWN, []) is None


@given(st.lists(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_a_claimed_or_earlier_message_is_never_adopted(shown: list[int], claimed: set[int]) -> None:
    found = outbox.adopt(
        intent(), [said(f"17000000{n:02d}.000000") for n in shown], OWN, [f"17000000{n:02d}.000000" for n in claimed]
    )
    free = sorted(n for n in shown if n not in claimed and n > 5)
    assert found == (f"17000000{free[0]:02d}.000000" if free else None)


def test_nothing_of_the_text_is_in_a_row() -> None:
    write = outbox.posted(intent(), "1700000006.000000", "answer", "a secret")
    assert "a secret" not in str(write)
