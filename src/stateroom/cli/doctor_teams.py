"""What `stateroom doctor` finds about the workspaces that installed the app: their state, and the scopes they granted.

Rules of this file: read from the store alone, without keys: no token is opened, and Slack is not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateroom.cli.doctor_finding import Finding
from stateroom.cli.doctor_here import file_of
from stateroom.cli.settings import Settings
from stateroom.model.errors import StateroomError
from stateroom.slack.features import scopes
from stateroom.store import Store

SHOWN: Final = 5  # workspaces that are named; the rest is a number


async def teams(found: Settings) -> list[Finding]:
    """Whether the app can be installed, and how it stands where it was."""
    if not found.slack_client_id:
        return []
    path = file_of(found.store)
    if path is not None and not path.exists():
        return [*able(found)]
    try:
        async with Store(found.store, content=found.content, keys=found.keys, threads=found.threads or None) as opened:
            places = [one async for one in opened.installations(client_id=found.slack_client_id).listed()]
    except StateroomError:  # the store's own check says why
        return [*able(found)]
    return [*able(found), *compare(found, places)]


def able(found: Settings) -> Iterator[Finding]:
    """What an install needs of us."""
    if not found.slack_client_secret:
        yield Finding(
            "installs", "wrong", "SLACK_CLIENT_ID has no SLACK_CLIENT_SECRET", "set it; it stands beside the id"
        )
    elif found.keys is None:
        yield Finding("installs", "wrong", "without STATEROOM_KEYS no token is stored", "`stateroom init` makes keys")
    else:
        yield Finding("installs", "ok", "people can install the app at /slack/install")


def compare(found: Settings, places: list[dict[str, Any]]) -> Iterator[Finding]:
    """States, and scopes that the features have come to need since the install."""
    states = Counter(str(one["state"]) for one in places)
    counted = ", ".join(f"{count} {state.lower()}" for state, count in sorted(states.items())) or "none yet"
    yield Finding("workspaces", "ok", counted)
    lacking = [(one, missing) for one in places if one["state"] == "INSTALLED" and (missing := _missing(found, one))]
    for one, missing in lacking[:SHOWN]:
        where = one["team_id"] or one["enterprise_id"]
        yield Finding("workspaces", "wrong", f"{where} has not granted {', '.join(missing)}", "let it install again")
    if len(lacking) > SHOWN:
        yield Finding("workspaces", "wrong", f"and {len(lacking) - SHOWN} more", "stateroom installations list")


def _missing(found: Settings, place: Mapping[str, Any]) -> list[str]:
    granted = set(str(place["bot_scopes"] or "").replace(" ", "").split(","))
    return [scope for scope in scopes(found.features) if scope not in granted]
