"""Who may talk to a local Slack: this machine, and no foreign web page.

Rules of this file: pure decisions and one ASGI wrapper. The Host must be a loopback name (else a foreign name was bound
to 127.0.0.1, DNS rebinding), and a request or a socket that a browser opens for another origin is refused, on the
control plane and the Web API alike, because the seeded token is known to everybody. An image or a link of a foreign
page carries no `Origin`, but `Sec-Fetch-Site` (w3.org/TR/fetch-metadata); it may lead to what people look at, no
further. Every page answer carries a policy without scripts, styles or connections from elsewhere; an answer that has
a policy of its own keeps that.
"""

from __future__ import annotations

import json
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateroom.emulator.config import LOOPBACK_HOSTS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


_HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?", re.ASCII)
_FOREIGN = frozenset({"cross-site", "same-site"})  # another port of this machine is the same site
# What a link may lead to from anywhere: pages, and addresses that lead to one. Nothing here changes by being looked at.
_PAGES = ("/oauth/v2/authorize", "/archives/")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine, with or without a port."""
    found = _HOST.fullmatch(host.lower())
    return found is not None and found[1].strip("[]") in LOOPBACK_HOSTS


def refusal(host: str, origin: str | None) -> tuple[str, str] | None:
    """Why a request is refused, as `(error, detail)`; None when it is welcome."""
    if not is_loopback(host):
        return "forbidden_host", "open the local Slack by its loopback address"
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return "forbidden_origin", "requests from another origin are refused"
    return None


def strayed(site: str, mode: str, path: str) -> tuple[str, str] | None:
    """Why a request that a foreign page caused is refused, by `Sec-Fetch-Site` and `Sec-Fetch-Mode`."""
    if site.lower() not in _FOREIGN or (mode.lower() == "navigate" and (path == "/" or path.startswith(_PAGES))):
        return None
    return "forbidden_origin", "requests from another origin are refused"


class Guard:
    """Wraps the app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        problem = refusal(
            headers.get(b"host", b"").decode("latin-1"), origin.decode("latin-1") if origin is not None else None
        ) or strayed(
            headers.get(b"sec-fetch-site", b"").decode("latin-1"),
            headers.get(b"sec-fetch-mode", b"").decode("latin-1"),
            scope["path"],
        )
        if problem is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": problem[0]})
            return
        if problem is not None:
            await _refuse(send, *problem)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                own = {name.lower() for name, _ in given}
                message["headers"] = (*given, *(one for one in HEADERS if one[0] not in own))
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _refuse(send: Send, error: str, detail: str) -> None:
    body = json.dumps({"error": error, "detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
