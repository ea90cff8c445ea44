"""Installing an app in a local Slack the way a person does it: the page, its form, back to the app.

Rules of this file: over HTTP only; the form is posted with the fields that the page holds, as a browser does.
"""

from __future__ import annotations

import base64
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET
from support.local_slack import LocalSlack

Json = dict[str, Any]

REDIRECT = "http://127.0.0.1:9/slack/oauth_redirect"
BOT_SCOPES = "app_mentions:read,chat:write"


def authorize_path(**more: str) -> str:
    """The address of the page, asking for two bot scopes unless told otherwise."""
    given = {"client_id": SEED_CLIENT_ID, "scope": BOT_SCOPES, "redirect_uri": REDIRECT, "state": "s1", **more}
    return f"/oauth/v2/authorize?{urlencode({name: value for name, value in given.items() if value})}"


def press(
    slack: LocalSlack,
    path: str,
    *,
    team: str = "T00000001",
    user: str = "U00000001",
    org: str = "",
    decision: str = "allow",
) -> tuple[int, str]:
    """Open the page, pick who you are, press a button. Returns the status and where the browser goes."""
    status, shown, _ = slack.request("GET", path)
    assert status == 200, shown
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', shown["text"]))
    fields = {name: unescape(value) for name, value in fields.items()}
    body = urlencode({**fields, "who": f"{team} {user}", "org": org, "decision": decision}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": slack.url}
    status, _, found = slack.request("POST", "/oauth/v2/authorize", body, headers)
    return status, found.get("location", "")


def answered(location: str) -> dict[str, str]:
    """What the query of an address says."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def code_of(slack: LocalSlack, path: str | None = None, **who: str) -> str:
    """A code, fresh from the page."""
    status, location = press(slack, path or authorize_path(), **who)
    assert status == 303, location
    return answered(location)["code"]


def client_call(
    slack: LocalSlack,
    method: str,
    client: tuple[str, str] = (SEED_CLIENT_ID, SEED_CLIENT_SECRET),
    **args: str,
) -> Json:
    """A call with an app's id and secret in the header, as a form."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": "Basic " + base64.b64encode(":".join(client).encode()).decode(),
    }
    return slack.request("POST", f"/api/{method}", urlencode(args).encode(), headers)[1]


def installed(slack: LocalSlack, path: str | None = None, **who: str) -> Json:
    """What an app gets after a person pressed Allow."""
    answer = client_call(slack, "oauth.v2.access", code=code_of(slack, path, **who), redirect_uri=REDIRECT)
    assert answer["ok"] is True, answer
    return answer


def app_manifest(**settings: Any) -> Json:
    """A manifest with the redirect address of these tests; `settings` are the manifest's."""
    return {
        "display_information": {"name": "Stateroom"},
        "features": {"bot_user": {"display_name": "stateroom"}},
        "oauth_config": {"redirect_urls": [REDIRECT], "scopes": {"bot": BOT_SCOPES.split(",")}},
        "settings": settings,
    }
