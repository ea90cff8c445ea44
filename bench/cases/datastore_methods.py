"""The local Slack's nine datastore methods against the same operations of moto's server (DynamoDB over HTTP).

Both are server processes of their own with 1,000 items each; the load comes from this process over kept connections.
Ours is `stateroom emulator` itself, over memory as moto is. moto is `moto[server]` from the dev group; without it the
case ends with a sentence that says so.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from time import perf_counter
from typing import Any
from urllib.request import Request, urlopen

from bench.cases.ingress import server
from bench.frame import Contenders, Must, case

Json = dict[str, Any]
Call = tuple[str, Json]  # the method or target, and its body

ITEMS = 1000
CONNECTIONS = 8
OURS_CALLS, MOTO_CALLS = 1600, 80
MOTO_SLOW_CALLS = 16  # query and count walk 1,000 items
REFILLED_CALLS = 40  # as many batches of 25 as there are items to delete
BATCH = 25
STATES = ("open", "done", "waiting", "closed")
_serial = count()

MANIFEST = {
    "display_information": {"name": "Bench"},
    "datastores": {
        "tickets": {
            "primary_key": "key",
            "attributes": {"key": {"type": "string"}, "state": {"type": "string"}, "points": {"type": "integer"}},
        }
    },
}


def item(number: int) -> Json:
    return {"key": f"T-{number:06}", "state": STATES[number % 4], "points": number}


def dynamo(number: int) -> Json:
    made = item(number)
    return {"app": {"S": "a"}, "key": {"S": made["key"]}, "state": {"S": made["state"]}, "points": {"N": str(number)}}


def key(number: int) -> Json:
    return {"app": {"S": "a"}, "key": {"S": f"T-{number:06}"}}


def spread() -> int:
    """Item numbers all over the table."""
    return next(_serial) * 7919 % ITEMS


def batch() -> list[int]:
    start = spread()
    return [(start + step) % ITEMS for step in range(BATCH)]


def ours_filtered(method: str) -> Call:
    names, values = {"#s": "state"}, {":s": "open"}
    more = {"limit": 100} if method == "query" else {}
    filtered = {"expression": "#s = :s", "expression_attributes": names, "expression_values": values}
    return method, {"datastore": "tickets", **filtered, **more}


def moto_filtered(**more: Any) -> Call:
    filtered = {"FilterExpression": "#s = :s", "ExpressionAttributeNames": {"#s": "state"}}
    values = {":s": {"S": "open"}, ":a": {"S": "a"}}
    where = {"KeyConditionExpression": "app = :a", "ExpressionAttributeValues": values}
    return "Query", {"TableName": "tickets", **filtered, **where, **more}


def ours_of(method: str) -> Call:
    """One call of ours."""
    if method in ("query", "count"):
        return ours_filtered(method)
    given: dict[str, Callable[[], Json]] = {
        "get": lambda: {"id": f"T-{spread():06}"},
        "delete": lambda: {"id": f"T-{spread():06}"},
        "put": lambda: {"item": item(spread())},
        "update": lambda: {"item": {"key": f"T-{spread():06}", "state": "open"}},
        "bulkGet": lambda: {"ids": [f"T-{n:06}" for n in batch()]},
        "bulkDelete": lambda: {"ids": [f"T-{n:06}" for n in batch()]},
        "bulkPut": lambda: {"items": [item(n) for n in batch()]},
    }
    return method, {"datastore": "tickets", **given[method]()}


def moto_of(method: str) -> Call:
    """The same to DynamoDB."""
    if method == "query":
        return moto_filtered(Limit=100)
    if method == "count":
        return moto_filtered(Select="COUNT")
    puts: Callable[[], list[Json]] = lambda: [{"PutRequest": {"Item": dynamo(n)}} for n in batch()]  # noqa: E731
    deletes: Callable[[], list[Json]] = lambda: [{"DeleteRequest": {"Key": key(n)}} for n in batch()]  # noqa: E731
    change = {"UpdateExpression": "SET #s = :s", "ExpressionAttributeNames": {"#s": "state"}}
    changed = {**change, "ExpressionAttributeValues": {":s": {"S": "open"}}, "ReturnValues": "ALL_NEW"}
    given: dict[str, Callable[[], Call]] = {
        "get": lambda: ("GetItem", {"TableName": "tickets", "Key": key(spread())}),
        "delete": lambda: ("DeleteItem", {"TableName": "tickets", "Key": key(spread())}),
        "put": lambda: ("PutItem", {"TableName": "tickets", "Item": dynamo(spread())}),
        "update": lambda: ("UpdateItem", {"TableName": "tickets", "Key": key(spread()), **changed}),
        "bulkGet": lambda: ("BatchGetItem", {"RequestItems": {"tickets": {"Keys": [key(n) for n in batch()]}}}),
        "bulkDelete": lambda: ("BatchWriteItem", {"RequestItems": {"tickets": deletes()}}),
        "bulkPut": lambda: ("BatchWriteItem", {"RequestItems": {"tickets": puts()}}),
    }
    return given[method]()


def ours_bytes(call: Call) -> bytes:
    return _bytes(f"/api/apps.datastore.{call[0]}", call[1], "application/json; charset=utf-8", "Bearer xoxb-local-1")


def moto_bytes(call: Call) -> bytes:
    signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x"
    target = {"X-Amz-Target": f"DynamoDB_20120810.{call[0]}"}
    return _bytes("/", call[1], "application/x-amz-json-1.0", signed, **target)


def _bytes(path: str, body: Json, kind: str, authorization: str, **more: str) -> bytes:
    data = json.dumps(body).encode()
    headers = {"Host": "127.0.0.1", "Content-Type": kind, "Authorization": authorization, **more}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def ours_fill() -> list[bytes]:
    """Every item, in batches."""
    batches = [[item(first + step) for step in range(BATCH)] for first in range(0, ITEMS, BATCH)]
    return [ours_bytes(("bulkPut", {"datastore": "tickets", "items": batch})) for batch in batches]


def moto_fill() -> list[bytes]:
    """The same."""
    batches = [[dynamo(first + step) for step in range(BATCH)] for first in range(0, ITEMS, BATCH)]
    requests = [[{"PutRequest": {"Item": one}} for one in batch] for batch in batches]
    return [moto_bytes(("BatchWriteItem", {"RequestItems": {"tickets": one}})) for one in requests]


class _Connection(asyncio.Protocol):
    """Sends the next request when the whole answer to the last is there. moto closes after each: then anew."""

    def __init__(self, port: int, queue: list[bytes], wanted: bytes) -> None:
        self._port, self._queue, self._wanted = port, queue, wanted
        self._buffer = bytearray()
        self._answered = True
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until the queue is empty."""
        await self._open()
        await self.done
        self._transport.close()

    async def _open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's is no asyncio.Transport
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered:
            self._fail("the connection was lost")
        elif not self.done.done():
            self._opening = asyncio.ensure_future(self._open())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = bytes(self._buffer[:head]).lower()
        length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(self._buffer) < head + 4 + length:
            return
        answer = bytes(self._buffer)
        self._buffer.clear()
        self._answered = True
        if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")) or self._wanted not in answer:
            self._fail(answer[:400])
        elif b"connection: close" not in lower:
            self._next()

    def _fail(self, why: object) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(why))

    def _next(self) -> None:
        if self._queue:
            self._answered = False
            self._transport.write(self._queue.pop())
        elif not self.done.done():
            self.done.set_result(None)


