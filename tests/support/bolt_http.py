"""A Bolt app served over HTTP on a free port, sync or async, with its OAuth pages where it has them.

Rules of this file: the app is the test's; here it gets an address, and the local Slack is told.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator

from aiohttp import web
from slack_bolt import App
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.app import SlackAppDevelopmentServer
from slack_bolt.async_app import AsyncApp

from support.local_slack import PATIENCE, LocalSlack


@contextlib.contextmanager
def served(slack: LocalSlack, app: App) -> Iterator[str]:
    """A sync app; yields its address."""
    server = SlackAppDevelopmentServer(port=0, path="/slack/events", app=app, oauth_flow=app.oauth_flow)
    http = server._server
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{http.server_address[1]}"
    slack.register(f"{url}/slack/events")
    try:
        yield url
    finally:
        http.shutdown()
        http.server_close()
        thread.join(PATIENCE)


@contextlib.asynccontextmanager
async def served_async(slack: LocalSlack, app: AsyncApp) -> AsyncIterator[str]:
    """An async app in this loop; yields its address."""

    async def handle(request: web.Request) -> web.Response:
        asked = await to_bolt_request(request)
        flow = app.oauth_flow
        if flow is not None and request.path == flow.install_path:
            return await to_aiohttp_response(await flow.handle_installation(asked))
        if flow is not None and request.path == flow.redirect_uri_path:
            return await to_aiohttp_response(await flow.handle_callback(asked))
        return await to_aiohttp_response(await app.async_dispatch(asked))

    site = web.Application()
    site.router.add_route("*", "/{path:.*}", handle)
    # An event that has just come in would be waited for until Slack gives it up.
    runner = web.AppRunner(site, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    slack.register(f"{url}/slack/events")
    try:
        yield url
    finally:
        await runner.cleanup()
