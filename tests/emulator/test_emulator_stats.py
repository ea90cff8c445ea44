"""The live strip's counting, and other pure parts of the local Slack."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateroom.emulator import events, speech
from stateroom.emulator.config import EmulatorConfig
from stateroom.emulator.faults import Fault, Faults
from stateroom.emulator.feed import Feed
from stateroom.emulator.guard import refusal
from stateroom.emulator.ledger import Ledger
from stateroom.emulator.records import Channel, Message, Team, decode, encode
from stateroom.emulator.seed import next_id, seed
from stateroom.emulator.stats import Line, Tally, tally, total
from stateroom.emulator.tiers import Allowances, Tier
from stateroom.emulator.world import Room, World


def at(second: int) -> str:
    return f"{second:010d}.000000"


def place(ts: int, thread: int | None) -> dict[str, Any]:
    return {"ts": at(ts), "thread": at(thread or ts), "reply": thread is not None}


def person(ts: int, thread: int | None = None, **more: Any) -> Line:
    given = {"mention": True, "acked": True, **more}
    return Line(by_app=False, by_person=True, **place(ts, thread), **given)


def bot(ts: int, thread: int | None = None, **more: Any) -> Line:
    return Line(by_app=True, by_person=False, **place(ts, thread), **more)


def counted(*lines: Line) -> tuple[int, int, int]:
    found = tally(lines)
    return found.acknowledged, found.answered, found.doubled


def test_only_what_an_app_should_answer_counts() -> None:
    chatter = person(1, mention=False)
    direct = person(2, mention=False, direct=True)
    unacknowledged = person(3, acked=False)
    followed = [person(4), person(5, 4, mention=False)]
    assert counted(chatter, direct, unacknowledged, *followed) == (3, 0, 0)
    assert counted(person(1, mention=False), bot(2, 1), person(3, 1, mention=False))[0] == 1


def test_answers_are_matched_by_the_turn_that_they_name() -> None:
    asked = [person(1), person(2, 1)]
    second = bot(3, 1, turn=f"C1:{at(2)}")
    assert counted(*asked, second) == (2, 1, 0)
    assert tally([*asked, second]).waiting == (1.0,)
    assert counted(*asked, second, bot(4, 1, turn=f"C1:{at(1)}")) == (2, 2, 0)


def test_the_parts_of_one_answer_are_one_and_a_repeated_part_is_another() -> None:
    parts = [bot(2, 1, turn=f"C1:{at(1)}", part=1), bot(3, 1, turn=f"C1:{at(1)}", part=2)]
    assert counted(person(1), *parts) == (1, 1, 0)
    assert counted(person(1), *parts, bot(4, 1, turn=f"C1:{at(1)}", part=2)) == (1, 1, 1)


def test_a_notice_and_a_stream_that_still_runs_answer_nothing() -> None:
    assert counted(person(1), bot(2, 1, turn=f"C1:{at(1)}", kind="notice")) == (1, 0, 0)
    assert counted(person(1), bot(2, 1, streaming=True)) == (1, 0, 0)
    assert counted(person(1), bot(2, 1, turn=f"C1:{at(1)}", kind="failed")) == (1, 1, 0)


def test_without_metadata_order_in_the_thread_decides() -> None:
    assert counted(person(1), person(2, 1), bot(3, 1), bot(4, 1)) == (2, 2, 0)
    assert counted(person(1), bot(2, 1), bot(3, 1)) == (1, 1, 1)
    assert counted(person(1), person(2), bot(3, 2)) == (2, 1, 0)
    assert counted(person(1), bot(2)) == (1, 1, 0)


def test_a_message_is_lost_only_after_a_while() -> None:
    waiting = [Tally(acknowledged=2, answered=1, waiting=(100.0,)), Tally(acknowledged=1, answered=1)]
    assert total(waiting, 159.0, 60.0) == {"acknowledged": 3, "answered": 2, "lost": 0, "doubled": 0}
    assert total(waiting, 160.0, 60.0)["lost"] == 1


@given(st.lists(st.booleans(), max_size=30))
def test_one_answer_each_is_never_doubled_nor_missing(in_time: list[bool]) -> None:
    """People and answers interleaved in any order: every answer goes to somebody who waits."""
    lines, waiting, clock = [person(1)], 1, 1
    for more in in_time:
        clock += 1
        if more or not waiting:
            lines.append(person(clock, 1))
            waiting += 1
        else:
            lines.append(bot(clock, 1))
            waiting -= 1
    found = tally(lines)
    assert found.doubled == 0
    assert len(found.waiting) == waiting
    assert found.answered + waiting == found.acknowledged


def test_timestamps_rise_in_a_channel_even_when_the_clock_does_not() -> None:
    room = Room(Channel(id="C1", team="T1"))
    stamps = [room.next_ts(at) for at in (100.0, 100.0, 99.0, 100.5, 100.2)]
    assert stamps == sorted(set(stamps))
    assert stamps[0] == "0000000100.000000"


def test_named_timestamps_take_their_place_in_the_order() -> None:
    world = World()
    seed(world, EmulatorConfig(), 1_700_000_000.0)
    spot = {"team": "T00000001", "channel": "C00000001", "user": "U00000001"}
    for ts in ("1700000002.000000", "1700000001.000000", "1700000003.000000"):
        speech.post(world, Message(ts=ts, **spot))
    room = world.rooms["T00000001", "C00000001"]
    assert [one.ts[9] for one in room.listed()] == ["1", "2", "3"]
    assert room.next_ts(0.0) > "1700000003.000000"


def test_names_become_mentions_as_in_slacks_composer() -> None:
    world = World()
    seed(world, EmulatorConfig(), 0.0)

    def said(text: str) -> str:
        return speech.resolve_names(world, "T00000001", text)

    assert said("@stateroom hi @Ada.") == "<@UB0000001> hi <@U00000001>."
    untouched = "mail a@ada.org `@ada` <@U00000001> @nobody"
    assert said(untouched) == untouched


def test_everything_said_survives_the_journal() -> None:
    message = Message(team="T1", channel="C1", ts="1.0", user="U1", text="日本", acked=["A1"], reactions={"a": ["U1"]})
    assert decode(message.key, encode(message)) == message
    assert decode("team/T1", encode(Team(id="T1", name="x"))) == Team(id="T1", name="x")


def test_the_signature_is_slacks_published_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = events.sign("8f742231b10e8888abcd99yyyzzz85a5", 1531420618, body)
    assert signature == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def test_retries_follow_slacks_schedule() -> None:
    assert [events.retry_after(sent) for sent in (1, 2, 3, 4)] == [0.0, 60.0, 300.0, None]


def test_an_allowance_refills_and_says_when_to_come_back() -> None:
    allowances, tier = Allowances(), Tier(2, seconds=60.0)
    assert [allowances.take(("a",), tier, 0.0, 1.0) for _ in range(3)] == [None, None, 30]
    assert allowances.take(("b",), tier, 0.0, 1.0) is None
    assert allowances.take(("a",), tier, 30.0, 1.0) is None
    assert [allowances.take(("c",), tier, 0.0, 0.01) for _ in range(3)] == [None, None, 1]


def test_a_fault_is_met_as_often_as_it_says() -> None:
    faults = Faults()
    faults.add(Fault(kind="error", method="chat.*", count=2))
    met = [
        faults.meet_method(name, "C1") is not None for name in ("users.list", "chat.update", "chat.delete", "chat.x")
    ]
    assert met == [False, True, True, False]
    assert faults.listed() == []


def test_the_ledger_keeps_the_last_and_filters() -> None:
    ledger = Ledger("calls", kept=2)
    for number in range(3):
        ledger.add("even" if number % 2 == 0 else "odd", {"n": number})
    assert ledger.page() == b'{"calls":[{"n":1},{"n":2}]}'
    assert ledger.page("even") == b'{"calls":[{"n":2}]}'


def test_ids_count_on_from_the_seeds() -> None:
    assert next_id("U", ["U00000001", "UB0000001", "U00000007"]) == "U00000008"
    assert next_id("UB", ["U00000001", "UB0000001"]) == "UB0000002"
    assert next_id("D", []) == "D00000001"


async def test_the_feed_resumes_after_a_number_and_resets_whoever_is_too_far_behind() -> None:
    feed = Feed(first=100, kept_bytes=200)
    for number in range(3):
        feed.publish({"type": "x", "n": number})

    async def first(after: int | None) -> bytes:
        frames = feed.follow(after)
        await anext(frames)
        found = await anext(frames)
        await frames.aclose()  # type: ignore[attr-defined]
        return found

    assert b'"n":1' in await first(101)
    assert b'"n":0' not in await first(101)
    for number in range(20):
        feed.publish({"type": "x", "n": number})
    for stale in (101, 5, 10**15):
        assert b'"reset"' in await first(stale)
    assert feed.readers == 0


@pytest.mark.parametrize(
    ("host", "origin", "welcome"),
    [
        ("127.0.0.1:8000", None, True),
        ("localhost:8000", "http://localhost:8000", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", False),
        ("127.0.0.1:8000", "https://127.0.0.1:8000", False),
        ("127.0.0.1:8000", "null", False),
        ("127.0.0.1:8000", "http://evil.example", False),
        ("evil.example:8000", None, False),
        ("127.0.0.1.evil.example", None, False),
        ("", None, False),
    ],
)
def test_only_this_machine_and_our_own_page_are_welcome(host: str, origin: str | None, welcome: bool) -> None:
    assert (refusal(host, origin) is None) is welcome


def test_a_world_of_random_threads_keeps_every_reply_in_order() -> None:
    dice, world = random.Random(7), World()
    seed(world, EmulatorConfig(), 1_700_000_000.0)
    room = world.rooms["T00000001", "C00000001"]
    roots: list[str] = []
    for number in range(300):
        thread = dice.choice(roots) if roots and dice.random() < 0.7 else None
        ts = room.next_ts(1_700_000_000.0 + number)
        spot = {"team": "T00000001", "channel": "C00000001", "user": "U00000001"}
        speech.post(world, Message(ts=ts, thread_ts=thread, text=str(number), **spot))
        if thread is None:
            roots.append(ts)
    replies = [one for root in roots for one in room.replies(root)]
    assert len(replies) + len(roots) == 300
    for root in roots:
        stamps = [one.ts for one in room.replies(root)]
        assert stamps == sorted(stamps)
        assert all(one.thread == root for one in room.replies(root))
