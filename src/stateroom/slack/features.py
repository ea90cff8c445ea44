"""What an app can do in Slack, and what each of it asks for: scopes with their reasons, events.

Rules of this file: one table, from which the manifest (slack/app_manifest.py), `stateroom doctor` and the documentation
take all they say about scopes. A scope stands with every feature that cannot do without it. Names of scopes and events
are Slack's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from stateroom.model.errors import WrongUse


class Feature(NamedTuple):
    """`scopes`: scope to its reason. `needs`: features that this one stands on; `not_with`: those it excludes."""

    help: str
    scopes: Mapping[str, str] = {}
    events: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()


_ANSWER: Final = "to answer, to stream the answer, and to show that it is at work"
_LOOK: Final = "to see, after a crash, whether its answer is already there"

FEATURES: Final[Mapping[str, Feature]] = {
    "mentions": Feature(
        "answers when somebody writes its name in a channel",
        {
            "app_mentions:read": "to be told when somebody writes its name",
            "chat:write": _ANSWER,
            "channels:history": _LOOK,
            "groups:history": f"{_LOOK}, in private channels",
        },
        ("app_mention",),
    ),
    "threads": Feature(
        "hears follow-ups in its threads without being named again",
        {
            "channels:history": "to hear follow-ups in threads of public channels",
            "groups:history": "to hear follow-ups in threads of private channels",
        },
        ("message.channels", "message.groups"),
        needs=("mentions",),
    ),
    "direct": Feature(
        "answers direct messages",
        {"chat:write": _ANSWER, "im:history": "to read what people write to it directly"},
        ("message.im",),
    ),
    "groups": Feature(
        "hears follow-ups in group direct messages, too",
        {"mpim:history": "to hear follow-ups in group direct messages"},
        ("message.mpim",),
        needs=("mentions",),
    ),
    "agent": Feature(
        "is an agent in Slack: stop button, title, suggested prompts; for good, and not for guests",
        {"assistant:write": "to suggest prompts and to name conversations; Slack adds it for agents"},
        ("app_home_opened", "agent_session_stopped", "app_context_changed"),
        needs=("direct",),
        not_with=("assistant",),
    ),
    "assistant": Feature(
        "the older assistant pane instead of `agent`",
        {"assistant:write": "to suggest prompts and to name conversations"},
        ("assistant_thread_started", "assistant_thread_context_changed"),
        needs=("direct",),
        not_with=("agent",),
    ),
    "commands": Feature(
        "`/stateroom help` and `stop`, and the shortcut that stops an answer",
        {"commands": "to offer /stateroom and the shortcut that stops an answer"},
    ),
    "install": Feature(
        "is installed in many workspaces through OAuth",
        events=("app_uninstalled", "tokens_revoked"),
    ),
    "rotation": Feature(
        "its tokens last 12 hours and are renewed; Slack cannot switch it off again", needs=("install",)
    ),
    "org": Feature("can be installed for a whole Enterprise organisation", needs=("install",)),
}
DEFAULT: Final = ("mentions", "threads", "direct", "commands")
"""What `stateroom init` enables by itself. Not `agent`: Slack never takes that back, and it shuts guests out."""

LEAST: Final = ("mentions", "threads", "direct")
"""What the bot takes for enabled when no setting says so."""


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """The features in the table's order, each once. WrongUse for unknown ones, clashes, and what stands alone."""
    wanted = set(names)
    if unknown := sorted(wanted - FEATURES.keys()):
        raise WrongUse(f"{unknown[0]!r} is no feature; there are {', '.join(FEATURES)}")
    for name in FEATURES:
        if name not in wanted:
            continue
        for other in FEATURES[name].needs:
            if other not in wanted:
                raise WrongUse(f"feature {name} needs {other}, too")
        for other in FEATURES[name].not_with:
            if other in wanted:
                raise WrongUse(f"features {name} and {other} exclude each other; choose one")
    return tuple(name for name in FEATURES if name in wanted)


def scopes(features: Sequence[str]) -> dict[str, dict[str, str]]:
    """Every bot scope that the features ask for, sorted: scope to (feature to reason)."""
    found: dict[str, dict[str, str]] = {}
    for name in features:
        for scope, reason in FEATURES[name].scopes.items():
            found.setdefault(scope, {})[name] = reason
    return dict(sorted(found.items()))


def events(features: Sequence[str]) -> list[str]:
    """Every bot event that the features listen to, sorted."""
    return sorted({event for name in features for event in FEATURES[name].events})
