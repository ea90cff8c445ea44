"""What people have open: their stacks of modals, and the Home tabs that apps publish for them.

Rules of this file: no I/O, no clock; new ids, hashes and the moment are handed in. Every change is kept and told to the
page here. One person has one stack, at most three deep; what was filled in stays over an update where block, action
and kind are the same. Facts: docs.slack.dev/surfaces/modals and /surfaces/app-home.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from stateroom.emulator import elements
from stateroom.emulator.records import Install, Json, View

STACK_LIMIT = 3
_DEFAULTS: Json = {
    "title": None,
    "close": None,
    "submit": None,
    "private_metadata": "",
    "callback_id": "",
    "external_id": "",
    "clear_on_close": False,
    "notify_on_close": False,
}


class Tell(Protocol):
    """News for the page."""

    def __call__(self, kind: str, **fields: Any) -> None: ...


def shown(view: View) -> Json:
    """A view as Slack's API and payloads show it."""
    content = {**_DEFAULTS, **view.content}
    return {
        "id": view.id,
        "team_id": view.team,
        **content,
        "state": {"values": view.values},
        "hash": view.hash,
        "previous_view_id": view.previous,
        "root_view_id": view.root,
        "app_id": view.app_id,
        "app_installed_team_id": view.team,
        "bot_id": view.bot_id,
    }


def blank(view_id: str, app_id: str, install: Install, user: str, depth: int = 0) -> View:
    """A view of its own stack, without content yet; `depth` -1 is a Home tab."""
    return View(
        id=view_id, team=install.team, app_id=app_id, user=user, bot_id=install.bot_id, root=view_id, depth=depth
    )


def fill(view: View, content: Json, mark: str) -> None:
    """Give a view its content, or a new one; `mark` is its new hash."""
    blocks = elements.with_ids(content.get("blocks", []))
    view.content = {**content, "blocks": blocks}
    view.values = elements.kept_values(blocks, view.values)
    view.hash = mark


class Surfaces:
    """All open modals and published Home tabs."""

    def __init__(self, keep: Callable[[View], None], forget: Callable[[str], None], tell: Tell) -> None:
        self._keep = keep
        self._forget = forget
        self._tell = tell
        self._stacks: dict[tuple[str, str], list[View]] = {}
        self._homes: dict[tuple[str, str, str], View] = {}

    def load(self, view: View) -> None:
        if view.depth < 0:
            self._homes[view.team, view.app_id, view.user] = view
            return
        stack = self._stacks.setdefault((view.team, view.user), [])
        stack.append(view)
        stack.sort(key=lambda one: one.depth)

    def stack(self, team: str, user: str) -> list[View]:
        """A person's modals, the one on top last."""
        return self._stacks.get((team, user), [])

    def homes(self, team: str, user: str) -> list[View]:
        return [one for one in self._homes.values() if (one.team, one.user) == (team, user)]

    def home(self, team: str, app_id: str, user: str) -> View | None:
        return self._homes.get((team, app_id, user))

    def all(self) -> list[View]:
        return [*(view for stack in self._stacks.values() for view in stack), *self._homes.values()]

    def by_id(self, team: str, view_id: str) -> View | None:
        return next((one for one in self.all() if (one.team, one.id) == (team, view_id)), None)

    def by_external_id(self, team: str, app_id: str, external_id: str) -> View | None:
        fits = (one for one in self.all() if (one.team, one.app_id) == (team, app_id))
        return next((one for one in fits if one.content.get("external_id") == external_id), None)

    # ---- modals

    def open(self, view: View) -> None:
        """A new modal, in place of whatever the person had open."""
        self.clear(view.team, view.user)
        self._stacks[view.team, view.user] = [view]
        self._show(view, "opened")

    def push(self, view: View) -> None:
        """A modal on top of the others. The caller has looked at STACK_LIMIT."""
        stack = self._stacks[view.team, view.user]
        view.root, view.previous, view.depth = stack[0].root, stack[-1].id, len(stack)
        stack.append(view)
        self._show(view, "pushed")

    def changed(self, view: View) -> None:
        """A view has a new content, or new values that the page must know."""
        if view.depth < 0:
            self._show_home(view)
        else:
            self._show(view, "updated")

    def remember(self, view: View) -> None:
        """What a person filled in; the page knows it already."""
        self._keep(view)

    def pop(self, view: View) -> None:
        """Close a modal; the one below is seen again."""
        stack = self.stack(view.team, view.user)
        if view in stack:
            stack.remove(view)
            self._forget(view.key)
            self._announce(view, "closed")

    def clear(self, team: str, user: str) -> list[View]:
        """Close a person's modals, the top first. Returns what was open."""
        closed = list(reversed(self.stack(team, user)))
        for view in closed:
            self.pop(view)
        return closed

    def _show(self, view: View, action: str) -> None:
        self._keep(view)
        self._announce(view, action)

    def _announce(self, view: View, action: str) -> None:
        ids = [one.id for one in self.stack(view.team, view.user)]
        self._tell("view", team=view.team, user=view.user, action=action, view=shown(view), stack=ids)

    # ---- Home tabs

    def publish(self, view: View) -> None:
        self._homes[view.team, view.app_id, view.user] = view
        self._show_home(view)

    def _show_home(self, view: View) -> None:
        self._keep(view)
        self._tell("home", team=view.team, user=view.user, app_id=view.app_id, view=shown(view))

    def forget_all(self) -> None:
        for view in self.all():
            self._forget(view.key)
        self._stacks.clear()
        self._homes.clear()
