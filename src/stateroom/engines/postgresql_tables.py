"""Tables and indexes in a PostgreSQL schema: their names, their statements, and how they come to be.

Rules of this file: every SQL text about a table is made here (pages: postgresql_read.py; conditions:
postgresql_conditions.py), once per table, and values are always bound. Names carry the schema, since what stands in
`search_path` belongs to the session, which a transaction-mode pooler gives to somebody else. docs/format.md,
"PostgreSQL", is the record of what is made.

An index holds two expressions an attribute: its number (texts: infinity, so that they come behind) and its text
(numbers: empty). Together they are the port's order, and rows are compared with them as rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from stateroom.engines.port import Table, TableIndex
from stateroom.engines.postgresql_conditions import quoted
from stateroom.model.errors import CorruptData

FORMAT: Final = 1
LOCK: Final = 0x53526F6D  # the advisory lock of who makes tables: "SRom"
ITEM_LIMIT: Final = 16 * 1024 * 1024  # bytes of JSON; far below the quarter of a gigabyte that jsonb takes
NAME: Final = 63  # bytes
INDEXED: Final = 1536  # bytes of an index row's values; PostgreSQL takes 2,704 (a third of a page) with team and id


def identifier(name: str) -> str:
    """A quoted name."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def fit(name: str) -> str:
    """A name of at most 63 bytes, which PostgreSQL would cut; what is cut is told apart by a digest."""
    if len(name.encode()) <= NAME:
        return name
    return f"{name.encode()[:40].decode(errors='ignore')}${blake2b(name.encode(), digest_size=8).hexdigest()}"


def channel_of(schema: str) -> str:
    """Where a schema's wakes are told (NOTIFY). Channels belong to a database, so the schema is in the name."""
    return fit(f"stateroom.{schema}")


def number_of(schema: str, attribute: str) -> str:
    """The first of an attribute's two expressions; the same text in index and query, or they would not match."""
    return f"{schema}.sr_number(item->{quoted(attribute)})"


def text_of(schema: str, attribute: str) -> str:
    """The second one."""
    return f'({schema}.sr_text(item->{quoted(attribute)}) COLLATE "C")'


def place_of(value: Any) -> tuple[Any, str]:
    """What the two expressions give for a value."""
    if isinstance(value, str):
        return "Infinity", value
    return str(int(value) if isinstance(value, bool) else value), ""


