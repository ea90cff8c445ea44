"""The turn: a state machine as a table. Its diagram in docs/turn.md is made from this table.

Rules of this file: pure; no clock, no store, no Slack. An event that a state does not know is a defect, raised as
`IllegalTransition`, never ignored. `claim` on a state later than `received` is how another worker takes over after a
crash: the state stays, and what was begun is found in the outbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

TRANSITIONS: Final[Mapping[tuple[str, str], str]] = {
    ("received", "claim"): "claimed",
    ("received", "withdraw"): "refused",  # deleted before anybody began, or of a team we do not serve
    ("claimed", "claim"): "claimed",
    ("claimed", "intend"): "answering",
    ("claimed", "refuse"): "refused",
    ("claimed", "retry"): "received",
    ("claimed", "fail"): "failed",
    ("claimed", "finish"): "done",  # nothing is said: a tombstone was made
    ("answering", "claim"): "answering",
    ("answering", "intend"): "answering",
    ("answering", "post"): "posted",
    ("answering", "retry"): "received",
    ("answering", "fail"): "failed",
    ("answering", "refuse"): "refused",
    ("posted", "claim"): "posted",
    ("posted", "finish"): "done",
    ("posted", "refuse"): "refused",
    ("posted", "fail"): "failed",
    ("posted", "retry"): "received",
    ("failed", "again"): "received",  # `stateroom turns retry`
}
STATES: Final = ("received", "claimed", "answering", "posted", "done", "failed", "refused")
MEANING: Final[Mapping[str, str]] = {
    "received": "durable, waiting for a worker or for the next try",
    "claimed": "a worker holds the lane's lease",
    "answering": "what is about to be said is on record; Slack may show a part of it",
    "posted": "Slack shows the whole answer",
    "done": "the answer is in the thread's history",
    "failed": "the last try failed and the person was told so",
    "refused": "ended without an answer of the model: withdrawn, or told why",
}


class IllegalTransition(Exception):
    """A defect: this event cannot happen in this state."""


def step(state: str, event: str) -> str:
    """The state after `event`."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise IllegalTransition(f"{event} in state {state}")
    return after


def backoff(attempt: int, base: float, chance: Callable[[], float], *, asked: float = 0.0, cap: float = 60.0) -> float:
    """Seconds until try `attempt` + 1 (the first is 1): doubled, at most `cap`, half of it jitter; never under `asked`.

    `chance` gives a number in [0, 1); `asked` is what Retry-After said.
    """
    top = min(cap, base * 2.0 ** (attempt - 1))
    return max(asked, top / 2 + chance() * top / 2)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    arrows = [f"    {before} --> {after}: {event}" for (before, event), after in TRANSITIONS.items()]
    notes = [f"    {state}: {state} — {MEANING[state]}" for state in STATES]
    ends = [f"    {state} --> [*]" for state in ("done", "refused")]
    return "\n".join(["stateDiagram-v2", "    [*] --> received: accept", *notes, *arrows, *ends]) + "\n"
