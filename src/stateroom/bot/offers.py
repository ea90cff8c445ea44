"""What stands below an answer for a person to press, and what a press means.

Rules of this file: pure; the shapes are Slack's (docs.slack.dev/reference/block-kit). Ids are ours, so that a press is
known again however old the message is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

CONTINUE: Final = "stateroom_continue"
FEEDBACK: Final = "stateroom_feedback"
JUDGEMENTS: Final = ("good", "bad")
GO_ON: Final = "Please go on exactly where you stopped."  # what the person says by pressing


def _judgement(name: str, sign: str, read_aloud: str) -> dict[str, Any]:
    return {"text": {"type": "plain_text", "text": sign}, "value": name, "accessibility_label": read_aloud}


_BLOCKS: Final[Mapping[str, Mapping[str, Any]]] = {
    CONTINUE: {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": CONTINUE, "text": {"type": "plain_text", "text": "Continue"}},
        ],
    },
    FEEDBACK: {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK,
                "positive_button": _judgement(JUDGEMENTS[0], "👍", "This answer is good"),
                "negative_button": _judgement(JUDGEMENTS[1], "👎", "This answer is bad"),
            }
        ],
    },
}


def blocks(offers: Iterable[str]) -> list[Mapping[str, Any]]:
    """The blocks of some offers; one that we do not know any more is not made."""
    return [_BLOCKS[name] for name in offers if name in _BLOCKS]
