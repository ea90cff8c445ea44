"""Events of an agent's conversations: opened, stopped, and those that are none of our business."""

import json
from typing import Any

import pytest

from stateroom.model.errors import PayloadRefused
from stateroom.slack.events import Event, Ignored, Opened, Stopped, parse

AT, ROOT = "1783536983.783769", "1782234671.392669"


def parsed(event: dict[str, Any]) -> Event:
    body = {"type": "event_callback", "team_id": "T00000001", "event_id": "Ev1", "event_time": 1, "event": event}
    return parse(json.dumps(body).encode())


STOP = {
    "type": "agent_session_stopped",
    "channel": "C00000001",
    "thread_ts": ROOT,
    "user": "U00000001",
    "streaming_message_ts": ["1782234987.693923"],
    "event_ts": AT,
}
PANE = {
    "type": "assistant_thread_started",
    "assistant_thread": {
        "user_id": "U00000001",
        "context": {"channel_id": "C00000001"},
        "channel_id": "D00000001",
        "thread_ts": ROOT,
    },
    "event_ts": AT,
}
HOME = {"type": "app_home_opened", "user": "U00000001", "channel": "D00000001", "tab": "messages", "event_ts": AT}


def test_a_stop_names_the_thread_and_slacks_time() -> None:
    assert parsed(STOP) == Stopped("T00000001", "C00000001", ROOT, "U00000001", AT, "Ev1")


def test_a_stop_of_a_session_that_is_no_thread_is_none_of_ours() -> None:
    assert isinstance(parsed({**STOP, "thread_ts": None}), Ignored)


def test_a_conversation_is_opened_in_the_pane_or_in_the_messages_tab() -> None:
    assert parsed(PANE) == Opened("T00000001", "D00000001", ROOT, "U00000001", ROOT, "Ev1")
    assert parsed(HOME) == Opened("T00000001", "D00000001", None, "U00000001", AT, "Ev1")


def test_the_home_tab_and_what_a_person_looks_at_are_ignored() -> None:
    assert isinstance(parsed({**HOME, "tab": "home"}), Ignored)
    for kind in ("app_context_changed", "assistant_thread_context_changed"):
        assert parsed({"type": kind, "context": {"entities": []}}) == Ignored("type", "T00000001", kind)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({**STOP, "channel": "../x"}, "event.channel"),
        ({**STOP, "thread_ts": "x"}, "event.thread_ts"),
        ({**STOP, "event_ts": None}, "event.event_ts"),
        ({**HOME, "user": {}}, "event.user"),
        ({**PANE, "assistant_thread": None}, "event.assistant_thread"),
        ({**PANE, "assistant_thread": {"thread_ts": ROOT}}, "event.assistant_thread.channel_id"),
    ],
    ids=range(6),
)
def test_what_is_malformed_is_refused_by_its_field(event: dict[str, Any], field: str) -> None:
    with pytest.raises(PayloadRefused, match=field):
        parsed(event)
