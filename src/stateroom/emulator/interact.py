"""What people do that an app must answer at once: commands and presses.

Rules of this file: a request is checked against the world, the app is asked, its answer is carried out. A request that
cannot be is `Denied`; an app that does not answer is an answer, too: `{"ok": false, "error", "detail", "delivered"}`.
Slack tells the person itself, as Slackbot, when a command comes to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from stateroom.emulator import acts, asking, commands, elements, payloads, responses, speech
from stateroom.emulator.acts import Denied
from stateroom.emulator.asking import Actor, interactive_problem
from stateroom.emulator.elements import Place
from stateroom.emulator.lines import Ask, Outcome, interactivity_url, nearby
from stateroom.emulator.records import App, Hook, Json, Message
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Room, World

_WHOLE = re.compile(r"#([a-z0-9][a-z0-9._-]*)", re.IGNORECASE)


class Act(msgspec.Struct, kw_only=True):
    """Who acts. Without team or user the first ones are meant."""

    team: str | None = None
    user: str | None = None


class CommandRequest(Act, kw_only=True):
    channel: str
    command: str
    text: str = ""
    thread_ts: str | None = None


class PressRequest(Act, kw_only=True):
    """`selected` is the action's own part (`{"selected_option": {...}}`); `values` what else is filled in."""

    action_id: str
    channel: str = ""
    ts: str = ""
    view_id: str | None = None
    block_id: str | None = None
    value: str | None = None
    selected: Json | None = None
    values: Json = {}


@dataclass(frozen=True, slots=True)
class Deed:
    """One kind of action: the shape of its request, and what it does."""

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


# ---- commands


def escaped(world: World, team: str, text: str) -> str:
    """`@ada` and `#general` as Slack writes them for a command with `should_escape`."""
    people = {user.name.lower(): user for user in world.members_of(team)}
    rooms = {channel.name: channel for channel in world.channels_of(team) if not channel.is_im}

    def person(match: re.Match[str]) -> str:
        user = people.get(match.group(1).lower())
        return match.group(0) if user is None else f"<@{user.id}|{user.name}>"

    def room(match: re.Match[str]) -> str:
        channel = rooms.get(match.group(1).lower())
        return match.group(0) if channel is None else f"<#{channel.id}|{channel.name}>"

    return _WHOLE.sub(room, speech.AT_NAME.sub(person, text))


