"""`files.getUploadURLExternal`, `.completeUploadExternal`, `.info`, `.list`, `.delete`.

Rules of this file: arguments in, world changed, Slack's answer or error out. Bytes come and go in `transfer.py`. A file
is complete, and its message stands, when `completeUploadExternal` answers; Slack does that a moment later.
"""

from __future__ import annotations

from math import ceil

from stateroom.emulator import files, shares, speech
from stateroom.emulator.records import File, Json, Message
from stateroom.emulator.tiers import TIER_3, TIER_4
from stateroom.emulator.webapi.content import checked_blocks
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused, invalid_arguments
from stateroom.emulator.world import Room

PAGE_ROWS = 100


def get_upload_url(call: Call) -> Json:
    length: int = call.args["length"]
    if length < 1:
        raise invalid_arguments("length is the number of bytes, from 1")
    if length > files.FILE_LIMIT:
        raise Refused("file_upload_size_restricted")
    if not call.world.files.fits(length):
        raise Refused("storage_limit_reached")
    file = File(
        id=call.new_id("F"),
        team=call.team,
        user=call.install.bot_user_id,
        app_id=call.app.app_id,
        name=call.args["filename"],
        alt_txt=call.text("alt_txt") or "",
        size=length,
        created=int(call.now),
        ticket=f"{call.new_id('U')}{call.new_id('')}",
    )
    call.world.files.add(file)
    return {"upload_url": f"{call.base_url}/upload/v1/{call.team}-{file.id}/{file.ticket}", "file_id": file.id}


def complete_upload(call: Call) -> Json:
    given = call.args["files"]
    chosen = [_uploaded(call, one.get("id")) for one in given]
    if not chosen:
        raise invalid_arguments("files takes at least one object with id")
    if len({file.id for file in chosen}) < len(chosen):
        raise invalid_arguments("files names one file twice")
    rooms = _rooms(call)
    thread_ts = call.timestamp("thread_ts", "invalid_thread_ts")
    blocks = checked_blocks(call.items("blocks"))
    for file, one in zip(chosen, given, strict=True):
        file.title, file.complete = str(one.get("title") or file.name), True
        call.world.files.changed(file)
    for room in rooms:
        message = Message(
            team=call.team,
            channel=room.channel.id,
            ts=room.next_ts(call.now),
            thread_ts=speech.thread_root(room, thread_ts),
            user=call.install.bot_user_id,
            bot_id=call.install.bot_id,
            app_id=call.app.app_id,
            text=call.text("initial_comment") or "",
            blocks=blocks,
            subtype="file_share",
            files=[files.view(file) for file in chosen],
        )
        speech.post(call.world, message)
        shares.note(call.world, chosen, message, call.now)
    if not rooms:
        for file in chosen:
            shares.created(call.world, file, call.app.app_id, call.now)
    return {"files": [files.full_view(file, call.world.base_url) for file in chosen]}


def _uploaded(call: Call, file_id: object) -> File:
    """A file of this app whose bytes are here and that is not complete yet."""
    file = call.world.files.find(call.team, str(file_id or ""))
    if file is None or file.app_id != call.app.app_id or file.complete or not file.uploaded:
        raise Refused("file_not_found")
    return file


def _rooms(call: Call) -> list[Room]:
    named = [call.text("channel_id") or "", *(call.args.get("channels") or [])]
    rooms = []
    for name in dict.fromkeys(one for one in named if one):
        room = call.world.rooms.get((call.team, name))
        if room is None:
            raise Refused("channel_not_found")
        if not call.is_member(room.channel):
            raise Refused("not_in_channel")
        rooms.append(room)
    return rooms


def _seen(call: Call, name: str = "file") -> File:
    """A file that the caller may see: its own, or one of a channel that it is in."""
    file = call.world.files.find(call.team, call.text(name) or "")
    if file is None or not file.complete or not visible(call, file):
        raise Refused("file_not_found")
    return file


def visible(call: Call, file: File) -> bool:
    if file.user == call.install.bot_user_id:
        return True
    rooms = (call.world.rooms.get((call.team, channel)) for channel in file.channels)
    return any(room is not None and call.is_member(room.channel) for room in rooms)


def info(call: Call) -> Json:
    file = _seen(call)
    return {
        "file": files.full_view(file, call.world.base_url),
        "comments": [],
        "response_metadata": {"next_cursor": ""},
    }


def list_files(call: Call) -> Json:
    count, page = call.args.get("count", PAGE_ROWS), call.args.get("page", 1)
    if count < 1 or page < 1:
        raise invalid_arguments("count and page are whole numbers from 1")
    found = [file for file in call.world.files.listed(call.team) if visible(call, file) and _matches(call, file)]
    shown = found[(page - 1) * count : page * count]
    return {
        "files": [files.full_view(file, call.world.base_url) for file in shown],
        "paging": {"count": count, "total": len(found), "page": page, "pages": ceil(len(found) / count)},
    }


def _matches(call: Call, file: File) -> bool:
    since, until = _second(call, "ts_from", 0.0), _second(call, "ts_to", float("inf"))
    return (
        call.text("channel") in (None, *file.channels)
        and call.text("user") in (None, file.user)
        and since <= file.created <= until
    )


def _second(call: Call, name: str, default: float) -> float:
    value = call.text(name)
    if value is None or value == "now":
        return default
    try:
        return float(value)
    except ValueError:
        raise invalid_arguments(f"must be a number: {name}") from None


def delete(call: Call) -> Json:
    file = _seen(call)
    if file.user != call.install.bot_user_id:
        raise Refused("cant_delete_file")
    shares.delete(call.world, file, call.now)
    return {}


_FILE = Arg("file", required=True)
_READ, _WRITE = ("files:read",), ("files:write",)
_COMPLETE = (
    *(Arg("files", "items", required=True), Arg("channel_id"), Arg("channels", "ids"), Arg("thread_ts")),
    *(Arg("initial_comment"), Arg("blocks", "list")),
)
_LIST = (
    *(Arg("channel"), Arg("user"), Arg("ts_from"), Arg("ts_to"), Arg("types"), Arg("team_id")),
    *(Arg("count", "number"), Arg("page", "number")),
)

METHODS = (
    Method(
        "files.getUploadURLExternal",
        get_upload_url,
        (Arg("filename", required=True), Arg("length", "number", required=True), Arg("alt_txt"), Arg("snippet_type")),
        _WRITE,
        TIER_4,
    ),
    Method("files.completeUploadExternal", complete_upload, _COMPLETE, _WRITE, TIER_4),
    Method("files.info", info, (_FILE,), _READ, TIER_4),
    Method("files.list", list_files, _LIST, _READ, TIER_3),
    Method("files.delete", delete, (_FILE,), _WRITE, TIER_3),
)
