"""Rotation: everything that is sealed gets sealed with the first key, while others go on reading and writing.

Rules of this file: a row is written only if it is still the one that was read; one that moved is read again, so no
update is lost. Where a walk stands is kept, never ahead of what is done: after a kill the next run goes on from there.
What cannot be opened stays as it is and is counted. The proof is a second walk over all of it, which only counts.
People's words are sealed with data keys: those are wrapped anew, and the words stay as they are (docs/keys.md).
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stateroom.engines import handle_once, leases
from stateroom.engines.handle import table_of
from stateroom.engines.handle_sealing import CALL
from stateroom.engines.port import Engine, Put, Query, Rewrite, Row, Table, Write, changes_table
from stateroom.layers.catalogue import PROGRESS
from stateroom.layers.keys import KEYS, SERVICE, DataKeys
from stateroom.layers.walking import BATCH, EVERYWHERE, Pace, Renewing, pages_if_any, removal, settle, stream_of
from stateroom.model.codec import encode, normalise
from stateroom.model.definition import TRASH_PREFIX, Definition
from stateroom.model.errors import (
    ConditionFailed,
    KeyMissing,
    KeyServiceError,
    SealBroken,
    StateroomError,
    WrongUse,
)
from stateroom.model.sealing import Keyring, Place, key_id
from stateroom.model.upgrades import OWN, VERSION

LEASE: Final = 3.0  # seconds; renewed with every page, so a killed rotation holds up the next one so long
PLAIN: Final = "plain"  # in figures, in place of a key's id: a value that should be sealed and is not

Item = Mapping[str, Any]
Versions = Mapping[int, Definition]


class RotationRuns(StateroomError):
    """Another process is at it, or was killed a moment ago: wait, or try again when its lease has run out."""

    retryable = True

    def __init__(self) -> None:
        super().__init__(f"another rotation runs, or was killed less than {LEASE:g} s ago; try again")


@dataclass
class Figures:
    """One table. `values`: how many sealed values are on each key; `failed`: why others could not be opened."""

    table: str
    seen: int = 0
    sealed: int = 0  # rows that were written
    raced: int = 0  # rows that others kept changing; run it again
    values: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


class Found(NamedTuple):
    """One value that is sealed, or should be: where it stands in the row's item, and the place it is bound to."""

    path: tuple[str, ...]
    value: Any
    place: Place


class Home:
    """A datastore with secrets, in all its versions."""

    def __init__(self, versions: Versions) -> None:
        self.newest = versions[max(versions)]
        self._encrypted = {number: one.encrypted for number, one in versions.items()}
        self._ever = frozenset().union(*self._encrypted.values())

    @property
    def has_secrets(self) -> bool:
        """Whether any version encrypts something."""
        return bool(self._ever)

    def values(self, item: Item, team: str, id: str, path: tuple[str, ...] = ()) -> Iterator[Found]:
        """What of an item (or of a copy of it under `path`) is sealed, or should be."""
        must = self._encrypted.get(item.get(VERSION, 1), frozenset())
        for name, value in item.items():
            if name.startswith(OWN):
                continue
            sealed = key_id(value) is not None and (name in self._ever or name not in self.newest.attributes)
            if sealed or name in must:
                yield Found((*path, name), value, Place(team, self.newest.name, id, name))


@dataclass(frozen=True)
class Walk:
    """One table and what to look at in its rows."""

    table: Table
    values: Callable[[Row], Iterator[Found]]


def walks(definitions: Sequence[Definition], versions: Mapping[str, Versions]) -> list[Walk]:
    """All tables that may hold a sealed value. Logs of changes come last: resealing a row adds to them."""
    own = [one for one in definitions if not one.name.startswith(TRASH_PREFIX) and not one.log]
    homes = {one.name: Home({**versions.get(one.name, {}), one.version: one}) for one in own}
    homes = {name: home for name, home in homes.items() if home.has_secrets}
    found: list[Walk] = []
    for one in definitions:
        home = homes.get(one.name.removeprefix(TRASH_PREFIX))
        if home is not None:
            found.append(Walk(table_of(one), _of_items(home)))
    found.append(Walk(table_of(handle_once.ONCE), _of_notes(homes)))
    for name, home in homes.items():
        if any(one.changes for one in (home.newest, *versions.get(name, {}).values())):
            found.append(Walk(Table(changes_table(name), log=True), _of_changes(home)))
    return found


