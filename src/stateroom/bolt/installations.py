"""slack_sdk's installation stores over a Stateroom store, sync and async.

Rules of this file: the promises are those of slack_sdk's own stores and are kept in layers/installations.py; this is
their shape. With `client_secret` what is found has tokens that were exchanged in time, once for all processes; it then
says nothing of expiry, so that Bolt, whose own exchange has no lock, never begins one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackTokenRotationError
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import (
    AsyncInstallationStore as AsyncBase,
)
from slack_sdk.oauth.installation_store.installation_store import InstallationStore as Base

from stateroom import store as asynchronous
from stateroom import sync
from stateroom.bolt.calls import meaning
from stateroom.bolt.reach import AsyncReach, Reach
from stateroom.layers.installations import Installations
from stateroom.layers.installations_entity import BOT_FIELDS, FIELDS
from stateroom.model.errors import SlackError
from stateroom.slack.codes import CONNECTION, error_of

_METHOD: Final = "oauth.v2.access"
_PATIENCE: Final = 15  # seconds with one exchange
# slack_sdk logs whole requests and answers as DEBUG, and these are secrets.
_log = logging.getLogger("stateroom.bolt.exchange")
_log.setLevel(logging.WARNING)
_PAIR: Final = ("token", "refresh_token", "token_expires_at")


class _Core:
    """What both faces do, with a store that is open."""

    def __init__(self, client_id: str, client_secret: str | None, api_url: str | None) -> None:
        self._client_id = client_id
        self._secret = client_secret
        self._api_url = api_url or os.environ.get("SLACK_API_URL") or WebClient.BASE_URL
        # One for each store: it lets the callers of a process share an exchange.
        self._kept: weakref.WeakKeyDictionary[asynchronous.Store, Installations] = weakref.WeakKeyDictionary()

    def of(self, store: asynchronous.Store) -> Installations:
        """The app's installations in `store`."""
        if store not in self._kept:
            self._kept[store] = store.installations(client_id=self._client_id)
        return self._kept[store]

    async def save(self, store: asynchronous.Store, installation: Installation) -> None:
        values = installation.to_dict()
        if self._secret is not None:
            ids = {name: values.get(name) for name in ("enterprise_id", "team_id", "user_id", "is_enterprise_install")}
            values = _with_pairs(values, await self.of(store).find_installation(**ids))
        await self.of(store).save(values)

    async def save_bot(self, store: asynchronous.Store, bot: Bot) -> None:
        values = bot.to_dict()
        if self._secret is not None:
            ids = {name: values.get(name) for name in ("enterprise_id", "team_id", "is_enterprise_install")}
            values = _with_pairs(values, await self.of(store).find_bot(**ids))
        await self.of(store).save_bot(values)

    async def find_bot(self, store: asynchronous.Store, **which: Any) -> Bot | None:
        found = await self._fresh(store, await self.of(store).find_bot(**which))
        return None if found is None else Bot(**_known(found, BOT_FIELDS))

    async def find_installation(self, store: asynchronous.Store, **which: Any) -> Installation | None:
        found = await self._fresh(store, await self.of(store).find_installation(**which))
        return None if found is None else Installation(**_known(found, FIELDS))

    async def _fresh(self, store: asynchronous.Store, found: dict[str, Any] | None) -> dict[str, Any] | None:
        if found is None or self._secret is None:
            return found
        try:
            fresh = await self.of(store).fresh(found, self._exchange)
        except SlackError as failed:
            if failed.retryable:
                raise
            told = SlackApiError(str(failed), {"ok": False, "error": failed.code})  # type: ignore[no-untyped-call]
            raise SlackTokenRotationError(told) from None  # what Bolt knows as "no token any more"
        return {**fresh, "bot_token_expires_at": None, "user_token_expires_at": None}

    async def _exchange(self, refresh_token: str) -> Mapping[str, Any]:
        """Slack's answer to a refresh token."""
        client = WebClient(base_url=self._api_url, timeout=_PATIENCE, retry_handlers=[], logger=_log)
        return await asyncio.to_thread(self._asked, client, refresh_token)

    def _asked(self, client: WebClient, refresh_token: str) -> Mapping[str, Any]:
        try:
            response = client.oauth_v2_access(
                client_id=self._client_id,
                client_secret=self._secret or "",
                grant_type="refresh_token",
                refresh_token=refresh_token,
            )
        except SlackApiError as failed:
            raise meaning(_METHOD, failed) from None
        except (OSError, HTTPException):
            raise error_of(_METHOD, CONNECTION) from None
        return dict(response.data)  # type: ignore[arg-type]


