"""What a local Slack is started with.

Rules of this file: values only; nothing here reads the environment, a file or a clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

SEED_TEAM = "T00000001"
SEED_CHANNEL = "C00000001"
SEED_DM = "D00000001"
SEED_USER = "U00000001"
SEED_OTHER_USER = "U00000002"
SEED_BOT_USER = "UB0000001"
SEED_BOT = "B00000001"
SEED_APP = "A00000001"
SEED_TOKEN = "xoxb-local-1"
SEED_SECRET = "local-signing-secret"
SEED_CLIENT_ID = "local-client-id"
SEED_CLIENT_SECRET = "local-client-secret"
SEED_APP_TOKEN = "xapp-local-1"

TurnWatch = Callable[[], AsyncIterator[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """One local Slack.

    `time_scale` multiplies Slack's own waits (retries after 1 and 5 min, rate windows, idle streams, status lines,
    the age at which a message counts as lost, the 48 h after which an expired item is swept): 0.05 makes a minute 3 s.
    The 3 s an app has to answer, or to use a trigger, are real seconds whatever the scale. `state` is a store URL;
    None keeps everything in memory. `watch` makes an async iterator of turn dicts for the page, `bot_pid_file` names
    the process that the page's "Crash the bot" kills.
    """

    host: str = "127.0.0.1"
    port: int = 0
    state: str | None = None
    manifest: Path | None = None
    event_url: str | None = None
    app_id: str = SEED_APP
    signing_secret: str = SEED_SECRET
    time_scale: float = 1.0
    tiers: bool = False
    bot_pid_file: Path | None = None
    watch: TurnWatch | None = None
    bot_token: str = SEED_TOKEN
    app_token: str = SEED_APP_TOKEN
    stream_idle_seconds: float = 300.0
    ack_seconds: float = 3.0
    trigger_seconds: float = 3.0
    ttl_lag_seconds: float = 172_800.0
    client_id: str = SEED_CLIENT_ID
    client_secret: str = SEED_CLIENT_SECRET

    def scaled(self, seconds: float) -> float:
        """Slack's wait of so many seconds, as long as it takes here."""
        return seconds * self.time_scale
