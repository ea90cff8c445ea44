"""A batch that takes a transaction: its rows are read, `decide` decides, the result is written if nothing has moved.

Rules of this file: what was read is a condition of what is written: a row's version, a stream's end, a claim's turn.
Rows that were seen before are not read again (`believed`), and are held by the same conditions.
So nothing is locked, and a batch that somebody came between begins again (`Conflict`). A unique value is held by a row
of its own, the claim; whoever takes it over from a row that is gone or expired changes the claim, so that two never do.
A stream is erased by giving its head another generation; the rows of the old one are removed afterwards, and the head
remembers them until that is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import uuid4

from stateroom.engines.decide import alive, change, decide, index_key, next_version
from stateroom.engines.dynamodb_errors import Refused
from stateroom.engines.dynamodb_read import UNIT, read_rows
from stateroom.engines.dynamodb_streams import head_condition
from stateroom.engines.dynamodb_tables import (
    Key,
    Layout,
    Stream,
    entry_sort,
    head_of,
    head_row,
    named,
    turn_sort,
)
from stateroom.engines.dynamodb_values import Attributes
from stateroom.engines.port import (
    CHANGES,
    Append,
    Check,
    Delete,
    Put,
    Rewrite,
    Row,
    TableIndex,
    Truncate,
    Update,
    Write,
    Written,
    changes_table,
    log_id,
)
from stateroom.model.errors import ConditionFailed, UniqueViolation, Unsupported

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
BYTES: Final = 4_000_000  # of the rows that one transaction writes
_ABSENT: Final = {"ConditionExpression": "attribute_not_exists(pk)"}


class _Made(NamedTuple):
    """What a write makes of a row."""

    number: int  # of the write
    name: str
    key: Key
    before: Row | None
    after: Row | None


class Conflict(Exception):
    """Somebody else came between; nothing was written, and the batch is to begin again."""


class Batch:
    """One attempt at the writes of one caller. `run` gives their results, or raises."""

    def __init__(
        self,
        ask: Ask,
        table: str,
        layouts: Mapping[str, Layout],
        writes: Sequence[Write],
        now: float,
        *,
        believed: Mapping[Key, Attributes] = MappingProxyType({}),
    ) -> None:
        self._ask = ask
        self._table = table
        self._layouts = layouts
        self._writes = writes
        self._now = now
        self._seen: dict[Key, Attributes | None] = dict(believed)  # rows of DynamoDB's, as they were read
        self._believes = bool(believed)
        self.kept: dict[Key, Attributes | None] = {}  # rows, as they become
        self._rows: dict[tuple[str, Key], Row | None] = {}  # the port's rows, as they become
        self._changed: set[tuple[str, Key]] = set()
        self._made: list[_Made] = []
        self._claims: dict[Key, str | None] = {}  # who holds them, as it becomes
        self._bystanders: set[tuple[str, Key]] = set()  # expired rows that lose a claim
        self.ends: dict[Key, Stream] = {}  # heads, as they become
        self._moved: set[Key] = set()
        self._entries: dict[Key, tuple[Row, dict[str, Any]]] = {}  # entries that are put, and how
        self._turns: dict[Key, int] = {}

    async def run(self) -> list[Written]:
        """Read, decide, write. Conflict, ConditionFailed, Unsupported."""
        await self._load()
        done = [self._write(write, index) for index, write in enumerate(self._writes)]
        await self._hold()
        await self._send(self._actions())
        return done

    # Reading.

    async def _load(self) -> None:
        logs = [w for w in self._writes if isinstance(w, (Append, Rewrite, Truncate))]
        heads = {self._layouts[w.table].key(w.team, w.stream) for w in logs}
        told = [w for w in self._writes if self._layouts[w.table].table.changes and not isinstance(w, Check)]
        heads |= {self._layouts[changes_table(w.table)].key(w.team, CHANGES) for w in told}
        items = [(w.table, self._key(w)) for w in self._writes if not isinstance(w, (Append, Rewrite, Truncate))]
        await self._read([*heads, *(key for _, key in items)])
        for name, key in items:
            found = self._seen[key]
            self._rows[name, key] = None if found is None else self._layouts[name].row(found)
        for key in heads:
            head = head_of(self._seen[key])
            if head is not None:
                self.ends[key] = head
        turns = [place for w in logs if (place := self._place(w)) is not None]
        await self._read(turns)
        known = [
            (key[0], entry_sort(int(found["n"]["N"]))) for key in turns if (found := self._seen[key]) and "n" in found
        ]
        await self._read(known)

    def _key(self, write: Any) -> Key:
        return self._layouts[write.table].key(write.team, write.id)

    def _place(self, write: Append | Rewrite | Truncate) -> Key | None:
        """The turn of an append, the entry of a rewrite, in a stream that there is."""
        head = self.ends.get(self._layouts[write.table].key(write.team, write.stream))
        if head is None or isinstance(write, Truncate):
            return None
        part = self._layouts[write.table].entries(write.team, write.stream, head.generation)
        return part, turn_sort(write.turn_id) if isinstance(write, Append) else entry_sort(write.number)

    async def _read(self, keys: Iterable[Key]) -> None:
        missing = sorted({key for key in keys if key not in self._seen})
        self._seen.update(await read_rows(self._ask, self._table, missing))

    # Deciding.

    def _write(self, write: Write, index: int) -> Written:
        if isinstance(write, Append):
            return self._append(write)
        if isinstance(write, Rewrite):
            return self._rewrite(write, index)
        if isinstance(write, Truncate):
            return self._truncate(write)
        key = self._key(write)
        before = self._rows[write.table, key]
        done = decide(before, write, self._now, index)
        if done.changed and not isinstance(write, Check):
            if done.row is not None:
                self._layouts[write.table].size(done.row.item)
            self._rows[write.table, key] = done.row
            self._changed.add((write.table, key))
            self._made.append(_Made(index, write.table, key, before, done.row))
            self._log_change(write, before, done.row)
        return done

    def _log_change(self, write: Put | Update | Delete, before: Row | None, after: Row | None) -> None:
        """The entry of a change, where the table has a log of them; the head of that log numbers the commits."""
        if not self._layouts[write.table].table.changes:
            return
        name, entry = changes_table(write.table), change(before, write, after)
        head = self.ends.get(self._layouts[name].key(write.team, CHANGES))
        item = entry if after is None else {**entry, "item": after.item}
        self._append(Append(name, write.team, CHANGES, str(1 if head is None else head.last + 1), item))

    def _append(self, write: Append) -> Written:
        layout = self._layouts[write.table]
        key = layout.key(write.team, write.stream)
        head = self.ends.get(key) or Stream(str(next_version(None, self._now)), 0)
        part = layout.entries(write.team, write.stream, head.generation)
        number = self._turn((part, turn_sort(write.turn_id)))
        if number is not None:
            row = self._entry(layout, (part, entry_sort(number)))
            if row is None:
                raise Conflict
            return Written(row, changed=False)
        number = head.last + 1
        self.ends[key] = head._replace(last=number)
        self._moved.add(key)
        row = Row(log_id(write.stream, write.turn_id), dict(write.item), number, write.expires_at, write.team)
        place = (part, entry_sort(number))
        self._entries[place] = row, self._entry_row(layout, place, row, write.turn_id, 1)
        self._turns[part, turn_sort(write.turn_id)] = number
        return Written(row._replace(item={}), changed=True)

    def _turn(self, key: Key) -> int | None:
        found = self._seen.get(key)
        return self._turns.get(key) or (None if found is None else int(found["n"]["N"]))

    def _entry(self, layout: Layout, key: Key) -> Row | None:
        if key in self._entries:
            return self._entries[key][0]
        found = self._seen.get(key)
        return None if found is None else layout.row(found)

    def _entry_row(self, layout: Layout, key: Key, row: Row, turn_id: str, revision: int) -> dict[str, Any]:
        body = layout.body(key, row.item, row.expires_at)
        return named(key) | body | {"turn": {"S": turn_id}, "r": {"N": str(revision)}}

    def _rewrite(self, write: Rewrite, index: int) -> Written:
        layout = self._layouts[write.table]
        head = self.ends.get(layout.key(write.team, write.stream))
        key = (layout.entries(write.team, write.stream, head.generation if head else ""), entry_sort(write.number))
        old = self._entry(layout, key) if head is not None and write.number > 0 else None
        moved = old is not None and write.before is not None and old.item != write.before
        if old is None or moved or (write.expired and alive(old, self._now) is not None):
            raise ConditionFailed(f"{write.table}/{write.stream}/{write.number}", None, index=index)
        expires = old.expires_at if write.expires_at == "same" else write.expires_at
        row = old._replace(item=dict(write.item), expires_at=expires)
        found = self._seen.get(key)
        revision = 1 if found is None else int(found["r"]["N"]) + 1
        self._entries[key] = row, self._entry_row(layout, key, row, row.id.partition("/")[2], revision)
        return Written(row, changed=True)

    def _truncate(self, write: Truncate) -> Written:
        layout = self._layouts[write.table]
        key = layout.key(write.team, write.stream)
        head = self.ends.get(key)
        if head is None:
            return Written(None, changed=False)
        part = layout.entries(write.team, write.stream, head.generation)
        self._entries = {place: kept for place, kept in self._entries.items() if place[0] != part}
        self._turns = {place: kept for place, kept in self._turns.items() if place[0] != part}
        fresh = str(max(next_version(None, self._now), int(head.generation) + 1))
        self.ends[key] = Stream(fresh, 0, (*head.old, head.generation))
        self._moved.add(key)
        return Written(None, changed=head.last > 0)

    # Unique values.

    async def _hold(self) -> None:
        """Who holds each unique value, write by write. UniqueViolation."""
        steps = [(one, unique) for one in self._made for unique in self._layouts[one.name].unique]
        if not steps:
            return
        claims = {claim for one, unique in steps for claim in self._both(unique, one)}
        await self._read(claims)
        found = {claim: self._seen[claim] for claim in claims}
        self._claims = {claim: None if row is None else row["holder"]["S"] for claim, row in found.items()}
        await self._read([(_owner(claim), holder) for claim, holder in self._claims.items() if holder is not None])
        so_far: dict[tuple[str, Key], Row | None] = {}
        for one in self._made:
            for unique in self._layouts[one.name].unique:
                self._step(one, unique, so_far)
            so_far[one.name, one.key] = one.after

    def _both(self, unique: TableIndex, one: _Made) -> list[Key]:
        return [*self._held(unique, one.name, one.before), *self._held(unique, one.name, one.after)]

    def _held(self, unique: TableIndex, name: str, row: Row | None) -> list[Key]:
        values = None if row is None else index_key(row.item, unique.attributes)
        return [] if row is None or values is None else [self._layouts[name].claim(unique, row.team, values)]

    def _step(self, one: _Made, unique: TableIndex, so_far: Mapping[tuple[str, Key], Row | None]) -> None:
        name, key = one.name, one.key
        new = self._held(unique, name, one.after)
        for claim in self._held(unique, name, one.before):
            if claim not in new and self._claims[claim] == key[1]:
                self._claims[claim] = None
        for claim in new:
            holder = self._claims[claim]
            if holder is not None and holder != key[1]:
                self._take(one, unique, claim, (key[0], holder), so_far)
            self._claims[claim] = key[1]

    def _take(
        self, one: _Made, unique: TableIndex, claim: Key, held_by: Key, so_far: Mapping[tuple[str, Key], Row | None]
    ) -> None:
        """Take a claim from a row that is gone or expired, which then goes for good; UniqueViolation for others."""
        place = (one.name, held_by)
        found = self._seen[held_by]
        stored = None if found is None else self._layouts[one.name].row(found)
        other = so_far.get(place, stored)
        live = alive(other, self._now)
        if live is not None and claim in self._held(unique, one.name, live):
            where = f"{one.name}/{one.key[1]}"
            raise UniqueViolation(where, live.item, unique.attributes, version=live.version, index=one.number)
        if other is None or place in self._changed or place in self._bystanders:
            return
        if place not in self._rows:
            self._bystanders.add(place)
        else:
            self._rows[place] = None
            self._changed.add(place)
        self._log_change(Delete(one.name, other.team, other.id, expired=True), other, None)

    # Writing.

    def _actions(self) -> list[tuple[str, dict[str, Any]]]:
        actions = [self._item(name, key) for name, key in self._rows]
        actions += [self._delete(key, "v") for _, key in sorted(self._bystanders)]
        actions += self._pointers()
        actions += [found for claim in self._claims if (found := self._claim(claim)) is not None]
        for key, (_, put) in self._entries.items():
            old = self._seen.get(key)
            condition = {} if old is None else _same("r", old)
            actions.append(("Put", {"Item": put, **condition}))
        actions += [("Put", {"Item": named(key) | {"n": {"N": str(number)}}}) for key, number in self._turns.items()]
        touched = {key[0].rpartition("/")[0] for key in self._entries} | {f"{key[0]}/{key[1]}" for key in self._moved}
        for key, stream in self.ends.items():
            if f"{key[0]}/{key[1]}" not in touched:
                continue
            was = head_of(self._seen.get(key))
            if key in self._moved:
                actions.append(("Put", {"Item": head_row(key, stream), **head_condition(was)}))
            else:
                actions.append(("ConditionCheck", {"Key": named(key), **_same("g", self._seen[key] or {})}))
        return actions

    def _item(self, name: str, key: Key) -> tuple[str, dict[str, Any]]:
        row, old = self._rows[name, key], self._seen[key]
        condition = _ABSENT if old is None else _same("v", old)
        if (name, key) not in self._changed or (row is None and old is None):
            self.kept[key] = old
            return "ConditionCheck", {"Key": named(key), **condition}
        if row is None:
            self.kept[key] = None
            return "Delete", {"Key": named(key), **condition}
        body = self._layouts[name].body(key, row.item, row.expires_at)
        whole = self.kept[key] = named(key) | body | {"v": {"N": str(row.version)}}
        return "Put", {"Item": whole, **condition}

    def _pointers(self) -> list[tuple[str, dict[str, Any]]]:
        """The rows of current indexes, as they become; the condition on the version of what they lead to holds them."""
        old: dict[Key, dict[str, Any]] = {}
        new: dict[Key, dict[str, Any]] = {}
        for name, key in [*self._changed, *self._bystanders]:
            layout = self._layouts[name]
            if layout.current:
                found = self._seen[key]
                old |= layout.pointers(None if found is None else layout.row(found))
                new |= layout.pointers(self._rows.get((name, key)))
        puts = [("Put", {"Item": row}) for key, row in new.items() if old.get(key) != row]
        return puts + [("Delete", {"Key": named(key)}) for key in old if key not in new]

    def _delete(self, key: Key, attribute: str) -> tuple[str, dict[str, Any]]:
        return "Delete", {"Key": named(key), **_same(attribute, self._seen[key] or {})}

    def _claim(self, claim: Key) -> tuple[str, dict[str, Any]] | None:
        old, holder = self._seen[claim], self._claims[claim]
        was = None if old is None else old["holder"]["S"]
        if holder is None:
            return None if old is None else self._delete(claim, "r")
        if was == holder and not self._renewed(claim, holder):
            return None
        revision = 1 if old is None else int(old["r"]["N"]) + 1
        condition = _ABSENT if old is None else _same("r", old)
        item = named(claim) | {"holder": {"S": holder}, "r": {"N": str(revision)}}
        return "Put", {"Item": item, **condition}

    def _renewed(self, claim: Key, holder: str) -> bool:
        """Whether the holder was expired and lives again: somebody may be taking the claim from it right now."""
        found = self._seen.get((_owner(claim), holder))
        if found is None:
            return True
        expires = found.get("x")
        return expires is not None and float(expires["N"]) <= self._now

    async def _send(self, actions: list[tuple[str, dict[str, Any]]]) -> None:
        if all(kind == "ConditionCheck" for kind, _ in actions) and len(actions) < 2:
            if self._believes:
                raise Conflict  # nobody has looked
            return  # one row was looked at, and that was one instant
        if len(actions) > UNIT:
            raise Unsupported("dynamodb", f"a commit of {len(actions)} rows (of streams, turns and unique values, too)")
        size = sum(int(body["Item"]["b"]["N"]) for _, body in actions if "b" in body.get("Item", ()))
        if size > BYTES:
            raise Unsupported("dynamodb", f"a commit of {size} bytes ({BYTES} at most); write fewer rows at once")
        try:
            if len(actions) == 1:
                kind, body = actions[0]
                await self._ask(f"{kind}Item", {"TableName": self._table, **body})
                return
            items = [{kind: {"TableName": self._table, **body}} for kind, body in actions]
            await self._ask("TransactWriteItems", {"TransactItems": items, "ClientRequestToken": uuid4().hex})
        except Refused as error:
            raise Conflict from error

    @property
    def emptied(self) -> dict[Key, Stream]:
        """The streams whose old generations are to be removed."""
        return {key: self.ends[key] for key in self._moved if self.ends[key].old}


def _owner(claim: Key) -> str:
    """The partition of the rows that a claim is of."""
    return claim[0].rpartition("/unique/")[0]


def _same(attribute: str, old: Attributes) -> dict[str, Any]:
    """The row is there as it was read."""
    return {
        "ConditionExpression": "#same = :same",
        "ExpressionAttributeNames": {"#same": attribute},
        "ExpressionAttributeValues": {":same": old[attribute]},
    }
