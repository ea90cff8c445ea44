"""Saying, changing, deleting and reacting: what people and apps do to messages.

Rules of this file: functions over a World, the moment handed in, every change noted through the World's own methods.
What is allowed is the caller's to decide (a Web API method and the page have different rules and error names).
"""

from __future__ import annotations

import re

from stateroom.emulator.records import Json, Message
from stateroom.emulator.views import TOMBSTONE_TEXT
from stateroom.emulator.world import Happening, Room, World

AT_NAME = re.compile(r"(?<![\w<@/.])@([a-z0-9][a-z0-9._-]*[a-z0-9]|[a-z0-9])", re.IGNORECASE)

_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)

STATUS_SECONDS = 120.0


def resolve_names(world: World, team: str, text: str) -> str:
    """`@stateroom` becomes `<@UB…>`, as Slack's composer does before sending; unknown names and code stay."""
    ids = {user.name.lower(): user.id for user in world.members_of(team)}

    def put(match: re.Match[str]) -> str:
        user = ids.get(match.group(1).lower())
        return match.group(0) if user is None else f"<@{user}>"

    parts = _CODE.split(text)
    return "".join(part if number % 2 else AT_NAME.sub(put, part) for number, part in enumerate(parts))


def thread_root(room: Room, thread_ts: str | None) -> str | None:
    """The thread to reply in: naming a reply means the thread that the reply is in."""
    if thread_ts is None:
        return None
    named = room.messages.get(thread_ts)
    return named.thread if named is not None else thread_ts


def post(world: World, message: Message) -> Message:
    """Add a message and tell everybody. The app's status line in that thread goes, as on Slack."""
    room = world.rooms[message.team, message.channel]
    room.add(message)
    world.show(message)
    if message.streaming:
        world.streams[message.key] = message
    if message.app_id is not None:
        clear_status(world, message.team, message.channel, message.thread, message.app_id)
    if message.ephemeral_to is not None:
        place = {"team": message.team, "channel": message.channel, "user": message.ephemeral_to}
        world.tell("ephemeral", **place, message=world.sim_view(message))
    else:
        view = world.slack_view(message)
        world.happen(Happening("said", message.team, message.channel, message.ts, message.ts, view, user=message.user))
    return message


def changed(world: World, message: Message, previous: Json, now: float) -> None:
    """Tell of a change that was made to `message`, which looked like `previous` before."""
    room = world.rooms[message.team, message.channel]
    world.show(message)
    view = world.slack_view(message)
    at = room.next_ts(now)
    world.happen(Happening("changed", message.team, message.channel, message.ts, at, view, previous, user=message.user))


def edit(world: World, message: Message, text: str, by: str, now: float) -> None:
    """A person changes the text of a message."""
    previous = world.slack_view(message)
    message.text = text
    message.edited = {"user": by, "ts": world.rooms[message.team, message.channel].next_ts(now)}
    changed(world, message, previous, now)


def delete(world: World, message: Message, now: float) -> None:
    """Remove a message. One that started a thread leaves a tombstone, so that its replies keep their place."""
    room = world.rooms[message.team, message.channel]
    previous = world.slack_view(message)
    world.streams.pop(message.key, None)
    if room.replies(message.ts):
        message.text, message.subtype, message.deleted, message.streaming = TOMBSTONE_TEXT, "tombstone", True, False
        message.blocks, message.attachments, message.files, message.chunks = [], [], [], []
        message.metadata, message.edited, message.reactions = None, None, {}
        world.show(message)
    else:
        room.remove(message)
        world.forget(message.key)
        world.tell("message_deleted", team=message.team, channel=message.channel, ts=message.ts)
        parent = room.messages.get(message.thread_ts) if message.is_reply and message.thread_ts else None
        if parent is not None:
            world.show(parent)
    at = room.next_ts(now)
    world.happen(Happening("deleted", message.team, message.channel, message.ts, at, {}, previous, user=message.user))


def react(world: World, message: Message, name: str, user: str, now: float) -> bool:
    """Add a reaction. False if that user has it already."""
    users = message.reactions.setdefault(name, [])
    if user in users:
        return False
    users.append(user)
    _reacted(world, message, ("reaction_added", name, user), now)
    return True


def unreact(world: World, message: Message, name: str, user: str, now: float) -> bool:
    """Take a reaction back. False if there is none of that user."""
    if user not in message.reactions.get(name, ()):
        return False
    message.reactions[name].remove(user)
    if not message.reactions[name]:
        del message.reactions[name]
    _reacted(world, message, ("reaction_removed", name, user), now)
    return True


def _reacted(world: World, message: Message, what: tuple[str, str, str], now: float) -> None:
    kind, name, user = what
    world.show(message)
    at = world.rooms[message.team, message.channel].next_ts(now)
    view = world.slack_view(message)
    world.happen(Happening(kind, message.team, message.channel, message.ts, at, view, user=user, reaction=name))


def clear_status(world: World, team: str, channel: str, thread_ts: str, app_id: str) -> None:
    """The status line of one app in one thread goes, if there is one."""
    status = world.statuses.get((team, channel, thread_ts))
    if status is not None and status.app_id == app_id:
        del world.statuses[team, channel, thread_ts]
        world.tell("status", team=team, channel=channel, thread_ts=thread_ts, status="")


def expire_statuses(world: World, now: float, seconds: float) -> None:
    """Status lines older than so many seconds go."""
    for (team, channel, thread_ts), status in list(world.statuses.items()):
        if now - status.since >= seconds:
            clear_status(world, team, channel, thread_ts, status.app_id)
