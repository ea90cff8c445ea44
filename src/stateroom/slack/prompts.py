"""Suggested prompts: what a person sees before the first word is written.

Rules of this file: pure; Slack shows at most four, each a title and the message that a click sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

MOST: Final = 4
FORM: Final = "at most four prompts, separated by |, each `title` or `title => message`"


class Prompt(NamedTuple):
    """A click on `title` sends `message`."""

    title: str
    message: str


def parse_prompts(text: str) -> tuple[Prompt, ...]:
    """Read `title => message | title | …`. ValueError says the form."""
    found = []
    for part in filter(None, (one.strip() for one in text.split("|"))):
        title, arrow, message = (one.strip() for one in part.partition("=>"))
        if not title or (arrow and not message):
            raise ValueError(FORM)
        found.append(Prompt(title, message or title))
    if len(found) > MOST:
        raise ValueError(FORM)
    return tuple(found)


def write_prompts(prompts: tuple[Prompt, ...]) -> str:
    """The text that `parse_prompts` reads back."""
    return " | ".join(p.title if p.title == p.message else f"{p.title} => {p.message}" for p in prompts)


def as_json(prompts: Sequence[Prompt]) -> list[dict[str, str]]:
    """As Slack's manifest and its Web API take them."""
    return [prompt._asdict() for prompt in prompts]
