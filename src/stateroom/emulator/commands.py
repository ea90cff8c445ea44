"""Slash commands and shortcuts, as an app's manifest declares them.

Rules of this file: pure reading of `features.slash_commands` and `features.shortcuts`.
"""

from __future__ import annotations

from stateroom.emulator.manifests import part
from stateroom.emulator.records import App, Json
from stateroom.emulator.world import World


def declared(app: App) -> list[Json]:
    """The slash commands of an app's manifest."""
    return _objects(app, "slash_commands")


def shortcuts(app: App) -> list[Json]:
    """The shortcuts of an app's manifest: `name`, `callback_id`, `description`, `type` (`global` or `message`)."""
    return _objects(app, "shortcuts")


def _objects(app: App, name: str) -> list[Json]:
    listed = part(app.manifest, ("features", name))
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def shortcut_owner(world: World, team: str, callback_id: str, kind: str, app_id: str | None) -> str | None:
    """The id of the app that declares a shortcut of a kind (`global`, `message`); None when no app does."""
    for app in world.apps.values():
        if team not in app.installs or app_id not in (None, app.app_id):
            continue
        if any((one.get("callback_id"), one.get("type")) == (callback_id, kind) for one in shortcuts(app)):
            return app.app_id
    return None


def shown(command: Json) -> Json:
    """What a composer needs to offer a command."""
    return {name: command[name] for name in ("command", "description", "usage_hint") if name in command}


def find(world: World, team: str, command: str) -> tuple[App, Json] | None:
    """The app that takes a command; where two declare it the one added last, as Slack takes the one installed last."""
    found = None
    for app in world.apps.values():
        for one in declared(app) if team in app.installs else ():
            if one.get("command") == command:
                found = (app, one)
    return found


def features(app: App) -> Json:
    """What of an app a page shows: whether it has a Home tab, and whether its buttons work."""
    home = part(app.manifest, ("features", "app_home", "home_tab_enabled"))
    interactivity = part(app.manifest, ("settings", "interactivity", "is_enabled"))
    return {"home": home is not False, "interactivity": interactivity is not False}
