"""What people do in a test's workspace, and how its Slack misbehaves.

Rules of this file: one call, one deed. What an app has to answer raises NotTaken when it did not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stateroom.pytest_plugin import forms
from stateroom.pytest_plugin.base import Workspace
from stateroom.pytest_plugin.values import Json, Message, Reply, View


class People(Workspace):
    """A workspace in which somebody acts."""

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

    # ---- inside

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

    def _taken(self, message: Message) -> bool:
        place = (message.channel, message.ts)
        return any((one["channel"], one["ts"]) == place and one.get("reason") is None for one in self.deliveries())


def _where(target: Message | View) -> Json:
    if isinstance(target, Message):
        return {"channel": target.channel, "ts": target.ts}
    return {"view_id": target.id}
