"""OAuth's state: what proves that who comes back from Slack is the browser that left, once, and soon.

Rules of this file: stored are digests, never the state nor the browser's secret. The use is one conditional delete: of
any number of uses at once one is true. RFC 6749, 10.12.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from stateroom.engines.port import Delete, Engine, Put
from stateroom.expr.builder import attr
from stateroom.layers.walking import EVERYWHERE
from stateroom.model.attributes import Attribute
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed

LIVES: Final = 600.0  # seconds for a person to read what the app asks for
_LONGEST: Final = 512  # characters of a state; ours have 43

STATES: Final = Definition(
    name="sr_oauth_states",
    key="id",  # SHA-256 of client id and state, in hex
    attributes={
        "id": Attribute("string", required=True),
        "binding": Attribute("string", required=True),  # SHA-256 of the browser's secret, in hex
    },
    expires=True,
)


async def issue(engine: Engine, clock: Callable[[], float], client: str, binding: str, seconds: float) -> str:
    """A new state of 256 random bits."""
    state = secrets.token_urlsafe(32)
    key = _digest(client, state)
    item = {"id": key, "binding": _digest(client, binding)}
    await engine.commit([Put(STATES.name, EVERYWHERE, key, item, expires_at=clock() + seconds, if_version=0)])
    return state


async def consume(engine: Engine, client: str, state: str, binding: str) -> bool:
    """Use it up. Another browser's attempt is refused and leaves it to its own."""
    if not state or len(state) > _LONGEST:
        return False
    mine = attr("binding") == _digest(client, binding)
    try:
        await engine.commit([Delete(STATES.name, EVERYWHERE, _digest(client, state), condition=mine)])
    except ConditionFailed:
        return False
    return True


def _digest(client: str, text: str) -> str:
    return hashlib.sha256(f"{client}\n{text}".encode(errors="surrogatepass")).hexdigest()
