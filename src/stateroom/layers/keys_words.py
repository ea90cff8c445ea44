"""People's words between the layers and the engine: sealed with the team's data key going in, opened coming out.

Rules of this file: it stands in the engine's place, so that threads and inbox know nothing of it; which attributes of
which tables hold words is handed in. A sealed attribute `x` is stored as `$x`: no text that a person writes is ever
taken for a sealed one, and rows written before sealing was switched on are read as they are. A sealing commit also
checks that the data key is still there, so that nothing is sealed with the key of a team that was erased meanwhile; it
stays one commit. Walks over everything see what they can open, and put back as it was what they cannot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from stateroom.engines.port import (
    Append,
    Check,
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
    in_front,
    log_id,
    with_item,
)
from stateroom.engines.steps import unit_of
from stateroom.layers.keys import WORDS, DataKeys
from stateroom.model.codec import decode, encode
from stateroom.model.errors import ConditionFailed, KeyMissing, KeyServiceError, SealBroken, StateroomError
from stateroom.model.sealing import Place, Unread, hidden, read, write

TRIES: Final = 3  # a data key may be erased between two looks
Item = Mapping[str, Any]
T = TypeVar("T")


class WordsEngine:
    """An engine that keeps words sealed. `words`: by table, the attributes that hold them; `seals`: or only opens."""

    def __init__(self, engine: Engine, keys: DataKeys, words: Mapping[str, Sequence[str]], *, seals: bool) -> None:
        self.beneath = engine
        self.capabilities = in_front(engine.capabilities)
        self.open, self.close = engine.open, engine.close
        self._keys = keys
        self._words = {table: tuple((name, hidden(name)) for name in names) for table, names in words.items()}
        self._seals = seals
        self._together = engine.capabilities.atomic_rows != 1

    def unit(self, table: str) -> int | None:
        """Rows of the table that one commit may hold, as the engine beneath has it (`engines/steps.py`)."""
        return unit_of(self.beneath, table)

    async def apply(self, tables: Sequence[Table], *, dry_run: bool = False) -> list[str]:
        return await self.beneath.apply(tables, dry_run=dry_run)

    async def get(self, table: str, team: str, ids: Sequence[str]) -> list[Row | None]:
        if table not in self._words:
            return await self.beneath.get(table, team, ids)

        async def look() -> list[Row | None]:
            rows = await self.beneath.get(table, team, ids)
            return [None if row is None else await self._opened(table, row._replace(team=team)) for row in rows]

        return await _twice(look)

    async def query(self, query: Query) -> Page:
        if query.table not in self._words or query.expired or (query.team is None and not query.whole):
            return await self.beneath.query(query)  # what is due or old, over all teams: nobody reads words there

        async def look() -> Page:
            page = await self.beneath.query(query)
            found = [await self._opened(query.table, row, strict=not query.whole) for row in page.rows]
            return Page(found, page.position)

        return await _twice(look)

    async def commit(self, writes: Sequence[Write]) -> list[Written]:
        if not any(one.table in self._words for one in writes):
            return await self.beneath.commit(writes)
        for attempt in range(TRIES):
            used: dict[str, str] = {}
            sealed = [await self._sealed(one, used) for one in writes]
            checks = [self._keys.check(team, id) for team, id in used.items()] if self._together else []
            try:
                done = await self.beneath.commit([*sealed, *checks])
            except ConditionFailed as error:
                if error.index >= len(sealed) and attempt < TRIES - 1:
                    self._keys.forget(checks[error.index - len(sealed)].team)
                    continue
                if error.current is not None and writes[error.index].table in self._words:
                    error.current = await self._tolerant(writes[error.index], error.current)
                raise
            return [await self._result(one, result) for one, result in zip(writes, done, strict=False)]
        raise AssertionError("the last try returns or raises")

    async def _result(self, one: Write, done: Written) -> Written:
        if done.row is None or one.table not in self._words or isinstance(one, (Append, Check)):
            return done
        try:
            return done._replace(row=await self._opened(one.table, done.row._replace(team=one.team)))
        except StateroomError as error:
            error.maybe_applied = True
            raise

    async def _sealed(self, one: Write, used: dict[str, str]) -> Write:
        if isinstance(one, (Put, Append, Rewrite)) and one.table in self._words:
            id = await self._id_of(one)
            closed = await self._closed(one.table, one.team, id, one.item, used)
            return with_item(one, closed) if isinstance(one, Put) else replace(one, item=closed)
        if not isinstance(one, Update) or one.table not in self._words:
            return one
        names = self._words[one.table]
        # Each attribute has two names, and one of them at most is there.
        gone = [two for two in names if two[0] in one.remove or two[0] in one.set]
        changes = await self._closed(one.table, one.team, one.id, one.set, used)
        base = await self._closed(one.table, one.team, one.id, one.base, used)
        remove = dict.fromkeys([*one.remove, *(name for two in gone for name in two if name not in changes)])
        return replace(one, set=changes, base=base, remove=tuple(remove))

    async def _closed(self, table: str, team: str, id: str, item: Item, used: dict[str, str]) -> Item:
        found = dict(item)
        for name, covert in self._words[table]:
            if name not in found:
                continue
            value = found[name]
            if isinstance(value, Unread):
                del found[name]
                found[covert] = value.sealed
            elif self._seals:
                sealer = await self._keys.sealer(team, looks=not self._together)
                used[team] = sealer.id
                del found[name]
                found[covert] = write(sealer, encode(value), Place(team, table, id, name))
        return found

    async def _id_of(self, one: Put | Append | Rewrite) -> str:
        if isinstance(one, Put):
            return one.id
        if isinstance(one, Append):
            return log_id(one.stream, one.turn_id)
        if not any(name in one.item for name, _ in self._words[one.table]):
            return ""
        rows = (await self.beneath.query(_entry(one))).rows  # an entry is rewritten by number, and sealed by its turn
        return rows[0].id if rows else ""

    async def _opened(self, table: str, row: Row, *, strict: bool = True) -> Row:
        item = row.item
        if not any(covert in item for _, covert in self._words[table]):
            return row
        found = dict(item)
        for name, covert in self._words[table]:
            if covert in found:
                found[name] = await self._read(found.pop(covert), Place(row.team, table, row.id, name), strict=strict)
        return row._replace(item=found)

    async def _read(self, text: str, place: Place, *, strict: bool) -> Any:
        id = str(text).removeprefix(WORDS).partition(":")[0]
        try:
            try:
                return await self._with_held(text, place, id)
            except SealBroken:
                if not await self._keys.moved(place.team, id):
                    raise
                return await self._with_held(text, place, id)
        except (KeyMissing, KeyServiceError, SealBroken):
            if strict:
                raise
            return Unread(text)

    async def _with_held(self, text: str, place: Place, id: str) -> Any:
        cipher = await self._keys.opener(place.team, id)
        return decode(read(text, lambda _id, _place: cipher, place, WORDS), place.words)

    async def _tolerant(self, one: Write, item: Item) -> Item:
        row = Row(getattr(one, "id", ""), dict(item), 0, None, one.team)
        return (await self._opened(one.table, row, strict=False)).item


async def _twice(look: Callable[[], Awaitable[T]]) -> T:
    """A look, and another one: between reading and opening words may be sealed anew, and their older key removed."""
    try:
        return await look()
    except KeyMissing:
        return await look()


def _entry(one: Rewrite) -> Query:
    after = (one.number - 1,)
    return Query(one.table, one.team, 1, equals=(one.stream,), after=after, high=one.number + 1)
