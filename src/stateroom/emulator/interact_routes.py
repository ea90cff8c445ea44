"""The doors of interaction: sockets, response URLs, and what the control plane tells and does about them.

Rules of this file: HTTP and WebSocket in and out; nothing is decided here.
"""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from stateroom.emulator import acts, responses, surfaces
from stateroom.emulator.acts import Denied
from stateroom.emulator.bodies import read_limited
from stateroom.emulator.control import body_of, seen
from stateroom.emulator.records import Json
from stateroom.emulator.sockets import REASONS
from stateroom.emulator.workspace import Workspace

BODY_LIMIT = 1 << 20
_MARK, _CHANNEL = re.compile(r"p[0-9]{16}"), re.compile(r"[A-Z0-9]{2,20}")


class SocketRequest(msgspec.Struct, kw_only=True):
    """`do`: `cut` (the network breaks), or a reason to be told."""

    app_id: str
    do: str


def _workspace(request: Request | WebSocket) -> Workspace:
    workspace: Workspace = request.app.state.workspace
    return workspace


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def link(socket: WebSocket) -> None:
    """`/link/?ticket=…`: one socket of an app. A ticket that is not good is refused before the handshake (403)."""
    workspace = _workspace(socket)
    app_id = workspace.world.hooks.take_ticket(socket.query_params.get("ticket", ""), workspace.clock())
    if app_id is None or app_id not in workspace.world.apps:
        await socket.close()
        return
    await workspace.hub.serve(socket, app_id, debug=socket.query_params.get("debug_reconnects") == "true")


async def respond(request: Request) -> Response:
    """`POST /response/<id>`: 404 with `used_url` or `expired_url` when it is over."""
    workspace = _workspace(request)
    body = await read_limited(request, BODY_LIMIT)  # first: others may use it up while this body comes
    hook, now = workspace.world.hooks.response(request.path_params["hook_id"]), workspace.clock()
    if hook is None or now > hook.until:
        return _refused("expired_url")
    if hook.left < 1:
        return _refused("used_url")
    try:
        said = responses.read(body, is_json=True)
        if said is None:
            return _refused("no_text", 400)
        responses.carry_out(workspace.world, hook, said, now)
    except responses.Unusable as problem:
        return _refused(problem.code, 400)
    workspace.world.hooks.use_response(hook)
    await workspace.settle()
    return _json({"ok": True})


def _refused(code: str, status: int = 404) -> Response:
    return _json({"ok": False, "error": code}, status)


async def interactions(request: Request) -> Response:
    page = _workspace(request).interactions.page(request.query_params.get("kind"))
    return Response(page, media_type="application/json")


async def list_views(request: Request) -> Response:
    """A person's stack of modals, the one on top last, and the Home tabs published for them."""
    workspace, query = _workspace(request), request.query_params
    team = acts.team_of(workspace.world, query.get("team"))
    user, known = acts.user_of(workspace.world, team, query.get("user")).id, workspace.world.surfaces
    found = {"views": known.stack(team, user), "homes": known.homes(team, user)}
    return await seen(workspace, {name: [surfaces.shown(view) for view in views] for name, views in found.items()})


async def list_sockets(request: Request) -> Response:
    return _json({"sockets": _workspace(request).hub.listed()})


async def disturb_sockets(request: Request) -> Response:
    """An app's sockets are cut, or told to reconnect."""
    workspace = _workspace(request)
    asked = await body_of(request, SocketRequest)
    if asked.app_id not in workspace.world.apps:
        raise Denied(404, "app_not_found", "no such app; GET /_sim/state lists them")
    if asked.do not in ("cut", *REASONS):
        raise Denied(400, "invalid_arguments", f"do is cut, {', '.join(REASONS)}")
    hub = workspace.hub
    told = await (hub.cut(asked.app_id) if asked.do == "cut" else hub.disconnect(asked.app_id, asked.do))
    answer: Json = {"ok": True, "sockets": told}
    return _json(answer)


async def permalink(request: Request) -> Response:
    """A message's own address, as `chat.getPermalink` gives it: the page, at that message."""
    channel, mark = request.path_params["channel"], request.path_params["mark"]
    if _MARK.fullmatch(mark) is None or _CHANNEL.fullmatch(channel) is None:
        raise Denied(404, "not_found", "a message's address is /archives/<channel>/p<ts without its dot>")
    return RedirectResponse(f"/#{channel}/{mark[1:11]}.{mark[11:]}", 302)


ROUTES = [
    Route("/archives/{channel}/{mark}", permalink, methods=["GET"]),
    Route("/response/{hook_id}", respond, methods=["POST"]),
    Route("/_sim/interactions", interactions, methods=["GET"]),
    Route("/_sim/views", list_views, methods=["GET"]),
    Route("/_sim/sockets", list_sockets, methods=["GET"]),
    Route("/_sim/sockets", disturb_sockets, methods=["POST"]),
]
SOCKET_ROUTES = [WebSocketRoute("/link/", link)]
