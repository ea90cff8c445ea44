"""Installations for tests: their values, and keys to seal them with."""

from __future__ import annotations

import base64
from typing import Any

from stateroom.model.sealing import Keyring

CLIENT = "1.1"
TEAM = "T01234567"
ORG = "E01234567"
KEYS_TEXT = f"k1:{base64.b64encode(bytes(range(32))).decode()}"
KEYS = Keyring.parse(KEYS_TEXT)


def installation(number: float = 1, **more: Any) -> dict[str, Any]:
    """One that was made `number` seconds after the beginning, with a token that says so."""
    given: dict[str, Any] = {**bot(number), "user_id": "U00000001"}
    return given | more


def bot(number: float = 1, **more: Any) -> dict[str, Any]:
    """The bot of such a one."""
    given: dict[str, Any] = {
        "app_id": "A00000001",
        "team_id": TEAM,
        "team_name": "Acme",
        "bot_token": f"xoxb-{number}",
        "bot_id": "B00000001",
        "bot_user_id": "U0000B0T1",
        "bot_scopes": "chat:write",
        "installed_at": 1_700_000_000 + number,
    }
    return given | more
