"""The workspace that the fixture `slack` stands for: who is there, what is shown, what went over the wire.

Rules of this file: reading, and waiting for what can be read; waiting is always for a condition, with a limit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stateroom.emulator import config as seeds
from stateroom.model.errors import WrongUse
from stateroom.pytest_plugin import shown
from stateroom.pytest_plugin.hosting_web import Hosted
from stateroom.pytest_plugin.server import SlackServer
from stateroom.pytest_plugin.values import Json, Message, Reply, View
from stateroom.pytest_plugin.wire import Wire

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.web.async_client import AsyncWebClient

T = TypeVar("T")
LOOK_SECONDS: Final = 0.01


class NotTaken(AssertionError):
    """The app did not take an action as Slack demands. `.reply` says what came."""

    def __init__(self, what: str, reply: Reply, transcript: str) -> None:
        super().__init__(f"{what}: {reply.error}. {reply.detail}\n{transcript}")
        self.reply = reply


class Workspace:
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
        seen = look if callable(look) else lambda: said(self, look)
        limit = self.patience if within is None else within
        ends = time.monotonic() + limit
        while not (found := seen()):
            if time.monotonic() > ends:
                name = what or (f"the app to say {look!r}" if not callable(look) else "it")
                raise AssertionError(f"waited {limit:g} s for {name} in vain\n{self.transcript()}")
            time.sleep(LOOK_SECONDS)
        return found

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

    # ---- the apps

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

    # ---- inside

    def _act(self, kind: str, **more: Any) -> Json:
        return self.wire.post("actions", {"kind": kind, "team": self.team, **more})

    def _ask(self, kind: str, what: str, **more: Any) -> Reply:
        reply = Reply(self._act(kind, **more))
        if not reply.ok:
            raise NotTaken(what, reply, self.transcript())
        return reply


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def said(slack: Workspace, text: str | re.Pattern[str]) -> Message | None:
    """The newest message of an app with these words, in any channel."""
    raw = [one for many in slack.wire.get("state")["messages"].values() for one in many]
    found = [one for one in map(Message.of, raw) if one.bot_id is not None and one.is_final and has(one, text)]
    return max(found, key=lambda one: one.ts, default=None)


def has(message: Message, text: str | re.Pattern[str]) -> bool:
    """Whether a message has these words."""
    return text in message.text if isinstance(text, str) else text.search(message.text) is not None
