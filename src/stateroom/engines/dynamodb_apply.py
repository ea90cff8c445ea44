"""Making the one DynamoDB table, its GSIs and the catalogue: what `stateroom migrate apply` does there.

Rules of this file: each step may be done again. An index that is new to a table with rows is declared first, so that
every process writes its attributes (they look at the catalogue every few seconds); then the rows that were there get
them, and only then may it be read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from stateroom.engines.decide import index_key, with_changes
from stateroom.engines.dynamodb_errors import Refused
from stateroom.engines.dynamodb_line import Line, pause
from stateroom.engines.dynamodb_read import Range, Source, teams_of, walk
from stateroom.engines.dynamodb_tables import (
    FORMAT,
    FORMAT_ROW,
    Key,
    Layout,
    catalogue_row,
    index_name,
    key_of,
    named,
    slots_for,
)
from stateroom.engines.dynamodb_values import Attributes
from stateroom.engines.port import Table, TableIndex
from stateroom.engines.tables import merged
from stateroom.model.errors import StoreUnavailable, UniqueViolation, Unsupported

FIRST: Final = 3  # GSIs for declared indexes that a new table has, beside the one of expiry
MOST: Final = 19  # DynamoDB takes 20 GSIs a table
READY: Final = 1800.0  # seconds to wait for a table or an index to be made


def definition(table: str, slots: int) -> dict[str, Any]:
    """The request that makes the table."""
    found = [index_of(slot) for slot in range(slots + 1)]
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes(slots),
        "KeySchema": _schema("pk", "sk"),
        "GlobalSecondaryIndexes": found,
    }


def attributes(slots: int) -> list[dict[str, str]]:
    """Those that are keys."""
    names = ["pk", "sk", *(f"{letter}{slot}" for slot in range(slots + 1) for letter in "ps")]
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


def index_of(slot: int) -> dict[str, Any]:
    """The GSI of a slot."""
    return {
        "IndexName": index_name(slot),
        "KeySchema": _schema(f"p{slot}", f"s{slot}"),
        "Projection": {"ProjectionType": "ALL"},
    }


def _schema(part: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": part, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def layouts_of(have: Mapping[str, Layout], tables: Sequence[Table]) -> list[Layout]:
    """What the tables are to be, in a store that has some. Unsupported."""
    found = []
    for table in with_changes(tables):
        if "/" in table.name:
            raise Unsupported("dynamodb", f"a slash in the name of table {table.name}")
        old = have.get(table.name)
        whole = merged(None if old is None else old.table, table)
        found.append(Layout(whole, slots_for(whole.indexes, {} if old is None else old.slots)))
    return found


def needed(layouts: Sequence[Layout]) -> int:
    """How many GSIs the table needs, beside the one of expiry. Unsupported."""
    found = max([FIRST, *(slot for layout in layouts for slot in layout.slots.values())])
    if found > MOST:
        raise Unsupported("dynamodb", f"a table with {found} indexes ({MOST} at most)")
    return found


class Maker:
    """One apply."""

    def __init__(self, line: Line, table: str, place: str, settle: float) -> None:
        self._line = line
        self._table = table
        self._place = place
        self._settle = settle
        self._source = Source(line.ask, table)

    async def apply(self, have: Mapping[str, Layout], tables: Sequence[Table]) -> None:
        """Make the tables and indexes exist. Unsupported, UniqueViolation, StoreUnavailable."""
        wanted = layouts_of(have, tables)
        await self._table_ready(needed(wanted))
        for layout in wanted:
            await self._declare(have.get(layout.name), layout)

    async def drift(self, slots: int) -> list[str]:
        """How the table differs from what the code needs, one line each. StoreUnavailable: it is not a store's."""
        found = await self._describe()
        if found is None:
            return [f"make the DynamoDB table {self._table}"]
        self._check(found)
        lines = [f"make {index_name(slot)} of {self._table}" for slot in self._lacking(found, slots)]
        return lines + ([] if await self._expires() else [f"let DynamoDB remove expired rows of {self._table} (ttl)"])

    async def _table_ready(self, slots: int) -> None:
        found = await self._describe()
        if found is None:
            await self._line.ask("CreateTable", definition(self._table, slots))
            found = await self._until_ready()
        self._check(found)
        if not await self._expires():
            ttl = {"Enabled": True, "AttributeName": "ttl"}
            await self._line.ask("UpdateTimeToLive", {"TableName": self._table, "TimeToLiveSpecification": ttl})
        row = {"Item": {**FORMAT_ROW, "n": {"N": str(FORMAT)}}, "ConditionExpression": "attribute_not_exists(pk)"}
        with suppress(Refused):  # it is there
            await self._line.ask("PutItem", {"TableName": self._table, **row})
        for slot in self._lacking(found, slots):
            change = {"GlobalSecondaryIndexUpdates": [{"Create": index_of(slot)}]}
            names = {"AttributeDefinitions": attributes(slot)}
            await self._line.ask("UpdateTable", {"TableName": self._table, **names, **change})
            await self._until_ready()

    def _check(self, found: Mapping[str, Any]) -> None:
        """StoreUnavailable: the table, or an index of that name, is of somebody else."""
        others = {index["IndexName"]: index for index in found.get("GlobalSecondaryIndexes", ())}
        slots = [slot for slot in range(MOST + 1) if index_name(slot) in others]
        keys = [(self._table, found, _schema("pk", "sk"))]
        keys += [(index_name(s), others[index_name(s)], _schema(f"p{s}", f"s{s}")) for s in slots]
        for name, there, wanted in keys:
            if sorted(map(str, there["KeySchema"])) != sorted(map(str, wanted)):
                detail = f"{name} has other keys than Stateroom's: it was made by something else; choose another table"
                raise StoreUnavailable(self._place, "foreign", detail, retryable=False)

    def _lacking(self, found: Mapping[str, Any], slots: int) -> list[int]:
        there = {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", ())}
        return [slot for slot in range(slots + 1) if index_name(slot) not in there]

    async def _expires(self) -> bool:
        told = await self._line.ask("DescribeTimeToLive", {"TableName": self._table})
        return told["TimeToLiveDescription"].get("TimeToLiveStatus") in ("ENABLED", "ENABLING")

    async def _describe(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = (await self._line.ask("DescribeTable", {"TableName": self._table}))["Table"]
        except StoreUnavailable as error:
            if error.reason != "missing":
                raise
            return None
        return found

    async def _until_ready(self) -> dict[str, Any]:
        ends, attempt = time.monotonic() + READY, 0
        while True:
            found = await self._describe()
            parts = [] if found is None else [found, *found.get("GlobalSecondaryIndexes", ())]
            states = {part.get("TableStatus") or part.get("IndexStatus") or "ACTIVE" for part in parts}
            if found is not None and states == {"ACTIVE"}:
                return found
            if time.monotonic() > ends:
                detail = "the table is still being made; run `stateroom migrate apply` again later"
                raise StoreUnavailable(self._place, "busy", detail, retryable=True)
            await asyncio.sleep(pause(attempt))
            attempt += 1

    async def _declare(self, old: Layout | None, layout: Layout) -> None:
        if old is not None and old.table == layout.table and not old.building:
            return
        fresh = [i for i in layout.table.indexes if old is None or old.building or i not in old.table.indexes]
        layout.building = bool(fresh) and await self._has_rows(layout)
        await self._line.ask("PutItem", {"TableName": self._table, "Item": catalogue_row(layout)})
        if not layout.building:
            return
        await asyncio.sleep(self._settle)  # until every process has looked at the catalogue
        await self._fill(layout, fresh)
        layout.building = False
        await self._line.ask("PutItem", {"TableName": self._table, "Item": catalogue_row(layout)})

    async def _has_rows(self, layout: Layout) -> bool:
        async for _ in teams_of(self._source, layout):
            return True
        return False

    async def _fill(self, layout: Layout, fresh: Sequence[TableIndex]) -> None:
        async for team in teams_of(self._source, layout):
            async for raw in walk(self._source, Range(layout.part(team))):
                await self._move(layout, raw, fresh)

    async def _move(self, layout: Layout, raw: Attributes | None, fresh: Sequence[TableIndex]) -> None:
        """Put a row into new indexes; again when somebody has written it meanwhile."""
        while raw is not None:
            row, key = layout.row(raw), key_of(raw)
            keys: dict[str, Any] = {}
            for index in fresh:
                if index.current is not True:
                    keys |= layout.index_keys(index, row.item, row.team, row.id) or {}
                if index.unique:
                    await self._claim(layout, index, raw)
            if not keys and not layout.current:
                return
            sets = ", ".join([f"{name} = :{name}" for name in keys])
            body = {
                "UpdateExpression": f"SET {sets}",
                "ConditionExpression": "#v = :v",
                "ExpressionAttributeNames": {"#v": "v"},
                "ExpressionAttributeValues": {":v": raw["v"], **{f":{name}": value for name, value in keys.items()}},
            }
            try:
                await self._put_in(key, body if keys else _same(body), layout.pointers(row))
            except Refused:
                request = {"TableName": self._table, "Key": named(key), "ConsistentRead": True}
                raw = (await self._line.ask("GetItem", request)).get("Item")
            else:
                return

    async def _put_in(self, key: Key, body: dict[str, Any], pointers: Mapping[Key, dict[str, Any]]) -> None:
        """Change a row, or only hold it, and put its pointers beside it."""
        change = {"TableName": self._table, "Key": named(key), **body}
        kind = "Update" if "UpdateExpression" in body else "ConditionCheck"
        puts = [{"Put": {"TableName": self._table, "Item": item}} for item in pointers.values()]
        if puts:
            await self._line.ask("TransactWriteItems", {"TransactItems": [{kind: change}, *puts]})
        elif kind == "Update":
            await self._line.ask("UpdateItem", change)

    async def _claim(self, layout: Layout, index: TableIndex, raw: Attributes) -> None:
        row = layout.row(raw)
        values = index_key(row.item, index.attributes)
        if values is None:
            return
        item = named(layout.claim(index, row.team, values)) | {"holder": {"S": row.id}, "r": {"N": "1"}}
        body = {
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk) OR holder = :id",
            "ExpressionAttributeValues": {":id": {"S": row.id}},
        }
        try:
            await self._line.ask("PutItem", {"TableName": self._table, **body})
        except Refused:
            place = f"{layout.name}/{row.id}"
            raise UniqueViolation(place, row.item, index.attributes, version=row.version) from None


def _same(body: Mapping[str, Any]) -> dict[str, Any]:
    """The condition of an update, and no change."""
    values = {":v": body["ExpressionAttributeValues"][":v"]}
    return {name: body[name] for name in ("ConditionExpression", "ExpressionAttributeNames")} | {
        "ExpressionAttributeValues": values
    }
