"""slack_sdk's OAuth state stores over a Stateroom store, sync and async.

Rules of this file: a state is used once and ends by itself, for all processes. That it is of the same browser is what
Bolt checks with its cookie before it asks here.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from slack_sdk.oauth.state_store import OAuthStateStore as Base
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore as AsyncBase

from stateroom import store as asynchronous
from stateroom import sync
from stateroom.bolt.reach import AsyncReach, Reach

LIVES: Final = 600.0  # seconds, as slack_sdk's own stores
_BROWSER: Final = ""  # of Bolt's cookie nothing is known here


class OAuthStateStore(Base):
    """For `OAuthSettings(state_store=…)`."""

    def __init__(self, store: str | sync.Store, *, client_id: str = "", expiration_seconds: float = LIVES) -> None:
        self._reach = Reach(store)
        self._client_id = client_id
        self._lives = expiration_seconds

    @classmethod
    def from_url(cls, url: str, *, client_id: str = "", expiration_seconds: float = LIVES) -> OAuthStateStore:
        """A store by URL."""
        return cls(url, client_id=client_id, expiration_seconds=expiration_seconds)

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk logs."""
        return logging.getLogger("stateroom.bolt")

    def issue(self, *_args: Any, **_kwargs: Any) -> str:
        """A new state; what is given is not used."""
        made = self._reach.ask(
            lambda store: store.installations(client_id=self._client_id).issue_state(_BROWSER, seconds=self._lives)
        )
        return str(made)

    def consume(self, state: str) -> bool:
        """Whether it was issued, is in time and was not used; it is used then."""
        return self._reach.ask(
            lambda store: store.installations(client_id=self._client_id).consume_state(state, _BROWSER)
        )


class AsyncOAuthStateStore(AsyncBase):
    """For `AsyncOAuthSettings(state_store=…)`."""

    def __init__(
        self, store: str | asynchronous.Store, *, client_id: str = "", expiration_seconds: float = LIVES
    ) -> None:
        self._reach = AsyncReach(store)
        self._client_id = client_id
        self._lives = expiration_seconds

    @classmethod
    def from_url(cls, url: str, *, client_id: str = "", expiration_seconds: float = LIVES) -> AsyncOAuthStateStore:
        """A store by URL."""
        return cls(url, client_id=client_id, expiration_seconds=expiration_seconds)

    @property
    def logger(self) -> logging.Logger:
        """Where slack_sdk logs."""
        return logging.getLogger("stateroom.bolt")

    async def async_issue(self, *_args: Any, **_kwargs: Any) -> str:
        """A new state; what is given is not used."""
        kept = (await self._reach.store()).installations(client_id=self._client_id)
        return await kept.issue_state(_BROWSER, seconds=self._lives)

    async def async_consume(self, state: str) -> bool:
        """Whether it was issued, is in time and was not used; it is used then."""
        kept = (await self._reach.store()).installations(client_id=self._client_id)
        return await kept.consume_state(state, _BROWSER)