class Layout:
    """One table's names and statements."""

    def __init__(self, schema: str, table: Table, generation: int = 0) -> None:
        self.schema = identifier(schema)
        self.channel = channel_of(schema)
        self.table = table
        self.generation = generation
        self.log = table.log
        suffix = f"${generation}" if generation else ""
        self.name = fit(f"{'log' if table.log else 'items'}_{table.name}{suffix}")
        self.sql = f"{self.schema}.{identifier(self.name)}"
        self.streams = f"{self.schema}.{identifier(fit(f'streams_{table.name}'))}"
        self.unique = tuple(i for i in table.indexes if i.unique)
        self.indexed = tuple({name: None for index in table.indexes for name in index.attributes})
        self.indexes = {fit(f"index_{self.name}.{i.name}"): i for i in table.indexes}
        self.expiry = fit(f"expires_{self.name}")
        if table.log:
            self._log()
        else:
            self._items()

    def _items(self) -> None:
        alive = "(t.expires IS NULL OR t.expires > %s)"
        self.create: tuple[str, ...] = (
            f'CREATE TABLE {self.sql} (team text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, '
            "version bigint NOT NULL, expires double precision, item jsonb NOT NULL, PRIMARY KEY (team, id))",
        )
        self.create_expiry = (
            f"CREATE INDEX IF NOT EXISTS {identifier(self.expiry)} ON {self.sql} (expires, team, id) "
            "WHERE expires IS NOT NULL"
        )
        self.columns = "team, id, version, expires, item::text"
        self.one = f"SELECT {self.columns} FROM {self.sql} WHERE team = %s AND id = %s"
        self.many = f"SELECT {self.columns} FROM {self.sql} WHERE team = %s AND id = ANY(%s)"
        self.lock = (
            f"SELECT {self.columns} FROM {self.sql} WHERE (team, id) IN (SELECT * FROM unnest(%s::text[], %s::text[])) "
            "ORDER BY team, id FOR UPDATE"
        )
        self.insert = f"INSERT INTO {self.sql} (team, id, version, expires, item) VALUES (%s, %s, %s, %s, %s::jsonb)"
        self.replace = f"UPDATE {self.sql} SET version = %s, expires = %s, item = %s::jsonb WHERE team = %s AND id = %s"
        self.drop = f"DELETE FROM {self.sql} WHERE team = %s AND id = %s"
        self.empty = f"UPDATE {self.sql} SET item = '{{}}'::jsonb WHERE team = %s AND id = %s"  # lets its values go
        self.hold = (
            f"INSERT INTO {self.sql} (team, id, version, expires, item) VALUES (%s, %s, 0, 0, '{{}}'::jsonb) "
            "ON CONFLICT DO NOTHING"
        )
        # A row past its expiry is absent: it begins anew, with the version of a new row.
        begun = f"CASE WHEN {alive} THEN t.version + 1 ELSE excluded.version END"
        into = f"INSERT INTO {self.sql} AS t (team, id, version, expires, item)"
        over = (
            f"ON CONFLICT (team, id) DO UPDATE SET version = {begun}, expires = excluded.expires, item = excluded.item"
        )
        self.upsert = f"{into} VALUES (%s, %s, %s, %s, %s::jsonb) {over}"
        # Of any number of rows, each another one, in the order in which they are given: so they are locked.
        columns = "unnest(%s::text[]), unnest(%s::text[]), unnest(%s::bigint[]), unnest(%s::double precision[])"
        self.upserts = (
            f"{into} SELECT a, b, c, d, e FROM ROWS FROM ({columns}, jsonb_array_elements(%s::jsonb)) "
            f"WITH ORDINALITY AS k (a, b, c, d, e, n) ORDER BY n {over}"
        )
        self.alive = alive
        self.dead = "(t.expires IS NOT NULL AND t.expires <= %s)"
        self.over = f"UPDATE {self.sql} AS t SET version = t.version + 1, expires = %s, item = %s::jsonb"
        self.change = (
            f"UPDATE {self.sql} AS t SET version = t.version + 1, expires = CASE WHEN %s THEN t.expires ELSE %s END, "
            "item = (t.item || %s::jsonb"  # to be continued: sums, what is removed, where
        )
        self.delete = f"DELETE FROM {self.sql} AS t"
        self.place = " WHERE t.team = %s AND t.id = %s"

    def _log(self) -> None:
        self.create = (
            f"CREATE TABLE {self.streams} (stream_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            'team text COLLATE "C" NOT NULL, stream text COLLATE "C" NOT NULL, last bigint NOT NULL, '
            "UNIQUE (team, stream))",
            f"CREATE TABLE {self.sql} (stream_no bigint NOT NULL, number bigint NOT NULL, "
            'turn_id text COLLATE "C" NOT NULL, expires double precision, item jsonb NOT NULL, '
            "PRIMARY KEY (stream_no, number), UNIQUE (stream_no, turn_id))",
        )
        self.create_expiry = (
            f"CREATE INDEX IF NOT EXISTS {identifier(self.expiry)} ON {self.sql} (expires, stream_no, number) "
            "WHERE expires > 0"
        )
        self.columns = "s.team, s.stream || '/' || e.turn_id, e.number, e.expires, e.item::text"
        self.joined = f"{self.streams} s JOIN {self.sql} e ON e.stream_no = s.stream_no"
        self.one = f"SELECT {self.columns} FROM {self.joined} WHERE s.team = %s AND s.stream = %s AND e.turn_id = %s"
        # The stream's row is locked by its counter, so numbers have no gaps and come in the order of commits. A turn
        # that another process has just committed is met by UNIQUE, one that was there is found by the statement.
        known = f"SELECT 1 FROM {self.sql} e WHERE e.stream_no = s.stream_no AND e.turn_id = %s"
        self.append = (
            f"WITH s AS (INSERT INTO {self.streams} AS s (team, stream, last) VALUES (%s, %s, 1) "
            f"ON CONFLICT (team, stream) DO UPDATE SET last = s.last + 1 WHERE NOT EXISTS ({known}) "
            f"RETURNING stream_no, last) INSERT INTO {self.sql} (stream_no, number, turn_id, expires, item) "
            "SELECT stream_no, last, %s, %s, %s::jsonb FROM s RETURNING number"
        )
        pairs = "SELECT * FROM unnest(%s::text[], %s::text[])"
        self.begin = (
            f"INSERT INTO {self.streams} (team, stream, last) SELECT a, b, 0 FROM unnest(%s::text[], %s::text[]) "
            'AS k (a, b) ORDER BY a COLLATE "C", b COLLATE "C" ON CONFLICT DO NOTHING'
        )
        self.lock = (
            f"SELECT team, stream, stream_no, last FROM {self.streams} WHERE (team, stream) IN ({pairs}) "
            "ORDER BY team, stream FOR UPDATE"
        )
        self.turns = (
            f"SELECT s.team, s.stream, e.turn_id, e.number, e.expires, e.item::text FROM {self.joined} WHERE "
            "(s.team, s.stream, e.turn_id) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))"
        )
        self.numbers = (
            f"SELECT s.team, s.stream, e.turn_id, e.number, e.expires, e.item::text FROM {self.joined} WHERE "
            "(s.team, s.stream, e.number) IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]))"
        )
        self.insert = (
            f"INSERT INTO {self.sql} (stream_no, number, turn_id, expires, item) VALUES (%s, %s, %s, %s, %s::jsonb)"
        )
        self.count = f"UPDATE {self.streams} SET last = %s WHERE stream_no = %s"
        self.rewrite = f"UPDATE {self.sql} SET expires = %s, item = %s::jsonb WHERE stream_no = %s AND number = %s"
        self.erase = (
            f"DELETE FROM {self.sql} WHERE stream_no = %s",
            f"DELETE FROM {self.streams} WHERE stream_no = %s",
        )


