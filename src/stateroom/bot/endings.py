"""Why a model stopped, and what follows: one row a reason. docs/model.md shows this table.

Rules of this file: pure. Every provider has its own words for the same reasons, so there is one table of words beside
the one of reasons. `answer` says what there is, with a note below it; `instead` says the note alone, and keeps nothing
of the exchange in the thread's history; `retry` is a failure that the next try may mend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from stateroom.model.errors import ModelError

Deed = Literal["answer", "instead", "retry"]
TOO_LONG: Final = "That is more than I can read at once. Please send less, or begin a new thread."
REFUSED: Final = "I cannot answer this one. Please ask in another way."


class Ending(NamedTuple):
    """`deed` where there is text, `bare` where there is none; `note` for the person; `more`: offer to go on."""

    deed: Deed
    bare: Deed
    note: str = ""
    more: bool = False


ENDINGS: Final[Mapping[str, Ending]] = {
    "end_turn": Ending("answer", "retry"),
    "stop_sequence": Ending("answer", "retry"),
    "max_tokens": Ending("answer", "instead", "I stopped here because my answer was getting long.", more=True),
    "model_context_window_exceeded": Ending("answer", "instead", TOO_LONG),
    "guardrail_intervened": Ending("instead", "instead", REFUSED),
    "content_filtered": Ending("instead", "instead", REFUSED),
    "tool_use": Ending("retry", "retry"),
    "malformed_model_output": Ending("retry", "retry"),
    "malformed_tool_use": Ending("retry", "retry"),
    "cut": Ending("retry", "retry"),  # the stream ended and nobody said why: it is not whole
    "other": Ending("answer", "retry"),  # a reason that was invented later
}
# Other providers' words: Anthropic's own, OpenAI's chat completions, and what is compatible with them.
WORDS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "pause_turn": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "tool_call": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filtered",
    "refusal": "content_filtered",
    "error": "malformed_model_output",
}


class Outcome(NamedTuple):
    """What is said, why, and whether the exchange belongs to the thread's history."""

    text: str
    reason: str
    more: bool
    kept: bool


def reason_of(said: str | None) -> str:
    """The table's reason for a provider's word; None is no word at all."""
    if said is None:
        return "cut"
    word = WORDS.get(said, said)
    return word if word in ENDINGS else "other"


def outcome(said: str | None, text: str) -> Outcome:
    """What follows from an answer's end; ModelError for another try."""
    reason = reason_of(said)
    row = ENDINGS[reason]
    deed = row.deed if text.strip() else row.bare
    if deed == "retry":
        raise ModelError("empty" if row.deed == "answer" else reason, retryable=True)
    if deed == "instead":
        return Outcome(row.note, reason, more=False, kept=False)
    return Outcome(text + (f"\n\n_{row.note}_" if row.note else ""), reason, more=row.more, kept=True)


_DEEDS: Final[Mapping[Deed, str]] = {
    "answer": "the answer",
    "instead": "only the note",
    "retry": "another try, then the apology",
}


def table() -> str:
    """The table in Markdown."""
    lines = ["| reason | with text | without text | note | Continue |", "| --- | --- | --- | --- | --- |"]
    for reason, row in ENDINGS.items():
        words = [word for word, meant in WORDS.items() if meant == reason]
        name = f"`{reason}`" + (f" ({', '.join(f'`{word}`' for word in words)})" if words else "")
        note = f"“{row.note}”" if row.note else ""
        lines.append(f"| {name} | {_DEEDS[row.deed]} | {_DEEDS[row.bare]} | {note} | {'yes' if row.more else ''} |")
    return "\n".join(lines) + "\n"
