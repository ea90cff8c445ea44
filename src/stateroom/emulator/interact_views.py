"""Submitting and closing modals, and opening an app's Home.

Rules of this file: what Slack's client checks before it sends (required inputs, lengths) is checked here; what the app
answers (`response_action`) is carried out, and an answer that makes no sense leaves the modal open and is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from stateroom.emulator import asking, payloads, sessions, surfaces, viewcheck
from stateroom.emulator.acts import Denied
from stateroom.emulator.asking import Actor, Invalid
from stateroom.emulator.elements import places
from stateroom.emulator.interact import Act, Deed, Spot, actor_of, installed, interactive, view_for
from stateroom.emulator.records import App, Json, View
from stateroom.emulator.telling import tell_one
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Addressed, World

TABS = ("home", "messages")


class SubmitRequest(Act, kw_only=True):
    """`values`: `{block_id: {action_id: {…state value…}}}`."""

    view_id: str
    values: Json = msgspec.field(default_factory=dict)


class CloseRequest(Act, kw_only=True):
    """`cleared`: all modals of the stack are closed at once."""

    view_id: str
    cleared: bool = False


class HomeRequest(Act, kw_only=True):
    """`context_channel`: what the person is looking at; an agent is told when its messages are opened."""

    app_id: str
    tab: str = "home"
    context_channel: str | None = None


def _top(world: World, view_id: str, actor: Actor) -> View:
    """The modal that the person sees."""
    view = view_for(world, view_id, actor)
    stack = world.surfaces.stack(actor.team, actor.user.id)
    if not stack or stack[-1] is not view:
        raise Denied(409, "view_not_on_top", "another modal lies on top of it, or it is a Home tab")
    return view


async def submit(workspace: Workspace, request: SubmitRequest, base_url: str) -> Json:
    """The submit button of a modal."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    view = _top(world, request.view_id, actor)
    app = installed(world, view.app_id, actor.team)
    if view.key in workspace.submitting:
        raise Denied(409, "view_submitting", "its app has not answered the submission before this one")
    spot = Spot(workspace, actor, app, view=view)
    values = spot.fill([request.values])
    missing = viewcheck.unfilled(spot.blocks, values)
    if missing:
        await workspace.settle()
        return asking.refusal("missing_input", "fill in what is required", errors=missing)
    workspace.submitting.add(view.key)
    try:
        return await _send(workspace, spot)
    finally:
        workspace.submitting.discard(view.key)


async def _send(workspace: Workspace, spot: Spot) -> Json:
    """Ask the app, and carry out its answer."""
    world, app, actor, view = workspace.world, spot.app, spot.actor, spot.view
    assert view is not None
    payload = payloads.submission(spot.scene(), surfaces.shown(view), _response_urls(workspace, spot))
    answer, outcome = await interactive(workspace, app, actor, payload, str(view.content.get("callback_id", "")))
    if not outcome.taken:
        return answer
    try:
        answer |= _carry_out(workspace, app, view, asking.answer_of(outcome))
    except Invalid as problem:
        answer = asking.spoiled(answer, problem)
    await workspace.settle()
    return {**answer, "stack": [one.id for one in world.surfaces.stack(actor.team, actor.user.id)]}


def _response_urls(workspace: Workspace, spot: Spot) -> list[Json]:
    """One for each channel chosen in a select with `response_url_enabled`."""
    urls = []
    for place in places(spot.blocks):
        held = spot.view.values.get(place.block_id, {}).get(place.action_id, {}) if spot.view is not None else {}
        channel: str = held.get("selected_conversation") or held.get("selected_channel") or ""
        known = (spot.actor.team, channel) in workspace.world.rooms
        if known and place.element.get("response_url_enabled") is True:
            hook = asking.response_hook(workspace, spot.app, spot.actor, channel)
            ids = {"block_id": place.block_id, "action_id": place.action_id, "channel_id": channel}
            urls.append({**ids, "response_url": asking.response_url(hook, spot.actor)})
    return urls


# ---- what the app answers to a submission


@dataclass(frozen=True, slots=True)
class _Answer:
    workspace: Workspace
    app: App
    view: View
    said: Json

    def new_content(self) -> Json:
        content = self.said.get("view")
        if not isinstance(content, dict):
            raise Invalid("invalid_response", f"response_action {self.said['response_action']} needs a view")
        wrong = viewcheck.problems(content, "modal")
        if wrong:
            raise Invalid("invalid_view", "; ".join(wrong))
        return viewcheck.content_of(content)

    def mark(self) -> str:
        return f"{int(self.workspace.clock())}.{self.workspace.new_id('').lower()}"


