"""`chat.postMessage`, `.update`, `.delete`, `.postEphemeral`.

Rules of this file: arguments in, world changed, Slack's reply or Slack's error out.
"""

from __future__ import annotations

from stateroom.emulator import speech, views
from stateroom.emulator.records import Json, Message
from stateroom.emulator.tiers import POSTING, TIER_3, TIER_4
from stateroom.emulator.webapi.content import (
    CONTENT_ARGS,
    UPDATE_TEXT_LIMIT,
    checked_attachments,
    checked_blocks,
    checked_metadata,
    checked_text,
    compose,
)
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused
from stateroom.emulator.world import Room

_LOOKS = (Arg("username"), Arg("icon_emoji"), Arg("icon_url"))
_FLAGS = (Arg("mrkdwn", "flag"), Arg("unfurl_links", "flag"), Arg("unfurl_media", "flag"), Arg("link_names", "flag"))


def post_message(call: Call) -> Json:
    room = call.room()
    message = compose(call, room)
    if call.args.get("reply_broadcast") and message.thread_ts is not None:
        message.subtype = "thread_broadcast"
    speech.post(call.world, message)
    return {"channel": room.channel.id, "ts": message.ts, "message": call.world.slack_view(message)}


def post_ephemeral(call: Call) -> Json:
    room = call.room()
    user = call.text("user") or ""
    if user not in room.channel.members:
        raise Refused("user_not_in_channel")
    message = compose(call, room)
    message.ephemeral_to = user
    speech.post(call.world, message)
    return {"message_ts": message.ts}


def _own(call: Call, room: Room, foreign: str) -> Message:
    message = call.message(room)
    if message.app_id != call.app.app_id:
        raise Refused(foreign)
    return message


def update(call: Call) -> Json:
    room = call.room()
    message = _own(call, room, "cant_update_message")
    if message.streaming:
        raise Refused("streaming_state_conflict")
    text = checked_text(call, UPDATE_TEXT_LIMIT)
    given = {name for name in ("text", "markdown_text", "blocks", "attachments") if name in call.args}
    if not given:
        raise Refused("no_text")
    previous = call.world.slack_view(message)
    # Who hands back the blocks that were made of the text means the text.
    blocks = [] if call.items("blocks") == views.rich_text(message) else checked_blocks(call.items("blocks"))
    if given & {"text", "markdown_text"}:
        message.text = text
    if given & {"text", "markdown_text", "blocks"}:
        message.blocks = blocks
    if "attachments" in given:
        message.attachments = checked_attachments(call.items("attachments"))
    if "metadata" in call.args:
        message.metadata = checked_metadata(call)
    message.edited = {"user": call.install.bot_user_id, "ts": room.next_ts(call.now)}
    speech.changed(call.world, message, previous, call.now)
    return {
        "channel": room.channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": call.world.slack_view(message),
    }


def delete(call: Call) -> Json:
    room = call.room()
    message = _own(call, room, "cant_delete_message")
    speech.delete(call.world, message, call.now)
    return {"channel": room.channel.id, "ts": message.ts}


_CHANNEL = Arg("channel", required=True)
_TS = Arg("ts", required=True)
_WRITE = ("chat:write",)

METHODS = (
    Method(
        "chat.postMessage",
        post_message,
        (_CHANNEL, Arg("thread_ts"), Arg("reply_broadcast", "flag"), *CONTENT_ARGS, *_LOOKS, *_FLAGS),
        _WRITE,
        POSTING,
    ),
    Method(
        "chat.postEphemeral",
        post_ephemeral,
        (_CHANNEL, Arg("user", required=True), Arg("thread_ts"), *CONTENT_ARGS, *_LOOKS, *_FLAGS),
        _WRITE,
        TIER_4,
    ),
    Method("chat.update", update, (_CHANNEL, _TS, *CONTENT_ARGS, *_FLAGS), _WRITE, TIER_3),
    Method("chat.delete", delete, (_CHANNEL, _TS), _WRITE, TIER_3),
)
