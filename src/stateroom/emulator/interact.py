"""What every act has in common that an app must answer at once, and pressing things.

Rules of this file: a request is checked against the world, the app is asked, its answer is carried out. A request that
cannot be is `Denied`; an app that does not answer is an answer, too: `{"ok": false, "error", "detail", "delivered"}`.
An element acts in a message, a modal or a Home tab alike; a `Spot` is one of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from stateroom.emulator import acts, asking, elements, files, payloads, surfaces
from stateroom.emulator.acts import Denied
from stateroom.emulator.asking import Actor, Invalid, interactive_problem
from stateroom.emulator.elements import Place, Values
from stateroom.emulator.lines import Ask, Outcome, interactivity_url, options_url
from stateroom.emulator.payloads import Scene
from stateroom.emulator.records import App, Json, Message, View
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Room, World


class Act(msgspec.Struct, kw_only=True):
    """Who acts. Without team or user the first ones are meant."""

    team: str | None = None
    user: str | None = None


class ElementRequest(Act, kw_only=True):
    """An element of a message (`channel`, `ts`) or of a view (`view_id`)."""

    action_id: str
    channel: str = ""
    ts: str = ""
    view_id: str | None = None
    block_id: str | None = None


class PressRequest(ElementRequest, kw_only=True):
    """`selected` is the action's own part (`{"selected_option": {...}}`); `values` what else is filled in."""

    value: str | None = None
    selected: Json | None = None
    values: Json = {}


class SuggestRequest(ElementRequest, kw_only=True):
    value: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """One kind of action: the shape of its request, and what it does with it and this server's address."""

    shape: type[Any]
    do: Callable[[Workspace, Any, str], Awaitable[Json]]


def actor_of(workspace: Workspace, request: Act, base_url: str) -> Actor:
    team = acts.team_of(workspace.world, request.team)
    return Actor(team, acts.user_of(workspace.world, team, request.user), base_url)


def room_for(workspace: Workspace, actor: Actor, channel: str) -> Room:
    """A channel that the person is in."""
    room = acts.room_of(workspace.world, actor.team, channel)
    if actor.user.id not in room.channel.members:
        raise Denied(403, "not_in_channel", f"{actor.user.id} is no member of {room.channel.id}")
    return room


def installed(world: World, app_id: str | None, team: str) -> App:
    app = world.apps.get(app_id or "")
    if app is None or team not in app.installs:
        raise Denied(409, "app_not_installed", f"the app is not installed in team {team}; GET /_sim/state lists apps")
    return app


def message_for(room: Room, ts: str, actor: Actor) -> Message:
    """A message that the person sees."""
    message = room.messages.get(ts)
    if message is None or message.deleted or message.ephemeral_to not in (None, actor.user.id):
        raise Denied(404, "message_not_found", "no such message in this channel")
    return message


def view_for(world: World, view_id: str, actor: Actor) -> View:
    """A modal or a Home tab that the person has open."""
    view = world.surfaces.by_id(actor.team, view_id)
    if view is None or view.user != actor.user.id:
        raise Denied(404, "view_not_found", "this person has no such view open; GET /_sim/views lists them")
    return view


async def interactive(workspace: Workspace, app: App, actor: Actor, payload: Json, name: str) -> tuple[Json, Outcome]:
    """Send an interaction; a submission and a suggestion are answered in the acknowledgement."""
    answered = payload["type"] in ("view_submission", "block_suggestion")
    url = options_url(app) if payload["type"] == "block_suggestion" else interactivity_url(app)
    return await asking.ask(workspace, app, actor, Ask("interactive", name, payload, url, answered))


# ---- elements, wherever they are


