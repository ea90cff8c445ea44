"""Histories from the folder that an older bot left, written by pydantic-ai itself, whose import is slow."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from stateroom.engines.port import Engine
from stateroom.layers.threads import Thread, Threads, export, import_folder
from stateroom.model.errors import InvalidId, WrongUse
from support.threads import CHANNEL, ENGINES, TEAM, Clock, engine_for

pytestmark = pytest.mark.service


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


def conversation(turns: int) -> list[ModelMessage]:
    messages: list[ModelMessage] = []
    for n in range(turns):
        messages += [
            ModelRequest(parts=[UserPromptPart(f"question {n}")]),
            ModelResponse(parts=[ToolCallPart("look", {"n": n}, tool_call_id=f"c{n}")]),
            ModelRequest(parts=[ToolReturnPart("look", f"seen {n}", tool_call_id=f"c{n}")]),
            ModelResponse(parts=[TextPart(f"answer {n}")]),
        ]
    return messages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the older bot leaves it: `threads/<thread_ts>.json`, an array of messages each."""
    threads = tmp_path / "marvin_chat_storage" / "threads"
    threads.mkdir(parents=True)
    (threads / "1700000000.000100.json").write_bytes(ModelMessagesTypeAdapter.dump_json(conversation(3)))
    (threads / "1700000050.000200.json").write_bytes(ModelMessagesTypeAdapter.dump_json(conversation(1), indent=2))
    return threads.parent


@pytest.mark.parametrize("inner", ["", "threads"])
async def test_a_folder_of_histories_becomes_threads_with_one_entry_a_turn(
    engines: tuple[Engine, Engine], clock: Clock, folder: Path, inner: str
) -> None:
    one, _ = engines
    report = await import_folder(one, clock, folder / inner, team=TEAM, channel=CHANNEL)
    assert report == (4, 0, 0, [])
    listed = (await Threads(one, clock, TEAM).list()).items
    assert [(i.thread_ts, i.turns, i.created_at) for i in listed] == [
        ("1700000000.000100", 3, 1_700_000_000),
        ("1700000050.000200", 1, 1_700_000_050),
    ]
    thread = Thread(one, clock, TEAM, CHANNEL, "1700000000.000100")
    loaded = ModelMessagesTypeAdapter.validate_python((await thread.messages()).messages)
    assert [m.parts for m in loaded] == [
        m.parts
        for m in ModelMessagesTypeAdapter.validate_json((folder / "threads" / "1700000000.000100.json").read_bytes())
    ]
    assert len((await thread.messages(limit=5)).messages) == 4


async def test_importing_a_folder_again_brings_only_what_is_new(
    engines: tuple[Engine, Engine], clock: Clock, folder: Path
) -> None:
    one, _ = engines
    await import_folder(one, clock, folder, team=TEAM, channel=CHANNEL)
    before = await lines_of(one)
    clock.now += 60
    assert await import_folder(one, clock, folder, team=TEAM, channel=CHANNEL) == (0, 4, 0, [])
    assert await lines_of(one) == before
    grown = folder / "threads" / "1700000000.000100.json"
    grown.write_bytes(ModelMessagesTypeAdapter.dump_json(conversation(4)))
    assert await import_folder(one, clock, folder, team=TEAM, channel=CHANNEL) == (1, 4, 0, [])
    assert await Thread(one, clock, TEAM, CHANNEL, "1700000000.000100").count() == 4


async def test_files_that_are_no_histories_are_reported_and_the_others_go_on(
    tmp_path: Path, clock: Clock, folder: Path
) -> None:
    threads = folder / "threads"
    (threads / "notes.json").write_text("[]")
    (threads / "1700000060.000100.json").write_text('[{"kind":"request","pa')
    (threads / "1700000070.000100.json").write_text('{"secret": 1}')
    (threads / "1700000080.000100.json").write_bytes(b"\xff\xfe")
    (threads / "1700000090.000100.txt").write_text("[]")
    async with engine_for("memory", tmp_path, clock) as engine:
        report = await import_folder(engine, clock, folder, team=TEAM, channel=CHANNEL)
        assert report.imported == 4
        assert [bad.where for bad in report.bad] == [
            "1700000060.000100.json",
            "1700000070.000100.json",
            "1700000080.000100.json",
            "notes.json",
        ]
        assert "secret" not in str(report.bad)
        with pytest.raises(WrongUse):
            await import_folder(engine, clock, tmp_path / "nowhere", team=TEAM, channel=CHANNEL)
        with pytest.raises(InvalidId):
            await import_folder(engine, clock, folder, team=TEAM, channel="general")
