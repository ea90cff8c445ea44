"""What the page and the tests see of a workspace, as one JSON value.

Rules of this file: reading only.
"""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from stateroom.emulator import commands, sessions, views
from stateroom.emulator.manifests import redirect_urls
from stateroom.emulator.records import App, Json
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Room


def shown(workspace: Workspace, room: Room, thread_ts: str | None = None) -> list[Json]:
    """The messages of a channel, or of one of its threads with the message that started it, oldest first."""
    chosen = [one for one in room.listed() if thread_ts is None or one.thread == thread_ts]
    return [workspace.world.sim_view(message) for message in chosen]


def whole(workspace: Workspace) -> Json:
    """`GET /_sim/state`."""
    world, me = workspace.world, workspace.world.people(next(iter(workspace.world.teams)))[0].id
    rooms: dict[str, list[Json]] = {}
    for room in world.rooms.values():
        rooms.setdefault(room.channel.id, []).extend(shown(workspace, room))
    return {
        "me": me,
        "teams": [msgspec.to_builtins(team) | {"domain": team.domain} for team in world.teams.values()],
        "users": [views.sim_user(user) for user in world.users.values()],
        "channels": [views.sim_channel(room.channel, me) for room in world.rooms.values()],
        "apps": [_app(workspace, app) for app in world.apps.values()],
        "messages": rooms,
        "statuses": [
            {"team": team, "channel": channel, "thread_ts": thread_ts, "status": status.text}
            for (team, channel, thread_ts), status in world.statuses.items()
        ],
        "sessions": world.sessions.listed(),
        "faults": workspace.faults.listed(),
        "turns": list(workspace.turns.values()),
        "stats": workspace.counts(),
        "cursor": workspace.feed.cursor,
        "caps": {
            "crash": workspace.config.bot_pid_file is not None,
            "turns": workspace.config.watch is not None,
            "reset": True,
        },
        "hints": _hint(workspace),
    }


def _app(workspace: Workspace, app: App) -> Json:
    install = next(iter(app.installs.values()), None)
    transport = workspace.lines.transport(app)
    return {
        "app_id": app.app_id,
        "name": app.name,
        "bot_user_id": install.bot_user_id if install is not None else None,
        "installs": [{"team": one.team, "bot_user_id": one.bot_user_id} for one in app.installs.values()],
        "install_url": _install_url(app),
        "online": workspace.online.get(app.app_id) if transport is not None else None,
        **workspace.processes.get(app.app_id, {}),
        "transport": transport,
        "commands": [commands.shown(one) for one in commands.declared(app)],
        "shortcuts": commands.shortcuts(app),
        "features": commands.features(app) | {"agent": sessions.surface_of(app) or None},
        "client_id": app.client_id,
        "teams": list(app.installs),
    }


def _install_url(app: App) -> str | None:
    """Where a person lets the app in; only an app that says where to go back to can be installed so."""
    if not redirect_urls(app.manifest):
        return None
    asked = {"client_id": app.client_id, "scope": ",".join(app.scopes or ["chat:write"])}
    return f"/oauth/v2/authorize?{urlencode(asked)}"


def _hint(workspace: Workspace) -> Json:
    """What a newcomer may write where."""
    world = workspace.world
    team = next(iter(world.teams))
    channel = next((one.id for one in world.channels_of(team) if not one.is_im), None)
    bot = next((user for user in world.members_of(team) if user.is_bot), None)
    if channel is None or bot is None:
        return {}
    return {"channel": channel, "prompt": f"@{bot.name} hello", "text": f"<@{bot.id}> hello"}
