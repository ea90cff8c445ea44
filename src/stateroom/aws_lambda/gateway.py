"""API Gateway's events as requests, and answers as it wants them: payload formats 1.0 and 2.0, and function URLs (2.0).

Rules of this file: pure. The body is the bytes that Slack signed. Formats: AWS's guide "Working with AWS Lambda proxy
integrations for HTTP APIs" and "Lambda proxy integrations in API Gateway".
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from stateroom.model.errors import WrongUse

Header = tuple[bytes, bytes]
_DEFAULT: Final = "$default"


@dataclass(frozen=True)
class Asked:
    """One request. `old`: it came in payload format 1.0, and the answer goes so, too."""

    method: str
    path: str
    query: bytes
    headers: tuple[Header, ...]
    body: bytes
    old: bool

    def scope(self) -> dict[str, Any]:
        """The request as ASGI has it."""
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "headers": list(self.headers),
        }


def asked(event: Mapping[str, Any]) -> Asked:
    """The request of an event. WrongUse for one of another kind."""
    context = event.get("requestContext") if isinstance(event, Mapping) else None
    if not isinstance(context, Mapping):
        raise WrongUse("this is no event of API Gateway or of a function URL; docs/deploy.md has the template")
    try:
        return _new(event, context) if "http" in context else _old(event, context)
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # ValueError: no base64, no UTF-8
        raise WrongUse(f"this event of API Gateway cannot be read ({type(error).__name__})") from None


def answered(request: Asked, status: int, headers: Iterable[Header], body: bytes) -> dict[str, Any]:
    """The answer in the format of the request."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    try:
        text, coded = body.decode(), False
    except UnicodeDecodeError:
        text, coded = base64.b64encode(body).decode(), True
    found: dict[str, Any] = {"statusCode": status, "body": text, "isBase64Encoded": coded}
    if request.old:
        many: dict[str, list[str]] = {}
        for name, value in pairs:
            many.setdefault(name, []).append(value)
        return {**found, "multiValueHeaders": many}
    cookies = [value for name, value in pairs if name == "set-cookie"]
    found["headers"] = {name: value for name, value in pairs if name not in ("set-cookie", "content-length")}
    return {**found, "cookies": cookies} if cookies else found


def _new(event: Mapping[str, Any], context: Mapping[str, Any]) -> Asked:
    pairs = list((event.get("headers") or {}).items())
    if event.get("cookies"):
        pairs.append(("cookie", "; ".join(event["cookies"])))
    path = _without_stage(event["rawPath"], context.get("stage", _DEFAULT))
    query = event.get("rawQueryString") or ""
    return Asked(context["http"]["method"], path, query.encode(), _bytes(pairs), _body(event), old=False)


def _old(event: Mapping[str, Any], context: Mapping[str, Any]) -> Asked:
    many = event.get("multiValueHeaders")
    pairs = (
        [(name, value) for name, values in many.items() for value in values]
        if many
        else list((event.get("headers") or {}).items())
    )
    query = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    path = _without_stage(event["path"], context.get("stage", _DEFAULT))
    return Asked(
        event["httpMethod"], path, urlencode(query, doseq=True).encode(), _bytes(pairs), _body(event), old=True
    )


def _without_stage(path: str, stage: str) -> str:
    """Gateways may put the stage before the path that Slack was given."""
    return path.removeprefix(f"/{stage}") if path.startswith(f"/{stage}/") else path


def _bytes(pairs: Iterable[tuple[str, str]]) -> tuple[Header, ...]:
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs)


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    return base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else str(text).encode()
