"""The Events API as values: which events a happening means to an app, their envelope, their signature, their retries.

Rules of this file: pure; no clock, no socket. Facts: docs.slack.dev/apis/events-api (envelope, 3 s, three retries at
once, after 1 and 5 minutes, `x-slack-retry-*`, `x-slack-no-retry`) and docs.slack.dev/authentication/
verifying-requests-from-slack (v0 signature). A message that mentions the app is two events with two ids.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator

from stateroom.emulator.records import App, Channel, Install, Json, Pending
from stateroom.emulator.world import Addressed, Happening, World

VERIFICATION_TOKEN = "local-verification-token"
RETRY_SECONDS = (0.0, 60.0, 300.0)

# An app is mentioned by what a person writes, never by a join notice or another system line.
_MENTION_SUBTYPES = frozenset({None, "file_share", "me_message", "thread_broadcast", "bot_message"})


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Slack's `X-Slack-Signature` for a body sent at `timestamp` (Unix s)."""
    base = b"v0:%d:%b" % (timestamp, body)
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


def retry_after(sent: int) -> float | None:
    """Seconds until the next attempt after `sent` of them failed; None: Slack gives up. Unscaled."""
    return RETRY_SECONDS[sent - 1] if sent <= len(RETRY_SECONDS) else None


def _said(event: Happening, channel: Channel, install: Install) -> Iterator[Json]:
    place = {"channel": channel.id, "event_ts": event.at}
    view = {**event.message, **place}
    yield {**view, "channel_type": channel.kind}
    mention = f"<@{install.bot_user_id}>" in view["text"] or f"<@{install.bot_user_id}|" in view["text"]
    # Slack sends no app_mention in a direct message with the app, and none about the app's own words.
    written = view["user"] != install.bot_user_id and view.get("subtype") in _MENTION_SUBTYPES
    if mention and written and not channel.is_im:
        kept = {name: value for name, value in view.items() if name not in ("files", "subtype")}
        yield {**kept, "type": "app_mention"}


def _changed(event: Happening, channel: Channel, install: Install) -> Iterator[Json]:
    yield {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": event.message,
        "previous_message": event.previous,
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": event.at,
        "event_ts": event.at,
    }


def _deleted(event: Happening, channel: Channel, install: Install) -> Iterator[Json]:
    yield {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "deleted_ts": event.ts,
        "previous_message": event.previous,
        "channel": channel.id,
        "channel_type": channel.kind,
        "ts": event.at,
        "event_ts": event.at,
    }


def _reaction(event: Happening, channel: Channel, install: Install) -> Iterator[Json]:
    yield {
        "type": event.kind,
        "user": event.user,
        "reaction": event.reaction,
        "item": {"type": "message", "channel": channel.id, "ts": event.ts},
        "item_user": event.message["user"],
        "event_ts": event.at,
    }


def _file(event: Happening, channel: Channel, install: Install) -> Iterator[Json]:
    yield event.message


_INNER: dict[str, Callable[[Happening, Channel, Install], Iterator[Json]]] = {
    "said": _said,
    "changed": _changed,
    "deleted": _deleted,
    "reaction_added": _reaction,
    "reaction_removed": _reaction,
    "file": _file,
}


def subscribed(app: App, event: Json) -> bool:
    """Whether the app's manifest asks for this event; without a manifest every event is sent."""
    if app.bot_events is None:
        return True
    if event["type"] != "message":
        return event["type"] in app.bot_events
    names = {"im": "message.im", "channel": "message.channels"}
    return names[event["channel_type"]] in app.bot_events


def envelope(app: App, install: Install, event: Json, event_id: str, event_time: int) -> Json:
    """The outer shape of an event."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": install.team,
        **({} if install.enterprise is None else {"enterprise_id": install.enterprise}),
        "context_team_id": install.team,
        "context_enterprise_id": install.enterprise,
        "api_app_id": app.app_id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": event_time,
        "authorizations": [
            {
                "enterprise_id": install.enterprise,
                "team_id": None if install.org_wide else install.team,
                "user_id": install.bot_user_id,
                "is_bot": bool(install.bot_id),
                "is_enterprise_install": install.org_wide,
            }
        ],
        **({"is_enterprise_install": True} if install.org_wide else {}),
        "is_ext_shared_channel": False,
        "event_context": f"4-{install.team}-{app.app_id}-{event_id}",
    }


def for_apps(world: World, happening: Happening, new_id: Callable[[str], str], now: float) -> list[Pending]:
    """The events that a happening sends, to each app whose bot is in that channel and that listens."""
    channel = world.rooms[happening.team, happening.channel].channel
    pending = []
    for app in world.apps.values():
        install = app.installs.get(happening.team)
        if install is None or not app.listens or install.bot_user_id not in channel.members:
            continue
        for event in _INNER[happening.kind](happening, channel, install):
            if subscribed(app, event):
                outer = envelope(app, install, event, new_id("Ev"), int(now))
                place = (happening.team, happening.channel, happening.ts)
                pending.append(_pending(app, place, outer, now))
    return pending


def for_one(world: World, addressed: Addressed, new_id: Callable[[str], str], now: float) -> list[Pending]:
    """The event that one app is sent by name, if it listens and asked for it."""
    app = world.apps.get(addressed.app_id)
    if app is None or not app.listens or not subscribed(app, addressed.event):
        return []
    outer = envelope(app, addressed.install, addressed.event, addressed.event_id or new_id("Ev"), int(now))
    place = (addressed.install.team, addressed.channel, addressed.ts)
    return [_pending(app, place, outer, now + addressed.delay)]


def _pending(app: App, place: tuple[str, str, str], outer: Json, now: float) -> Pending:
    team, channel, ts = place
    return Pending(
        event_id=outer["event_id"],
        app_id=app.app_id,
        team=team,
        type=outer["event"]["type"],
        subtype=outer["event"].get("subtype"),
        channel=channel,
        ts=ts,
        body=json.dumps(outer, ensure_ascii=False, separators=(",", ":")),
        due=now,
    )


def headers(secret: str, body: bytes, timestamp: int, retry_num: int, reason: str | None) -> dict[str, str]:
    """What Slack sends along with an event; `retry_num` is 0 on the first attempt."""
    sent = {
        "Content-Type": "application/json",
        "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        "X-Slack-Request-Timestamp": str(timestamp),
        "X-Slack-Signature": sign(secret, timestamp, body),
    }
    if retry_num > 0:
        sent["X-Slack-Retry-Num"] = str(retry_num)
        sent["X-Slack-Retry-Reason"] = reason or "unknown_error"
    return sent
