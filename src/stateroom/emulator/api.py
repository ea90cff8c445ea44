"""`/api/<method>`: one Web API call from bytes to reply.

Rules of this file: the order of checks (method, body, token, its kind, scope, app, allowance, arguments), then the
handler, then the journal, then the answer: what a client was told has happened survives a kill -9. A refusal is HTTP
200 with `ok: false`, a spent allowance 429 with `Retry-After`. Each call is recorded without its token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from stateroom.emulator import callers
from stateroom.emulator.callers import Caller
from stateroom.emulator.faults import Fault
from stateroom.emulator.records import Json, dumps
from stateroom.emulator.tiers import RATIONED
from stateroom.emulator.webapi import METHODS
from stateroom.emulator.webapi.arguments import coerce, read_body
from stateroom.emulator.webapi.conversations import RATIONED_METHODS
from stateroom.emulator.webapi.method import CLIENT, Call, Looked, Method, Refused
from stateroom.emulator.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request to the Web API."""

    method: str
    content_type: str
    authorization: str
    query: str
    body: bytes
    base_url: str
    verb: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a JSON object, an HTTP status, headers. `looked` stays here, for whoever measures."""

    content: Json
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    looked: Looked = field(default_factory=Looked)

    def encoded(self) -> bytes:
        return dumps(self.content)


# A page that is open is told of every call; what is larger than this it sees only by its size.
SHOWN_BYTES = 8_000
# Methods whose answers hold tokens, tickets, secrets, or addresses that take bytes from whoever knows them.
_ANSWER_TOKENS = ("oauth.", "apps.", "files.getUploadURL")

_NEVER = Answer({"ok": False, "error": "request_timeout"}, 504)


@dataclass(slots=True)
class _Record:
    """What is written down about a call while it runs."""

    args: Json = field(default_factory=dict)
    secrets: Json = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    app_id: str | None = None
    team: str | None = None
    fault: str | None = None
    written: bool = False

    @property
    def channel(self) -> str | None:
        channel = self.args.get("channel") or self.args.get("channel_id")
        return channel if isinstance(channel, str) else None


# Never written down: with them anybody could act as the app.
_SECRETS = ("client_secret", "code", "code_verifier", "refresh_token", "token")
_CarryOut = Callable[[], Awaitable[Answer]]


async def answer(workspace: Workspace, asked: Asked) -> Answer:
    """Run one call. Raises StoreUnavailable when its effect could not be made durable."""
    started, record = time.perf_counter(), _Record()
    try:
        reply = await _run(workspace, asked, record)
    except Refused as refused:
        reply = Answer({"ok": False, "error": refused.code, **refused.extra})
    if not record.written:
        _write_down(workspace, asked.method, reply, record, (time.perf_counter() - started) * 1000)
    return reply


async def _run(workspace: Workspace, asked: Asked, record: _Record) -> Answer:
    method = METHODS.get(asked.method)
    if method is None and asked.method != "api.test":
        raise Refused("unknown_method", req_method=asked.method)
    exact = method is not None and method.exact
    raw, record.warnings = read_body(asked.content_type, asked.body, asked.query, exact=exact)
    by_client = method is not None and CLIENT in method.tokens
    in_body, bearer = raw.pop("token", None), _bearer(asked.authorization)
    if method is not None and method.by_post:
        _check_post(asked, in_body, bearer)
    token = str(in_body or bearer)
    record.secrets = {name: raw.pop(name) for name in _SECRETS if name in raw}
    record.args = raw
    if method is None:
        return _api_test(raw)
    if by_client:
        # slack_sdk sends the token that is to be exchanged as if it were the caller's.
        if token and not token.lower().startswith("basic "):
            record.secrets.setdefault("token", token)
        caller = callers.client(workspace.world, method, asked.authorization, raw | record.secrets)
    else:
        caller = callers.bearer(workspace.world, method, token, raw, workspace.clock())
    record.team = caller.install.team or None
    callers.check_scope(caller)
    if method.of_app:
        caller = callers.for_app(workspace.world, caller, raw.get("app_id"))
    record.app_id = caller.app.app_id or None
    fault = workspace.faults.meet_method(method.name, record.channel)
    if fault is not None:
        workspace.tell_faults()
        record.fault = fault.kind
    throttled = _allowance(workspace, caller, record, fault)
    if throttled is not None:
        return throttled
    if fault is None or fault.kind == "partial_failure":
        return await _carry_out(workspace, caller, record, asked.base_url, fault.failures if fault is not None else 0)
    if fault.kind == "timeout":
        # Written down now: who hangs up while it is held shall see that it was received.
        _write_down(workspace, asked.method, _NEVER, record, 0.0)
        record.written = True
    return await _misbehave(workspace, fault, lambda: _carry_out(workspace, caller, record, asked.base_url))


def _check_post(asked: Asked, in_body: object, bearer: str) -> None:
    """Raises Refused for a method that is posted, with its token in the header alone."""
    if asked.verb != "POST":
        raise Refused("insecure_request")
    if in_body is not None and not bearer:
        raise Refused("missing_args")


def _bearer(authorization: str) -> str:
    """The token of a header, empty for the bare `Bearer` that Slack's Deno client sends without one."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else authorization.strip()


