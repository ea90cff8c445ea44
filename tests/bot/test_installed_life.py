"""An installation's whole life with the real program: install, use, rotate, revoke, uninstall, reinstall.

`stateroom serve` as a process, a local Slack whose tokens expire, a browser. At each step the raw files of the store
are searched for tokens.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from stateroom.emulator.config import SEED_CLIENT_ID, SEED_CLIENT_SECRET
from stateroom.engines import leases
from stateroom.engines.port import Query, Update
from stateroom.store import Store
from support.bot import Child, bot, children, envelope, environment, mention, post_async
from support.browser import Browser, channel_of, own_bot, who, whole
from support.installations import KEYS, KEYS_TEXT
from support.installing import app_manifest
from support.local_slack import LocalSlack, eventually, local_slack

pytestmark = pytest.mark.service
TEAM = "T0LIFE0001"
HERE: dict[str, Any] = {"enterprise_id": None, "team_id": TEAM}
APP: dict[str, Any] = {"client_id": SEED_CLIENT_ID, "client_secret": SEED_CLIENT_SECRET, "keys": KEYS, "bot_token": ""}


@pytest.fixture
def slack() -> Iterator[LocalSlack]:
    """A local Slack whose app's tokens expire, and a workspace without it."""
    with local_slack() as running:
        manifest = app_manifest(token_rotation_enabled=True)
        del manifest["oauth_config"]["redirect_urls"]  # then any address of this machine will do
        running.register("http://127.0.0.1:9/", manifest=manifest)
        running.add_team(TEAM, install=False)
        yield running


@pytest.fixture
def begin() -> Iterator[Callable[..., Child]]:
    with children() as starter:
        yield starter


class Site:
    """The bot's process and its store."""

    def __init__(self, slack: LocalSlack, folder: Path, child: Child) -> None:
        self.slack = slack
        self.folder = folder
        self.child = child
        self.url = f"sqlite:///{folder}/state.db"

    def no_token_on_disk(self) -> None:
        """Neither in the store's files nor in the log."""
        for file in [*self.folder.glob("state.db*"), self.child.log]:
            found = file.read_bytes()
            for mark in (b"xoxb-", b"xoxe", b"xoxp-"):
                assert mark not in found, (file.name, mark)

    async def install(self) -> None:
        page = await asyncio.to_thread(lambda: Browser().install(self.slack, self.child.url, **who(self.slack, TEAM)))
        assert page.status == 200, page
        self.no_token_on_disk()

    def ask(self) -> str:
        words = f"<@{own_bot(self.slack, TEAM)}> hello"
        return self.slack.say(words, channel=channel_of(self.slack, TEAM), **who(self.slack, TEAM))

    async def use(self) -> None:
        ts = self.ask()
        assert len(await eventually(lambda: whole(self.slack, ts, TEAM))) == 1
        ends = time.monotonic() + 30  # Slack shows the answer a moment before the turn is over
        while "sr_threads" not in await self.tables():
            assert time.monotonic() < ends
            await asyncio.sleep(0.02)
        self.no_token_on_disk()

    async def state(self) -> str:
        async with Store(self.url) as store:
            return await store.installations(client_id=SEED_CLIENT_ID).state_of(**HERE)

    async def reaches(self, state: str) -> None:
        ends = time.monotonic() + 30
        while (found := await self.state()) != state:
            assert time.monotonic() < ends, (found, state)
            await asyncio.sleep(0.05)
        self.no_token_on_disk()

    async def near_its_end(self, seconds: int = 60) -> dict[str, Any]:
        """Make the stored token one that ends so soon; the bot as it was."""
        async with Store(self.url, keys=KEYS) as store:
            kept = store.installations(client_id=SEED_CLIENT_ID)
            found = await kept.find_bot(**HERE)
            assert found is not None
            await kept.save_bot({**found, "bot_token_expires_at": int(time.time()) + seconds})
            return found

    async def lease_is_over(self) -> None:
        """Let the time pass in which nobody else exchanges the token, after whoever did was killed."""
        async with Store(self.url) as store:
            for row in (await store.raw.query(Query(leases.TABLE.name, TEAM, 100, whole=True))).rows:
                if row.id.startswith("rotate:"):
                    await store.raw.commit([Update(leases.TABLE.name, TEAM, row.id, set={"until": 0})])

    async def tables(self) -> dict[str, int]:
        """Rows of the workspace, by table."""
        async with Store(self.url) as store:
            found = {}
            for table in [d.name for d in await store.everything()]:
                rows = (await store.engine.query(Query(table, TEAM, 1000, whole=True))).rows
                if rows:
                    found[table] = len(rows)
            return found

    async def is_empty(self) -> None:
        ends = time.monotonic() + 30
        while found := await self.tables():
            assert time.monotonic() < ends, found
            await asyncio.sleep(0.05)


