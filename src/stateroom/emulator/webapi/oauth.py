"""`oauth.v2.*`, `auth.revoke`, `auth.teams.list`, `apps.uninstall`: how an app comes by its tokens and loses them.

Rules of this file: arguments in, world changed, Slack's answer or error out. The two `oauth.v2` methods are called by
an app with its client id and secret instead of a token; who that is has been found before they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stateroom.emulator import grants, installs
from stateroom.emulator.grants import CODE_SECONDS, LIFETIME_SECONDS, Code
from stateroom.emulator.manifests import rotates
from stateroom.emulator.records import App, Json, Token
from stateroom.emulator.tiers import FREE, TIER_1, TIER_3
from stateroom.emulator.webapi.method import CLIENT, Arg, Call, Method, Refused


def lifetime_of(call: Call) -> float | None:
    """How long the app's new tokens live, in s; None: it does not rotate them."""
    return call.config.scaled(LIFETIME_SECONDS) if rotates(call.app.manifest) else None


def access(call: Call) -> Json:
    grant_type = call.text("grant_type") or ("refresh_token" if call.text("refresh_token") else "authorization_code")
    exchange = _GRANT_TYPES.get(grant_type)
    if exchange is None:
        raise Refused("invalid_grant_type")
    return exchange(call)


def _by_code(call: Call) -> Json:
    code = call.world.grants.codes.get(call.text("code") or "")
    if code is None or code.app != call.app.app_id or call.now - code.at > call.config.scaled(CODE_SECONDS):
        raise Refused("invalid_code")
    if code.used:
        raise Refused("code_already_used")
    if code.redirect_uri != call.text("redirect_uri"):
        raise Refused("bad_redirect_uri")
    code.used = True
    return installs.install(call.world, _wanted(call, code), call.now, call.new_id) | _webhook(call, code)


def _wanted(call: Call, code: Code) -> installs.Wanted:
    return installs.Wanted(call.app, code.place, code.user, code.scopes, code.user_scopes, lifetime_of(call))


def _webhook(call: Call, code: Code) -> Json:
    """Where a person picked a channel for it on Slack, here it is the first one; nothing listens at its address."""
    if "incoming-webhook" not in code.scopes:
        return {}
    team = installs.teams_of(call.world, code.place)[0]
    channel = next(one for one in call.world.channels_of(team) if not one.is_im)
    return {
        "incoming_webhook": {
            "channel": f"#{channel.name}",
            "channel_id": channel.id,
            "configuration_url": f"{call.base_url}/services/{call.app.app_id}",
            "url": f"{call.base_url}/services/{team}/{call.app.app_id}/{channel.id}",
        }
    }


def _by_refresh_token(call: Call) -> Json:
    given = call.text("refresh_token") or ""
    held = call.world.grants.renewable(given)
    if held is None or held.app != call.app.app_id:
        raise Refused("invalid_refresh_token")
    call.world.grants.spend(held)
    return _renewed(call, held)


def _renewed(call: Call, held: Token) -> Json:
    """A new pair for the same bot or person. The old access token works until its own time is over."""
    lifetime = call.config.scaled(LIFETIME_SECONDS)
    token = call.world.grants.issue(grants.holder_of(held), held.scopes, call.now, lifetime, call.new_id)
    answer = {"app_id": call.app.app_id, **installs.token_answer(token, call.now)}
    if token.kind == "bot":
        installs.hand_over(call.world, call.app, token.place, token.token)
        answer["bot_user_id"] = token.user
    else:
        answer["authed_user"] = {"id": token.user}
    return {**answer, **installs.place_of(call.world, token.place)}


_GRANT_TYPES: Mapping[str, Callable[[Call], Json]] = {
    "authorization_code": _by_code,
    "refresh_token": _by_refresh_token,
}


def exchange(call: Call) -> Json:
    """A token that never expires for a pair that does. When the old one goes is not published; here it is at once."""
    if lifetime_of(call) is None:
        raise Refused("token_rotation_not_enabled")
    text = call.text("token") or ""
    plain = call.world.by_token(text)
    if plain is not None:
        installs.adopt(call.world, *plain)
    held = call.world.grants.find(text)
    if held is None or held.app != call.app.app_id or held.expires is not None:
        raise Refused("invalid_token")
    if held.exchanged:
        raise Refused("token_already_exchanged")
    if held.gone is not None:
        raise Refused("authorization_not_found")
    held.exchanged = True
    call.world.grants.kill(held, "token_revoked")
    return _renewed(call, held)


def revoke(call: Call) -> Json:
    if call.args.get("test") is True:
        return {"revoked": False}
    app, place = call.app, call.place
    if not app.app_id:
        raise Refused("not_bearer_token")
    tokens = [one for one in installs.held(call.world, app, place, call.now) if one.token == call.token]
    installs.revoke(call.world, app, place, tokens, call.now)
    return {"revoked": True}


def uninstall(call: Call) -> Json:
    if call.text("client_id") != call.app.client_id:
        known = call.world.by_client_id(call.text("client_id") or "")
        raise Refused("client_id_token_mismatch" if known is not None else "invalid_client_id")
    if call.text("client_secret") != call.app.client_secret:
        raise Refused("bad_client_secret")
    installs.uninstall(call.world, call.app, call.place, call.now)
    return {}


def teams_list(call: Call) -> Json:
    teams = [call.world.teams[team] for team in installs.teams_of(call.world, call.place)]
    return {
        "teams": [{"id": team.id, "name": team.name} for team in teams],
        "response_metadata": {"next_cursor": ""},
    }


def authenticate(app: App | None, secret: str) -> App:
    """The app that a client id and a secret name. Raises Refused."""
    if app is None:
        raise Refused("invalid_client_id")
    if app.client_secret != secret:
        raise Refused("bad_client_secret")
    return app


_ACCESS = (
    *(Arg("code"), Arg("code_verifier"), Arg("redirect_uri"), Arg("grant_type"), Arg("refresh_token")),
    *(Arg("client_id"), Arg("client_secret")),
)
_KEYS = (Arg("client_id", required=True), Arg("client_secret", required=True))

METHODS = (
    Method("oauth.v2.access", access, _ACCESS, tier=FREE, tokens=(CLIENT,)),
    Method("oauth.v2.exchange", exchange, (Arg("token", required=True), *_KEYS), tier=FREE, tokens=(CLIENT,)),
    Method("auth.revoke", revoke, (Arg("test", "flag"),), tier=TIER_3),
    Method("apps.uninstall", uninstall, _KEYS, tier=TIER_1),
    Method("auth.teams.list", teams_list, (Arg("cursor"), Arg("limit", "number")), tier=TIER_3),
)
