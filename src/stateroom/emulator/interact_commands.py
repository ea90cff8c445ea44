"""Slash commands and shortcuts, as people use them.

Rules of this file: what may be used stands in the app's manifest. When a command comes to nothing Slack tells the
person itself, as Slackbot, in its own words.
"""

from __future__ import annotations

import re

from stateroom.emulator import asking, commands, payloads, responses, speech
from stateroom.emulator.asking import Actor, interactive_problem
from stateroom.emulator.interact import Act, Deed, ElementRequest, actor_of, installed, interactive, room_for, spot_of
from stateroom.emulator.lines import Ask, Outcome, nearby
from stateroom.emulator.records import Hook, Json
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Room, World

_AT_ROOM = re.compile(r"(?<!\S)#([a-z0-9][a-z0-9._-]*)", re.IGNORECASE)


class CommandRequest(Act, kw_only=True):
    channel: str
    command: str
    text: str = ""
    thread_ts: str | None = None


class ShortcutRequest(Act, kw_only=True):
    """With `ts` a message shortcut. `app_id` where two apps have the same callback_id."""

    callback_id: str
    channel: str = ""
    ts: str | None = None
    app_id: str | None = None


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

    return _AT_ROOM.sub(room, speech.AT_NAME.sub(person, text))


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
    "not_supported_in_threads": "`{name}` is not supported in threads.",
    "no_ack": "`{name}` failed with the error `operation_timeout`",
    "app_offline": "`{name}` failed with the error `dispatch_failed`",
    "http_error": "`{name}` failed with the error `dispatch_failed`",
}


async def _told(workspace: Workspace, actor: Actor, room: Room, name: str, answer: Json) -> Json:
    """Slackbot tells the one person why nothing happened."""
    words = _SLACKS_WORDS[answer["error"]].format(name=name)
    line = responses.by_slackbot(workspace.world, room, actor.user.id, words, workspace.clock())
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


async def shortcut(workspace: Workspace, request: ShortcutRequest, base_url: str) -> Json:
    """A global shortcut, or one on a message."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    kind = "global" if request.ts is None else "message"
    app_id = commands.shortcut_owner(world, actor.team, request.callback_id, kind, request.app_id)
    if app_id is None:
        detail = f"no app declares a {kind} shortcut {request.callback_id[:60]}; add it to features.shortcuts"
        return asking.refusal("unknown_shortcut", detail)
    app = installed(world, app_id, actor.team)
    problem = interactive_problem(app)
    if problem is not None:
        return problem
    at = f"{workspace.clock():.6f}"
    if request.ts is None:
        payload = payloads.shortcut(asking.scene(workspace, app, actor), request.callback_id, at)
    else:
        target = ElementRequest(action_id="", channel=request.channel, ts=request.ts)
        base = spot_of(workspace, actor, target, app).payload()
        payload = payloads.message_action(base, request.callback_id, request.ts, at)
    answer, _ = await interactive(workspace, app, actor, payload, request.callback_id)
    return answer


DEEDS = {"command": Deed(CommandRequest, command), "shortcut": Deed(ShortcutRequest, shortcut)}