def app_environment(slack: LocalSlack, folder: Path) -> dict[str, str]:
    more = {"SLACK_CLIENT_ID": SEED_CLIENT_ID, "SLACK_CLIENT_SECRET": SEED_CLIENT_SECRET, "STATEROOM_KEYS": KEYS_TEXT}
    return environment(slack, f"sqlite:///{folder}/state.db", SLACK_BOT_TOKEN="", **more)


@pytest.fixture
def serve(slack: LocalSlack, tmp_path: Path, begin: Callable[..., Child]) -> Callable[[], Site]:
    """Starts the bot, the first time and after a kill."""

    def started() -> Site:
        child = begin(["serve", "--port", "0"], app_environment(slack, tmp_path), tmp_path / "serve.log")
        slack.register(f"{child.url}/slack/events")
        return Site(slack, tmp_path, child)

    return started


async def test_install_use_rotate_revoke_uninstall_reinstall(
    slack: LocalSlack, tmp_path: Path, serve: Callable[[], Site]
) -> None:
    site, env = serve(), app_environment(slack, tmp_path)

    await site.install()
    await site.use()

    before = await site.near_its_end()
    refreshes = len(slack.calls("oauth.v2.access"))
    await site.use()
    assert len(slack.calls("oauth.v2.access")) == refreshes + 1
    async with Store(site.url, keys=KEYS) as store:
        found = await store.installations(client_id=SEED_CLIENT_ID).find_bot(**HERE)
    assert found is not None
    assert found["bot_token"] != before["bot_token"]
    assert found["bot_token_expires_at"] > time.time() + 11 * 3600
    site.no_token_on_disk()

    slack.sim("POST", "apps/A00000001/revoke", {"kind": "bot", "team": TEAM})
    await site.reaches("UNINSTALLED")  # with its last token the app is gone, as Slack has it
    await site.is_empty()

    await site.install()
    assert await site.state() == "INSTALLED"
    await site.use()
    assert "sr_threads" in await site.tables()

    slack.sim("POST", "apps/A00000001/uninstall", {"team": TEAM, "order": "app_uninstalled"})
    await site.reaches("UNINSTALLED")
    await site.is_empty()
    site.no_token_on_disk()

    await site.install()
    await site.use()

    revoke = [sys.executable, "-m", "stateroom", "installations", "revoke", TEAM, "--yes", "--json"]
    done = await asyncio.to_thread(lambda: subprocess.run(revoke, env=env, capture_output=True, text=True, timeout=30))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] in ("REVOKED", "UNINSTALLED")
    assert "xox" not in done.stdout + done.stderr
    site.no_token_on_disk()


async def test_a_kill_between_slacks_token_and_our_commit_leaves_nothing_and_an_install_works(
    slack: LocalSlack, serve: Callable[[], Site]
) -> None:
    site, browser = serve(), Browser()
    slack.fault("timeout", method="auth.test", seconds=60)  # asked behind the exchange, before the commit
    way = await asyncio.to_thread(lambda: browser.allow(slack, browser.leave(site.child.url), **who(slack, TEAM)))
    waiting = asyncio.create_task(asyncio.to_thread(browser.get, way))
    await eventually(lambda: not slack.faults())
    assert [one["ok"] for one in slack.calls("oauth.v2.access")] == [True]
    site.child.kill()
    with pytest.raises((OSError, HTTPException)):
        await waiting
    slack.clear_faults()

    site = serve()
    site.no_token_on_disk()
    assert (await site.tables(), await site.state()) == ({}, "UNINSTALLED")
    ts = site.ask()  # Slack has the app in the workspace, and tells us so
    await eventually(lambda: [one for one in slack.deliveries() if one["status"] == 200])
    assert (await site.tables(), whole(slack, ts, TEAM)) == ({}, [])
    again = await asyncio.to_thread(browser.get, way.replace(urlsplit(way).netloc, urlsplit(site.child.url).netloc))
    assert again.status == 400, "the way back works once"
    assert "/slack/install" in again.text
    await site.install()
    assert await site.state() == "INSTALLED"
    await site.use()


async def test_a_kill_between_a_refresh_and_our_commit_spends_the_old_token_and_then_an_install_works(
    slack: LocalSlack, serve: Callable[[], Site]
) -> None:
    site = serve()
    await site.install()
    await site.use()
    await site.near_its_end(600)
    slack.fault("timeout", method="oauth.v2.access", apply=True, seconds=60)
    ts = site.ask()
    await eventually(lambda: not slack.faults())
    site.child.kill()
    slack.clear_faults()
    await site.lease_is_over()

    site = serve()  # with the old token, which works until its own end
    assert len(await eventually(lambda: whole(slack, ts, TEAM), 20)) == 1
    assert [one["error"] for one in slack.calls("oauth.v2.access") if not one["ok"]][-1:] == ["invalid_refresh_token"]
    told = site.child.log.read_text()
    assert "token not exchanged" in told
    assert "invalid_refresh_token" in told
    assert await site.state() == "INSTALLED"
    await site.near_its_end(-1)
    site.ask()
    await site.reaches("REVOKED")
    await site.install()
    assert await site.state() == "INSTALLED"
    await site.use()


