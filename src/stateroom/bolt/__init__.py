"""Stateroom for Bolt apps: installation, state and thread context stores, and `durable(app, store)`.

Rules of this file: names only; each is imported on first use, so that a sync app needs no aiohttp.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from stateroom.bolt.contexts import AssistantThreadContextStore, AsyncAssistantThreadContextStore
    from stateroom.bolt.durability import durable
    from stateroom.bolt.installations import AsyncInstallationStore, InstallationStore
    from stateroom.bolt.states import AsyncOAuthStateStore, OAuthStateStore

_WHERE = {
    "durable": "durability",
    "InstallationStore": "installations",
    "AsyncInstallationStore": "installations",
    "OAuthStateStore": "states",
    "AsyncOAuthStateStore": "states",
    "AssistantThreadContextStore": "contexts",
    "AsyncAssistantThreadContextStore": "contexts",
}

__all__ = [
    "AssistantThreadContextStore",
    "AsyncAssistantThreadContextStore",
    "AsyncInstallationStore",
    "AsyncOAuthStateStore",
    "InstallationStore",
    "OAuthStateStore",
    "durable",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
