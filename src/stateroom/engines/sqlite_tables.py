"""Tables and indexes in the SQLite file: their names, their statements, and how they come to be.

Rules of this file: every SQL text about a table is made here (pages of a query: sqlite_read.py), once per table, and
values are always bound. docs/format.md, "SQLite", is the record of what is made. What an older version would not keep
true is a new format number, which a file gets with the first table that needs it.

Tables keep their rowid: rows are mostly over a quarter of a page, which a WITHOUT ROWID table would move to overflow
pages one by one (measured: 1.2 to 1.8 times the bytes for a log, 1.5 times the time for items at this page size).
Declared indexes are never UNIQUE for SQLite: json_extract turns numbers into 64-bit ones and true into 1, so it would
see a conflict where there is none. Uniqueness is decided on the exact values, under the write lock (sqlite_group.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from stateroom.engines.decide import index_key, with_changes
from stateroom.engines.port import Table, TableIndex
from stateroom.engines.tables import merged
from stateroom.model.codec import decode, encode
from stateroom.model.errors import CorruptData, FormatTooNew, InvalidDefinition

FORMAT: Final = 2  # the highest that is read
_PLAIN: Final = 1  # a new file's
_LOGGED: Final = 2  # from the first table with `changes` on: an older version would write rows past the log
APPLICATION_ID: Final = 0x53526F6D  # "SRom", in the file's header, so that `file` and we can tell it apart
CREATE: Final = (
    "CREATE TABLE sr_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"INSERT INTO sr_meta VALUES ('format', '{_PLAIN}')",
    "CREATE TABLE sr_tables (name TEXT PRIMARY KEY, definition TEXT NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
)


NOTED: Final = "sr_noted"  # an SQL function of the writing connection: (key, number) to the number, which it notes
_SIZES: Final = 128  # statements kept of those that differ in the number of rows
Ends = bool  # whether a row has an expiry: where not, it is NULL in the text, since to bind a None costs half a µs


@lru_cache(maxsize=1024)
def groups(count: int, width: int) -> str:
    """`(?,?),(?,?)`: `count` groups of `width` placeholders."""
    return ",".join(["(" + ",".join("?" * width) + ")"] * count)


@lru_cache(maxsize=1024)
def rows(count: int, ends: Ends) -> str:
    """Placeholders of `count` rows, whose fourth column is the expiry; it is not bound when they have none."""
    return ",".join(["(?,?,?,?,?)" if ends else "(?,?,?,NULL,?)"] * count)


class Layout:
    """One table's names and statements. The tail of a many-row statement is appended to its `groups`."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.log = table.log
        self.unique = tuple(i for i in table.indexes if i.unique)
        self.by_itself = not self.unique and not table.changes  # a write of a row concerns that row alone
        name = sql_name(table.name)
        self.sql = f'"log_{name}"' if table.log else f'"items_{name}"'
        self.streams = f'"streams_{name}"'
        self.indexes = {i.name: index_name(table, i) for i in table.indexes}
        self.expiry = f'"expires_{name}"'
        if table.log:
            self._log()
        else:
            self._items()

    def _items(self) -> None:
        columns = "team, id, version, expires, item"
        self.create: tuple[str, ...] = (
            f"CREATE TABLE IF NOT EXISTS {self.sql} (team TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, "
            "expires REAL, item TEXT NOT NULL, UNIQUE (team, id))",
        )
        self.create_expiry = (
            f"CREATE INDEX IF NOT EXISTS {self.expiry} ON {self.sql} (expires, team, id) WHERE expires IS NOT NULL"
        )
        self.expired = f"SELECT {columns} FROM {self.sql} INDEXED BY {self.expiry} WHERE expires <= ?"
        self.expired_order = "expires, team, id"
        self.whole = f"SELECT {columns} FROM {self.sql}"
        self.whole_order: tuple[str, ...] = ("team", "id")
        self.one = f"SELECT {columns} FROM {self.sql} WHERE team = ? AND id = ?"
        self.lone = f"SELECT rowid, version, expires, item FROM {self.sql} WHERE team = ? AND id = ?"
        # A put that asks for nothing, or only for an attribute's absence: `?` in `lacks` is `anywhere` its name. Where
        # a name may be written with escapes, or the row has expired, nothing is written and the general way decides.
        # GLOB leaps from one first letter of what it looks for to the next; instr takes six times as long.
        # NOTED tells the new version: for RETURNING, SQLite makes a table of its own (4 µs of a put's 15).
        alive = "(t.expires IS NULL OR t.expires > ?)"
        lacks = "t.item NOT GLOB ? AND t.item NOT GLOB '*\\u*'"
        replace = (
            f" ON CONFLICT (team, id) DO UPDATE SET version = {NOTED}(t.id, t.version + 1), "
            f"expires = excluded.expires, item = excluded.item WHERE {alive}"
        )
        into = f"INSERT INTO {self.sql} AS t ({columns}) VALUES "
        self.bare = (into, replace)
        # What one write of one row asks, by whether the row that it leaves has an expiry.
        self.lone_bare = {ends: f"{into}{rows(1, ends)}{replace}" for ends in (False, True)}
        self.lone_lacking = {ends: f"{into}{rows(1, ends)}{replace} AND {lacks}" for ends in (False, True)}
        # Many such puts are one statement without BEGIN, which would have SQLite copy each page for a way back from
        # the statement alone. A row that stops it gets no version, which the table refuses: nothing is written then.
        self.packed = lru_cache(_SIZES)(self._packed)
        self._pack = (
            f"INSERT INTO {self.sql} AS t (team, version, id, expires, item) VALUES ",
            f" ON CONFLICT (team, id) DO UPDATE SET version = CASE WHEN {alive} AND {lacks} THEN t.version + 1 END, "
            "expires = excluded.expires, item = excluded.item",
        )
        self.lone_insert = {
            ends: f"INSERT INTO {self.sql} ({columns}) VALUES {rows(1, ends)}" for ends in (False, True)
        }
        self.lone_update = {
            ends: f"UPDATE {self.sql} SET version = ?, item = ?, expires = {'?' if ends else 'NULL'} WHERE rowid = ?"
            for ends in (False, True)
        }
        # SQLite looks a name up as it is written, so that a row with escapes could lack what it holds.
        self.lone_if = (
            f"UPDATE {self.sql} SET version = {NOTED}(id, version + 1), item = ?, expires = ? "
            "WHERE team = ? AND id = ? AND (expires IS NULL OR expires > ?) AND item NOT GLOB '*\\u*' AND ("
        )
        self.lone_delete = f"DELETE FROM {self.sql} WHERE rowid = ?"
        # Joined, and in this order: for `(team, id) IN (VALUES …)` SQLite reads the whole table.
        by_key = f") k CROSS JOIN {self.sql} t ON t.team = k.column1 AND t.id = k.column2"
        self.many = ("SELECT t.team, t.id, t.version, t.expires, t.item FROM (VALUES ", by_key)
        self.put = f"INSERT INTO {self.sql} ({columns}) VALUES "
        self.keep = (f"INSERT INTO {self.sql} ({columns}) VALUES ", " ON CONFLICT (team, id) DO NOTHING")
        self.rowids = ("SELECT t.rowid, t.team, t.id FROM (VALUES ", by_key)
        self.over = (
            " ON CONFLICT (team, id) DO UPDATE SET version = excluded.version, expires = excluded.expires, "
            "item = excluded.item"
        )
        self.drop = (f"DELETE FROM {self.sql} WHERE rowid IN (SELECT t.rowid FROM (VALUES ", f"{by_key})")

    def _packed(self, count: int, ends: Ends) -> str:
        """Puts of `count` rows of one team and one first version, whose rows lack an attribute."""
        return ",".join(["(?1,?2,?,?,?)" if ends else "(?1,?2,?,NULL,?)"] * count).join(self._pack)

    def _log(self) -> None:
        self.create = (
            f"CREATE TABLE IF NOT EXISTS {self.streams} (stream_no INTEGER PRIMARY KEY, team TEXT NOT NULL, "
            "stream TEXT NOT NULL, UNIQUE (team, stream))",
            f"CREATE TABLE IF NOT EXISTS {self.sql} (stream_no INTEGER NOT NULL, number INTEGER NOT NULL, "
            "turn_id TEXT NOT NULL, expires REAL, item TEXT NOT NULL, UNIQUE (stream_no, number), "
            "UNIQUE (stream_no, turn_id))",
        )
        self.create_expiry = (
            f"CREATE INDEX IF NOT EXISTS {self.expiry} ON {self.sql} (expires, stream_no, number) WHERE expires > 0"
        )
        self.expired = (
            f"SELECT team, stream || '/' || turn_id, number, expires, item, stream_no FROM {self.sql} "
            f"INDEXED BY {self.expiry} CROSS JOIN {self.streams} USING (stream_no) WHERE expires > 0 AND expires <= ?"
        )
        self.expired_order = "expires, stream_no, number"
        self.whole = (
            f"SELECT s.team, s.stream || '/' || e.turn_id, e.number, e.expires, e.item, s.stream "
            f"FROM {self.streams} s CROSS JOIN {self.sql} e ON e.stream_no = s.stream_no"
        )
        self.whole_order = ("s.team", "s.stream", "e.number")
        last = f"(SELECT max(e.number) FROM {self.sql} e WHERE e.stream_no = s.stream_no)"
        known = f"(SELECT e.number FROM {self.sql} e WHERE e.stream_no = s.stream_no AND e.turn_id = "
        self.place = f"SELECT s.stream_no, {last}, {known}?) FROM {self.streams} s WHERE s.team = ? AND s.stream = ?"
        # One row of JSON: each row that SQLite hands over would let go of the GIL and wait for it again.
        self.places = (
            f"SELECT json_group_array(json_array(k.column1, s.stream_no, {last}, {known}k.column4))) FROM (VALUES ",
            f") k CROSS JOIN {self.streams} s ON s.team = k.column2 AND s.stream = k.column3",
        )
        # Values, since INSERT .. SELECT would first copy what it reads of its own table. No stream: NULL, refused.
        stream = f"(SELECT stream_no FROM {self.streams} WHERE team = ?1 AND stream = ?2)"
        next_number = f"coalesce((SELECT max(number) FROM {self.sql} WHERE stream_no = {stream}), 0) + 1"
        self.append = {
            ends: f"INSERT INTO {self.sql} (stream_no, number, turn_id, expires, item) VALUES ({stream}, "
            f"{NOTED}(?3, {next_number}), ?3, {'?5' if ends else 'NULL'}, ?4)"
            for ends in (False, True)
        }
        self.top = f"SELECT coalesce(max(stream_no), 0) FROM {self.streams}"
        self.begin = f"INSERT INTO {self.streams} (stream_no, team, stream) VALUES "
        self.put = f"INSERT INTO {self.sql} (stream_no, number, turn_id, expires, item) VALUES "
        joined = f"FROM {self.streams} s JOIN {self.sql} e ON e.stream_no = s.stream_no"
        columns = "s.team, s.stream || '/' || e.turn_id, e.number, e.expires, e.item"
        self.one = f"SELECT {columns} {joined} WHERE s.team = ? AND s.stream = ? AND e.turn_id = ?"
        self.page = f"SELECT {columns} {joined} WHERE s.team = ? AND s.stream = ?"
        self.entries = f"SELECT e.turn_id, e.number, e.expires, e.item {joined} WHERE s.team = ? AND s.stream = ?"
        self.rewrite = (
            f"UPDATE {self.sql} SET item = ?, expires = iif(?, ?, expires) "
            "WHERE (? IS NULL OR item = ?) AND number = ? AND (NOT ? OR expires <= ?) AND stream_no = "
            f"(SELECT stream_no FROM {self.streams} WHERE team = ? AND stream = ?) RETURNING turn_id, expires"
        )
        self.erase = (
            f"DELETE FROM {self.sql} WHERE stream_no = "
            f"(SELECT stream_no FROM {self.streams} WHERE team = ? AND stream = ?)",
            f"DELETE FROM {self.streams} WHERE team = ? AND stream = ?",
        )


