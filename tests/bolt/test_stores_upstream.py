"""Mixed bot and user installs: the same cases for slack_sdk's own store and for ours, sync and async.

Rules of this file: a case that slack_sdk's SQLAlchemy store does not keep is no promise of slack_sdk's, so each runs
there, too. The cases follow what upstream's issues asked for: bolt-python 584 and 664, python-slack-sdk 1441.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store import InstallationStore as Base
from slack_sdk.oauth.installation_store.async_cacheable_installation_store import AsyncCacheableInstallationStore
from slack_sdk.oauth.installation_store.cacheable_installation_store import CacheableInstallationStore
from slack_sdk.oauth.installation_store.sqlalchemy import SQLAlchemyInstallationStore
from sqlalchemy import create_engine

from stateroom.bolt import AsyncInstallationStore, InstallationStore
from support.installations import CLIENT, KEYS_TEXT

pytestmark = pytest.mark.service
TEAM, OTHER, ORG = "T01234567", "T07654321", "E01234567"
HERE: dict[str, Any] = {"enterprise_id": None, "team_id": TEAM}
ADA, BOB = "U00000001", "U00000002"


class Awaited(Base):
    """An async store behind the sync names, so that one list of cases serves both."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def save(self, installation: Installation) -> None:
        self._wait(self._inner.async_save(installation))

    def save_bot(self, bot: Bot) -> None:
        self._wait(self._inner.async_save_bot(bot))

    def find_bot(self, **which: Any) -> Bot | None:
        return self._wait(self._inner.async_find_bot(**which))  # type: ignore[no-any-return]

    def find_installation(self, **which: Any) -> Installation | None:
        return self._wait(self._inner.async_find_installation(**which))  # type: ignore[no-any-return]

    def delete_bot(self, **which: Any) -> None:
        self._wait(self._inner.async_delete_bot(**which))

    def delete_installation(self, **which: Any) -> None:
        self._wait(self._inner.async_delete_installation(**which))

    def delete_all(self, **which: Any) -> None:
        self._wait(self._inner.async_delete_all(**which))


def theirs(place: str) -> Base:
    engine = create_engine(f"sqlite:///{place}/theirs.db")
    made = SQLAlchemyInstallationStore(client_id=CLIENT, engine=engine)
    made.create_tables()  # type: ignore[no-untyped-call]
    return made


MAKERS: dict[str, Callable[[str], Base]] = {
    "slack_sdk": theirs,
    "sync": lambda place: InstallationStore.from_url(f"sqlite:///{place}/ours.db", client_id=CLIENT),
    "async": lambda place: Awaited(AsyncInstallationStore.from_url(f"sqlite:///{place}/ours.db", client_id=CLIENT)),
    "refreshing": lambda place: InstallationStore.from_url(
        f"sqlite:///{place}/ours.db", client_id=CLIENT, client_secret="s", api_url="http://127.0.0.1:9/api/"
    ),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Base]:
    monkeypatch.setenv("STATEROOM_KEYS", KEYS_TEXT)
    made = MAKERS[request.param](str(tmp_path))
    yield made
    if isinstance(made, Awaited):
        made.end()


def installation(number: int, user: str = ADA, *, bot: bool = True, **more: Any) -> Installation:
    """The `number`th install, by its time; without `bot` only a person agreed to something."""
    of_bot: dict[str, Any] = {
        "bot_token": f"xoxb-{number}",
        "bot_id": "B00000001",
        "bot_user_id": "U0000B0T1",
        "bot_scopes": ["chat:write"],
    }
    given: dict[str, Any] = {"app_id": "A1", "team_id": TEAM, "user_id": user, "installed_at": 1_700_000_000.0 + number}
    return Installation(**(given | (of_bot if bot else {}) | more))


def test_what_is_saved_is_found(store: Base) -> None:
    saved = installation(
        1,
        user_token="xoxp-1",
        user_scopes=["search:read"],
        team_name="Acme",
        incoming_webhook_url="https://hooks.example/1",
        incoming_webhook_channel_id="C00000001",
        token_type="bot",
    )
    store.save(saved)
    found = store.find_installation(**HERE)
    assert found is not None
    assert found.to_dict() == saved.to_dict()
    bot = store.find_bot(**HERE)
    assert bot is not None
    assert bot.to_dict() == saved.to_bot().to_dict()


