"""Tokens that expire: pairs, refresh tokens that work once, at most two at a time, and slack_sdk's own rotator."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.token_rotation import TokenRotator
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from slack_sdk.web.async_client import AsyncWebClient

from stateroom.emulator.config import SEED_APP, SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_TOKEN
from support.installing import app_manifest, authorize_path, client_call, installed
from support.local_slack import Clock, LocalSlack, local_slack

pytestmark = pytest.mark.service

Json = dict[str, Any]
NUMBERS = itertools.count()
CLIENT = {"client_id": SEED_CLIENT_ID, "client_secret": SEED_CLIENT_SECRET}


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with local_slack() as running:
        running.register("http://127.0.0.1:9/", manifest=app_manifest(token_rotation_enabled=True))
        yield running


@pytest.fixture
def pair(slack: LocalSlack) -> Json:
    """A fresh install in a team of this test's own, with a bot's pair and a person's."""
    team = f"T000R{next(NUMBERS):06d}"
    made = slack.add_team(team, install=False)
    return installed(slack, authorize_path(user_scope="search:read"), team=team, user=made["users"][0])


def refreshed(slack: LocalSlack, refresh_token: str) -> Json:
    return client_call(slack, "oauth.v2.access", grant_type="refresh_token", refresh_token=refresh_token)


def works(slack: LocalSlack, token: str) -> str:
    """`ok`, or the error that a token answers with."""
    answer = slack.call("auth.test", token=token)
    return "ok" if answer["ok"] else str(answer["error"])


def as_installation(pair: Json) -> Installation:
    now = int(time.time())
    person = pair["authed_user"]
    return Installation(
        app_id=pair["app_id"],
        team_id=pair["team"]["id"],
        user_id=person["id"],
        bot_token=pair["access_token"],
        bot_id="B1",
        bot_user_id=pair["bot_user_id"],
        bot_refresh_token=pair["refresh_token"],
        bot_token_expires_at=now + 60,
        user_token=person["access_token"],
        user_refresh_token=person["refresh_token"],
        user_token_expires_at=now + 60,
    )


def test_a_pair_is_of_slacks_shape_and_lives_for_twelve_hours(slack: LocalSlack, pair: Json) -> None:
    person = pair["authed_user"]
    assert pair["access_token"].startswith("xoxe.xoxb-1-")
    assert person["access_token"].startswith("xoxe.xoxp-1-")
    for one in (pair, person):
        assert one["refresh_token"].startswith("xoxe-1-")
        assert one["expires_in"] == 43_200
        assert works(slack, one["access_token"]) == "ok"


def test_a_refresh_token_works_once(slack: LocalSlack, pair: Json) -> None:
    renewed = refreshed(slack, pair["refresh_token"])
    assert renewed["token_type"] == "bot"
    for name in ("app_id", "scope", "bot_user_id", "team", "enterprise", "is_enterprise_install"):
        assert renewed[name] == pair[name]
    assert refreshed(slack, pair["refresh_token"])["error"] == "invalid_refresh_token"
    assert refreshed(slack, "xoxe-1-made-up")["error"] == "invalid_refresh_token"
    assert works(slack, pair["access_token"]) == "ok"
    assert works(slack, renewed["access_token"]) == "ok"
    assert refreshed(slack, renewed["refresh_token"])["ok"] is True


def test_a_third_token_pushes_the_oldest_out(slack: LocalSlack, pair: Json) -> None:
    tokens, refresh = [pair["access_token"]], pair["refresh_token"]
    for _ in range(2):
        renewed = refreshed(slack, refresh)
        tokens, refresh = [*tokens, renewed["access_token"]], renewed["refresh_token"]
    assert [works(slack, token) for token in tokens] == ["token_revoked", "ok", "ok"]


def test_another_apps_refresh_token_is_none(slack: LocalSlack, pair: Json) -> None:
    slack.sim("POST", "apps", {"app_id": "A0OTHER", "client_id": "9.9", "client_secret": "other"})
    args = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    assert client_call(slack, "oauth.v2.access", ("9.9", "other"), **args)["error"] == "invalid_refresh_token"
    assert refreshed(slack, pair["refresh_token"])["ok"] is True


