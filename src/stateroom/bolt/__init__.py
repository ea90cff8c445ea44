"""Stateroom for Bolt apps: installation, state and thread context stores, and `durable(app, store)`.

Rules of this file: names only; each is imported on first use, so that a sync app needs no aiohttp.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from stateroom.bolt.durability import durable

_WHERE = {"durable": "durability"}

__all__ = ["durable"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