def test_what_was_never_saved_is_none(store: Base) -> None:
    store.save(installation(1))
    assert store.find_bot(enterprise_id=None, team_id=OTHER) is None
    assert store.find_installation(enterprise_id=None, team_id=OTHER) is None
    assert store.find_installation(**HERE, user_id=BOB) is None
    assert store.find_bot(enterprise_id=ORG, team_id=None, is_enterprise_install=True) is None


def test_nobody_named_means_the_newest_install(store: Base) -> None:
    store.save(installation(1, ADA))
    store.save(installation(2, BOB))
    found = store.find_installation(**HERE)
    assert found is not None
    assert (found.user_id, found.bot_token) == (BOB, "xoxb-2")


def test_a_persons_own_row_has_the_workspaces_newest_bot(store: Base) -> None:
    store.save(installation(1, ADA, user_token="xoxp-ada"))
    store.save(installation(2, BOB, user_token="xoxp-bob"))
    found = store.find_installation(**HERE, user_id=ADA)
    assert found is not None
    assert (found.user_id, found.user_token, found.bot_token) == (ADA, "xoxp-ada", "xoxb-2")


def test_a_newest_install_of_user_scopes_alone_still_has_the_bot(store: Base) -> None:
    store.save(installation(1, ADA))
    store.save(installation(2, BOB, bot=False, user_token="xoxp-bob"))
    for found in (store.find_installation(**HERE), store.find_installation(**HERE, user_id=BOB)):
        assert found is not None
        assert (found.user_id, found.user_token) == (BOB, "xoxp-bob")
        assert (found.bot_token, found.bot_id, found.bot_user_id) == ("xoxb-1", "B00000001", "U0000B0T1")
        assert found.bot_scopes == ["chat:write"]
    bot = store.find_bot(**HERE)
    assert bot is not None
    assert bot.bot_token == "xoxb-1"


def test_an_install_of_user_scopes_alone_has_no_bot(store: Base) -> None:
    store.save(installation(1, bot=False, user_token="xoxp-1"))
    found = store.find_installation(**HERE)
    assert found is not None
    assert (found.bot_token, found.user_token) == (None, "xoxp-1")


def test_a_reinstall_replaces_tokens_and_scopes(store: Base) -> None:
    store.save(installation(1, ADA, user_token="xoxp-1"))
    store.save(installation(2, ADA, user_token="xoxp-2", bot_scopes=["chat:write", "im:history"]))
    found = store.find_installation(**HERE, user_id=ADA)
    assert found is not None
    assert (found.bot_token, found.user_token) == ("xoxb-2", "xoxp-2")
    assert found.bot_scopes == ["chat:write", "im:history"]


def test_an_org_wide_install_is_found_from_any_team(store: Base) -> None:
    store.save(installation(1, enterprise_id=ORG, team_id=None, is_enterprise_install=True))
    for team in (None, TEAM, OTHER):
        which: dict[str, Any] = {"enterprise_id": ORG, "team_id": team, "is_enterprise_install": True}
        bot, found = store.find_bot(**which), store.find_installation(**which)
        assert bot is not None
        assert found is not None
        assert (bot.bot_token, found.bot_token, found.is_enterprise_install) == ("xoxb-1", "xoxb-1", True)


def test_an_organisations_and_a_workspaces_install_are_two(store: Base) -> None:
    store.save(installation(1, enterprise_id=ORG, team_id=None, is_enterprise_install=True))
    store.save(installation(2, enterprise_id=ORG))
    own = store.find_bot(enterprise_id=ORG, team_id=TEAM)
    wide = store.find_bot(enterprise_id=ORG, team_id=TEAM, is_enterprise_install=True)
    assert own is not None
    assert wide is not None
    assert (own.bot_token, wide.bot_token) == ("xoxb-2", "xoxb-1")


def test_a_bot_alone_can_be_saved(store: Base) -> None:
    store.save_bot(installation(1).to_bot())
    bot = store.find_bot(**HERE)
    assert bot is not None
    assert bot.bot_token == "xoxb-1"
    assert store.find_installation(**HERE) is None