def index_statement(layout: Layout, name: str, index: TableIndex, how: str = "") -> str:
    """CREATE INDEX for a declared index: partial, since rows that lack an attribute are not in it."""
    values = order_of(layout.schema, index)
    columns = [*values, "team", "id"] if index.across_teams else ["team", *values, "id"]
    present = " AND ".join([f"{number_of(layout.schema, a)} IS NOT NULL" for a in index.attributes])
    return f"CREATE INDEX {how}{identifier(name)} ON {layout.sql} ({', '.join(columns)}) WHERE {present}"


def unique_statement(layout: Layout, name: str, index: TableIndex, how: str = "") -> str:
    """The index that keeps values apart: of jsonb, for which true is not 1 and 1.0 is."""
    exact = [f"(item->{quoted(a)})" for a in index.attributes]
    present = " AND ".join([f"{number_of(layout.schema, a)} IS NOT NULL" for a in index.attributes])
    title = identifier(unique_name(name))
    return f"CREATE UNIQUE INDEX {how}{title} ON {layout.sql} (team, {', '.join(exact)}) WHERE {present}"


def unique_name(name: str) -> str:
    """The name of the unique index beside the ordered one."""
    return fit(f"u{name}")


def order_of(schema: str, index: TableIndex) -> list[str]:
    """The expressions of an index's attributes, in order."""
    return [each for a in index.attributes for each in (number_of(schema, a), text_of(schema, a))]


def first_statements(schema: str) -> tuple[str, ...]:
    """What an empty schema gets. The functions have no STRICT: only so does PostgreSQL put them into the statement."""
    name = identifier(schema)
    return (
        f"CREATE SCHEMA IF NOT EXISTS {name}",
        f"CREATE TABLE {name}.sr_meta (name text PRIMARY KEY, value text NOT NULL)",
        f"INSERT INTO {name}.sr_meta VALUES ('format', '{FORMAT}')",
        f"CREATE TABLE {name}.sr_tables (name text PRIMARY KEY, definition text NOT NULL, generation integer NOT NULL)",
        f"CREATE FUNCTION {name}.sr_number(jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS "
        "$$ SELECT CASE jsonb_typeof($1) WHEN 'number' THEN $1::numeric WHEN 'string' THEN 'Infinity'::numeric "
        "WHEN 'boolean' THEN CASE WHEN $1 = 'true'::jsonb THEN 1::numeric ELSE 0::numeric END END $$",
        f"CREATE FUNCTION {name}.sr_text(jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS "
        "$$ SELECT CASE jsonb_typeof($1) WHEN 'string' THEN $1 #>> '{}' WHEN 'number' THEN '' WHEN 'boolean' THEN '' "
        "END $$",
    )


def read_catalogue(rows: Sequence[tuple[str, str, int]], schema: str, place: str) -> dict[str, Layout]:
    """The tables that the schema says it has."""
    found: dict[str, Layout] = {}
    for name, text, generation in rows:
        try:
            table = msgspec.json.decode(text, type=Table)
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise CorruptData(place, f"the definition of table {name} cannot be read") from None
        found[name] = Layout(schema, table, generation)
    return found


def definition_of(table: Table) -> str:
    """The row of `sr_tables`."""
    return msgspec.json.encode(table).decode()