def _carry_out(workspace: Workspace, app: App, view: View, said: Any) -> Json:
    """The fields that a `response_action` adds to the answer; a closed modal stays closed. Raises Invalid."""
    if view not in workspace.world.surfaces.stack(view.team, view.user):
        return {"response_action": "none"}
    if said in (None, "", {}):
        workspace.world.surfaces.pop(view)
        return {"response_action": "none"}
    if not isinstance(said, dict) or said.get("response_action") not in _ANSWERS:
        raise Invalid("invalid_response", f"answer with nothing, or with a response_action: {', '.join(_ANSWERS)}")
    action = said["response_action"]
    return {"response_action": action, **_ANSWERS[action](_Answer(workspace, app, view, said))}


def _clear(answer: _Answer) -> Json:
    answer.workspace.world.surfaces.clear(answer.view.team, answer.view.user)
    return {}


def _errors(answer: _Answer) -> Json:
    errors = answer.said.get("errors")
    inputs = {one.block_id for one in places(answer.view.content["blocks"]) if one.block.get("type") == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise Invalid("invalid_response", "errors names block_ids of input blocks, each with a text")
    return {"errors": errors}


def _update(answer: _Answer) -> Json:
    surfaces.fill(answer.view, answer.new_content(), answer.mark())
    answer.workspace.world.surfaces.changed(answer.view)
    return {"view": surfaces.shown(answer.view)}


def _push(answer: _Answer) -> Json:
    content, view = answer.new_content(), answer.view
    if len(answer.workspace.world.surfaces.stack(view.team, view.user)) >= surfaces.STACK_LIMIT:
        raise Invalid("push_limit_reached", f"a stack has at most {surfaces.STACK_LIMIT} modals")
    install = answer.app.installs[view.team]
    pushed = surfaces.blank(answer.workspace.new_id("V"), view.app_id, install, view.user)
    surfaces.fill(pushed, content, answer.mark())
    answer.workspace.world.surfaces.push(pushed)
    return {"view": surfaces.shown(pushed)}


_ANSWERS: dict[str, Callable[[_Answer], Json]] = {
    "clear": _clear,
    "errors": _errors,
    "update": _update,
    "push": _push,
}


# ---- closing


async def close(workspace: Workspace, request: CloseRequest, base_url: str) -> Json:
    """The close button or the X. The modal is gone at once; who asked for it hears of it."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    view = _top(world, request.view_id, actor)
    cleared = request.cleared or view.content.get("clear_on_close") is True
    if cleared:
        closed = world.surfaces.clear(actor.team, actor.user.id)
    else:
        closed = [view]
        world.surfaces.pop(view)
    await workspace.settle()
    answer: Json = {"ok": True, "delivered": None}
    for one in closed:
        here = world.apps[one.app_id].installs if one.app_id in world.apps else {}
        if one.content.get("notify_on_close") is True and actor.team in here:
            answer = await _tell_closed(workspace, actor, one, cleared=cleared)
    return {**answer, "stack": [one.id for one in world.surfaces.stack(actor.team, actor.user.id)]}


async def _tell_closed(workspace: Workspace, actor: Actor, view: View, *, cleared: bool) -> Json:
    app = installed(workspace.world, view.app_id, actor.team)
    payload = payloads.closed(asking.scene(workspace, app, actor), surfaces.shown(view), is_cleared=cleared)
    answer, _ = await interactive(workspace, app, actor, payload, str(view.content.get("callback_id", "")))
    return answer


# ---- Home


async def open_home(workspace: Workspace, request: HomeRequest, base_url: str) -> Json:
    """A person opens a tab of an app: `app_home_opened`, with the Home view when there is one."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    app = installed(world, request.app_id, actor.team)
    if request.tab not in TABS:
        raise Denied(400, "invalid_arguments", f"tab is {' or '.join(TABS)}")
    install = app.installs[actor.team]
    dm = world.dm_between(actor.team, actor.user.id, install.bot_user_id)
    channel = dm.id if dm is not None else ""
    at = f"{workspace.clock():.6f}"
    home = world.surfaces.home(actor.team, app.app_id, actor.user.id)
    shown = {"view": surfaces.shown(home)} if home is not None and request.tab == "home" else {}
    event = {"type": "app_home_opened", "user": actor.user.id, "channel": channel, "tab": request.tab, **shown}
    if request.tab == "messages" and sessions.surface_of(app).get("kind") == "agent":
        event["context"] = sessions.entities(actor.team, request.context_channel)
    addressed = Addressed(app.app_id, install, {**event, "event_ts": at}, channel, at)
    return {**await tell_one(workspace, addressed), **shown}


DEEDS = {
    "submit": Deed(SubmitRequest, submit),
    "close": Deed(CloseRequest, close),
    "open_home": Deed(HomeRequest, open_home),
}
