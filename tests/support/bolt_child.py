"""Somebody's own Bolt app, to be started as a process and killed: `bolt_child.py sync|async http|socket`.

Rules of this file: what a user would write, made durable by one line. Where a listener is to die, it kills its own
process (SIGKILL) the first time it comes there, as DIE_AT says; it notes each run in the file RUNS.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stateroom import sync
from stateroom.bolt import durable
from stateroom.engines.port import Query

STORE = os.environ["STATEROOM_STORE"]
TOKEN, SECRET, API = (os.environ[f"SLACK_{name}"] for name in ("BOT_TOKEN", "SIGNING_SECRET", "API_URL"))
RUNS = Path(os.environ["RUNS"])
DIE_AT = os.environ.get("DIE_AT", "")
BUTTON = {"type": "button", "action_id": "close", "text": {"type": "plain_text", "text": "Close"}, "value": "T-1"}
BLOCKS = [{"type": "actions", "block_id": "acts", "elements": [BUTTON]}]
INPUT = {"type": "plain_text_input", "action_id": "it"}
FORM: dict[str, Any] = {
    "type": "modal",
    "callback_id": "form",
    "title": {"type": "plain_text", "text": "Form"},
    "submit": {"type": "plain_text", "text": "Send"},
    "notify_on_close": True,
    "blocks": [
        {"type": "input", "block_id": "name", "label": {"type": "plain_text", "text": "Name"}, "element": INPUT}
    ],
}
TOLD = ("responded", "opened", "noted", "submitted", "closed")  # places behind the ack
FAST: dict[str, Any] = {"lease_seconds": 1.0 if DIE_AT else 10.0, "poll_seconds": 0.05, "call_seconds": 2.5}


def note(word: str) -> None:
    with RUNS.open("a") as file:
        file.write(f"{word}\n")


def come_by(place: str) -> None:
    """Die here, the first time."""
    marker = RUNS.with_suffix(f".{place}")
    if place == DIE_AT and not marker.exists():
        marker.touch()
        if place in TOLD:
            wait_for_ack()
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ack() -> None:
    """Until it is on record that Slack is told, which happens in another thread."""

    async def acked(store: Any) -> bool:
        rows = (await store.engine.query(Query("sr_jobs", "T00000001", 20))).rows
        return bool(rows) and all(row.item["acked"] for row in rows)

    with sync.open(STORE) as store:
        while not store.ask(acked):
            time.sleep(0.005)


def sync_app() -> Any:
    from slack_bolt import App
    from slack_sdk import WebClient

    app = App(client=WebClient(TOKEN, base_url=API), signing_secret=SECRET)
    durable(app, STORE, **FAST)

    @app.event("app_mention")
    def mention(event: dict[str, Any], say: Any) -> None:
        note("mention")
        come_by("before")
        say(text=f"first, run {len(RUNS.read_text().split())}", thread_ts=event["ts"])
        come_by("between")
        say(text="second", thread_ts=event["ts"])
        come_by("after")

    @app.command("/ticket")
    def command(ack: Any, body: dict[str, Any], client: Any, respond: Any) -> None:
        note("command")
        come_by("unacked")
        ack(f"noted: {body['text']}")
        respond("seen")
        come_by("responded")
        client.chat_postMessage(channel=body["channel_id"], text="ticket made", blocks=BLOCKS)

    @app.action("close")
    def action(ack: Any, say: Any) -> None:
        note("action")
        ack()
        come_by("pressed")
        say("ticket closed")

    @app.shortcut("start")
    def start(ack: Any, body: dict[str, Any], client: Any) -> None:
        note("start")
        ack()
        opened = client.views_open(trigger_id=body["trigger_id"], view=FORM)
        come_by("opened")
        client.views_update(view_id=opened["view"]["id"], view={**FORM, "private_metadata": "ready"})

    @app.shortcut("note")
    def noted(ack: Any, body: dict[str, Any], say: Any) -> None:
        note("note")
        ack()
        come_by("noted")
        say(f"noted {body['message']['text']}")

    @app.view("form")
    def submitted(ack: Any, view: dict[str, Any], client: Any) -> None:
        note("submitted")
        name = view["state"]["values"]["name"]["it"]["value"]
        if name == "bad":
            ack(response_action="errors", errors={"name": "too bad"})
            return
        ack()
        come_by("submitted")
        client.chat_postMessage(channel="C00000001", text=f"thanks {name}")

    @app.view_closed("form")
    def closed(ack: Any, client: Any) -> None:
        note("closed")
        ack()
        come_by("closed")
        client.chat_postMessage(channel="C00000001", text="never mind")

    return app


def async_app() -> Any:
    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    app = AsyncApp(client=AsyncWebClient(TOKEN, base_url=API), signing_secret=SECRET)
    durable(app, STORE, **FAST)

    @app.event("app_mention")
    async def mention(event: dict[str, Any], say: Any) -> None:
        note("mention")
        come_by("before")
        await say(text=f"first, run {len(RUNS.read_text().split())}", thread_ts=event["ts"])
        come_by("between")
        await say(text="second", thread_ts=event["ts"])
        come_by("after")

    @app.command("/ticket")
    async def command(ack: Any, body: dict[str, Any], client: Any, respond: Any) -> None:
        note("command")
        come_by("unacked")
        await ack(f"noted: {body['text']}")
        await respond("seen")
        await asyncio.to_thread(come_by, "responded")
        await client.chat_postMessage(channel=body["channel_id"], text="ticket made", blocks=BLOCKS)

    @app.action("close")
    async def action(ack: Any, say: Any) -> None:
        note("action")
        await ack()
        come_by("pressed")
        await say("ticket closed")

    @app.shortcut("start")
    async def start(ack: Any, body: dict[str, Any], client: Any) -> None:
        note("start")
        await ack()
        opened = await client.views_open(trigger_id=body["trigger_id"], view=FORM)
        await asyncio.to_thread(come_by, "opened")
        await client.views_update(view_id=opened["view"]["id"], view={**FORM, "private_metadata": "ready"})

    @app.shortcut("note")
    async def noted(ack: Any, body: dict[str, Any], say: Any) -> None:
        note("note")
        await ack()
        await asyncio.to_thread(come_by, "noted")
        await say(f"noted {body['message']['text']}")

    @app.view("form")
    async def submitted(ack: Any, view: dict[str, Any], client: Any) -> None:
        note("submitted")
        name = view["state"]["values"]["name"]["it"]["value"]
        if name == "bad":
            await ack(response_action="errors", errors={"name": "too bad"})
            return
        await ack()
        await asyncio.to_thread(come_by, "submitted")
        await client.chat_postMessage(channel="C00000001", text=f"thanks {name}")

    @app.view_closed("form")
    async def closed(ack: Any, client: Any) -> None:
        note("closed")
        await ack()
        await asyncio.to_thread(come_by, "closed")
        await client.chat_postMessage(channel="C00000001", text="never mind")

    return app


def serve_http(app: Any) -> None:
    """A few lines in place of a web framework: Bolt's adapters do just this."""
    from slack_bolt import BoltRequest

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            told = app.dispatch(BoltRequest(body=body, headers=dict(self.headers)))
            self.send_response(told.status)
            for name, values in told.headers.items():
                self.send_header(name, values[0])
            self.end_headers()
            self.wfile.write(told.body.encode())

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"ready http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


async def serve_async_http() -> None:
    from aiohttp import web
    from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request

    app = async_app()

    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    server = web.Application()
    server.router.add_post("/slack/events", handle)
    runner = web.AppRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def serve_socket(app: Any) -> None:
    from slack_bolt.adapter.socket_mode import SocketModeHandler

    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).connect()
    print("ready socket", flush=True)
    signal.pause()


async def serve_async_socket() -> None:
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

    await AsyncSocketModeHandler(async_app(), os.environ["SLACK_APP_TOKEN"]).connect_async()
    print("ready socket", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    face, transport = sys.argv[1:3]
    if face == "sync":
        (serve_http if transport == "http" else serve_socket)(sync_app())
    else:
        asyncio.run(serve_async_http() if transport == "http" else serve_async_socket())
