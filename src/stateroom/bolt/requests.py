"""What a request of Slack is, read from its payload: whether it becomes a job, whose it is, what to call it.

Rules of this file: pure. Nothing it returns holds a word that a person wrote, so it may be logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LOOKUPS: Final = frozenset({"block_suggestion", "dialog_suggestion"})  # nothing is done; the answer is the ack itself


def is_job(body: Mapping[str, Any], team: str | None) -> bool:
    """Whether a listener of this request is run from the inbox: whatever asks for something to be done."""
    return bool(team) and body.get("type") not in LOOKUPS and what_of(body) != ""


def what_of(body: Mapping[str, Any]) -> str:
    """What was asked, by the app's own names: `event:app_mention`, `command:/ticket`, `block_actions:close`, ..."""
    event = body.get("event")
    if isinstance(event, Mapping):
        return f"event:{event.get('type', '')}"
    if "command" in body:
        return f"command:{body['command']}"
    kind, name = str(body.get("type") or ""), body.get("callback_id")
    for holder in (body.get("view"), *(body.get("actions") or ())):
        if isinstance(holder, Mapping):
            name = holder.get("action_id") or holder.get("callback_id") or name
    return f"{kind}:{name}" if kind and name else kind


def patience_of(listener: object) -> int:
    """Seconds that Bolt waits for a listener's ack; older versions have one for all."""
    return int(getattr(listener, "ack_timeout", 3))
