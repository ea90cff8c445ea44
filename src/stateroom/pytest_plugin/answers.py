"""Which messages of an app answer a person's message: a matter of place and order.

Rules of this file: pure. An answer stands after the message and before the next words of a person in the same place:
in the thread for a message of a thread; in its own thread or beside it in the channel for any other one.
"""

from __future__ import annotations

from collections.abc import Sequence

from stateroom.pytest_plugin.values import Message


def answers_to(message: Message, shown: Sequence[Message], in_thread: bool | None = None) -> list[Message]:
    """The final answers among what a channel shows (oldest first). `in_thread`: only inside (True), only beside it."""
    inside = _run(message, [one for one in shown if one.thread == message.thread])
    if message.is_reply:
        return inside
    beside = _run(message, [one for one in shown if not one.is_reply])
    if in_thread is not None:
        return inside if in_thread else beside
    return sorted({one.ts: one for one in (*inside, *beside)}.values(), key=lambda one: one.ts)


def elsewhere(message: Message, shown: Sequence[Message], answers: Sequence[Message]) -> list[Message]:
    """What apps said after the message in places where no answer to it belongs and no other person asked."""
    right = {one.ts for one in answers}
    later = [one for one in shown if one.bot_id is not None and one.ts > message.ts and one.ts not in right]
    asked = {one.thread for one in shown if one.bot_id is None and one.ts > message.ts}
    return [one for one in later if one.is_final and one.thread not in asked]


def _run(message: Message, place: Sequence[Message]) -> list[Message]:
    """What apps said in one place after the message, up to the next words of a person."""
    found = []
    for one in sorted(place, key=lambda one: one.ts):
        if one.ts <= message.ts:
            continue
        if one.bot_id is None:
            break
        if one.is_final:
            found.append(one)
    return found