async def test_a_reinstall_before_the_erase_keeps_what_was_there(slack: LocalSlack, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    async with bot(slack, url, **APP, uninstall_seconds=3600.0) as address:
        site = Site(slack, tmp_path, Child(None, address, tmp_path / "none.log"))  # type: ignore[arg-type]
        site.child.log.touch()
        await site.install()
        await site.use()
        slack.sim("POST", "apps/A00000001/uninstall", {"team": TEAM})
        await site.reaches("UNINSTALLED")
        assert "sr_threads" in await site.tables()
        ends = time.monotonic() + 30
        while "sr_installers" in await site.tables():  # no token is kept, though
            assert time.monotonic() < ends
            await asyncio.sleep(0.05)
        await site.install()
        assert await site.state() == "INSTALLED"
        assert "sr_threads" in await site.tables()
        await site.use()


async def test_an_uninstalled_workspace_is_not_answered_and_not_stored(slack: LocalSlack, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    async with bot(slack, url, **APP) as address:
        site = Site(slack, tmp_path, Child(None, address, tmp_path / "none.log"))  # type: ignore[arg-type]
        site.child.log.touch()
        await site.install()
        await site.use()
        own = own_bot(slack, TEAM)
        slack.sim("POST", "apps/A00000001/uninstall", {"team": TEAM})
        await site.is_empty()
        event = {**mention("", "1800000000.000100", channel=channel_of(slack, TEAM)), "text": f"<@{own}> still there?"}
        status, _ = await post_async(address, envelope(event, team=TEAM))
        assert status == 200
        assert await site.tables() == {}


async def test_two_workspaces_are_served_each_with_its_own_token(slack: LocalSlack, tmp_path: Path) -> None:
    other = "T0LIFE0002"
    slack.add_team(other, install=False)
    async with bot(slack, f"sqlite:///{tmp_path}/state.db", **APP) as address:
        for team in (TEAM, other):
            page = await asyncio.to_thread(lambda t=team: Browser().install(slack, address, **who(slack, t)))
            assert page.status == 200
        asked = {
            team: slack.say(f"<@{own_bot(slack, team)}> hello", channel=channel_of(slack, team), **who(slack, team))
            for team in (TEAM, other)
        }
        for team, ts in asked.items():
            (answer,) = await eventually(lambda t=team, s=ts: whole(slack, s, t))
            assert answer["user"] == own_bot(slack, team)
        slack.sim("POST", "apps/A00000001/uninstall", {"team": other})
        site = Site(slack, tmp_path, Child(None, address, tmp_path / "none.log"))  # type: ignore[arg-type]
        site.child.log.touch()
        await site.use()


async def test_an_org_wide_install_serves_its_workspaces_and_goes_with_all_of_them(
    slack: LocalSlack, tmp_path: Path
) -> None:
    org, inside = "E0LIFE0001", "T0LIFE0003"
    manifest = app_manifest(org_deploy_enabled=True)
    del manifest["oauth_config"]["redirect_urls"]
    slack.add_team(inside, install=False, enterprise_id=org)
    async with bot(slack, f"sqlite:///{tmp_path}/state.db", **APP) as address:
        slack.register(f"{address}/slack/events", manifest=manifest)
        page = await asyncio.to_thread(lambda: Browser().install(slack, address, **who(slack, inside), org=org))
        assert page.status == 200
        words = f"<@{own_bot(slack, inside)}> hello"
        ts = slack.say(words, channel=channel_of(slack, inside), **who(slack, inside))
        assert len(await eventually(lambda: whole(slack, ts, inside))) == 1
        async with Store(f"sqlite:///{tmp_path}/state.db") as store:
            kept = store.installations(client_id=SEED_CLIENT_ID)
            assert await kept.state_of(enterprise_id=org, team_id=None) == "INSTALLED"
            assert await kept.organisation_of(inside) == org
            slack.sim("POST", "apps/A00000001/uninstall", {"enterprise": org})
            ends = time.monotonic() + 30
            while (await store.engine.query(Query("sr_threads", inside, 10, whole=True))).rows:
                assert time.monotonic() < ends
                await asyncio.sleep(0.05)
            while [row async for row in kept.listed()]:
                assert time.monotonic() < ends
                await asyncio.sleep(0.05)
