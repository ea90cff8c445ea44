"""What a failed assertion shows: the conversation and the traffic, as text.

Rules of this file: pure. Newest last; the conversation in full, of the traffic the last lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from stateroom.pytest_plugin.values import Json, Message

LINES = 30
_WIDTH = 100


def conversation(messages: Sequence[Message], names: Mapping[str, str], marks: Mapping[str, str]) -> list[str]:
    """One line a message: when, who, words; replies are moved in. `marks`: ts to what stands at the end of its line."""
    return [_line(one, names, marks.get(one.ts, "")) for one in messages] or ["(nothing was said)"]


def _line(message: Message, names: Mapping[str, str], mark: str) -> str:
    who = names.get(message.user, message.user)
    text = " ".join((message.text or ("(blocks)" if message.blocks else "(no text)")).split())
    state = " [streaming]" if message.raw.get("streaming") else " [deleted]" if message.raw.get("deleted") else ""
    indent = "  └ " if message.is_reply else ""
    tail = f"   <-- {mark}" if mark else ""
    return f"{_moment(float(message.ts))}  {indent}{who}: {text[:_WIDTH]}{state}  ({message.ts}){tail}"


def traffic(deliveries: Sequence[Json], calls: Sequence[Json], interactions: Sequence[Json]) -> list[str]:
    """Events and actions to apps, and their calls, by time."""
    lines = [(one["at"], _delivery(one)) for one in deliveries]
    lines += [(one["at"], _call(one)) for one in calls]
    lines += [(one["at"], _interaction(one)) for one in interactions]
    ordered = [f"{_moment(at)}  {line}" for at, line in sorted(lines, key=lambda pair: pair[0])]
    return ordered[-LINES:] or ["(no event was sent and no method called)"]


def _delivery(one: Json) -> str:
    came = one["status"] if one["status"] is not None else "no answer"
    why = f" ({one['reason']})" if one.get("reason") else ""
    return f"event {one['type']} to {one['app_id']}, attempt {one['attempt']}: {came}{why} after {one['ms']:.0f} ms"


def _call(one: Json) -> str:
    came = "ok" if one["ok"] else one.get("error", "error")
    fault = f" (by the fault {one['fault']})" if one.get("fault") else ""
    return f"call {one['method']}: {came}{fault} after {one['ms']:.0f} ms"


def _interaction(one: Json) -> str:
    came = one.get("error") or one.get("status")
    return f"{one['kind']} {one.get('name') or ''} to {one['app_id']}: {came} after {one['ms']:.0f} ms"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]