def _api_test(raw: Json) -> Answer:
    content: Json = {"ok": "error" not in raw}
    if raw:
        content["args"] = raw
    if "error" in raw:
        content["error"] = raw["error"]
    return Answer(content)


def _allowance(workspace: Workspace, caller: Caller, record: _Record, fault: Fault | None) -> Answer | None:
    method = caller.method
    if fault is not None and fault.kind == "throttle":
        return _too_many(method, fault.retry_after)
    if not workspace.config.tiers:
        return None
    tier = RATIONED if caller.app.rationed and method.name in RATIONED_METHODS else method.tier
    place = str(record.channel) if tier.per_channel else ""
    key = (caller.app.app_id, caller.install.team, method.name, place)
    wait = workspace.allowances.take(key, tier, workspace.clock(), workspace.config.time_scale)
    return None if wait is None else _too_many(method, wait)


def _too_many(method: Method, seconds: int) -> Answer:
    return Answer({"ok": False, "error": method.tier.error}, 429, {"Retry-After": str(seconds)})


async def _carry_out(workspace: Workspace, caller: Caller, record: _Record, base_url: str, failures: int = 0) -> Answer:
    method, granted = caller.method, caller.scopes
    headers = {"X-OAuth-Scopes": ",".join(granted or ()), "X-Accepted-OAuth-Scopes": ",".join(method.scopes)}
    args = coerce(method.args, record.args | record.secrets)
    record.args |= {name: value for name, value in args.items() if name not in record.secrets}
    workspace.expire()
    call = Call(
        world=workspace.world,
        config=workspace.config,
        app=caller.app,
        install=caller.install,
        args=args,
        now=workspace.clock(),
        new_id=workspace.new_id,
        base_url=base_url,
        warnings=record.warnings,
        user=caller.user,
        failures=failures,
        token=caller.token,
    )
    content = {"ok": True, **method.handler(call)}
    await workspace.settle()
    return Answer(_warned(content, call.warnings), headers=headers, looked=call.looked)


def _warned(content: Json, warnings: list[str]) -> Json:
    if not warnings:
        return content
    metadata = {**content.get("response_metadata", {}), "warnings": warnings}
    return {**content, "warning": ",".join(warnings), "response_metadata": metadata}


async def _misbehave(workspace: Workspace, fault: Fault, carry_out: _CarryOut) -> Answer:
    """Carry out a fault; what the call would do happens before it, after it, or never."""
    if fault.kind == "delay":
        await _hold(workspace, fault.seconds)
        return await carry_out()
    if fault.applies:
        await carry_out()
    if fault.kind == "timeout":
        await _hold(workspace, fault.seconds)
        return _NEVER
    return Answer({"ok": False, "error": fault.code}, fault.http)


async def _hold(workspace: Workspace, seconds: float) -> None:
    """Wait, but not longer than this server lives."""
    try:
        async with asyncio.timeout(seconds):
            await workspace.closing.wait()
    except TimeoutError:
        return


def _write_down(workspace: Workspace, method: str, reply: Answer, record: _Record, ms: float) -> None:
    entry: Json = {
        "method": method,
        "args": record.args,
        "at": workspace.clock(),
        "ok": reply.content["ok"],
        "status": reply.status,
        "ms": round(ms, 1),
        "app": record.app_id,
        "team": record.team,
    }
    if "error" in reply.content:
        entry["error"] = reply.content["error"]
    if "Retry-After" in reply.headers:
        entry["retry_after"] = int(reply.headers["Retry-After"])
    if reply.looked.bytes or reply.looked.pages:
        entry["looked"] = {"items": reply.looked.items, "bytes": reply.looked.bytes, "pages": reply.looked.pages}
    if record.fault is not None:
        entry["fault"] = record.fault
    if not method.startswith(_ANSWER_TOKENS):
        entry["answer"] = _small(reply.content)
    workspace.calls.add(method, entry)
    workspace.feed.publish({"type": "call", "call": {**entry, "args": _small(record.args)}})


def _small(content: Json) -> Json:
    """What the page shows of a body: all of it, or that it is too large to be sent to every open page."""
    size = len(dumps(content))
    return content if size <= SHOWN_BYTES else {"ok": content.get("ok", True), "too_large_to_show": f"{size} bytes"}
