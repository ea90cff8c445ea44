"""What only the page asks of the control plane: conversations, and the body of an event.

Rules of this file: HTTP in, the workspace asked, JSON out; nothing is decided here.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stateroom.emulator import control, rooms
from stateroom.emulator.acts import Denied
from stateroom.emulator.rooms import RoomRequest


async def change_room(request: Request) -> Response:
    """`POST /_sim/conversations`: start a direct message, join or leave a channel."""
    workspace, asked = control.workspace_of(request), await control.body_of(request, RoomRequest)
    channel = rooms.change(workspace.world, asked, workspace.clock())
    await workspace.settle()
    return control.reply({"ok": True, "channel": {"id": channel.id}})


async def event_body(request: Request) -> Response:
    """`GET /_sim/events/<id>`: the envelope of one of the last events."""
    body = control.workspace_of(request).sent.body(request.path_params["event_id"])
    if body is None:
        raise Denied(404, "event_not_found", "the local Slack keeps the bodies of the last 500 events only")
    return Response(b'{"envelope":%b}' % body, media_type="application/json")


ROUTES = [
    Route("/_sim/conversations", change_room, methods=["POST"]),
    Route("/_sim/events/{event_id}", event_body, methods=["GET"]),
]
