"""Apps under test, served beside the test: over HTTP from an object, over Socket Mode, or as a command.

Rules of this file: each app runs in a thread or a process of its own, never in the test's loop, so that a test may
wait for it with plain calls. What was started is ended by the object that started it. An app can say whether it is
idle when its work can be seen: `None` means that nobody knows.
"""

from __future__ import annotations

import inspect
from typing import Any

from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin import hosting_bolt, hosting_web
from stateroom.pytest_plugin.hosting_web import Hosted

_KINDS = "a Bolt App or AsyncApp, a WSGI or ASGI application, or the URL of an app that runs"


class Elsewhere:
    """An app that somebody else runs."""

    def __init__(self, url: str) -> None:
        self.url: str | None = url

    def idle(self) -> bool | None:
        return None

    def close(self) -> None:
        return


def is_bolt(app: object) -> bool:
    """Whether it is an App or AsyncApp of slack_bolt, told without importing it."""
    return any(one.__module__.split(".")[0] == "slack_bolt" for one in type(app).__mro__)


def host(app: Any, path: str, *, app_token: str, socket_mode: bool) -> Hosted:
    """Serve an app. Raises WrongUse for what cannot be served."""
    if is_bolt(app):
        return hosting_bolt.host(app, path, app_token=app_token, socket_mode=socket_mode)
    if socket_mode:
        raise WrongUse("Socket Mode is for a Bolt app; run any other one with slack.run(..., socket_mode=True)")
    if isinstance(app, str):
        return Elsewhere(app)
    if not callable(app):
        raise WrongUse(f"{type(app).__name__} cannot be served; give {_KINDS}")
    return hosting_web.AsgiHost(app, path) if _is_asgi(app) else hosting_web.WsgiHost(app, path)


def _is_asgi(app: Any) -> bool:
    """ASGI's callable is a coroutine function, on the object or on its class."""
    call = app if inspect.isroutine(app) else type(app).__call__
    return inspect.iscoroutinefunction(call)
