"""`conversations.info`, `.list`, `.members`, `.open`, `.history`, `.replies`.

Rules of this file: reading only (`open` makes a missing direct message). Lists are paged by opaque cursors that name
the last row shown, so rows that come or go between two pages are neither repeated nor lost.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from stateroom.emulator import views
from stateroom.emulator.records import Json, Message
from stateroom.emulator.tiers import TIER_2, TIER_3, TIER_4
from stateroom.emulator.webapi.method import HISTORY_SCOPES, READ_SCOPES, Arg, Call, Method, Refused

# What Slack rations for apps that are sold outside its Marketplace.
RATIONED_METHODS = frozenset({"conversations.history", "conversations.replies"})
RATIONED_ROWS = 15

_KINDS = {"public_channel": False, "im": True}
_ALL_KINDS = frozenset({"public_channel", "private_channel", "mpim", "im"})


def _cursor(mark: str) -> str:
    return urlsafe_b64encode(f"next:{mark}".encode()).decode()


def _mark(call: Call) -> str | None:
    cursor = call.text("cursor")
    if cursor is None:
        return None
    try:
        decoded = urlsafe_b64decode(cursor.encode()).decode()
    except ValueError:
        raise Refused("invalid_cursor") from None
    if not decoded.startswith("next:"):
        raise Refused("invalid_cursor")
    return decoded.removeprefix("next:")


def _limit(call: Call, default: int, most: int) -> int:
    limit: int = call.args.get("limit", default)
    if not 1 <= limit <= most:
        raise Refused("invalid_limit")
    return limit


def _history_limit(call: Call, default: int, most: int) -> int:
    """At most 15 rows where the app's history is rationed."""
    limit = _limit(call, default, most)
    return min(limit, RATIONED_ROWS) if call.app.rationed and call.config.tiers else limit


def _page(name: str, rows: list[Json], marks: list[str], limit: int) -> Json:
    """The first `limit` rows and the cursor after them."""
    more = len(rows) > limit
    return {
        name: rows[:limit],
        "has_more": more,
        "response_metadata": {"next_cursor": _cursor(marks[limit - 1]) if more else ""},
    }


def info(call: Call) -> Json:
    channel = call.room(member=False).channel
    view = views.slack_channel(channel, call.install.bot_user_id, _creator(call))
    if call.args.get("include_num_members") is not True:
        view.pop("num_members", None)
    return {"channel": view}


def _creator(call: Call) -> str:
    people = call.world.people(call.team)
    return people[0].id if people else ""


def list_channels(call: Call) -> Json:
    kinds = set(call.args.get("types", ["public_channel"]))
    if not kinds <= _ALL_KINDS:
        raise Refused("invalid_types")
    wanted = {_KINDS[kind] for kind in kinds if kind in _KINDS}
    after, limit = _mark(call) or "", _limit(call, 100, 1000)
    seen = [
        channel
        for channel in sorted(call.world.channels_of(call.team), key=lambda channel: channel.id)
        if channel.is_im in wanted and channel.id > after and (not channel.is_im or call.is_member(channel))
    ]
    rows = [views.slack_channel(channel, call.install.bot_user_id, _creator(call)) for channel in seen[: limit + 1]]
    page = _page("channels", rows, [channel.id for channel in seen], limit)
    del page["has_more"]
    return page


def members(call: Call) -> Json:
    after, limit = _mark(call) or "", _limit(call, 100, 1000)
    ids = sorted(member for member in call.room(member=False).channel.members if member > after)
    more = len(ids) > limit
    next_cursor = _cursor(ids[limit - 1]) if more else ""
    return {"members": ids[:limit], "response_metadata": {"next_cursor": next_cursor}}


