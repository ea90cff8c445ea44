"""The fixture `slack`: a Slack workspace in a test's hands.

Rules of this file: plain calls that return when the local Slack has answered; nothing is awaited, so synchronous and
asynchronous tests use it alike. Actions that an app has to answer raise NotTaken when it did not. Waiting is always for
a condition, with a limit; what "answered once" means is in `answers.py`, what a failure shows in `shown.py`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stateroom.emulator import config as seeds
from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin import checks, clients, forms, hosting, hosting_bolt, processes, shown
from stateroom.pytest_plugin.hosting import Hosted
from stateroom.pytest_plugin.processes import AppProcess
from stateroom.pytest_plugin.server import SlackServer
from stateroom.pytest_plugin.values import Json, Message, Reply, View
from stateroom.pytest_plugin.wire import Wire

if TYPE_CHECKING:
    import pytest
    from slack_sdk import WebClient
    from slack_sdk.web.async_client import AsyncWebClient

T = TypeVar("T")
LOOK_SECONDS: Final = 0.01
START_SECONDS: Final = 20.0  # an app that loads a lot needs some of it


class NotTaken(AssertionError):
    """The app did not take an action as Slack demands. `.reply` says what came."""

    def __init__(self, what: str, reply: Reply, transcript: str) -> None:
        super().__init__(f"{what}: {reply.error}. {reply.detail}\n{transcript}")
        self.reply = reply


class Slack:
    """A workspace with two people, #general, and one app with its bot; `server` may be shared with other tests."""

    team = seeds.SEED_TEAM
    channel = seeds.SEED_CHANNEL
    dm = seeds.SEED_DM
    user = seeds.SEED_USER
    other_user = seeds.SEED_OTHER_USER
    app_id = seeds.SEED_APP
    bot_user = seeds.SEED_BOT_USER
    client_id = seeds.SEED_CLIENT_ID
    client_secret = seeds.SEED_CLIENT_SECRET
    app_token = seeds.SEED_APP_TOKEN

    def __init__(self, server: SlackServer, patience: float = 5.0) -> None:
        self.server = server
        self.wire = Wire(server.url)
        self.patience = patience
        self.bot_token = seeds.SEED_TOKEN
        self.signing_secret = seeds.SEED_SECRET
        self._hosts: list[Hosted] = []
        self._declared: Json | None = None

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

    # ---- for the app

    @property
    def url(self) -> str:
        """The workspace in a browser."""
        return self.server.url

    @property
    def api_url(self) -> str:
        """What clients take as `base_url`; ends in a slash."""
        return f"{self.server.url}/api/"

    @property
    def env(self) -> dict[str, str]:
        """The variables of an app; the fixture sets them in the test's own process, too."""
        return {
            "SLACK_API_URL": self.api_url,
            "SLACK_BOT_TOKEN": self.bot_token,
            "SLACK_SIGNING_SECRET": self.signing_secret,
            "SLACK_APP_TOKEN": self.app_token,
        }

    @property
    def oauth_env(self) -> dict[str, str]:
        """What an app that is installed by OAuth needs besides; Bolt ignores the bot token where these are set."""
        return {"SLACK_CLIENT_ID": self.client_id, "SLACK_CLIENT_SECRET": self.client_secret}

    @property
    def mention(self) -> str:
        """The app's bot, as a message mentions it."""
        return f"<@{self.bot_user}>"

    @cached_property
    def client(self) -> WebClient:
        """A client of slack_sdk with the bot's token."""
        from slack_sdk import WebClient

        return WebClient(self.bot_token, base_url=self.api_url)

    @cached_property
    def async_client(self) -> AsyncWebClient:
        """The same for asynchronous tests."""
        from slack_sdk.web.async_client import AsyncWebClient

        return AsyncWebClient(self.bot_token, base_url=self.api_url)

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

    # ---- people act

    def say(
        self,
        text: str,
        *,
        channel: str | None = None,
        thread: Message | str | None = None,
        user: str | None = None,
        files: Sequence[Json] = (),
    ) -> Message:
        """A person writes; `@stateroom` or `slack.mention` mentions the bot. `thread`: a message of it, or its ts."""
        if isinstance(thread, Message):
            channel = channel or thread.channel
        where = thread.thread if isinstance(thread, Message) else thread
        body: Json = {"channel": channel or self.channel, "text": text, "thread_ts": where, "user": user}
        answer = self.wire.post("messages", {**body, "files": list(files) or None})
        return Message.of(answer["message"])

    def edit(self, message: Message, text: str) -> Message:
        """Its author changes a message."""
        self._act("edit", channel=message.channel, ts=message.ts, user=message.user, text=text)
        return self.now(message)

    def delete(self, message: Message) -> None:
        """Its author deletes a message."""
        self._act("delete", channel=message.channel, ts=message.ts, user=message.user)

    def react(self, message: Message, name: str, *, user: str | None = None) -> None:
        """A person adds a reaction; the second time it is taken back."""
        self._act("react", channel=message.channel, ts=message.ts, user=user, name=name)

    def upload(
        self,
        file: Path | str | bytes,
        *,
        name: str | None = None,
        text: str = "",
        channel: str | None = None,
        thread: Message | str | None = None,
        user: str | None = None,
    ) -> Message:
        """A person sends a file (a path, or its bytes) with a message; apps can download it with their token."""
        content = file if isinstance(file, bytes) else Path(file).read_bytes()
        called = name or ("file.txt" if isinstance(file, bytes) else Path(file).name)
        if isinstance(thread, Message):
            channel = channel or thread.channel
        place = channel or self.channel
        sent = self.wire.send("files", content, team=self.team, channel=place, user=user or self.user, name=called)
        return self.say(text, channel=place, thread=thread, user=user, files=[{"id": sent["file"]["id"]}])

    def click(self, target: Message | View, name: str, choice: Any = None, *, user: str | None = None) -> Reply:
        """A person presses what has this action_id, or this text on it, or chooses in it.

        `choice`: an option by its value or text, a user, channel or date, or Slack's own `{"selected_option": …}`.
        """
        target = self.now(target) if isinstance(target, Message) else target
        place = forms.pressed(target.blocks, name)
        body = {"action_id": place.action_id, "block_id": place.block_id, **_where(target), "user": user}
        return self._ask("press", f"the click on {name!r}", **body, **forms.chosen(place, choice))

    def options(self, target: Message | View, name: str, text: str, *, user: str | None = None) -> list[Json]:
        """A person types into a select whose options come from the app; what it offers."""
        place = forms.pressed(target.blocks, name)
        body = {"action_id": place.action_id, "block_id": place.block_id, **_where(target), "user": user}
        return self._ask("suggest", f"the options of {name!r}", **body, value=text).options

    def submit(self, values: Mapping[str, Any], *, view: View | None = None, user: str | None = None) -> Reply:
        """A person fills in a modal (the top one unless told) and submits it.

        `values`: label, action_id or block_id of an input to what is put in. A refusal is in `.errors` of what returns.
        """
        view = view or self.modal(user=user)
        filled = forms.filled(view.blocks, values)
        return self._ask("submit", f"submitting {view.title!r}", view_id=view.id, values=filled, user=user)

    def close_modal(self, view: View | None = None, *, user: str | None = None, cleared: bool = False) -> Reply:
        """A person closes a modal (the top one unless told); `cleared`: the whole stack."""
        view = view or self.modal(user=user)
        return self._ask("close", f"closing {view.title!r}", view_id=view.id, cleared=cleared, user=user)

    def command(self, command: str, text: str = "", *, channel: str | None = None, user: str | None = None) -> Reply:
        """A person types a slash command. Without a manifest the command is declared for the app first."""
        name = "/" + command.removeprefix("/")
        self._declare("slash_commands", {"command": name, "description": name})
        return self._ask("command", name, channel=channel or self.channel, command=name, text=text, user=user)

    def shortcut(self, callback_id: str, message: Message | None = None, *, user: str | None = None) -> Reply:
        """A person uses a shortcut, on a message or a global one. Without a manifest it is declared first."""
        kind = "global" if message is None else "message"
        declared = {"callback_id": callback_id, "name": callback_id, "type": kind, "description": callback_id}
        self._declare("shortcuts", declared)
        where = {} if message is None else {"channel": message.channel, "ts": message.ts}
        return self._ask("shortcut", f"the shortcut {callback_id}", callback_id=callback_id, user=user, **where)

    def open_home(self, *, tab: str = "home", user: str | None = None) -> None:
        """A person opens the app's Home (`home`) or its messages (`messages`)."""
        self._act("open_home", app_id=self.app_id, tab=tab, user=user)

    # ---- Slack misbehaves

    def duplicate(self, message: Message) -> None:
        """Slack sends the events of a message again, with the same ids, as it does when it missed the answer."""
        self.wait_for(lambda: self._taken(message), what="an app to take the first delivery")
        self.wire.post("duplicate", {"channel": message.channel, "ts": message.ts})

    def throttle(self, method: str, times: int = 1, retry_after: int = 1) -> None:
        """The next calls of a method (`chat.*` is a pattern) are answered with 429 and `Retry-After` in seconds."""
        self.fault("throttle", method=method, count=times, retry_after=retry_after)

    def fail(
        self, method: str, error: str = "internal_error", times: int = 1, *, http: int = 200, after_apply: bool = False
    ) -> None:
        """The next calls of a method fail; with `after_apply` they take effect all the same."""
        self.fault("error", method=method, count=times, code=error, http=http, after_apply=after_apply)

    def fault(self, kind: str, **more: Any) -> None:
        """Any fault of docs/emulator.md: `fault("drop_ack", event="message")`."""
        self.wire.post("faults", {"kind": kind, **more})

    # ---- looking

    def messages(self, channel: str | None = None, *, thread: Message | str | None = None) -> list[Message]:
        """What a channel, or one of its threads, shows; oldest first."""
        if isinstance(thread, Message):
            channel, thread = channel or thread.channel, thread.thread
        return [
            Message.of(one)
            for one in self.wire.get("messages", channel=channel or self.channel, thread_ts=thread)["messages"]
        ]

    def now(self, message: Message) -> Message:
        """The message as it looks now. Raises WrongUse when it is gone."""
        for one in self.messages(message.channel):
            if one.ts == message.ts:
                return one
        raise WrongUse(f"the message {message.ts} is not in {message.channel} any more; it was deleted")

    def views(self, user: str | None = None) -> list[View]:
        """The modals that a person has open, the top one last."""
        return [View.of(one) for one in self.wire.get("views", team=self.team, user=user or self.user)["views"]]

    def modal(self, *, user: str | None = None) -> View:
        """The modal that a person sees; waits for one to open."""
        views: list[View] = self.wait_for(lambda: self.views(user), what="a modal to open")
        return views[-1]

    def home(self, user: str | None = None) -> View | None:
        """The App Home that the app has published for a person."""
        homes = self.wire.get("views", team=self.team, user=user or self.user)["homes"]
        return View.of(homes[-1]) if homes else None

    def calls(self, method: str | None = None) -> list[Json]:
        """Web API calls so far: `{method, args, ok, error?, …}`, without tokens."""
        return list(self.wire.get("calls", method=method)["calls"])

    def deliveries(self) -> list[Json]:
        """Attempts to deliver events so far: `{type, attempt, status, reason?, …}`."""
        return list(self.wire.get("deliveries")["deliveries"])

    def interactions(self) -> list[Json]:
        """Commands, clicks and submissions so far, with what came back."""
        return list(self.wire.get("interactions")["interactions"])

    def wait_for(
        self, look: Callable[[], T] | str | re.Pattern[str], within: float | None = None, what: str = ""
    ) -> Any:
        """Wait until `look` returns something true, and return it; or for words in a message of the app: that message.

        Raises AssertionError with conversation and traffic after `within` seconds (`slack_patience` unless told).
        """
        __tracebackhide__ = True
        seen = look if callable(look) else lambda: checks.said(self, look)
        limit = self.patience if within is None else within
        ends = time.monotonic() + limit
        while not (found := seen()):
            if time.monotonic() > ends:
                name = what or (f"the app to say {look!r}" if not callable(look) else "it")
                raise AssertionError(f"waited {limit:g} s for {name} in vain\n{self.transcript()}")
            time.sleep(LOOK_SECONDS)
        return found

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

    def idle(self) -> bool | None:
        """Whether the connected apps have nothing to do; None when one of them cannot tell."""
        known = [host.idle() for host in self._hosts]
        if False in known:
            return False
        return None if None in known or not known else True

    @property
    def over_sockets(self) -> bool:
        """Whether all connected apps are reached over Socket Mode."""
        return bool(self._hosts) and all(host.url is None for host in self._hosts)

    def transcript(self, marks: Mapping[str, str] | None = None) -> str:
        """What was said and what went over the wire, for a failure."""
        state = self.wire.get("state")
        names = {user["id"]: user["name"] for user in state["users"]}
        lines = []
        for channel, raw in state["messages"].items():
            if raw:
                said = [Message.of(one) for one in raw]
                lines += [f"conversation in {channel}:", *_indent(shown.conversation(said, names, marks or {}))]
        traffic = shown.traffic(self.deliveries(), self.calls(), self.interactions())
        return "\n".join([*(lines or ["nothing was said"]), "traffic:", *_indent(traffic)])

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

    def _register(self, **more: Any) -> None:
        self.wire.post("apps", {"app_id": self.app_id, "signing_secret": self.signing_secret, **more})

    def _declare(self, feature: str, entry: Json) -> None:
        """Without a manifest of its own the app declares what a test uses."""
        if self._declared is not None and not self._declared.get("_of_the_kit"):
            return
        features = (self._declared or {"features": {}})["features"]
        listed = features.setdefault(feature, [])
        if entry not in listed:
            listed.append(entry)
            self._declared = {"_of_the_kit": True, "features": features}
            self._register(manifest={"features": features})

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

    def _taken(self, message: Message) -> bool:
        place = (message.channel, message.ts)
        return any((one["channel"], one["ts"]) == place and one.get("reason") is None for one in self.deliveries())

    def _act(self, kind: str, **more: Any) -> Json:
        return self.wire.post("actions", {"kind": kind, "team": self.team, **more})

    def _ask(self, kind: str, what: str, **more: Any) -> Reply:
        reply = Reply(self._act(kind, **more))
        if not reply.ok:
            raise NotTaken(what, reply, self.transcript())
        return reply


def _where(target: Message | View) -> Json:
    if isinstance(target, Message):
        return {"channel": target.channel, "ts": target.ts}
    return {"view_id": target.id}


def _port_of(app: AppProcess) -> int:
    return 0 if app.url is None else int(re.findall(r":(\d+)", app.url)[0])


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


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
