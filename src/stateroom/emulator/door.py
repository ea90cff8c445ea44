"""`/api/…` straight from the server, past the routing: one Web API call is most of what a local Slack is asked.

Rules of this file: HTTP in and out, nothing is decided here but the size of a body. A state that cannot be written is
`internal_error`, with its cause in the log.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stateroom.emulator import api
from stateroom.model.errors import StoreUnavailable

LOG = logging.getLogger(__name__)

PREFIX = "/api/"
BODY_LIMIT = 32 << 20  # 25 items of 400 KB, in a form that writes most characters as three
_JSON = (b"content-type", b"application/json; charset=utf-8")
_METHODS = frozenset({"GET", "POST"})
_TOO_LARGE = api.Answer({"error": "too_large", "detail": f"a body has at most {BODY_LIMIT} bytes"}, 413)
_WRONG_METHOD = api.Answer({"error": "method_not_allowed", "detail": "docs/emulator.md lists what is here"}, 405)
_FAILED = api.Answer({"ok": False, "error": "internal_error"}, 500)


class Door:
    """Wraps the app; `scope["app"].state.workspace` is who answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        answer = _WRONG_METHOD if scope["method"] not in _METHODS else await _answer(scope, receive)
        body = answer.encoded()
        more = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        headers = [_JSON, (b"content-length", b"%d" % len(body)), *more]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _answer(scope: Scope, receive: Receive) -> api.Answer:
    message = await receive()
    body = message.get("body", b"") if not message.get("more_body") else await _rest(message, receive)
    if body is None or len(body) > BODY_LIMIT:
        return _TOO_LARGE
    headers = dict(scope["headers"])
    asked = api.Asked(
        method=scope["path"][len(PREFIX) :],
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        authorization=headers.get(b"authorization", b"").decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        body=body,
        base_url=f"http://{headers[b'host'].decode('latin-1')}",
        verb=scope["method"],
    )
    try:
        return await api.answer(scope["app"].state.workspace, asked)
    except StoreUnavailable as error:
        LOG.error("%s", error)
        return _FAILED


async def _rest(message: Message, receive: Receive) -> bytes | None:
    """A body that comes in parts; None when it is too large to be held, or the client is gone."""
    parts, size = [message.get("body", b"")], len(message.get("body", b""))
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_LIMIT:
            return None
    return b"".join(parts)
