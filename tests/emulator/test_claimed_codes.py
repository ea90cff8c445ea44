"""Error codes that docs/emulator.md names and that are had only by a detour."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stateroom.emulator.config import SEED_TOKEN
from support.local_slack import LocalSlack, local_slack

pytestmark = pytest.mark.service

KEYS = {"client_id": "ci", "client_secret": "cs"}


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack(time_scale=0.01) as running:
        yield running


def test_a_token_that_was_revoked_is_not_exchanged(slack: LocalSlack) -> None:
    slack.sim("POST", "apps", {"app_id": "A0CODE0001", **KEYS})
    token = slack.sim("POST", "apps/A0CODE0001/install", {"scopes": ["chat:write"]})["access_token"]
    slack.call("auth.revoke", token=token)
    slack.sim("POST", "apps", {"app_id": "A0CODE0001", "manifest": {"settings": {"token_rotation_enabled": True}}})
    answer = slack.request("POST", "/api/oauth.v2.exchange", {"token": token, **KEYS})[1]
    assert answer["error"] == "authorization_not_found"


def test_an_app_uninstalls_itself_alone(slack: LocalSlack) -> None:
    slack.sim("POST", "apps", {"app_id": "A0CODE0002", "client_id": "other", "client_secret": "cs"})
    others = {"client_id": "other", "client_secret": "cs"}
    assert slack.call("apps.uninstall", **others)["error"] == "client_id_token_mismatch"
    assert slack.call("auth.test")["ok"] is True


def test_metadata_is_at_most_8_kb(slack: LocalSlack) -> None:
    metadata = {"event_type": "e", "event_payload": {"x": "y" * 9_000}}
    answer = slack.call("chat.postMessage", channel="C00000001", text="x", metadata=metadata)
    assert answer["error"] == "metadata_too_large"


def test_a_session_that_never_began_has_no_name(slack: LocalSlack) -> None:
    ts = slack.say("hello", channel="D00000001")
    answer = slack.call("agents.sessions.rename", SEED_TOKEN, channel_id="D00000001", thread_ts=ts, title="t")
    assert answer["error"] == "session_not_found"
