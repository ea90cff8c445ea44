"""Messages that apps have scheduled, until their moment comes.

Rules of this file: functions over a World, the moment handed in. Each is kept, so a restart posts what
fell due meanwhile.
"""

from __future__ import annotations

import msgspec

from stateroom.emulator import speech
from stateroom.emulator.records import Message, Scheduled
from stateroom.emulator.world import World


def add(world: World, made: Scheduled) -> None:
    world.scheduled[made.id] = made
    world.keep(made)


def drop(world: World, made: Scheduled) -> None:
    del world.scheduled[made.id]
    world.forget(made.key)


def post_due(world: World, now: float) -> None:
    """Post what is due, in order; what can no longer be posted (no channel, no app) goes."""
    due = [one for one in world.scheduled.values() if one.post_at <= now]
    for made in sorted(due, key=lambda one: (one.post_at, one.id)):
        drop(world, made)
        room, app = world.rooms.get((made.team, made.channel)), world.apps.get(made.app_id)
        if room is not None and app is not None and made.team in app.installs:
            message = msgspec.convert(made.message, Message)
            message.ts = room.next_ts(now)
            speech.post(world, message)