async def command(workspace: Workspace, request: CommandRequest, base_url: str) -> Json:
    """A slash command, as typed into the composer."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    room = room_for(workspace, actor, request.channel)
    name = "/" + request.command.strip().removeprefix("/")
    if request.thread_ts is not None:
        detail = "Slack takes no app's commands in a thread; write it in the channel"
        return await _told(workspace, actor, room, name, asking.refusal("not_supported_in_threads", detail))
    found = commands.find(world, actor.team, name)
    if found is None:
        detail = f"no app declares {name[:40]}; add it to features.slash_commands of the app's manifest"
        return await _told(workspace, actor, room, name, asking.refusal("unknown_command", detail))
    app, declared = found
    text = escaped(world, actor.team, request.text) if declared.get("should_escape") else request.text
    hook = asking.response_hook(workspace, app, actor, room.channel.id)
    scene = asking.scene(workspace, app, actor)
    payload = payloads.command(scene, room.channel, name, text, asking.response_url(hook, actor))
    question = Ask("slash_commands", name, payload, nearby(app, declared.get("url")), wants_answer=True)
    answer, outcome = await asking.ask(workspace, app, actor, question)
    if not outcome.taken:
        return await _told(workspace, actor, room, name, answer)
    return answer | await _said(workspace, hook, outcome)


_SLACKS_WORDS = {
    "unknown_command": "`{name}` is not a valid command.",
    "not_supported_in_threads": "`{name}` is not supported in threads. Sorry!",
    "no_ack": "`{name}` failed with the error `operation_timeout`",
    "app_offline": "`{name}` failed with the error `dispatch_failed`",
    "http_error": "`{name}` failed with the error `dispatch_failed`",
}


async def _told(workspace: Workspace, actor: Actor, room: Room, name: str, answer: Json) -> Json:
    """Slackbot tells the one person why nothing happened."""
    words = _SLACKS_WORDS[answer["error"]].format(name=name)
    now = workspace.clock()
    line = responses.by_slackbot(workspace.world, room, actor.user.id, words, now)
    await workspace.settle()
    return {**answer, "ts": line.ts}


async def _said(workspace: Workspace, hook: Hook, outcome: Outcome) -> Json:
    """What the acknowledgement says is shown; one that cannot be read is a warning."""
    more: Json = {}
    try:
        said = responses.read(outcome.body, is_json=outcome.content_type == "application/json")
        if said is not None and not said.empty:
            shown = responses.carry_out(workspace.world, hook, said, workspace.clock())
            more = {"ts": shown.ts} if shown is not None else {}
    except responses.Unusable as problem:
        more = {"warning": problem.code}
    await workspace.settle()
    return more


# ---- presses


async def press(workspace: Workspace, request: PressRequest, base_url: str) -> Json:
    """A button, a choice, a date: any element of a message that acts."""
    actor = actor_of(workspace, request, base_url)
    room = room_for(workspace, actor, request.channel)
    message = message_for(room, request.ts, actor)
    place = element_of(blocks_of(message), request)
    app = installed(workspace.world, message.app_id, actor.team)
    problem = interactive_problem(app)
    if problem is not None:
        return problem
    chosen = elements.chosen(place.element, request.value, request.selected)
    values = touched(workspace, message, actor, [request.values, {place.block_id: {place.action_id: chosen}}])
    scene, hook = asking.scene(workspace, app, actor), asking.response_hook(workspace, app, actor, *_spot(message))
    url = asking.response_url(hook, actor)
    base = payloads.on_message(scene, message, workspace.world.slack_view(message), room.channel, url)
    payload = payloads.block_actions(base, values, [payloads.action(place, chosen, room.next_ts(workspace.clock()))])
    return await interactive(workspace, app, actor, place.action_id, payload)


def _spot(message: Message) -> tuple[str, str]:
    return message.channel, message.ts


async def interactive(workspace: Workspace, app: App, actor: Actor, name: str, payload: Json) -> Json:
    """Send an interaction whose answer says nothing."""
    question = Ask("interactive", name, payload, interactivity_url(app), wants_answer=False)
    answer, _ = await asking.ask(workspace, app, actor, question)
    return answer


def message_for(room: Room, ts: str, actor: Actor) -> Message:
    """A message that the person sees."""
    message = room.messages.get(ts)
    if message is None or message.deleted or message.ephemeral_to not in (None, actor.user.id):
        raise Denied(404, "message_not_found", "no such message in this channel")
    return message


def blocks_of(message: Message) -> list[Any]:
    """A message's blocks, also those in its attachments."""
    inner = [block for one in message.attachments if isinstance(one, dict) for block in one.get("blocks") or ()]
    return [*message.blocks, *inner]


def element_of(blocks: list[Any], request: PressRequest) -> Place:
    place = elements.find(blocks, request.action_id, request.block_id)
    if place is None:
        raise Denied(404, "action_not_found", f"nothing here has the action_id {request.action_id[:60]}")
    return place


def touched(workspace: Workspace, message: Message, actor: Actor, given: list[Json]) -> elements.Values:
    """`state.values` of a message as this person has left it, with what is filled in now."""
    states, key = workspace.world.touched, (message.key, actor.user.id)
    values = elements.kept_values(blocks_of(message), states.get(key, {}))
    for one in given:
        values = elements.filled(values, one)
    if values:
        states[key] = values
    return values


DEEDS = {
    "command": Deed(CommandRequest, command),
    "press": Deed(PressRequest, press),
}
