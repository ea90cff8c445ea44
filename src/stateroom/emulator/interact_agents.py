"""What people do with an agent: stop it, open its pane, look at another channel meanwhile.

Rules of this file: the events are those of docs.slack.dev/reference/events (`agent_session_stopped`,
`app_context_changed`, `assistant_thread_started`, `assistant_thread_context_changed`). Stopping ends the streams of
that thread at once; the status is the app's to change. An app that did not ask for the stop event shows no stop button.
"""

from __future__ import annotations

from stateroom.emulator import events, sessions, streams
from stateroom.emulator.acts import Denied
from stateroom.emulator.asking import Actor
from stateroom.emulator.interact import Act, Deed, actor_of, installed, room_for
from stateroom.emulator.records import App, Channel, Json, Message, Session
from stateroom.emulator.telling import tell_one
from stateroom.emulator.workspace import Workspace
from stateroom.emulator.world import Addressed, World

PANE_SUBTYPE = "assistant_app_thread"
STOPPED = "agent_session_stopped"


class StopRequest(Act, kw_only=True):
    channel: str
    thread_ts: str


class PaneRequest(Act, kw_only=True):
    """`channel` is what the person is looking at."""

    app_id: str
    channel: str | None = None


class ContextRequest(Act, kw_only=True):
    """With `thread_ts` a thread of the older pane. `context_channel` null: nothing that the app may know of."""

    channel: str
    thread_ts: str | None = None
    context_channel: str | None = None


async def stop(workspace: Workspace, request: StopRequest, base_url: str) -> Json:
    """The stop button of a conversation that is being worked on."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    room = room_for(workspace, actor, request.channel)
    busy = [
        one
        for one in world.sessions.of_thread(actor.team, room.channel.id, request.thread_ts)
        if one.status == "processing"
    ]
    if not busy:
        raise Denied(409, "not_processing", "no app works in that thread: agents.sessions.setStatus says processing")
    session = busy[0]
    app = installed(world, session.app_id, actor.team)
    if not events.subscribed(app, {"type": STOPPED}):
        raise Denied(409, "not_subscribed", f"add {STOPPED} to settings.event_subscriptions.bot_events for the button")
    now = workspace.clock()
    ended = streams.interrupt(world, session, now)
    at = room.next_ts(now)
    event = {
        "type": STOPPED,
        "channel": room.channel.id,
        "thread_ts": session.thread_ts,
        "user": actor.user.id,
        "streaming_message_ts": ended,
        "event_ts": at,
    }
    return await tell_one(workspace, Addressed(app.app_id, app.installs[actor.team], event, room.channel.id, at))


async def open_assistant(workspace: Workspace, request: PaneRequest, base_url: str) -> Json:
    """The older pane is opened: a thread of its own in the direct message, and `assistant_thread_started`."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    app = installed(world, request.app_id, actor.team)
    if app.manifest is not None and sessions.surface_of(app).get("kind") != "assistant":
        raise Denied(409, "no_assistant", "its manifest has no features.assistant_view; an agent's tab is open_home")
    context = _context(workspace, actor, request.channel)
    dm, install, now = _direct(workspace, actor, app), app.installs[actor.team], workspace.clock()
    room = world.rooms[actor.team, dm.id]
    root = Message(
        team=actor.team,
        channel=dm.id,
        ts=room.next_ts(now),
        user=install.bot_user_id,
        bot_id=install.bot_id,
        app_id=app.app_id,
        text="New Assistant Thread",
        subtype=PANE_SUBTYPE,
    )
    room.add(root)
    world.show(root)
    session = world.sessions.get(actor.team, dm.id, root.ts, app.app_id)
    session.pane, session.initiator, session.context = True, actor.user.id, context
    world.sessions.changed(session)
    answer = await _tell_pane(workspace, actor, app, session, "assistant_thread_started")
    return {**answer, "channel": dm.id, "thread_ts": root.ts}


async def context(workspace: Workspace, request: ContextRequest, base_url: str) -> Json:
    """The person goes to another channel while the app is in view."""
    world, actor = workspace.world, actor_of(workspace, request, base_url)
    room = room_for(workspace, actor, request.channel)
    app = _partner(world, actor, room.channel)
    seen = _context(workspace, actor, request.context_channel)
    if request.thread_ts is not None:
        session = world.sessions.find(actor.team, room.channel.id, request.thread_ts, app.app_id)
        if session is None or not session.pane:
            raise Denied(404, "thread_not_found", "no thread of the pane; open_assistant makes one")
        session.context = seen
        world.sessions.changed(session)
        return await _tell_pane(workspace, actor, app, session, "assistant_thread_context_changed")
    if app.manifest is not None and sessions.surface_of(app).get("kind") != "agent":
        raise Denied(409, "no_agent", "its manifest has no features.agent_view; name a thread_ts of the older pane")
    at = room.next_ts(workspace.clock())
    event = {
        "type": "app_context_changed",
        "user": actor.user.id,
        "channel": room.channel.id,
        "context": sessions.entities(actor.team, request.context_channel),
        "event_ts": at,
    }
    return await tell_one(workspace, Addressed(app.app_id, app.installs[actor.team], event, room.channel.id, at))


def _context(workspace: Workspace, actor: Actor, channel: str | None) -> Json:
    if channel is None:
        return {}
    room = room_for(workspace, actor, channel)
    owner = workspace.world.teams[actor.team].enterprise
    return {"channel_id": room.channel.id, "team_id": actor.team, "enterprise_id": owner}


def _direct(workspace: Workspace, actor: Actor, app: App) -> Channel:
    """The person's direct message with an app, made when it is first needed."""
    world, bot = workspace.world, app.installs[actor.team].bot_user_id
    found = world.dm_between(actor.team, actor.user.id, bot)
    if found is not None:
        return found
    made = Channel(
        id=workspace.new_id("D"),
        team=actor.team,
        is_im=True,
        user=actor.user.id,
        members=[actor.user.id, bot],
        created=int(workspace.clock()),
    )
    return world.add_channel(made).channel


def _partner(world: World, actor: Actor, channel: Channel) -> App:
    """The app of a direct message."""
    for app in world.apps.values():
        install = app.installs.get(actor.team)
        if channel.is_im and install is not None and install.bot_user_id in channel.members:
            return app
    raise Denied(409, "no_agent", "name the direct message with an app")


async def _tell_pane(workspace: Workspace, actor: Actor, app: App, session: Session, kind: str) -> Json:
    thread = {
        "user_id": actor.user.id,
        "context": session.context,
        "channel_id": session.channel,
        "thread_ts": session.thread_ts,
    }
    at = workspace.world.rooms[actor.team, session.channel].next_ts(workspace.clock())
    event = {"type": kind, "assistant_thread": thread, "event_ts": at}
    return await tell_one(workspace, Addressed(app.app_id, app.installs[actor.team], event, session.channel, at))


DEEDS = {
    "stop": Deed(StopRequest, stop),
    "open_assistant": Deed(PaneRequest, open_assistant),
    "context": Deed(ContextRequest, context),
}