def _of_items(home: Home) -> Callable[[Row], Iterator[Found]]:
    return lambda row: home.values(row.item, row.team, row.id)


def _of_changes(home: Home) -> Callable[[Row], Iterator[Found]]:
    return lambda row: home.values(row.item.get("item") or {}, row.team, str(row.item.get("id")), ("item",))


def _of_notes(homes: Mapping[str, Home]) -> Callable[[Row], Iterator[Found]]:
    def values(row: Row) -> Iterator[Found]:
        home = homes.get(row.id.partition("/")[0])
        if home is None:
            return
        yield from home.values(row.item["result"], row.team, row.item["item"], ("result",))
        if key_id(row.item[CALL]) is not None:
            yield Found((CALL,), row.item[CALL], Place(row.team, handle_once.ONCE.name, row.id, CALL))

    return values


async def count(engine: Engine, found: Sequence[Walk], told: Callable[[Figures], None]) -> list[Figures]:
    """How many sealed values are on each key, table by table, and how many data keys. Nothing is written or opened."""
    return [await _count(engine, one, told) for one in [*found, Walk(table_of(KEYS), lambda _: iter(()))]]


async def _count(engine: Engine, walk: Walk, told: Callable[[Figures], None]) -> Figures:
    figures = Figures(walk.table.name)
    async for rows, _ in pages_if_any(engine, Query(walk.table.name, None, BATCH, whole=True)):
        figures.seen += len(rows)
        for row in rows:
            if walk.table.name == KEYS.name:
                figures.values[_wrapper(str(row.item.get("wrapped")))] += 1
            figures.values.update(key_id(one.value) or PLAIN for one in walk.values(row))
        told(figures)
    return figures


def left(figures: Sequence[Figures], keyring: Keyring | None, keys: DataKeys | None) -> Counter[str]:
    """What is not on the key it should be on, by key."""
    rest: Counter[str] = Counter()
    for one in figures:
        data_keys = one.table == KEYS.name
        service = keys.service_name if data_keys and keys is not None else None
        wanted = f"{SERVICE}{service}" if service else None if keyring is None else keyring.first
        rest.update({name: number for name, number in one.values.items() if name != wanted})
    return rest