def test_deleting_a_person_leaves_others_and_the_bot(store: Base) -> None:
    store.save(installation(1, ADA))
    store.save(installation(2, BOB))
    store.delete_installation(**HERE, user_id=BOB)
    assert store.find_installation(**HERE, user_id=BOB) is None
    found, bot = store.find_installation(**HERE), store.find_bot(**HERE)
    assert found is not None
    assert bot is not None
    assert (found.user_id, bot.bot_token) == (ADA, "xoxb-2")


def test_deleting_all_leaves_nothing_there_and_everything_elsewhere(store: Base) -> None:
    store.save(installation(1))
    store.save(installation(1, team_id=OTHER))
    store.delete_all(**HERE)
    assert store.find_bot(**HERE) is None
    assert store.find_installation(**HERE) is None
    assert store.find_bot(enterprise_id=None, team_id=OTHER) is not None


def test_deleting_the_bot_leaves_no_bot(store: Base) -> None:
    store.save(installation(1))
    store.delete_bot(**HERE)
    assert store.find_bot(**HERE) is None


@pytest.mark.parametrize("when", [2_000_000_000, datetime.fromtimestamp(2_000_000_000, UTC)], ids=["int", "aware"])
def test_expiry_is_kept_however_it_is_given(store: Base, when: Any, request: pytest.FixtureRequest) -> None:
    pair = {"bot_refresh_token": "xoxe-1", "bot_token_expires_at": when}
    person = {"user_token": "xoxp-1", "user_refresh_token": "xoxe-2", "user_token_expires_at": when}
    store.save(installation(1, **pair, **person))
    found = store.find_installation(**HERE)
    assert found is not None
    assert (found.bot_refresh_token, found.user_refresh_token) == ("xoxe-1", "xoxe-2")
    if request.node.callspec.params["store"] == "refreshing":  # Bolt is not to begin an exchange
        assert (found.bot_token_expires_at, found.user_token_expires_at) == (None, None)
        store.save(found)  # and what is saved again has it still
        place = request.getfixturevalue("tmp_path")
        plain = MAKERS["sync"](str(place)).find_installation(**HERE)
        assert plain is not None
        found = plain
    assert (found.bot_token_expires_at, found.user_token_expires_at) == (2_000_000_000, 2_000_000_000)


def test_slack_sdks_cache_wraps_it(store: Base) -> None:
    cached = CacheableInstallationStore(store)
    cached.save(installation(1))
    for _ in range(2):
        bot = cached.find_bot(**HERE)
        assert bot is not None
        assert bot.bot_token == "xoxb-1"
    cached.delete_all(**HERE)
    assert cached.find_bot(**HERE) is None


async def test_slack_sdks_async_cache_wraps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEROOM_KEYS", KEYS_TEXT)
    cached = AsyncCacheableInstallationStore(
        AsyncInstallationStore.from_url(f"sqlite:///{tmp_path}/a.db", client_id="1")
    )
    await cached.async_save(installation(1))
    for _ in range(2):
        bot = await cached.async_find_bot(**HERE)
        assert bot is not None
        assert bot.bot_token == "xoxb-1"
    await cached.async_delete_all(**HERE)
    assert await cached.async_find_bot(**HERE) is None


def test_custom_values_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of slack_sdk's stores only those over SQLAlchemy tables with such columns keep them."""
    monkeypatch.setenv("STATEROOM_KEYS", KEYS_TEXT)
    ours = MAKERS["sync"](str(tmp_path))
    given = installation(1)
    given.set_custom_value("plan", "gold")
    ours.save(given)
    found, bot = ours.find_installation(**HERE), ours.find_bot(**HERE)
    assert found is not None
    assert bot is not None
    assert (found.get_custom_value("plan"), bot.get_custom_value("plan")) == ("gold", "gold")


def test_every_verb_of_slack_sdk_is_there() -> None:
    from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore as AsyncBase

    for base, ours in ((Base, InstallationStore), (AsyncBase, AsyncInstallationStore)):
        verbs = {name for name in vars(base) if not name.startswith("_")}
        assert verbs <= set(vars(ours)), verbs - set(vars(ours))
