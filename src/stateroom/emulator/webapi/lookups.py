"""`bots.info`, `users.conversations`, `users.profile.get`, `users.lookupByEmail`, `users.getPresence`,
`chat.getPermalink`, `reactions.get`, `emoji.list`, `usergroups.list`.

Rules of this file: reading only. People have an address of the form `<name>@<domain>.example`; there are no custom
emoji and no user groups.
"""

from __future__ import annotations

from stateroom.emulator import views
from stateroom.emulator.records import Json, User
from stateroom.emulator.tiers import TIER_2, TIER_3, TIER_4
from stateroom.emulator.webapi.method import READ_SCOPES, Arg, Call, Method, Refused

_ALL_KINDS = frozenset({"public_channel", "private_channel", "mpim", "im"})


def bots_info(call: Call) -> Json:
    wanted = call.text("bot") or call.install.bot_id
    bots = (user for user in call.world.members_of(call.team) if user.is_bot)
    user = next((one for one in bots if one.bot_id == wanted), None)
    if user is None:
        raise Refused("bot_not_found")
    return {
        "bot": {
            "id": wanted,
            "app_id": user.app_id,
            "user_id": user.id,
            "name": user.real_name or user.name,
            "deleted": False,
            "updated": 0,
            "icons": {},
        }
    }


def _person(call: Call, name: str = "user") -> User:
    user = call.world.users.get((call.team, call.text(name) or call.install.bot_user_id))
    if user is None:
        raise Refused("user_not_found")
    return user


def email(call: Call, user: User) -> str:
    return f"{user.name}@{call.world.teams[call.team].domain}.example"


def users_conversations(call: Call) -> Json:
    """The channels that a user, without one the caller, is in. Direct messages only of the caller."""
    user, kinds = _person(call), set(call.args.get("types", ["public_channel"]))
    if not kinds <= _ALL_KINDS:
        raise Refused("invalid_types")
    limit: int = call.args.get("limit", 100)
    if not 1 <= limit <= 999:
        raise Refused("invalid_limit")
    after = call.text("cursor") or ""
    found = [
        channel
        for channel in sorted(call.world.channels_of(call.team), key=lambda channel: channel.id)
        if channel.id > after and user.id in channel.members and ("im" if channel.is_im else "public_channel") in kinds
        if not channel.is_im or call.is_member(channel)
    ]
    rows = [views.slack_channel(channel, user.id, channel.creator) for channel in found[:limit]]
    next_cursor = found[limit - 1].id if len(found) > limit else ""
    return {"channels": rows, "response_metadata": {"next_cursor": next_cursor}}


def profile_get(call: Call) -> Json:
    user = _person(call)
    more = {} if user.is_bot else {"email": email(call, user)}
    return {"profile": {**views.slack_user(user)["profile"], **more, "status_text": "", "status_emoji": ""}}


def lookup_by_email(call: Call) -> Json:
    wanted = call.args["email"].lower()
    user = next((one for one in call.world.people(call.team) if email(call, one) == wanted), None)
    if user is None:
        raise Refused("users_not_found")
    return {"user": views.slack_user(user)}


def presence(call: Call) -> Json:
    _person(call)
    return {"presence": "active"}


def permalink(call: Call) -> Json:
    room = call.room()
    message = call.message(room, "message_ts")
    url = f"{call.base_url}/archives/{room.channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        url += f"?thread_ts={message.thread_ts}&cid={room.channel.id}"
    return {"channel": room.channel.id, "permalink": url}


def reactions_get(call: Call) -> Json:
    room = call.room()
    call.timestamp("timestamp", "bad_timestamp")
    message = call.message(room, "timestamp")
    return {"type": "message", "channel": room.channel.id, "message": call.world.slack_view(message)}


def emoji_list(call: Call) -> Json:
    return {"emoji": {}, "cache_ts": f"{call.now:.6f}"}


def usergroups_list(call: Call) -> Json:
    return {"usergroups": []}


_USER = Arg("user", required=True)
_PAGING = (Arg("cursor"), Arg("limit", "number"))
_CHANNEL = Arg("channel", required=True)

METHODS = (
    Method("bots.info", bots_info, (Arg("bot"), Arg("team_id")), ("users:read",), TIER_3),
    Method(
        "users.conversations",
        users_conversations,
        (Arg("user"), Arg("types", "ids"), Arg("exclude_archived", "flag"), Arg("team_id"), *_PAGING),
        READ_SCOPES,
        TIER_3,
    ),
    Method(
        "users.profile.get", profile_get, (Arg("user"), Arg("include_labels", "flag")), ("users.profile:read",), TIER_4
    ),
    Method("users.lookupByEmail", lookup_by_email, (Arg("email", required=True),), ("users:read.email",), TIER_3),
    Method("users.getPresence", presence, (Arg("user"),), ("users:read",), TIER_3),
    Method("chat.getPermalink", permalink, (_CHANNEL, Arg("message_ts", required=True)), (), TIER_4),
    Method(
        "reactions.get",
        reactions_get,
        (_CHANNEL, Arg("timestamp", required=True), Arg("full", "flag")),
        ("reactions:read",),
        TIER_3,
    ),
    Method("emoji.list", emoji_list, (Arg("include_categories", "flag"),), ("emoji:read",), TIER_2),
    Method(
        "usergroups.list",
        usergroups_list,
        (Arg("include_count", "flag"), Arg("include_disabled", "flag"), Arg("include_users", "flag"), Arg("team_id")),
        ("usergroups:read",),
        TIER_2,
    ),
)
