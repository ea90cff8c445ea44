"""What Slack tells about an agent's conversations: one was opened, its answer is to stop.

Rules of this file: pure; as slack/events.py: the only error is PayloadRefused, which names a field and never its value.
Shapes: docs.slack.dev/reference/events, `app_home_opened`, `assistant_thread_started`, `agent_session_stopped`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from stateroom.slack.event_types import Ignored, Opened, Stopped
from stateroom.slack.fields import CHANNEL, PERSON, TIMESTAMP, as_object, checked, refuse


def _stopped(event: Any, team: str, event_id: str, enterprise: str | None) -> Stopped | Ignored:
    if event.thread_ts is None:
        return Ignored("type", team, "agent_session_stopped")  # a session that is no thread: we have none
    return Stopped(
        team=team,
        channel=checked(CHANNEL, event.channel, "event.channel"),
        thread_ts=checked(TIMESTAMP, event.thread_ts, "event.thread_ts"),
        user=None if event.user is None else checked(PERSON, event.user, "event.user"),
        at=checked(TIMESTAMP, event.event_ts, "event.event_ts"),
        event_id=event_id,
        enterprise=enterprise,
    )


def _home(event: Any, team: str, event_id: str, enterprise: str | None) -> Opened | Ignored:
    """The Home tab is not ours; the Messages tab is where a conversation begins."""
    if event.tab != "messages":
        return Ignored("type", team, "app_home_opened")
    return Opened(
        team=team,
        channel=checked(CHANNEL, event.channel, "event.channel"),
        thread_ts=None,
        user=checked(PERSON, event.user, "event.user"),
        at=checked(TIMESTAMP, event.event_ts, "event.event_ts"),
        event_id=event_id,
        enterprise=enterprise,
    )


def _pane(event: Any, team: str, event_id: str, enterprise: str | None) -> Opened:
    thread = as_object(event.assistant_thread, "event.assistant_thread")
    if thread is None:
        refuse("event.assistant_thread")
    started = checked(TIMESTAMP, thread.get("thread_ts"), "event.assistant_thread.thread_ts")
    return Opened(
        team=team,
        channel=checked(CHANNEL, thread.get("channel_id"), "event.assistant_thread.channel_id"),
        thread_ts=started,
        user=checked(PERSON, thread.get("user_id"), "event.assistant_thread.user_id"),
        at=started,
        event_id=event_id,
        enterprise=enterprise,
    )


AGENT_EVENTS: Final[Mapping[str, Callable[[Any, str, str, str | None], Opened | Stopped | Ignored]]] = {
    "agent_session_stopped": _stopped,
    "app_home_opened": _home,
    "assistant_thread_started": _pane,
}