@dataclass(frozen=True, slots=True)
class Spot:
    """A message or a view that a person looks at."""

    workspace: Workspace
    actor: Actor
    app: App
    room: Room | None = None
    message: Message | None = None
    view: View | None = None

    @property
    def blocks(self) -> list[Any]:
        if self.view is not None:
            blocks: list[Any] = self.view.content["blocks"]
            return blocks
        return _blocks_of(self.message) if self.message is not None else []

    def fill(self, given: list[Json]) -> Values:
        """`state.values` as this person has left them, with what is filled in now."""
        key = (self.message.key if self.message is not None else "", self.actor.user.id)
        before = self.view.values if self.view is not None else self.workspace.world.touched.get(key, {})
        values = elements.kept_values(self.blocks, before)
        for one in given:
            values = elements.filled(values, one)
        self._whole_files(values)
        if self.view is not None:
            self.view.values = values
            self.workspace.world.surfaces.remember(self.view)
        elif values:
            self.workspace.world.touched[key] = values
        return values

    def _whole_files(self, values: Values) -> None:
        """A person chooses files by their ids; an app gets the files' objects."""
        known = self.workspace.world.files
        for held in (one for actions in values.values() for one in actions.values() if one["type"] == "file_input"):
            listed = held["files"] if isinstance(held["files"], list) else []
            named = [(one, known.find(self.actor.team, str(one.get("id")))) for one in listed if isinstance(one, dict)]
            held["files"] = [one if f is None else files.full_view(f, self.actor.base_url) for one, f in named]

    def scene(self) -> Scene:
        view_id = self.view.id if self.view is not None else None
        return asking.scene(self.workspace, self.app, self.actor, view_id)

    def payload(self) -> Json:
        """What every payload about this spot says."""
        if self.view is not None:
            return payloads.on_view(self.scene(), surfaces.shown(self.view))
        assert self.message is not None
        assert self.room is not None
        hook = asking.response_hook(self.workspace, self.app, self.actor, self.message.channel, self.message.ts)
        shown, url = self.workspace.world.slack_view(self.message), asking.response_url(hook, self.actor)
        return payloads.on_message(self.scene(), self.message, shown, self.room.channel, url)


def _blocks_of(message: Message) -> list[Any]:
    """A message's blocks, also those in its attachments."""
    inner = [one.get("blocks") for one in message.attachments if isinstance(one, dict)]
    return [*message.blocks, *(block for blocks in inner if isinstance(blocks, list) for block in blocks)]


def spot_of(workspace: Workspace, actor: Actor, request: ElementRequest, app: App | None = None) -> Spot:
    """Where a request points to, for the app that it belongs to, or for another one that acts on it."""
    if request.view_id is not None:
        view = view_for(workspace.world, request.view_id, actor)
        return Spot(workspace, actor, installed(workspace.world, view.app_id, actor.team), view=view)
    room = room_for(workspace, actor, request.channel)
    message = message_for(room, request.ts, actor)
    owner = app or installed(workspace.world, message.app_id, actor.team)
    return Spot(workspace, actor, owner, room, message)


def _element(spot: Spot, request: ElementRequest) -> Place:
    place = elements.find(spot.blocks, request.action_id, request.block_id)
    if place is None:
        raise Denied(404, "action_not_found", f"nothing here has the action_id {request.action_id[:60]}")
    return place


async def press(workspace: Workspace, request: PressRequest, base_url: str) -> Json:
    """A button, a choice, a date. An input that does not dispatch is filled in, and its app hears of it later."""
    spot = spot_of(workspace, actor_of(workspace, request, base_url), request)
    place = _element(spot, request)
    problem = interactive_problem(spot.app)
    if problem is not None:
        return problem
    chosen = elements.chosen(place.element, request.value, request.selected)
    values = spot.fill([request.values, {place.block_id: {place.action_id: chosen}}])
    if place.block.get("type") == "input" and place.block.get("dispatch_action") is not True:
        await workspace.settle()
        return {"ok": True, "delivered": None}
    state = {} if spot.view is not None else {"state": {"values": values}}
    action = payloads.action(place, chosen, f"{workspace.clock():.6f}")
    payload = {**spot.payload(), **state, "actions": [action]}
    answer, _ = await interactive(workspace, spot.app, spot.actor, payload, place.action_id)
    return answer


async def suggest(workspace: Workspace, request: SuggestRequest, base_url: str) -> Json:
    """A person types into an external select; answers with `options` or `option_groups`."""
    spot = spot_of(workspace, actor_of(workspace, request, base_url), request)
    place = _element(spot, request)
    payload = payloads.suggestion(spot.payload(), place, request.value)
    answer, outcome = await interactive(workspace, spot.app, spot.actor, payload, place.action_id)
    if not outcome.taken:
        return answer
    said = asking.answer_of(outcome)
    for name in ("options", "option_groups"):
        if isinstance(said, dict) and isinstance(said.get(name), list):
            return {**answer, name: said[name]}
    return asking.spoiled(answer, Invalid("invalid_response", "answer block_suggestion with options or option_groups"))


DEEDS = {"press": Deed(PressRequest, press), "suggest": Deed(SuggestRequest, suggest)}
