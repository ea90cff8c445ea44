"""What a call on DynamoDB costs the client, against boto3's own client doing the same on the same server.

Rules of this file: CPU of this process is measured, not time: the server is moto in a process of its own (or
$STATEROOM_TEST_DYNAMODB), and takes many times as long as either client. boto3 does the least that does the same work:
it turns items to DynamoDB's types and back by its own serializers, and keeps its connections. Its rows are ours.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from time import process_time
from typing import Any, Final
from urllib.parse import quote

from tests.support.dynamodb import own_process

from bench.cases.items import OPEN, PLAIN, TEAM, Work, key_of
from bench.frame import Contenders, Must, case
from stateroom.engines.port import Append, Put, Table
from stateroom.store import Store

ITEMS: Final = 200
TIMES: Final = 60
REGION: Final = "eu-central-1"
CPU: Final = "CPU of the client, s"
LOG: Final = Table("turns", log=True)


class Side:
    """A client of boto3's and a store of ours, on one table."""

    def __init__(self, endpoint: str) -> None:
        import boto3
        from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

        self.work = Work(ITEMS)
        self.numbers = count()
        self.runner = asyncio.Runner()
        self.name = f"bench-{secrets.token_hex(4)}"
        self.url = f"dynamodb://{REGION}/{self.name}?endpoint={quote(endpoint, safe='')}"
        self.boto = boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint)
        self.write, self.read = TypeSerializer().serialize, TypeDeserializer().deserialize
        self.ends: dict[str, int] = {}
        self.run(self._open())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def _open(self) -> None:
        async with Store(self.url, migrating=True) as store:
            await store.migrate([PLAIN], apply=True)
            await store.engine.apply([LOG])
        self.store = Store(self.url)
        await self.store.__aenter__()
        self.items = self.store.team(TEAM).items(PLAIN)
        for n in range(ITEMS):
            await self.store.engine.commit([Put(PLAIN.name, TEAM, key_of(n), self.work.item(key_of(n)))])
        for n in range(4):
            await self.append(n)

    def close(self) -> None:
        self.run(self.store.__aexit__(None, None, None))
        self.boto.delete_table(TableName=self.name)
        self.boto.close()
        self.runner.close()

    # boto3's.

    def _key(self) -> dict[str, Any]:
        return {"pk": {"S": f"{PLAIN.name}/{TEAM}"}, "sk": {"S": self.work.key()}}

    def boto_get(self) -> None:
        found = self.boto.get_item(TableName=self.name, Key=self._key(), ConsistentRead=True)["Item"]
        assert {name: self.read(value) for name, value in found.items()}["item"]

    def boto_put(self, condition: str | None = None) -> None:
        key = self._key()
        item = self.work.item(key["sk"]["S"])
        asked: dict[str, Any] = {
            "UpdateExpression": "SET #i = :i, #b = :b, #v = if_not_exists(#v, :z) + :o REMOVE #x",
            "ExpressionAttributeNames": {"#i": "item", "#b": "b", "#v": "v", "#x": "x"},
            "ExpressionAttributeValues": {
                ":i": self.write(item),
                ":b": self.write(300),
                ":z": self.write(0),
                ":o": self.write(1),
            },
        }
        if condition:
            asked["ConditionExpression"] = condition
            asked["ExpressionAttributeNames"]["#s"] = "status"
            asked["ExpressionAttributeValues"][":open"] = {"S": "open"}
        found = self.boto.update_item(TableName=self.name, Key=key, ReturnValues="UPDATED_NEW", **asked)
        assert self.read(found["Attributes"]["v"])

    def boto_put_if(self) -> None:
        self.boto_put("#i.#s = :open")

    def boto_append(self) -> None:
        """A head, an entry and a turn in one transaction, as ours: the least that numbers entries without a gap."""
        number = next(self.numbers)
        stream, turn = f"b{number % 4}", f"Ev{number}"
        last = self.ends.get(stream, 0)
        part, head = f"turns/{TEAM}/{stream}/1", {"pk": {"S": f"turns/{TEAM}"}, "sk": {"S": stream}}
        entry = {"item": self.write({"n": number}), "turn": {"S": turn}, "b": {"N": "9"}, "r": {"N": "1"}}
        rows = [
            {"pk": {"S": part}, "sk": {"S": f"n{last + 1:012}"}, **entry},
            {"pk": {"S": part}, "sk": {"S": f"t{turn}"}, "n": {"N": str(last + 1)}},
        ]
        believed: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if last:
            believed = {
                "ConditionExpression": "#last = :last",
                "ExpressionAttributeNames": {"#last": "last"},
                "ExpressionAttributeValues": {":last": {"N": str(last)}},
            }
        moved = {"Item": {**head, "g": {"S": "1"}, "last": {"N": str(last + 1)}}, **believed}
        puts = [moved, {"Item": rows[0]}, {"Item": rows[1], "ConditionExpression": "attribute_not_exists(pk)"}]
        self.boto.transact_write_items(TransactItems=[{"Put": {"TableName": self.name, **one}} for one in puts])
        self.ends[stream] = last + 1

    # Ours.

    async def get(self) -> None:
        assert await self.items.get(self.work.key()) is not None

    async def put(self) -> None:
        await self.items.put(self.work.item(self.work.key()))

    async def put_if(self) -> None:
        await self.items.put(self.work.item(self.work.key()), condition=OPEN)

    async def append(self, number: int | None = None) -> None:
        number = next(self.numbers) if number is None else number
        await self.store.engine.commit([Append("turns", TEAM, f"s{number % 4}", f"Ew{number}", {"n": number})])

    # In turns.

    def theirs(self, work: Callable[[], None]) -> Callable[[], dict[str, float]]:
        def run() -> dict[str, float]:
            began = process_time()
            for _ in range(TIMES):
                work()
            return {CPU: (process_time() - began) / TIMES}

        return run

    def ours(self, work: Callable[[], Awaitable[None]]) -> Callable[[], dict[str, float]]:
        async def run() -> dict[str, float]:
            began = process_time()
            for _ in range(TIMES):
                await work()
            return {CPU: (process_time() - began) / TIMES}

        return lambda: dict(self.run(run()))


@contextmanager
def side() -> Iterator[Side]:
    with own_process() as endpoint:
        found = Side(endpoint)
        try:
            yield found
        finally:
            found.close()


MUSTS: Final = [Must("stateroom", over="boto3", at_most=1.0, measure=CPU)]


@case("dynamodb-get", "Getting an item from DynamoDB", musts=MUSTS, rounds=15)
@contextmanager
def dynamodb_get() -> Iterator[Contenders]:
    with side() as s:
        yield {"boto3": s.theirs(s.boto_get), "stateroom": s.ours(s.get)}


@case("dynamodb-put", "Replacing an item on DynamoDB", musts=MUSTS, rounds=15)
@contextmanager
def dynamodb_put() -> Iterator[Contenders]:
    with side() as s:
        yield {"boto3": s.theirs(s.boto_put), "stateroom": s.ours(s.put)}


@case("dynamodb-put-if", "Replacing an item on DynamoDB if it is still open", musts=MUSTS, rounds=15)
@contextmanager
def dynamodb_put_if() -> Iterator[Contenders]:
    with side() as s:
        yield {"boto3": s.theirs(s.boto_put_if), "stateroom": s.ours(s.put_if)}


@case("dynamodb-append", "Appending to a stream on DynamoDB whose end is known", musts=MUSTS, rounds=15)
@contextmanager
def dynamodb_append() -> Iterator[Contenders]:
    with side() as s:
        yield {"boto3": s.theirs(s.boto_append), "stateroom": s.ours(s.append)}
