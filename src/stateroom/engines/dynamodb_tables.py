"""Rows, entries and what stands beside them, as items of the one DynamoDB table of a store.

Rules of this file: pure; every key of DynamoDB's is made here. docs/format.md, "DynamoDB", is the record of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from math import ceil
from typing import Any, Final, NamedTuple

import msgspec

from stateroom.engines.decide import index_key
from stateroom.engines.dynamodb_values import KEY, LEVELS, Attributes, depth, fit, item_of, place, places, wire
from stateroom.engines.port import Row, Table, TableIndex, log_id
from stateroom.model.codec import encode, normalise
from stateroom.model.errors import CorruptData, InvalidValue, ItemTooLarge

FORMAT: Final = 1
ITEM_LIMIT: Final = 384 * 1024  # bytes of JSON; DynamoDB's 400 KB hold keys and names, too
CATALOGUE: Final = "/catalogue"
FORMAT_ROW: Final = {"pk": {"S": CATALOGUE}, "sk": {"S": "/format"}}
POINTED: Final = KEY - 64  # bytes of the values in a current index; a hash must fit behind them
EXPIRY: Final = 0  # the slot of the index of expiry
LAST: Final = "\U0010ffff"

Key = tuple[str, str]  # pk, sk


def index_name(slot: int) -> str:
    """The name of a slot's GSI."""
    return f"index{slot}" if slot else "expiry"


def named(key: Key) -> dict[str, Any]:
    """A key as DynamoDB takes it."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def key_of(found: Attributes) -> Key:
    """The key of a row that was read."""
    return found["pk"]["S"], found["sk"]["S"]


class Stream(NamedTuple):
    """The head of a stream: entries and turns are of its generation; `old` ones are still to be removed."""

    generation: str
    last: int
    old: tuple[str, ...] = ()


class Layout:
    """One table of the port: where its rows are, and what they look like."""

    def __init__(self, table: Table, slots: Mapping[str, int], *, building: bool = False) -> None:
        self.table = table
        self.name = table.name
        self.log = table.log
        self.slots = dict(slots)
        self.building = building  # rows that were there before are not in the new indexes yet
        self.unique = tuple(i for i in table.indexes if i.unique)
        self.current = tuple(i for i in table.indexes if i.current is True)  # kept in rows of their own, not in a GSI
        self.lagging = tuple(i for i in table.indexes if i.current is not True)
        self.indexed = {a for i in table.indexes for a in i.attributes}

    # Keys.

    def part(self, team: str) -> str:
        """The partition of a team's rows, or of its streams' heads."""
        return f"{self.name}/{team}"

    def key(self, team: str, row_id: str) -> Key:
        return self.part(team), row_id

    def entries(self, team: str, stream: str, generation: str) -> str:
        """The partition of a stream's entries and turns."""
        return f"{self.name}/{team}/{stream}/{generation}"

    def teams(self) -> str:
        """The partition that has a row for each team with rows."""
        return f"/teams/{self.name}"

    def index_part(self, index: TableIndex, team: str | None) -> str:
        return f"{self.name}/{index.name}" + ("" if index.across_teams else f"/{team}")

    def index_sort(self, index: TableIndex, values: Sequence[Any], team: str, row_id: str) -> str:
        """Values, team (across teams), id; cut where a key ends, since no order is promised among such ids."""
        return fit(places(values) + (f"{team}\0" if index.across_teams else "") + row_id)

    def expiry_part(self) -> str:
        return f"{self.name}/"

    def pointers(self, row: Row | None) -> dict[Key, dict[str, Any]]:
        """The rows that put a row into its current indexes. InvalidValue: too long for a key."""
        if row is None:
            return {}
        expires = {} if row.expires_at is None or self.table.changes else {"ttl": {"N": str(ceil(row.expires_at))}}
        keys = [key for index in self.current if (key := self.pointer(index, row)) is not None]
        return {key: named(key) | {"t": {"S": row.team}, "id": {"S": row.id}} | expires for key in keys}

    def pointer(self, index: TableIndex, row: Row) -> Key | None:
        """Where a row is in a current index; None when it is not in it."""
        values = index_key(row.item, index.attributes)
        if values is None:
            return None
        if len(places(values).encode()) > POINTED:
            what = f"{self.name}.{'+'.join(index.attributes)}"
            raise InvalidValue(what, f"is longer than the {POINTED} bytes that a current index takes on DynamoDB")
        return self.pointed(index, row.team), self.pointed_sort(index, values, row.team, row.id)

    def pointed(self, index: TableIndex, team: str | None) -> str:
        """The partition of a current index."""
        return f"{self.name}/{'' if index.across_teams else team}/at/{index.name}"

    def pointed_sort(self, index: TableIndex, values: Sequence[Any], team: str, row_id: str) -> str:
        """As `index_sort`, but no two are the same: what is cut off is told by its hash."""
        whole = places(values) + (f"{team}\0" if index.across_teams else "") + row_id
        if len(whole.encode()) <= KEY:
            return whole
        return fit(whole, POINTED) + sha256(whole.encode()).hexdigest()

    def claim(self, index: TableIndex, team: str, values: Sequence[Any]) -> Key:
        """The row whose holder has these values of a unique index."""
        exact = encode({"values": list(values)})
        return f"{self.name}/{team}/unique/{index.name}", sha256(exact).hexdigest()

    # Rows.

    def size(self, item: Mapping[str, Any]) -> int:
        """Bytes of its JSON. ItemTooLarge; InvalidValue for what is nested too deeply."""
        found = len(encode(item))
        if found > ITEM_LIMIT:
            raise ItemTooLarge(self.name, found, ITEM_LIMIT)
        if found > 2 * LEVELS and depth(item) > LEVELS + 1:
            raise InvalidValue(self.name, f"is nested deeper than {LEVELS} levels, which DynamoDB does not take")
        return found

    def body(self, key: Key, item: Mapping[str, Any], expires_at: float | None) -> dict[str, Any]:
        """What a row has but for its key and version. ItemTooLarge, InvalidValue."""
        team = key[0][len(self.name) + 1 :]
        found: dict[str, Any] = {"item": wire(item), "b": {"N": str(self.size(item))}}
        for index in self.lagging:
            found.update(self.index_keys(index, item, team, key[1]) or {})
        return found | self.expiry(key, expires_at)

    def index_keys(self, index: TableIndex, item: Mapping[str, Any], team: str, row_id: str) -> dict[str, Any] | None:
        """The attributes that put a row into an index; None when it is not in it. InvalidValue: too long for a key."""
        values = index_key(item, index.attributes)
        if values is None:
            return None
        if len(places(values).encode()) > KEY:
            what = f"{self.name}.{'+'.join(index.attributes)}"
            raise InvalidValue(what, f"is longer than the {KEY} bytes that DynamoDB indexes")
        slot = self.slots[index.name]
        sort = self.index_sort(index, values, team, row_id)
        return {f"p{slot}": {"S": self.index_part(index, team)}, f"s{slot}": {"S": sort}}

    def expiry(self, key: Key, expires_at: float | None) -> dict[str, Any]:
        """The attributes of a row that expires. DynamoDB removes rows by `ttl` some time after; entries it leaves."""
        if expires_at is None:
            return {}
        found: dict[str, Any] = {"x": {"N": repr(expires_at)}}
        if expires_at > 0:
            found |= {"p0": {"S": self.expiry_part()}, "s0": {"S": self.expiry_sort(key, expires_at)}}
            if not self.log and not self.table.changes:  # who follows the changes is to hear of it
                found["ttl"] = {"N": str(ceil(expires_at))}
        return found

    def expiry_sort(self, key: Key, expires_at: float) -> str:
        return fit(f"{place(normalise(expires_at))}{key[0]}/{key[1]}")

    def movable(self) -> list[str]:
        """The attributes that a row may lack."""
        return ["x", "ttl", "p0", "s0", *(f"{letter}{slot}" for slot in self.slots.values() for letter in "ps")]

    def row(self, found: Attributes) -> Row:
        """The row. CorruptData."""
        try:
            expires = float(found["x"]["N"]) if "x" in found else None
            item = item_of(found["item"]["M"])
            rest = found["pk"]["S"][len(self.name) + 1 :]
            if not self.log:
                return Row(found["sk"]["S"], item, int(found["v"]["N"]), expires, rest)
            team, stream, _ = rest.rsplit("/", 2)
            return Row(log_id(stream, found["turn"]["S"]), item, int(found["sk"]["S"][1:]), expires, team)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptData(self.name, "a row cannot be read") from error


