"""Histories out of a store and into another; from the folder of an older bot: test_threads_folder.py."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateroom.engines.port import Append, Engine
from stateroom.layers.threads import ENTRIES, Thread, export, import_lines, teams
from stateroom.model.content import NONE, Content
from stateroom.model.errors import CorruptData, InvalidId, WrongUse
from support.threads import CHANNEL, ENGINES, TEAM, TS, Clock, answer, ask, engine_for, turn, words_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ENGINES)
async def engines(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[tuple[Engine, Engine]]:
    """Two empty stores of one kind."""
    async with (
        engine_for(request.param, tmp_path, clock, "one") as one,
        engine_for(request.param, tmp_path, clock, "two") as two,
    ):
        yield one, two


async def lines_of(engine: Engine, **which: Any) -> list[bytes]:
    return [line async for line in export(engine, **which)]


async def fill(engine: Engine, clock: Clock) -> None:
    """Three threads in two teams, with a tombstone, wide numbers and scripts."""
    for team, channel, ts in [(TEAM, CHANNEL, TS), (TEAM, "D00000001", TS), ("T00000009", CHANNEL, TS)]:
        thread = Thread(engine, clock, team, channel, ts)
        await engine.commit([thread.follow()])
        for n in range(3):
            clock.now += 1.000001
            messages = [{**ask(f"{n} 日本 \u2028 😀"), "metadata": {"wide": 2**80, "float": 0.1}}, answer(team)]
            await thread.append(messages, turn_id=f"Ev/{n} ü", author="U01234567", ts=f"170000000{n}.000100")
        await thread.append('[{"kind":"request","parts":[],"metadata":{"exact":1.50}}]', turn_id="exact")
        await thread.tombstone("Ev/1 ü")


async def test_a_copy_exports_the_same_bytes(engines: tuple[Engine, Engine], clock: Clock) -> None:
    one, two = engines
    await fill(one, clock)
    lines = await lines_of(one)
    clock.now += 1_000_000
    report = await import_lines(two, clock, lines)
    assert report == (12, 0, 0, [])
    assert await lines_of(two) == lines
    assert await import_lines(two, clock, lines) == (0, 12, 0, [])
    assert await lines_of(two) == lines


async def test_a_line_is_one_turn_and_stands_alone(engines: tuple[Engine, Engine], clock: Clock) -> None:
    one, _ = engines
    await fill(one, clock)
    lines = [json.loads(line) for line in await lines_of(one)]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in await lines_of(one))
    assert len(lines) == 12
    assert {(line["team"], line["channel"], line["thread_ts"]) for line in lines[:4]} == {("T00000009", CHANNEL, TS)}
    assert lines[0]["messages"][0]["parts"][0]["content"] == "0 日本 \u2028 😀"
    assert lines[1]["tombstone"] is True
    assert "messages" not in lines[1]
    assert b'"exact":1.50' in (await lines_of(one))[3]


async def test_an_export_can_be_of_one_team_channel_or_thread(engines: tuple[Engine, Engine], clock: Clock) -> None:
    one, _ = engines
    await fill(one, clock)
    assert await teams(one) == ["T00000009", TEAM]
    assert len(await lines_of(one, team=TEAM)) == 8
    assert len(await lines_of(one, team=TEAM, channel="D00000001")) == 4
    assert len(await lines_of(one, team=TEAM, channel=CHANNEL, thread_ts=TS)) == 4
    assert await lines_of(one, team="T00000008") == []
    with pytest.raises(WrongUse):
        await lines_of(one, team=TEAM, thread_ts=TS)
    with pytest.raises(InvalidId):
        await lines_of(one, team="../etc/passwd")


async def test_teams_are_found_over_many_threads(engines: tuple[Engine, Engine], clock: Clock) -> None:
    one, _ = engines
    for n in range(250):
        clock.now += n % 3
        await one.commit([Thread(one, clock, f"T0000000{n % 2}", CHANNEL, f"{1_700_000_000 + n}.000100").follow()])
    assert await teams(one) == ["T00000000", "T00000001"]


async def test_a_damaged_entry_ends_an_export_with_an_error(engines: tuple[Engine, Engine], clock: Clock) -> None:
    one, _ = engines
    await fill(one, clock)
    item = {"at": 1, "format": "pydantic-ai", "version": 1, "messages": "[{"}
    await one.commit([Append(ENTRIES.name, TEAM, f"{CHANNEL}:{TS}", "bad", item)])
    with pytest.raises(CorruptData):
        await lines_of(one)


LINE = {"team": TEAM, "channel": CHANNEL, "thread_ts": TS, "turn_id": "Ev1", "messages": turn(1)}
BAD: list[tuple[Any, str]] = [
    (b"{", "not JSON"),
    (b"\xff", "not JSON"),
    ([], "Expected `object`"),
    ({**LINE, "team": 7}, r"\$.team"),
    ({k: v for k, v in LINE.items() if k != "turn_id"}, "turn_id"),
    ({**LINE, "thread_ts": "../etc/passwd"}, "thread_ts"),
    ({**LINE, "channel": "secret"}, "channel"),
    ({**LINE, "turn_id": ""}, "turn_id"),
    ({**LINE, "author": "secret"}, "author"),
    ({**LINE, "at": -1}, "at"),
    ({**LINE, "at": 1e300}, "at"),
    ({**LINE, "created_at": 10**40}, "created_at"),
    ({**LINE, "format": "secret", "version": 1}, "format"),
    ({**LINE, "format": "pydantic-ai", "version": 2}, "version 2"),
    ({**LINE, "messages": [{"kind": "secret"}]}, r"messages\[0\].kind"),
    ({**LINE, "messages": []}, "empty"),
    ({k: v for k, v in LINE.items() if k != "messages"}, "messages"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
async def test_a_bad_line_is_reported_without_its_words_and_the_others_go_on(
    tmp_path: Path, clock: Clock, line: Any, reason: str
) -> None:
    async with engine_for("memory", tmp_path, clock) as engine:
        raw = line if isinstance(line, bytes) else json.dumps(line).encode()
        good = json.dumps({**LINE, "turn_id": "Ev2"})
        report = await import_lines(engine, clock, [b"\n", raw, good])
        assert (report.imported, report.repeated) == (1, 0)
        (bad,) = report.bad
        assert bad.where == "line 2"
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(bad.reason)
        assert "secret" not in bad.reason
        assert "passwd" not in bad.reason
        window = await Thread(engine, clock, TEAM, CHANNEL, TS).messages()
        assert words_of(window.messages) == ["question 1", "answer 1"]


async def test_a_line_that_is_too_large_does_not_hold_up_its_neighbours(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stateroom.engines.memory.ITEM_LIMIT", 5_000)
    async with engine_for("memory", tmp_path, clock) as engine:
        lines = [json.dumps({**LINE, "turn_id": f"Ev{n}"}) for n in range(5)]
        lines[2] = json.dumps({**LINE, "turn_id": "large", "messages": [ask("x" * 6_000)]})
        report = await import_lines(engine, clock, lines)
        assert (report.imported, [bad.where for bad in report.bad]) == (4, ["line 3"])


async def test_an_import_keeps_words_no_longer_than_the_setting_says(tmp_path: Path, clock: Clock) -> None:
    async with engine_for("memory", tmp_path, clock) as engine:
        lines = [json.dumps({**LINE, "turn_id": f"Ev{age}", "at": clock.now - age}) for age in (7200, 1800)]
        report = await import_lines(engine, clock, lines, content=Content.parse("ttl:1h"))
        assert report == (1, 0, 1, [])
        thread = Thread(engine, clock, TEAM, CHANNEL, TS)
        assert [e.turn_id for e in (await thread.entries()).items] == ["Ev1800"]
        clock.now += 1801
        assert (await thread.entries()).items == []
        with pytest.raises(WrongUse):
            await import_lines(engine, clock, lines, content=NONE)


async def test_lines_may_come_from_an_asynchronous_source(tmp_path: Path, clock: Clock) -> None:
    async def source() -> AsyncIterator[str]:
        for n in range(250):
            yield json.dumps({**LINE, "turn_id": f"Ev{n}"})

    async with engine_for("memory", tmp_path, clock) as engine:
        assert (await import_lines(engine, clock, source())).imported == 250
        entries = (await Thread(engine, clock, TEAM, CHANNEL, TS).entries(limit=300)).items
        assert [e.turn_id for e in entries] == [f"Ev{n}" for n in range(250)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["request", "response"]),
        "parts": st.lists(
            st.fixed_dictionaries({"part_kind": st.sampled_from(["user-prompt", "text"]), "content": JSON}), max_size=2
        ),
    },
    optional={"metadata": JSON},
)


@settings(max_examples=40)
@given(st.lists(st.lists(MESSAGE, min_size=1, max_size=3), min_size=1, max_size=4), st.floats(0, 1e10))
async def test_whatever_was_said_comes_back_and_is_exported_alike(said: list[list[dict[str, Any]]], now: float) -> None:
    clock = Clock(now)
    async with (
        engine_for("memory", Path(), clock) as one,
        engine_for("memory", Path(), clock) as two,
    ):
        thread = Thread(one, clock, TEAM, CHANNEL, TS)
        for n, messages in enumerate(said):
            await thread.append(messages, turn_id=f"Ev{n}")
        lines = await lines_of(one)
        assert [json.loads(line)["messages"] for line in lines] == [e.messages for e in (await thread.entries()).items]
        assert (await import_lines(two, clock, lines)).bad == []
        assert await lines_of(two) == lines
