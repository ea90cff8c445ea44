"""Messages that are being written: start, append, stop, and the idle ones that Slack gives up.

Rules of this file: functions over a World, the moment handed in. A stream is an ordinary message with `streaming`
set; one that nobody moved for a while loses it, and its app must go on with `chat.update`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stateroom.emulator.records import Json, Message, Session
from stateroom.emulator.speech import changed
from stateroom.emulator.world import World


@dataclass(frozen=True, slots=True)
class Final:
    """What the end of a stream may add."""

    markdown_text: str | None
    chunks: list[Json]
    blocks: list[Any]
    metadata: Json | None


def absorb(message: Message, markdown_text: str | None, chunks: list[Json]) -> None:
    """Add text and chunks to a message. A task or plan chunk replaces the earlier one of the same id or kind."""
    message.text += markdown_text or ""
    for chunk in chunks:
        if chunk["type"] == "markdown_text":
            message.text += str(chunk["text"])
        elif chunk["type"] == "blocks":
            message.blocks = [*message.blocks, *chunk.get("blocks", [])]
        else:
            mark = (chunk["type"], chunk.get("id"))
            kept = [old for old in message.chunks if (old["type"], old.get("id")) != mark]
            message.chunks = [*kept, chunk]


def append(world: World, message: Message, markdown_text: str | None, chunks: list[Json], now: float) -> None:
    """Slack sends no event for each piece; `message_changed` follows once, at the end."""
    absorb(message, markdown_text, chunks)
    message.touched = now
    world.show(message)


def stop(world: World, message: Message, final: Final, now: float) -> None:
    """End a stream; only now can it carry metadata."""
    previous = world.slack_view(message)
    absorb(message, final.markdown_text, final.chunks)
    message.blocks = [*message.blocks, *final.blocks]
    if final.metadata is not None:
        message.metadata = final.metadata
    message.stopped = False
    _end(world, message)
    changed(world, message, previous, now)


def interrupt(world: World, session: Session, now: float) -> list[str]:
    """A person stops an app in a thread: its streams there grow no more. Returns their timestamps."""
    ended = []
    for message in list(world.streams.values()):
        if (message.team, message.channel, message.thread) != (session.team, session.channel, session.thread_ts):
            continue
        if message.app_id == session.app_id:
            previous = world.slack_view(message)
            message.stopped = True
            _end(world, message)
            changed(world, message, previous, now)
            ended.append(message.ts)
    return ended


def expire(world: World, now: float, idle_seconds: float) -> None:
    """Streams that nobody moved for so many seconds are no longer streams."""
    for message in list(world.streams.values()):
        if now - message.touched >= idle_seconds:
            _end(world, message)
            world.show(message)


def leave(world: World, team: str, app_id: str) -> None:
    """An app is removed: nobody can move its streams there any more."""
    for message in list(world.streams.values()):
        if (message.team, message.app_id) == (team, app_id):
            _end(world, message)
            world.show(message)


def _end(world: World, message: Message) -> None:
    message.streaming = False
    world.streams.pop(message.key, None)
