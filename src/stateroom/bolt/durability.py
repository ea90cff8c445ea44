"""`durable(app, store)`: the promises of Stateroom's spine for the listeners of somebody's own Bolt app.

Rules of this file: the entry alone; what a request goes through is in durability_sync.py and durability_async.py. They
hook in at one place, `app.listener_runner.run`: there Bolt has verified, authorized and matched, and has not yet
answered Slack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from slack_bolt import App

from stateroom import store as asynchronous
from stateroom import sync
from stateroom.bolt.durability_sync import Durable
from stateroom.bolt.reach import Reach
from stateroom.bolt.spine import Settings
from stateroom.model.errors import WrongUse

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

    from stateroom.bolt.durability_async import AsyncDurable


@overload
def durable(
    app: App,
    store: str | sync.Store,
    *,
    name: str = "app",
    lease_seconds: float = 10.0,
    poll_seconds: float = 0.5,
    attempts: int = 4,
    call_seconds: float = 10.0,
) -> Durable: ...
@overload
def durable(
    app: AsyncApp,
    store: str | asynchronous.Store,
    *,
    name: str = "app",
    lease_seconds: float = 10.0,
    poll_seconds: float = 0.5,
    attempts: int = 4,
    call_seconds: float = 10.0,
) -> AsyncDurable: ...
def durable(
    app: App | AsyncApp,
    store: str | sync.Store | asynchronous.Store,
    *,
    name: str = "app",
    lease_seconds: float = 10.0,
    poll_seconds: float = 0.5,
    attempts: int = 4,
    call_seconds: float = 10.0,
) -> Durable | AsyncDurable:
    """Claim the app's requests durably before they are acknowledged, and run their listeners until they end.

    `store`: a URL, or a store that is open (a sync app takes a sync one). `name`: apps that share a store have
    different ones. A process that dies is missed after `lease_seconds`; a listener that raises is run `attempts` times
    in all, with growing pauses. A post ends within `call_seconds`. WrongUse for a second call on one app, and for a
    store of the other face.
    """
    settings = Settings(name, lease_seconds, poll_seconds, attempts=attempts, call_seconds=call_seconds)
    if getattr(app.listener_runner.run, "__self__", None) is not app.listener_runner:
        raise WrongUse("this app is durable already; call durable(app, store) once")
    if isinstance(app, App):
        if isinstance(store, asynchronous.Store):
            raise WrongUse("a sync App takes a URL or a store of stateroom.sync; AsyncApp takes this one")
        return Durable(app, Reach(store), settings)
    from stateroom.bolt.durability_async import AsyncDurable
    from stateroom.bolt.reach import AsyncReach

    if isinstance(store, sync.Store):
        raise WrongUse("an AsyncApp takes a URL or a store of stateroom.open; App takes this one")
    return AsyncDurable(app, AsyncReach(store), settings)