def open_dm(call: Call) -> Json:
    users = call.args.get("users", [])
    if call.text("channel") is not None:
        channel = call.room().channel
    elif len(users) != 1:
        raise Refused("users_list_not_supplied" if not users else "method_not_supported_for_channel_type")
    elif (call.team, users[0]) not in call.world.users:
        raise Refused("user_not_found")
    else:
        known = call.world.dm_between(call.team, users[0], call.install.bot_user_id) is not None
        channel = call.open_dm(users[0])
        if known:
            return {"no_op": True, "already_open": True, "channel": {"id": channel.id}}
    return {"channel": {"id": channel.id}}


def _within(call: Call, messages: list[Message]) -> list[Message]:
    """Those between `oldest` and `latest`; the bounds themselves only with `inclusive`."""
    oldest, latest = call.text("oldest"), call.text("latest")
    low, high = _number(oldest, "invalid_ts_oldest", 0.0), _number(latest, "invalid_ts_latest", float("inf"))
    both = call.args.get("inclusive") is True
    return [
        message for message in messages if low < float(message.ts) < high or (both and float(message.ts) in (low, high))
    ]


def _number(value: str | None, code: str, default: float) -> float:
    if value is None or value == "now":
        return default
    try:
        return float(value)
    except ValueError:
        raise Refused(code) from None


def _visible(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.ephemeral_to is None]


def _views(call: Call, messages: list[Message]) -> list[Json]:
    metadata = call.args.get("include_all_metadata") is True
    return [call.world.slack_view(message, metadata=metadata) for message in messages]


def history(call: Call) -> Json:
    """Newest first; replies only where they were broadcast."""
    room = call.room()
    limit, before = _history_limit(call, 100, 999), _mark(call)
    top = [one for one in _visible(room.listed()) if not one.is_reply or one.subtype == "thread_broadcast"]
    found = [one for one in reversed(_within(call, top)) if before is None or one.ts < before]
    page = _page("messages", _views(call, found[: limit + 1]), [one.ts for one in found], limit)
    return {**page, "pin_count": 0, "channel_actions_ts": None, "channel_actions_count": 0}


def replies(call: Call) -> Json:
    """Oldest first, the message that started the thread always at the head of the first page."""
    room = call.room()
    named = room.messages.get(call.timestamp("ts", "thread_not_found") or "")
    if named is None or named.ephemeral_to is not None:
        raise Refused("thread_not_found")
    limit, after = _history_limit(call, 1000, 1000), _mark(call)
    parent = room.messages.get(named.thread)
    found = _within(call, _visible(room.replies(named.thread)))
    if after is not None:
        found = [one for one in found if one.ts > after]
    elif parent is not None:
        found = [parent, *found]
    return _page("messages", _views(call, found[: limit + 1]), [one.ts for one in found], limit)


_CHANNEL = Arg("channel", required=True)
_PAGING = (Arg("cursor"), Arg("limit", "number"))
_TIMES = (Arg("oldest"), Arg("latest"), Arg("inclusive", "flag"), Arg("include_all_metadata", "flag"))

METHODS = (
    Method(
        "conversations.info",
        info,
        (_CHANNEL, Arg("include_num_members", "flag"), Arg("include_locale", "flag")),
        READ_SCOPES,
        TIER_3,
    ),
    Method(
        "conversations.list",
        list_channels,
        (Arg("types", "ids"), Arg("exclude_archived", "flag"), Arg("team_id"), *_PAGING),
        READ_SCOPES,
        TIER_2,
    ),
    Method("conversations.members", members, (_CHANNEL, *_PAGING), READ_SCOPES, TIER_4),
    Method(
        "conversations.open",
        open_dm,
        (Arg("users", "ids"), Arg("channel"), Arg("return_im", "flag"), Arg("prevent_creation", "flag")),
        ("im:write", "mpim:write", "channels:manage", "groups:write"),
        TIER_3,
    ),
    Method("conversations.history", history, (_CHANNEL, *_PAGING, *_TIMES), HISTORY_SCOPES, TIER_3),
    Method(
        "conversations.replies",
        replies,
        (_CHANNEL, Arg("ts", required=True), *_PAGING, *_TIMES),
        HISTORY_SCOPES,
        TIER_3,
    ),
)
