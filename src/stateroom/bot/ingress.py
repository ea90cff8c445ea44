"""Ingress: Slack's requests over ASGI, and its envelopes over sockets; signature, parse, one durable row, 200.

Rules of this file: the order is the safety: size, signature over the raw bytes, parse, store, answer. Nothing here
calls Slack or a model (invariant 10). A 200 is sent only after the commit returned (invariant 1); when the store
cannot take the row the answer is 503, so that Slack redelivers. Plain ASGI, because this is the hot path. An envelope
needs no signature: it came over a socket that we opened to Slack; after that its way is the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec

from stateroom.bot.directory import Directory
from stateroom.bot.interactions import Interactions
from stateroom.engines.port import Engine, Written
from stateroom.layers.inbox import Inbox
from stateroom.layers.threads import THREADS
from stateroom.model.errors import ItemTooLarge, PayloadRefused, SignatureRefused, StateroomError
from stateroom.slack.events import (
    Deleted,
    Edited,
    Event,
    Ignored,
    Message,
    Opened,
    Stopped,
    TokensRevoked,
    Uninstalled,
    UrlVerification,
    parse,
)
from stateroom.slack.interactions import (
    Acted,
    Check,
    Command,
    command_payload,
    interaction_payload,
    parse_command,
    parse_interaction,
)
from stateroom.slack.signing import SIGNED, SIGNED_AT, Verifier, signed_of

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
Reply = tuple[int, bytes, bytes] | tuple[int, bytes, bytes, list[Header]]  # status, content type, body, more headers
Handler = Callable[..., Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that needs nothing but a row on its way to the disk: what `then` makes of the row's end."""

    row: asyncio.Future[list[Written]]
    then: Callable[[asyncio.Future[list[Written]]], Reply]


# What a request is told: now, when its row is there, or after whatever a task has to wait for.
Direct = Callable[[Mapping[bytes, bytes], bytes], Reply | Later | Coroutine[Any, Any, Reply]]

BODY_LIMIT: Final = 1024 * 1024  # bytes; Slack's own payloads are far smaller
_REMEMBERED: Final = 10_000  # followed threads remembered, to save a read and a row
_YOUNG: Final = 10.0  # seconds since a thread's first message in which its mention may still be on its way
_OVERTAKEN: Final = 1.0  # seconds that a reply waits for it
_JSON: Final = b"application/json"
OK: Final = (200, _JSON, b'{"ok":true}')
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # HEAD is asked of them by monitors and balancers
_NO_WORDS: Final = (200, b"text/plain", b"")  # a body would be shown to the person, or is refused
log = logging.getLogger("stateroom.ingress")


def error(status: int, code: str, detail: str) -> Reply:
    """The one shape of errors."""
    return status, _JSON, msgspec.json.encode({"error": code, "detail": detail})


def headers_of(reply: Reply) -> list[Header]:
    """The headers of an answer."""
    _, kind, body, *more = reply
    return [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(more[0] if more else ())]


