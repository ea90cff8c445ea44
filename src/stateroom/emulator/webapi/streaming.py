"""`chat.startStream`, `.appendStream`, `.stopStream`.

Rules of this file: as Slack has them: a start takes no metadata, a stop does; outside a direct message the person and
team that the answer is for must be named; only the app that started a stream moves it; an idle one is over.
"""

from __future__ import annotations

from stateroom.emulator import speech, streams
from stateroom.emulator.records import Json, Message
from stateroom.emulator.tiers import TIER_2, TIER_4
from stateroom.emulator.webapi.agents import check_status, move
from stateroom.emulator.webapi.content import checked_blocks, checked_chunks, checked_markdown, checked_metadata
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused, invalid_arguments
from stateroom.emulator.world import Room


def _check_recipient(call: Call, room: Room) -> None:
    if room.channel.is_im:
        return
    if call.text("recipient_user_id") is None:
        raise Refused("missing_recipient_user_id")
    if call.text("recipient_team_id") is None:
        raise Refused("missing_recipient_team_id")
    if (call.team, call.text("recipient_user_id")) not in call.world.users:
        raise Refused("user_not_found")


def start_stream(call: Call) -> Json:
    room = call.room()
    _check_recipient(call, room)
    if call.args.get("task_display_mode", "timeline") not in ("timeline", "plan"):
        raise invalid_arguments("task_display_mode is timeline or plan")
    thread_ts = speech.thread_root(room, call.timestamp("thread_ts", "invalid_thread_ts"))
    markdown, chunks = checked_markdown(call), checked_chunks(call)
    message = Message(
        team=call.team,
        channel=room.channel.id,
        ts=room.next_ts(call.now),
        thread_ts=thread_ts,
        user=call.install.bot_user_id,
        bot_id=call.install.bot_id,
        app_id=call.app.app_id,
        username=call.text("username"),
        streaming=True,
        touched=call.now,
    )
    streams.absorb(message, markdown, chunks)
    speech.post(call.world, message)
    return {"channel": room.channel.id, "ts": message.ts}


def _stream(call: Call) -> tuple[Room, Message]:
    room = call.room()
    message = call.message(room)
    if message.app_id != call.app.app_id:
        raise Refused("message_not_owned_by_app")
    if not message.streaming and not message.stopped:
        raise Refused("message_not_in_streaming_state")
    return room, message


def append_stream(call: Call) -> Json:
    room, message = _stream(call)
    if message.stopped:
        raise Refused("stopped_by_user")
    markdown, chunks = checked_markdown(call), checked_chunks(call)
    if markdown is None and not chunks:
        raise Refused("no_text")
    streams.append(call.world, message, markdown, chunks, call.now)
    return {"channel": room.channel.id, "ts": message.ts}


def stop_stream(call: Call) -> Json:
    """Also one that a person stopped: the app may still say what became of it, and move the session on."""
    room, message = _stream(call)
    markdown, chunks = checked_markdown(call), checked_chunks(call)
    status = call.text("session_status")
    check_status(status)
    final = streams.Final(markdown, chunks, checked_blocks(call.items("blocks")), checked_metadata(call))
    streams.stop(call.world, message, final, call.now)
    session = call.world.sessions.find(call.team, room.channel.id, message.thread, call.app.app_id)
    if session is not None and status is not None:
        move(call, session, status)
    return {"channel": room.channel.id, "ts": message.ts, "message": call.world.slack_view(message)}


_PLACE = (Arg("channel", required=True), Arg("ts", required=True))
_TEXT = (Arg("markdown_text"), Arg("chunks", "list"))
_START = (
    *(Arg("channel", required=True), Arg("thread_ts"), Arg("recipient_user_id"), Arg("recipient_team_id")),
    *(Arg("task_display_mode"), Arg("username"), Arg("icon_emoji"), Arg("icon_url")),
)

METHODS = (
    Method("chat.startStream", start_stream, (*_START, *_TEXT), ("chat:write",), TIER_2),
    Method("chat.appendStream", append_stream, (*_PLACE, *_TEXT), ("chat:write",), TIER_4),
    Method(
        "chat.stopStream",
        stop_stream,
        (*_PLACE, *_TEXT, Arg("blocks", "list"), Arg("metadata", "object"), Arg("session_status")),
        ("chat:write",),
        TIER_2,
    ),
)
