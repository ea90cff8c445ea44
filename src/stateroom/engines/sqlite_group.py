"""One transaction for many callers: what each batch may do, and the rows that result.

Rules of this file: it runs inside BEGIN IMMEDIATE, so nobody else changes a row meanwhile. The rows that the batches
touch are read first, with one statement a table; each batch is then decided in Python by `decide.decide` over an
overlay (a refused batch is undone in it and harms nobody else); the result is written with few many-row statements.
Fewer statements means fewer hand-overs of the GIL than a savepoint a caller would cost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from stateroom.engines.decide import alive, change, decide, exact, index_key, is_bare
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
from stateroom.engines.sqlite_batch import Batch
from stateroom.engines.sqlite_overlay import Items, Key, Log, Stream, Undo
from stateroom.engines.sqlite_tables import Layout, extract
from stateroom.model.codec import decode, encode
from stateroom.model.errors import ConditionFailed, ItemTooLarge, StateroomError, UniqueViolation

REMEMBERED: Final = 4096  # streams a table
ITEM_LIMIT: Final = 16 * 1024 * 1024  # bytes of JSON; far below SQLite's own gigabyte
Remembered = dict[str, dict[Key, Stream]]  # by table: streams and their last numbers, as the last commit left them


def text_of(table: str, item: Any) -> str:
    """The item's JSON; ItemTooLarge."""
    data = encode(item)
    if len(data) > ITEM_LIMIT:
        raise ItemTooLarge(table, len(data), ITEM_LIMIT)
    return data.decode()


