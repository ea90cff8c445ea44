"""What the tests of threads share: engines ready for threads, and messages as pydantic-ai writes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stateroom.engines.handle import table_of
from stateroom.engines.port import Engine
from stateroom.layers.threads import DEFINITIONS
from stateroom.store import engine_of

ENGINES = ("memory", "sqlite")
TEAM, CHANNEL, TS = "T01234567", "C01234567", "1700000000.000100"


class Clock:
    """Time that only tests move."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def engine_for(kind: str, folder: Path, clock: Clock, name: str = "threads") -> AsyncIterator[Engine]:
    engine = engine_of("memory://" if kind == "memory" else f"sqlite:///{folder}/{name}.db", clock)
    await engine.open()
    try:
        await engine.apply([table_of(definition) for definition in DEFINITIONS])
        yield engine
    finally:
        await engine.close()


def ask(words: str) -> dict[str, Any]:
    return {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": words}]}


def answer(words: str) -> dict[str, Any]:
    return {"kind": "response", "parts": [{"part_kind": "text", "content": words}]}


def call(*ids: str) -> dict[str, Any]:
    parts = [{"part_kind": "tool-call", "tool_name": "look", "args": {"id": i}, "tool_call_id": i} for i in ids]
    return {"kind": "response", "parts": parts}


def returned(*ids: str) -> dict[str, Any]:
    parts = [{"part_kind": "tool-return", "tool_name": "look", "content": i, "tool_call_id": i} for i in ids]
    return {"kind": "request", "parts": parts}


def turn(number: int) -> list[dict[str, Any]]:
    return [ask(f"question {number}"), answer(f"answer {number}")]


def words_of(messages: list[dict[str, Any]]) -> list[str]:
    return [part["content"] for message in messages for part in message["parts"]]
