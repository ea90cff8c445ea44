"""The exchange of a token that expires soon for the next one, once for everybody.

Rules of this file: a refresh token works once, so whoever spends it holds the lease of that token; everybody else waits
for what the store then says. The new pair is durable before anybody gets it. The lease is patience, not safety: a pair
is stored only in place of the one that was spent, whoever holds the lease by then.

What is left to chance: a process that dies between Slack's answer and the commit takes the new pair with it, and the
refresh token is spent. The old token works until its own end (two hours, usually); then somebody has to install again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from stateroom.engines import leases
from stateroom.engines.handle_surroundings import Surroundings, pause
from stateroom.engines.port import Engine, Put, Row
from stateroom.layers import installations_states as states
from stateroom.layers.installations_entity import PEOPLE, PLACES, Place, without_bot
from stateroom.model.codec import normalise
from stateroom.model.errors import ConditionFailed, SlackError, StateroomError, StoreUnavailable, Throttled
from stateroom.slack.codes import BAD_RESPONSE, TIMEOUT, error_of

# Bolt exchanges tokens by itself, without a lease, two hours before their end: we are there ten minutes earlier.
EARLY: Final = 130 * 60.0
METHOD: Final = "oauth.v2.access"
_LEASE: Final = 30.0  # seconds
_CALL: Final = 20.0  # seconds that Slack gets to answer
_GRACE: Final = 3.0  # seconds in which a pair appears that somebody slower than his lease has stored
_AGAIN: Final = 30.0  # seconds after a refusal in which a token that still works is not tried again
_SPENT: Final = frozenset({"invalid_refresh_token", "token_revoked", "invalid_grant", "account_inactive"})
log = logging.getLogger("stateroom.installations")

Refresh = Callable[[str], Awaitable[Mapping[str, Any]]]


class Pair(NamedTuple):
    """A token and its refresh token: whose, and the row that holds them."""

    kind: str  # bot | user
    table: str
    team: str
    id: str

    def name(self, what: str) -> str:
        """The attribute: token, refresh_token, token_expires_at, token_lives."""
        return f"{self.kind}_{what}"

    @property
    def lease(self) -> str:
        """The lease's name; a digest, because the row's key may name a person."""
        return f"rotate:{self.kind}:{hashlib.sha256(self.id.encode()).hexdigest()[:32]}"


class Rotation:
    """Exchanges tokens of rows behind `engine`, which seals; leases are rows of `raw`."""

    def __init__(
        self, engine: Engine, raw: Engine, clock: Callable[[], float], around: Surroundings, *, early: float
    ) -> None:
        self._engine = engine
        self._raw = raw
        self._clock = clock
        self._around = around
        self._early = early
        self._holder = secrets.token_hex(6)
        self._running: dict[Pair, asyncio.Task[Mapping[str, Any]]] = {}
        self._later: dict[Pair, float] = {}  # when to try again after a refusal
        self._unsaved: dict[Pair, tuple[str, dict[str, Any]]] = {}  # pairs that the store did not take yet

    async def fresh(self, place: Place, found: dict[str, Any], refresh: Refresh) -> dict[str, Any]:
        """`found` with tokens that last."""
        pairs = [Pair("bot", PLACES.name, place.team, place.key)]
        if found.get("user_id"):
            pairs.append(Pair("user", PEOPLE.name, place.team, place.person(found["user_id"])))
        for pair in pairs:
            if self._is_due(pair, found):
                row = await self._once(pair, refresh)
                names = (pair.name("token"), pair.name("refresh_token"), pair.name("token_expires_at"))
                found = {**found, **{name: row.get(name) for name in names}}
        return found

    def _is_due(self, pair: Pair, item: Mapping[str, Any]) -> bool:
        ends, lives = item.get(pair.name("token_expires_at")), item.get(pair.name("token_lives"))
        if ends is None or not item.get(pair.name("refresh_token")) or not item.get(pair.name("token")):
            return False
        # One that Slack made shorter than our hurry would otherwise be exchanged by every call.
        early = self._early if lives is None else min(self._early, lives / 2)
        return float(ends) - self._clock() <= early

    def _works(self, pair: Pair, item: Mapping[str, Any]) -> bool:
        return float(item[pair.name("token_expires_at")]) > self._clock()

    async def _once(self, pair: Pair, refresh: Refresh) -> Mapping[str, Any]:
        """One task a process; whoever is cancelled leaves it to the others."""
        task = self._running.get(pair)
        if task is None:
            task = self._running[pair] = asyncio.create_task(self._led(pair, refresh))
            task.add_done_callback(lambda done: self._ended(pair, done))
        return await asyncio.shield(task)

    def _ended(self, pair: Pair, task: asyncio.Task[Mapping[str, Any]]) -> None:
        self._running.pop(pair, None)
        if not task.cancelled():
            task.exception()  # whoever waits has it, too

    async def _led(self, pair: Pair, refresh: Refresh) -> Mapping[str, Any]:
        """Hold the lease and exchange, or wait for whoever does."""
        ends, tries = self._clock() + _LEASE + _GRACE, 0
        while True:
            row = await self._read(pair)
            if not self._is_due(pair, row.item) or self._is_later(pair, row.item):
                return row.item
            lease = await leases.acquire(
                self._raw, self._clock, pair.team, pair.lease, holder=self._holder, seconds=_LEASE
            )
            if lease is not None:
                try:
                    return await self._exchange(pair, refresh)
                finally:
                    await lease.release()
            if self._clock() >= ends:
                return self._old_or(pair, row.item, error_of(METHOD, TIMEOUT, sent=False))
            tries += 1
            await self._around.sleep(0.01 + pause(tries, self._around.chance()))

    def _is_later(self, pair: Pair, item: Mapping[str, Any]) -> bool:
        return self._works(pair, item) and self._clock() < self._later.get(pair, 0.0)

    async def _exchange(self, pair: Pair, refresh: Refresh) -> Mapping[str, Any]:
        row = await self._read(pair)
        if not self._is_due(pair, row.item):
            return row.item  # somebody did, between our look and the lease
        spent = str(row.item[pair.name("refresh_token")])
        kept = self._unsaved.get(pair)
        if kept is not None and kept[0] == spent:
            return await self._store(pair, spent, kept[1])
        try:
            async with asyncio.timeout(_CALL):
                answer = await refresh(spent)
        except TimeoutError:
            return await self._refused(pair, spent, error_of(METHOD, TIMEOUT))
        except (SlackError, Throttled) as failed:
            return await self._refused(pair, spent, failed)
        made = self._made(pair, answer)
        if made is None:
            return await self._refused(pair, spent, error_of(METHOD, BAD_RESPONSE))
        log.info("token exchanged", extra={"team": pair.team, "kind": pair.kind})
        return await self._store(pair, spent, made)

    def _made(self, pair: Pair, answer: Mapping[str, Any]) -> dict[str, Any] | None:
        """The attributes of the new pair; None when the answer is none of a refresh."""
        token, refresh, lives = (answer.get(name) for name in ("access_token", "refresh_token", "expires_in"))
        whole = isinstance(lives, int) and not isinstance(lives, bool)
        if not isinstance(token, str) or not isinstance(refresh, str) or not whole or not token or not refresh:
            return None
        expires = int(self._clock()) + int(lives or 0)
        values = {"token": token, "refresh_token": refresh, "token_expires_at": expires, "token_lives": lives}
        return {pair.name(name): value for name, value in values.items()}

    async def _store(self, pair: Pair, spent: str, made: dict[str, Any]) -> Mapping[str, Any]:
        """Put the new pair in the place of the spent one. A store that is busy is asked for as long as it takes."""
        self._unsaved[pair] = (spent, made)
        ends, tries = self._clock() + _LEASE, 0
        while True:
            try:
                item = await self._replaced(pair, spent, made)
            except StoreUnavailable as failed:
                if not failed.retryable or self._clock() >= ends:
                    raise  # the pair stays in this process, and is stored by the next call
            else:
                if item is not None:
                    del self._unsaved[pair]
                    self._later.pop(pair, None)
                    return item
            tries += 1
            await self._around.sleep(pause(tries, self._around.chance()))

    async def _replaced(self, pair: Pair, spent: str, made: dict[str, Any]) -> Mapping[str, Any] | None:
        """The row with the new pair; as it is, when another one is there by now; None: it moved, look again."""
        row = await self._read(pair)
        if row.item.get(pair.name("refresh_token")) != spent:
            return row.item
        item = {**row.item, **made}
        if pair.kind == "bot":
            item["state"] = states.step(row.item["state"], "rotate") if row.item["state"] == "INSTALLED" else "REVOKED"
        try:
            await self._engine.commit([Put(pair.table, pair.team, pair.id, item, if_version=row.version)])
        except ConditionFailed:
            return None
        return item

    async def _refused(self, pair: Pair, spent: str, failed: StateroomError) -> Mapping[str, Any]:
        """A refresh that failed: look whether somebody else's pair is there, else live with the old token."""
        used = isinstance(failed, SlackError) and failed.code in _SPENT
        ends = self._clock() + (_GRACE if used else 0.0)
        while True:
            row = await self._read(pair)
            if row.item.get(pair.name("refresh_token")) != spent:
                return row.item
            if self._clock() >= ends:
                break
            await self._around.sleep(0.1)
        log.warning("token not exchanged: %s", failed, extra={"team": pair.team, "kind": pair.kind})
        self._later[pair] = self._clock() + _AGAIN
        if used and not self._works(pair, row.item):
            await self._give_up(pair, row)
        return self._old_or(pair, row.item, failed)

    async def _give_up(self, pair: Pair, row: Row) -> None:
        """Slack takes neither token: only an install helps, and the state says so."""
        item = dict(row.item)
        if pair.kind == "bot":
            now = normalise(round(self._clock(), 6))
            item = without_bot(row.item) | {"state": states.step(row.item["state"], "revoke"), "state_at": now}
        else:
            for name in ("token", "refresh_token", "token_expires_at", "token_lives"):
                item.pop(pair.name(name), None)
        try:
            await self._engine.commit([Put(pair.table, pair.team, pair.id, item, if_version=row.version)])
        except ConditionFailed:
            return  # it was installed again just now

    def _old_or(self, pair: Pair, item: Mapping[str, Any], failed: StateroomError) -> Mapping[str, Any]:
        if self._works(pair, item):
            return item
        raise failed

    async def _read(self, pair: Pair) -> Row:
        (row,) = await self._engine.get(pair.table, pair.team, [pair.id])
        if row is None or pair.name("token") not in row.item:
            raise error_of(METHOD, "token_revoked", sent=False)  # uninstalled meanwhile
        return row
