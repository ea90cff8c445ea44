"""What `stateroom doctor` can learn from Slack: who the token is, what it may do, what time it is there.

Rules of this file: `auth.test` alone is asked; neither token nor answer is shown. What Slack does not tell an app is
said to be unknown, never taken for good.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from stateroom.cli.doctor_finding import Finding
from stateroom.cli.doctor_here import clock_skew
from stateroom.cli.settings import Settings
from stateroom.model.errors import SlackError, Throttled, WrongUse
from stateroom.slack.features import FEATURES, events, scopes

PATIENCE: Final = 10.0  # seconds for one call
_NEW_TOKEN: Final = "copy SLACK_BOT_TOKEN again from Install App; it begins with xoxb-"
ADVICE: Final = {
    "timeout": "Slack did not answer; look at the network, a proxy, SLACK_API_URL",
    "connection": "Slack cannot be reached; look at the network, a proxy, SLACK_API_URL",
    "bad_response": "that is not Slack's Web API; look at SLACK_API_URL",
    "http_error": "that is not Slack's Web API; look at SLACK_API_URL",
    "invalid_auth": _NEW_TOKEN,
    "not_authed": _NEW_TOKEN,
    "token_expired": "the token was to be renewed; install the app again",
    "token_revoked": "install the app again, then set the new SLACK_BOT_TOKEN",
    "account_inactive": "the app was removed; install it again, then set the new SLACK_BOT_TOKEN",
}


async def slack(found: Settings, *, scopes_only: bool) -> list[Finding]:
    """The token, its scopes, the clock."""
    if not found.slack_bot_token:
        advice = "set SLACK_BOT_TOKEN for one workspace, or install the app through /slack/install"
        return [Finding("token", "unknown", "no SLACK_BOT_TOKEN: installed teams only", advice)]
    from stateroom.slack.client import SlackClient

    try:
        async with SlackClient(found.slack_bot_token, found.slack_api_url, clock=time.time) as client:
            standing = await client.standing(deadline=time.time() + PATIENCE)
    except WrongUse as refused:
        return [Finding("token", "wrong", str(refused), _NEW_TOKEN)]
    except Throttled as busy:
        return [Finding("token", "unknown", "Slack asks to wait", f"try again in {busy.retry_after:g} s")]
    except SlackError as failed:
        advice = ADVICE.get(failed.code, "docs/slack-wire.md lists Slack's codes")
        return [Finding("token", "wrong", f"{host(found)} says {failed.code}", advice)]
    granted = list(compare(found.features, standing.scopes))
    if scopes_only:
        return granted
    who = Finding("token", "ok", f"team {standing.team}, as {standing.user}, at {host(found)}")
    return [who, *granted, *subscriptions(found.features), *clock_skew(standing.date)]


async def socket_mode(found: Settings) -> list[Finding]:
    """Whether the app-level token opens sockets; none is opened."""
    if not found.slack_app_token.startswith("xapp-"):
        return []
    from stateroom.slack.socket import SocketMode, advice

    async def nothing(_kind: str, _payload: bytes) -> None:
        return None

    try:
        await SocketMode(found.slack_app_token, found.slack_api_url, nothing).check()
    except WrongUse as refused:
        return [Finding("socket", "wrong", str(refused), "copy SLACK_APP_TOKEN again")]
    except (SlackError, Throttled) as failed:
        return [Finding("socket", "wrong", advice(failed), "see the app's page: Socket Mode, App-Level Tokens")]
    return [Finding("socket", "ok", "SLACK_APP_TOKEN opens sockets")]


def host(found: Settings) -> str:
    """Where the Web API is; never with credentials."""
    return urlsplit(found.slack_api_url).hostname or "?"


def compare(features: Sequence[str], granted: Sequence[str] | None) -> Iterator[Finding]:
    """What the features need and the token has not, and what it has beyond them."""
    if not granted:  # the local Slack names none for an app without a manifest
        yield Finding("scopes", "unknown", "Slack names no granted scopes", "compare the app's page with manifest.json")
        return
    wanted = scopes(features)
    missing = {scope: why for scope, why in wanted.items() if scope not in granted}
    for scope, why in missing.items():
        needs = "; ".join(f"{feature} needs it {reason}" for feature, reason in why.items())
        advice = "add it under OAuth & Permissions, then install the app again"
        yield Finding("scopes", "wrong", f"{scope} is missing: {needs}", advice)
    for scope in sorted(set(granted) - wanted.keys()):
        users = [name for name, feature in FEATURES.items() if scope in feature.scopes]
        unused = f"feature {' or '.join(users)} would use it, and is not enabled" if users else "nothing here uses it"
        advice = "remove it, unless something else needs it" + ("; or name the feature" if users else "")
        yield Finding("scopes", "warning", f"{scope} is granted beyond need: {unused}", advice)
    if not missing:
        yield Finding("scopes", "ok", f"all {len(wanted)} that {', '.join(features)} need")


def subscriptions(features: Sequence[str]) -> Iterator[Finding]:
    """Slack has no method for them."""
    names = ", ".join(events(features))
    yield Finding(
        "events", "unknown", f"Slack tells no app its subscriptions; it needs {names}", "compare the app's page"
    )
