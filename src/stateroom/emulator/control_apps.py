"""`/_sim/apps/{app_id}/…`: an app is installed, removed, revoked, or made to need new tokens, without its own doing.

Rules of this file: HTTP in, the world asked, JSON out, as `control.py`.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stateroom.emulator import acts, grants, installs
from stateroom.emulator.acts import Denied
from stateroom.emulator.control import body_of, reply, workspace_of
from stateroom.emulator.manifests import part, rotates
from stateroom.emulator.records import App
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import World


class InstallRequest(msgspec.Struct, kw_only=True):
    """`enterprise` with `org_wide` installs in all teams of an organisation; scopes default to the manifest's."""

    team: str | None = None
    user: str | None = None
    enterprise: str | None = None
    org_wide: bool = False
    scopes: list[str] | None = None
    user_scopes: list[str] | None = None


class RemoveRequest(msgspec.Struct, kw_only=True):
    """`order`: which of the two events comes first."""

    team: str | None = None
    enterprise: str | None = None
    order: str = installs.ORDERS[0]


class RevokeRequest(msgspec.Struct, kw_only=True):
    """`kind` bot or user; `user` narrows it to one person."""

    kind: str
    team: str | None = None
    enterprise: str | None = None
    user: str | None = None


class ExpireRequest(msgspec.Struct, kw_only=True):
    """The app's expiring tokens end `seconds` from now."""

    team: str | None = None
    enterprise: str | None = None
    seconds: float = 0.0


def app_of(world: World, app_id: str) -> App:
    app = world.apps.get(app_id)
    if app is None:
        raise Denied(404, "app_not_found", f"no app {app_id[:40]}; GET /_sim/state lists them")
    return app


def place_of(world: World, team: str | None, enterprise: str | None) -> str:
    """A team's id, or an enterprise's where that is named."""
    if enterprise is None:
        return acts.team_of(world, team)
    if enterprise not in world.enterprises:
        raise Denied(404, "enterprise_not_found", "POST /_sim/teams with an enterprise_id makes one")
    return enterprise


def lifetime_of(workspace: Workspace, app: App) -> float | None:
    return workspace.config.scaled(grants.LIFETIME_SECONDS) if rotates(app.manifest) else None


async def install(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, InstallRequest)
    world = workspace.world
    app = app_of(world, request.path_params["app_id"])
    place = place_of(world, asked.team, asked.enterprise if asked.org_wide else None)
    user = acts.user_of(world, installs.teams_of(world, place)[0], asked.user)
    if not grants.are_scopes([*(asked.scopes or ()), *(asked.user_scopes or ())]):
        raise Denied(400, "invalid_arguments", "scopes and user_scopes are names of scopes, such as chat:write")
    manifest_scopes = part(app.manifest or {}, ("oauth_config", "scopes", "user")) or []
    wanted = installs.Wanted(
        app=app,
        place=place,
        user=user.id,
        scopes=asked.scopes if asked.scopes is not None else app.scopes or ["chat:write"],
        user_scopes=asked.user_scopes if asked.user_scopes is not None else manifest_scopes,
        lifetime=lifetime_of(workspace, app),
    )
    answer = installs.install(world, wanted, workspace.clock(), workspace.new_id)
    await workspace.settle()
    return reply({"ok": True, **answer})


async def uninstall(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, RemoveRequest)
    app, place = _installed(workspace, request, asked.team, asked.enterprise)
    if asked.order not in installs.ORDERS:
        raise Denied(400, "invalid_arguments", f"order is {' or '.join(installs.ORDERS)}")
    gone = installs.uninstall(workspace.world, app, place, workspace.clock(), asked.order)
    await workspace.settle()
    return reply({"ok": True, "tokens": len(gone)})


async def revoke(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, RevokeRequest)
    app, place = _installed(workspace, request, asked.team, asked.enterprise)
    if asked.kind not in ("bot", "user"):
        raise Denied(400, "invalid_arguments", "kind is bot or user")
    now = workspace.clock()
    tokens = installs.held(workspace.world, app, place, now, kind=asked.kind, user=asked.user)
    if not tokens:
        raise Denied(404, "token_not_found", f"the app has no live {asked.kind} token there")
    installs.revoke(workspace.world, app, place, tokens, now)
    await workspace.settle()
    return reply({"ok": True, "tokens": len(tokens)})


async def expire(request: Request) -> Response:
    workspace, asked = workspace_of(request), await body_of(request, ExpireRequest)
    app = app_of(workspace.world, request.path_params["app_id"])
    place = asked.enterprise or asked.team
    changed = workspace.world.grants.expire(app.app_id, place, workspace.clock() + asked.seconds)
    await workspace.settle()
    return reply({"ok": True, "tokens": changed})


def _installed(workspace: Workspace, request: Request, team: str | None, enterprise: str | None) -> tuple[App, str]:
    world = workspace.world
    app, place = app_of(world, request.path_params["app_id"]), place_of(world, team, enterprise)
    org_wide = app.installs.get(place)
    if org_wide is not None and org_wide.org_wide:
        raise Denied(
            409, "org_wide", f"it is installed in the whole organisation; name enterprise {org_wide.enterprise}"
        )
    if not installs.lives_in(world, app, place, workspace.clock()):
        raise Denied(404, "not_installed", f"app {app.app_id} is not installed in {place}")
    return app, place


ROUTES = [
    Route("/_sim/apps/{app_id}/install", install, methods=["POST"]),
    Route("/_sim/apps/{app_id}/uninstall", uninstall, methods=["POST"]),
    Route("/_sim/apps/{app_id}/revoke", revoke, methods=["POST"]),
    Route("/_sim/apps/{app_id}/expire", expire, methods=["POST"]),
]
