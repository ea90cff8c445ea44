"""Transactions: several items of one team read and written as if nobody else were there, or not at all.

Rules of this file: nothing is locked and nothing is written before the block is left. Every row that is looked at is
remembered with its version; writes are decided on what was read and on the block's own writes; leaving is one commit in
which every row looked at must still have its version, else TransactionConflict. A block that ends with an exception
writes nothing. One transaction is of one team (invariant 5), and of items: what a thread appends is idempotent by its
turn id and needs none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stateroom.engines.handle_commit import Committer, ItemWrite
from stateroom.engines.handle_form import Form
from stateroom.engines.handle_guards import Guards
from stateroom.engines.handle_sealing import sealing
from stateroom.engines.handle_surroundings import Surroundings
from stateroom.engines.handle_trash import kept
from stateroom.engines.handle_writes import Asked, Names, Values, Writes
from stateroom.engines.port import Check, Delete, Engine, Put, Row, Write, Written
from stateroom.model.definition import Definition
from stateroom.model.errors import ConditionFailed, TransactionConflict, UniqueViolation, Unsupported, WrongUse
from stateroom.model.ids import check_id, check_key
from stateroom.model.sealing import Keyring

T = TypeVar("T")
Prepare = Callable[[Definition], Awaitable[None]]


@dataclass(slots=True)
class _Seen:
    """A row of the transaction: its version in the store, and how it is by now."""

    version: int
    row: Row | None
    changed: bool = False


class Transaction:
    """What `async with store.transaction() as tx` gives. `items` opens a datastore inside of it."""

    def __init__(self, engine: Engine, around: Surroundings, prepare: Prepare, keyring: Keyring | None = None) -> None:
        able = engine.capabilities
        if able.atomic_rows == 1 or not able.conditions:
            raise Unsupported(able.name, "transactions: they need several conditional rows in one commit")
        self.engine = engine  # with everything that it must know to seal what the block writes
        self._keyring = keyring
        self.around = around
        self._prepare = prepare
        self._team: str | None = None
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._beside: dict[tuple[str, str], Put] = {}
        self._open = True

    def items(self, definition: Definition, team: str) -> TransactionItems[Any]:
        """A datastore inside this transaction. WrongUse for a second team."""
        self.check_open()
        if self._team not in (None, check_id("team", team)):
            raise WrongUse("a transaction is of one team; end this one and begin another for the other team")
        self._team = team
        self.engine = sealing(self.engine, self._keyring, definition)
        return TransactionItems(self, definition, team)

    def check_open(self) -> None:
        """WrongUse once the block was left."""
        if not self._open:
            raise WrongUse("this transaction is over; use it inside of its `async with` block")

    async def look(self, committer: Committer, id: str) -> _Seen:
        """The row as the transaction sees it; read from the store the first time."""
        self.check_open()
        place = (committer.form.name, check_key(id))
        if place not in self._seen:
            await self._prepare(committer.form.definition)
            row = await committer.read(id)
            current = committer.current(row)
            self._seen.setdefault(place, _Seen(0 if row is None else row.version, current))
        return self._seen[place]

    async def apply(self, committer: Committer, write: ItemWrite) -> Written:
        """Decide a write on what the transaction sees, and keep it for the end."""
        seen = await self.look(committer, write.id)
        done = committer.judge(seen.row, write)
        definition = committer.form.definition
        if isinstance(write, Delete) and seen.row is not None and definition.keep_deleted is not None:
            copy = kept(definition, seen.row, self.around.clock())
            self._beside[copy.table, copy.id] = copy
        seen.changed = seen.changed or done.changed
        seen.row = done.row
        return done

    async def commit(self) -> None:
        """Write everything, if every row that was looked at is as it was. The transaction is over then."""
        self._open = False
        writes = [self._final(table, id, seen) for (table, id), seen in self._seen.items()]
        if len(writes) < 2 and not any(seen.changed for seen in self._seen.values()):
            return  # one row is always consistent with itself
        try:
            await self.engine.commit([*writes, *self._beside.values()])
        except UniqueViolation as error:
            error.current = _visible(error.current)
            raise
        except ConditionFailed as error:
            raise TransactionConflict(error.place, _visible(error.current)) from None

    def close(self) -> None:
        """Forget everything."""
        self._open = False

    def _final(self, table: str, id: str, seen: _Seen) -> Write:
        team, row, version = self._team or "", seen.row, seen.version
        if not seen.changed or (row is None and version == 0):
            return Check(table, team, id, if_version=version)
        if row is None:
            return Delete(table, team, id, if_version=version)
        return Put(table, team, id, row.item, row.expires_at, if_version=version)


class TransactionItems(Generic[T]):
    """A datastore inside a transaction: the same verbs by id. What they find and write is checked at the end."""

    def __init__(self, transaction: Transaction, definition: Definition, team: str) -> None:
        form: Form[T] = Form(definition)
        guards = Guards(form)
        self._transaction = transaction
        self._form = form
        self._writes = Writes(form, guards, team)
        self._committer = Committer(transaction.engine, form, guards, team, transaction.around)

    async def get(self, id: str) -> T | None:
        """The item as this transaction sees it, or None. That it is absent is remembered, too."""
        row = (await self._transaction.look(self._committer, id)).row
        return None if row is None else self._form.load(row.item)

    async def put(
        self,
        item: T,
        *,
        if_absent: bool = False,
        condition: Asked = None,
        names: Names = None,
        values: Values = None,
    ) -> T:
        """Create or replace. ConditionFailed at once when what the transaction sees does not fulfil the condition."""
        asked = self._writes.condition(condition, names, values)
        return await self._apply(self._writes.put(item, if_absent=if_absent, condition=asked))

    async def update(
        self,
        id: str,
        set: Mapping[str, Any] | None = None,
        *,
        add: Mapping[str, Any] | None = None,
        remove: Sequence[str] = (),
        append: Mapping[str, Sequence[Any]] | None = None,
        condition: Asked = None,
        names: Names = None,
        values: Values = None,
    ) -> T:
        """Change attributes; the whole item as it will be."""
        asked = self._writes.condition(condition, names, values)
        write = self._writes.update(id, set, add=add, remove=remove, append=append, condition=asked)
        return await self._apply(write)

    async def delete(self, id: str, *, condition: Asked = None, names: Names = None, values: Values = None) -> bool:
        """Remove; whether there is something to remove."""
        write = self._writes.delete(id, condition=self._writes.condition(condition, names, values))
        return (await self._transaction.apply(self._committer, write)).changed

    async def _apply(self, write: ItemWrite) -> T:
        done = await self._transaction.apply(self._committer, write)
        assert done.row is not None
        return self._form.load(done.row.item)


def _visible(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if item is None else {name: value for name, value in item.items() if not name.startswith("$")}