def head_of(found: Attributes | None) -> Stream | None:
    """The head of a stream."""
    if found is None:
        return None
    old = tuple(one["S"] for one in found.get("old", {"L": []})["L"])
    return Stream(found["g"]["S"], int(found["last"]["N"]), old)


def head_row(key: Key, stream: Stream) -> dict[str, Any]:
    """The head as it is written."""
    found = named(key) | {"g": {"S": stream.generation}, "last": {"N": str(stream.last)}}
    return found | ({"old": {"L": [{"S": one} for one in stream.old]}} if stream.old else {})


def entry_sort(number: int) -> str:
    """The sort key of an entry."""
    return f"n{number:012}"


def turn_sort(turn_id: str) -> str:
    """The sort key of the row that knows a turn's number."""
    return f"t{turn_id}"


def read_catalogue(rows: Iterable[Attributes]) -> dict[str, Layout]:
    """The tables that the store says it has."""
    found: dict[str, Layout] = {}
    for row in rows:
        name = row["sk"]["S"]
        if name == FORMAT_ROW["sk"]["S"]:
            continue
        try:
            table = msgspec.json.decode(row["definition"]["S"], type=Table)
            slots = msgspec.json.decode(row["slots"]["S"], type=dict[str, int])
        except (KeyError, msgspec.DecodeError, msgspec.ValidationError):
            raise CorruptData(CATALOGUE, f"the definition of table {name} cannot be read") from None
        found[name] = Layout(table, slots, building="building" in row)
    return found


def catalogue_row(layout: Layout) -> dict[str, Any]:
    """The row of the catalogue that says it."""
    found = named((CATALOGUE, layout.name))
    found["definition"] = {"S": msgspec.json.encode(layout.table).decode()}
    found["slots"] = {"S": msgspec.json.encode(layout.slots).decode()}
    return found | ({"building": {"BOOL": True}} if layout.building else {})


def slots_for(every: Sequence[TableIndex], had: Mapping[str, int]) -> dict[str, int]:
    """Which GSI each index has that is kept in one; those that have one keep it."""
    indexes = [index for index in every if index.current is not True]
    slots = {i.name: had[i.name] for i in indexes if i.name in had}
    free = (n for n in range(1, len(indexes) + 1) if n not in slots.values())
    return slots | {i.name: next(free) for i in indexes if i.name not in slots}
