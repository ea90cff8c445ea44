"""`chat.scheduleMessage`, `chat.deleteScheduledMessage`, `chat.scheduledMessages.list`.

Rules of this file: a moment is Slack's, in Unix seconds, and is not scaled. What is due is posted by `scheduled.py`.
"""

from __future__ import annotations

import msgspec

from stateroom.emulator import scheduled
from stateroom.emulator.records import Json, Scheduled
from stateroom.emulator.tiers import TIER_3
from stateroom.emulator.webapi.content import CONTENT_ARGS, compose
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused

AHEAD_SECONDS = 120 * 86_400
WINDOW_SECONDS, WINDOW_LIMIT = 300, 30


def _post_at(call: Call) -> int:
    post_at: int = call.args["post_at"]
    if post_at <= call.now:
        raise Refused("time_in_past")
    if post_at > call.now + AHEAD_SECONDS:
        raise Refused("time_too_far")
    return post_at


def schedule(call: Call) -> Json:
    room, post_at = call.room(), _post_at(call)
    near = [
        one
        for one in call.world.scheduled.values()
        if (one.team, one.channel) == (call.team, room.channel.id)
        and one.post_at // WINDOW_SECONDS == post_at // WINDOW_SECONDS
    ]
    if len(near) >= WINDOW_LIMIT:
        raise Refused("restricted_too_many")
    message = compose(call, room)
    made = Scheduled(id=call.new_id("Q"), post_at=post_at, created=int(call.now), message=msgspec.to_builtins(message))
    scheduled.add(call.world, made)
    shown = {"text": message.text, "type": "delayed_message", "user": message.user, "bot_id": message.bot_id}
    return {"channel": room.channel.id, "scheduled_message_id": made.id, "post_at": post_at, "message": shown}


def delete(call: Call) -> Json:
    room = call.room()
    made = call.world.scheduled.get(call.args["scheduled_message_id"])
    if made is None or (made.team, made.channel, made.app_id) != (call.team, room.channel.id, call.app.app_id):
        raise Refused("invalid_scheduled_message_id")
    scheduled.drop(call.world, made)
    return {}


def list_scheduled(call: Call) -> Json:
    channel = call.room().channel.id if call.text("channel") is not None else None
    found = [
        one
        for one in sorted(call.world.scheduled.values(), key=lambda one: (one.post_at, one.id))
        if (one.team, one.app_id) == (call.team, call.app.app_id) and channel in (None, one.channel)
    ]
    shown = [
        {
            "id": one.id,
            "channel_id": one.channel,
            "post_at": one.post_at,
            "date_created": one.created,
            "text": one.message.get("text", ""),
        }
        for one in found
    ]
    return {"scheduled_messages": shown, "response_metadata": {"next_cursor": ""}}


_CHANNEL = Arg("channel", required=True)
_MORE = (Arg("thread_ts"), Arg("username"), Arg("link_names", "flag"), Arg("unfurl_links", "flag"))

METHODS = (
    Method(
        "chat.scheduleMessage",
        schedule,
        (_CHANNEL, Arg("post_at", "number", required=True), *CONTENT_ARGS, *_MORE),
        ("chat:write",),
        TIER_3,
    ),
    Method(
        "chat.deleteScheduledMessage",
        delete,
        (_CHANNEL, Arg("scheduled_message_id", required=True)),
        ("chat:write",),
        TIER_3,
    ),
    Method(
        "chat.scheduledMessages.list",
        list_scheduled,
        (Arg("channel"), Arg("cursor"), Arg("limit", "number"), Arg("latest"), Arg("oldest"), Arg("team_id")),
        (),
        TIER_3,
    ),
)