async def _send(port: int, queue: list[bytes], wanted: bytes, connections: int) -> float:
    began = perf_counter()
    async with asyncio.timeout(300):
        await asyncio.gather(*(_Connection(port, queue, wanted).run() for _ in range(connections)))
    return perf_counter() - began


def load(
    port: int, make: Callable[[], bytes], calls: int, wanted: bytes, refill: Callable[[], list[bytes]] | None = None
) -> Callable[[], float]:
    """Seconds a call, over some connections at once; with `refill` in parts, the items brought back before each."""

    def measured() -> float:
        import uvloop

        took, left = 0.0, calls
        while left > 0:
            part = left if refill is None else min(left, REFILLED_CALLS)
            if refill is not None:
                uvloop.run(_send(port, refill(), wanted, CONNECTIONS))
            queue = [make() for _ in range(part)]
            took += float(uvloop.run(_send(port, queue, wanted, CONNECTIONS)))
            left -= part
        return took / calls

    return measured


def moto_command() -> list[str]:
    """How moto's server is started here. RuntimeError when it is not installed."""
    if importlib.util.find_spec("moto") is not None:
        return [sys.executable, "-m", "moto.server"]
    found = shutil.which("moto_server")
    if found is None:
        raise RuntimeError("the peer is missing: install moto[server] (dev group), or put moto_server on PATH")
    return [found]


@contextmanager
def moto() -> Iterator[int]:
    """The port of a running moto server with the table `tickets`, filled."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*moto_command(), "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        names = {"app": "HASH", "key": "RANGE"}
        table = {
            "TableName": "tickets",
            "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in names.items()],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
            "BillingMode": "PAY_PER_REQUEST",
        }
        queue = [*moto_fill(), moto_bytes(("CreateTable", table))]
        asyncio.run(_send(port, queue, b"", 1))
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("moto's server did not start within 30 s")


@contextmanager
def local_slack() -> Iterator[int]:
    """The port of a running local Slack with the datastore `tickets`, filled."""
    with server([sys.executable, "-m", "stateroom", "emulator", "--port", "0"]) as port:
        body = json.dumps({"app_id": "A00000001", "manifest": MANIFEST}).encode()
        urlopen(Request(f"http://127.0.0.1:{port}/_sim/apps", body)).close()
        asyncio.run(_send(port, ours_fill(), b'"ok":true', 1))
        yield port


def contenders(method: str) -> Callable[[], Any]:
    """A context manager with both, for one method."""

    @contextmanager
    def made() -> Iterator[Contenders]:
        with ExitStack() as stack:
            peer, own = stack.enter_context(moto()), stack.enter_context(local_slack())
            slow = MOTO_SLOW_CALLS if method in ("query", "count") else MOTO_CALLS
            deletes = method in ("delete", "bulkDelete")
            peers = load(peer, lambda: moto_bytes(moto_of(method)), slow, b"", moto_fill if deletes else None)
            calls = OURS_CALLS // 4 if deletes else OURS_CALLS
            owns = load(own, lambda: ours_bytes(ours_of(method)), calls, b'"ok":true', ours_fill if deletes else None)
            yield {"moto": peers, "ours": owns}

    return made


for name in ("get", "put", "update", "delete", "bulkGet", "bulkPut", "bulkDelete", "query", "count"):
    case(
        f"apps.datastore.{name}",
        f"`apps.datastore.{name}` of the local Slack and the same operation of moto's server, {ITEMS} items",
        musts=[Must("moto", over="ours", at_least=10)],
        rounds=5,
    )(contenders(name))
