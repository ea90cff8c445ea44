"""Data keys: each team's own keys for people's words, wrapped by the keyring or by a key service (KMS).

Rules of this file: one page over the port. A data key is made once, is stored wrapped, and is held unwrapped in memory
for a bounded time only. The newest one of a team seals, all of them open. Erasing a team removes its rows, and with
them the only way to open its words where they are still held without them. docs/format.md, "Sealed words".
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from stateroom.engines.port import Check, Engine, Put, Query, Row
from stateroom.expr.builder import attr
from stateroom.layers.walking import BATCH, pages
from stateroom.model.attributes import Attribute
from stateroom.model.codec import normalise
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed, KeyMissing, SealBroken
from stateroom.model.sealing import KEY_BYTES, Cipher, Keyring, Place, Sealer, cipher_of, key_id

WORDS: Final = "sr-words:1:"  # how sealed words begin; the data key's id follows, and a colon
SERVICE: Final = "sr-kms:1:"  # how a data key that a service wrapped begins; the service's name follows, and a colon
SECONDS: Final = 300.0  # an unwrapped key is in memory for so long, and a service is asked so often
RETIRED: Final = "retired"
RUN: Final = "run"
_FIRST: Final = "00000001"

KEYS: Final = Definition(
    name="sr_keys",
    key="id",
    attributes={
        "id": Attribute("string", required=True),  # a number of eight digits
        "wrapped": Attribute("string", required=True),  # a sealed value, or what a key service made of it
        "at": Attribute("number", required=True),
        RUN: Attribute("string"),  # the rotation that made it (keys_text.py)
        RETIRED: Attribute("boolean"),  # it opens, and seals nothing any more
    },
)
DEFINITIONS: Final = (KEYS,)


class KeyService(Protocol):
    """A service that wraps keys with one that never leaves it. Errors are KeyServiceError."""

    @property
    def name(self) -> str:
        """Which service and which key of it; stored with what it wrapped."""

    async def wrap(self, key: bytes, context: Mapping[str, str]) -> bytes:
        """`key` as the service gives it back only together with the same `context`."""

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """What was wrapped."""


class _Held(NamedTuple):
    """An unwrapped key in memory, and until when by the clock."""

    cipher: Cipher
    until: float
    wrapped: str  # as it was read: the number of an erased key comes again


class DataKeys:
    """The data keys of all teams of a store."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        keyring: Keyring | None,
        service: KeyService | None = None,
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._keyring = keyring
        self._service = service
        self._seconds = seconds
        self._held: dict[tuple[str, str], _Held] = {}
        self._newest: dict[str, str] = {}

    @property
    def service_name(self) -> str | None:
        """The key service that wraps new keys; None: the keyring does."""
        return None if self._service is None else self._service.name

    async def sealer(self, team: str, *, looks: bool = False) -> Sealer:
        """What seals the team's words: its newest data key; one is made where there is none.

        `looks`: see that it is still there, where `check` cannot go along with the write.
        """
        id = None if looks else self._newest.get(team)
        held = None if id is None else self._fresh(team, id)
        if id is None or held is None:
            id, held = await self._load(team)
        return Sealer(id, held.cipher, WORDS)

    async def opener(self, team: str, id: str) -> Cipher:
        """The cipher of one data key. KeyMissing when the team has no such key (any more)."""
        held = self._fresh(team, id)
        if held is None:
            (row,) = await self._engine.get(KEYS.name, team, [id])
            if row is None:
                gone = "a data key that is not in the store any more: what it sealed is gone"
                raise KeyMissing(KEYS.name, "wrapped", id, gone)
            held = await self._hold(team, row)
        return held.cipher

    def check(self, team: str, id: str) -> Check:
        """The write that makes a commit fail when the data key is gone, as it is after the team was erased, or retired,
        or another one has its number."""
        held = self._held.get((team, id))
        same = attr("id").exists() if held is None else attr("wrapped") == held.wrapped
        return Check(KEYS.name, team, id, condition=same & ~attr(RETIRED).exists())

    async def moved(self, team: str, id: str) -> bool:
        """Whether what is held is not what is stored any more; then nothing is held."""
        held = self._held.get((team, id))
        (row,) = await self._engine.get(KEYS.name, team, [id])
        if held is None or (row is not None and row.item.get("wrapped") == held.wrapped):
            return False
        self.forget(team)
        return True

    def forget(self, team: str) -> None:
        """Hold nothing of the team any more."""
        self._newest.pop(team, None)
        for place in [one for one in self._held if one[0] == team]:
            del self._held[place]

    async def rows(self, team: str) -> list[Row]:
        """The team's keys as they are stored, the newest last."""
        return [row async for rows, _ in pages(self._engine, Query(KEYS.name, team, BATCH)) for row in rows]

    async def make(self, team: str, *, after: str | None = None, run: str | None = None) -> None:
        """A new key, the first or the one behind `after`; of several who make it at once, one wins."""
        id = _FIRST if after is None else f"{int(after) + 1:08d}"
        item = {
            "id": id,
            "wrapped": await self.wrapped(team, id, os.urandom(KEY_BYTES)),
            "at": normalise(round(self._clock(), 6), "at"),
            **({} if run is None else {RUN: run}),
        }
        try:
            await self._engine.commit([Put(KEYS.name, team, id, item, if_version=0)])
        except ConditionFailed:
            pass  # another process was faster

    async def wrapped(self, team: str, id: str, key: bytes) -> str:
        """A data key as it is stored: by the service where there is one, else by the first key of the ring."""
        if self._service is not None:
            made = await self._service.wrap(key, _context(team, id))
            return f"{SERVICE}{self._service.name}:{b64encode(made).decode()}"
        if self._keyring is None:
            raise KeyMissing(KEYS.name, "wrapped")
        return self._keyring.seal(key, _place(team, id))

    async def unwrapped(self, team: str, id: str, text: str) -> bytes:
        """A stored data key. KeyMissing, SealBroken, KeyServiceError."""
        ring = key_id(text)
        if ring is not None:
            if self._keyring is None:
                raise KeyMissing(KEYS.name, "wrapped", ring)
            return self._keyring.open(text, _place(team, id))
        name, colon, body = text.removeprefix(SERVICE).rpartition(":")
        if not colon or not text.startswith(SERVICE):
            raise SealBroken(f"{KEYS.name}.wrapped", "is no wrapped key")
        if self._service is None:
            raise KeyMissing(KEYS.name, "wrapped", name, "which is of a key service; set STATEROOM_KMS to it")
        try:
            wrapped = b64decode(body, validate=True)
        except ValueError:
            raise SealBroken(f"{KEYS.name}.wrapped", "is no wrapped key") from None
        return await self._service.unwrap(wrapped, _context(team, id))

    def wraps(self, text: str) -> bool:
        """Whether a stored data key is wrapped as one would be wrapped now."""
        if self._service is not None:
            return text.startswith(f"{SERVICE}{self._service.name}:")
        return self._keyring is not None and key_id(text) == self._keyring.first

    def _fresh(self, team: str, id: str) -> _Held | None:
        held = self._held.get((team, id))
        if held is not None and held.until <= self._clock():
            del self._held[team, id]
            return None
        return held

    async def _load(self, team: str) -> tuple[str, _Held]:
        row = await self._last(team) or await self._make(team)
        self._newest[team] = row.id
        held = self._fresh(team, row.id)
        if held is None or held.wrapped != row.item.get("wrapped"):
            held = await self._hold(team, row)
        return row.id, held

    async def _last(self, team: str) -> Row | None:
        rows = (await self._engine.query(Query(KEYS.name, team, 1, descending=True))).rows
        return rows[0] if rows else None

    async def _make(self, team: str) -> Row:
        """The first key of a team."""
        await self.make(team)
        row = await self._last(team)
        assert row is not None
        return row

    async def _hold(self, team: str, row: Row) -> _Held:
        wrapped = str(row.item.get("wrapped"))
        key = await self.unwrapped(team, row.id, wrapped)
        if len(key) != KEY_BYTES:
            raise SealBroken(f"{KEYS.name}.wrapped", f"is no key of {KEY_BYTES} bytes")
        held = _Held(cipher_of(key), self._clock() + self._seconds, wrapped)
        self._held[team, row.id] = held
        return held


def _place(team: str, id: str) -> Place:
    return Place(team, KEYS.name, id, "wrapped")


def _context(team: str, id: str) -> dict[str, str]:
    """What a service binds the key to; it shows in the service's own log."""
    return {"stateroom": KEYS.name, "team": team, "key": id}
