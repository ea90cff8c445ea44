"""`apps.connections.open`.

Rules of this file: an app-level token and no other; the address it gives is good for one socket, within 30 s.
"""

from __future__ import annotations

from stateroom.emulator.records import Json
from stateroom.emulator.tiers import TIER_1
from stateroom.emulator.webapi.method import APP, Call, Method


def open_connection(call: Call) -> Json:
    ticket = call.new_id("K").lower()
    call.world.hooks.issue_ticket(call.app.app_id, ticket, call.now)
    host = call.base_url.partition("://")[2]
    return {"url": f"ws://{host}/link/?ticket={ticket}&app_id={call.app.app_id}"}


METHODS = (Method("apps.connections.open", open_connection, tier=TIER_1, tokens=(APP,), by_post=True),)
