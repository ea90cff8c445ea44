"""Tickets in Slack, with Bolt: mention the app to be told how, `/ticket` to make one, press Close to close it."""

import os
from wsgiref.simple_server import make_server

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk import WebClient
from slack_sdk.oauth.installation_store import FileInstallationStore

CLIENT = {"client_id": os.environ["SLACK_CLIENT_ID"], "client_secret": os.environ["SLACK_CLIENT_SECRET"]}
app = App(
    client=WebClient(base_url=os.environ.get("SLACK_API_URL", WebClient.BASE_URL)),
    signing_secret=os.environ["SLACK_SIGNING_SECRET"],
    oauth_settings=OAuthSettings(
        **CLIENT,
        scopes=["app_mentions:read", "channels:history", "chat:write", "commands"],
        installation_store=FileInstallationStore(client_id=CLIENT["client_id"]),
    ),
)


@app.event("app_mention")
def explain(event, say):
    say("Write `/ticket what is broken`.", thread_ts=event["ts"])


@app.command("/ticket")
def make(ack, command, client):
    if not command["text"]:
        ack("Say what is broken: `/ticket the printer`.")
        return
    ack()
    text = f"<@{command['user_id']}>: {command['text']}"
    close = {"type": "button", "action_id": "close", "text": {"type": "plain_text", "text": "Close"}}
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "actions", "block_id": "ticket", "elements": [close]},
    ]
    client.chat_postMessage(channel=command["channel_id"], text=text, blocks=blocks)


@app.action("close")
def close(ack, body, client, say):
    ack()
    message = body["message"]
    client.chat_update(channel=body["channel"]["id"], ts=message["ts"], text=f"~{message['text']}~", blocks=[])
    say(f"Closed by <@{body['user']['id']}>.", thread_ts=message["ts"])


api = SlackRequestHandler(app)  # for gunicorn

if __name__ == "__main__":
    if "SLACK_APP_TOKEN" in os.environ:
        SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start()
    else:
        make_server("127.0.0.1", int(os.environ.get("PORT", "3000")), api).serve_forever()
