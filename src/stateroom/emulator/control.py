"""`/_sim/*`: the control plane, for the page and for tests.

Rules of this file: HTTP in, the workspace asked, JSON out; nothing is decided here. Errors are one shape,
`{"error": code, "detail": text}`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from stateroom.emulator import acts, bots, interact, interact_agents, interact_commands, interact_views, seed, state
from stateroom.emulator.acts import ActRequest, Denied, SayRequest
from stateroom.emulator.bodies import read_limited
from stateroom.emulator.faults import Fault
from stateroom.emulator.interact import Deed
from stateroom.emulator.lines import parts_of
from stateroom.emulator.nesting import shallow
from stateroom.emulator.records import UNREADABLE, Json
from stateroom.emulator.workspace import Workspace
from stateroom.model.errors import WrongUse

BODY_LIMIT = 1 << 20

_Shape = TypeVar("_Shape")


class AppRequest(msgspec.Struct, kw_only=True):
    app_id: str
    manifest: Json | None = None
    event_url: str | None = None
    signing_secret: str | None = None
    bot_token: str | None = None
    app_token: str | None = None
    team: str | None = None
    name: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    rationed: bool | None = None
    install: bool = True


class ResetRequest(msgspec.Struct, kw_only=True):
    everything: bool = False


class Kind(msgspec.Struct):
    kind: str


class AgainRequest(msgspec.Struct, kw_only=True):
    channel: str | None = None
    ts: str | None = None


# Acts that an app must answer: from their kind to what they do.
DEEDS: dict[str, Deed] = {**interact.DEEDS, **interact_commands.DEEDS, **interact_views.DEEDS, **interact_agents.DEEDS}


def reply(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def seen(workspace: Workspace, content: object) -> Response:
    """What was just read of the world, answered once a kill -9 cannot take it back any more."""
    await workspace.settle()
    return reply(content)


def workspace_of(request: Request) -> Workspace:
    workspace: Workspace = request.app.state.workspace
    return workspace


async def body_of(request: Request, shape: type[_Shape]) -> _Shape:
    """The request body as `shape`. Raises Denied (400, 413)."""
    return _decoded(await read_limited(request, BODY_LIMIT), shape)


def _decoded(body: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.json.decode(shallow(body or b"{}"), type=shape)
    except msgspec.ValidationError as error:
        raise Denied(400, "invalid_arguments", str(error)) from None
    except UNREADABLE:
        raise Denied(400, "invalid_json", "the body is not JSON, or nested too deep") from None


async def register_app(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, AppRequest)
    if not asked.app_id.strip():
        raise Denied(400, "invalid_arguments", "app_id is empty")
    if asked.event_url and parts_of(asked.event_url) is None:
        raise Denied(400, "invalid_arguments", "event_url looks like http://127.0.0.1:3000/slack/events")
    team = acts.team_of(workspace.world, asked.team)
    said = seed.spec_from_manifest(asked.app_id, asked.manifest or {})
    spec = seed.AppSpec(
        app_id=asked.app_id,
        name=asked.name or said.name,
        event_url=asked.event_url or said.event_url,
        signing_secret=asked.signing_secret,
        bot_token=asked.bot_token,
        app_token=asked.app_token,
        scopes=said.scopes,
        bot_events=said.bot_events,
        manifest=said.manifest,
        client_id=asked.client_id,
        client_secret=asked.client_secret,
        rationed=asked.rationed,
        install=asked.install,
    )
    app = workspace.register(spec, team)
    await workspace.settle()
    workspace.resend(app.app_id, parked_only=True)
    workspace.feed.publish({"type": "reset"})  # the page shows an app's commands, its bot, how it is reached
    install = app.installs.get(team)
    answer = {"app_id": app.app_id, "name": app.name, "team": team, "event_url": app.event_url}
    keys = {"client_id": app.client_id, "client_secret": app.client_secret}
    bot = {name: getattr(install, name, None) for name in ("bot_user_id", "bot_id", "bot_token")}
    bot["app_token"] = app.app_token
    return reply({"ok": True, **answer, **keys, **bot})


async def add_team(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, seed.TeamSpec)
    if asked.id in workspace.world.teams:
        raise Denied(409, "team_taken", f"team {asked.id[:40]} is there already")
    if not asked.id.startswith("T") or (asked.users is not None and len(asked.users) != 2):
        raise Denied(400, "invalid_arguments", "id starts with T, users are two ids")
    if asked.enterprise_id is not None and not asked.enterprise_id.startswith("E"):
        raise Denied(400, "invalid_arguments", "enterprise_id starts with E")
    made = seed.add_team(workspace.world, asked, workspace.clock())
    workspace.world.tell("reset")
    await workspace.settle()
    return reply({"ok": True, **made})


async def say(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, SayRequest)
    message = acts.say(workspace.world, asked, workspace.clock(), workspace.new_id)
    await workspace.settle()
    return reply({"ok": True, "ts": message.ts, "message": workspace.world.sim_view(message)})


async def messages(request: Request) -> Response:
    workspace, query = workspace_of(request), request.query_params
    team = acts.team_of(workspace.world, query.get("team"))
    if "channel" not in query:
        raise Denied(400, "invalid_arguments", "name a channel")
    room = acts.room_of(workspace.world, team, query["channel"])
    workspace.expire()
    return await seen(workspace, {"messages": state.shown(workspace, room, query.get("thread_ts"))})


async def act(request: Request) -> Response:
    workspace, body = workspace_of(request), await read_limited(request, BODY_LIMIT)
    deed = DEEDS.get(_decoded(body, Kind).kind)
    if deed is not None:
        base_url = f"http://{request.headers['host']}"
        return reply(await deed.do(workspace, _decoded(body, deed.shape), base_url))
    asked = _decoded(body, ActRequest)
    message = acts.act(workspace.world, asked, workspace.clock())
    await workspace.settle()
    return reply({"ok": True, "ts": message.ts})


async def add_fault(request: Request) -> Response:
    workspace, fault = workspace_of(request), await body_of(request, Fault)
    added = msgspec.to_builtins(workspace.faults.add(fault))
    workspace.tell_faults()
    return reply({"ok": True, "fault": added})


async def list_faults(request: Request) -> Response:
    return reply({"faults": workspace_of(request).faults.listed()})


async def clear_faults(request: Request) -> Response:
    workspace, fault_id = workspace_of(request), request.path_params.get("fault_id")
    if not workspace.faults.clear(fault_id):
        raise Denied(404, "fault_not_found", "no such fault; GET /_sim/faults lists them")
    workspace.tell_faults()
    return reply({"ok": True})


async def calls(request: Request) -> Response:
    page = workspace_of(request).calls.page(request.query_params.get("method"))
    return Response(page, media_type="application/json")


async def deliveries(request: Request) -> Response:
    page = workspace_of(request).deliveries.page(request.query_params.get("event_id"))
    return Response(page, media_type="application/json")


async def pending(request: Request) -> Response:
    return reply({"pending": workspace_of(request).on_its_way()})


async def whole_state(request: Request) -> Response:
    workspace = workspace_of(request)
    return await seen(workspace, state.whole(workspace))


async def stats(request: Request) -> Response:
    workspace = workspace_of(request)
    return await seen(workspace, workspace.counts())


async def stream(request: Request) -> Response:
    workspace = workspace_of(request)
    given = request.headers.get("last-event-id") or request.query_params.get("after")
    if given is not None and not given.isdecimal():
        raise Denied(400, "invalid_arguments", "after is a number from /_sim/state or from an earlier event")
    frames = workspace.feed.follow(None if given is None else int(given))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


async def crash(request: Request) -> Response:
    return reply({"ok": True, "pid": bots.crash(workspace_of(request).config.bot_pid_file)})


async def duplicate(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, AgainRequest)
    sent = workspace.deliver_again(asked.channel, asked.ts)
    if sent == 0:
        raise Denied(404, "nothing_delivered", "no app has taken an event of such a message yet")
    await workspace.settle()
    return reply({"ok": True, "deliveries": sent})


async def reset(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, ResetRequest)
    if asked.everything:
        await request.app.state.start_over()
        return reply({"ok": True})
    workspace.forget_everything_said()
    await workspace.settle()
    return reply({"ok": True})


async def list_datastores(request: Request) -> Response:
    workspace = workspace_of(request)
    found = workspace.world.datastores.all()
    shown = [{"app_id": one.app, "datastore": one.definition.name, "items": len(one.ids)} for one in found]
    return await seen(workspace, {"datastores": shown})


async def sweep_datastores(request: Request) -> Response:
    return reply({"ok": True, "swept": await workspace_of(request).sweep()})


def deny(request: Request, error: Exception) -> Response:
    """Denied and WrongUse as HTTP answers."""
    if isinstance(error, Denied):
        return reply({"error": error.code, "detail": error.detail}, error.status)
    assert isinstance(error, WrongUse)
    return reply({"error": "invalid_arguments", "detail": str(error)}, 400)


ROUTES = [
    Route("/_sim/apps", register_app, methods=["POST"]),
    Route("/_sim/teams", add_team, methods=["POST"]),
    Route("/_sim/messages", say, methods=["POST"]),
    Route("/_sim/messages", messages, methods=["GET"]),
    Route("/_sim/actions", act, methods=["POST"]),
    Route("/_sim/faults", add_fault, methods=["POST"]),
    Route("/_sim/faults", list_faults, methods=["GET"]),
    Route("/_sim/faults", clear_faults, methods=["DELETE"]),
    Route("/_sim/faults/{fault_id}", clear_faults, methods=["DELETE"]),
    Route("/_sim/calls", calls, methods=["GET"]),
    Route("/_sim/deliveries", deliveries, methods=["GET"]),
    Route("/_sim/pending", pending, methods=["GET"]),
    Route("/_sim/state", whole_state, methods=["GET"]),
    Route("/_sim/stats", stats, methods=["GET"]),
    Route("/_sim/stream", stream, methods=["GET"]),
    Route("/_sim/crash", crash, methods=["POST"]),
    Route("/_sim/duplicate", duplicate, methods=["POST"]),
    Route("/_sim/datastores", list_datastores, methods=["GET"]),
    Route("/_sim/datastores/sweep", sweep_datastores, methods=["POST"]),
    Route("/_sim/reset", reset, methods=["POST"]),
]
