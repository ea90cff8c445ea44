"""`conversations.create`, `.join`, `.invite`, `.kick`, `.leave`, `.setTopic`, `.setPurpose`, `.mark`.

Rules of this file: public channels only. Who comes or goes is an event for every app in the channel; the page reads the
whole state again.
"""

from __future__ import annotations

import re

from stateroom.emulator import views
from stateroom.emulator.records import Channel, Json
from stateroom.emulator.tiers import TIER_2, TIER_3
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused
from stateroom.emulator.world import Addressed, Room

_NAME = re.compile(r"[\w-]+", re.UNICODE)
NAME_LIMIT = 80
TEXT_LIMIT = 250
INVITE_LIMIT = 100


def _tell(call: Call, room: Room, event: Json) -> None:
    """An event for every app whose bot is in the channel, and for the page."""
    channel, at = room.channel, room.next_ts(call.now)
    for app in call.world.apps.values():
        install = app.installs.get(call.team)
        if install is not None and (install.bot_user_id in channel.members or event.get("user") == install.bot_user_id):
            call.world.address(Addressed(app.app_id, install, {**event, "event_ts": at}, channel.id, at))
    call.world.keep(channel)
    call.world.tell("reset")


def _public(call: Call, *, member: bool) -> Room:
    room = call.room(member=member)
    if room.channel.is_im:
        raise Refused("method_not_supported_for_channel_type")
    return room


def _shown(call: Call, room: Room) -> Json:
    people = call.world.people(call.team)
    creator = room.channel.creator or (people[0].id if people else "")
    return {"channel": views.slack_channel(room.channel, call.install.bot_user_id, creator)}


def create(call: Call) -> Json:
    name = call.args["name"].lower()
    if call.args.get("is_private") is True:
        raise Refused("restricted_action", detail="the local Slack has public channels only")
    if len(name) > NAME_LIMIT:
        raise Refused("invalid_name_maxlength")
    if _NAME.fullmatch(name) is None:
        raise Refused("invalid_name_specials")
    if any(channel.name == name for channel in call.world.channels_of(call.team)):
        raise Refused("name_taken")
    me = call.install.bot_user_id
    made = Channel(id=call.new_id("C"), team=call.team, name=name, members=[me], created=int(call.now), creator=me)
    room = call.world.add_channel(made)
    shown = {"id": made.id, "name": name, "created": made.created, "creator": me}
    _tell(call, room, {"type": "channel_created", "channel": shown})
    return _shown(call, room)


def _joined(call: Call, room: Room, user: str, inviter: str | None) -> None:
    room.channel.members.append(user)
    about = {"user": user, "channel": room.channel.id, "channel_type": "C", "team": call.team}
    _tell(call, room, {"type": "member_joined_channel", **about, **({"inviter": inviter} if inviter else {})})


def _left(call: Call, room: Room, user: str) -> None:
    room.channel.members.remove(user)
    about = {"user": user, "channel": room.channel.id, "channel_type": "C", "team": call.team}
    _tell(call, room, {"type": "member_left_channel", **about})


def join(call: Call) -> Json:
    room = _public(call, member=False)
    if call.is_member(room.channel):
        call.warnings.append("already_in_channel")
    else:
        _joined(call, room, call.install.bot_user_id, None)
    return _shown(call, room)


def invite(call: Call) -> Json:
    """All or nobody, unless `force` says to leave out who cannot come."""
    room, users = _public(call, member=True), call.args["users"]
    if len(users) > INVITE_LIMIT:
        raise Refused("too_many_users")
    wrong = [problem for user in users if (problem := _uninvitable(call, room, user)) is not None]
    if wrong and (call.args.get("force") is not True or len(wrong) == len(users)):
        raise Refused(wrong[0]["error"], errors=wrong)
    left_out = {problem["user"] for problem in wrong}
    for user in users:
        if user not in left_out:
            _joined(call, room, user, call.install.bot_user_id)
    return {**_shown(call, room), **({"errors": wrong} if wrong else {})}


def _uninvitable(call: Call, room: Room, user: str) -> Json | None:
    if user == call.install.bot_user_id:
        error = "cant_invite_self"
    elif (call.team, user) not in call.world.users:
        error = "user_not_found"
    elif user in room.channel.members:
        error = "already_in_channel"
    else:
        return None
    return {"user": user, "ok": False, "error": error}


def kick(call: Call) -> Json:
    room, user = _public(call, member=True), call.args["user"]
    if (call.team, user) not in call.world.users:
        raise Refused("user_not_found")
    if user == call.install.bot_user_id:
        raise Refused("cant_kick_self")
    if room.channel.name == "general":
        raise Refused("cant_kick_from_general")
    if user not in room.channel.members:
        raise Refused("not_in_channel")
    _left(call, room, user)
    return {}


def leave(call: Call) -> Json:
    room = _public(call, member=False)
    if not call.is_member(room.channel):
        return {"not_in_channel": True}
    if room.channel.name == "general":
        raise Refused("cant_leave_general")
    _left(call, room, call.install.bot_user_id)
    return {}


def _text(call: Call, name: str) -> str:
    text: str = call.args.get(name, "")
    if len(text) > TEXT_LIMIT:
        raise Refused("too_long")
    return text


def set_topic(call: Call) -> Json:
    room = _public(call, member=True)
    room.channel.topic = _text(call, "topic")
    call.world.keep(room.channel)
    call.world.tell("reset")
    return _shown(call, room)


def set_purpose(call: Call) -> Json:
    room = _public(call, member=True)
    room.channel.purpose = _text(call, "purpose")
    call.world.keep(room.channel)
    return {**_shown(call, room), "purpose": room.channel.purpose}


def mark(call: Call) -> Json:
    """A bot reads nothing, so nothing is kept; the arguments are checked."""
    call.room()
    call.timestamp("ts", "invalid_timestamp")
    return {}


_CHANNEL = Arg("channel", required=True)
_MANAGE = ("channels:manage", "groups:write", "im:write", "mpim:write")
_USERS = Arg("users", "ids", required=True)

METHODS = (
    Method("conversations.create", create, (Arg("name", required=True), Arg("is_private", "flag")), _MANAGE, TIER_2),
    Method("conversations.join", join, (_CHANNEL,), ("channels:join",), TIER_3),
    Method("conversations.invite", invite, (_CHANNEL, _USERS, Arg("force", "flag")), _MANAGE, TIER_3),
    Method("conversations.kick", kick, (_CHANNEL, Arg("user", required=True)), _MANAGE, TIER_3),
    Method("conversations.leave", leave, (_CHANNEL,), _MANAGE, TIER_3),
    Method("conversations.setTopic", set_topic, (_CHANNEL, Arg("topic")), _MANAGE, TIER_2),
    Method("conversations.setPurpose", set_purpose, (_CHANNEL, Arg("purpose")), _MANAGE, TIER_2),
    Method("conversations.mark", mark, (_CHANNEL, Arg("ts", required=True)), _MANAGE, TIER_3),
)
