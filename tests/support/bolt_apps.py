"""One Bolt app, sync and async, over HTTP and over sockets: `with bolt_app(slack, "async-socket") as heard:`.

Rules of this file: each listener is written once, as a generator of calls: a sync app runs them, an async app awaits
them. `heard` notes what the listeners saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from aiohttp import web
from slack_bolt import App
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.app import SlackAppDevelopmentServer
from slack_bolt.app.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.emulator.config import SEED_APP, SEED_SECRET, SEED_TOKEN
from support.local_slack import PATIENCE, Json, LocalSlack
from support.sockets import APP_TOKEN

KINDS = ("sync-socket", "async-socket", "sync-http", "async-http")

MANIFEST: Json = {
    "display_information": {"name": "stateroom"},
    "features": {
        "slash_commands": [{"command": "/hello", "description": "Says hello"}],
        "shortcuts": [
            {"name": "Start", "type": "global", "callback_id": "start", "description": "Starts"},
            {"name": "Note", "type": "message", "callback_id": "note", "description": "Notes"},
        ],
    },
}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def button(action_id: str, **more: Any) -> Json:
    return {"type": "button", "action_id": action_id, "text": plain(action_id), **more}


def field(block_id: str, **element: Any) -> Json:
    inside = {"type": "plain_text_input", "action_id": "it", **element}
    return {"type": "input", "block_id": block_id, "label": plain(block_id), "element": inside}


def modal(callback_id: str, blocks: list[Json], **more: Any) -> Json:
    shown = {"type": "modal", "callback_id": callback_id, "title": plain(callback_id), "submit": plain("Send")}
    return {**shown, "notify_on_close": True, "blocks": blocks, **more}


FORM = [
    field("name"),
    {"type": "actions", "block_id": "more", "elements": [button("push")]},
    {
        "type": "input",
        "block_id": "city",
        "optional": True,
        "label": plain("City"),
        "element": {"type": "external_select", "action_id": "it", "min_query_length": 1},
    },
]


def on_mention(it: Any) -> Iterator[Any]:
    spot = {"thread_ts": it.event["ts"], "text": "hello"}
    yield it.say(**spot, blocks=[{"type": "actions", "block_id": "do", "elements": [button("open", value="7")]}])


def on_message(it: Any) -> Iterator[Any]:
    yield from ()


def on_command(it: Any) -> Iterator[Any]:
    yield it.ack(f"hello {it.body['text']}")
    yield it.respond("and again")


def on_open(it: Any) -> Iterator[Any]:
    yield it.ack()
    place = json.dumps({"channel": it.body["channel"]["id"], "ts": it.body["message"]["ts"]})
    view = modal("form", FORM, private_metadata=place)
    yield it.client.views_open(trigger_id=it.body["trigger_id"], view=view)


def on_push(it: Any) -> Iterator[Any]:
    yield it.ack()
    view = modal("second", [field("detail", initial_value="start")])
    yield it.client.views_push(trigger_id=it.body["trigger_id"], view=view)


def on_form(it: Any) -> Iterator[Any]:
    name = it.body["view"]["state"]["values"]["name"]["it"]["value"]
    if name == "bad":
        yield it.ack(response_action="errors", errors={"name": "too bad"})
        return
    yield it.ack()
    place = json.loads(it.body["view"]["private_metadata"] or "{}")
    if place:
        yield it.client.chat_update(**place, text=f"thanks {name}", blocks=[])


def on_second(it: Any) -> Iterator[Any]:
    detail = it.body["view"]["state"]["values"]["detail"]["it"]["value"]
    answers: Json = {
        "update": {"view": modal("second", [field("detail"), field("new", initial_value="n")], title=plain("Changed"))},
        "push": {"view": modal("third", [], submit=None)},
        "clear": {},
    }
    yield it.ack(**({"response_action": detail, **answers[detail]} if detail in answers else {}))


def on_options(it: Any) -> Iterator[Any]:
    names = [name for name in ("Bern", "Berlin", "Rome") if name.startswith(it.body["value"])]
    yield it.ack(options=[{"text": plain(name), "value": name.lower()} for name in names])


def on_closed(it: Any) -> Iterator[Any]:
    yield it.ack()


def on_start(it: Any) -> Iterator[Any]:
    yield it.ack()
    yield it.client.views_open(trigger_id=it.body["trigger_id"], view=modal("form", FORM))


def on_note(it: Any) -> Iterator[Any]:
    yield it.ack()
    said, place = it.body["message"]["text"], it.body["channel"]["id"]
    yield it.client.chat_postMessage(channel=place, thread_ts=it.body["message_ts"], text=f"noted {said}")


def on_home(it: Any) -> Iterator[Any]:
    blocks = [{"type": "actions", "block_id": "do", "elements": [button("again", value="1")]}]
    view = {"type": "home", "callback_id": "home", "blocks": blocks}
    yield it.client.views_publish(user_id=it.event["user"], view=view)


def on_again(it: Any) -> Iterator[Any]:
    yield it.ack()
    view = {"type": "home", "blocks": [{"type": "section", "text": plain(f"pressed {it.body['actions'][0]['value']}")}]}
    yield it.client.views_publish(user_id=it.body["user"]["id"], view=view, hash=it.body["view"]["hash"])


def _register(app: Any, wrap: Callable[[Callable[[Any], Iterator[Any]]], Any]) -> None:
    app.event("app_mention")(wrap(on_mention))
    app.event("message")(wrap(on_message))
    app.event("app_home_opened")(wrap(on_home))
    app.command("/hello")(wrap(on_command))
    app.action("open")(wrap(on_open))
    app.action("push")(wrap(on_push))
    app.action("again")(wrap(on_again))
    app.options("it")(wrap(on_options))
    app.view("form")(wrap(on_form))
    app.view("second")(wrap(on_second))
    app.view_closed("form")(wrap(on_closed))
    app.view_closed("second")(wrap(on_closed))
    app.view_closed("third")(wrap(on_closed))
    app.shortcut("start")(wrap(on_start))
    app.shortcut("note")(wrap(on_note))


class Heard:
    """The bodies that listeners got, by kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bodies: list[Json] = []

    def add(self, body: Json) -> None:
        with self._lock:
            self.bodies.append(body)

    def of(self, kind: str) -> list[Json]:
        return [one for one in self.bodies if kind in (one.get("type"), "command" if "command" in one else None)]

    def events(self, kind: str) -> list[Json]:
        return [one["event"] for one in self.of("event_callback") if one["event"]["type"] == kind]


