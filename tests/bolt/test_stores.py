"""Bolt's own parts with our stores: OAuth, authorization, tokens exchanged once, assistant threads, forks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from slack_bolt import App, Assistant, BoltRequest
from slack_bolt.async_app import AsyncApp, AsyncAssistant, AsyncBoltRequest
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk import WebClient
from slack_sdk.errors import SlackTokenRotationError
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.web.async_client import AsyncWebClient

import stateroom as sr
from stateroom import sync
from stateroom.bolt import (
    AssistantThreadContextStore,
    AsyncAssistantThreadContextStore,
    AsyncInstallationStore,
    AsyncOAuthStateStore,
    InstallationStore,
    OAuthStateStore,
    durable,
)
from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET, SEED_SECRET
from support.installations import KEYS_TEXT
from support.installing import app_manifest, authorize_path, client_call, installed, press
from support.local_slack import PATIENCE, LocalSlack, local_slack

pytestmark = pytest.mark.service
Json = dict[str, Any]
CLIENT: dict[str, Any] = {"client_id": SEED_CLIENT_ID, "client_secret": SEED_CLIENT_SECRET}
CHILD = Path(__file__).parents[1] / "support" / "find_bots.py"


@pytest.fixture(scope="module")
def rotating() -> Iterator[LocalSlack]:
    """A local Slack whose app's tokens expire."""
    with local_slack() as running:
        running.register("http://127.0.0.1:9/", manifest=app_manifest(token_rotation_enabled=True))
        yield running


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEROOM_KEYS", KEYS_TEXT)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state.db"


def paired(slack: LocalSlack, team: str, *, seconds: int = 60) -> Installation:
    """A fresh install in a team of its own, whose tokens end soon."""
    made = slack.add_team(team, install=False)
    pair = installed(slack, authorize_path(user_scope="search:read"), team=team, user=made["users"][0])
    person = pair["authed_user"]
    return Installation(
        app_id=pair["app_id"],
        team_id=team,
        user_id=person["id"],
        bot_token=pair["access_token"],
        bot_id="B00000001",
        bot_user_id=pair["bot_user_id"],
        bot_scopes=pair["scope"],
        bot_refresh_token=pair["refresh_token"],
        bot_token_expires_at=int(time.time()) + seconds,
        user_token=person["access_token"],
        user_scopes=person["scope"],
        user_refresh_token=person["refresh_token"],
        user_token_expires_at=int(time.time()) + seconds,
    )


# --- tokens