class Rotation:
    """Seals everything with the first key of `keyring`."""

    def __init__(
        self,
        engine: Engine,
        pace: Pace,
        keyring: Keyring | None,
        keys: DataKeys,
        *,
        told: Callable[[Figures], None],
        batch: int = BATCH,
    ) -> None:
        self._engine = engine
        self._pace = pace
        self._keyring = keyring
        self._keys = keys
        self._told = told
        self._batch = batch if pace.rate is None else max(1, min(batch, int(pace.rate)))  # a page a second at most

    async def run(self, found: Sequence[Walk]) -> list[Figures]:
        """All of it. RotationRuns when another process is at it."""
        holder = secrets.token_hex(6)
        lease = await leases.acquire(
            self._engine, self._pace.clock, EVERYWHERE, "keys:rotate", holder=holder, seconds=LEASE
        )
        if lease is None:
            raise RotationRuns
        pace = Renewing(self._pace, lease, LEASE)
        try:
            done = [await self._wrap(pace)]
            return done + [await self._walk(one, pace) for one in found if self._keyring is not None]
        finally:
            await lease.release()

    async def _walk(self, walk: Walk, pace: Pace) -> Figures:
        figures, name = Figures(walk.table.name), f"keys:{walk.table.name}"
        after = await self._stands(name)
        query = Query(walk.table.name, None, self._batch, after=after, whole=True)
        async for rows, position in pages_if_any(self._engine, query):
            figures.seen += len(rows)
            done, raced = await settle(self._engine, rows, lambda row: self._write(walk, row, figures))
            figures.sealed += len(done)
            figures.raced += raced
            await self._engine.commit([self._record(name, position, figures)])
            self._told(figures)
            await pace.batch(len(rows))
        await self._engine.commit([self._record(name, None, figures)])
        return figures

    def _write(self, walk: Walk, row: Row, figures: Figures) -> Write | None:
        """The row sealed with the first key, or None: it is, or cannot be opened."""
        item: dict[str, Any] = dict(row.item)
        try:
            changed = [self._resealed(item, one) for one in walk.values(row)]
        except (KeyMissing, SealBroken) as error:
            figures.failed[str(error)] += 1
            return None
        if not any(changed):
            return None
        if row.expires_at is not None and row.expires_at <= self._pace.clock():
            return removal(walk.table, row)  # nobody sees it any more
        if walk.table.log:
            return Rewrite(walk.table.name, row.team, stream_of(row), row.version, item, before=row.item)
        return Put(walk.table.name, row.team, row.id, item, row.expires_at, if_version=row.version)

    def _resealed(self, item: dict[str, Any], one: Found) -> bool:
        assert self._keyring is not None
        sealed_with = key_id(one.value)
        if sealed_with == self._keyring.first:
            return False
        value = encode(one.value) if sealed_with is None else self._keyring.open(one.value, one.place)
        for name in one.path[:-1]:
            item[name] = dict(item[name])  # of our own
            item = item[name]
        item[one.path[-1]] = self._keyring.seal(value, one.place)
        return True

    async def _wrap(self, pace: Pace) -> Figures:
        """Data keys: few, and never changed by anybody else, but for erasing."""
        figures = Figures(KEYS.name)
        async for rows, _ in pages_if_any(self._engine, Query(KEYS.name, None, self._batch, whole=True)):
            figures.seen += len(rows)
            for row in rows:
                figures.sealed += await self._wrapped(row, figures)
            self._told(figures)
            await pace.batch(len(rows))
        return figures

    async def _wrapped(self, row: Row, figures: Figures) -> bool:
        text = str(row.item.get("wrapped"))
        if self._keys.wraps(text):
            return False
        try:
            key = await self._keys.unwrapped(row.team, row.id, text)
            item = {**row.item, "wrapped": await self._keys.wrapped(row.team, row.id, key)}
            await self._engine.commit([Put(KEYS.name, row.team, row.id, item, if_version=row.version)])
        except (KeyMissing, SealBroken) as error:
            figures.failed[str(error)] += 1
            return False
        except KeyServiceError as error:
            if error.retryable:
                raise
            figures.failed[str(error)] += 1
            return False
        except ConditionFailed:
            return False  # erased just now
        return True

    async def _stands(self, name: str) -> tuple[Any, ...] | None:
        """Behind which row to go on: where a run to the same key was ended before its time."""
        (row,) = await self._engine.get(PROGRESS.name, EVERYWHERE, [name])
        if row is None or row.item["finished"] or "after" not in row.item:
            return None
        key, after = json.loads(row.item["after"])
        assert self._keyring is not None
        return tuple(after) if key == self._keyring.first else None

    def _record(self, name: str, after: tuple[Any, ...] | None, figures: Figures) -> Put:
        assert self._keyring is not None
        item: dict[str, Any] = {
            "id": name,
            "version": 1,
            "seen": figures.seen,
            "rewritten": figures.sealed,
            "failed": figures.failed.total(),
            "finished": after is None,
            "at": normalise(round(self._pace.clock(), 6), "at"),
        }
        if after is not None:
            item["after"] = json.dumps([self._keyring.first, after])
        return Put(PROGRESS.name, EVERYWHERE, name, item)


def check_keys(keys: DataKeys | None) -> DataKeys:
    """WrongUse where there is nothing to seal with."""
    if keys is None:
        raise WrongUse("there are no keys: set STATEROOM_KEYS, the new key first and the older ones behind it")
    return keys


def _wrapper(text: str) -> str:
    """What a data key is wrapped by, in figures."""
    return key_id(text) or (text.rpartition(":")[0] if text.startswith(SERVICE) else PLAIN)
