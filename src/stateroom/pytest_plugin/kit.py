"""The fixture `slack`: a Slack workspace in a test's hands.

Rules of this file: plain calls that return when the local Slack has answered; nothing is awaited, so synchronous and
asynchronous tests use it alike. What people do is in `people.py`, what can be seen in `base.py`, what "answered once"
means in `answers.py` and `checks.py`, what a failure shows in `shown.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stateroom.pytest_plugin import checks, clients, hosting, hosting_bolt, processes
from stateroom.pytest_plugin.base import LOOK_SECONDS, NotTaken
from stateroom.pytest_plugin.hosting_web import Hosted
from stateroom.pytest_plugin.people import People
from stateroom.pytest_plugin.processes import AppProcess
from stateroom.pytest_plugin.server import SlackServer
from stateroom.pytest_plugin.values import Json, Message

if TYPE_CHECKING:
    import pytest

__all__ = ["NotTaken", "Slack", "opened"]

START_SECONDS: Final = 20.0  # an app that loads a lot needs some of it


class Slack(People):
    """A workspace in which an app is tested."""

    def start_over(self, manifest: Json | None = None) -> None:
        """Everything as at the start: no word said, no app connected. `manifest` is the app's."""
        self.wire.post("reset", {"everything": True})
        self._declared = manifest
        if manifest is not None:
            self._register(manifest=manifest)

    def close(self) -> None:
        """End the apps that were connected, the last one first."""
        while self._hosts:
            self._hosts.pop().close()

    # ---- the app under test

    def connect(
        self, app: Any, *, socket_mode: bool = False, path: str = "/slack/events", manifest: Json | None = None
    ) -> None:
        """Serve the app under test until the test ends, and send Slack's requests to it.

        `app`: a Bolt App or AsyncApp, a WSGI or ASGI application, or the URL of one that runs. `path` is where it takes
        Slack's requests, `manifest` limits events and scopes and declares commands. A Bolt app keeps its own token and
        signing secret; its client talks to this Slack from now on. Raises WrongUse for anything else.
        """
        if hosting.is_bolt(app):
            self._adopt(app)
        if manifest is not None:
            self._declared = manifest
            self._register(manifest=manifest)
        host = hosting.host(app, path, app_token=self.app_token, socket_mode=socket_mode)
        self._hosts.append(host)
        self._attach(host)

    def run(
        self,
        *command: str,
        socket_mode: bool = False,
        path: str = "/slack/events",
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        manifest: Json | None = None,
    ) -> AppProcess:
        """Run the app under test as a command, with its variables and `PORT` set; returns when it takes requests.

        `port` is where it listens (else a free one, told by `PORT`). Raises AssertionError with its last lines when it
        does not start.
        """
        if manifest is not None:
            self._declared = manifest
            self._register(manifest=manifest)
        chosen = processes.free_port() if port is None else port
        url = None if socket_mode else f"http://127.0.0.1:{chosen}{path}"
        environment = {**os.environ, **self.env, "PORT": str(chosen), **(env or {})}
        log = self.server.log.with_name(f"app-{chosen}.log")
        app = AppProcess(command, environment, log, url, None if cwd is None else Path(cwd))
        self._hosts.append(app)
        self._wait_up(app, chosen)
        if url is not None:
            self._register(event_url=url)
        return app

    def restart(self, app: AppProcess | None = None) -> None:
        """Kill Slack and start it again on what it had acknowledged; or kill an app that `run` started, and start it.

        Slack then sends again what no app had taken.
        """
        if app is not None:
            app.start_again()
            self._wait_up(app, _port_of(app))
            return
        self.server.kill()
        self.server.start()
        for host in self._hosts:
            if host.url is None:
                self._wait_socket(host)

    # ---- claims

    def assert_one_answer(
        self,
        message: Message,
        within: float | None = None,
        *,
        in_thread: bool | None = None,
        text: str | re.Pattern[str] | None = None,
    ) -> Message:
        """The app answers this message exactly once, and it stays at once when nothing is on its way any more.

        `in_thread`: only in its thread (True) or only beside it (False). `text`: words that the answer has. Returns the
        answer; fails with the conversation and the traffic.
        """
        __tracebackhide__ = True
        return checks.one_answer(self, message, within, in_thread, text)

    def assert_no_answer(self, message: Message, within: float | None = None) -> None:
        """The app leaves this message alone, also when nothing is on its way any more."""
        __tracebackhide__ = True
        checks.no_answer(self, message, within)

    def settle(self, within: float | None = None) -> None:
        """Wait until every event was answered and the app has nothing left to do."""
        __tracebackhide__ = True
        checks.settle(self, self.patience if within is None else within)

    # ---- inside

    def _adopt(self, app: Any) -> None:
        """A Bolt app keeps its token and secret: this Slack takes them as the app's."""
        app.client.base_url = self.api_url
        token, secret = app.client.token, getattr(app, "_signing_secret", None)
        self.bot_token, self.signing_secret = token or self.bot_token, secret or self.signing_secret
        self._register(bot_token=self.bot_token, signing_secret=self.signing_secret)

    def _attach(self, host: Hosted) -> None:
        if host.url is None:
            self._wait_socket(host)
        else:
            self._register(event_url=host.url)

    def _wait_up(self, app: AppProcess, port: int) -> None:
        ends = time.monotonic() + START_SECONDS
        while not (self._has_socket() if app.url is None else processes.listens(port)):
            if not app.running or time.monotonic() > ends:
                raise AssertionError(f"the app does not take requests; its last lines:\n{app.last_lines()}")
            time.sleep(LOOK_SECONDS)

    def _wait_socket(self, host: Hosted) -> None:
        self.wait_for(self._has_socket, START_SECONDS, "the app's Socket Mode connection")
        if isinstance(host, hosting_bolt.SyncSocket | hosting_bolt.AsyncSocket):
            host.reconnected()

    def _has_socket(self) -> bool:
        sockets = self.wire.get("sockets")["sockets"]
        return any(one["app_id"] == self.app_id and not one["draining"] for one in sockets)


def _port_of(app: AppProcess) -> int:
    return 0 if app.url is None else int(re.findall(r":(\d+)", app.url)[0])


@contextlib.contextmanager
def opened(
    server: SlackServer, patience: float, manifest: Json | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Slack]:
    """A fresh workspace for as long as the block lasts, with its variables set and slack_sdk pointed at it."""
    slack = Slack(server, patience)
    slack.start_over(manifest)
    for name, value in slack.env.items():
        monkeypatch.setenv(name, value)
    for name in slack.oauth_env:
        monkeypatch.delenv(name, raising=False)
    clients.point_at(slack.api_url, monkeypatch)
    try:
        yield slack
    finally:
        slack.close()
