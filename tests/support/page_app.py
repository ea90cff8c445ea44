"""An app for tests of the page: it notes what it is asked and answers what the test says.

Rules of this file: it lives in the test's own loop, beside the browser's. `answers` goes from what came (an event's or
a payload's type, a command's name) to a JSON answer, an HTTP status, or an event that holds what comes until it is set,
to be answered then; without one it is 200 and nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from stateroom.emulator.config import SEED_APP
from support.local_slack import Json, LocalSlack, eventually

MANIFEST: Json = {
    "display_information": {"name": "stateroom"},
    "features": {
        "slash_commands": [{"command": "/deploy", "description": "Sends it out", "usage_hint": "<what>"}],
        "shortcuts": [
            {"name": "Start a form", "type": "global", "callback_id": "start", "description": "Opens a form"},
            {"name": "Take a note", "type": "message", "callback_id": "note", "description": "Keeps it"},
        ],
    },
    "oauth_config": {"redirect_urls": ["http://127.0.0.1:9/oauth"], "scopes": {"bot": ["chat:write"]}},
}


@dataclass
class PageApp:
    """`bodies` in the order they came; `answers` may be changed at any time."""

    slack: LocalSlack
    url: str = ""
    bodies: list[Json] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)

    def of(self, kind: str) -> list[Json]:
        return [one for one in self.bodies if kind_of(one) == kind]

    async def heard(self, kind: str) -> Json:
        """The last body of a kind, once there is one."""
        return (await eventually(lambda: self.of(kind)))[-1]

    async def handle(self, request: web.Request) -> web.Response:
        body = read(await request.text(), request.content_type)
        self.bodies.append(body)
        while isinstance(said := self.answers.get(kind_of(body)), asyncio.Event):
            await said.wait()
        if isinstance(said, int):
            return web.Response(status=said)
        return web.Response() if said is None else web.json_response(said)

    def open_modal(self, view: Json, kind: str) -> Json:
        """`views.open` with the trigger of the last body of a kind."""
        answer = self.slack.call("views.open", trigger_id=self.of(kind)[-1]["trigger_id"], view=view)
        assert answer["ok"], answer
        return dict(answer["view"])


def read(text: str, content_type: str) -> Json:
    if content_type == "application/json":
        return dict(json.loads(text))
    form = dict(parse_qsl(text, keep_blank_values=True))
    return dict(json.loads(form["payload"])) if "payload" in form else form


def kind_of(body: Json) -> str:
    if "command" in body:
        return str(body["command"])
    return str(body["event"]["type"] if body.get("type") == "event_callback" else body["type"])


@asynccontextmanager
async def page_app(slack: LocalSlack, manifest: Json | None = None) -> AsyncIterator[PageApp]:
    """Registered as the seeded app, over HTTP."""
    app = PageApp(slack)
    site = web.Application()
    site.router.add_post("/slack/events", app.handle)
    runner = web.AppRunner(site, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        app.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": manifest or MANIFEST, "event_url": app.url})
        yield app
    finally:
        await runner.cleanup()


def modal(blocks: list[Json], **more: Any) -> Json:
    title = {"type": "plain_text", "text": "A form"}
    send = {"type": "plain_text", "text": "Send"}
    return {"type": "modal", "callback_id": "form", "title": title, "submit": send, "blocks": blocks, **more}


def field_of(block_id: str, label: str = "", **element: Any) -> Json:
    """An input block; `optional` may be among the rest."""
    optional = element.pop("optional", False)
    inside = {"type": "plain_text_input", "action_id": "it", **element}
    named = {"type": "plain_text", "text": label or block_id}
    return {"type": "input", "block_id": block_id, "label": named, "element": inside, "optional": optional}