def sync_app(slack: LocalSlack, heard: Heard) -> App:
    app = App(client=WebClient(token=SEED_TOKEN, base_url=slack.api_url), signing_secret=SEED_SECRET)

    def wrap(listener: Callable[[Any], Iterator[Any]]) -> Any:
        def run(args: Any) -> None:
            heard.add(args.body)
            for _ in listener(args):
                pass

        return run

    _register(app, wrap)
    return app


def listening(app: AsyncApp, heard: Heard) -> AsyncApp:
    """An async app, however it knows its tokens, with the listeners of this file."""

    def wrap(listener: Callable[[Any], Iterator[Any]]) -> Any:
        async def run(args: Any) -> None:
            heard.add(args.body)
            for step in listener(args):
                await step

        return run

    _register(app, wrap)
    return app


def async_app(slack: LocalSlack, heard: Heard) -> AsyncApp:
    client = AsyncWebClient(token=SEED_TOKEN, base_url=slack.api_url)
    return listening(AsyncApp(client=client, signing_secret=SEED_SECRET), heard)


@contextlib.contextmanager
def _sync_socket(slack: LocalSlack, heard: Heard) -> Iterator[None]:
    # Bolt looks every 10 s whether its socket is still there.
    handler = SocketModeHandler(sync_app(slack, heard), APP_TOKEN, ping_interval=0.5)
    handler.connect()
    try:
        yield
    finally:
        handler.close()


@contextlib.contextmanager
def _sync_http(slack: LocalSlack, heard: Heard) -> Iterator[None]:
    server = SlackAppDevelopmentServer(port=0, path="/slack/events", app=sync_app(slack, heard))
    http = server._server
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    slack.register(f"http://127.0.0.1:{http.server_address[1]}/slack/events")
    try:
        yield
    finally:
        http.shutdown()
        http.server_close()
        thread.join(PATIENCE)


@contextlib.asynccontextmanager
async def _over_socket(slack: LocalSlack, heard: Heard) -> AsyncIterator[None]:
    handler = AsyncSocketModeHandler(async_app(slack, heard), APP_TOKEN)
    await handler.connect_async()
    try:
        yield
    finally:
        await handler.close_async()


@contextlib.asynccontextmanager
async def _over_http(slack: LocalSlack, heard: Heard) -> AsyncIterator[None]:
    app = async_app(slack, heard)

    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    site = web.Application()
    site.router.add_post("/slack/events", handle)
    runner = web.AppRunner(site, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await asyncio.to_thread(slack.register, f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
    try:
        yield
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _in_a_loop(made: contextlib.AbstractAsyncContextManager[None]) -> Iterator[None]:
    """An async app in a thread with a loop of its own."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def run() -> None:
        async with made:
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE), "the Bolt app did not start"
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(PATIENCE)
        loop.close()


@contextlib.contextmanager
def bolt_app(slack: LocalSlack, kind: str, manifest: Json | None = None) -> Iterator[Heard]:
    """The app of this file, registered and reachable; `kind` is one of KINDS."""
    heard = Heard()
    slack.sim("POST", "apps", {"app_id": SEED_APP, "manifest": manifest or MANIFEST})
    made = {
        "sync-socket": lambda: _sync_socket(slack, heard),
        "sync-http": lambda: _sync_http(slack, heard),
        "async-socket": lambda: _in_a_loop(_over_socket(slack, heard)),
        "async-http": lambda: _in_a_loop(_over_http(slack, heard)),
    }
    with made[kind]():
        yield heard
