"""An agent's conversations: their status, title, suggested prompts and what the person is looking at.

Rules of this file: no I/O, no clock. One record for each app and thread, for both surfaces: the agent's own
(docs.slack.dev/ai/agent-sessions) and the older assistant pane. Every change is kept and told to the page here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stateroom.emulator.manifests import part
from stateroom.emulator.records import App, Json, Record, Session
from stateroom.emulator.surfaces import Tell

STATUSES = ("active", "processing", "suspended", "closed")
TITLE_LIMIT = 200


class Sessions:
    """All conversations by team, channel, thread and app; prompts without a thread have an empty one."""

    def __init__(self, keep: Callable[[Record], None], forget: Callable[[str], None], tell: Tell) -> None:
        self._keep = keep
        self._forget = forget
        self._tell = tell
        self._sessions: dict[str, Session] = {}

    def load(self, session: Session) -> None:
        self._sessions[session.key] = session

    def find(self, team: str, channel: str, thread_ts: str, app_id: str) -> Session | None:
        return self._sessions.get(Session(team=team, channel=channel, thread_ts=thread_ts, app_id=app_id).key)

    def get(self, team: str, channel: str, thread_ts: str, app_id: str) -> Session:
        """The conversation, or a new one that is not kept before it is `changed`."""
        found = self.find(team, channel, thread_ts, app_id)
        return found if found is not None else Session(team=team, channel=channel, thread_ts=thread_ts, app_id=app_id)

    def of_thread(self, team: str, channel: str, thread_ts: str) -> list[Session]:
        return [
            one
            for one in self._sessions.values()
            if (one.team, one.channel, one.thread_ts) == (team, channel, thread_ts)
        ]

    def changed(self, session: Session) -> None:
        self.load(session)
        self._keep(session)
        self._tell("session", team=session.team, channel=session.channel, session=shown(session))

    def listed(self) -> list[Json]:
        return [shown(session) for session in self._sessions.values()]

    def clear(self) -> None:
        for key in self._sessions:
            self._forget(key)
        self._sessions.clear()


def shown(session: Session) -> Json:
    """As the page sees it; `status` is there once the app set one, `pane` for the older surface."""
    return {name: value for name, value in msgspec.to_builtins(session).items() if value not in ("", [], {}, None)}


def surface_of(app: App) -> Json:
    """What an app's manifest says of its agent: `{kind, description, prompts}`, empty for an app that is none."""
    for name, described in (("agent_view", "agent_description"), ("assistant_view", "assistant_description")):
        said = part(app.manifest or {}, ("features", name))
        if isinstance(said, dict):
            prompts = said.get("suggested_prompts")
            kind = name.removesuffix("_view")
            return {"kind": kind, "description": said.get(described), "prompts": prompts if prompts else []}
    return {}


def is_agent(app: App) -> bool:
    """Whether an app may have conversations of its own; without a manifest everything is granted."""
    return app.manifest is None or bool(surface_of(app))


def entities(team: str, channel: str | None) -> Json:
    """What a person is looking at, as the events of an agent say it: nothing, or one channel."""
    if channel is None:
        return {}
    return {"entities": [{"type": "slack#/types/channel_id", "value": channel, "team_id": team}]}
