"""What people do through the control plane: speak, edit, delete, react.

Rules of this file: it checks a request against the world and changes the world; no I/O. A request that cannot be is
`Denied` with an HTTP status, a code and the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import msgspec

from stateroom.emulator import files, shares, speech
from stateroom.emulator.records import Json, Message, User
from stateroom.emulator.world import TS_PATTERN, Room, World
from stateroom.model.errors import StateroomError

TEXT_LIMIT = 40_000


class Denied(StateroomError):
    """The control plane says no. `.status` is the HTTP status, `.code` and `.detail` the body."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class SayRequest(msgspec.Struct, kw_only=True):
    """Who says what where. `ts` names the timestamp (for tests); without team or user the first ones are meant."""

    text: str = ""
    channel: str
    team: str | None = None
    user: str | None = None
    thread_ts: str | None = None
    files: list[Json] = []
    subtype: str | None = None
    client_msg_id: str | None = None
    ts: str | None = None


class ActRequest(msgspec.Struct, kw_only=True):
    kind: str
    channel: str = ""
    ts: str = ""
    team: str | None = None
    user: str | None = None
    text: str | None = None
    name: str | None = None


def team_of(world: World, team: str | None) -> str:
    if team is None:
        return next(iter(world.teams))
    if team not in world.teams:
        raise Denied(404, "team_not_found", f"no team {team[:40]}; POST /_sim/teams adds one")
    return team


def room_of(world: World, team: str, channel: str) -> Room:
    room = world.rooms.get((team, channel))
    if room is None:
        raise Denied(404, "channel_not_found", f"no channel {channel[:40]} in team {team}; GET /_sim/state lists them")
    return room


def user_of(world: World, team: str, user: str | None) -> User:
    found = world.people(team)[0] if user is None else world.users.get((team, user))
    if found is None:
        raise Denied(404, "user_not_found", f"no user {(user or '')[:40]} in team {team}; GET /_sim/state lists them")
    return found


def _timestamp(value: str | None, name: str) -> None:
    if value is not None and TS_PATTERN.fullmatch(value) is None:
        raise Denied(400, "invalid_ts", f"{name} looks like 1700000000.000100")


def say(world: World, request: SayRequest, now: float, new_id: Callable[[str], str]) -> Message:
    """A person speaks. The same `client_msg_id` again is the message that is there already."""
    team = team_of(world, request.team)
    room, user = room_of(world, team, request.channel), user_of(world, team, request.user)
    sent = room.by_client_id.get(request.client_msg_id or "")
    if sent is not None and sent in room.messages:
        return room.messages[sent]
    _check_say(request, room, user)
    # A deleted parent is still a thread; a parent that never was is a mistake of the caller.
    thread_ts = speech.thread_root(room, request.thread_ts)
    shared = [shares.said(world, team, user.id, one, (now, new_id)) for one in request.files]
    message = Message(
        team=team,
        channel=room.channel.id,
        ts=request.ts or room.next_ts(now),
        thread_ts=thread_ts,
        user=user.id,
        bot_id=user.bot_id,
        app_id=user.app_id,
        text=speech.resolve_names(world, team, request.text),
        subtype=request.subtype or ("file_share" if request.files else None),
        client_msg_id=request.client_msg_id or str(uuid4()),
        files=[files.view(file) for file in shared],
    )
    speech.post(world, message)
    shares.note(world, shared, message, now)
    return message


def _check_say(request: SayRequest, room: Room, user: User) -> None:
    _timestamp(request.thread_ts, "thread_ts")
    _timestamp(request.ts, "ts")
    if not request.text.strip() and not request.files:
        raise Denied(400, "no_text", "give text or files")
    if len(request.text) > TEXT_LIMIT:
        raise Denied(400, "msg_too_long", f"a message has at most {TEXT_LIMIT} characters")
    if user.id not in room.channel.members:
        raise Denied(403, "not_in_channel", f"{user.id} is no member of {room.channel.id}")
    if request.ts is not None and request.ts in room.messages:
        raise Denied(409, "ts_taken", "another message of this channel has that ts")


def act(world: World, request: ActRequest, now: float) -> Message:
    """A person edits, deletes or reacts to a message; returns that message."""
    perform = _ACTIONS.get(request.kind)
    if perform is None:
        raise Denied(400, "unknown_kind", "kind is edit, delete or react")
    team = team_of(world, request.team)
    room, user = room_of(world, team, request.channel), user_of(world, team, request.user)
    message = room.messages.get(request.ts)
    if message is None or message.deleted:
        raise Denied(404, "message_not_found", "no such message in this channel")
    perform(world, message, request, user, now)
    return message


def _own(message: Message, user: User) -> None:
    if message.user != user.id:
        raise Denied(403, "not_your_message", f"this message is {message.user}'s; name that user")


def _edit(world: World, message: Message, request: ActRequest, user: User, now: float) -> None:
    _own(message, user)
    if not (request.text or "").strip():
        raise Denied(400, "no_text", "an edit needs text; delete the message instead")
    speech.edit(world, message, speech.resolve_names(world, message.team, request.text or ""), user.id, now)


def _delete(world: World, message: Message, request: ActRequest, user: User, now: float) -> None:
    _own(message, user)
    speech.delete(world, message, now)


def _react(world: World, message: Message, request: ActRequest, user: User, now: float) -> None:
    """A second click takes the reaction back, as on Slack."""
    name = (request.name or "").strip(":")
    if not name:
        raise Denied(400, "invalid_name", "name is an emoji name such as thumbsup")
    if not speech.react(world, message, name, user.id, now):
        speech.unreact(world, message, name, user.id, now)


_ACTIONS: dict[str, Callable[[World, Message, ActRequest, User, float], None]] = {
    "edit": _edit,
    "delete": _delete,
    "react": _react,
}
