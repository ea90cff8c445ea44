"""Telling one app of something a person did in its own surfaces, and waiting for its first answer.

Rules of this file: the event goes the way of every event (recorded, retried, parked); only the first attempt is waited
for, so that who acted sees at once whether the app is there.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from stateroom.emulator import asking, events
from stateroom.emulator.lines import Outcome
from stateroom.emulator.records import Json
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Addressed

_SLACK_SECONDS = 0.5  # beyond the time that an app has: to record the attempt


async def tell_one(workspace: Workspace, addressed: Addressed) -> Json:
    """Send an event to one app: `{"ok", "delivered", "error"?, "detail"?}` of the first attempt.

    An app that did not ask for the event is not told, and nothing is wrong: `delivered` is None with `not_subscribed`.
    """
    app = workspace.world.apps[addressed.app_id]
    if not events.subscribed(app, addressed.event):
        await workspace.settle()
        detail = f"add {addressed.event['type']} to settings.event_subscriptions.bot_events to hear of it"
        return {"ok": True, "delivered": None, "note": "not_subscribed", "detail": detail}
    event_id = workspace.new_id("Ev")
    attempt: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    workspace.awaited[event_id] = attempt
    workspace.world.address(replace(addressed, event_id=event_id))
    reachable = workspace.lines.open_to(app)
    await workspace.settle()
    try:
        if not reachable:
            return asking.verdict(asking.NO_LINE)
        async with asyncio.timeout(workspace.config.ack_seconds + _SLACK_SECONDS):
            return asking.verdict(await attempt)
    except TimeoutError:
        return asking.verdict(Outcome(None, "timeout"))
    finally:
        workspace.awaited.pop(event_id, None)
