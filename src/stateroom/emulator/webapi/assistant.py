"""`assistant.threads.setStatus`, `.setTitle`, `.setSuggestedPrompts`.

Rules of this file: a status line belongs to one thread; an empty one clears it. Titles and prompts are kept with
the thread's session and told to the page.
"""

from __future__ import annotations

from stateroom.emulator import speech
from stateroom.emulator.records import Json
from stateroom.emulator.tiers import STATUS, TIER_4
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused, invalid_arguments
from stateroom.emulator.world import Room, Status


def _thread(call: Call) -> tuple[Room, str]:
    room = call.room("channel_id")
    named = call.timestamp("thread_ts", "invalid_thread_ts")
    if named is None or (named not in room.messages and not room.threads.get(named)):
        raise Refused("invalid_thread_ts")
    return room, speech.thread_root(room, named) or named


def set_status(call: Call) -> Json:
    room, thread_ts = _thread(call)
    _check_loading(call.items("loading_messages"))
    text = call.text("status")
    if text is None:
        speech.clear_status(call.world, call.team, room.channel.id, thread_ts, call.app.app_id)
        return {}
    status = Status(room.channel.id, thread_ts, call.app.app_id, text, call.now)
    call.world.statuses[call.team, room.channel.id, thread_ts] = status
    call.world.tell("status", team=call.team, channel=room.channel.id, thread_ts=thread_ts, status=text)
    return {}


def _check_loading(lines: list[object]) -> None:
    if len(lines) > 10 or not all(isinstance(line, str) and 1 <= len(line) <= 50 for line in lines):
        raise invalid_arguments("loading_messages takes 1 to 10 texts of 1 to 50 characters")


def set_title(call: Call) -> Json:
    room, thread_ts = _thread(call)
    session = call.world.sessions.get(call.team, room.channel.id, thread_ts, call.app.app_id)
    session.title = call.args["title"]
    call.world.sessions.changed(session)
    return {}


def set_suggested_prompts(call: Call) -> Json:
    room, thread_ts = call.room("channel_id"), ""
    if call.text("thread_ts") is not None:
        room, thread_ts = _thread(call)
    prompts = call.items("prompts")
    whole = all(isinstance(one, dict) and one.get("title") and one.get("message") for one in prompts)
    if not 1 <= len(prompts) <= 4 or not whole:
        raise invalid_arguments("prompts takes 1 to 4 objects with title and message")
    session = call.world.sessions.get(call.team, room.channel.id, thread_ts, call.app.app_id)
    session.prompts, session.prompts_title = prompts, call.text("title") or ""
    call.world.sessions.changed(session)
    return {}


_CHANNEL = Arg("channel_id", required=True)
_THREAD = Arg("thread_ts", required=True)

METHODS = (
    Method(
        "assistant.threads.setStatus",
        set_status,
        (_CHANNEL, _THREAD, Arg("status"), Arg("loading_messages", "list"), Arg("icon_emoji"), Arg("icon_url")),
        ("chat:write", "assistant:write"),
        STATUS,
    ),
    Method(
        "assistant.threads.setTitle",
        set_title,
        (_CHANNEL, _THREAD, Arg("title", required=True)),
        ("assistant:write",),
        TIER_4,
    ),
    Method(
        "assistant.threads.setSuggestedPrompts",
        set_suggested_prompts,
        (_CHANNEL, Arg("thread_ts"), Arg("title"), Arg("prompts", "list", required=True)),
        ("assistant:write",),
        TIER_4,
    ),
)
