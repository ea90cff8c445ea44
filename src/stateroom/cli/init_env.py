"""The `.env` that `stateroom init` writes: every variable that this app needs, with where to find its value.

Rules of this file: a shell can read what is written (`. ./.env`). What a person or an earlier run has filled in is
kept, above all STATEROOM_KEYS, without which what was sealed is lost; only what must agree with the manifest is written
anew. Values are never printed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from stateroom.model.sealing import new_key
from stateroom.slack.app_manifest import Choice
from stateroom.slack.prompts import write_prompts

_LINE: Final = re.compile(r"^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)$")


class Variable(NamedTuple):
    """One line of the file. `value` is empty where only a person can know it; `chosen`: it follows the manifest."""

    name: str
    value: str
    about: str
    chosen: bool = False


def variables(choice: Choice, random: Callable[[int], bytes]) -> Iterator[Variable]:
    """What the app needs. `random(n)` gives n random bytes."""
    yield Variable("STATEROOM_STORE", "sqlite:///stateroom.db", "Where state is kept; a path that survives a deploy.")
    yield Variable("STATEROOM_CONTENT", "ttl:30d", "What is kept of people's words: full, ttl:30d, none.")
    yield Variable("STATEROOM_MODEL", "offline", "A pydantic-ai model string, or offline.")
    yield Variable("STATEROOM_FEATURES", ",".join(choice.features), "As in manifest.json.", chosen=True)
    if choice.prompts:
        yield Variable("STATEROOM_PROMPTS", write_prompts(choice.prompts), "Suggested where a conversation is opened.")
    key = new_key("k1", random)
    yield Variable("STATEROOM_KEYS", key, "Seals secrets in the store. Keep a copy: lost keys are lost data.")
    yield Variable("SLACK_BOT_TOKEN", "", "xoxb-…: Install App, Bot User OAuth Token. Empty: installed teams only.")
    if choice.base_url is None:
        yield Variable("SLACK_APP_TOKEN", "", "xapp-…: Basic Information, App-Level Tokens, scope connections:write.")
    if choice.base_url is not None or "install" in choice.features:
        yield Variable("SLACK_SIGNING_SECRET", "", "Basic Information, App Credentials, Signing Secret.")
    if "install" in choice.features:
        if choice.base_url is not None:
            yield Variable("STATEROOM_PUBLIC_URL", choice.base_url, "Where browsers reach /slack/install.", chosen=True)
        yield Variable("SLACK_CLIENT_ID", "", "Basic Information, App Credentials, Client ID.")
        yield Variable("SLACK_CLIENT_SECRET", "", "Basic Information, App Credentials, Client Secret.")


def write_env(wanted: Iterable[Variable], before: str = "") -> str:
    """The file's text. What `before`, its text until now, has a value for keeps it; its other variables stay, too."""
    kept = read_env(before)
    lines = ["# Made by `stateroom init`. It holds secrets: never commit it.", ""]
    for name, value, about, is_chosen in wanted:
        there = kept.pop(name, "")
        lines += [f"# {about}", _line(name, value if is_chosen else there or value), ""]
    if kept:
        lines += ["# From before.", *(_line(name, value) for name, value in kept.items()), ""]
    return "\n".join(lines)


def read_env(text: str) -> dict[str, str]:
    """Name to value, for the lines that have the form NAME=value, quoted as a shell quotes or not at all."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            found[match[1]] = _unquoted(match[2])
    return found


def _line(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value) if value else ''}"


def _unquoted(text: str) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # an odd quote: as it stands
        return text.strip()
    return words[0] if len(words) == 1 else text.strip() if words else ""
