"""Keeps the live strip current without counting everything again at each message.

Rules of this file: no I/O; `stats.py` counts, this file knows which channels must be counted again.
"""

from __future__ import annotations

from stateroom.emulator import stats
from stateroom.emulator.records import App, Install, Json, Message
from stateroom.emulator.views import turn_mark
from stateroom.emulator.world import Room, World

Place = tuple[str, str]

# The first line of a pane's thread stands there before anybody spoke.
_OPENING = frozenset({"assistant_app_thread"})

# What a person writes; joins, topics and other system lines ask for no answer.
_SPOKEN = frozenset({None, "file_share", "me_message", "thread_broadcast"})


def line(message: Message, room: Room, app: App, install: Install) -> stats.Line:
    """One message as the strip sees it, for one app."""
    mark: Json = turn_mark(message) or {}
    part = mark.get("part")
    return stats.Line(
        ts=message.ts,
        thread=message.thread,
        reply=message.is_reply,
        by_app=message.app_id == app.app_id and message.ephemeral_to is None and message.subtype not in _OPENING,
        by_person=message.bot_id is None and message.subtype in _SPOKEN,
        mention=f"<@{install.bot_user_id}>" in message.text,
        direct=room.channel.is_im,
        acked=app.app_id in message.acked,
        streaming=message.streaming,
        turn=str(mark["turn"]) if "turn" in mark else None,
        part=part if isinstance(part, int) else 0,
        kind=str(mark.get("kind", "answer")),
    )


class Strip:
    """The counts of a whole workspace."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stale: set[Place] = set(world.rooms)
        self._tallies: dict[tuple[str, Place], stats.Tally] = {}

    def touch(self, team: str, channel: str) -> None:
        self._stale.add((team, channel))

    def touch_all(self) -> None:
        self._stale = set(self._world.rooms)
        self._tallies.clear()

    def count(self, now: float, patience: float) -> dict[str, int]:
        """`{acknowledged, answered, lost, doubled}`; `patience` in seconds."""
        for place in self._stale:
            room = self._world.rooms.get(place)
            for app in self._world.apps.values():
                install = app.installs.get(place[0])
                if room is not None and install is not None and install.bot_user_id in room.channel.members:
                    lines = [line(message, room, app, install) for message in room.listed()]
                    self._tallies[app.app_id, place] = stats.tally(lines)
        self._stale.clear()
        return stats.total(self._tallies.values(), now, patience)
