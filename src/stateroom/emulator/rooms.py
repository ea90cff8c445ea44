"""Who is in which conversation, as people choose it on the page: start one with somebody, join a channel, leave it.

Rules of this file: it checks a request against the world and changes the world; no I/O. A request that cannot be is
`Denied`. The page reads the state again afterwards, so a change here is a `reset` to it.
"""

from __future__ import annotations

import msgspec

from stateroom.emulator import acts, seed
from stateroom.emulator.acts import Denied
from stateroom.emulator.records import Channel
from stateroom.emulator.world import World


class RoomRequest(msgspec.Struct, kw_only=True):
    """`with_user` starts a direct message with that person or bot; a channel is joined or, with `leave`, left."""

    team: str | None = None
    user: str | None = None
    with_user: str | None = None
    channel: str | None = None
    leave: bool = False


def change(world: World, request: RoomRequest, now: float) -> Channel:
    """Carry it out; returns the conversation."""
    team = acts.team_of(world, request.team)
    user = acts.user_of(world, team, request.user).id
    if request.with_user is not None:
        return _direct(world, team, (user, acts.user_of(world, team, request.with_user).id), now)
    channel = acts.room_of(world, team, request.channel or "").channel
    if channel.is_im:
        raise Denied(400, "method_not_supported_for_channel_type", "a direct message is not joined or left")
    if request.leave and user in channel.members:
        channel.members.remove(user)
    elif not request.leave and user not in channel.members:
        channel.members.append(user)
    _keep(world, channel)
    return channel


def _direct(world: World, team: str, sides: tuple[str, str], now: float) -> Channel:
    user, other = sides
    known = world.dm_between(team, user, other)
    if known is not None:
        return known
    number = seed.next_id("D", (channel.id for channel in world.channels_of(team)))
    members = list(dict.fromkeys(sides))
    channel = Channel(id=number, team=team, is_im=True, user=user, members=members, created=int(now))
    world.add_channel(channel)
    world.tell("reset")
    return channel


def _keep(world: World, channel: Channel) -> None:
    world.keep(channel)
    world.tell("reset")