def test_64_requests_in_four_processes_exchange_an_expiring_token_once(rotating: LocalSlack, url: str) -> None:
    team = "T000000064"
    saved = paired(rotating, team)
    InstallationStore.from_url(url, **CLIENT).save(saved)
    before = len(rotating.calls("oauth.v2.access"))
    arguments = [sys.executable, str(CHILD), url, rotating.api_url, team, "16"]
    children = [subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        tokens = [token for child in children for token in answered(children, child)]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert len(rotating.calls("oauth.v2.access")) - before == 1
    assert len(tokens) == 64
    (token,) = set(tokens)
    assert token != saved.bot_token
    assert rotating.call("auth.test", token=token)["ok"] is True


def answered(children: list[subprocess.Popen[str]], child: subprocess.Popen[str]) -> list[str]:
    """What a child was given; the first that is asked for lets all of them begin."""
    if child is children[0]:
        for one in children:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in children:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
    assert child.stdout is not None
    return list(json.loads(child.stdout.readline()))


def test_bolt_is_given_new_tokens_and_begins_no_exchange_of_its_own(rotating: LocalSlack, url: str) -> None:
    team = "T000000001A"
    store = InstallationStore.from_url(url, **CLIENT, api_url=rotating.api_url)
    saved = paired(rotating, team)
    store.save(saved)
    before = len(rotating.calls("oauth.v2.access"))
    app = App(
        client=WebClient(base_url=rotating.api_url),
        signing_secret=SEED_SECRET,
        oauth_settings=OAuthSettings(**CLIENT, installation_store=store, scopes=["chat:write"]),
    )
    seen: list[tuple[str | None, str | None]] = []

    @app.event("app_mention")
    def listener(context: Any) -> None:
        seen.append((context.bot_token, context.user_token))

    for _ in range(3):
        body = {**mention(team), "authorizations": [{"team_id": team, "user_id": saved.user_id}]}
        body["event"]["user"] = saved.user_id
        app.dispatch(BoltRequest(body=body, mode="socket_mode"))
    app.listener_runner.listener_executor.shutdown()
    assert len(rotating.calls("oauth.v2.access")) - before == 2  # the bot's and the person's
    assert len(seen) == 3  # an exchange of Bolt's own would have failed, the refresh token being spent
    assert len(set(seen)) == 1
    assert None not in seen[0]
    assert seen[0] != (saved.bot_token, saved.user_token)


async def test_the_async_store_exchanges_too(rotating: LocalSlack, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_API_URL", rotating.api_url)
    team = "T000000001B"
    async with sr.open(url) as opened:
        store = AsyncInstallationStore(opened, **CLIENT)
        saved = paired(rotating, team)
        await store.async_save(saved)
        found = await asyncio.gather(*(store.async_find_bot(enterprise_id=None, team_id=team) for _ in range(20)))
    (token,) = {one.bot_token for one in found if one is not None}
    assert token != saved.bot_token
    assert rotating.call("auth.test", token=token)["ok"] is True


def test_a_token_that_slack_gave_up_is_slack_sdks_own_error(rotating: LocalSlack, url: str) -> None:
    team = "T000000001C"
    store = InstallationStore.from_url(url, **CLIENT, api_url=rotating.api_url)
    saved = paired(rotating, team, seconds=-1)
    client_call(rotating, "oauth.v2.access", grant_type="refresh_token", refresh_token=str(saved.bot_refresh_token))
    store.save(saved)
    with pytest.raises(SlackTokenRotationError):
        store.find_bot(enterprise_id=None, team_id=team)


# --- OAuth by Bolt


def test_bolts_own_oauth_pages_install_with_our_stores(slack: LocalSlack, url: str) -> None:
    app = App(
        client=WebClient(base_url=slack.api_url),
        signing_secret=SEED_SECRET,
        oauth_settings=OAuthSettings(
            **CLIENT,
            scopes=["chat:write", "app_mentions:read"],
            redirect_uri="http://127.0.0.1:9/slack/oauth_redirect",
            installation_store=InstallationStore.from_url(url, client_id=SEED_CLIENT_ID),
            state_store=OAuthStateStore.from_url(url, client_id=SEED_CLIENT_ID),
            install_page_rendering_enabled=False,
        ),
    )
    flow = app.oauth_flow
    assert flow is not None
    gone = flow.handle_installation(BoltRequest(body="", query=""))
    cookie = gone.headers["set-cookie"][0].split(";")[0]
    _, back = press(slack, f"/oauth/v2/authorize?{urlsplit(gone.headers['location'][0]).query}")
    query = urlsplit(back).query
    done = flow.handle_callback(BoltRequest(body="", query=query, headers={"cookie": [cookie]}))
    assert done.status == 200
    again = flow.handle_callback(BoltRequest(body="", query=query, headers={"cookie": [cookie]}))
    assert again.status == 401
    stolen = flow.handle_callback(BoltRequest(body="", query=query, headers={"cookie": ["other=1"]}))
    assert stolen.status == 400
    assert parse_qs(query)["state"]
    found = InstallationStore.from_url(url, client_id=SEED_CLIENT_ID).find_bot(enterprise_id=None, team_id="T00000001")
    assert found is not None
    assert slack.call("auth.test", token=found.bot_token)["ok"] is True


def test_a_state_is_used_once_and_ends(url: str) -> None:
    store = OAuthStateStore.from_url(url)
    state = store.issue()
    assert (store.consume(state), store.consume(state), store.consume("made up")) == (True, False, False)
    ended = OAuthStateStore.from_url(url, expiration_seconds=0)
    assert ended.consume(ended.issue()) is False


async def test_an_async_state_is_used_once(url: str) -> None:
    store = AsyncOAuthStateStore.from_url(url)
    state = await store.async_issue()
    assert await store.async_consume(state)
    assert not await store.async_consume(state)
    settings = AsyncOAuthSettings(**CLIENT, state_store=store, scopes=["chat:write"])
    assert settings.state_store is store


# --- assistant threads

OPENED = {"channel_id": "C00000001", "team_id": "T00000001", "enterprise_id": "E00000001"}


def assistant_event(kind: str, **more: Any) -> Json:
    thread = {"user_id": "U00000001", "channel_id": "D00000001", "thread_ts": "1700000000.000100", "context": OPENED}
    body = mention("T00000001")
    body["event"] = {"type": kind, "assistant_thread": thread, "event_ts": "1700000000.000200", **more}
    return body


def said_in_thread() -> Json:
    body = mention("T00000001")
    about = {"type": "message", "user": "U00000001", "text": "hi", "channel": "D00000001", "channel_type": "im"}
    body["event"] = {**about, "ts": "1700000001.000100", "thread_ts": "1700000000.000100"}
    return body


def mention(team: str) -> Json:
    event = {
        "type": "app_mention",
        "user": "U00000001",
        "text": "hi",
        "ts": "1700000000.000100",
        "channel": "C00000001",
    }
    return {
        "type": "event_callback",
        "team_id": team,
        "api_app_id": "A00000001",
        "event": event,
        "event_id": f"Ev{time.monotonic_ns()}",
        "event_time": 1700000000,
        "authorizations": [{"team_id": team, "user_id": "UB0000001", "is_bot": True}],
    }


def test_bolts_assistant_finds_the_context_that_it_saved(slack: LocalSlack, url: str) -> None:
    seen: list[Any] = []
    for number in range(2):  # the second app is another process, later
        app = App(client=WebClient("xoxb-local-1", base_url=slack.api_url), signing_secret=SEED_SECRET)
        assistant = Assistant(thread_context_store=AssistantThreadContextStore.from_url(url))

        @assistant.thread_started
        def started(save_thread_context: Any, payload: Json) -> None:
            save_thread_context(payload["assistant_thread"]["context"])

        @assistant.user_message
        def message(get_thread_context: Any) -> None:
            seen.append(get_thread_context())

        app.assistant(assistant)
        body = said_in_thread() if number else assistant_event("assistant_thread_started")
        assert app.dispatch(BoltRequest(body=body, mode="socket_mode")).status == 200
        app.listener_runner.listener_executor.shutdown()
    assert seen == [OPENED]
    assert seen[0].channel_id == "C00000001"


async def test_bolts_async_assistant_does_too(slack: LocalSlack, url: str) -> None:
    app = AsyncApp(client=AsyncWebClient("xoxb-local-1", base_url=slack.api_url), signing_secret=SEED_SECRET)
    store = AsyncAssistantThreadContextStore.from_url(url)
    assistant, seen = AsyncAssistant(thread_context_store=store), asyncio.Queue[Any]()

    @assistant.user_message
    async def message(get_thread_context: Any) -> None:
        await seen.put(await get_thread_context())

    app.assistant(assistant)
    changed = assistant_event("assistant_thread_context_changed")
    await app.async_dispatch(AsyncBoltRequest(body=changed, mode="socket_mode"))
    ends = time.monotonic() + PATIENCE
    while await store.find(channel_id="D00000001", thread_ts="1700000000.000100") is None:
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)
    await app.async_dispatch(AsyncBoltRequest(body=said_in_thread(), mode="socket_mode"))
    assert await asyncio.wait_for(seen.get(), PATIENCE) == OPENED


def test_a_context_moves_to_the_team_that_it_names(url: str) -> None:
    store = AssistantThreadContextStore.from_url(url)
    place = {"channel_id": "D00000001", "thread_ts": "1700000000.000100"}
    assert store.find(**place) is None
    store.save(**place, context={"channel_id": "C00000001", "team_id": "T00000001"})
    store.save(**place, context={"channel_id": "C00000002", "team_id": "T00000002"})
    assert store.find(**place) == {"channel_id": "C00000002", "team_id": "T00000002"}
    assert AssistantThreadContextStore.from_url(url, client_id="2.2").find(**place) is None


# --- processes


def test_stores_made_before_a_fork_work_after_it(url: str) -> None:
    """As with gunicorn's --preload: made and used in the parent, used in each child."""
    store = OAuthStateStore.from_url(url)
    states = [store.issue() for _ in range(3)]
    child = os.fork()
    if not child:
        try:
            os._exit(0 if store.consume(states[0]) and not store.consume(states[0]) else 1)
        finally:
            os._exit(2)
    signal.alarm(20)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [store.consume(state) for state in states] == [False, True, True]


def test_an_app_made_durable_before_a_fork_works_after_it(slack: LocalSlack, url: str) -> None:
    app = App(client=WebClient("xoxb-local-1", base_url=slack.api_url), signing_secret=SEED_SECRET)
    durable(app, url)
    app.event("app_mention")(lambda say: say("by the child"))
    child = os.fork()
    if not child:
        try:
            told = app.dispatch(BoltRequest(body=mention("T00000001"), mode="socket_mode"))
            app.listener_runner.listener_executor.shutdown()
            os._exit(0 if told.status == 200 else 1)
        finally:
            os._exit(2)
    signal.alarm(20)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [one["text"] for one in slack.messages() if "bot_id" in one] == ["by the child"]


def test_a_store_that_is_handed_in_stays_its_owners(url: str) -> None:
    with sync.open(url) as opened:
        store = OAuthStateStore(opened)
        state = store.issue()
        assert store.consume(state)
    with pytest.raises(sr.WrongUse, match="closed"):
        store.issue()


@pytest.mark.parametrize("face", ["sync", "async"])
def test_an_exchange_logs_no_token_whatever_is_logged(
    rotating: LocalSlack, url: str, caplog: pytest.LogCaptureFixture, face: str
) -> None:
    given = paired(rotating, f"T0HUSH{face.upper():0<6}")
    caplog.set_level(logging.DEBUG)
    kept = InstallationStore.from_url(url, **CLIENT, api_url=rotating.api_url)
    kept.save(given)
    if face == "sync":
        found = kept.find_installation(enterprise_id=None, team_id=given.team_id)
    else:
        other = AsyncInstallationStore.from_url(url, **CLIENT, api_url=rotating.api_url)
        found = asyncio.run(other.async_find_installation(enterprise_id=None, team_id=given.team_id))
    assert found is not None
    assert found.bot_token != given.bot_token
    tokens = [given.bot_token, given.bot_refresh_token, given.user_token, found.bot_token, found.user_token]
    assert not [one for one in tokens if one and one in caplog.text]
