"""`agents.sessions.setStatus`, `.rename`: an agent says how far it is with a thread, and names it.

Rules of this file: only an app that its manifest declares an agent has sessions (`not_an_agent` is our code: Slack does
not publish one); a title and an initiator count for a session that begins. Facts: docs.slack.dev/ai/agent-sessions.
"""

from __future__ import annotations

from stateroom.emulator import events, sessions, speech
from stateroom.emulator.records import Json, Session
from stateroom.emulator.tiers import TIER_3
from stateroom.emulator.webapi.method import BOT, Arg, Call, Method, Refused, invalid_arguments

_NO_STOP = "missing_agent_session_stopped_event_subscription"


def set_status(call: Call) -> Json:
    status: str = call.args["status"]
    check_status(status)
    session = _session(call)
    begins = not session.status
    if begins:
        session.title = _title(call) or session.title
        session.initiator = _initiator(call) or session.initiator
    for name in ("icon_emoji", "icon_url", "username"):
        setattr(session, name, call.text(name) or getattr(session, name))
    move(call, session, status)
    return {"status": session.status, "agent_status": session.status, "title": session.title}


def check_status(status: str | None) -> None:
    if status is not None and status not in sessions.STATUSES:
        raise invalid_arguments(f"status is one of {', '.join(sessions.STATUSES)}")


def move(call: Call, session: Session, status: str) -> None:
    """Give a session its status, with a warning when people could not stop it."""
    session.status = status
    call.world.sessions.changed(session)
    if status == "processing" and not events.subscribed(call.app, {"type": "agent_session_stopped"}):
        call.warnings.append(_NO_STOP)


def rename(call: Call) -> Json:
    session = _session(call)
    if not session.status:
        raise Refused("session_not_found")
    session.title = _title(call) or ""
    call.world.sessions.changed(session)
    return {"title": session.title}


def _session(call: Call) -> Session:
    if not sessions.is_agent(call.app):
        raise Refused("not_an_agent")
    room = call.room("channel_id")
    named = call.timestamp("thread_ts", "invalid_thread_ts")
    if named is None:
        raise invalid_arguments("missing required field: thread_ts")
    if named not in room.messages and not room.threads.get(named):
        raise Refused("invalid_thread_ts")
    thread_ts = speech.thread_root(room, named) or named
    return call.world.sessions.get(call.team, room.channel.id, thread_ts, call.app.app_id)


def _title(call: Call) -> str | None:
    title = call.text("title")
    if title is not None and len(title) > sessions.TITLE_LIMIT:
        raise invalid_arguments(f"title has at most {sessions.TITLE_LIMIT} characters")
    return title


def _initiator(call: Call) -> str | None:
    user = call.text("initiator_user_id")
    if user is not None and user not in call.room("channel_id").channel.members:
        raise Refused("user_not_in_channel")
    return user


_PLACE = (Arg("channel_id", required=True), Arg("thread_ts"))
_LOOKS = (Arg("icon_emoji"), Arg("icon_url"), Arg("username"))

METHODS = (
    Method(
        "agents.sessions.setStatus",
        set_status,
        (*_PLACE, Arg("status", required=True), Arg("title"), Arg("initiator_user_id"), *_LOOKS),
        ("chat:write",),
        TIER_3,
        (BOT,),
    ),
    Method("agents.sessions.rename", rename, (*_PLACE, Arg("title", required=True)), ("chat:write",), TIER_3, (BOT,)),
)
