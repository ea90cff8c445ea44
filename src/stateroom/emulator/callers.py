"""Who calls the Web API: a bot, a person, a person through an app, or an app with its id and secret or its own token.

Rules of this file: reading only, the moment handed in. The order of the checks and their errors are Slack's: a token,
one that works, of the right kind, for a team it reaches; then its scope; then the app whose data is asked for.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace

from stateroom.emulator import grants, installs
from stateroom.emulator.records import App, Install, Json, Token
from stateroom.emulator.webapi.method import APP, BOT, GRANTED, NO_APP, USER, Method, Refused, invalid_arguments
from stateroom.emulator.webapi.oauth import authenticate
from stateroom.emulator.world import World

# What an org-wide token must name a team for; other methods name a channel, or are the same in every team.
_NEED_A_TEAM = frozenset({"conversations.list", "users.list"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls what: an app's bot, or a person (`user`) for an app; `scopes` None: all of them."""

    method: Method
    app: App
    install: Install
    user: str | None = None
    scopes: list[str] | None = None
    token: str = ""


def bearer(world: World, method: Method, token: str, raw: Json, now: float) -> Caller:
    """The caller behind a token. Raises Refused."""
    if not token:
        raise Refused("not_authed")
    grant = world.grants.find(token)
    if grant is not None:
        return _by_grant(world, method, grant, raw, now)
    of_app = world.by_app_token(token)
    if of_app is not None:
        if APP not in method.tokens:
            raise Refused("not_allowed_token_type")
        return Caller(method, of_app, Install(team="", bot_user_id="", bot_id="", bot_token=""))
    found, person = world.by_token(token), None
    if found is None:
        person = world.by_user_token(token)
        if person is None:
            raise Refused("invalid_auth")
    if (BOT if person is None else USER) not in method.tokens:
        raise Refused("not_allowed_token_type")
    if found is not None:
        return Caller(method, *found, scopes=found[0].scopes, token=token)
    assert person is not None
    nowhere = Install(team=person.team, bot_user_id="", bot_id="", bot_token="")
    return Caller(method, NO_APP, nowhere, person.id)


def _by_grant(world: World, method: Method, token: Token, raw: Json, now: float) -> Caller:
    """The caller behind a token that OAuth gave: a bot, or a person for an app."""
    wrong = grants.problem(token, now)
    if wrong is not None:
        raise Refused(wrong)
    if (BOT if token.kind == "bot" else GRANTED) not in method.tokens:
        raise Refused("not_allowed_token_type")
    app, team = world.apps[token.app], _team_meant(world, method, token, raw)
    install = app.installs.get(team)
    if token.kind == "user":
        return Caller(method, app, _as_person(world, token, team, install), token.user, token.scopes, token.token)
    if install is None:
        raise Refused("account_inactive")
    return Caller(method, app, install, None, token.scopes, token.token)


def _as_person(world: World, token: Token, team: str, bot: Install | None) -> Install:
    """A person in the place of the bot: the channels that count are theirs."""
    return Install(
        team=team,
        bot_user_id=token.user,
        bot_id=bot.bot_id if bot is not None else f"B{token.app[1:]}",
        bot_token=token.token,
        enterprise=world.teams[team].enterprise,
        org_wide=token.place in world.enterprises,
    )


def _team_meant(world: World, method: Method, token: Token, raw: Json) -> str:
    """The team that a call is about. An org-wide token says it by `team_id`, or by a channel of one team only."""
    if token.place in world.teams:
        return token.place
    teams, named = installs.teams_of(world, token.place), raw.get("team_id")
    if named not in (None, ""):
        if named not in teams:
            raise Refused("team_access_not_granted" if str(named) in world.teams else "team_not_found")
        return str(named)
    channel = str(raw.get("channel") or raw.get("channel_id"))
    having = [team for team in teams if (team, channel) in world.rooms]
    if having or method.name not in _NEED_A_TEAM:
        return having[0] if having else teams[0]
    raise Refused("missing_argument", response_metadata={"messages": ["[ERROR] missing required field: team_id"]})


def client(world: World, method: Method, authorization: str, given: Json) -> Caller:
    """The app that calls with its client id and secret, in the header or in the body. Raises Refused."""
    client_id, secret = _basic(authorization)
    app = world.by_client_id(client_id or str(given.get("client_id", "")))
    known = authenticate(app, secret or str(given.get("client_secret", "")))
    return Caller(method, known, Install(team="", bot_user_id="", bot_id="", bot_token=""))


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return client_id, secret


def check_scope(caller: Caller) -> None:
    """Raises Refused when a token has none of the scopes that its method needs."""
    needed, granted = caller.method.scopes, caller.scopes
    if granted is not None and needed and not set(granted) & set(needed):
        raise Refused("missing_scope", needed=needed[0], provided=",".join(granted))


def for_app(world: World, caller: Caller, app_id: object) -> Caller:
    """The caller with the app whose data it asks for: a bot's own, or the one that a person names."""
    named = None if app_id in (None, "", "null") else app_id
    if caller.app.app_id:
        if named not in (None, caller.app.app_id):
            raise Refused("invalid_app_id")
        return caller
    if named is None:
        raise invalid_arguments("missing required field: app_id")
    app = world.apps.get(named) if isinstance(named, str) else None
    if app is None or caller.install.team not in app.installs:
        raise Refused("invalid_app_id")
    return replace(caller, app=app, install=app.installs[caller.install.team])