def _known(found: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """What slack_sdk's classes take."""
    values = {name: found[name] for name in fields if found.get(name) is not None}
    return values | {"custom_values": found.get("custom_values") or {}}


def _with_pairs(values: dict[str, Any], kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was found is saved again: the expiry that finding left out comes back."""
    for kind in ("bot", "user"):
        token, refresh, expires = (f"{kind}_{name}" for name in _PAIR)
        if kept and values.get(token) and values[token] == kept.get(token) and values.get(expires) is None:
            values = {**values, refresh: kept.get(refresh), expires: kept.get(expires)}
    return values


class InstallationStore(Base):
    """For `App(installation_store=…)`. Opens on first use, in each process for itself; any thread may use it."""

    def __init__(
        self,
        store: str | sync.Store,
        *,
        client_id: str = "",
        client_secret: str | None = None,
        api_url: str | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """`api_url`: where tokens are exchanged, if not $SLACK_API_URL or Slack itself."""
        self._reach = Reach(store)
        self._core = _Core(client_id, client_secret, api_url)
        self._logger = logger or logging.getLogger("stateroom.bolt")

    @classmethod
    def from_url(
        cls, url: str, *, client_id: str = "", client_secret: str | None = None, api_url: str | None = None
    ) -> InstallationStore:
        """A store by URL."""
        return cls(url, client_id=client_id, client_secret=client_secret, api_url=api_url)

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk's wrappers log."""
        return self._logger

    def save(self, installation: Installation) -> None:
        """Keep an installation and its bot, together."""
        self._reach.ask(lambda store: self._core.save(store, installation))

    def save_bot(self, bot: Bot) -> None:
        """Keep a bot alone."""
        self._reach.ask(lambda store: self._core.save_bot(store, bot))

    def find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The newest bot of a workspace, or of an organisation."""
        which = {"enterprise_id": enterprise_id, "team_id": team_id, "is_enterprise_install": is_enterprise_install}
        return self._reach.ask(lambda store: self._core.find_bot(store, **which))

    def find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Somebody's installation, or the newest, with the newest bot."""
        which = {"enterprise_id": enterprise_id, "team_id": team_id, "is_enterprise_install": is_enterprise_install}
        return self._reach.ask(lambda store: self._core.find_installation(store, user_id=user_id, **which))

    def delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bot."""
        ids = {"enterprise_id": enterprise_id, "team_id": team_id}
        self._reach.ask(lambda store: self._core.of(store).delete_bot(**ids))

    def delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Forget somebody's installation, or everybody's."""
        ids = {"enterprise_id": enterprise_id, "team_id": team_id, "user_id": user_id}
        self._reach.ask(lambda store: self._core.of(store).delete_installation(**ids))

    def delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bot and everybody's installations."""
        ids = {"enterprise_id": enterprise_id, "team_id": team_id}
        self._reach.ask(lambda store: self._core.of(store).delete_all(**ids))


class AsyncInstallationStore(AsyncBase):
    """For `AsyncApp(installation_store=…)`. Opens on first use, in each event loop for itself."""

    def __init__(
        self,
        store: str | asynchronous.Store,
        *,
        client_id: str = "",
        client_secret: str | None = None,
        api_url: str | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """`api_url`: where tokens are exchanged, if not $SLACK_API_URL or Slack itself."""
        self._reach = AsyncReach(store)
        self._core = _Core(client_id, client_secret, api_url)
        self._logger = logger or logging.getLogger("stateroom.bolt")

    @classmethod
    def from_url(
        cls, url: str, *, client_id: str = "", client_secret: str | None = None, api_url: str | None = None
    ) -> AsyncInstallationStore:
        """A store by URL."""
        return cls(url, client_id=client_id, client_secret=client_secret, api_url=api_url)

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk's wrappers log."""
        return self._logger

    async def async_save(self, installation: Installation) -> None:
        """Keep an installation and its bot, together."""
        await self._core.save(await self._reach.store(), installation)

    async def async_save_bot(self, bot: Bot) -> None:
        """Keep a bot alone."""
        await self._core.save_bot(await self._reach.store(), bot)

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> Bot | None:
        """The newest bot of a workspace, or of an organisation."""
        which = {"enterprise_id": enterprise_id, "team_id": team_id, "is_enterprise_install": is_enterprise_install}
        return await self._core.find_bot(await self._reach.store(), **which)

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Somebody's installation, or the newest, with the newest bot."""
        which = {"enterprise_id": enterprise_id, "team_id": team_id, "is_enterprise_install": is_enterprise_install}
        return await self._core.find_installation(await self._reach.store(), user_id=user_id, **which)

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bot."""
        kept = self._core.of(await self._reach.store())
        await kept.delete_bot(enterprise_id=enterprise_id, team_id=team_id)

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Forget somebody's installation, or everybody's."""
        kept = self._core.of(await self._reach.store())
        await kept.delete_installation(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id)

    async def async_delete_all(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget the bot and everybody's installations."""
        kept = self._core.of(await self._reach.store())
        await kept.delete_all(enterprise_id=enterprise_id, team_id=team_id)