def test_an_expired_token_says_so_and_can_still_be_renewed(slack: LocalSlack, pair: Json) -> None:
    place = pair["team"]["id"]
    assert slack.sim("POST", f"apps/{SEED_APP}/expire", {"team": place})["tokens"] == 2
    assert works(slack, pair["access_token"]) == "token_expired"
    assert works(slack, pair["authed_user"]["access_token"]) == "token_expired"
    assert works(slack, refreshed(slack, pair["refresh_token"])["access_token"]) == "ok"


def test_twelve_hours_shrink_with_the_time_scale() -> None:
    clock = Clock()
    with local_slack(time_scale=1 / 43_200, clock=clock) as slack:
        slack.register("http://127.0.0.1:9/", manifest=app_manifest(token_rotation_enabled=True))
        pair = installed(slack, authorize_path())
        assert pair["expires_in"] == 1
        clock.forward(0.9)
        assert works(slack, pair["access_token"]) == "ok"
        clock.forward(0.2)
        assert works(slack, pair["access_token"]) == "token_expired"


def test_slack_sdks_rotator_renews_bot_and_person(slack: LocalSlack, pair: Json) -> None:
    rotator = TokenRotator(**CLIENT, client=WebClient(base_url=slack.api_url))
    renewed = rotator.perform_token_rotation(installation=as_installation(pair))
    assert renewed is not None
    assert renewed.bot_token != pair["access_token"]
    assert renewed.user_token != pair["authed_user"]["access_token"]
    assert renewed.bot_token_expires_at is not None
    assert renewed.bot_token_expires_at > time.time() + 40_000
    for token in (renewed.bot_token, renewed.user_token):
        assert works(slack, str(token)) == "ok"


async def test_slack_sdks_async_rotator_does_too(slack: LocalSlack, pair: Json) -> None:
    rotator = AsyncTokenRotator(**CLIENT, client=AsyncWebClient(base_url=slack.api_url))
    renewed = await rotator.perform_token_rotation(installation=as_installation(pair))
    assert renewed is not None
    assert works(slack, str(renewed.bot_token)) == "ok"


def test_revoking_takes_the_refresh_token_along(slack: LocalSlack, pair: Json) -> None:
    WebClient(token=pair["access_token"], base_url=slack.api_url).auth_revoke()
    assert works(slack, pair["access_token"]) == "account_inactive"
    assert refreshed(slack, pair["refresh_token"])["error"] == "invalid_refresh_token"


def test_a_token_that_never_expires_is_exchanged_once(slack: LocalSlack) -> None:
    client = WebClient(base_url=slack.api_url)
    with pytest.raises(SlackApiError, match="invalid_token"):
        client.oauth_v2_exchange(token="xoxb-none", **CLIENT)
    pair = client.oauth_v2_exchange(token=SEED_TOKEN, **CLIENT)
    assert pair["access_token"].startswith("xoxe.xoxb-1-")
    assert (pair["expires_in"], pair["token_type"], pair["bot_user_id"]) == (43_200, "bot", "UB0000001")
    assert works(slack, pair["access_token"]) == "ok"
    assert works(slack, SEED_TOKEN) == "token_revoked"
    with pytest.raises(SlackApiError, match="token_already_exchanged"):
        client.oauth_v2_exchange(token=SEED_TOKEN, **CLIENT)
    with pytest.raises(SlackApiError, match="invalid_token"):
        client.oauth_v2_exchange(token=pair["access_token"], **CLIENT)
    assert SEED_TOKEN not in str(slack.calls("oauth.v2.exchange"))


def test_an_app_that_does_not_rotate_exchanges_nothing() -> None:
    with local_slack() as slack, pytest.raises(SlackApiError, match="token_rotation_not_enabled"):
        WebClient(base_url=slack.api_url).oauth_v2_exchange(token=SEED_TOKEN, **CLIENT)