class Group:
    """The batches of one transaction. Load, decide each, flush; whoever owns the transaction begins and ends it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        layouts: Mapping[str, Layout],
        now: float,
        remembered: Remembered | None = None,
    ) -> None:
        self._remembered: Remembered = {} if remembered is None else remembered
        self._connection = connection
        self._layouts = layouts
        self._now = now
        self._items: dict[str, Items] = {}
        self._logs: dict[str, Log] = {}
        self._unique_any = any(layout.unique for layout in layouts.values())
        self.rows = 0
        self.size = 0

    def load(self, batches: Iterable[Batch]) -> None:
        """Read the rows that `batches` touch."""
        keys: dict[str, dict[Key, None]] = {}
        appends: dict[str, list[Append]] = {}
        for batch in batches:
            for write in batch.writes:
                if isinstance(write, Append):
                    appends.setdefault(write.table, []).append(write)
                elif not isinstance(write, (Rewrite, Truncate)):
                    keys.setdefault(write.table, {})[write.team, write.id] = None
        for name, wanted in keys.items():
            items = self._items[name] = Items(self._layouts[name])
            items.load(self._connection, list(wanted))
        for name, added in appends.items():
            self._log(name).load(self._connection, added)

    def decide(self, batch: Batch) -> None:
        """Fill the batch's results, or its error and leave no trace of it in the overlay."""
        if len(batch.writes) == 1 and type(write := batch.writes[0]) is Append and self._append_lone(batch, write):
            return
        undo: Undo = None if len(batch.writes) == 1 and not self._unique_any else []
        counted = self.rows, self.size
        try:
            for index, (write, text) in enumerate(zip(batch.writes, batch.texts, strict=True)):
                batch.results.append(self._write(write, text, index, undo))
        except (StateroomError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            if undo and not batch.alone:  # a lone batch is undone by ROLLBACK
                for step in reversed(undo):
                    step()
            batch.error = error
            self.rows, self.size = counted

    def _append_lone(self, batch: Batch, write: Append) -> bool:
        """A lone append of a new turn: the conversation's write, without the general machinery."""
        log = self._logs[write.table]
        team, name, turn_id = write.team, write.stream, write.turn_id
        key = (team, name, turn_id)
        text = batch.texts[0]
        if key in log.turns or text is None:
            return False
        stream = log.stream(self._connection, (team, name))
        stream.last = log.turns[key] = number = stream.last + 1
        log.entries.append((stream.number, number, turn_id, write.expires_at, text))
        self.rows += 1
        self.size += len(text)
        batch.results.append(Written(Row(log_id(name, turn_id), {}, number, write.expires_at, team), True))
        return True

    def flush(self) -> bool:
        """Write what was decided; whether there was anything."""
        for items in self._items.values():
            items.flush(self._connection)
        for log in self._logs.values():
            log.flush(self._connection)
        return self.rows > 0

    def remember(self) -> Remembered:
        """The streams as this transaction leaves them, for the next one if nobody else commits between."""
        for name, log in self._logs.items():
            kept = self._remembered.setdefault(name, {})
            if len(kept) > REMEMBERED:
                kept.clear()
            kept.update({key: stream for key, stream in log.streams.items() if stream.last and not stream.fresh})
        return self._remembered

    def _write(self, write: Write, text: str | None, index: int, undo: Undo) -> Written:
        if isinstance(write, Append):
            return self._append(write, text or "", undo)
        if isinstance(write, Rewrite):
            return self._rewrite(write, text or "", index)
        if isinstance(write, Truncate):
            return self._truncate(write)
        items = self._items[write.table]
        key = (write.team, write.id)
        before = items.current(key, whole=not is_plain(write))
        done = decide(before, write, self._now, index)
        if not done.changed:
            if isinstance(write, Check):
                return done
            return Written(None if done.row is None else done.row._replace(item=_apart(done.row.item)), changed=False)
        if done.row is None:
            items.change(key, None, None, undo)
        else:
            if text is None:
                text = text_of(write.table, done.row.item)
            if items.layout.unique:
                self._unique(items, done.row, index, undo)
            items.change(key, done.row, text, undo)
            if isinstance(write, Update):
                done = Written(done.row._replace(item=_apart(done.row.item)), changed=True)
        if items.layout.table.changes and not isinstance(write, Check):
            self._log_change(write.table, write.team, change(before, write, done.row), text, undo)
        self._count(text)
        return done

    def _log(self, name: str) -> Log:
        log = self._logs.get(name)
        if log is None:
            log = self._logs[name] = Log(self._layouts[name], self._remembered.setdefault(name, {}))
        return log

    def _log_change(self, table: str, team: str, entry: Mapping[str, Any], text: str | None, undo: Undo) -> None:
        """The entry of a change that was decided; `text` is the item's JSON where there is one."""
        name = changes_table(table)
        log = self._log(name)
        stream = log.resume(self._connection, (team, CHANGES))
        told = encode(entry).decode()
        if text is not None:
            told = f'{told[:-1]},"item":{text}}}'
        log.add(stream, Append(name, team, CHANGES, str(stream.last + 1), entry), told, undo)
        self._count(told)

    def _count(self, text: str | None) -> None:
        self.rows += 1
        self.size += 0 if text is None else len(text)

    def _unique(self, items: Items, row: Row, index: int, undo: Undo) -> None:
        for unique in items.layout.unique:
            mine = index_key(row.item, unique.attributes)
            if mine is None:
                continue
            for key in self._holders(items, unique, row.team, mine):
                if key[1] == row.id:
                    continue
                other = items.current(key, whole=True)
                theirs = None if other is None else index_key(other.item, unique.attributes)
                if other is None or theirs is None or exact(theirs) != exact(mine):
                    continue
                if alive(other, self._now) is not None:
                    place = f"{items.layout.table.name}/{row.id}"
                    held = _apart(other.item)
                    raise UniqueViolation(place, held, unique.attributes, version=other.version, index=index)
                items.change(key, None, None, undo)
                if items.layout.table.changes:
                    entry = {"kind": "expire", "id": other.id, "version": other.version}
                    self._log_change(items.layout.table.name, row.team, entry, None, undo)
            items.claims.setdefault((unique.name, row.team, exact(mine)), []).append((row.team, row.id))

    def _holders(self, items: Items, unique: TableIndex, team: str, values: tuple[Any, ...]) -> list[Key]:
        """Keys of rows that may hold the values: those SQLite finds (it may find too many), and the changed ones."""
        same = " AND ".join(f"{extract(a)} = json_extract(?, '$')" for a in unique.attributes)
        by = f"{items.layout.sql} INDEXED BY {items.layout.indexes[unique.name]}"
        statement = f"SELECT team, id, version, expires, item FROM {by} WHERE team = ? AND {same}"
        found = self._connection.execute(statement, (team, *(encode(v).decode() for v in values))).fetchall()
        for row in found:
            items.rows.setdefault((row[0], row[1]), row)
        return [(row[0], row[1]) for row in found] + items.claims.get((unique.name, team, exact(values)), [])

    def _append(self, write: Append, text: str, undo: Undo) -> Written:
        log = self._logs[write.table]
        known = log.turns.get((write.team, write.stream, write.turn_id))
        if known is not None:
            return Written(self._entry(log, write, known), changed=False)
        number = log.add(log.stream(self._connection, (write.team, write.stream)), write, text, undo)
        self._count(text)
        return Written(Row(log_id(write.stream, write.turn_id), {}, number, write.expires_at, write.team), changed=True)

    def _entry(self, log: Log, write: Append, number: int) -> Row:
        """An entry that is there already, in the file or among those about to be written."""
        stream = log.streams[write.team, write.stream]
        for waiting in log.entries:
            if waiting[:2] == (stream.number, number):
                expires, text = waiting[3], waiting[4]
                break
        else:
            values = (write.team, write.stream, write.turn_id)
            _, _, _, expires, text = self._connection.execute(log.layout.one, values).fetchone()
        item = decode(text, write.table)
        return Row(log_id(write.stream, write.turn_id), item, number, expires, write.team)

    def _rewrite(self, write: Rewrite, text: str, index: int) -> Written:
        self._settle(write.table)
        same = write.expires_at == "same"
        before = None if write.before is None else encode(write.before).decode()
        where = (write.number, write.expired, self._now, write.team, write.stream)
        values = (text, not same, None if same else write.expires_at, before, before, *where)
        found = self._connection.execute(self._layouts[write.table].rewrite, values).fetchall()
        if not found:
            raise ConditionFailed(f"{write.table}/{write.stream}/{write.number}", None, index=index)
        self._count(text)
        turn_id, expires = found[0]
        return Written(
            Row(log_id(write.stream, turn_id), dict(write.item), write.number, expires, write.team), changed=True
        )

    def _truncate(self, write: Truncate) -> Written:
        self._settle(write.table)
        entries, stream = self._layouts[write.table].erase
        place = (write.team, write.stream)
        self._connection.execute(entries, place)
        gone = self._connection.execute(stream, place).rowcount
        self._log(write.table).forget(place)
        self._count(None)
        return Written(None, changed=gone > 0)

    def _settle(self, table: str) -> None:
        """Entries before this write go first. Only in a group of one batch: a refusal rolls all of it back."""
        if table in self._logs:
            self._logs[table].flush(self._connection)


def is_plain(write: Write) -> bool:
    """Whether what the row holds does not matter to the write: it need not be read as JSON."""
    if isinstance(write, Put):
        return is_bare(write) and not write.keep
    return isinstance(write, Delete) and write.condition is None and write.if_version is None


def _apart(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item of the caller's own: two callers of one group may be given the same row."""
    return {name: deepcopy(value) if isinstance(value, (dict, list)) else value for name, value in item.items()}
