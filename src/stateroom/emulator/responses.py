"""What an app says back to an interaction: in its acknowledgement, or through a `response_url`.

Rules of this file: functions over a World, the moment handed in; who may use the URL is decided before. A response is
shown to the one person unless it says `in_channel`; it is written by the app's bot, which need not be in the channel.
Facts: docs.slack.dev/interactivity/handling-user-interaction (message responses).
"""

from __future__ import annotations

from typing import Any

import msgspec

from stateroom.emulator import speech
from stateroom.emulator.elements import with_ids
from stateroom.emulator.nesting import shallow
from stateroom.emulator.records import UNREADABLE, Hook, Json, Message
from stateroom.emulator.world import TS_PATTERN, Room, World
from stateroom.model.errors import StateroomError

SLACKBOT = "USLACKBOT"


class Unusable(StateroomError):
    """A response that Slack refuses; `.code` is its word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Said(msgspec.Struct):
    """The parts of a response that matter; `text` alone is enough."""

    text: str = ""
    blocks: list[Json] | None = None
    attachments: list[Json] | None = None
    response_type: str | None = None
    replace_original: bool | str = False
    delete_original: bool | str = False
    thread_ts: str | None = None
    metadata: Json | None = None

    @property
    def empty(self) -> bool:
        return not (self.text or self.blocks or self.attachments)


def _yes(flag: bool | str) -> bool:
    return flag is True or flag == "true"


def read(body: bytes, *, is_json: bool) -> Said | None:
    """What a body says; None when it says nothing. Raises Unusable("invalid_payload")."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return None
    if not is_json and not text.startswith("{"):
        return Said(text=text)
    return from_payload(_decoded(text))


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(shallow(text.encode()))
    except UNREADABLE:
        raise Unusable("invalid_payload") from None


def from_payload(payload: Any) -> Said:
    """A response from decoded JSON; null counts as absent. Raises Unusable("invalid_payload")."""
    given = {name: value for name, value in payload.items() if value is not None} if isinstance(payload, dict) else None
    try:
        return msgspec.convert(given, Said)
    except msgspec.ValidationError:
        raise Unusable("invalid_payload") from None


def carry_out(world: World, hook: Hook, said: Said, now: float) -> Message | None:
    """Post, replace or delete; returns the message that is shown. Raises Unusable."""
    original = world.rooms[hook.team, hook.channel].messages.get(hook.message_ts or "")
    if _yes(said.delete_original):
        if original is not None:
            speech.delete(world, original, now)
        return None
    if said.empty:
        raise Unusable("no_text")
    if _yes(said.replace_original) and original is not None:
        return _replace(world, original, said, now)
    return _post(world, hook, said, now)


def _replace(world: World, original: Message, said: Said, now: float) -> Message:
    previous = world.slack_view(original)
    original.text = said.text
    original.blocks = with_ids(said.blocks or [])
    original.attachments = said.attachments or []
    if said.metadata is not None:
        original.metadata = said.metadata
    if original.ephemeral_to is not None:
        world.show(original)
    else:
        original.edited = {"user": original.user, "ts": world.rooms[original.team, original.channel].next_ts(now)}
        speech.changed(world, original, previous, now)
    return original


def _post(world: World, hook: Hook, said: Said, now: float) -> Message:
    room, app = world.rooms[hook.team, hook.channel], world.apps[hook.app_id]
    install = app.installs.get(hook.team)
    if install is None:
        raise Unusable("account_inactive")
    thread_ts = said.thread_ts if said.thread_ts is not None and TS_PATTERN.fullmatch(said.thread_ts) else None
    message = Message(
        team=hook.team,
        channel=hook.channel,
        ts=room.next_ts(now),
        thread_ts=speech.thread_root(room, thread_ts),
        user=install.bot_user_id,
        bot_id=install.bot_id,
        app_id=app.app_id,
        text=said.text,
        blocks=with_ids(said.blocks or []),
        attachments=said.attachments or [],
        metadata=said.metadata,
        ephemeral_to=None if said.response_type == "in_channel" else hook.user,
    )
    return speech.post(world, message)


def by_slackbot(world: World, room: Room, user: str, text: str, now: float) -> Message:
    """A line that Slack itself shows to one person."""
    message = Message(
        team=room.channel.team,
        channel=room.channel.id,
        ts=room.next_ts(now),
        user=SLACKBOT,
        username="Slackbot",
        subtype="bot_message",
        text=text,
        ephemeral_to=user,
    )
    return speech.post(world, message)
