"""OAuth v2 as Slack has it: where the browser is sent, and what the answer to its code says.

Rules of this file: pure; the calls are slack/client.py's. Slack's page lies beside its API, so a local Slack has one of
its own (https://docs.slack.dev/authentication/installing-with-oauth). No token is ever part of an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from stateroom.slack.codes import BAD_RESPONSE, error_of

METHOD: Final = "oauth.v2.access"
PAGE: Final = "oauth/v2/authorize"


def authorize_url(
    api_url: str,
    *,
    client_id: str,
    scopes: Sequence[str],
    user_scopes: Sequence[str],
    state: str,
    redirect_uri: str | None,
) -> str:
    """Slack's page where a person lets the app in; `api_url` ends in /api/."""
    asked = {"client_id": client_id, "scope": ",".join(scopes), "user_scope": ",".join(user_scopes), "state": state}
    if redirect_uri is not None:
        asked["redirect_uri"] = redirect_uri
    return f"{api_url.removesuffix('api/')}{PAGE}?{urlencode(asked)}"


def installation_of(answer: Mapping[str, Any], bot: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be kept of an answer of `oauth.v2.access`; `bot` is `auth.test` with its token. SlackError."""
    team, enterprise, person = (_object(answer, name) for name in ("team", "enterprise", "authed_user"))
    hook = _object(answer, "incoming_webhook")
    if not isinstance(person.get("id"), str) or not (team or enterprise):
        raise error_of(METHOD, BAD_RESPONSE)
    is_bot = answer.get("token_type") == "bot"
    org_wide = answer.get("is_enterprise_install") is True
    return {
        "app_id": answer.get("app_id"),
        "enterprise_id": enterprise.get("id"),
        "enterprise_name": enterprise.get("name"),
        "enterprise_url": bot.get("url") if org_wide else None,
        "team_id": team.get("id"),
        "team_name": team.get("name"),
        "bot_token": answer.get("access_token") if is_bot else None,
        "bot_id": bot.get("bot_id"),
        "bot_user_id": answer.get("bot_user_id"),
        "bot_scopes": answer.get("scope") or "",
        "bot_refresh_token": answer.get("refresh_token") if is_bot else None,
        "bot_token_expires_in": answer.get("expires_in") if is_bot else None,
        "user_id": person["id"],
        "user_token": person.get("access_token"),
        "user_scopes": person.get("scope") or "",
        "user_refresh_token": person.get("refresh_token"),
        "user_token_expires_in": person.get("expires_in"),
        "incoming_webhook_url": hook.get("url"),
        "incoming_webhook_channel": hook.get("channel"),
        "incoming_webhook_channel_id": hook.get("channel_id"),
        "incoming_webhook_configuration_url": hook.get("configuration_url"),
        "is_enterprise_install": org_wide,
        "token_type": answer.get("token_type"),
    }


def _object(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = answer.get(name)
    return value if isinstance(value, Mapping) else {}
