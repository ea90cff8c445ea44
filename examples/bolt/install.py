"""Installs the app in the local Slack's workspace without a browser: its seeded bot token goes into the store."""

import os

from slack_sdk import WebClient
from slack_sdk.oauth.installation_store import Installation

from stateroom.bolt import InstallationStore

store = InstallationStore.from_url(os.environ["STATEROOM_STORE"], client_id=os.environ["SLACK_CLIENT_ID"])
token = os.environ.get("SLACK_BOT_TOKEN", "xoxb-local-1")
who = WebClient(token, base_url=os.environ["SLACK_API_URL"]).auth_test()
store.save(
    Installation(
        team_id=who["team_id"],
        user_id="U00000001",
        bot_token=token,
        bot_id=who["bot_id"],
        bot_user_id=who["user_id"],
        bot_scopes=["app_mentions:read", "channels:history", "chat:write", "commands"],
    )
)
