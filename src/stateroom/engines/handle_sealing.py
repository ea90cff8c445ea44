"""Encrypted attributes between a handle and its engine: sealed on the way in, opened on the way out.

Rules of this file: it stands in the engine's place for definitions that need it, so that no verb can go around it, and
for no other, so that they cost nothing. What a handle sees is plain, what an engine sees is sealed: rows, changes of
attributes, results, what a refused write found, deleted items, remembered results and logs of changes. All copies of an
item are sealed for the item's own place (team, datastore, key, attribute). A value that should be sealed and is not is
refused, except in rows of older versions of the definition: that one may not have encrypted it. Stateroom's own walks
(erase) are tolerant: what they cannot open they leave as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from stateroom.engines.port import (
    Engine,
    Page,
    Put,
    Query,
    Rewrite,
    Row,
    Table,
    Update,
    Write,
    Written,
    changes_table,
    in_front,
    with_item,
)
from stateroom.model.codec import decode, encode
from stateroom.model.definition import TRASH_PREFIX, Definition
from stateroom.model.errors import (
    ConditionFailed,
    KeyMissing,
    SealBroken,
    StateroomError,
    UniqueViolation,
)
from stateroom.model.sealing import Keyring, Place, Unread, key_id
from stateroom.model.upgrades import VERSION

ONCE: Final = "sr_once"  # what remembers results (handle_once.py)
CALL: Final = "call"  # its digest of the arguments: of a short secret it would tell by trying

Item = Mapping[str, Any]
Turn = Callable[[Any, Place], Any]  # seals or opens one value


class Secrets:
    """Seals and opens the items of one definition."""

    def __init__(self, definition: Definition, keyring: Keyring | None, *, tolerant: bool = False) -> None:
        self.definition = definition
        self.keyring = keyring
        self._tolerant = tolerant

    def sealed(self, item: Item, team: str, id: str) -> dict[str, Any]:
        """The item, or some attributes of one, as an engine may have it. KeyMissing."""
        return self._turned(item, team, id, self.definition.encrypted & item.keys(), self.seal)

    def opened(self, item: Item, team: str, id: str) -> dict[str, Any]:
        """The stored item in plain. KeyMissing, SealBroken."""
        if item.get(VERSION, 1) != self.definition.version:
            return self._opened_old(item, team, id)
        return self._turned(item, team, id, self.definition.encrypted & item.keys(), self.open)

    def seal(self, value: Any, place: Place) -> str:
        """One value. KeyMissing without keys."""
        if isinstance(value, Unread):
            return value.sealed
        if self.keyring is None:
            raise KeyMissing(place.datastore, place.attribute)
        return self.keyring.seal(encode(value), place)

    def open(self, value: Any, place: Place) -> Any:
        """One value. KeyMissing without its key, SealBroken when it is not sealed, or not here."""
        try:
            return self._open(value, place)
        except (KeyMissing, SealBroken):
            if not self._tolerant or not isinstance(value, str):
                raise
            return Unread(value)

    def _open(self, value: Any, place: Place) -> Any:
        if key_id(value) is None:
            raise SealBroken(place.words, "is encrypted and a stored value is not; `stateroom keys rotate` seals it")
        if self.keyring is None:
            raise KeyMissing(place.datastore, place.attribute, key_id(value))
        return decode(self.keyring.open(value, place), place.words)

    def _opened_old(self, item: Item, team: str, id: str) -> dict[str, Any]:
        """What was sealed by a version that may have encrypted other attributes; what only looks so stays."""
        names = {name for name, value in item.items() if key_id(value) is not None}
        known = self.definition.encrypted
        found = self._turned(item, team, id, names & known, self.open)
        for name in names - known:
            try:
                found |= self._turned({name: item[name]}, team, id, (name,), self.open)
            except (KeyMissing, SealBroken):
                continue
        return found

    def _turned(self, item: Item, team: str, id: str, names: Any, turn: Turn) -> dict[str, Any]:
        if not names and isinstance(item, dict):
            return item
        found, name = dict(item), self.definition.name.removeprefix(TRASH_PREFIX)
        for attribute in names:
            found[attribute] = turn(found[attribute], Place(team, name, id, attribute))
        return found


class SealingEngine:
    """An engine as handles of definitions with secrets see it: the port, with plain items on this side."""

    def __init__(
        self, engine: Engine, keyring: Keyring | None, secrets: Mapping[str, Secrets], *, tolerant: bool = False
    ) -> None:
        self._engine = engine
        self._keyring = keyring
        self._tolerant = tolerant
        self._secrets = dict(secrets)
        self._changes = {changes_table(name): one for name, one in secrets.items()}
        self.capabilities = in_front(engine.capabilities)
        self.open, self.close = engine.open, engine.close

    def with_definitions(self, *definitions: Definition) -> SealingEngine:
        """The same, for these definitions, too."""
        found = dict(self._secrets)
        for one in definitions:
            names = (one.name, f"{TRASH_PREFIX}{one.name}")
            found |= dict.fromkeys(names, Secrets(one, self._keyring, tolerant=self._tolerant))
        return SealingEngine(self._engine, self._keyring, found, tolerant=self._tolerant)

    def tolerant(self) -> SealingEngine:
        """The same, which leaves as it is what it cannot open."""
        definitions = [one.definition for one in self._secrets.values()]
        return SealingEngine(self._engine, self._keyring, {}, tolerant=True).with_definitions(*definitions)

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        return await self._engine.apply(tables, dry_run=dry_run)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        rows = await self._engine.get(table, team, ids)
        return [None if row is None else self._opened(table, row._replace(team=team)) for row in rows]

    async def query(self, query: Query) -> Page:
        page = await self._engine.query(query)
        return Page([self._opened(query.table, row) for row in page.rows], page.position)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        try:
            done = await self._engine.commit([self._sealed(write) for write in writes])
        except ConditionFailed as error:
            self._tell(error, writes)
            raise
        try:
            return [self._result(write, one) for write, one in zip(writes, done, strict=True)]
        except (KeyMissing, SealBroken) as error:
            error.maybe_applied = True  # it is stored; what cannot be shown is a secret that was there before
            raise

    def _result(self, write: Write, done: Written) -> Written:
        if done.row is None or write.table not in self._secrets:
            return done
        return done._replace(row=self._opened(write.table, done.row._replace(team=write.team)))

    def _sealed(self, write: Write) -> Write:
        if isinstance(write, Put):
            return with_item(write, self._sealed_item(write))
        if isinstance(write, Rewrite):
            return self._sealed_entry(write)
        one = self._secrets.get(write.table)
        if one is None or not isinstance(write, Update):
            return write
        return replace(
            write,
            set=one.sealed(write.set, write.team, write.id),
            base=one.sealed(write.base, write.team, write.id),
        )

    def _sealed_item(self, write: Put) -> Item:
        if write.table == ONCE:
            return self._note(write)
        one = self._secrets.get(write.table)
        return write.item if one is None else one.sealed(write.item, write.team, write.id)

    def _sealed_entry(self, write: Rewrite) -> Rewrite:
        told, entry = self._changes.get(write.table), write.item
        if told is None or "item" not in entry:
            return write
        return replace(write, item={**entry, "item": told.sealed(entry["item"], write.team, entry["id"])})

    def _note(self, write: Put) -> Item:
        one = self._secrets.get(write.id.partition("/")[0])
        if one is None:
            return write.item
        item = {**write.item, "result": one.sealed(write.item["result"], write.team, write.item["item"])}
        if one.keyring is not None:  # without keys no argument was a secret
            item[CALL] = one.seal(item[CALL], Place(write.team, ONCE, write.id, CALL))
        return item

    def _opened(self, table: str, row: Row) -> Row:
        if table == ONCE:
            return self._opened_note(row)
        one = self._secrets.get(table)
        if one is not None:
            return row._replace(item=one.opened(row.item, row.team, row.id))
        told = self._changes.get(table)
        if told is None or "item" not in row.item:
            return row
        entry = row.item
        return row._replace(item={**entry, "item": told.opened(entry["item"], row.team, entry["id"])})

    def _opened_note(self, row: Row) -> Row:
        one = self._secrets.get(row.id.partition("/")[0])
        if one is None:
            return row
        item = {**row.item, "result": one.opened(row.item["result"], row.team, row.item["item"])}
        if key_id(item[CALL]) is not None:
            item[CALL] = one.open(item[CALL], Place(row.team, ONCE, row.id, CALL))
        return row._replace(item=item)

    def _tell(self, error: ConditionFailed, writes: Sequence[Write]) -> None:
        """What a refused write found, in plain; of an item of somebody else, only what is no secret."""
        write = writes[error.index]
        one = self._secrets.get(write.table)
        if one is None or error.current is None:
            return
        foreign = isinstance(error, UniqueViolation)
        id = error.current.get(one.definition.key, "") if foreign else getattr(write, "id", "")
        try:
            error.current = one.opened(error.current, write.team, id)
        except StateroomError:
            secrets = {name for name in error.current if name in one.definition.encrypted}
            error.current = {name: value for name, value in error.current.items() if name not in secrets}
            if not foreign:
                raise


def sealing(engine: Engine, keyring: Keyring | None, definition: Definition) -> Engine:
    """The engine that handles of `definition` use: itself, unless rows of it hold secrets or older ones may."""
    if not definition.encrypted and (keyring is None or definition.version == 1):
        return engine
    base = engine if isinstance(engine, SealingEngine) else SealingEngine(engine, keyring, {})
    return base.with_definitions(definition)


def tolerant(engine: Engine) -> Engine:
    """The same engine, which leaves as it is what it cannot open."""
    return engine.tolerant() if isinstance(engine, SealingEngine) else engine


def plainly(engine: Engine, keyring: Keyring | None, definitions: Iterable[Definition]) -> Engine:
    """The engine for walks over all of `definitions` that must see what is sealed, as far as the keys go."""
    companions = [one for one in definitions if not one.name.startswith(TRASH_PREFIX)]
    return SealingEngine(engine, keyring, {}, tolerant=True).with_definitions(*companions)
