"""Asking an app something that it must answer at once, and noting what came back.

Rules of this file: one attempt, never a second: Slack does not repeat commands and clicks. What was sent and what came
back is kept in a bounded ledger, without tokens, and told to the page; an outcome becomes the same small answer for
every kind of action.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec

from stateroom.emulator import payloads
from stateroom.emulator.hooks import RESPONSE_SECONDS, RESPONSE_USES, Trigger
from stateroom.emulator.lines import Ask, Outcome
from stateroom.emulator.manifests import part
from stateroom.emulator.nesting import shallow
from stateroom.emulator.payloads import Scene
from stateroom.emulator.records import UNREADABLE, App, Hook, Json, User
from stateroom.emulator.workspace import Workspace
from stateroom.model.errors import StateroomError

# From what an attempt came to, to the word of the control plane and what to do about it.
_PROBLEMS = {
    "http_timeout": ("no_ack", "the app did not answer within 3 s; acknowledge first, work afterwards"),
    "timeout": ("no_ack", "the app did not acknowledge the envelope within 3 s; acknowledge first, work afterwards"),
    "connection_failed": ("app_offline", "nothing takes connections for this app; start it, or register its address"),
    "http_error": ("http_error", "the app answered with an HTTP error; look at its log"),
}
NO_LINE = Outcome(None, "connection_failed", transport="")
_STRANGE = ("http_error", "the app's answer could not be read; look at its log")


@dataclass(frozen=True, slots=True)
class Actor:
    """A person acting in one team, and the address of this server that the app is told."""

    team: str
    user: User
    base_url: str


def scene(workspace: Workspace, app: App, actor: Actor, view_id: str | None = None) -> Scene:
    """A new trigger for an app, good once and for 3 s."""
    now = workspace.clock()
    trigger_id = f"{int(now * 1000)}.{int(now)}.{uuid4().hex}"
    until = now + workspace.config.trigger_seconds
    workspace.world.hooks.add_trigger(Trigger(trigger_id, app.app_id, actor.team, actor.user.id, until, view_id))
    team = workspace.world.teams[actor.team]
    return Scene(app, app.installs[actor.team], team, actor.user, trigger_id)


def response_hook(workspace: Workspace, app: App, actor: Actor, channel: str, ts: str | None = None) -> Hook:
    """A new `response_url`: 30 minutes, five uses."""
    hook = Hook(
        id=uuid4().hex,
        app_id=app.app_id,
        team=actor.team,
        channel=channel,
        user=actor.user.id,
        until=workspace.clock() + workspace.config.scaled(RESPONSE_SECONDS),
        left=RESPONSE_USES,
        message_ts=ts,
    )
    workspace.world.hooks.add_response(hook)
    return hook


def response_url(hook: Hook, actor: Actor) -> str:
    return f"{actor.base_url}/response/{hook.id}"


def interactive_problem(app: App) -> Json | None:
    """Why an app cannot be asked at all: its manifest turns interactivity off."""
    if part(app.manifest, ("settings", "interactivity", "is_enabled")) is False:
        return refusal("not_subscribed", "turn on settings.interactivity.is_enabled in the app's manifest")
    return None


def refusal(error: str, detail: str, **more: Any) -> Json:
    return {"ok": False, "error": error, "detail": detail, "delivered": None, **more}


async def ask(workspace: Workspace, app: App, actor: Actor, ask: Ask) -> tuple[Json, Outcome]:
    """Send it; returns the control plane's answer and the outcome."""
    await workspace.settle()
    # An app that nothing leads to has no line to be broken: the same word, without an attempt.
    outcome = NO_LINE
    if workspace.lines.open_to(app):
        outcome = _judged(workspace, ask, await workspace.lines.ask(app, ask))
        workspace.seen_online(app.app_id, outcome)
    _note(workspace, app, actor, ask, outcome)
    return verdict(outcome), outcome


class Invalid(StateroomError):
    """An answer of an app that makes no sense; `.code` and `.detail` for the control plane."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def answer_of(outcome: Outcome) -> Any:
    """What an app answered: JSON, or text; None when it said nothing."""
    return _readable(outcome.body)


def spoiled(answer: Json, problem: Invalid) -> Json:
    """The control plane's answer when the app took it and then said something that makes no sense."""
    return {**answer, "ok": False, "error": problem.code, "detail": problem.detail}


def verdict(outcome: Outcome) -> Json:
    """`{"ok", "delivered", "error"?, "detail"?}`."""
    delivered: Json | None = None
    if outcome.transport:
        delivered = {"status": outcome.status, "ms": outcome.ms, "attempt": 1, "transport": outcome.transport}
    if outcome.taken:
        return {"ok": True, "delivered": delivered}
    error, detail = _PROBLEMS.get(outcome.reason or "", _STRANGE)
    if error == "http_error" and outcome.status is not None:
        detail = f"the app answered with HTTP {outcome.status}; look at its log"
    return {"ok": False, "error": error, "detail": detail, "delivered": delivered}


def _judged(workspace: Workspace, ask: Ask, outcome: Outcome) -> Outcome:
    """A `drop_ack` fault for `command`, `block_actions` and the like turns an answer into a time-out."""
    if not outcome.taken or workspace.faults.meet_event(kind_of(ask), None, kinds=("drop_ack",)) is None:
        return outcome
    workspace.tell_faults()
    return replace(outcome, reason="http_timeout", status=None, body=b"")


def kind_of(ask: Ask) -> str:
    """`command`, or the payload's type."""
    return str(ask.payload.get("type", "command"))


def _note(workspace: Workspace, app: App, actor: Actor, ask: Ask, outcome: Outcome) -> None:
    entry: Json = {
        "id": workspace.new_id("I"),
        "kind": kind_of(ask),
        "name": ask.name,
        "app_id": app.app_id,
        "team": actor.team,
        "user": actor.user.id,
        "at": workspace.clock(),
        "status": outcome.status,
        "ms": outcome.ms,
        "transport": outcome.transport or None,
        "attempt": 1,
        "payload": payloads.without_secrets(ask.payload),
        "answer": payloads.without_secrets(_readable(outcome.body)),
    }
    if not outcome.taken:
        entry["error"] = _PROBLEMS.get(outcome.reason or "", _STRANGE)[0]
    workspace.interactions.add(entry["kind"], entry)
    workspace.feed.publish({"type": "interaction", "interaction": entry})


def _readable(body: bytes) -> Any:
    """What an app answered: JSON where it is JSON, else text; None when it said nothing."""
    if not body:
        return None
    try:
        return msgspec.json.decode(shallow(body))
    except UNREADABLE:
        return body.decode("utf-8", "replace")