def sql_name(name: str) -> str:
    """`name` such that names which differ in case only stay different, which SQLite's own names would not."""
    capitals = sum(1 << place for place, letter in enumerate(name) if letter.isupper())
    return f"{name}${capitals:x}" if capitals else name


@lru_cache(maxsize=256)
def anywhere(name: str) -> str:
    """A GLOB pattern that JSON matches if `name` is that of an attribute anywhere in it (and other JSON may match)."""
    inner = encode(name).decode()[1:]  # begun with the quote, it would stop at each string
    return "*" + "".join([f"[{letter}]" if letter in "*?[" else letter for letter in inner]) + "*"


def index_name(table: Table, index: TableIndex) -> str:
    """The quoted name of a declared index in the file."""
    return f'"index_{sql_name(table.name)}.{sql_name(index.name)}"'


def extract(attribute: str) -> str:
    """The SQL expression of an attribute's value; the same text in index and query, or SQLite would not match them."""
    return f"json_extract(item, '$.\"{attribute}\"')"


def index_statement(layout: Layout, index: TableIndex) -> str:
    """CREATE INDEX for a declared index: partial, since rows that lack an attribute are not in it."""
    values = [extract(a) for a in index.attributes]
    order = [*values, "team", "id"] if index.across_teams else ["team", *values, "id"]
    present = " AND ".join(f"{v} IS NOT NULL" for v in values)
    return (
        f"CREATE INDEX IF NOT EXISTS {layout.indexes[index.name]} ON {layout.sql} ({', '.join(order)}) WHERE {present}"
    )


