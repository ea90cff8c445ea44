"""The claims of the fixture `slack`: answered once, not at all, and when everything is settled.

Rules of this file: settled means that every event was answered (or refused at least twice: Slack's next attempts are
minutes away) and that the apps have nothing left to do. Where an app's work cannot be seen, because it runs in a
process of its own, it is settled after a while without any call or event; where it never ends, when time is up.
"""

from __future__ import annotations

import re
import time
from typing import Final

from stateroom.pytest_plugin import answers
from stateroom.pytest_plugin.base import Workspace, has
from stateroom.pytest_plugin.values import Json, Message

QUIET_SECONDS: Final = 0.3
_LOOK_SECONDS: Final = 0.01
_TWICE: Final = 2  # the first attempt, and the one that Slack makes at once


def one_answer(
    slack: Workspace, message: Message, within: float | None, in_thread: bool | None, text: str | re.Pattern[str] | None
) -> Message:
    """See `Slack.assert_one_answer`."""
    __tracebackhide__ = True
    limit = slack.patience if within is None else within
    found = _until_answered(slack, message, limit, in_thread)
    if not found:
        raise AssertionError(_never(slack, message, limit))
    settle(slack, max(limit, slack.patience))
    found = answers.answers_to(message, slack.messages(message.channel), in_thread)
    marks = {message.ts: "this message"} | {one.ts: f"answer {n}" for n, one in enumerate(found, 1)}
    if len(found) != 1:
        raise AssertionError(f"{len(found)} answers where one was expected\n{slack.transcript(marks)}")
    if text is not None and not has(found[0], text):
        raise AssertionError(f"the answer has no {_worded(text)!r}\n{slack.transcript(marks)}")
    return found[0]


def no_answer(slack: Workspace, message: Message, within: float | None) -> None:
    """See `Slack.assert_no_answer`."""
    __tracebackhide__ = True
    settle(slack, slack.patience if within is None else within)
    shown = slack.messages(message.channel)
    found = answers.answers_to(message, shown)
    if found:
        marks = {message.ts: "this message"} | {one.ts: "unexpected" for one in found}
        raise AssertionError(f"{len(found)} answers where none was expected\n{slack.transcript(marks)}")


def settle(slack: Workspace, limit: float) -> None:
    """See `Slack.settle`."""
    __tracebackhide__ = True
    ends = time.monotonic() + limit
    before, since = _traffic(slack), time.monotonic()
    while True:
        unfinished, idle = _unfinished(slack), slack.idle()
        now = _traffic(slack)
        if now != before:
            before, since = now, time.monotonic()
        elif _is_settled(slack, bool(unfinished), idle, quiet=time.monotonic() - since >= QUIET_SECONDS):
            return
        if time.monotonic() > ends:
            if not unfinished and time.monotonic() - since >= QUIET_SECONDS:
                return  # it works on something that is none of Slack's business, as a loop in the background does
            names = ", ".join(sorted({str(one["type"]) for one in unfinished})) or "the app still talks"
            raise AssertionError(f"not settled within {limit:g} s ({names})\n{slack.transcript()}")
        time.sleep(_LOOK_SECONDS)


def _is_settled(slack: Workspace, unfinished: bool, idle: bool | None, *, quiet: bool) -> bool:
    """Nothing has changed since the last look; `quiet`: for a while."""
    if unfinished:
        # Over Socket Mode Bolt acknowledges nothing that it has no listener for; when it is idle, that is why.
        return bool(idle) and quiet and slack.over_sockets
    return bool(idle) or (idle is None and quiet)


def _until_answered(slack: Workspace, message: Message, limit: float, in_thread: bool | None) -> list[Message]:
    ends = time.monotonic() + limit
    while not (found := answers.answers_to(message, slack.messages(message.channel), in_thread)):
        if time.monotonic() > ends:
            return []
        time.sleep(_LOOK_SECONDS)
    return found


def _never(slack: Workspace, message: Message, limit: float) -> str:
    raw = [one for many in slack.wire.get("state")["messages"].values() for one in many]
    strays = answers.elsewhere(message, [Message.of(one) for one in raw], ())
    marks = {message.ts: "this message"} | {one.ts: "said here instead" for one in strays}
    words = "the app spoke, but not where an answer belongs" if strays else f"no answer within {limit:g} s"
    return f"{words}\n{slack.transcript(marks)}"


def _unfinished(slack: Workspace) -> list[Json]:
    """Events that an app has to answer now. One silence over a socket is enough to know that there is no listener."""
    pending = [one for one in slack.wire.get("pending")["pending"] if not one["parked"]]
    pending = [one for one in pending if one["sent"] == 0 or one["reason"] != "timeout"]
    return [one for one in pending if one["sent"] < _TWICE or one["due"] <= time.time()]


def _traffic(slack: Workspace) -> tuple[int, int]:
    return len(slack.deliveries()), len(slack.calls())


def _worded(text: str | re.Pattern[str]) -> str:
    return text if isinstance(text, str) else text.pattern
