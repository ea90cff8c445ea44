"""The states of an installation as a table. Its diagram in docs/installation-states.md is made from this table.

Rules of this file: pure; no clock, no store, no Slack. Slack delivers `app_uninstalled` and `tokens_revoked` in either
order and more than once, so every state knows every event: what comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

State = Literal["UNINSTALLED", "INSTALLED", "REVOKED"]

TRANSITIONS: Final[Mapping[tuple[State, str], State]] = {
    ("UNINSTALLED", "install"): "INSTALLED",
    ("UNINSTALLED", "revoke"): "UNINSTALLED",
    ("UNINSTALLED", "uninstall"): "UNINSTALLED",
    ("INSTALLED", "reinstall"): "INSTALLED",
    ("INSTALLED", "upgrade"): "INSTALLED",
    ("INSTALLED", "rotate"): "INSTALLED",
    ("INSTALLED", "revoke"): "REVOKED",
    ("INSTALLED", "uninstall"): "UNINSTALLED",
    ("REVOKED", "reinstall"): "INSTALLED",
    ("REVOKED", "revoke"): "REVOKED",
    ("REVOKED", "uninstall"): "UNINSTALLED",
}
MEANING: Final[Mapping[State, str]] = {
    "UNINSTALLED": "the app is not in the workspace: no token is kept, everything of the workspace is to go",
    "INSTALLED": "its tokens are kept and used",
    "REVOKED": "the bot's token no longer works and is not kept; data stays, an install brings it back",
}
EVENTS: Final[Mapping[str, str]] = {
    "install": "somebody adds the app",
    "reinstall": "somebody adds it again",
    "upgrade": "the same, and more scopes are granted than before",
    "rotate": "a token was exchanged for the next one",
    "revoke": "`tokens_revoked` names the bot, `installations revoke`, or Slack refuses the refresh token",
    "uninstall": "`app_uninstalled`",
}


def step(state: State, event: str) -> State:
    """The state after `event`; KeyError for one that the state does not know, which is a defect."""
    return TRANSITIONS[state, event]


def event_of_save(state: State, before: str, after: str, *, same: bool) -> str:
    """Which event it is that somebody's installation is saved; scopes with commas between them, `same`: a copy."""
    if state == "UNINSTALLED":
        return "install"
    if state == "REVOKED":
        return "reinstall"
    if same:
        return "rotate"
    return "upgrade" if set(after.split(",")) > set(before.split(",")) else "reinstall"


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    notes = [f"    {state}: {state} — {meaning}" for state, meaning in MEANING.items()]
    arrows = [f"    {before} --> {after}: {event}" for (before, event), after in TRANSITIONS.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> UNINSTALLED", *notes, *arrows]) + "\n"
