"""`reactions.add` and `reactions.remove`.

Rules of this file: a reaction belongs to one user, here the bot; names have no colons.
"""

from __future__ import annotations

import re

from stateroom.emulator import speech
from stateroom.emulator.records import Json, Message
from stateroom.emulator.tiers import TIER_2, TIER_3
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused

_NAME = re.compile(r"[a-z0-9_+'\-]+(::skin-tone-[2-6])?")


def _target(call: Call) -> tuple[Message, str]:
    name = (call.text("name") or "").strip(":")
    if _NAME.fullmatch(name) is None:
        raise Refused("invalid_name")
    if call.timestamp("timestamp", "bad_timestamp") is None:
        raise Refused("no_item_specified")
    return call.message(call.room(), "timestamp"), name


def add(call: Call) -> Json:
    message, name = _target(call)
    if not speech.react(call.world, message, name, call.install.bot_user_id, call.now):
        raise Refused("already_reacted")
    return {}


def remove(call: Call) -> Json:
    message, name = _target(call)
    if not speech.unreact(call.world, message, name, call.install.bot_user_id, call.now):
        raise Refused("no_reaction")
    return {}


_ARGS = (Arg("channel", required=True), Arg("timestamp", required=True), Arg("name", required=True))

METHODS = (
    Method("reactions.add", add, _ARGS, ("reactions:write",), TIER_3),
    Method("reactions.remove", remove, _ARGS, ("reactions:write",), TIER_2),
)
