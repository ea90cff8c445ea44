"""`auth.test`, `users.info`, `users.list`, `team.info`.

Rules of this file: reading only. `api.test` needs no token and is answered before any is looked at (see `api.py`).
"""

from __future__ import annotations

from stateroom.emulator import views
from stateroom.emulator.records import Json
from stateroom.emulator.tiers import FREE, TIER_2, TIER_3, TIER_4
from stateroom.emulator.webapi.method import BOT, GRANTED, USER, Arg, Call, Method, Refused


def auth_test(call: Call) -> Json:
    team = call.world.teams[call.team]
    if call.user is not None:
        person = call.world.users[call.team, call.user]
        who = {"team": team.name, "user": person.name, "team_id": team.id, "user_id": person.id}
        return {"url": f"{call.base_url}/", **who, **_organisation(call)}
    bot = call.world.users[call.team, call.install.bot_user_id]
    return {
        "url": f"{call.base_url}/",
        "team": team.name,
        "user": bot.name,
        "team_id": team.id,
        "user_id": bot.id,
        "bot_id": call.install.bot_id,
        "app_id": call.app.app_id,
        "app_name": call.app.name,
        **_organisation(call),
    }


def _organisation(call: Call) -> Json:
    """An org-wide token speaks for its organisation, so that stands in the place of the team."""
    owner = call.world.enterprises.get(call.world.teams[call.team].enterprise or "")
    if owner is None:
        more: Json = {} if call.user is None else {"enterprise_id": None}
        return {**more, "is_enterprise_install": False}
    if not call.install.org_wide:
        return {"enterprise_id": owner.id, "is_enterprise_install": False}
    return {"team": owner.name, "team_id": owner.id, "enterprise_id": owner.id, "is_enterprise_install": True}


def users_info(call: Call) -> Json:
    user = call.world.users.get((call.team, call.text("user") or ""))
    if user is None:
        raise Refused("user_not_found")
    return {"user": views.slack_user(user)}


def users_list(call: Call) -> Json:
    limit: int = call.args.get("limit", 1000)
    if not 1 <= limit <= 1000:
        raise Refused("invalid_limit")
    after = call.text("cursor") or ""
    users = sorted((user for user in call.world.members_of(call.team) if user.id > after), key=lambda user: user.id)
    next_cursor = users[limit - 1].id if len(users) > limit else ""
    return {
        "members": [views.slack_user(user) for user in users[:limit]],
        "cache_ts": int(call.now),
        "response_metadata": {"next_cursor": next_cursor},
    }


def team_info(call: Call) -> Json:
    if call.text("team") not in (None, call.team):
        raise Refused("team_not_found")
    team = call.world.teams[call.team]
    return {
        "team": {
            "id": team.id,
            "name": team.name,
            "domain": team.domain,
            "url": f"{call.base_url}/",
            "email_domain": "",
            "icon": {"image_default": True},
        }
    }


METHODS = (
    Method("auth.test", auth_test, tier=FREE, tokens=(BOT, USER, GRANTED)),
    Method("users.info", users_info, (Arg("user", required=True),), ("users:read",), TIER_4),
    Method("users.list", users_list, (Arg("cursor"), Arg("limit", "number")), ("users:read",), TIER_2),
    Method("team.info", team_info, (Arg("team"),), ("team:read",), TIER_3),
)
