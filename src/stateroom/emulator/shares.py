"""Sharing a file in a channel and taking it back: the message, the places it is seen in, the events.

Rules of this file: functions over a World, the moment and new ids handed in; what is allowed is the caller's to decide.
"""

from __future__ import annotations

import base64
import binascii

from stateroom.emulator import files, speech
from stateroom.emulator.grants import NewId
from stateroom.emulator.records import File, Json, Message
from stateroom.emulator.world import Addressed, Happening, World


def said(world: World, team: str, user: str, given: Json, fresh: tuple[float, NewId]) -> File:
    """A file that a person names in a message: one uploaded before, or one described there and then.

    `content` is base64 or text; without it the file has the `size` that is given and no bytes.
    """
    now, new_id = fresh
    known = world.files.find(team, str(given.get("id") or ""))
    if known is not None:
        known.complete = True
        return known
    name = str(given.get("name") or "file.txt")
    size = given.get("size")
    file = File(
        id=str(given.get("id") or new_id("F")),
        team=team,
        user=user,
        name=name,
        title=str(given.get("title") or ""),
        mimetype=str(given.get("mimetype") or ""),
        size=size if isinstance(size, int) else 0,
        created=int(now),
        complete=True,
    )
    world.files.add(file)
    if isinstance(given.get("content"), str):
        world.files.put(file, _bytes(given["content"]))
    return file


def _bytes(content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return content.encode()


def note(world: World, shared: list[File], message: Message, now: float) -> None:
    """Write down where files are seen now and tell the apps there. Called when their message stands."""
    room = world.rooms[message.team, message.channel]
    for file in shared:
        first = not file.channels
        if message.channel not in file.channels:
            file.channels.append(message.channel)
        seen = {"ts": message.ts, "channel_name": room.channel.name, "team_id": message.team}
        if message.thread_ts is not None:
            seen["thread_ts"] = message.thread_ts
        file.shares.setdefault(message.channel, []).append(seen)
        world.files.changed(file)
        for kind in ("file_created", "file_shared") if first else ("file_shared",):
            _tell(world, kind, file, message.channel, room.next_ts(now))
        world.tell("file", team=file.team, channel=message.channel, action="shared", file=files.view(file))


def created(world: World, file: File, app_id: str, now: float) -> None:
    """A file that is in no channel is known to its own app alone."""
    app = world.apps[app_id]
    install = app.installs.get(file.team)
    if install is not None:
        event = _event("file_created", file, None, f"{now:.6f}")
        world.address(Addressed(app_id, install, event, ts=event["event_ts"]))


def delete(world: World, file: File, now: float) -> None:
    """Its bytes go; messages keep a tombstone in its place."""
    for channel in file.channels:
        room = world.rooms[file.team, channel]
        for seen in file.shares.get(channel, []):
            message = room.messages.get(seen["ts"])
            if message is not None and any(one["id"] == file.id for one in message.files):
                previous = world.slack_view(message)
                message.files = [
                    {"id": file.id, "mode": "tombstone"} if one["id"] == file.id else one for one in message.files
                ]
                speech.changed(world, message, previous, now)
        _tell(world, "file_deleted", file, channel, room.next_ts(now))
        world.tell("file", team=file.team, channel=channel, action="deleted", file={"id": file.id})
    world.files.remove(file)


def _event(kind: str, file: File, channel: str | None, at: str) -> Json:
    event: Json = {"type": kind, "file_id": file.id, "event_ts": at}
    if kind == "file_deleted":
        return event | {"channel_ids": [channel]}
    event |= {"user_id": file.user, "file": {"id": file.id}}
    return event if kind == "file_created" else event | {"channel_id": channel}


def _tell(world: World, kind: str, file: File, channel: str, at: str) -> None:
    world.happen(Happening("file", file.team, channel, at, at, _event(kind, file, channel, at), user=file.user))
