"""Installing an app in a team or an organisation, removing it, revoking what it holds; the events that follow.

Rules of this file: functions over a World, the moment and new ids handed in. Facts: docs.slack.dev/authentication/
installing-with-oauth (the answer of oauth.v2.access), /reference/events/app_uninstalled and tokens_revoked (their order
is not fixed), /reference/methods/auth.revoke (the bot user is deactivated and leaves its channels). Here a bot joins
every public channel when it is installed, which Slack leaves to people.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from stateroom.emulator import grants, seed, streams
from stateroom.emulator.grants import Holder, NewId
from stateroom.emulator.records import App, Install, Json, Token
from stateroom.emulator.world import Addressed, World

ORDERS = ("tokens_revoked", "app_uninstalled")
# The second of two events waits so many seconds, so that a test can ask for either order.
SECOND_EVENT_DELAY = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who installs what where: `place` is a team, or an enterprise for all its teams. `lifetime` in s, None: no end."""

    app: App
    place: str
    user: str
    scopes: list[str]
    user_scopes: list[str]
    lifetime: float | None


def teams_of(world: World, place: str) -> list[str]:
    """The teams behind a team's or an enterprise's id."""
    return [team.id for team in world.teams.values() if place in (team.id, team.enterprise)]


def lives_in(world: World, app: App, place: str, now: float) -> bool:
    """Whether an app is installed in a team or an enterprise."""
    placed = any(place in (install.enterprise, install.team) for install in app.installs.values())
    return placed or bool(world.grants.live(app.app_id, place, now))


# ---- installing


def install(world: World, wanted: Wanted, now: float, new_id: NewId) -> Json:
    """Install, or install once more with further scopes. Returns what `oauth.v2.access` answers."""
    answer: Json = {"app_id": wanted.app.app_id, "authed_user": _person(world, wanted, now, new_id)}
    if wanted.scopes:
        answer |= _bot(world, wanted, now, new_id)
    world.tell("reset")
    return {**answer, **place_of(world, wanted.place)}


def place_of(world: World, place: str) -> Json:
    """`team`, `enterprise` and `is_enterprise_install` as every OAuth answer has them."""
    organisation = world.enterprises.get(place)
    if organisation is not None:
        named = {"id": organisation.id, "name": organisation.name}
        return {"team": None, "enterprise": named, "is_enterprise_install": True}
    team = world.teams[place]
    owner = world.enterprises.get(team.enterprise or "")
    above: Json | None = None if owner is None else {"id": owner.id, "name": owner.name}
    return {"team": {"id": team.id, "name": team.name}, "enterprise": above, "is_enterprise_install": False}


def _person(world: World, wanted: Wanted, now: float, new_id: NewId) -> Json:
    if not wanted.user_scopes:
        return {"id": wanted.user}
    holder = Holder(wanted.app.app_id, "user", wanted.place, wanted.user)
    token = _granted(world, holder, wanted.user_scopes, wanted.lifetime, (now, new_id))
    return {"id": wanted.user, **token_answer(token, now)}


def _bot(world: World, wanted: Wanted, now: float, new_id: NewId) -> Json:
    first = _put_in(world, wanted.app, wanted.place, now)
    holder = Holder(wanted.app.app_id, "bot", wanted.place, first.bot_user_id)
    adopt(world, wanted.app, first)
    token = _granted(world, holder, wanted.scopes, wanted.lifetime, (now, new_id))
    hand_over(world, wanted.app, wanted.place, token.token)
    return {**token_answer(token, now), "bot_user_id": first.bot_user_id}


def token_answer(token: Token, now: float) -> Json:
    """A token as OAuth answers show it; what renews it only where it expires."""
    answer: Json = {"scope": ",".join(token.scopes or ()), "access_token": token.token, "token_type": token.kind}
    if token.expires is not None:
        answer |= {"refresh_token": token.refresh, "expires_in": max(1, round(token.expires - now))}
    return answer


def _granted(
    world: World, holder: Holder, scopes: list[str], lifetime: float | None, fresh: tuple[float, NewId]
) -> Token:
    """A token with these scopes beside the earlier ones: scopes add up. One that never expires stays the same."""
    now, new_id = fresh
    before = [one for one in world.grants.live(holder.app, holder.place, now) if grants.holder_of(one) == holder]
    earlier = [scope for one in before for scope in one.scopes or ()]
    together = list(dict.fromkeys([*earlier, *scopes]))
    lasting = [one for one in before if one.expires is None]
    if lifetime is None and lasting:
        token = lasting[-1]
        token.scopes = together if token.scopes is not None else None
        world.grants.add(token)
        return token if token.scopes is not None else msgspec.structs.replace(token, scopes=together)
    return world.grants.issue(holder, together, now, lifetime, new_id)


def _put_in(world: World, app: App, place: str, now: float) -> Install:
    """The bot user in each team of a place; the same one in all of them. Returns the first install."""
    teams = teams_of(world, place)
    org_wide = place in world.enterprises
    known = [app.installs[team] for team in teams if team in app.installs] or _former(world, app, teams)
    model = known[0] if known else seed.mint_install(world, teams[0], None)
    for team in teams:
        here = app.installs.get(team)
        token = here.bot_token if here is not None and not org_wide else ""
        found = msgspec.structs.replace(
            model, team=team, bot_token=token, enterprise=world.teams[team].enterprise, org_wide=org_wide
        )
        if here is not None and here.bot_user_id != found.bot_user_id:
            deactivate(world, app, here)
        _enter(world, app, found, now)
    return app.installs[teams[0]]


