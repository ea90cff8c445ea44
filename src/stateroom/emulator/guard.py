"""Who may talk to a local Slack: this machine, and no foreign web page.

Rules of this file: pure decisions and one ASGI wrapper. The Host must be a loopback name (else a foreign name was bound
to 127.0.0.1, DNS rebinding), and a request or a socket that a browser opens for another origin is refused, on the
control plane and the Web API alike, because the seeded token is known to everybody. Every page answer carries a policy
without scripts, styles or connections from elsewhere; an answer that has a policy of its own keeps that.
"""

from __future__ import annotations

import json

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


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine, with or without a port."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") and host.count(":") != 0 else host
    return name.strip("[]").lower() in LOOPBACK_HOSTS


def refusal(host: str, origin: str | None) -> tuple[str, str] | None:
    """Why a request is refused, as `(error, detail)`; None when it is welcome."""
    if not is_loopback(host):
        return "forbidden_host", "open the local Slack by its loopback address"
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return "forbidden_origin", "requests from another origin are refused"
    return None


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