def check(table: Table) -> None:
    """InvalidDefinition when an attribute's name cannot stand in an SQLite JSON path."""
    for index in table.indexes:
        for attribute in (index.name, *index.attributes):
            if any(letter in "\"'\\" or ord(letter) < 32 for letter in attribute):
                raise InvalidDefinition(table.name, attribute, "has a quote, backslash or control character: no index")


def read_catalogue(connection: sqlite3.Connection, path: str) -> dict[str, Table]:
    """The tables that the file says it has; FormatTooNew when it has got one since it was opened."""
    (kept,) = connection.execute("SELECT value FROM sr_meta WHERE name = 'format'").fetchone()
    if int(kept) > FORMAT:
        raise FormatTooNew(path, f"the file has format {kept}, this version of Stateroom reads up to {FORMAT}")
    found: dict[str, Table] = {}
    for name, text in connection.execute("SELECT name, definition FROM sr_tables"):
        try:
            found[name] = msgspec.json.decode(text, type=Table)
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise CorruptData(path, f"the definition of table {name} cannot be read") from None
    return found


def make(connection: sqlite3.Connection, have: Mapping[str, Table], tables: Sequence[Table]) -> dict[str, Table]:
    """Make what is missing, inside of the caller's transaction; the tables as they are then."""
    now = dict(have)
    for wanted in with_changes(tables):
        old = now.get(wanted.name)
        table = merged(old, wanted)
        if table == old:
            continue
        layout = Layout(table)
        for statement in layout.create:
            connection.execute(statement)
        for index in table.indexes:
            if old is None or index not in old.indexes:
                connection.execute(f"DROP INDEX IF EXISTS {layout.indexes[index.name]}")
                _no_doubles(connection, layout, index)
                connection.execute(index_statement(layout, index))
        if table.expires:
            connection.execute(layout.create_expiry)
        if table.changes:
            connection.execute("UPDATE sr_meta SET value = ? WHERE name = 'format'", (str(_LOGGED),))
        text = definition_of(table)
        connection.execute("INSERT OR REPLACE INTO sr_tables VALUES (?, ?)", (table.name, text))
        now[table.name] = table
    return now


def definition_of(table: Table) -> str:
    """The row of `sr_tables`: what is not asked for is left out, as it was before it could be."""
    known = msgspec.to_builtins(table)
    asked = {name: value for name, value in known.items() if name not in ("expires", "changes") or value}
    return msgspec.json.encode(asked).decode()


def _no_doubles(connection: sqlite3.Connection, layout: Layout, index: TableIndex) -> None:
    """InvalidDefinition when rows already share what is to become unique."""
    if not index.unique:
        return
    seen: set[tuple[str, object]] = set()
    for team, text in connection.execute(f"SELECT team, item FROM {layout.sql}"):
        key = index_key(decode(text, layout.table.name), index.attributes)
        if key is None:
            continue
        if (team, key) in seen:
            raise InvalidDefinition(layout.table.name, index.name, "cannot become unique: rows share a value")
        seen.add((team, key))
