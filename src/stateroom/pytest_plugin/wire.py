"""The control plane of a local Slack, as plain calls.

Rules of this file: standard library only, one short request a call. Every refusal is SlackRefused with what to do.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from stateroom.model.errors import StateroomError

Json = dict[str, Any]

_SECONDS: Final = 30.0  # an app has 3 s to answer; a machine may be slow


class SlackRefused(StateroomError):
    """The local Slack cannot do what was asked. `.status` is the HTTP status, `.code` and `.detail` say why."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.code = str(body.get("error"))
        self.detail = str(body.get("detail", ""))
        super().__init__(f"the local Slack refuses ({self.code}): {self.detail}")


class Wire:
    """One local Slack at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str | None) -> Json:
        """`GET /_sim/<path>`; a None is left out. Raises SlackRefused."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        return self._ask("GET", f"{path}?{given}" if given else path, None, {})

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """`POST /_sim/<path>`; a None is left out. Raises SlackRefused."""
        data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        return self._ask("POST", path, data, {"Content-Type": "application/json"})

    def send(self, path: str, content: bytes, **query: str | None) -> Json:
        """`POST /_sim/<path>` with bytes. Raises SlackRefused."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        return self._ask("POST", f"{path}?{given}", content, {"Content-Type": "application/octet-stream"})

    def delete(self, path: str) -> Json:
        """`DELETE /_sim/<path>`. Raises SlackRefused."""
        return self._ask("DELETE", path, None, {})

    def _ask(self, verb: str, path: str, data: bytes | None, headers: dict[str, str]) -> Json:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
        try:
            connection.request(verb, f"/_sim/{path}", data, headers)
            response = connection.getresponse()
            answer: Json = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            raise SlackRefused(response.status, answer)
        return answer
