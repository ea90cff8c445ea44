"""How a message looks from outside: to a Slack client, and to the page and the tests.

Rules of this file: pure; a view is a fresh dict that may be kept and sent later. Slack shows metadata only to those
who ask for it (`include_all_metadata`), the control plane always.
"""

from __future__ import annotations

from stateroom.emulator.records import Channel, Json, Message, User

TURN_EVENT_TYPE = "stateroom_turn"
TOMBSTONE_TEXT = "This message was deleted."


def _reactions(message: Message) -> list[Json]:
    return [{"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()]


def _thread_fields(message: Message, parent: Message | None, replies: list[Message]) -> Json:
    if message.is_reply:
        fields: Json = {"thread_ts": message.thread_ts}
        if parent is not None:
            fields["parent_user_id"] = parent.user
        return fields
    if not replies:
        return {"thread_ts": message.thread_ts} if message.thread_ts else {}
    users = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "reply_users": users[:5],
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        "subscribed": False,
    }


def _author(message: Message) -> Json:
    if message.bot_id is None:
        return {"user": message.user}
    profile = {"id": message.bot_id, "app_id": message.app_id, "team_id": message.team, "deleted": False}
    return {"user": message.user, "bot_id": message.bot_id, "app_id": message.app_id, "bot_profile": profile}


def slack_message(
    message: Message, parent: Message | None = None, replies: list[Message] | None = None, *, metadata: bool = False
) -> Json:
    """As `conversations.*` and the events show it. `replies` are those of the thread that it starts."""
    view: Json = {"type": "message", "ts": message.ts, "text": message.text, "team": message.team, **_author(message)}
    view.update(_thread_fields(message, parent, replies or []))
    for name in ("subtype", "client_msg_id", "username", "blocks", "attachments", "files", "edited"):
        value = getattr(message, name)
        if value:
            view[name] = value
    if message.bot_id is not None and message.text and not message.blocks and not message.deleted:
        view["blocks"] = rich_text(message)
    if message.reactions:
        view["reactions"] = _reactions(message)
    if metadata and message.metadata is not None:
        view["metadata"] = message.metadata
    return view


def rich_text(message: Message) -> list[Json]:
    """The blocks that Slack makes of an app's text when it brings none; clients read them back (Bolt's assistant)."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": message.text}]}
    return [{"type": "rich_text", "block_id": message.ts.replace(".", ""), "elements": [section]}]


def turn_mark(message: Message) -> Json | None:
    """The payload of our bot's own metadata (`turn`, `part`, `kind`), None for any other message."""
    if message.metadata is None or message.metadata.get("event_type") != TURN_EVENT_TYPE:
        return None
    payload = message.metadata.get("event_payload")
    return payload if isinstance(payload, dict) else None


def sim_message(message: Message, reply_count: int = 0) -> Json:
    """As the control plane shows it (`GET /_sim/messages`, `/_sim/state`, the stream)."""
    view: Json = {
        "ts": message.ts,
        "team": message.team,
        "channel": message.channel,
        "user": message.user,
        "text": message.text,
        "streaming": message.streaming,
        "reply_count": reply_count,
    }
    for name in (
        *("thread_ts", "bot_id", "app_id", "username", "subtype", "client_msg_id", "ephemeral_to", "blocks"),
        *("attachments", "files", "chunks", "metadata", "edited", "deleted", "stopped"),
    ):
        value = getattr(message, name)
        if value:
            view[name] = value
    if message.reactions:
        view["reactions"] = _reactions(message)
    if message.touched:
        view["streamed"] = True
    mark = turn_mark(message)
    if mark is not None and mark.get("kind") == "notice":
        view["is_notice"] = True
    return view


def slack_channel(channel: Channel, asking_user: str, creator: str) -> Json:
    """As `conversations.info` and `.list` show it to one bot user."""
    common: Json = {"id": channel.id, "created": channel.created, "is_archived": False, "is_org_shared": False}
    if channel.is_im:
        return {**common, "is_im": True, "user": channel.user, "is_open": True, "priority": 0}
    return {
        **common,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": True,
        "is_group": False,
        "is_im": False,
        "is_mpim": False,
        "is_private": False,
        "is_general": channel.name == "general",
        "is_shared": False,
        "is_ext_shared": False,
        "is_member": asking_user in channel.members,
        "creator": creator,
        "context_team_id": channel.team,
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": channel.purpose, "creator": "", "last_set": 0},
        "previous_names": [],
        "num_members": len(channel.members),
    }


def slack_user(user: User) -> Json:
    """As `users.info` shows it."""
    shown = user.real_name or user.name
    profile: Json = {"real_name": shown, "display_name": user.name, "team": user.team}
    if user.is_bot:
        profile |= {"bot_id": user.bot_id, "api_app_id": user.app_id}
    return {
        "id": user.id,
        "team_id": user.team,
        "name": user.name,
        "real_name": shown,
        "deleted": user.deleted,
        "color": user.color,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "is_admin": False,
        "is_owner": False,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": 0,
        "profile": profile,
    }


def sim_user(user: User) -> Json:
    view: Json = {
        "id": user.id,
        "team": user.team,
        "name": user.name,
        "real_name": user.real_name or user.name,
        "is_bot": user.is_bot,
        "color": user.color,
    }
    if user.app_id is not None:
        view["app_id"] = user.app_id
    if user.deleted:
        view["deleted"] = True
    return view


def sim_channel(channel: Channel, me: str) -> Json:
    view: Json = {
        "id": channel.id,
        "team": channel.team,
        "name": channel.name,
        "is_im": channel.is_im,
        "is_member": me in channel.members,
        "topic": channel.topic,
        "members": list(channel.members),
    }
    if channel.user is not None:
        view["user"] = channel.user
    return view
