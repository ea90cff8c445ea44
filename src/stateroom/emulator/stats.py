"""The live strip: how many messages were acknowledged, answered, lost, answered twice.

Rules of this file: pure; one channel and one app at a time, messages oldest first. A message that an app should answer
is a mention, a direct message, or a reply in a thread where the app was mentioned or has answered. Answers are matched
by our bot's own metadata (turn `<channel>:<ts>`, part, kind) where there is any, else in order: within the thread, or,
for a post outside any thread, among the channel's own messages. A message still being streamed answers nothing yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

LOST_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One message. `turn`, `part`, `kind` come from its metadata; `acked`: an event of it got a 2xx."""

    ts: str
    thread: str
    reply: bool
    by_app: bool
    by_person: bool
    mention: bool = False
    direct: bool = False
    acked: bool = False
    streaming: bool = False
    turn: str | None = None
    part: int = 0
    kind: str = "answer"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one channel; `waiting` are the acknowledged ones without an answer, as Unix seconds."""

    acknowledged: int = 0
    answered: int = 0
    doubled: int = 0
    waiting: tuple[float, ...] = ()


def expected(lines: Iterable[Line]) -> list[Line]:
    """The people's messages that the app acknowledged and should answer."""
    followed: set[str] = set()
    wanted = []
    for line in lines:
        if line.by_app:
            followed.add(line.thread)
        elif line.by_person:
            if line.mention:
                followed.add(line.thread)
            if line.acked and (line.mention or line.direct or line.thread in followed):
                wanted.append(line)
    return wanted


def tally(lines: Iterable[Line]) -> Tally:
    """Count one channel."""
    listed = list(lines)
    wanted = expected(listed)
    outcomes = _by_metadata(listed, {line.ts for line in wanted})
    for line in listed:
        if line.by_app and not line.streaming and line.turn is None:
            _in_order(line, wanted, outcomes)
    return Tally(
        acknowledged=len(wanted),
        answered=sum(1 for line in wanted if outcomes[line.ts] > 0),
        doubled=sum(1 for line in wanted if outcomes[line.ts] > 1),
        waiting=tuple(float(line.ts) for line in wanted if outcomes[line.ts] == 0),
    )


def _by_metadata(lines: list[Line], wanted: set[str]) -> Counter[str]:
    """How often each wanted message was answered; the parts of one answer are one, a repeated part is another."""
    parts: Counter[tuple[str, int]] = Counter()
    for line in lines:
        if line.by_app and line.turn is not None and line.kind != "notice":
            ts = line.turn.rsplit(":", 1)[-1]
            if ts in wanted:
                parts[ts, line.part] += 1
    outcomes: Counter[str] = Counter()
    for (ts, _), times in parts.items():
        outcomes[ts] = max(outcomes[ts], times)
    return outcomes


def _in_order(line: Line, wanted: list[Line], outcomes: Counter[str]) -> None:
    """A post without metadata answers the oldest waiting message before it, else the last one once more."""
    before = [w for w in wanted if w.ts < line.ts and (w.thread == line.thread if line.reply else not w.reply)]
    waiting = next((w for w in before if outcomes[w.ts] == 0), None)
    if waiting is not None:
        outcomes[waiting.ts] += 1
    elif before:
        outcomes[before[-1].ts] += 1


def total(tallies: Iterable[Tally], now: float, patience: float) -> dict[str, int]:
    """The strip: `{acknowledged, answered, lost, doubled}`. `patience` in seconds, `now` in Unix seconds."""
    summed, lost = Tally(), 0
    for one in tallies:
        summed = replace(
            summed,
            acknowledged=summed.acknowledged + one.acknowledged,
            answered=summed.answered + one.answered,
            doubled=summed.doubled + one.doubled,
        )
        lost += sum(1 for at in one.waiting if now - at >= patience)
    return {
        "acknowledged": summed.acknowledged,
        "answered": summed.answered,
        "lost": lost,
        "doubled": summed.doubled,
    }
