"""`views.open`, `.push`, `.update`, `.publish`.

Rules of this file: a view that is wrong uses no trigger up. Facts: docs.slack.dev/reference/methods/views.open and its
neighbours; a trigger is good once, for 3 s.
"""

from __future__ import annotations

from stateroom.emulator import surfaces, viewcheck
from stateroom.emulator.hooks import Trigger
from stateroom.emulator.manifests import part
from stateroom.emulator.records import Json, View
from stateroom.emulator.tiers import TIER_4
from stateroom.emulator.webapi.method import Arg, Call, Method, Refused


def _checked(call: Call, kind: str) -> Json:
    view: Json = call.args["view"]
    if viewcheck.too_large(view):
        raise Refused("view_too_large")
    wrong = viewcheck.problems(view, kind)
    if wrong:
        raise Refused("invalid_arguments", response_metadata={"messages": wrong})
    return viewcheck.content_of(view)


def _trigger(call: Call) -> Trigger:
    """The trigger that the call exchanges; it is used up by `_exchange`."""
    given = call.text("trigger_id") or call.text("interactivity_pointer")
    trigger = call.world.hooks.trigger(given or "")
    if trigger is None or (trigger.app_id, trigger.team) != (call.app.app_id, call.team):
        raise Refused("invalid_trigger_id")
    if trigger.used:
        raise Refused("exchanged_trigger_id")
    if call.now > trigger.until:
        raise Refused("expired_trigger_id")
    return trigger


def _check_external_id(call: Call, content: Json, own: View | None = None) -> None:
    external_id = content.get("external_id")
    if not external_id:
        return
    known = call.world.surfaces.by_external_id(call.team, call.app.app_id, external_id)
    if known is not None and known is not own:
        raise Refused("duplicate_external_id")


def _mark(call: Call) -> str:
    return f"{int(call.now)}.{call.new_id('').lower()}"


def _new(call: Call, user: str, content: Json, depth: int = 0) -> View:
    view = surfaces.blank(call.new_id("V"), call.app.app_id, call.install, user, depth)
    surfaces.fill(view, content, _mark(call))
    return view


def open_view(call: Call) -> Json:
    content, trigger = _checked(call, "modal"), _trigger(call)
    _check_external_id(call, content)
    view = _new(call, trigger.user, content)
    trigger.used = True
    call.world.surfaces.open(view)
    return {"view": surfaces.shown(view)}


def push_view(call: Call) -> Json:
    """The trigger must come from a modal that is still open."""
    content, trigger = _checked(call, "modal"), _trigger(call)
    stack = call.world.surfaces.stack(call.team, trigger.user)
    if all(one.id != trigger.view_id for one in stack):
        raise Refused("invalid_trigger_id")
    if len(stack) >= surfaces.STACK_LIMIT:
        raise Refused("push_limit_reached")
    _check_external_id(call, content)
    view = _new(call, trigger.user, content)
    trigger.used = True
    call.world.surfaces.push(view)
    return {"view": surfaces.shown(view)}


def update_view(call: Call) -> Json:
    view = _named(call)
    content = _checked(call, "home" if view.depth < 0 else "modal")
    if call.text("hash") not in (None, view.hash):
        raise Refused("hash_conflict")
    _check_external_id(call, content, view)
    surfaces.fill(view, content, _mark(call))
    call.world.surfaces.changed(view)
    return {"view": surfaces.shown(view)}


def _named(call: Call) -> View:
    view_id, external_id = call.text("view_id"), call.text("external_id")
    found = None
    if view_id is not None:
        found = call.world.surfaces.by_id(call.team, view_id)
    elif external_id is not None:
        found = call.world.surfaces.by_external_id(call.team, call.app.app_id, external_id)
    if found is None or found.app_id != call.app.app_id:
        raise Refused("not_found")
    return found


def publish(call: Call) -> Json:
    if part(call.app.manifest, ("features", "app_home", "home_tab_enabled")) is False:
        raise Refused("not_enabled")
    content, user = _checked(call, "home"), call.args["user_id"]
    if (call.team, user) not in call.world.users:
        raise Refused("user_not_found")
    view = call.world.surfaces.home(call.team, call.app.app_id, user)
    if call.text("hash") is not None and (view is None or call.text("hash") != view.hash):
        raise Refused("hash_conflict")
    _check_external_id(call, content, view)
    if view is None:
        view = _new(call, user, content, depth=-1)
    else:
        surfaces.fill(view, content, _mark(call))
    call.world.surfaces.publish(view)
    return {"view": surfaces.shown(view)}


_VIEW = Arg("view", "object", required=True)
_TRIGGER = (Arg("trigger_id"), Arg("interactivity_pointer"))

METHODS = (
    Method("views.open", open_view, (*_TRIGGER, _VIEW), (), TIER_4),
    Method("views.push", push_view, (*_TRIGGER, _VIEW), (), TIER_4),
    Method("views.update", update_view, (Arg("view_id"), Arg("external_id"), Arg("hash"), _VIEW), (), TIER_4),
    Method("views.publish", publish, (Arg("user_id", required=True), Arg("hash"), _VIEW), (), TIER_4),
)
