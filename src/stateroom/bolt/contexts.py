"""Bolt's assistant thread context stores over a Stateroom store, sync and async.

Rules of this file: shape only; layers/assistant.py keeps the contexts. Bolt's own default asks Slack for the thread and
rewrites the metadata of a message; here it is one row.
"""

from __future__ import annotations

from slack_bolt.context.assistant.thread_context import AssistantThreadContext
from slack_bolt.context.assistant.thread_context_store.async_store import (
    AsyncAssistantThreadContextStore as AsyncBase,
)
from slack_bolt.context.assistant.thread_context_store.store import AssistantThreadContextStore as Base

from stateroom import store as asynchronous
from stateroom import sync
from stateroom.bolt.reach import AsyncReach, Reach
from stateroom.layers.assistant import Contexts


class AssistantThreadContextStore(Base):
    """For `Assistant(thread_context_store=…)`."""

    def __init__(self, store: str | sync.Store, *, client_id: str = "") -> None:
        self._reach = Reach(store)
        self._client_id = client_id

    @classmethod
    def from_url(cls, url: str, *, client_id: str = "") -> AssistantThreadContextStore:
        """A store by URL."""
        return cls(url, client_id=client_id)

    def save(self, *, channel_id: str, thread_ts: str, context: dict[str, str]) -> None:
        """Keep what a person looks at, for their thread with the assistant."""
        self._reach.ask(lambda store: self._of(store).save(channel_id, thread_ts, context))

    def find(self, *, channel_id: str, thread_ts: str) -> AssistantThreadContext | None:
        """What was saved last, or None."""
        found = self._reach.ask(lambda store: self._of(store).find(channel_id, thread_ts))
        return None if found is None or "channel_id" not in found else AssistantThreadContext(found)

    def _of(self, store: asynchronous.Store) -> Contexts:
        return Contexts(store.engine, store.clock, self._client_id)


class AsyncAssistantThreadContextStore(AsyncBase):
    """For `AsyncAssistant(thread_context_store=…)`."""

    def __init__(self, store: str | asynchronous.Store, *, client_id: str = "") -> None:
        self._reach = AsyncReach(store)
        self._client_id = client_id

    @classmethod
    def from_url(cls, url: str, *, client_id: str = "") -> AsyncAssistantThreadContextStore:
        """A store by URL."""
        return cls(url, client_id=client_id)

    async def save(self, *, channel_id: str, thread_ts: str, context: dict[str, str]) -> None:
        """Keep what a person looks at, for their thread with the assistant."""
        await (await self._of()).save(channel_id, thread_ts, context)

    async def find(self, *, channel_id: str, thread_ts: str) -> AssistantThreadContext | None:
        """What was saved last, or None."""
        found = await (await self._of()).find(channel_id, thread_ts)
        return None if found is None or "channel_id" not in found else AssistantThreadContext(found)

    async def _of(self) -> Contexts:
        store = await self._reach.store()
        return Contexts(store.engine, store.clock, self._client_id)