def _former(world: World, app: App, teams: list[str]) -> list[Install]:
    """The bot that an app had here before it was removed."""
    return [
        Install(team=user.team, bot_user_id=user.id, bot_id=user.bot_id or "", bot_token="")
        for user in world.users.values()
        if user.team in teams and user.app_id == app.app_id and user.is_bot
    ]


def _enter(world: World, app: App, found: Install, now: float) -> None:
    user = world.users.get((found.team, found.bot_user_id))
    if user is None:
        seed.install_app(world, app, found, now)
        return
    if user.deleted:
        user.deleted = False
        world.add_user(user)
        for channel in world.channels_of(found.team):
            if not channel.is_im and user.id not in channel.members:
                channel.members.append(user.id)
                world.keep(channel)
    app.installs[found.team] = found
    world.add_app(app)


def adopt(world: World, app: App, found: Install) -> None:
    """A record for the token that an install had before OAuth gave it one."""
    if found.bot_token and world.grants.find(found.bot_token) is None:
        world.grants.add(grants.adopted(found.bot_token, app.app_id, found.team, found.bot_user_id, app.scopes))


def hand_over(world: World, app: App, place: str, token: str) -> None:
    """From now on this is an install's token."""
    for team in teams_of(world, place):
        app.installs[team].bot_token = token
    world.add_app(app)


# ---- going


def deactivate(world: World, app: App, found: Install) -> None:
    """The bot user leaves its channels and is no longer there; what it was still writing ends."""
    user = world.users.get((found.team, found.bot_user_id))
    app.installs.pop(found.team, None)
    world.add_app(app)
    streams.leave(world, found.team, app.app_id)
    if not app.installs:
        world.left.add(app.app_id)
    if user is None:
        return
    user.deleted = True
    world.add_user(user)
    for channel in world.channels_of(found.team):
        if not channel.is_im and user.id in channel.members:
            channel.members.remove(user.id)
            world.keep(channel)
    world.tell("reset")


def uninstall(world: World, app: App, place: str, now: float, order: str = ORDERS[0]) -> list[Token]:
    """Take an app away from a team or an enterprise; both events follow, the one named by `order` first."""
    installs = [app.installs[team] for team in teams_of(world, place) if team in app.installs]
    for found in installs:
        adopt(world, app, found)
    gone = world.grants.live(app.app_id, place, now)
    witness = _witness(world, place, installs, gone)
    for token in gone:
        _kill(world, token)
    for found in installs:
        deactivate(world, app, found)
    events = {"tokens_revoked": _revoked_event(gone), "app_uninstalled": {"type": "app_uninstalled"}}
    first, second = order, next(name for name in ORDERS if name != order)
    _send(world, app, witness, events[first], now)
    _send(world, app, witness, events[second], now, delay=SECOND_EVENT_DELAY)
    return gone


def revoke(world: World, app: App, place: str, tokens: list[Token], now: float) -> None:
    """Revoke tokens. Who has none left is told to the app; with the very last one the app is uninstalled."""
    installs = [app.installs[team] for team in teams_of(world, place) if team in app.installs]
    witness = _witness(world, place, installs, tokens)
    for token in tokens:
        _kill(world, token)
    left = world.grants.live(app.app_id, place, now)
    kept = {(token.kind, token.user) for token in left}
    gone = [token for token in tokens if (token.kind, token.user) not in kept]
    if any(token.kind == "bot" for token in gone):
        for found in installs:
            deactivate(world, app, found)
    if gone:
        _send(world, app, witness, _revoked_event(gone), now)
    if not left:
        _send(world, app, witness, {"type": "app_uninstalled"}, now, delay=SECOND_EVENT_DELAY)


def held(
    world: World, app: App, place: str, now: float, *, kind: str | None = None, user: str | None = None
) -> list[Token]:
    """An app's live tokens in a place, of one kind and one user where these are named."""
    for team in teams_of(world, place):
        if team in app.installs:
            adopt(world, app, app.installs[team])
    return [
        token
        for token in world.grants.live(app.app_id, place, now)
        if kind in (None, token.kind) and user in (None, token.user)
    ]


def _kill(world: World, token: Token) -> None:
    """What a dead token answers is documented: a bot's as of a deleted user, a person's as revoked."""
    world.grants.kill(token, "account_inactive" if token.kind == "bot" else "token_revoked")


def _witness(world: World, place: str, installs: list[Install], tokens: list[Token]) -> Install:
    """In whose name the events are sent, when the bot is gone by then."""
    if installs:
        return msgspec.structs.replace(installs[0], team=place)
    user = tokens[0].user if tokens else ""
    org_wide = place in world.enterprises
    owner = place if org_wide else world.teams[place].enterprise
    return Install(team=place, bot_user_id=user, bot_id="", bot_token="", enterprise=owner, org_wide=org_wide)


def _revoked_event(tokens: list[Token]) -> Json:
    users = {kind: list(dict.fromkeys(one.user for one in tokens if one.kind == kind)) for kind in ("user", "bot")}
    return {"type": "tokens_revoked", "tokens": {"oauth": users["user"], "bot": users["bot"]}}


def _send(world: World, app: App, witness: Install, event: Json, now: float, *, delay: float = 0.0) -> None:
    stamped = {**event, "event_ts": f"{now + delay:.6f}"}
    world.address(Addressed(app.app_id, witness, stamped, ts=stamped["event_ts"], delay=delay))