class Ingress:
    """The ASGI application. `teams` says which are ours; `wake` tells the worker; `pages` are further routes.

    `secret` may be empty where everything comes over sockets: then no signature is right. `unready` says why Slack
    cannot reach us, if so. `greets`: whether prompts are suggested where a conversation is opened.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        secret: str,
        *,
        teams: Directory,
        wake: Callable[[], None] = lambda: None,
        pages: Mapping[str, tuple[str, Handler]] = MappingProxyType({}),
        unready: Callable[[], str] = str,
        greets: bool = False,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._verifier = Verifier(secret) if secret else None
        self._inbox = Inbox(engine, clock)
        self._teams = teams
        self._wake = wake
        self._unready = unready
        self._greets = greets
        self._interactions = Interactions(self._inbox, clock, wake=wake, count=self._count)
        self._followed: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.counts: Counter[str] = Counter()
        self._routes: Mapping[str, tuple[str, Handler]] = {
            **pages,
            "/slack/events": ("POST", partial(self._signed, self._event)),
            "/slack/interactions": ("POST", partial(self._signed, partial(self._act, parse_interaction))),
            "/slack/commands": ("POST", partial(self._signed, partial(self._act, parse_command))),
            "/healthz": ("GET", self._healthz),
            "/readyz": ("GET", self._readyz),
            "/metrics": ("GET", self._metrics),
        }
        # By the request's target: what needs nothing of a request but its headers and its body.
        self.direct: Mapping[bytes, Direct] = {b"/slack/events": self._at_once}
        self._envelopes: Mapping[str, Callable[[bytes], Awaitable[Reply]]] = {
            "events_api": self._event,
            "interactive": partial(self._act, interaction_payload),
            "slash_commands": partial(self._act, command_payload),
        }
        self._takers: Mapping[type[Any], Callable[[Any], Awaitable[str]]] = {
            Message: self._message,
            Edited: self._edited,
            Deleted: self._deleted,
            Opened: self._opened,
            Stopped: self._stopped,
        }
        self._leavers: Mapping[type[Any], Callable[[Any], Awaitable[str]]] = {
            Uninstalled: teams.uninstalled,
            TokensRevoked: teams.revoked,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        route, head = self._routes.get(scope["path"]), scope["method"] == "HEAD"
        if route is None:
            reply = error(404, "not_found", "there is nothing at this address")
        elif scope["method"] != route[0] and not (head and scope["path"] in PROBES):
            reply = error(405, "method_not_allowed", f"use {route[0]}")
        else:
            reply = await route[1](scope, receive)
        await send({"type": "http.response.start", "status": reply[0], "headers": headers_of(reply)})
        await send({"type": "http.response.body", "body": b"" if head else reply[2]})

    async def envelope(self, kind: str, payload: bytes) -> Mapping[str, Any] | None:
        """One envelope of a socket: what to answer, once it is durable; None when Slack is to send it again."""
        taker = self._envelopes.get(kind)
        if taker is None:
            self.counts["ignored"] += 1
            return {}
        status, _, body, *_more = await taker(payload)
        if status >= 500:
            return None
        return {} if status != 200 or body == OK[2] or not body else msgspec.json.decode(body, type=dict)

    async def _signed(self, then: Callable[[bytes], Awaitable[Reply]], scope: Scope, receive: Receive) -> Reply:
        """What is proven to come from Slack goes on."""
        body = await _body(scope["headers"], receive)
        if body is None:
            return error(413, "too_large", f"a body has at most {BODY_LIMIT} bytes")
        try:
            signed = signed_of(scope["headers"])
        except SignatureRefused as refused:
            return self._refused(refused)
        return self._unproven(*signed, body) or await then(body)

    def _at_once(self, headers: Mapping[bytes, bytes], body: bytes) -> Reply | Later | Coroutine[Any, Any, Reply]:
        """What /slack/events is told; the usual message has no task, which costs as much as checking it."""
        refused = self._unproven(headers.get(SIGNED_AT), headers.get(SIGNED), body)
        if refused is not None:
            return refused
        event = self._read(body)
        if isinstance(event, tuple):
            return event
        return (self._soon(event) if type(event) is Message else None) or self._take(event)

    def _unproven(self, stamp: bytes | None, signature: bytes | None, body: bytes) -> Reply | None:
        """The refusal of what does not come from Slack; what was read whole is verified as it came."""
        try:
            if self._verifier is None:
                raise SignatureRefused("there is no signing secret: this app is reached over Socket Mode")
            self._verifier.check(stamp, signature, body, self._clock())
        except SignatureRefused as refused:
            return self._refused(refused)
        return None

    def _refused(self, refused: SignatureRefused) -> Reply:
        self.counts["refused"] += 1
        log.warning("request refused: %s", refused.reason)
        return error(401, "invalid_signature", refused.reason)

    async def _event(self, body: bytes) -> Reply:
        event = self._read(body)
        return event if isinstance(event, tuple) else await self._take(event)

    def _read(self, body: bytes) -> Event | Reply:
        """The event, or what is told without looking further."""
        try:
            event = parse(body)
        except PayloadRefused as refused:
            return self._malformed(refused)
        if isinstance(event, UrlVerification):
            return 200, _JSON, msgspec.json.encode({"challenge": event.challenge})
        return event

    async def _act(self, read: Callable[[bytes], Acted | Command | Check], body: bytes) -> Reply:
        """An interaction or a command, and what Slack is told in its answer."""
        try:
            found = read(body)
        except PayloadRefused as refused:
            return self._malformed(refused)
        if isinstance(found, Check):
            return _NO_WORDS
        try:
            if not await self._is_ours(found.team, found.enterprise):
                return self._dropped(found.team)
            acts = self._interactions
            said = await (acts.acted(found) if isinstance(found, Acted) else acts.command(found))
        except StateroomError as failed:
            return self._unavailable(failed)
        self.counts["interactions"] += 1
        return (200, _JSON, msgspec.json.encode(said)) if said else _NO_WORDS

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1

    def _malformed(self, refused: PayloadRefused) -> Reply:
        self.counts["malformed"] += 1
        log.warning("payload refused: %s", refused)
        return error(refused.status, refused.code, refused.detail)

    def _dropped(self, team: str | None) -> Reply:
        self.counts["dropped"] += 1
        log.warning("event dropped: team %s is not installed", team)
        return OK

    def _unavailable(self, failed: StateroomError) -> Reply:
        self.counts["unavailable"] += 1
        log.error("event not stored, Slack will redeliver: %s", failed)
        return error(503, "unavailable", "the store cannot take the event now")

    async def _take(self, event: Event) -> Reply:
        taker = self._takers.get(type(event))
        leaver = None if taker is not None else self._leavers.get(type(event))
        if leaver is not None:  # whatever is known of the team, what is kept of it is to go
            return await self._stored(leaver, event)
        if taker is None:
            self.counts["ignored"] += 1
            log.debug("event ignored: %s", event.reason if isinstance(event, Ignored) else type(event).__name__)
            return OK
        team = event.team  # type: ignore[union-attr]
        try:
            if not await self._is_ours(team or "", getattr(event, "enterprise", None)):
                return self._dropped(team)
        except StateroomError as failed:
            return self._unavailable(failed)
        return await self._stored(taker, event)

    async def _is_ours(self, team: str, enterprise: str | None) -> bool:
        """Whether we serve the team; yes while Slack has not said whom SLACK_BOT_TOKEN is for: the worker decides."""
        known = self._teams.may_serve(team, enterprise)
        return await self._teams.look(team, enterprise) is not False if known is None else known

    async def _stored(self, taker: Callable[[Any], Awaitable[str]], event: Event) -> Reply:
        try:
            outcome = await taker(event)
        except StateroomError as failed:
            return self._lost(failed)
        self.counts[outcome] += 1
        return OK

    def _lost(self, failed: StateroomError) -> Reply:
        """What Slack is told of an event that is not on record."""
        if not isinstance(failed, ItemTooLarge):
            return self._unavailable(failed)
        self.counts["malformed"] += 1
        return error(400, "too_large", "the message is larger than the store keeps")

    def _soon(self, event: Message) -> Reply | Later | None:
        """`_take` and `_message` for what is known without a look into the store to be ours; None: it is not."""
        if not self._teams.may_serve(event.team, event.enterprise):
            return None
        lane = _lane(event)
        if not _is_told(event) and (event.thread_ts is None or lane not in self._followed):
            return None
        try:
            row = self._inbox.accept_soon(event)
        except StateroomError as failed:
            return self._lost(failed)
        return None if row is None else Later(row, partial(self._on_record, event, lane))

    def _on_record(self, event: Message, lane: tuple[str, str], row: asyncio.Future[list[Written]]) -> Reply:
        try:
            fresh = row.result()[0].changed
        except StateroomError as failed:
            return self._lost(failed)
        self.counts[self._accepted(event, lane, fresh)] += 1
        return OK

    async def _message(self, event: Message) -> str:
        lane = _lane(event)
        if not _is_told(event) and not await self._is_for_us(event, lane):
            return "ignored"
        return self._accepted(event, lane, await self._inbox.accept(event))

    def _accepted(self, event: Message, lane: tuple[str, str], fresh: bool) -> str:
        if event.source == "mention" or event.mentions_own:
            self._remember(lane)
        if not fresh:
            return "repeated"
        self._wake()
        return "accepted"

    async def _edited(self, event: Edited) -> str:
        outcome = await self._inbox.edited(event)
        if outcome == "notice":
            self._wake()
        return f"edit_{outcome}"

    async def _deleted(self, event: Deleted) -> str:
        outcome = await self._inbox.deleted(event, followed=await self._is_followed(_lane(event)))
        if outcome == "tombstone":
            self._wake()
        return f"delete_{outcome}"

    async def _opened(self, event: Opened) -> str:
        if not self._greets or not await self._inbox.opened(event):
            return "ignored"
        self._wake()
        return "opened"

    async def _stopped(self, event: Stopped) -> str:
        told = await self._inbox.stop(event.team, f"{event.channel}:{event.thread_ts}", before=event.at)
        return "stopped" if told else "ignored"

    async def _is_for_us(self, event: Message, lane: tuple[str, str]) -> bool:
        """Whether the thread is followed. Slack does not order deliveries: a reply to a message that is seconds old
        may overtake the mention that makes us follow, so it waits a moment (Slack waits 3 s for us)."""
        if event.thread_ts is None:
            return False
        young = self._clock() - float(event.thread_ts) < _YOUNG
        ends = self._clock() + (_OVERTAKEN if young else 0.0)
        while not await self._is_followed(lane):
            if self._clock() >= ends:
                return False
            await asyncio.sleep(0.05)
        return True

    async def _is_followed(self, lane: tuple[str, str]) -> bool:
        """Whether we were asked in this thread: it has an open turn, or a thread's row from a turn that is over."""
        if lane in self._followed:
            return True
        (row,) = await self._engine.get(THREADS.name, lane[0], [lane[1]])
        if row is None and not await self._inbox.lane(*lane, limit=1):
            return False
        self._remember(lane)
        return True

    def _remember(self, lane: tuple[str, str]) -> None:
        if lane in self._followed:
            return
        self._followed[lane] = None
        if len(self._followed) > _REMEMBERED:
            self._followed.popitem(last=False)

    async def _healthz(self, _scope: Scope, _receive: Receive) -> Reply:
        return OK

    async def _readyz(self, _scope: Scope, _receive: Receive) -> Reply:
        try:
            await self._inbox.due(limit=1)
        except StateroomError as failed:
            log.error("not ready: %s", failed)
            return error(503, "unavailable", "the store cannot be read")
        if why := self._unready():
            return error(503, "disconnected", why)
        return OK

    async def _metrics(self, _scope: Scope, _receive: Receive) -> Reply:
        lines = [
            "# HELP stateroom_events_total Requests to /slack/events by outcome.",
            "# TYPE stateroom_events_total counter",
        ]
        lines += [f'stateroom_events_total{{outcome="{name}"}} {count}' for name, count in sorted(self.counts.items())]
        return 200, b"text/plain; version=0.0.4", ("\n".join(lines) + "\n").encode()


def _lane(event: Message | Deleted) -> tuple[str, str]:
    return event.team, f"{event.channel}:{event.thread}"


def _is_told(event: Message) -> bool:
    """Whether a message is said to us whatever is known of its thread."""
    return event.source != "channel" or event.mentions_own


async def _body(headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes | None:
    """The raw body, or None when it is over the limit; the rest is read, within reason, so that the sender hears us."""
    too_long = False
    for name, value in headers:
        if name == b"content-length":
            too_long = too_long or not value.isdigit() or int(value) > BODY_LIMIT
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):  # the usual case: all of it is there
        return None if too_long or len(body) > BODY_LIMIT else body
    read, more = len(body), True
    while more and read <= 8 * BODY_LIMIT:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        more = bool(message.get("more_body"))
        read += len(chunk)
        too_long = too_long or read > BODY_LIMIT
        if not too_long:
            body += chunk
    return None if too_long else body
